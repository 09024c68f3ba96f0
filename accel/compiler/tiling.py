"""Tiles and loop order of a matrix layer, chosen by estimated cycles.

A *strip* is the rectangle of output pixels whose input is brought in at once, a *block* the part of it that one
accumulator bank holds for `block_tiles` output tiles, a *chunk* the weights of one COMPUTE. Loops: strips outside and
blocks of output tiles inside, or the reverse; then the blocks of a strip; then chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accel.compiler.estimate import COMMAND_CYCLES, Machine, up
from accel.compiler.geometry import Geometry, pieces

LARGEST_PIXELS = 4095  # of a block, in each direction
LARGEST_TILES = 1023
LARGEST_GROUPS = 16383
LARGEST_CHUNKS = 4095
PENALTY = 0.02  # for each cycle of work that is hidden behind other work


@dataclass(frozen=True)
class Task:
    """What tiling must know. Rings are words for streamed pieces, None if the tensor is on chip as a whole.

    `reach`: the channel groups of each output tile. `loaded`: the resident input comes from DRAM in this layer.
    `in_pitch`, `out_pitch`: row pitches in words; `align`: columns that start a beat (1 if nothing crosses to DRAM).
    """

    name: str
    geometry: Geometry
    reach: tuple[int, ...]
    outputs: int
    bits: int
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
    in_cycles: float  # of loading a word of the input

    def words(self, machine: Machine, tiles: int, groups: int) -> int:
        """Words of the weight buffer for one COMPUTE."""
        return machine.chunk_words(self.geometry.taps, self.bits, tiles, groups)


@dataclass(frozen=True)
class Tiling:
    """Sizes of strips, blocks and chunks; `split_input`: a strip's input comes in pieces of `chunk_groups` groups."""

    strips_outside: bool
    strip: tuple[int, int]
    block: tuple[int, int]
    block_tiles: int
    chunk_tiles: int
    chunk_groups: int
    split_input: bool
    output_by_block: bool
    cost: float


@dataclass(frozen=True)
class Shortage:
    """The smallest tile does not fit: the buffer, and the bytes that it would need."""

    buffer: str
    needs: int


def choose(machine: Machine, task: Task) -> Tiling | Shortage:
    """The cheapest tiling, or why there is none."""
    best: Tiling | None = None
    for option in _options(machine, task):
        if best is None or option.cost < best.cost:
            best = option
    return best or _shortage(machine, task)


