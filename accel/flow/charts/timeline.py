"""A run as a picture: a row for each unit, a bar for each command, and the layers above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from accel.flow.charts.style import FAINT, GRID, INK, SOFT, short
from accel.flow.trace import PROGRAM, Recorded, Span, lanes_of, layer_spans
from accel.program import Program
from accel.units import UNIT_NAMES

TONES = ("#1f5f8b", "#9cc3dd")  # of layers in turn
NARROWEST = 0.0012  # of the picture's width: a command that takes a cycle is still seen


def timeline(program: Program, run: Recorded) -> Figure:
    """Commands of all units over the cycles; those of one layer have one tone, of the next the other."""
    found, last = run.spans, run.cycles
    layers = sorted(layer_spans(found).items(), key=lambda item: item[1])
    named = [name for name, _ in layers if name]
    tone = {"": FAINT} | {name: TONES[index % 2] for index, name in enumerate(named)}
    bands = lanes_of([end for _, end in layers])
    depth = {unit: 1 + max((span.lane for span in found if span.unit == unit), default=0) for unit in UNIT_NAMES}
    rows = 0.55 * (1 + max(bands)) + sum(0.55 + 0.2 * (depth[unit] - 1) for unit in UNIT_NAMES)
    chart = Figure(figsize=(12, 1.5 + 0.62 * rows), layout="constrained")
    panel = chart.subplots()
    top, ticks = 0.0, []
    for (name, (start, end)), lane in zip(layers, bands, strict=True):
        _bars(panel, [(start, end)], 0.55 * lane, 0.45, tone[name], last)
        if (end - start) / last > 0.011 * len(short(name or PROGRAM)):
            panel.text((start + end) / 2, 0.55 * lane + 0.225, short(name or PROGRAM), ha="center", va="center",
                       color="white" if tone[name] == TONES[0] else INK, fontsize=8, clip_on=True)  # fmt: skip
    ticks.append((0.275 * (1 + max(bands)) - 0.05, "layers"))
    top = 0.55 * (1 + max(bands)) + 0.15
    bars: dict[tuple[str, int, str], list[Span]] = {}
    for span in found:
        bars.setdefault((span.unit, span.lane, span.layer), []).append(span)
    for unit in UNIT_NAMES:
        height = 0.55 / depth[unit] + 0.2 * (1 - 1 / depth[unit])
        for (owner, lane, name), some in bars.items():
            if owner == unit:
                ends = [(span.start, span.end) for span in some]
                _bars(panel, ends, top + height * lane, 0.9 * height, tone[name], last)
        ticks.append((top + height * depth[unit] / 2, unit))
        top += height * depth[unit] + 0.15
        panel.axhline(top - 0.075, color=GRID, linewidth=0.8)
    clock = program.design.clock_mhz
    panel.set(xlim=(0, last), ylim=(top, -0.1), xlabel="cycles")
    panel.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    panel.tick_params(axis="y", length=0)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    scale: Any = (lambda cycle: cycle / clock, lambda us: us * clock)
    above = panel.secondary_xaxis("top", functions=scale)
    above.tick_params(labelsize=7.5, colors=SOFT)
    above.set_xlabel("us", fontsize=7.5, color=SOFT)
    panel.set_title(f"{short(program.name)} on {program.design.name}: {last:,} cycles, {len(found):,} commands", pad=8)
    return chart


def _bars(panel: Any, ends: Sequence[tuple[int, int]], low: float, height: float, colour: str, last: int) -> None:
    corners = []
    for start, end in ends:
        right = max(end, start + NARROWEST * last)
        corners.append([(start, low), (right, low), (right, low + height), (start, low + height)])
    panel.add_collection(PolyCollection(corners, facecolors=colour, edgecolors="white", linewidths=0.25))
