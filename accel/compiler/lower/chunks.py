"""The order in which the weights of a matrix step are used: rounds of output tiles, and the chunks of each."""

from __future__ import annotations

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Range, split
from accel.compiler.lower.matrix_task import LARGEST_GROUPS, Patch, Task, Tiling, most_tiles
from accel.compiler.lower.taper import Chunk, tapered
from accel.compiler.weights import LayerWeights

Round = tuple[Range, list[Chunk]]  # output tiles of a block, and the COMPUTEs that make their sums
SHARE = 4  # part of the weight buffer that a tapered chunk may take


def rounds(
    machine: Machine, task: Task, tiling: Tiling, weights: LayerWeights, taper: float, last: bool
) -> list[Round]:
    """Every channel group of every output tile once, those of a tile in ascending order.

    `last`: nothing but stores comes after the step; if the array waits for its weights, chunks shrink towards the end.
    """
    if last and _waits_for_weights(machine, task, tiling, weights):
        return _tapered(machine, task, weights, taper)
    sizes = tiling.chunk_tiles, tiling.chunk_groups
    return [(block, _chunks(sizes, weights, block)) for block in split(weights.tiles, tiling.block_tiles)]


def patch_chunks(patch: Patch, weights: LayerWeights) -> list[Chunk]:
    """The chunks of a patch."""
    return _chunks((patch.chunk_tiles, patch.chunk_groups), weights, patch.tiles)


def _load(machine: Machine, weights: LayerWeights) -> float:
    """Cycles in which the weights of one tile and channel group arrive."""
    rows = weights.geometry.taps * weights.halves * machine.contract.fill_cycles
    return rows * weights.code_bits / machine.contract.weight_lane_bits * machine.weight_cycles


def _compute(machine: Machine, task: Task) -> float:
    """Cycles in which the array uses them."""
    g = task.geometry
    return g.taps * task.halves * machine.tile_cycles(g.out_h * g.out_w)


def _waits_for_weights(machine: Machine, task: Task, tiling: Tiling, weights: LayerWeights) -> bool:
    """Whether weights are used once, and arrive no faster than that."""
    g = task.geometry
    if machine.sparse:
        return False  # columns are as long as their weights are many: chunks are not tapered
    once = (g.out_h, g.out_w) == tiling.block and not task.grouped and weights.tiles > 1
    return once and _compute(machine, task) <= _load(machine, weights)


def _tapered(machine: Machine, task: Task, weights: LayerWeights, slope: float) -> list[Round]:
    g, tiles = task.geometry, weights.tiles
    extra = 2 * machine.command_cycles + 1
    largest = min(max(1, machine.weights // SHARE // task.words(machine, 1, 1)), LARGEST_GROUPS)
    size = most_tiles(machine, task, g.out_h * g.out_w)
    load, compute = _load(machine, weights), _compute(machine, task)
    found: list[Round] = []
    for n, groups in tapered(tiles, weights.groups, load, compute, extra, largest, size, slope):
        first = found[-1][0][0] if found else 0
        if found and (n[0] < found[-1][0][1] or (n[0] < tiles - 1 and n[1] - first <= size)):
            found[-1] = ((first, n[1]), [*found[-1][1], (n, groups)])
        else:
            found.append((n, [(n, groups)]))
    return found


def _chunks(sizes: tuple[int, int], weights: LayerWeights, tiles: Range) -> list[Chunk]:
    """The chunks of a block, of so many tiles by groups at most, channel groups outermost."""
    low, high = weights.reach[tiles[0]]
    return [
        ((tiles[0] + n[0], tiles[0] + n[1]), (low + g[0], low + g[1]))
        for g in split(high - low, sizes[1])
        for n in split(tiles[1] - tiles[0], sizes[0])
    ]
