"""A first layer as the array sees it, whatever its input's bytes were cut into, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accel.commands import Load, most
from accel.compiler.estimate import Machine
from accel.compiler.formats.format import Codes
from accel.compiler.geometry import Geometry
from accel.compiler.sources import Source
from accel.layout import RowTensor

LARGEST_APART = most(Load, "code_bits")
HIDDEN = 0.25  # what loading and computing cost side by side: the longer one, and so much of both


@dataclass(frozen=True)
class Unfolded:
    """A first layer as the array sees it. `arrange` turns weights (o, C, kh, kw) into (o, groups * R, kh', kw')."""

    geometry: Geometry
    layout: RowTensor
    source: Callable[[int], Source]
    arrange: Callable[[Codes, int], Codes]
    cycles: float
    word_cycles: float  # of loading one word of the unfolded input


def cost(load: float, compute: float) -> float:
    """What loading and computing cost side by side."""
    return max(load, compute) + HIDDEN * (load + compute)


def compute_cycles(machine: Machine, geometry: Geometry, groups: int, tiles: int) -> float:
    """Cycles in which a convolution of so many channel groups and output tiles is computed."""
    pixels = geometry.out_h * geometry.out_w
    if machine.sparse:  # reading words and broadcasting columns, if the PEs keep up
        return -(-pixels // machine.rows) * geometry.taps * max(groups * machine.rows, geometry.channels)
    halves = 1 + machine.contract.two_of_four  # of weights that are not 2:4
    return tiles * groups * geometry.taps * halves * machine.tile_cycles(pixels)
