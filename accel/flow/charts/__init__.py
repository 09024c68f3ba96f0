"""The charts of a comparison, one for each question: what pays, where energy and time go, how near the roof.

One colour means one thing in all of them, one mark one design, and one axis serves all designs. Every chart is a PNG
and an SVG with the same bytes in every run.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from accel.flow.charts.bars import energy, layers, time
from accel.flow.charts.matrix import answer
from accel.flow.charts.roof import roofline
from accel.flow.charts.style import KINDS, saved
from accel.flow.charts.swings import tornado
from accel.flow.compare import Comparison

CHARTS: dict[str, Callable[[Comparison], Figure | None]] = {
    "answer": answer,
    "answer-narrow": lambda comparison: answer(comparison, narrow=True),
    "energy": energy,
    "time": time,
    "layers": layers,
    "roofline": roofline,
    "tornado": tornado,
}
OPTIONAL = ("roofline",)  # not for designs without DRAM
# The form for a narrow window is only for the report.
FILES = tuple(f"{name}.{kind}" for name in CHARTS for kind in KINDS if (name, kind) != ("answer-narrow", "png"))


def draw(comparison: Comparison) -> dict[str, bytes]:
    """The charts by file name."""
    found = {}
    for name, make in CHARTS.items():
        kinds = [kind for kind in KINDS if f"{name}.{kind}" in FILES]
        for kind, data in saved(lambda make=make: make(comparison), kinds).items():  # type: ignore[misc]
            found[f"{name}.{kind}"] = data
    return found
