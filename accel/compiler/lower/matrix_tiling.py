"""The tiling of a matrix step: the cheapest of some hundred combinations of strip, block, chunk and loop order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from accel.compiler.estimate import Machine, up
from accel.compiler.geometry import pieces
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.matrix_cost import Chunking, Costs, StripCosts
from accel.compiler.lower.matrix_task import (
    LARGEST_GROUPS,
    Size,
    Task,
    Tiling,
    most_tiles,
    piece_words,
    region_words,
)
from accel.memories import RECORD_BYTES, SUM_BYTES

PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)  # that a size is cut into
SHARES = (2, 4, 8, 16, 32, 1)  # parts of the weight buffer that a chunk may take; 1 if no other fits
FEW_GROUPS = (1, 2, 4)  # that a chunk of all tiles of a block may have
ENOUGH = 24  # strips that are compared for one number of tiles
FEW_TILES = (1, 2, 3)  # that a chunk may have in a search
SEARCHED = 1 << 8  # tasks whose alternatives are kept
REMEMBERED = 1 << 14  # tilings, of all networks and designs of a process
ROUNDING = 1 - 1e-9


@lru_cache(REMEMBERED)
def choose(machine: Machine, task: Task) -> Tiling | Shortage:
    """As `cheapest`. Equal tasks on equal machines are computed once."""
    return cheapest(machine, task)


def cheapest(machine: Machine, task: Task) -> Tiling | Shortage:
    """The cheapest tiling, or why there is none."""
    costs = Costs(machine, task)
    best: Tiling | None = None
    for strip, block, block_tiles, aligned, chunkings in options(costs):
        here = StripCosts(costs, strip, block, block_tiles)
        if best and here.least * ROUNDING > best.cost:
            continue
        orders = _orders(task, aligned)
        for chunking in chunkings:
            for strips_outside in orders[: 2 if here.depends_on_order(chunking) else 1]:
                cost = here.cost(chunking, strips_outside)
                if best is None or cost < best.cost:
                    best = Tiling(
                        strips_outside, strip, block, block_tiles, chunking.tiles, chunking.groups,
                        chunking.split_input, aligned, cost,
                    )  # fmt: skip
    return best or _shortage(machine, task)


@lru_cache(SEARCHED)
def alternatives(machine: Machine, task: Task) -> tuple[Tiling, ...]:
    """Tilings for a search, the cheapest by estimate first: more strips and chunks than `cheapest` compares."""
    costs, found = Costs(machine, task), set[Tiling]()
    for strip, block, block_tiles, aligned, chunkings in options(costs, search=True):
        here = StripCosts(costs, strip, block, block_tiles)
        for chunking in chunkings:
            for strips_outside in _orders(task, aligned):
                found.add(
                    Tiling(
                        strips_outside, strip, block, block_tiles, chunking.tiles, chunking.groups,
                        chunking.split_input, aligned, here.cost(chunking, strips_outside),
                    )
                )  # fmt: skip
    return tuple(sorted(found, key=lambda tiling: (tiling.cost, str(tiling))))


def _orders(task: Task, aligned: bool) -> tuple[bool, ...]:
    """Whether strips are outside of rounds: either way, unless what leaves through a ring must be whole words."""
    return (True, False) if aligned or task.out_ring is None else (True,)


def _counts(size: int) -> list[int]:
    """Sizes of equal parts of `size`: whole, halves, thirds, ... and single ones."""
    return sorted({-(-size // k) for k in PARTS if k <= size} | {1}, reverse=True)


def options(costs: Costs, search: bool = False) -> Iterator[tuple[Size, Size, int, bool, list[Chunking]]]:
    """Strip, block, tiles of a block, whether blocks start on channel groups, and the chunkings that fit.

    `search`: also strips that estimates are no judge of: parts of a map of one row, and all that fit.
    """
    machine, task = costs.machine, costs.task
    tiles, streams = costs.tiles, task.in_ring is not None or task.out_ring is not None
    most = most_tiles(machine, task, 1)
    widths = [w for w in _counts(costs.width) if w == costs.width or w % task.out_align == 0] or [costs.width]
    widths += [task.out_align] if task.out_align < costs.width and task.out_align not in widths else []
    heights = _counts(costs.height)
    one_row = task.made(0, 1)
    for block_tiles in _counts(tiles):
        if block_tiles > most:
            continue
        limit = machine.block_pixels(block_tiles)
        aligned = block_tiles >= tiles or block_tiles * machine.cols % machine.word_lanes == 0
        whole = whole_chunkings(costs, block_tiles)
        if search and not machine.sparse:
            whole += _small_chunkings(costs, block_tiles, whole)
        found = 0
        for strip_w in widths:
            block_w = _block_width(task, strip_w, limit)
            for strip_h in heights:
                block = _block(task, strip_h, block_w, limit)
                if block is None or (block != (strip_h, strip_w) and not streams):
                    continue
                if found > ENOUGH and not search:
                    break
                strip = (strip_h, strip_w)
                fits = _fitting(costs, strip, block, block_tiles, aligned, whole)
                if fits:
                    found += 1
                    yield strip, block, block_tiles, aligned, fits
            if found and strip_w * one_row <= limit and not streams and not (search and costs.height == 1):
                break  # whole rows are possible: do not cut them


def block_in(task: Task, strip_h: int, strip_w: int, limit: int) -> Size | None:
    """The largest part of a strip whose convolution has at most `limit` pixels, whole rows if possible."""
    return _block(task, strip_h, _block_width(task, strip_w, limit), limit)


def _block_width(task: Task, strip_w: int, limit: int) -> int:
    """Columns of such a part; 0 or less: there is none."""
    width = task.fitting(1, min(strip_w, task.most_pixels[1]), limit // task.made(0, 1))
    if width < strip_w:
        width = width // task.out_align * task.out_align
        equal = -(-strip_w // pieces(strip_w, max(1, width)))
        width = min(width, up(equal, task.out_align))
    return width


def _block(task: Task, strip_h: int, width: int, limit: int) -> Size | None:
    """As `block_in`, of columns that are known."""
    height = min(strip_h, task.most_pixels[0])
    if width <= 0 or height <= 0:
        return None
    height = max(1, task.fitting(0, height, limit // task.made(1, width)))
    if height < strip_h:
        height = -(-strip_h // pieces(strip_h, height))
    return height, width


def whole_chunkings(costs: Costs, block_tiles: int) -> list[Chunking]:
    """Chunks of all channel groups, or of as many as fit; a strip's input comes as a whole."""
    task, machine, groups = costs.task, costs.machine, costs.groups
    if machine.sparse:
        return _sparse_chunkings(costs, block_tiles)
    one, whole = task.words(machine, 1, 1), task.words(machine, 1, groups)
    found: dict[tuple[int, int], Chunking] = {}
    for share in SHARES:
        limit = machine.weights // share
        if one > limit or (share == 1 and one <= machine.weights // 2):
            continue
        tiles = max(1, min(block_tiles, limit // whole))
        tiles = -(-block_tiles // pieces(block_tiles, tiles))
        size = groups
        if whole > limit or groups > LARGEST_GROUPS:
            fitting = min(LARGEST_GROUPS, groups * limit // whole)
            size = -(-groups // pieces(groups, max(1, fitting)))
            while size > 1 and task.words(machine, 1, size) > limit:
                size -= 1
        if (tiles, size) not in found:
            found[tiles, size] = costs.chunking(False, tiles, size, block_tiles)
    if costs.by_groups:  # a few groups of all tiles, so that the array begins when few have come
        for size in FEW_GROUPS:
            fits = size < groups and task.words(machine, block_tiles, size) <= machine.weights // 2
            if fits and (block_tiles, size) not in found:
                found[block_tiles, size] = costs.chunking(False, block_tiles, size, block_tiles)
    return list(found.values())


def _small_chunkings(costs: Costs, block_tiles: int, known: list[Chunking]) -> list[Chunking]:
    """Chunks of few output tiles and few groups, which come sooner, besides those that are known."""
    machine, task = costs.machine, costs.task
    sizes = {(tiles, groups) for tiles in FEW_TILES for groups in (*FEW_GROUPS, costs.groups)}
    fitting = [
        (tiles, groups)
        for tiles, groups in sorted(sizes - {(c.tiles, c.groups) for c in known})
        if tiles < block_tiles
        and groups <= min(costs.groups, LARGEST_GROUPS)
        and task.words(machine, tiles, groups) <= machine.weights // 2
    ]
    return [costs.chunking(False, tiles, groups, block_tiles) for tiles, groups in fitting]


def _sparse_chunkings(costs: Costs, block_tiles: int) -> list[Chunking]:
    """Chunks of all tiles of a block: with fewer, activations would be broadcast once more."""
    task, machine, groups = costs.task, costs.machine, costs.groups
    found: dict[int, Chunking] = {}
    for share in SHARES:
        limit, parts = machine.weights // share, 1
        while parts < groups and task.words(machine, block_tiles, -(-groups // parts)) > limit:
            parts += 1
        size = -(-groups // parts)
        if size <= LARGEST_GROUPS and size not in found and task.words(machine, block_tiles, size) <= limit:
            found[size] = costs.chunking(False, block_tiles, size, block_tiles)
    return list(found.values())


def _split_chunkings(costs: Costs, strip: Size, block_tiles: int) -> list[Chunking]:
    """Chunks of some channel groups of all tiles of a block; a strip's input comes in the same pieces."""
    task, machine, groups = costs.task, costs.machine, costs.groups
    if task.in_ring is None or groups == 1 or task.geometry.places:
        return []
    one = task.words(machine, 1, 1)
    found: dict[int, Chunking] = {}
    for share in SHARES:
        limit = machine.weights // share
        if one > limit or (share == 1 and one <= machine.weights // 2):
            continue
        size = groups
        while size > 1 and (size > LARGEST_GROUPS or task.words(machine, block_tiles, size) > limit):
            size = -(-size // 2)
        while size > 1 and 2 * costs.piece(strip, size) > task.in_ring:
            size = -(-size // 2)
        if size == groups or task.words(machine, block_tiles, size) > limit:
            continue
        if size not in found and costs.piece(strip, size) <= task.in_ring:
            found[size] = costs.chunking(True, block_tiles, size, block_tiles)
    return list(found.values())


def _fitting(
    costs: Costs, strip: Size, block: Size, block_tiles: int, aligned: bool, whole: list[Chunking]
) -> list[Chunking]:
    """The chunkings with which input and output of a strip fit their rings."""
    task, machine = costs.task, costs.machine
    if task.out_ring is not None:
        if aligned:
            size = region_words(task, block, machine.out_groups(block_tiles, task.outputs))[0]
        else:
            size = region_words(task, strip, machine.out_groups(costs.tiles, task.outputs))[0]
        if size > task.out_ring:
            return []
    if task.in_ring is None:
        return whole
    fits = costs.piece(strip, costs.groups) <= task.in_ring
    return [*(whole if fits else []), *_split_chunkings(costs, strip, block_tiles)]


def _shortage(machine: Machine, task: Task) -> Shortage:
    """Which buffer is short of the smallest tile: one channel group, one output tile, one row of the fewest pixels."""
    if short := task.short(machine):
        return short
    weights = task.words(machine, 1, 1)
    if weights > machine.weights:
        return Shortage("weight_bytes", task.weight_bytes(machine, weights))
    if not task.uniform and machine.chunks > machine.parameters:
        words = up(machine.chunks, machine.parameter_align)
        return Shortage("parameter_bytes", RECORD_BYTES * words * machine.lanes)
    width = min(task.geometry.pooled[1], task.out_align)
    pixels = task.made(0, 1) * task.made(1, width)
    if pixels > machine.block_pixels(1):
        return Shortage("accumulator_bytes", 2 * machine.plane(pixels) * SUM_BYTES * machine.cols)
    needs = 0
    if task.in_ring is not None:
        needs = piece_words(machine, task, (1, width), 1)[0]
    if task.out_ring is not None:
        tiles = 1 if machine.cols % machine.word_lanes == 0 else len(task.reach)
        groups = machine.out_groups(tiles, task.outputs)
        needs = max(needs, region_words(task, (1, width), groups)[0])
    return Shortage("activation_bytes", 2 * up(needs, machine.activation_align) * machine.word_lanes)
