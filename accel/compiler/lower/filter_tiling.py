"""Pieces of a depthwise layer: channel groups by output pixels, whose rows fit the line buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry, pieces
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.vector_tiling import (
    PARTS,
    PIECE_CYCLES,
    WHOLE_CYCLES,
    VectorTask,
    VectorTiling,
    choose_vector,
    vector_piece,
)
from accel.records import filter_number, filter_parts, filter_words

MOST_PARTS = 24  # that groups or rows are cut into


@dataclass(frozen=True)
class FilterTask(VectorTask):
    """As `VectorTask`. `loaded`: the input comes whole from DRAM meanwhile; `stored`: the output leaves."""

    loaded: bool = field(default=False, kw_only=True)
    stored: bool = field(default=False, kw_only=True)

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
    number = filter_number(g.kernel[0])
    again = chunks * (contract.filter_passes * filter_parts(number) - 1) * g.out_h * g.out_w
    last = (g.kernel[0] - 1) * cols
    return count * (chunks * (filter_words(number) + rows * cols) + last + contract.filter_cycles) + again


def _passing(g: Geometry, axis: int, pixels: int) -> int:
    """Rows or columns that pass for `pixels` output rows or columns."""
    span = (pixels - 1) * g.stride[axis]
    return max(min((g.in_h, g.in_w)[axis], span + g.kernel[axis]), span + 1)


@lru_cache(1 << 14)
def choose_filter(machine: Machine, task: FilterTask) -> VectorTiling | Shortage:
    """The tiling with the lowest estimate: loads, POST and stores work side by side, but for a piece of each."""
    first = choose_vector(machine, task)
    if isinstance(first, Shortage):
        return first
    return min(_options(machine, task), key=lambda option: option.cost, default=first)


def _options(machine: Machine, task: FilterTask) -> Iterator[VectorTiling]:
    g, step = task.geometry, task.align if task.cut_columns else 1
    tallest, widest = (min((g.out_h, g.out_w)[axis], task.most_pixels(machine, axis)) for axis in (0, 1))
    if widest < g.out_w and widest < step:
        return
    width = g.out_w if widest >= g.out_w else widest // step * step
    for height in sorted({-(-g.out_h // k) for k in range(1, min(g.out_h, MOST_PARTS) + 1)}):
        rows, pitch, out_rows, out_pitch = vector_piece(task, (height, width))
        if height > tallest:
            continue
        for groups in sorted({-(-task.groups // k) for k in range(1, min(task.groups, MOST_PARTS) + 1)}):
            sizes = ((task.in_ring, groups * rows * pitch), (task.out_ring, groups * out_rows * out_pitch))
            if any(ring is not None and size > ring for ring, size in sizes):
                continue
            parts = pieces(g.out_h, height) * pieces(g.out_w, width, step)
            count = pieces(task.groups, groups) * parts
            post = task.work(machine, (height, width)) + PIECE_CYCLES * count
            load = store = 0.0
            if task.in_ring is not None:
                load = task.groups * parts * rows * pitch * machine.activation_cycles
            elif task.loaded:
                load = task.groups * g.in_h * task.in_pitch * machine.activation_cycles
            if task.out_ring is not None or task.stored:
                store = task.groups * parts * out_rows * out_pitch * machine.activation_cycles
            together = max(post, load, store)
            alone = (post + load + store - together) / count
            if any(ring is not None and count > 1 and 2 * size > ring for ring, size in sizes):
                alone = post + load + store - together
            if count < PARTS and post > WHOLE_CYCLES:
                alone += WHOLE_CYCLES / count
            yield VectorTiling(groups, (height, width), together + alone)
