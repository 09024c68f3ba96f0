"""The charts of a comparison show the numbers of its rows: bars, marks and points are read back from the figures."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from accel.design import load
from accel.flow import charts
from accel.flow.compare import Comparison, Row, row_record
from accel.flow.tables import figure as digits
from tests.benches.flow_networks import comparison

DESIGNS = ("edge", "nano")


def one_design() -> Comparison:
    found = comparison()
    rows = tuple(row for row in found.rows if row.design == "edge")
    return replace(found, rows=rows, designs=found.designs[:1])


def rows_of(design: str) -> list[Row]:
    return [row for row in comparison().rows if row.design == design]


def drawn(chart: Figure) -> Figure:
    """The chart after its layout, as it is saved."""
    FigureCanvasAgg(chart).draw()
    return chart


def bars(container: Any) -> list[tuple[float, float]]:
    """Left end and length of each bar, from the top one down."""
    return [(bar.get_x(), bar.get_width()) for bar in container]


def values(line: Line2D) -> tuple[list[float], list[float]]:
    """Its points, x and y."""
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return charts.draw(comparison())


def test_every_chart_as_png_and_svg(pictures: dict[str, bytes]) -> None:
    found = pictures
    assert set(found) == {f"{n}.{kind}" for n in ("latency", "energy", "accuracy") for kind in ("png", "svg")}
    for name, data in found.items():
        if name.endswith("png"):
            assert data.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = struct.unpack(">II", data[16:24])
            assert width >= 1000
            assert height >= 600
        else:
            assert ElementTree.fromstring(data.decode()).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_bytes_in_every_run(pictures: dict[str, bytes]) -> None:
    """Anything else would make a report change with nothing changed."""
    assert charts.draw(comparison()) == pictures
    for name, data in pictures.items():
        if name.endswith("svg"):
            assert not re.search(rb"20\d\d-\d\d-\d\d", data)


def test_latency() -> None:
    chart = charts.latency(comparison())
    assert len(chart.axes) == len(DESIGNS)
    for panel, design in zip(chart.axes, DESIGNS, strict=True):
        rows = rows_of(design)
        clock = load(design).clock_mhz
        assert [label.get_text() for label in panel.get_yticklabels()] == [row.title for row in rows]
        assert bars(panel.containers[0]) == [(0, row.run.result.latency_us) for row in rows]
        (bound,) = panel.lines
        assert values(bound)[0] == [row.work.bound_cycles / clock for row in rows]
        assert [text.get_text().strip() for text in panel.texts] == [digits(row.run.result.latency_us) for row in rows]
        assert panel.get_xlim()[1] > 1.1 * max(row.run.result.latency_us for row in rows)
        assert panel.yaxis_inverted()
        assert panel.get_title().startswith(design)
        assert panel.get_xlabel() == "latency, us"


def test_energy_by_part() -> None:
    """The bars stand one behind the other; the line goes from the low total to the high one."""
    for panel, design in zip(charts.energy(comparison()).axes, DESIGNS, strict=True):
        rows = rows_of(design)
        records = [row_record(row) for row in rows]
        parts = {c.get_label(): c for c in panel.containers if c.get_label() and hasattr(c, "patches")}
        fields = {
            "DRAM": "dram_uj", "SRAM": "sram_uj", "static": "static_uj", "compute (low, line to high)": "compute_low_uj"
        }  # fmt: skip
        assert list(parts) == list(fields)
        left = [0.0] * len(rows)
        for label, field in fields.items():
            lengths = [record[field] for record in records]
            assert [start for start, _ in bars(parts[label])] == pytest.approx(left)
            assert [length for _, length in bars(parts[label])] == pytest.approx(lengths)
            left = [a + b for a, b in zip(left, lengths, strict=True)]
            assert to_hex(parts[label][0].get_facecolor()).upper() == charts.COLOURS[label.split()[0]]
        (spread,) = (collection for collection in panel.collections if hasattr(collection, "get_segments"))
        ends = np.array([segment[:, 0] for segment in spread.get_segments()])
        assert ends == pytest.approx(np.array([(r["total_low_uj"], r["total_high_uj"]) for r in records]))
        assert left == pytest.approx([r["total_low_uj"] for r in records])
        numbers = [
            f"{digits(row.energy.total_low_pj / 1e6)} .. {digits(row.energy.total_high_pj / 1e6)}" for row in rows
        ]
        assert [text.get_text().strip() for text in panel.texts] == numbers
    assert len(set(charts.COLOURS[part] for part in ("DRAM", "SRAM", "compute", "static"))) == 4


def test_accuracy_against_bytes() -> None:
    found = comparison()
    (axes,) = (chart := charts.accuracy(found)).axes
    exact, *points = (line for line in axes.lines if values(line)[0])
    assert values(exact)[1] == [found.float_accuracy_percent] * 2
    shown = [(x, y) for ((x,), (y,)) in map(values, points)]
    assert shown == [(row.stored_bytes / 1000, row.accuracy_percent) for row in found.rows]
    by_look = {(p.get_color(), p.get_marker()) for p in points}
    assert len(by_look) == len(points) == len(found.rows)
    assert axes.get_xlim()[0] == 0
    legend = [text.get_text() for text in chart.legends[0].get_texts()]
    assert legend == [
        f"float32, {found.float_accuracy_percent:.2f} %",
        *(f"{row.title}, {row.accuracy_percent:.2f} %" for row in rows_of("edge")),
        "on edge", "on nano",
    ]  # fmt: skip


def test_no_float_line_and_no_point_without_measurement() -> None:
    rows = (*comparison().rows[:2], *(replace(row, accuracy_percent=None) for row in rows_of("edge")[2:]))
    found = replace(one_design(), rows=rows, float_accuracy_percent=None)
    (axes,) = charts.accuracy(found).axes
    assert len(axes.lines) == 2
    unmeasured = replace(found, rows=tuple(replace(row, accuracy_percent=None) for row in rows))
    assert {name.split(".")[0] for name in charts.draw(unmeasured)} == {"latency", "energy"}


@pytest.mark.parametrize("make", [charts.latency, charts.energy])
def test_numbers_and_legend_stay_inside(make: Any) -> None:
    """No number behind a bar leaves the picture, and the legend covers no axis."""
    with rc_context(charts.STYLE):
        chart = drawn(make(comparison()))
    whole = chart.bbox
    for panel in chart.axes:
        for text in panel.texts:
            assert text.get_window_extent().x1 <= whole.x1
    legend = chart.legends[0].get_window_extent()
    assert legend.y0 >= 0
    boxes = [panel.get_tightbbox() for panel in chart.axes]
    assert all(box and legend.y1 <= box.y0 for box in boxes)


def test_names_are_text() -> None:
    """No formula, no warning for a letter that the font does not have, and an SVG that is still one."""
    name = "a$_$b \u7f51\u7edc <&>\"'"
    rows = tuple(replace(row, accuracy_percent=None) for row in rows_of("edge"))
    found = charts.draw(replace(one_design(), rows=rows, network=name))
    for kind in ("latency", "energy"):
        ElementTree.fromstring(found[f"{kind}.svg"].decode())
    assert charts.latency(replace(one_design(), network=name)).get_suptitle() == f"{name}: latency of one inference"


def test_a_long_name_leaves_room_for_the_chart() -> None:
    """Rows and networks are named by files; a warning that nothing fits would be an error here."""
    long = "n" * 200
    rows = tuple(replace(row, title=long) for row in rows_of("edge")[:2])
    found = replace(one_design(), network=long, rows=rows)
    assert charts.draw(found)
    (axes,) = charts.accuracy(found).axes
    assert all(len(str(line.get_label())) < 60 for line in axes.lines)
    assert axes.get_title() == f"{'n' * 37}...: accuracy against stored weights"
