"""Weight formats, one file each: what lies in DRAM for a block of weights, in how many words, and what a 0 is."""

from __future__ import annotations

from collections.abc import Callable

from accel.compiler.formats.dense import dense
from accel.compiler.formats.format import WeightFormat
from accel.compiler.formats.shared import shared
from accel.models.integers.network import MatrixLayer

FORMATS: tuple[Callable[[MatrixLayer], WeightFormat | None], ...] = (shared, dense)
"""Every format, the one that takes fewest bytes first; each gives None for a layer that it cannot express."""


def choose(layer: MatrixLayer, needs_zero: bool = False) -> WeightFormat:
    """The first format that can express the layer, and a weight of 0 if one is needed."""
    for make in FORMATS:
        made = make(layer)
        if made and (made.has_zero or not needs_zero):
            return made
    raise AssertionError("dense expresses everything")
