"""What tiling must know of a matrix step, what it decides, and the sizes that follow from both.

A *strip* is the rectangle of output pixels whose input is brought in at once, a *block* the part of it that one
accumulator bank holds for `block_tiles` output tiles, a *chunk* the weights of one COMPUTE. Loops: strips outside and
blocks of output tiles inside, or the reverse; then the blocks of a strip; then chunks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from accel.commands import Compute, ConfigPost, Post, most
from accel.compiler.estimate import Machine, up
from accel.compiler.geometry import Geometry, Range
from accel.compiler.lower.lowering import Shortage
from accel.compiler.output_storer import ENOUGH

Size = tuple[int, int]  # height, width

LARGEST_PIXELS = min(most(Compute, "out_h"), most(ConfigPost, "in_h"))  # of a block, in each direction
LARGEST_TILES = most(Compute, "n_tiles")
LARGEST_GROUPS = most(Compute, "groups")
LARGEST_CHUNKS = most(Post, "chunks")


@dataclass(frozen=True)
class Task:
    """What tiling must know; fields as in `accel.compiler.lower.lowering.Setting`.

    `reach`: how many channel groups each output tile needs. `uniform`: one requantisation record for all channels.
    `grouped`: the layer has groups. `bits` of a weight's code; `halves`: tiles of a channel group and kernel position.
    `patient`: the program waits for its loads all along, so that what the array does after one is hidden by the next.
    `skips`: rows of the input are loaded that are so many rows apart.
    """

    geometry: Geometry
    reach: tuple[int, ...]
    outputs: int
    bits: int
    halves: int
    uniform: bool
    in_ring: int | None
    out_ring: int | None
    in_pitch: int
    out_pitch: int
    in_align: int
    out_align: int
    loaded: bool
    stored: bool
    grouped: bool
    residual_loads: bool
    in_cycles: float
    out_step: int
    beside: float = field(default=0.0, kw_only=True)
    patient: bool = field(default=False, kw_only=True)
    skips: int = field(default=1, kw_only=True)

    @cached_property
    def total_reach(self) -> int:
        """Channel groups that all output tiles need together."""
        return sum(self.reach)

    @cached_property
    def most_pixels(self) -> Size:
        """Output rows and columns whose input coordinates fit the fields of a command; 0 if not even one's do."""
        return self._most_pixels(0), self._most_pixels(1)

    def _most_pixels(self, axis: int) -> int:
        g = self.geometry
        made = (LARGEST_PIXELS - (g.kernel[axis] - 1) * g.dilation[axis] - axis * g.beside - 1) // g.stride[axis] + 1
        return made if not g.pool else max(0, (made - g.pool.kernel[axis]) // g.pool.stride[axis] + 1)

    def by_groups(self, machine: Machine) -> bool:
        """Whether the input comes as its channel groups are used: not if its weights are what comes late."""
        plane = self.geometry.in_h * self.geometry.in_w * self.in_cycles
        return self.loaded and plane > machine.contract.fill_cycles * machine.weight_cycles

    def words(self, machine: Machine, tiles: int, groups: int) -> int:
        """Words of the weight buffer for one COMPUTE."""
        return machine.chunk_words(self.geometry.taps * self.halves, self.bits, tiles, groups)

    def short(self, machine: Machine) -> Shortage | None:
        """What there is too little of for the smallest tile, but for buffers."""
        return None

    def stream_cycles(self, machine: Machine, pixels: int, tiles: int) -> float:
        """Cycles in which the engine computes a block of so many pixels, for all output tiles, `tiles` a COMPUTE."""
        return self.total_reach * self.geometry.taps * self.halves * machine.tile_cycles(pixels)

    def weight_bytes(self, machine: Machine, words: int) -> int:
        """Bytes of a weight buffer of so many words."""
        return -(-words * machine.contract.weight_lane_bits * machine.contract.weight_rows * machine.cols // 8)

    def total_words(self, machine: Machine) -> int:
        """Words of the weight buffer for the whole layer."""
        return self.words(machine, 1, 1) * self.total_reach

    def word_cycles(self, machine: Machine) -> float:
        """Cycles in which a word of the weight buffer is loaded."""
        return machine.weight_cycles

    def made(self, axis: int, pixels: int) -> int:
        """Rows or columns of the convolution for `pixels` output rows or columns, at most."""
        g = self.geometry
        size = (g.out_h, g.out_w)[axis]
        if not g.pool:
            return min(size, pixels)
        return min(size, (pixels - 1) * g.pool.stride[axis] + g.pool.kernel[axis])

    def fitting(self, axis: int, pixels: int, most: int) -> int:
        """Output rows or columns, up to `pixels`, for which the convolution makes at most `most`; 0 or less: none."""
        if self.made(axis, pixels) <= most:
            return pixels
        pool = self.geometry.pool
        return (most - pool.kernel[axis]) // pool.stride[axis] + 1 if pool else most

    def read(self, axis: int, pixels: int) -> int:
        """Rows or columns of the input for `pixels` output rows or columns, at most."""
        g = self.geometry
        span = (self.made(axis, pixels) - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1
        span += axis * g.beside
        return max(1, min((g.in_h, g.in_w)[axis], span))


class Patch(NamedTuple):
    """Outputs that are made in one accumulator bank, as a strip of its own: pixels, output tiles, and its chunks."""

    rows: Range
    cols: Range
    tiles: Range
    chunk_tiles: int
    chunk_groups: int

    def __str__(self) -> str:
        (y0, y1), (x0, x1), (n0, n1) = self.rows, self.cols, self.tiles
        return f"{y1 - y0} x {x1 - x0} x {n1 - n0} by {self.chunk_tiles} x {self.chunk_groups}"


@dataclass(frozen=True, slots=True)
class Tiling:
    """Sizes of strips, blocks and chunks; `split_input`: a strip's input comes in pieces of `chunk_groups` groups.

    `output_by_block`: every block of tiles starts on a channel group of the output. `cost` in estimated cycles.
    `first` and `last`: rows of the first and of the last strip (columns of a map of one row), 0 if they are like the
    others. `run`: latencies of the memory, in words, that are worth a STORE of the network's output. `by_rows` and
    `ends_by_rows`: so many of the first and of the last chunks are computed a kernel row after the other, as they come
    (those that are one tile of one channel group).
    `trimmed`: where a chunk has the last channel group alone, only weights of lanes that have a channel are loaded.
    `patches`: what takes the place of strips, blocks and chunks that are alike, in order; none if they are.
    """

    strips_outside: bool
    strip: Size
    block: Size
    block_tiles: int
    chunk_tiles: int
    chunk_groups: int
    split_input: bool
    output_by_block: bool
    cost: float
    first: int = 0
    last: int = 0
    run: int = ENOUGH
    by_rows: int = 0
    ends_by_rows: int = 0
    trimmed: bool = False
    patches: tuple[Patch, ...] = ()

    def __str__(self) -> str:
        loops = ["strips", "tiles"] if self.strips_outside else ["tiles", "strips"]
        pieces = ", input in pieces" if self.split_input else ""
        pieces += f", ends of {self.first} and {self.last}" if self.first or self.last else ""
        pieces += f", begins by kernel rows of {self.by_rows} chunks" if self.by_rows else ""
        pieces += f", ends by kernel rows of {self.ends_by_rows} chunks" if self.ends_by_rows else ""
        pieces += ", no weights without a channel" if self.trimmed else ""
        if self.patches:
            return f"patches {', '.join(map(str, self.patches))}{pieces}"
        return (
            f"{' > '.join(loops)}: strip {self.strip[0]} x {self.strip[1]}, block {self.block[0]} x {self.block[1]} "
            f"x {self.block_tiles} tiles, chunk {self.chunk_tiles} tiles x {self.chunk_groups} groups{pieces}, "
            f"about {self.cost:,.0f} cycles"
        )


def piece_words(machine: Machine, task: Task, strip: Size, groups: int) -> tuple[int, int, int]:
    """Words, rows and row pitch of the input under a strip, for `groups` channel groups."""
    rows, cols, places = task.read(0, strip[0]), task.read(1, strip[1]), task.geometry.places
    if places:
        groups, rows = len(task.geometry.lower_rows), rows + max(task.geometry.lower_rows)
    align = task.in_align
    pitch = min(task.in_pitch, (-(-cols // align) + (1 if align > 1 else 0)) * align)
    if strip[1] >= task.geometry.pooled[1]:
        pitch = task.in_pitch
    return up(groups * rows * pitch, machine.activation_align), rows, pitch


def region_words(task: Task, size: Size, groups: int) -> tuple[int, int]:
    """Words and row pitch of an output region of `size` pixels."""
    pitch = task.out_pitch
    if size[1] < task.geometry.pooled[1]:
        pitch = spaced(size[1], task.out_step, task.out_align, pitch)
    return groups * size[0] * pitch, pitch


def spaced(columns: int, step: int, align: int, whole: int) -> int:
    """Words of a row of so many columns, in beats of `align`; those of a part, `step` apart, may begin inside a beat.

    `whole`: words of a row of all columns.
    """
    if step == 0:
        return up(columns, align)
    return min(whole, up((columns - 1) * step + align, align))


def most_tiles(machine: Machine, task: Task, pixels: int) -> int:
    """Output tiles that a block of `pixels` can have: accumulators, fields of commands, parameter records."""
    largest = min(
        len(task.reach),
        LARGEST_TILES,
        max(1, LARGEST_CHUNKS // machine.chunks),
        machine.accumulators // machine.plane(pixels),
    )
    if not task.uniform:
        largest = min(largest, machine.parameters // machine.chunks)
    return min(largest, 1) if task.grouped else largest
