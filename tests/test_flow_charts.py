"""The charts of a comparison show the numbers of its rows: cells, marks and bars are read back from the figures."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from accel.design import load
from accel.flow import charts
from accel.flow.charts import bars, front, matrix, roof, style, swings
from accel.flow.compare import Comparison, Row, row_record
from accel.flow.tables import figure as digits
from accel.flow.verdict import cheapest
from accel.sim.causes import CAUSES
from accel.sim.cost import Range, sensitivity
from tests.benches.flow_networks import comparison

DESIGNS = ("edge", "nano")


def one_design() -> Comparison:
    found = comparison()
    return replace(found, rows=tuple(rows_of("edge")), designs=found.designs[:1])


def rows_of(design: str) -> list[Row]:
    return [row for row in comparison().rows if row.design == design]


def drawn(make: Any, *arguments: Any) -> Figure:
    """The chart after its layout, as it is saved."""
    with rc_context(style.STYLE):
        chart: Figure = make(*arguments)
        FigureCanvasAgg(chart).draw()
    return chart


def values(line: Line2D) -> tuple[list[float], list[float]]:
    """Its points, x and y."""
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return charts.draw(comparison())


@pytest.fixture(scope="module")
def picture() -> Figure:
    return drawn(matrix.answer, comparison())


def test_every_chart_as_png_and_svg(pictures: dict[str, bytes]) -> None:
    names = ("answer", "energy", "time", "layers", "roofline", "tornado")
    both = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert set(pictures) == set(charts.FILES) == both | {"answer-narrow.svg"}
    for name, data in pictures.items():
        if name.endswith("png"):
            assert data.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", data[16:24])
            assert width >= 800
            assert height >= 450
        else:
            assert ElementTree.fromstring(data.decode()).tag == "{http://www.w3.org/2000/svg}svg"
            assert not re.search(rb"20\d\d-\d\d-\d\d", data)


def test_the_same_bytes_in_every_run(pictures: dict[str, bytes]) -> None:
    """Anything else would make a report change with nothing changed."""
    for name in ("answer", "energy"):
        again = style.saved(lambda name=name: charts.CHARTS[name](comparison()))  # type: ignore[misc]
        assert again == {kind: pictures[f"{name}.{kind}"] for kind in again}


def test_matrix(picture: Figure) -> None:
    """A cell for each technique and design, all against the first row: its number, its colour, and what is bold."""
    base, techniques = comparison().rows[0], list(dict.fromkeys(row.title for row in comparison().rows))
    for panel, what in zip(picture.axes, ("Latency", "Energy"), strict=False):
        assert panel.get_title(loc="left") == what
        texts = [text for text in panel.texts if re.fullmatch(r"[\d,.]+", text.get_text())]
        (mesh,) = panel.collections
        colours = np.asarray(mesh.get_array()).reshape(len(techniques), len(DESIGNS))
        expected = np.empty_like(colours)
        for y, title in enumerate(techniques):
            for x, design in enumerate(DESIGNS):
                (row,) = [row for row in rows_of(design) if row.title == title]
                at = lambda r: r.work.cycles / r.run.result.design.clock_mhz  # noqa: E731
                energy = lambda r: r.energy.total_pj.nominal  # noqa: E731
                expected[y, x] = at(row) / at(base) if what == "Latency" else energy(row) / energy(base)
        assert np.allclose(colours, np.log2(expected))
        numbers = [[matrix.ratio_text(value) for value in row] for row in expected]
        assert [text.get_text() for text in texts] == [number for row in numbers for number in row]
        bold = np.array([text.get_fontweight() == "bold" for text in texts]).reshape(expected.shape)
        assert (bold == (expected == expected.min(1, keepdims=True))).all()
        assert [label.get_text().replace("\n", "") for label in panel.get_xticklabels()] == list(DESIGNS)
        (frame,) = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
        best = cheapest(comparison())
        assert frame.get_xy() == (DESIGNS.index(best.design), techniques.index(best.title))
    names = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert names == [f"{row.title}  {row.accuracy_percent:.2f} %" for row in rows_of("edge")]


def test_accuracy_of_2_bits_is_faint(picture: Figure) -> None:
    """It costs more than a point."""
    colours = {label.get_text().split("  ")[0]: label.get_color() for label in picture.axes[0].get_yticklabels()}
    assert [name for name, colour in colours.items() if colour == style.FAINT] == ["shared, 2 bits"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.074, "0.07"), (9.994, "9.99"), (9.996, "10.0"), (99.94, "99.9"), (1196.4, "1,196")]
)
def test_ratio_text(value: float, text: str) -> None:
    assert matrix.ratio_text(value) == text


def test_front(picture: Figure) -> None:
    """A mark a row in its design's form; dark what no row beats in accuracy at less or equal energy, and named."""
    panel, found = picture.axes[2], comparison()
    assert panel.get_xscale() == "log"
    single = [line for line in panel.lines if line.get_linestyle() == "None" and len(values(line)[0]) == 1]
    assert len(single) == len(found.rows)
    form = {design: style.marks(found.designs)[design]["marker"] for design in DESIGNS}
    assert len(set(form.values())) == len(DESIGNS)
    on = []
    for row, line in zip(found.rows, single, strict=True):
        ((x,), (y,)) = values(line)
        assert x == row.energy.total_pj.nominal / 1e6
        sound = found.rows[0].accuracy_percent - row.accuracy_percent <= 1  # type: ignore[operator]
        lowest = min(tick for tick in panel.get_yticks())
        assert (y == row.accuracy_percent) if sound else (y < lowest)
        assert line.get_marker() == form[row.design]
        beaten = [
            other for other in found.rows
            if other.accuracy_percent >= row.accuracy_percent  # type: ignore[operator]
            and other.energy.total_pj.nominal <= row.energy.total_pj.nominal
            and (other.accuracy_percent, -other.energy.total_pj.nominal)
            != (row.accuracy_percent, -row.energy.total_pj.nominal)
        ]  # fmt: skip
        assert line.get_color() == (style.FAINT if beaten else style.INK)
        on += [] if beaten else [row.title]
    named = [text.get_text().split("  ")[0] for text in panel.texts]
    assert sorted(name for name in named if name in {row.title for row in found.rows}) == sorted(on)
    assert f"float32 {found.float_accuracy_percent:.2f}" in named


