"""Accuracy against energy: one mark a design, and the front, that nothing beats in both, with names where it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from accel.flow.charts.style import INK, SOFT, mark, marks, name_marks, plain_numbers, short
from accel.flow.compare import Comparison, Row
from accel.flow.verdict import POINTS, is_sound


def energy_uj(row: Row) -> float:
    """What the axis shows: the nominal total, which the ratios of the tables are of."""
    return row.energy.total_pj.nominal / 1e6


def pareto(rows: Sequence[Row]) -> list[Row]:
    """Rows with an accuracy that none of less or equal energy reaches; the least energy first."""
    found: list[Row] = []
    for row in sorted((r for r in rows if r.accuracy_percent is not None), key=lambda r: (energy_uj(r), -_percent(r))):
        if not found or _percent(row) > _percent(found[-1]):
            found.append(row)
    return found


def draw(chart: Any, panel: Any, comparison: Comparison, wrap: int = 99) -> None:
    """The chart on these axes. What costs more than POINTS of accuracy stands below a line, at no height of its own."""
    base, forms = comparison.rows[0], marks(comparison.designs)
    rows = [row for row in comparison.rows if row.accuracy_percent is not None]
    best = pareto(rows)
    sound = [row for row in rows if is_sound(base, row)]
    exact = comparison.float_accuracy_percent
    heights = [_percent(row) for row in sound] + ([] if exact is None else [exact])
    low, high = min(heights), max(heights)
    step = max(high - low, 0.04) / 10
    floor = low - step  # of the accuracies that can be read
    strip = floor - 0.8 * step if len(sound) < len(rows) else None
    height = {id(row): _percent(row) if strip is None or is_sound(base, row) else strip for row in rows}
    panel.set_ylim(floor - 1.6 * step if strip is not None else floor, high + 1.2 * step)
    if strip is not None:
        panel.axhspan(floor - 1.6 * step, floor, color="#f3f4f5", zorder=0, linewidth=0)
        panel.text(0.995, floor - 0.1 * step, f"costs more than {POINTS:g} point", ha="right", va="top",
                   transform=panel.get_yaxis_transform(), fontsize=7.5, color=SOFT)  # fmt: skip
    if exact is not None:
        panel.axhline(exact, color=INK, linestyle=(0, (2, 2)), linewidth=0.9, zorder=1)
        panel.text(
            0.005, exact, f"float32 {exact:.2f}", transform=panel.get_yaxis_transform(), va="bottom", fontsize=7.5
        )
    staircase = [(energy_uj(row), height[id(row)]) for row in best]
    panel.plot(*zip(*staircase, strict=True), drawstyle="steps-post", color=INK, linewidth=1, zorder=2, label="_")
    for row in rows:
        form = forms[row.design] | {"markeredgewidth": 1.1}
        mark(panel, (energy_uj(row), height[id(row)]), any(row is each for each in best), form)
    panel.set_xscale("log")
    panel.set_xlabel("energy of one inference, uJ (nominal)")
    panel.set_title("Accuracy, %, against energy")
    panel.grid(alpha=0.7)
    plain_numbers(panel.xaxis)
    ticks = MaxNLocator(7, steps=(1, 2, 5, 10)).tick_values(floor, high)
    panel.set_yticks([tick for tick in ticks if floor <= tick <= high + step])
    if len(comparison.designs) > 1:
        name_marks(panel, forms)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=2 if wrap < 30 else 4,
                     frameon=False, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    if base.accuracy_percent is not None and not any(row is base for row in best):
        note = panel.annotate(f"{short(base.title)} on {base.design}", (energy_uj(base), height[id(base)]), (6, -7),
                              textcoords="offset points", ha="right", va="top", fontsize=7.5, color=SOFT)  # fmt: skip
        note.set_in_layout(False)
        note.set_path_effects([withStroke(linewidth=2, foreground="white")])
    energies = [energy_uj(row) for row in rows]
    _labels(chart, panel, best, height, floor, (min(energies), max(energies)), wrap)


def _percent(row: Row) -> float:
    assert row.accuracy_percent is not None
    return row.accuracy_percent


def _labels(
    chart: Any,
    panel: Any,
    best: Sequence[Row],
    height: dict[int, float],
    floor: float,
    ends: tuple[float, float],
    wrap: int,
) -> None:
    """A name left of each point of the front, where no point can be: it would cost less and be as accurate.

    Names that would touch are moved up; the axis is opened to the left until all fit.
    """
    gap, size = 9 * chart.dpi / 72, 8.5 if wrap > 30 else 7.5
    bottom, top = panel.get_ylim()
    texts = [
        panel.text(energy_uj(row), height[id(row)], fill(short(row.title), wrap)
                   + (f"  {_percent(row):.2f} %" if height[id(row)] < floor else ""),
                   fontsize=size, ha="right", va="center", linespacing=0.95, zorder=6)
        for row in best
    ]  # fmt: skip
    for text in texts:
        text.set_in_layout(False)
    low, high = (math.log10(end) for end in ends)
    span = max(high - low, 0.3)
    for _ in range(2):  # since new limits have new numbers below them, and the axes another size
        chart.get_layout_engine().execute(chart)  # where the axes come to lie; drawing would tell no more
        box = panel.get_window_extent()
        widest = 0.05 * span
        for row, text in zip(best, texts, strict=True):
            share = min((text.get_window_extent().width + 1.3 * gap) / box.width, 0.85)
            widest = max(widest, (share * span * 1.06 - (math.log10(energy_uj(row)) - low)) / (1 - share))
        panel.set_xlim(10 ** (low - widest), 10 ** (high + 0.06 * span))
    extents = [text.get_window_extent() for text in texts]
    across, unit = (widest + 1.06 * span) / box.width, (top - bottom) / box.height
    at = -math.inf
    for row, text, extent in zip(best, texts, extents, strict=True):
        y, half = height[id(row)], extent.height / 2 * unit
        place = max(y, at + half)
        at = place + half + 1.5 * unit
        x = 10 ** (math.log10(energy_uj(row)) - gap * across)
        text.set_position((x, place))
        if place - y > half:
            panel.plot([x, energy_uj(row)], [place, y], color=SOFT, linewidth=0.6, zorder=2, label="_")
    if at > top:  # names that were moved up must stay inside
        panel.set_ylim(bottom, at)
