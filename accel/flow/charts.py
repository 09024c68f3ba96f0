"""The charts of a comparison, one for each question: how fast, how much energy, how accurate for how many bytes.

One colour means one thing in all of them. Every chart is a PNG and an SVG with the same bytes in every run.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from accel.flow.compare import Comparison, Row
from accel.flow.tables import figure as digits

# Okabe and Ito's palette: told apart by readers with any colour vision.
COLOURS = {
    "latency": "#0072B2",
    "bound": "#000000",
    "DRAM": "#0072B2",
    "SRAM": "#E69F00",
    "compute": "#009E73",
    "static": "#999999",
}
PALETTE = ("#000000", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
MARKERS = ("o", "s", "^", "D", "v")
LONGEST_NAME = 40
STYLE: Any = {
    "svg.hashsalt": "accel",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a $ in the name of a file is a $
}


def draw(comparison: Comparison) -> dict[str, bytes]:
    """The charts by file name, each as .png and .svg; no accuracy chart without test data."""
    wanted: dict[str, Callable[[Comparison], Figure]] = {"latency": latency, "energy": energy}
    if any(row.accuracy_percent is not None for row in comparison.rows):
        wanted["accuracy"] = accuracy
    found = {}
    for name, make in wanted.items():
        with rc_context(STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it in the title
            chart = make(comparison)
            FigureCanvasAgg(chart)
            for kind, options in (("png", {"dpi": 150}), ("svg", {"metadata": {"Date": None}})):
                file = io.BytesIO()
                chart.savefig(file, format=kind, **options)
                found[f"{name}.{kind}"] = file.getvalue()
    return found


def _short(name: str) -> str:
    """A name that leaves room for the chart beside it; those of files may be long."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def _bars(comparison: Comparison, title: str, unit: str) -> tuple[Figure, list[tuple[Any, list[Row]]]]:
    """A panel of horizontal bars for each design, the first technique on top, on axes of their own."""
    by_design = [[r for r in comparison.rows if r.design == d.name] for d in comparison.designs]
    count = len(by_design[0])
    chart = Figure(figsize=(8, (0.42 * count + 1.1) * len(by_design) + 0.6), layout="constrained")
    chart.suptitle(title)
    panels = []
    for panel, rows in zip(chart.subplots(len(by_design), 1, squeeze=False)[:, 0], by_design, strict=True):
        design = next(d for d in comparison.designs if d.name == rows[0].design)
        panel.set_title(f"{design.name} ({design.rows} x {design.cols}, {design.clock_mhz:g} MHz)", fontsize=10)
        panel.set_yticks(range(count), [_short(row.title) for row in rows])
        panel.invert_yaxis()
        panel.set_xlabel(unit)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
        panels.append((panel, rows))
    return chart, panels


def _room(panel: Any, largest: float) -> None:
    """Leave room for the numbers behind the longest bar, and for the legend behind them."""
    panel.set_xlim(0, 1.22 * largest)


def latency(comparison: Comparison) -> Figure:
    """How long one inference takes, and what the roofline allows."""
    chart, panels = _bars(comparison, f"{_short(comparison.network)}: latency of one inference", "latency, us")
    for panel, rows in panels:
        clock = next(d for d in comparison.designs if d.name == rows[0].design).clock_mhz
        values = [row.run.result.latency_us for row in rows]
        panel.barh(range(len(rows)), values, color=COLOURS["latency"], height=0.65, label="latency")
        bounds = [row.work.bound_cycles / clock for row in rows]
        panel.plot(bounds, range(len(rows)), "|", color=COLOURS["bound"], markersize=15, markeredgewidth=2.5,
                   label="roofline bound")  # fmt: skip
        for index, row in enumerate(rows):
            panel.text(row.run.result.latency_us, index, f" {digits(row.run.result.latency_us)}", va="center")
        _room(panel, max(values))
    _legend(chart, panels[0][0])
    return chart


def energy(comparison: Comparison) -> Figure:
    """Where the energy goes. Compute is drawn at its low figure, the line reaches to the high one."""
    chart, panels = _bars(comparison, f"{_short(comparison.network)}: energy of one inference", "energy, uJ")
    for panel, rows in panels:
        left = [0.0] * len(rows)
        parts: dict[str, list[float]] = {
            "DRAM": [row.energy.dram_pj / 1e6 for row in rows],
            "SRAM": [row.energy.sram_total_pj / 1e6 for row in rows],
            "static": [row.energy.static_pj / 1e6 for row in rows],
            "compute": [row.energy.compute_low_pj / 1e6 for row in rows],
        }
        for name, values in parts.items():
            label = "compute (low, line to high)" if name == "compute" else name
            panel.barh(range(len(rows)), values, left=left, color=COLOURS[name], height=0.65, label=label)
            left = [a + b for a, b in zip(left, values, strict=True)]
        low = [row.energy.total_low_pj / 1e6 for row in rows]
        high = [row.energy.total_high_pj / 1e6 for row in rows]
        spread = [most - least for least, most in zip(low, high, strict=True)]
        panel.errorbar(left, range(len(rows)), xerr=[[0.0] * len(rows), spread], fmt="none", color="black",
                       capsize=3, linewidth=1.2)  # fmt: skip
        for index, (least, most) in enumerate(zip(low, high, strict=True)):
            panel.text(most, index, f"  {digits(least)} .. {digits(most)}", va="center")
        _room(panel, max(high))
    _legend(chart, panels[0][0])
    return chart


def _legend(chart: Figure, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    chart.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def accuracy(comparison: Comparison) -> Figure:
    """What a smaller network costs in accuracy: a colour for each technique, a marker for each design."""
    chart = Figure(figsize=(8, 4.6), layout="constrained")
    axes = chart.subplots()
    axes.set_title(f"{_short(comparison.network)}: accuracy against stored weights")
    techniques = list(dict.fromkeys(row.title for row in comparison.rows))
    if comparison.float_accuracy_percent is not None:
        label = f"float32, {comparison.float_accuracy_percent:.2f} %"
        axes.axhline(comparison.float_accuracy_percent, color="black", linestyle="--", linewidth=1, label=label)
    for number, design in enumerate(comparison.designs):
        marker = MARKERS[number % len(MARKERS)]
        for row in comparison.rows:
            if row.design != design.name or row.accuracy_percent is None:
                continue
            colour = PALETTE[techniques.index(row.title) % len(PALETTE)]
            label = (
                f"{_short(row.title)}, {row.accuracy_percent:.2f} %" if number == 0 else "_"
            )  # no entry in the legend
            axes.plot(row.stored_bytes / 1000, row.accuracy_percent, marker=marker, linestyle="none", color=colour,
                      markersize=10, markerfacecolor="none", markeredgewidth=2, label=label)  # fmt: skip
    if len(comparison.designs) > 1:
        for number, design in enumerate(comparison.designs):
            axes.plot([], [], marker=MARKERS[number % len(MARKERS)], linestyle="none", color="#444444",
                      markersize=9, markerfacecolor="none", label=f"on {design.name}")  # fmt: skip
    axes.margins(x=0.08, y=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel("weights stored, 1000 bytes")
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3)
    chart.legend(loc="outside right center", frameon=False)
    return chart