def _counts(size: int) -> list[int]:
    """Sizes of equal parts of `size`: whole, halves, thirds, ... and single ones."""
    parts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024]
    return sorted({-(-size // k) for k in parts if k <= size} | {1}, reverse=True)


def _made(task: Task, axis: int, pixels: int) -> int:
    """Rows or columns of the convolution for `pixels` output rows or columns, at most."""
    g = task.geometry
    size = (g.out_h, g.out_w)[axis]
    if not g.pool:
        return min(size, pixels)
    return min(size, (pixels - 1) * g.pool.stride[axis] + g.pool.kernel[axis])


def _read(task: Task, axis: int, pixels: int) -> int:
    """Rows or columns of the input for `pixels` output rows or columns, at most."""
    g = task.geometry
    span = (_made(task, axis, pixels) - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis] + 1
    return max(1, min((g.in_h, g.in_w)[axis], span))


def piece_words(machine: Machine, task: Task, strip: tuple[int, int], groups: int) -> tuple[int, int, int]:
    """Words, rows and row pitch of the input under a strip, for `groups` channel groups."""
    rows, cols = _read(task, 0, strip[0]), _read(task, 1, strip[1])
    align = task.in_align
    pitch = min(task.in_pitch, (-(-cols // align) + (1 if align > 1 else 0)) * align)
    if strip[1] >= task.geometry.pooled[1]:
        pitch = task.in_pitch
    return up(groups * rows * pitch, machine.activation_align), rows, pitch


def region_words(task: Task, size: tuple[int, int], groups: int) -> tuple[int, int]:
    """Words and row pitch of an output region of `size` pixels."""
    pitch = task.out_pitch if size[1] >= task.geometry.pooled[1] else -(-size[1] // task.out_align) * task.out_align
    return groups * size[0] * pitch, pitch


def most_tiles(machine: Machine, task: Task, pixels: int) -> int:
    """Output tiles that a block of `pixels` can have: accumulators, fields of commands, parameter records."""
    most = min(len(task.reach), LARGEST_TILES, max(1, LARGEST_CHUNKS // machine.chunks), machine.accumulators // pixels)
    if not task.uniform:
        most = min(most, machine.parameters // machine.chunks)
    return min(most, 1) if task.grouped else most


def _options(machine: Machine, task: Task) -> Iterator[Tiling]:
    height, width = task.geometry.pooled
    tiles, groups = len(task.reach), max(task.reach)
    most = most_tiles(machine, task, 1)
    widths = [w for w in _counts(width) if w == width or w % task.out_align == 0] or [width]
    widths += [task.out_align] if task.out_align < width and task.out_align not in widths else []
    for block_tiles in _counts(tiles):
        if block_tiles > most:
            continue
        limit = machine.accumulators // block_tiles
        aligned = block_tiles >= tiles or block_tiles * machine.cols % machine.rows == 0
        found = 0
        for strip_w in widths:
            for strip_h in _counts(height):
                block = _block(task, strip_h, strip_w, limit)
                if block is None or (block != (strip_h, strip_w) and task.in_ring is None and task.out_ring is None):
                    continue
                if found > 24:
                    break
                fits = list(_strip_options(machine, task, (strip_h, strip_w), block, block_tiles, aligned, groups))
                found += bool(fits)
                yield from fits
            if found and strip_w * _made(task, 0, 1) <= limit and task.in_ring is None and task.out_ring is None:
                break  # whole rows are possible: do not cut them


def _most_pixels(task: Task, axis: int) -> int:
    """Output rows or columns whose input coordinates fit the fields of a command; 0 if not even one's do."""
    g = task.geometry
    made = (LARGEST_PIXELS - (g.kernel[axis] - 1) * g.dilation[axis] - 1) // g.stride[axis] + 1
    return made if not g.pool else max(0, (made - g.pool.kernel[axis]) // g.pool.stride[axis] + 1)


def _block(task: Task, strip_h: int, strip_w: int, limit: int) -> tuple[int, int] | None:
    """The largest part of a strip whose convolution has at most `limit` pixels, whole rows if possible."""
    width = min(strip_w, _most_pixels(task, 1))
    while width > 0 and _made(task, 1, width) * _made(task, 0, 1) > limit:
        over = width if task.geometry.pool else limit // _made(task, 0, 1) + 1
        width = min(over, width) - 1
    if width < strip_w:
        width = width // task.out_align * task.out_align
        equal = -(-strip_w // pieces(strip_w, max(1, width)))
        width = min(width, up(equal, task.out_align))
    height = min(strip_h, _most_pixels(task, 0))
    if width <= 0 or height <= 0:
        return None
    while height > 1 and _made(task, 1, width) * _made(task, 0, height) > limit:
        height -= 1
    if height < strip_h:
        height = -(-strip_h // pieces(strip_h, height))
    return height, width


def _strip_options(
    machine: Machine, task: Task, strip: tuple[int, int], block: tuple[int, int], block_tiles: int, aligned: bool,
    groups: int,
) -> Iterator[Tiling]:  # fmt: skip
    """Loop orders and chunks for a strip, a block and the tiles of a block."""
    if task.out_ring is not None:
        if aligned:
            size = region_words(task, block, machine.out_groups(block_tiles, task.outputs))[0]
        else:
            size = region_words(task, strip, machine.out_groups(len(task.reach), task.outputs))[0]
        if size > task.out_ring:
            return
    cap = machine.weights
    seen = set()
    for split_input in (False, True):
        if split_input and (task.in_ring is None or groups == 1):
            continue
        for share in (2, 4, 8, 16, 32, 1):
            limit = cap // share
            one = task.words(machine, 1, 1)
            if one > limit:
                continue
            if share == 1 and one <= cap // 2:
                continue
            chunk_groups = groups
            if split_input:
                chunk_tiles = block_tiles
                while chunk_groups > 1 and (
                    chunk_groups > LARGEST_GROUPS or task.words(machine, chunk_tiles, chunk_groups) > limit
                ):
                    chunk_groups = -(-chunk_groups // 2)
                while (
                    chunk_groups > 1
                    and task.in_ring is not None
                    and 2 * piece_words(machine, task, strip, chunk_groups)[0] > task.in_ring
                ):
                    chunk_groups = -(-chunk_groups // 2)
                if chunk_groups == groups or task.words(machine, chunk_tiles, chunk_groups) > limit:
                    continue
            else:
                whole = task.words(machine, 1, groups)
                chunk_tiles = max(1, min(block_tiles, limit // whole))
                chunk_tiles = -(-block_tiles // pieces(block_tiles, chunk_tiles))
                if whole > limit or groups > LARGEST_GROUPS:
                    fitting = min(LARGEST_GROUPS, groups * limit // whole)
                    chunk_groups = -(-groups // pieces(groups, max(1, fitting)))
                    while chunk_groups > 1 and task.words(machine, 1, chunk_groups) > limit:
                        chunk_groups -= 1
            key = (split_input, chunk_tiles, chunk_groups)
            if key in seen:
                continue
            seen.add(key)
            if task.in_ring is not None:
                piece = piece_words(machine, task, strip, chunk_groups if split_input else groups)[0]
                if piece > task.in_ring:
                    continue
            for strips_outside in (True, False):
                if not strips_outside and not aligned and task.out_ring is not None:
                    continue
                option = Tiling(
                    strips_outside, strip, block, block_tiles, chunk_tiles, chunk_groups, split_input, aligned, 0.0
                )
                yield Tiling(**{**option.__dict__, "cost": _cost(machine, task, option, groups, cap)})


def _cost(machine: Machine, task: Task, t: Tiling, groups: int, cap: int) -> float:
    """Estimated cycles of the layer."""
    g, tiles = task.geometry, len(task.reach)
    height, width = g.pooled
    strips = pieces(height, t.strip[0]) * pieces(width, t.strip[1])
    inside = pieces(t.strip[0], t.block[0]) * pieces(t.strip[1], t.block[1])
    blocks, rounds = strips * inside, -(-tiles // t.block_tiles)
    pixels = _made(task, 0, t.block[0]) * _made(task, 1, t.block[1])
    total_groups = sum(task.reach)
    chunk_count = -(-groups // t.chunk_groups)
    per_block = chunk_count * -(-t.block_tiles // t.chunk_tiles)
    computes = blocks * rounds * per_block
    compute = blocks * total_groups * g.taps * machine.tile_cycles(pixels) + computes * COMMAND_CYCLES
    chunk = task.words(machine, t.chunk_tiles, t.chunk_groups)
    chunk_load = chunk * machine.weight_cycles
    total = task.words(machine, 1, 1) * total_groups
    set_words = chunk * per_block
    if total <= cap:
        again = 1
    elif set_words <= cap:
        again = strips if t.strips_outside else 1
    else:
        again = blocks
    weights = again * total * machine.weight_cycles
    if chunk > cap // 2 and (total > cap):
        compute += weights
    per_word = machine.activation_cycles
    piece = piece_words(machine, task, t.strip, t.chunk_groups if t.split_input else groups)[0]
    inputs, piece_load = 0.0, 0.0
    loads = 0
    if task.in_ring is not None:
        times = 1 if t.strips_outside or strips == 1 else rounds
        times = rounds * inside * chunk_count if t.split_input else times
        loads = strips * times
        inputs = loads * piece * task.in_cycles
        piece_load = piece * task.in_cycles
        if 2 * piece > task.in_ring and loads > 1:
            compute += inputs
    elif task.loaded:
        inputs = groups * g.in_h * task.in_pitch * task.in_cycles
        piece_load = piece * task.in_cycles
        loads = strips
    stored = task.stored or task.out_ring is not None
    stores = blocks * rounds if stored else 0
    out_words = machine.out_groups(tiles, task.outputs) * height * width
    write = out_words * per_word + stores * COMMAND_CYCLES if stored else 0.0
    if task.residual_loads:
        inputs += out_words * per_word
    window = g.pool.kernel[0] * g.pool.kernel[1] if g.pool else 1
    chunks = -(-task.outputs * machine.chunks // machine.cols)
    post = chunks * height * width * window + blocks * rounds * COMMAND_CYCLES
    commands = 2 * computes + 2 * loads + blocks * rounds * 2 + stores
    read = weights + inputs + commands * machine.command_cycles + (0 if task.uniform else chunks * blocks)
    chunk_compute = compute / computes
    first = piece_load + (chunk_load if task.loaded or task.in_ring is not None else 0)
    lag = chunk_compute * min(1.0, read / compute)
    tail = post / (blocks * rounds)
    tail += out_words / (blocks * rounds) * per_word + machine.latency if stored else 0
    work = compute + read + write + post
    return max(compute, read, write, post) + PENALTY * work + first + lag + tail


def _shortage(machine: Machine, task: Task) -> Shortage:
    """Which buffer is short of the smallest tile: one channel group, one output tile, one row of the fewest pixels."""
    weights = task.words(machine, 1, 1)
    if weights > machine.weights:
        return Shortage("weight_bytes", weights * machine.cols)
    if not task.uniform and machine.chunks > machine.parameters:
        words = up(machine.chunks, machine.parameter_align)
        return Shortage("parameter_bytes", 8 * words * (machine.cols // machine.chunks))
    width = min(task.geometry.pooled[1], task.out_align)
    pixels = _made(task, 0, 1) * _made(task, 1, width)
    if pixels > machine.accumulators:
        return Shortage("accumulator_bytes", 2 * pixels * 4 * machine.cols)
    needs = 0
    if task.in_ring is not None:
        needs = piece_words(machine, task, (1, width), 1)[0]
    if task.out_ring is not None:
        aligned = machine.cols % machine.rows == 0 or len(task.reach) == 1
        groups = machine.out_groups(1 if aligned else len(task.reach), task.outputs)
        needs = max(needs, region_words(task, (1, width), groups)[0])
    return Shortage("activation_bytes", 2 * up(needs, machine.activation_align) * machine.rows)
