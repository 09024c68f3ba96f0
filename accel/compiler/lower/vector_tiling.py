"""Pieces of a vector layer: channel groups by output pixels, as large as the rings allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from accel.commands import ConfigPost, Post, most
from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry, pieces
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.matrix_task import spaced

LARGEST_CHUNKS = most(Post, "chunks")
LARGEST_OUTPUT, LARGEST_INPUT = most(Post, "out_h"), most(ConfigPost, "in_h")
WHOLE_CYCLES = 2000  # a layer longer than this is cut, so that what follows can start
PARTS = 4
PIECE_CYCLES = 24.0  # what one more piece costs


@dataclass(frozen=True)
class VectorTask:
    """What tiling must know of a vector step. `cut_columns`: column pieces must start on beats of the output."""

    geometry: Geometry
    groups: int
    in_ring: int | None
    out_ring: int | None
    in_pitch: int
    out_pitch: int
    align: int
    cut_columns: bool
    out_step: int = 0

    def most_pixels(self, machine: Machine, axis: int) -> int:
        """Output rows or columns of a piece, whose input has rows or columns that the fields of commands can say."""
        g = self.geometry
        reach = (LARGEST_INPUT - g.kernel[axis]) // g.stride[axis] + 1
        return min(LARGEST_OUTPUT, reach)

    def work(self, machine: Machine, strip: tuple[int, int]) -> float:
        """Cycles of POST, in pieces of `strip` pixels."""
        g = self.geometry
        return self.groups * machine.row_chunks * g.out_h * g.out_w * g.taps


@dataclass(frozen=True)
class VectorTiling:
    """Groups and output pixels (height, width) of a piece."""

    groups: int
    strip: tuple[int, int]
    cost: float

    def __str__(self) -> str:
        return f"{self.groups} groups x {self.strip[0]} x {self.strip[1]} pixels, about {self.cost:,.0f} cycles"


def vector_piece(task: VectorTask, strip: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows and pitch of the input of one group under a strip, rows and pitch of its output."""
    g = task.geometry
    rows = min(g.in_h, (strip[0] - 1) * g.stride[0] + g.kernel[0])
    cols = min(g.in_w, (strip[1] - 1) * g.stride[1] + g.kernel[1])
    if strip[1] >= g.out_w:
        return rows, task.in_pitch, strip[0], task.out_pitch
    pitch = min(task.in_pitch, (-(-cols // task.align) + (task.align > 1)) * task.align)
    return rows, pitch, strip[0], spaced(strip[1], task.out_step, task.align, task.out_pitch)


@lru_cache(1 << 14)
def choose_vector(machine: Machine, task: VectorTask) -> VectorTiling | Shortage:
    """The tiling with the fewest pieces whose rings can hold two (or at least one)."""
    best: VectorTiling | None = None
    for option in _options(machine, task):
        if best is None or option.cost < best.cost:
            best = option
    if best:
        return best
    width = min(task.geometry.out_w, task.align)
    rows, pitch, out_rows, out_pitch = vector_piece(task, (1, width))
    reads = rows * pitch if task.in_ring is not None else 0
    writes = out_rows * out_pitch if task.out_ring is not None else 0
    return Shortage("activation_bytes", 2 * max(reads, writes) * machine.word_lanes)


def _options(machine: Machine, task: VectorTask) -> Iterator[VectorTiling]:
    g = task.geometry
    largest = max(1, LARGEST_CHUNKS // machine.row_chunks)
    step = task.align if task.cut_columns else 1
    tallest, widest = (min((g.out_h, g.out_w)[axis], task.most_pixels(machine, axis)) for axis in (0, 1))
    widths = [g.out_w] if g.out_w <= widest else []
    width = max(step, widest // 2 // step * step)
    while width < g.out_w:
        widths.append(width)
        if width == step:
            break
        width = max(step, width // 2 // step * step)
    for width in widths:
        for parts in range(1, g.out_h + 1):
            height = -(-g.out_h // parts)
            if (parts > 1 and height == -(-g.out_h // (parts - 1))) or height > tallest:
                continue
            rows, pitch, out_rows, out_pitch = vector_piece(task, (height, width))
            groups = min(largest, task.groups)
            short = False
            for ring, size in ((task.in_ring, rows * pitch), (task.out_ring, out_rows * out_pitch)):
                if ring is not None:
                    short = short or size > ring
                    groups = max(1, min(groups, ring // 2 // size))
            if short:
                continue
            groups = -(-task.groups // pieces(task.groups, groups))
            count = pieces(task.groups, groups) * parts * pieces(g.out_w, width, step)
            work = task.work(machine, (height, width))
            cost = work + PIECE_CYCLES * count
            for ring, size in ((task.in_ring, rows * pitch), (task.out_ring, out_rows * out_pitch)):
                if ring is not None and count > 1 and 2 * groups * size > ring:
                    cost += work
            if count < PARTS and work > WHOLE_CYCLES:
                cost += WHOLE_CYCLES / count
            if task.in_ring is not None:
                cost += parts * pieces(g.out_w, width, step) * (rows * pitch) * task.groups
            yield VectorTiling(groups, (height, width), cost)
