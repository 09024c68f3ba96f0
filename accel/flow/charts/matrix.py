"""The picture that answers which technique pays on which hardware: a matrix of ratios, and the front beside it.

All ratios are to one row, the first technique on the first design, so that one scale of colour serves every cell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from accel.flow.charts import front
from accel.flow.charts.style import FAINT, INK, entitle, short
from accel.flow.compare import Comparison, is_measured
from accel.flow.overview import Across, across
from accel.flow.verdict import cheapest, is_sound

OCTAVES = 4  # up to 16 times less or more has a colour of its own
RATIOS = LinearSegmentedColormap.from_list("ratios", ("#00504a", "#5ab4ac", "#f4f5f5", "#d8a657", "#7a4300"))
SCALE = Normalize(-OCTAVES, OCTAVES)
WRAP = 21  # letters of a name in a narrow picture
NARROW_INCHES = 4.2


def answer(comparison: Comparison, narrow: bool = False) -> Figure:
    """Matrix and front side by side; `narrow`: one above the other, for the width of a telephone."""
    lines, columns = across(comparison), len(comparison.designs)
    width = WRAP if narrow else 99
    names = _names(lines, width)
    measured = is_measured(comparison)
    if narrow:
        heights = [0.36 * len(lines) + 0.7, 0.36 * len(lines) + 1.3, 4.6][: 2 + measured]
        inches = max(NARROW_INCHES, 2.4 + 0.42 * columns)
        chart = Figure(figsize=(inches, sum(heights) + 0.4), layout="constrained")
        parts = list(chart.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
        axes = [part.subplots() for part in parts]
    else:
        cells = max(0.54 * columns, 1.1)
        widths = [2 * cells + 0.072 * max(map(len, names)) + 0.3, 6.2][: 1 + measured]
        height = max(0.3 * len(lines) + 1.8, 5.0 if measured else 2.5)
        chart = Figure(figsize=(sum(widths), height), layout="constrained")
        parts = list(chart.subfigures(1, len(widths), width_ratios=widths, squeeze=False)[0])
        axes = [*parts[0].subplots(1, 2), *(part.subplots() for part in parts[1:])]
    on = f" on {comparison.rows[0].design}" if columns > 1 else ""
    title = f"{short(comparison.network)}: latency and energy over those of {short(comparison.rows[0].title)}{on}"
    entitle(chart, fill(title, 46 if narrow else 200))
    heads = [design.name for design in comparison.designs]
    ratios = {"Latency": Across.latency_ratio, "Energy": Across.energy_ratio}
    for panel, (what, ratio) in zip(axes, ratios.items(), strict=False):
        matrix(panel, [[ratio(line, index) for index in range(columns)] for line in lines], heads)
        panel.set_title(what)
        _label(panel, names if narrow or what == "Latency" else [], lines)
        _frame(panel, comparison, lines)
    found = [ratio(line, i) for ratio in ratios.values() for line in lines for i in range(columns)]
    _scale(axes[1 if narrow else 0], found, columns > 1)
    if measured:
        front.draw(chart, axes[2], comparison, width)
    return chart


def matrix(panel: Any, values: Sequence[Sequence[float]], heads: Sequence[str]) -> None:
    """Cells with their ratio and its colour; the least of a row is bold."""
    logs = [[math.log2(value) for value in row] for row in values]
    panel.pcolormesh(logs, cmap=RATIOS, norm=SCALE, edgecolors="white", linewidth=1.5)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            least = len(row) > 1 and value == min(row)
            panel.text(x + 0.5, y + 0.5, ratio_text(value), ha="center", va="center_baseline", fontsize=8.5,
                       color=_on(RATIOS(SCALE(logs[y][x]))), fontweight="bold" if least else "normal",
                       in_layout=False)  # fmt: skip
    panel.set_xticks([x + 0.5 for x in range(len(heads))], [head.replace("-", "-\n", 1) for head in heads])
    panel.invert_yaxis()
    panel.tick_params(length=0, labeltop=True, labelbottom=False)
    if max(len(part) for head in heads for part in head.split("-")) > 8:
        panel.tick_params(axis="x", rotation=35)
    panel.spines[:].set_visible(False)


def _on(colour: Sequence[float]) -> str:
    """White or ink, whichever is read more easily on a colour."""
    light = sum(part * ((c + 0.055) / 1.055) ** 2.4 for part, c in zip((0.2126, 0.7152, 0.0722), colour, strict=False))
    return "white" if 1.05 / (light + 0.05) > (light + 0.05) / 0.06 else INK


def ratio_text(value: float) -> str:
    """A ratio as a cell has it."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def _names(lines: Sequence[Across], width: int) -> list[str]:
    """Techniques with their accuracy, if it was measured."""
    accuracies = [line.rows[0].accuracy_percent for line in lines]
    return [
        fill(short(line.rows[0].title), width) + ("" if accuracy is None else f"  {accuracy:.2f} %")
        for line, accuracy in zip(lines, accuracies, strict=True)
    ]


def _label(panel: Any, names: Sequence[str], lines: Sequence[Across]) -> None:
    """The rows' names; faint: those that cost too much accuracy."""
    panel.set_yticks([y + 0.5 for y in range(len(names))], names, linespacing=0.95)
    for label, line in zip(panel.get_yticklabels(), lines if names else (), strict=True):
        label.set_color(INK if is_sound(line.base, line.rows[0]) else FAINT)


def _frame(panel: Any, comparison: Comparison, lines: Sequence[Across]) -> None:
    """Around the pair that costs least."""
    best = cheapest(comparison)
    for y, line in enumerate(lines):
        for x, row in enumerate(line.rows):
            if row is best:
                panel.add_patch(
                    Rectangle((x, y), 1, 1, fill=False, edgecolor=INK, linewidth=2, clip_on=False, zorder=5)
                )


def _scale(panel: Any, ratios: Sequence[float], several: bool) -> None:
    """The part of the scale that occurs, below a matrix, with what bold and framed are."""
    low = max(-OCTAVES, min(-1, math.floor(math.log2(min(ratios)))))
    high = min(OCTAVES, max(1, math.ceil(math.log2(max(ratios)))))
    inches = panel.figure.bbox.height / panel.figure.dpi
    strip = panel.inset_axes((0, -0.27 / inches, 1, 0.12 / inches))
    steps = [low + (high - low) * i / 128 for i in range(129)]
    strip.pcolormesh(steps, [0, 1], [steps[:-1]], cmap=RATIOS, norm=SCALE, edgecolors="face", linewidth=0.5)
    strip.set_yticks([])
    ticks = [t for t in range(low, high + 1) if t % 2 == 0 or (low, high) == (-1, 1)]
    strip.set_xticks(ticks, [f"1/{2**-t}" if t < 0 else f"{2**t}" for t in ticks], fontsize=7.5)
    strip.tick_params(length=2, pad=1)
    strip.spines[:].set_visible(False)
    bold = "bold: least of its row\n" if several else ""
    strip.text(0, -1.9, f"{bold}framed: costs least of all", transform=strip.transAxes,
               va="top", fontsize=7.5)  # fmt: skip
