"""The files of `accel compare`: JSON and CSV hold the rows, HTML needs nothing else, and all are written or none."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from accel.flow import html, report
from accel.flow.compare import Comparison, row_record
from accel.flow.tables import figure as digits
from accel.flow.verdict import headline, verdict
from accel.models.errors import InputError
from accel.sim.cost.constants import CONSTANTS
from tests.benches.flow_networks import comparison, content

LAYERS = ("ip1", "ip2", "ip3")


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return report.files(comparison())


def test_names(files: dict[str, bytes]) -> None:
    names = ("answer", "energy", "time", "layers", "roofline", "tornado")
    charts = ["answer-narrow.svg", *(f"{name}.{kind}" for name in names for kind in ("png", "svg"))]
    assert set(files) == {"compare.json", "compare.csv", "report.html", *charts}
    assert set(files) == set(report.FILES)


def test_csv_is_the_rows(files: dict[str, bytes]) -> None:
    read = list(csv.DictReader(io.StringIO(files["compare.csv"].decode())))
    for line, row in zip(read, comparison().rows, strict=True):
        expected = row_record(row)
        assert line.pop("untrained") == str(expected.pop("untrained"))
        assert {name: type(expected[name])(text) for name, text in line.items()} == expected
    unmeasured = replace(comparison(), rows=tuple(replace(row, accuracy_percent=None) for row in comparison().rows))
    assert {line["accuracy_percent"] for line in csv.DictReader(io.StringIO(report.csv_text(unmeasured)))} == {""}


def test_json_is_the_rows_and_what_is_behind_them(files: dict[str, bytes]) -> None:
    found = comparison()
    record = json.loads(files["compare.json"])
    assert record["format"] == 4
    assert (record["network"], record["parameters"]) == ("lenet-300-100", 266_610)
    assert record["float_accuracy_percent"] == found.float_accuracy_percent
    assert record["designs"] == {design.name: design.model_dump() for design in found.designs}
    assert record["data"] == "a part of MNIST"
    assert len(record["constants"]["values"]) == len(CONSTANTS)
    assert all(constant["source"] for constant in record["constants"]["values"])
    for written, row in zip(record["rows"], found.rows, strict=True):
        assert {name: written[name] for name in row_record(row)} == row_record(row)
        assert tuple(layer["name"] for layer in written["layers"]) == LAYERS
        assert sum(layer["cycles"] for layer in written["layers"]) == row.work.cycles == written["total"]["cycles"]
        moved = [layer["dram_read_bytes"] + layer["dram_write_bytes"] for layer in written["layers"]]
        assert sum(moved) == row.work.dram_bytes
        assert sum(layer["total_high_uj"] for layer in written["layers"]) == pytest.approx(
            row.energy.total_pj.high / 1e6, rel=1e-12
        )
        assert written["total"]["macs"] == sum(layer.info.must.macs for layer in row.run.result.layers) == 266_200


def test_a_number_that_json_does_not_have_is_refused() -> None:
    broken = replace(comparison(), rows=(replace(comparison().rows[0], energy_ratio=float("nan")),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.files(replace(broken, designs=broken.designs[:1]))


class Page(HTMLParser):
    """Cells of each table row, all attributes that make a reader fetch something, tags, and the whole text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.text, self.in_cell = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        loads = ("src", "href", "srcset", "data", "action", "poster", "xlink:href", "background")
        self.fetched += [value or "" for name, value in attributes if name in loads]
        self.fetched += re.findall(r"url\(([^)]*)\)", dict(attributes).get("style") or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell &= tag not in ("td", "th")


def test_html_needs_no_other_file(files: dict[str, bytes]) -> None:
    """Every reference is a picture with its data inside, and no picture refers to anything but its own parts.

    The only script is the template's own, which sorts the tables.
    """
    text = files["report.html"].decode()
    page = Page(text)
    assert text.count("<script") == 1
    script = text.split("<script>")[1].split("</script>")[0]
    assert not re.search(r"fetch|import|http|XMLHttp|src|innerHTML|eval", script)
    assert page.tags.isdisjoint({"link", "iframe", "object", "embed", "base"})
    assert "@import" not in text
    assert "url(" not in text
    prefix = "data:image/svg+xml;base64,"
    pictures = []
    for source in page.fetched:
        assert source.startswith(prefix)
        pictures.append(b64decode(source.removeprefix(prefix)))
    names = ("answer-narrow", "answer", "time", "energy", "layers", "tornado", "roofline")
    assert pictures == [files[f"{name}.svg"] for name in names]
    for picture in pictures:
        own = Page(picture.decode())
        assert {reference[0] for reference in own.fetched} <= {"#"}
        assert own.tags.isdisjoint({"script", "image"})
        assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", picture.decode()))


def test_html_has_every_row_and_every_layer(files: dict[str, bytes]) -> None:
    page = Page(files["report.html"].decode())
    by_first = [row for row in page.rows if row]
    shares = [row.energy.dram_share for row in comparison().rows if row.technique == "dense"]
    for share in shares:
        assert f"DRAM (lpddr3) takes {100 * share:.0f} % of the energy of dense int8" in page.text
    for row in comparison().rows:
        (shown,) = [cells for cells in by_first if cells[0] == row.title and f"{row.work.dram_bytes:,}" in cells]
        assert f"{row.work.cycles:,}" in shown
        assert f"{row.work.moved_ratio:.2f}" in shown
        assert {digits(1e6 / row.run.result.latency_us), digits(row.run.cost.peak_mw.nominal)} <= set(shown)
        for component, area in row.run.cost.area.components_mm2.items():
            assert any(cells[:2] == [component, digits(area.nominal)] for cells in by_first)
        decides = [
            f"{row.latency_ratio:.2f}", f"{row.energy_ratio:.2f}", f"{row.accuracy_percent:.2f}",
            f"{row.stored_bytes:,}",
        ]  # fmt: skip
        (shown,) = [
            cells for cells in by_first
            if cells[0] == row.title and cells[2:6] == decides and digits(row.run.result.latency_us) in cells
        ]  # fmt: skip
        assert f"{row.title} on {row.design}" in page.text
    tables_of_a_run = 4
    for layer in LAYERS:
        assert sum(cells[0] == layer for cells in by_first) == tables_of_a_run * len(comparison().rows)
    assert all(any(constant.what in cells for cells in by_first) for constant in CONSTANTS)
    for design in ("edge", "nano"):
        assert verdict([row for row in comparison().rows if row.design == design]) in page.text
    assert headline(comparison()) in page.text
    assert "$" not in page.text.split("// A click")[0]
    assert "sram_cell: itrs-lop" in page.text


def test_html_escapes_what_comes_from_a_file() -> None:
    evil = '<script src="x">&$network'
    found = replace(comparison(), network=evil, notes=(evil,), data_source=evil)
    text = html.page(found, {})
    assert text.count("<script") == 1
    page = Page(text)
    assert page.text.count(evil) >= 4
    assert f"note: {evil}" in page.text


# What is written, and what is not when something fails.


def replace_that_fails(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> list[str]:
    """Make the `at`-th os.replace fail, from 0, before it moves (an interrupt: after); lists what was tried."""
    moved: list[str] = []
    real: Callable[..., None] = os.replace

    def move(source: Any, target: Any) -> None:
        moved.append(Path(target).name)
        fails = len(moved) == at + 1
        if not fails or isinstance(error, KeyboardInterrupt):
            real(source, target)
        if fails:
            raise error

    monkeypatch.setattr(os, "replace", move)
    return moved


NEW = {"a": b"new a", "b": b"new b", "c": b"new c"}


def test_write(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    report.write(folder, NEW)
    assert content(tmp_path) == {f"deep/er/{name}": data for name, data in NEW.items()}
    (folder / "own").write_bytes(b"kept")
    report.write(folder, {"b": b"newer"}, stale=("c", "b", "missing"))
    assert content(folder) == {"a": b"new a", "b": b"newer", "own": b"kept"}
    assert {path.name for path in folder.iterdir()} == {"a", "b", "own"}


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"])
def test_a_new_folder_is_gone_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    moved = replace_that_fails(monkeypatch, at, error)
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        report.write(tmp_path / "deep" / "er", NEW)
    assert len(moved) == at + 1
    assert list(tmp_path.iterdir()) == []
    if expected is InputError:
        assert str(caught.value) == f"output folder {tmp_path}/deep/er cannot be written: No space left on device"


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["broken", "ctrl-c"])
def test_an_old_folder_is_unchanged_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    """At any move: two files are replaced, one is new, one goes."""
    before = {"a": b"old a", "b": b"old b", "stale": b"old", "own": b"mine"}
    report.write(tmp_path, before)
    with monkeypatch.context() as patched:
        moved = replace_that_fails(patched, at, error)
        last = at == 6  # two moves for each that is replaced, one for the other two
        if last:
            report.write(tmp_path, NEW, stale=("stale",))
        else:
            with pytest.raises((InputError, KeyboardInterrupt)):
                report.write(tmp_path, NEW, stale=("stale",))
            assert len(moved) > at
    assert content(tmp_path) == (NEW | {"own": b"mine"} if last else before)
    assert {path.name for path in tmp_path.iterdir()} == set(content(tmp_path))


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """A name that no file system takes, behind one that it does."""
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        report.write(tmp_path / "new", {"a": b"", "b" * 300: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_a_files_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_bytes(b"kept")
    with pytest.raises(InputError, match="b must be a file, and is a folder"):
        report.write(tmp_path, NEW)
    assert content(tmp_path) == {"b/mine": b"kept"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "cannot be made: .*/file is not a folder"),
        ("file/below", "cannot be made: .*/file is not a folder"),
        ("x" * 300, "cannot be made: File name too long"),
        ("/proc/accel", "output folder /proc/accel cannot be made: No such file or directory"),
        ("/proc", "output folder /proc cannot be written: "),
    ],
)
def test_unwritable(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"here")
    for attempt in (report.check_folder, lambda folder: report.write(folder, NEW)):
        with pytest.raises(InputError, match=message):
            attempt(tmp_path / name)
    assert content(tmp_path) == {"file": b"here"}


def test_a_folder_that_can_be_written_is_not_made_yet(tmp_path: Path) -> None:
    report.check_folder(tmp_path / "a" / "b")
    report.check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_drawn_for_what_was_measured() -> None:
    rows = tuple(replace(row, accuracy_percent=None) for row in comparison().rows)
    unmeasured: Comparison = replace(comparison(), rows=rows, float_accuracy_percent=None)
    found = report.files(unmeasured)
    assert {f"{name}.svg" for name in ("roofline", "accuracy", "latency")} < set(report.OPTIONAL)
    page = Page(found["report.html"].decode())
    assert not any("accuracy" in cell for row in page.rows for cell in row)