def test_names_on_the_front_stand_inside_and_apart() -> None:
    """In both forms of the picture: left of their mark, within the axes, and no two over each other."""
    for narrow in (False, True):
        chart = drawn(matrix.answer, comparison(), narrow)
        panel = chart.axes[2]
        box = panel.get_window_extent()
        titles = {row.title for row in comparison().rows}
        texts = [t for t in panel.texts if t.get_text().replace("\n", " ").split("  ")[0] in titles]
        assert len(texts) >= 3
        extents = [text.get_window_extent() for text in texts]
        for text, extent in zip(texts, extents, strict=True):
            assert box.x0 <= extent.x0 + 2, (narrow, text.get_text())
            assert extent.y1 <= box.y1 + 2
        assert not any(one.overlaps(other) for one, other in combinations(extents, 2))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(90, 99)), min_size=1, max_size=12))
def test_pareto(drawn_points: list[tuple[int, int]]) -> None:
    """What is on the front is beaten by nothing, and what is not there is beaten or as good as something that is."""
    base = comparison().rows[0]
    rows = [_with(base, energy, accuracy) for energy, accuracy in drawn_points]
    best = front.pareto(rows)
    at = [(front.energy_uj(row), row.accuracy_percent) for row in best]
    assert at == sorted(set(at))
    for row in rows:
        energy, accuracy = front.energy_uj(row), row.accuracy_percent
        better = [(e, a) for e, a in at if e <= energy and a >= accuracy]  # type: ignore[operator]
        assert better
        if row in best:
            assert better == [(energy, accuracy)]


def _with(row: Row, energy_uj: float, accuracy: float) -> Row:
    energy = replace(row.energy, parts_pj={"DRAM transfer": Range(0.0, 1e6 * energy_uj, 0.0)})
    run = replace(row.run, total=replace(row.run.total, energy=energy))
    return replace(row, run=run, accuracy_percent=accuracy)


def test_without_accuracy_there_is_no_front() -> None:
    rows = tuple(replace(row, accuracy_percent=None) for row in comparison().rows)
    for narrow in (False, True):
        chart = drawn(matrix.answer, replace(comparison(), rows=rows, float_accuracy_percent=None), narrow)
        titles = [axes.get_title(loc="left") for axes in chart.axes]
        assert [title for title in titles if title] == ["Latency", "Energy"]
    assert chart.axes[0].get_yticklabels()[0].get_text() == "dense int8"


