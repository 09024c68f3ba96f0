"""Which constant of the energy model moves the answer most: the total with each at its low and at its high figure."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from accel.flow.charts.style import FAINT, INK, SOFT, entitle, lines_of_bars, short
from accel.flow.compare import Comparison, Row
from accel.flow.tables import figure as digits
from accel.flow.verdict import cheapest
from accel.sim.cost import Swing, sensitivity

SHOWN = 10  # bars; what is left out moves less than the last of them
LETTERS = 64


def tornado(comparison: Comparison) -> Figure:
    """For the first row and the one that costs least: the change of the total energy, in percent of the nominal one."""
    rows = {id(row): row for row in (comparison.rows[0], cheapest(comparison))}.values()
    swings = [sensitivity(row.run.result.design, row.run.result)[:SHOWN] for row in rows]
    count = max(map(len, swings))
    chart = Figure(figsize=(10.5, sum(0.27 * len(each) + 0.75 for each in swings) + 1.1), layout="constrained")
    entitle(chart, f"{short(comparison.network)}: what the energy depends on")
    heights = [max(len(each), 1) for each in swings]
    panels = chart.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for panel, row, each in zip(panels, rows, swings, strict=True):
        _panel(panel, row, each)
    panels[-1].set_xlabel("change of the total energy, % of nominal")
    if count:
        handles, labels = panels[0].get_legend_handles_labels()
        chart.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False)
    return chart


def change_percent(row: Row, swing: Swing) -> tuple[float, float]:
    """What a constant's low and high figure do to a row's total."""
    nominal = row.energy.total_pj.nominal
    return 100 * (swing.low_pj / nominal - 1), 100 * (swing.high_pj / nominal - 1)


def _panel(panel: Any, row: Row, swings: tuple[Swing, ...]) -> None:
    changes = [change_percent(row, swing) for swing in swings]
    for index, (name, colour) in enumerate((("one constant at its low figure", FAINT), ("at its high figure", INK))):
        panel.barh(range(len(swings)), [change[index] for change in changes], color=colour, height=0.66, label=name)
    lines_of_bars(panel, [short(swing.what, LETTERS) for swing in swings])
    panel.axvline(0, color=SOFT, linewidth=0.8)
    panel.margins(x=0.08)
    nominal = digits(row.energy.total_pj.nominal / 1e6)
    panel.set_title(f"{short(row.title)} on {row.design}: {nominal} uJ nominal", fontsize=9, fontweight="normal")
