"""Pieces of a depthwise layer: as those of a vector layer, but a row of a piece must fit the line buffer."""

from __future__ import annotations

from dataclasses import dataclass

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry, pieces
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.vector_tiling import VectorTask, VectorTiling, choose_vector
from accel.records import FILTER_WORDS


@dataclass(frozen=True)
class FilterTask(VectorTask):
    """As `VectorTask`."""

    def most_pixels(self, machine: Machine, axis: int) -> int:
        """Output rows or columns of a piece: its input's rows fit commands, its columns the line buffer."""
        most = super().most_pixels(machine, axis)
        if axis == 0:
            return most
        g = self.geometry
        return max(1, min(most, (machine.contract.filter_line - g.kernel[1]) // g.stride[1] + 1))

    def work(self, machine: Machine, strip: tuple[int, int]) -> float:
        """Cycles of POST, in pieces of `strip` pixels."""
        return filter_cycles(machine, self.geometry, self.groups, strip)


def filter_cycles(machine: Machine, g: Geometry, groups: int, strip: tuple[int, int]) -> float:
    """Cycles of POST for a layer in pieces of `strip` pixels."""
    contract, chunks = machine.contract, groups * machine.row_chunks
    rows, cols = (_passing(g, axis, strip[axis]) for axis in (0, 1))
    count = pieces(g.out_h, strip[0]) * pieces(g.out_w, strip[1])
    again = chunks * (contract.filter_passes - 1) * g.out_h * g.out_w
    return count * (chunks * (FILTER_WORDS + rows * cols) + 2 * cols + contract.filter_cycles) + again


def _passing(g: Geometry, axis: int, pixels: int) -> int:
    """Rows or columns that pass for `pixels` output rows or columns."""
    span = (pixels - 1) * g.stride[axis]
    return max(min((g.in_h, g.in_w)[axis], span + g.kernel[axis]), span + 1)


def choose_filter(machine: Machine, task: FilterTask) -> VectorTiling | Shortage:
    """As `choose_vector`."""
    return choose_vector(machine, task)