def test_a_row_alone() -> None:
    """Nothing to compare it to, and no scale to draw it on."""
    alone = replace(one_design(), rows=comparison().rows[:1])
    for make in charts.CHARTS.values():
        assert drawn(make, alone)


def stacks(panel: Any) -> dict[str, list[tuple[float, float]]]:
    """Left end and length of each bar by its part's name, from the top one down."""
    found = {}
    for part in (c for c in panel.collections if isinstance(c, PolyCollection)):
        name = str(part.get_label())
        assert {to_hex(colour).upper() for colour in part.get_facecolor()} == {style.COLOURS[name].upper()}
        boxes = [path.get_extents() for path in part.get_paths()]
        assert [(box.y0 + box.y1) / 2 for box in boxes] == pytest.approx(range(len(boxes)))
        found[name] = [(box.x0, box.width) for box in boxes]
    return found


def check_stacks(panel: Any, expected: list[dict[str, float]]) -> None:
    """Bars with these parts, each part behind the one before."""
    shown = stacks(panel)
    for index, parts in enumerate(expected):
        left = 0.0
        for name, lengths in shown.items():
            assert lengths[index] == pytest.approx((left, parts.get(name, 0.0)))
            left += parts.get(name, 0.0)
        assert left == pytest.approx(sum(parts.values()))


def test_energy_by_part() -> None:
    """The bars stand one behind the other; the line goes from the low total to the high one."""
    chart = drawn(bars.energy, comparison())
    assert len({panel.get_xlim() for panel in chart.axes}) == 1
    for panel, design in zip(chart.axes, DESIGNS, strict=True):
        records = [row_record(row) for row in rows_of(design)]
        fields = {
            "DRAM": ["dram_uj"],
            "SRAM": ["sram_uj"],
            "compute": ["compute_uj", "clock_uj"],
            "static": ["static_uj"],
        }
        check_stacks(panel, [{name: sum(record[f] for f in of) for name, of in fields.items()} for record in records])
        (spread,) = (collection for collection in panel.collections if hasattr(collection, "get_segments"))
        ends = np.array([segment[:, 0] for segment in spread.get_segments()])
        assert ends == pytest.approx(np.array([(r["total_low_uj"], r["total_high_uj"]) for r in records]))
        numbers = [f"{digits(r['total_low_uj'])} .. {digits(r['total_high_uj'])}" for r in records]
        assert [text.get_text() for text in panel.texts] == numbers
        assert panel.get_title(loc="left").startswith(design)
        assert panel.get_xlabel() == "uJ"


def test_time_by_cause() -> None:
    """One axis for all designs: a design that is ten times slower has bars ten times as long."""
    chart = drawn(bars.time, comparison())
    assert len({panel.get_xlim() for panel in chart.axes}) == 1
    for panel, design in zip(chart.axes, DESIGNS, strict=True):
        rows, clock = rows_of(design), load(design).clock_mhz
        check_stacks(panel, [{cause: n / clock for cause, n in row.work.limits.items()} for row in rows])
        assert [text.get_text() for text in panel.texts] == [digits(row.work.cycles / clock) for row in rows]
    assert [label.get_text() for label in chart.axes[0].get_yticklabels()] == [row.title for row in rows_of("edge")]


def test_layers_by_cause() -> None:
    chart = drawn(bars.layers, comparison())
    first = rows_of("edge")[0]
    panel = chart.axes[0]
    assert panel.get_title(loc="left") == "edge\ndense int8"
    check_stacks(panel, [{c: n / 400 for c, n in part.work.limits.items()} for part in first.run.layers])
    assert [label.get_text() for label in panel.get_yticklabels()] == ["ip1", "ip2", "ip3"]


def test_one_colour_is_one_thing() -> None:
    """DRAM and what waits for it share one, the array and its products another; all others differ."""
    by_colour: dict[str, set[str]] = {}
    for name, colour in style.COLOURS.items():
        by_colour.setdefault(colour, set()).add(name)
    assert [names for names in by_colour.values() if len(names) > 1] == [{"DRAM", "DRAM read"}, {"compute", "array"}]
    assert set(style.COLOURS) >= set(CAUSES)


