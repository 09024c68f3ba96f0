"""The report in a browser, at the widths of a desk and of a telephone: what is seen, what scrolls, what a click does.

Needs Chromium (apt: chromium) and playwright. Without a browser the tests are skipped, unless ACCEL_BROWSER says that
there must be one, as .ci/run does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accel.design import load
from accel.flow import report
from accel.flow.compare import Comparison
from tests.benches.flow_networks import comparison

SIZES = {"desk": (1280, 900), "telephone": (390, 844)}
LONG = "Tucker-2 + pruned + shared + Huffman"
LEGIBLE_PX = 8.0  # of the smallest letters in a picture
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("ACCEL_BROWSER"), reason="no Chromium: apt-get install chromium"
)

# Of every table: is its first column within the window, and by how much is the table wider than its frame?
TABLES = """() => [...document.querySelectorAll("table")].filter(t => t.offsetParent).map(t => {
  const box = t.parentElement, cell = t.rows[1].cells[0].getBoundingClientRect(), edge = box.getBoundingClientRect();
  return {heads: [...t.tHead.rows[0].cells].map(c => c.innerText.replace(/\\s+/g, " ").trim()),
          hidden: box.scrollWidth - box.clientWidth, first: cell.left - edge.left, width: cell.width,
          shown: [...t.rows[1].cells].filter(c => c.getBoundingClientRect().right <= edge.right + 1).length};
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=BROWSER or "chromium", args=["--no-sandbox"])
        yield one
        one.close()


def four_designs() -> Comparison:
    """Of the sixteen rows that the default comparison has: the same again under the longest names."""
    names = ("edge", "edge-coded", "edge-2of4", "edge-sparse")
    first = [row for row in comparison().rows if row.design == "edge"]
    more = [
        replace(row, technique=f"{row.technique}-{n}", title=LONG if n == 7 else row.title)
        for n in (5, 7) for row in first[1:]
    ]  # fmt: skip
    rows = []
    for name in names:
        for row in (*first, *more):
            on = replace(row.run.result, total=replace(row.work, design=load(name)))
            rows.append(replace(row, run=replace(row.run, result=on)))
    return replace(comparison(), rows=tuple(rows), designs=tuple(map(load, names)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report.write(folder, {"report.html": report.files(four_designs())["report.html"]})
    return folder / "report.html"


@pytest.fixture(params=SIZES)
def page(browser: Any, file: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    page.goto(file.as_uri())
    yield page
    assert wrong == []
    page.close()


def test_the_page_itself_never_scrolls_sideways(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_the_answer_stands_first(page: Any) -> None:
    """Sentence and picture in the first window, the picture in the form for its width, legible."""
    headline = page.locator(".headline").bounding_box()
    assert headline["y"] + headline["height"] < page.viewport_size["height"]
    image = page.locator("picture img")
    box = image.bounding_box()
    assert box["y"] < 0.6 * page.viewport_size["height"]
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    narrow = page.viewport_size["width"] < 700
    natural = image.evaluate("img => [img.naturalWidth, img.naturalHeight, img.currentSrc.length]")
    assert (natural[0] < natural[1]) == narrow
    scale = box["width"] / natural[0]
    assert scale * 7.5 * 96 / 72 >= LEGIBLE_PX


def test_verdict_columns_are_visible(page: Any) -> None:
    """At a desk all columns of the tables by which one decides; on a telephone the verdict and the ratio of latency."""
    tables = page.evaluate(TABLES)
    deciding = [table for table in tables if table["heads"][:2] == ["technique", "verdict"]]
    assert len(deciding) == 4
    for table in tables:
        assert abs(table["first"]) <= 1.5
    for table in deciding:
        assert [head.split(" ")[0] for head in table["heads"][:6]] == [
            "technique", "verdict", "latency", "energy", "accuracy", "stored"
        ]  # fmt: skip
        if page.viewport_size["width"] >= 1280:
            assert table["hidden"] <= 0
            assert table["shown"] == len(table["heads"])
        else:
            assert table["shown"] >= 4
            assert table["width"] <= 0.4 * page.viewport_size["width"]


def test_the_first_column_stays(page: Any) -> None:
    """While the rest is moved to its end; on a telephone there is something to move."""
    moved = page.evaluate("""() => [...document.querySelectorAll("table")].filter(t => t.offsetParent).map(t => {
      const box = t.parentElement; box.scrollLeft = 1e6;
      const cell = t.rows[1].cells[0], at = cell.getBoundingClientRect(), edge = box.getBoundingClientRect();
      const last = t.rows[1].cells[t.rows[1].cells.length - 1].getBoundingClientRect();
      const top = document.elementFromPoint(0, 0) && getComputedStyle(cell).backgroundColor;
      return [box.scrollLeft, at.left - edge.left, edge.right - last.right, top];
    })""")
    assert moved
    for _, first, last, colour in moved:
        assert abs(first) <= 1.5
        assert last >= -1.5
        assert colour not in ("rgba(0, 0, 0, 0)", "transparent")
    if page.viewport_size["width"] < 700:
        assert max(by for by, *_ in moved) > 100


def test_a_click_on_a_heading_sorts(page: Any) -> None:
    """Numbers as numbers, up and then down; other tables stay as they are."""
    table = page.locator("table", has_text="verdict").first
    heads = [text.split("\n")[0] for text in table.locator("th").all_inner_texts()]
    stored = heads.index("stored")

    def column(index: int) -> list[str]:
        cells: list[str] = table.locator(f"tbody td:nth-child({index + 1})").all_inner_texts()
        return cells

    before, other = column(0), page.locator("table").first.inner_text()
    values = sorted(int(cell.replace(",", "")) for cell in column(stored))
    assert len(values) == 16
    for expected, said in ((values, "ascending"), (values[::-1], "descending")):
        table.locator(f"th:nth-child({stored + 1}) button").click()
        assert [int(cell.replace(",", "")) for cell in column(stored)] == expected
        assert table.locator(f"th:nth-child({stored + 1})").get_attribute("aria-sort") == said
    assert column(0) != before
    table.locator("th:nth-child(1) button").press("Enter")
    assert column(0) == sorted(before, key=str.lower)
    assert page.locator("table").first.inner_text() == other


def test_a_total_stays_last(page: Any) -> None:
    details = page.locator("details", has=page.locator("tfoot")).first
    details.evaluate("d => { for (const x of [d, ...d.querySelectorAll('details')]) x.open = true; }")
    table = details.locator("table", has=page.locator("tfoot")).first
    button = table.locator("th:nth-child(3) button")
    for _ in range(2):
        button.click()
        assert table.locator("tr").last.inner_text().startswith("total")


def test_every_picture_is_legible(page: Any) -> None:
    """Charts are loaded, have a text for who does not see them, and are not shrunk below what can be read."""
    for image in page.locator("figure img").all():
        natural, shown, alt = image.evaluate("img => [img.naturalWidth, img.getBoundingClientRect().width, img.alt]")
        assert natural > 0
        assert len(alt) > 20
        assert shown / natural * 7.5 * 96 / 72 >= LEGIBLE_PX, alt
