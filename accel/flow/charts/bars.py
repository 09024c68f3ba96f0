"""Stacked bars: where energy and time go. Every panel of a chart has the same axis, so that lengths compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from accel.flow.charts.style import COLOURS, entitle, heading, lines_of_bars, short
from accel.flow.compare import Comparison, Row, rows_on
from accel.flow.tables import figure as digits
from accel.flow.verdict import MOST, judge
from accel.sim.causes import CAUSES

PER_ROW = 4  # panels side by side


@dataclass(frozen=True)
class Bar:
    """A name, its parts in order, what stands behind it, and the ends of its line of uncertainty, if it has one."""

    name: str
    parts: Mapping[str, float]
    text: str
    least: float | None = None
    most: float | None = None


def energy(comparison: Comparison) -> Figure:
    """Energy of every technique on every design by part; the line reaches from the low to the high total."""
    panels = {heading(d): [_energy(row) for row in rows_on(comparison, d.name)] for d in comparison.designs}
    return stacked(
        f"{short(comparison.network)}: energy of one inference (line: from the low total to the high)",
        "uJ",
        panels,
    )


def time(comparison: Comparison) -> Figure:
    """Latency of every technique on every design, by what limits it."""
    panels = {heading(d): [_time(row) for row in rows_on(comparison, d.name)] for d in comparison.designs}
    return stacked(f"{short(comparison.network)}: latency of one inference, by what limits it", "us", panels)


def layers(comparison: Comparison) -> Figure:
    """Layers by what limits them: of the row that all are compared to, and of what pays most on each design."""
    panels = {}
    for design in comparison.designs:
        rows = rows_on(comparison, design.name)
        first, best = rows[0], min(judge(rows), key=lambda j: j.word != MOST).row
        for row in (first,) if best is first else (first, best):
            clock = design.clock_mhz
            panels[f"{design.name}\n{short(row.title)}"] = [
                Bar(short(p.name), {c: n / clock for c, n in p.work.limits.items()}, digits(p.work.cycles / clock))
                for p in row.run.layers
            ]
    return stacked(f"{short(comparison.network)}: layers, by what limits them", "us", panels, 2)


def stacked(title: str, unit: str, panels: Mapping[str, Sequence[Bar]], per_row: int = PER_ROW) -> Figure:
    """A panel for each list of bars, the first bar on top, all on one axis; one legend for all."""
    across = min(per_row, len(panels))
    down = -(-len(panels) // across)
    names = [[bar.name for bar in bars] for bars in panels.values()]
    same = all(each == names[0] for each in names)
    count, letters = max(map(len, names)), max(len(name) for each in names for name in each)
    size = (0.07 * letters * (1 if same else across) + max(2.6 * across, 5.2), (0.25 * count + 0.75) * down + 1.2)
    chart = Figure(figsize=size, layout="constrained")
    entitle(chart, title)
    grid = chart.subplots(down, across, sharex=True, squeeze=False)
    longest = max(bar.most or sum(bar.parts.values()) for bars in panels.values() for bar in bars)
    order = [part for part in COLOURS if any(bar.parts.get(part) for bars in panels.values() for bar in bars)]
    for number, (panel, (head, bars)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
        _fill(panel, bars, order, not same or number % across == 0)
        panel.set_title(head, fontsize=9, fontweight="normal")
        panel.set_xlim(0, 1.25 * longest)
    for panel in grid.flat[len(panels) :]:
        panel.set_axis_off()
    for panel in grid[-1]:
        panel.set_xlabel(unit)
    handles = {label: h for p in grid.flat for h, label in zip(*p.get_legend_handles_labels(), strict=True)}
    chart.legend([handles[part] for part in order], order, loc="outside lower left", ncols=5, frameon=False)
    return chart


def _fill(panel: Any, bars: Sequence[Bar], order: Sequence[str], is_named: bool) -> None:
    left = [0.0] * len(bars)
    for part in order:
        right = [start + bar.parts.get(part, 0.0) for start, bar in zip(left, bars, strict=True)]
        # One thing to lay out and to draw, where each of `barh`'s rectangles is one.
        forms = [_bar(*ends, index) for index, ends in enumerate(zip(left, right, strict=True))]
        panel.add_collection(PolyCollection(forms, facecolor=COLOURS[part], linewidth=0, label=part), autolim=False)
        left = right
    ends = [end if bar.most is None else bar.most for end, bar in zip(left, bars, strict=True)]
    if any(bar.most is not None for bar in bars):
        below = [end - (end if bar.least is None else bar.least) for end, bar in zip(left, bars, strict=True)]
        above = [end - start for start, end in zip(left, ends, strict=True)]
        panel.errorbar(left, range(len(bars)), xerr=[below, above], fmt="none", color="black", capsize=2.5,
                       linewidth=1)  # fmt: skip
    for index, (bar, end) in enumerate(zip(bars, ends, strict=True)):
        panel.annotate(bar.text, (end, index), (4, 0), textcoords="offset points", va="center_baseline", fontsize=7.5)
    lines_of_bars(panel, [bar.name for bar in bars], is_named)


def _bar(left: float, right: float, index: int) -> tuple[tuple[float, float], ...]:
    top, bottom = index - 0.34, index + 0.34
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _energy(row: Row) -> Bar:
    spent = row.energy
    parts = {
        "DRAM": spent.dram_pj,
        "SRAM": spent.sram_pj,
        "static": spent.static_pj,
        "compute": spent.compute_pj + spent.clock_pj,
    }
    whole = spent.total_pj
    low, high = whole.low / 1e6, whole.high / 1e6
    return Bar(
        short(row.title), {name: pj.nominal / 1e6 for name, pj in parts.items()},
        f"{digits(low)} .. {digits(high)}", low, high,
    )  # fmt: skip


def _time(row: Row) -> Bar:
    clock = row.run.result.design.clock_mhz
    parts = {cause: row.work.limits[cause] / clock for cause in CAUSES if cause in row.work.limits}
    return Bar(short(row.title), parts, digits(row.run.result.latency_us))