def test_tornado() -> None:
    """Of the first row and the cheapest: bars from the nominal total, as `sensitivity` has it, the widest on top."""
    chart = drawn(swings.tornado, comparison())
    for panel, row in zip(chart.axes, (comparison().rows[0], cheapest(comparison())), strict=True):
        low, high = ([bar.get_width() for bar in container] for container in panel.containers)
        moved = sensitivity(row.run.result.design, row.run.result)[: swings.SHOWN]
        nominal = row.energy.total_pj.nominal
        assert len(moved) == swings.SHOWN
        assert low == pytest.approx([100 * (swing.low_pj - nominal) / nominal for swing in moved])
        assert high == pytest.approx([100 * (swing.high_pj - nominal) / nominal for swing in moved])
        widths = [most - least for least, most in zip(low, high, strict=True)]
        assert widths == sorted(widths, reverse=True)
        assert panel.get_title(loc="left").startswith(f"{row.title} on {row.design}: ")


def test_no_point_is_above_its_roof() -> None:
    """Products a second of each row, by hand, and below what its design allows."""
    chart = drawn(roof.roofline, comparison())
    (panel,) = chart.axes
    single = [line for line in panel.lines if line.get_linestyle() == "None" and len(values(line)[0]) == 1]
    for row, line in zip(comparison().rows, single, strict=True):
        ((x,), (y,)) = values(line)
        design = row.run.result.design
        assert y == pytest.approx(266_200 * design.clock_mhz / row.work.cycles / 1e3)
        assert x == pytest.approx(266_200 / row.work.dram_read_bytes)
        assert y <= design.rows * design.cols * design.clock_mhz / 1e3
        assert y <= x * design.bytes_per_cycle * design.clock_mhz / 1e3


def test_no_roofline_without_dram() -> None:
    core = load("core")
    rows = []
    for row in rows_of("edge"):
        result = row.run.result
        on = replace(result, total=replace(result.total, design=core))
        rows.append(replace(row, run=replace(row.run, result=on)))
    assert roof.roofline(replace(one_design(), rows=tuple(rows), designs=(core,))) is None


def test_marks_of_many_designs_differ() -> None:
    designs = [load("edge").model_copy(update={"name": f"d{n}"}) for n in range(2 * len(style.MARKERS))]
    looks = {(mark["marker"], mark["fillstyle"]) for mark in style.marks(designs).values()}
    assert len(looks) == len(designs)


@pytest.mark.parametrize("make", [bars.time, bars.energy, bars.layers, roof.roofline, matrix.answer, swings.tornado])
def test_texts_and_legend_stay_inside(make: Any) -> None:
    """No number behind a bar leaves the picture, and the legend covers no axis."""
    chart = drawn(make, comparison())
    whole = chart.bbox
    for panel in chart.axes:
        for text in panel.texts:
            extent = text.get_window_extent()
            assert extent.x1 <= whole.x1 + 1, text.get_text()
            assert extent.y0 >= whole.y0 - 1
    for shown in chart.legends:
        legend = shown.get_window_extent()
        assert legend.y0 >= -1
        boxes = [panel.get_tightbbox() for panel in chart.axes if panel.axison]
        assert all(box and legend.y1 <= box.y0 + 1 for box in boxes)


def test_names_are_text() -> None:
    """No formula, no warning for a letter that the font does not have, and an SVG that is still one."""
    name = "a$_$b \u7f51\u7edc <&>\"'"
    found = replace(one_design(), network=name, rows=tuple(replace(row, title=name) for row in rows_of("edge")[:2]))
    for chart in ("answer", "time"):
        svg = style.saved(lambda chart=chart: charts.CHARTS[chart](found))["svg"]  # type: ignore[misc]
        assert ElementTree.fromstring(svg.decode()) is not None


def test_long_names_leave_room() -> None:
    name = "a very long name of a recipe's file " * 4
    found = replace(one_design(), network=name, rows=(rows_of("edge")[0], replace(rows_of("edge")[1], title=name)))
    chart = drawn(bars.time, found)
    (panel,) = chart.axes
    assert panel.get_yticklabels()[1].get_text() == style.short(name) == name[:37] + "..."
    assert panel.get_window_extent().width > 0.3 * chart.bbox.width
