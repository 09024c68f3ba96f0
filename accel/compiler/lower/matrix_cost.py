"""Estimated cycles of a matrix step for a tiling.

Array, read channel, write channel and post-processing work side by side, so the slowest of them counts, and a little of
all work that is hidden; besides, what must come before the array can begin, and what is left when it has ended. Terms
are computed where their loop is: once a task, once a chunking, once a strip and block, so that a tiling costs little.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.compiler.estimate import COMMAND_CYCLES, Machine
from accel.compiler.geometry import pieces
from accel.compiler.lower.matrix_task import Size, Task, piece_words

PENALTY = 0.02  # for each cycle of work that is hidden behind other work


@dataclass(frozen=True, slots=True)
class Chunking:
    """How the weights of a block are cut: `tiles` by `groups` a COMPUTE; with `split_input` its input is cut as well.

    `words` of a chunk in the weight buffer; `count` of groups, `per_block` of chunks.
    """

    split_input: bool
    tiles: int
    groups: int
    words: int
    count: int
    per_block: int


class Costs:
    """What all tilings of a task have in common."""

    def __init__(self, machine: Machine, task: Task) -> None:
        self.machine, self.task = machine, task
        self.height, self.width = task.geometry.pooled
        self.tiles, self.groups, self.total_groups = len(task.reach), max(task.reach), sum(task.reach)
        self.weights, self.word_cycles = task.total_words(machine), task.word_cycles(machine)
        self.crosses = task.stored or task.out_ring is not None
        self.out_words = machine.out_groups(self.tiles, task.outputs) * self.height * self.width
        pool = task.geometry.pool
        self.window = pool.kernel[0] * pool.kernel[1] if pool else 1
        self.chunks = -(-task.outputs * machine.chunks // machine.cols)
        self.post = self.chunks * self.height * self.width * self.window
        self.by_groups = task.by_groups(machine)
        planes = len(task.geometry.lower_rows) if task.geometry.places else self.groups
        self.whole_input = planes * task.geometry.in_h * task.in_pitch * task.in_cycles
        self.residual = self.out_words * machine.activation_cycles if task.residual_loads else 0.0
        self._pieces: dict[tuple[Size, int], int] = {}

    def piece(self, strip: Size, groups: int) -> int:
        """Words of the input under a strip, for so many channel groups."""
        found = self._pieces.get((strip, groups))
        if found is None:
            found = self._pieces[strip, groups] = piece_words(self.machine, self.task, strip, groups)[0]
        return found

    def chunking(self, split_input: bool, tiles: int, groups: int, block_tiles: int) -> Chunking:
        """A way to cut the weights of a block of `block_tiles`."""
        words, count = self.task.words(self.machine, tiles, groups), -(-self.groups // groups)
        return Chunking(split_input, tiles, groups, words, count, count * -(-block_tiles // tiles))


class StripCosts:
    """What all tilings with the same strip, block and tiles of a block have in common."""

    def __init__(self, costs: Costs, strip: Size, block: Size, block_tiles: int) -> None:
        self.costs, self.strip = costs, strip
        task, machine = costs.task, costs.machine
        self.strips = pieces(costs.height, strip[0]) * pieces(costs.width, strip[1])
        self.inside = pieces(strip[0], block[0]) * pieces(strip[1], block[1])
        self.blocks, self.rounds = self.strips * self.inside, -(-costs.tiles // block_tiles)
        self.rounded = self.blocks * self.rounds
        pixels = task.made(0, block[0]) * (task.made(1, block[1]) + task.geometry.beside)
        self.pixels = pixels
        self.by_tiles = bool(machine.contract.sparse)  # whether what is computed depends on the tiles of a COMPUTE
        self.stream = self.streamed(block_tiles)
        self.stores = self.rounded if costs.crosses else 0
        crossing = costs.out_words * machine.activation_cycles + self.stores * COMMAND_CYCLES
        self.write = crossing if costs.crosses else 0.0
        self.post = costs.post + task.beside + self.rounded * COMMAND_CYCLES
        self.tail = self.post / self.rounded
        if costs.crosses:
            self.tail += costs.out_words / self.rounded * machine.activation_cycles + machine.latency
        self.records = 0 if task.uniform else costs.chunks * self.blocks

    def streamed(self, tiles: int) -> float:
        """Cycles in which the engine computes with so many tiles a COMPUTE."""
        return self.blocks * self.costs.task.stream_cycles(self.costs.machine, self.pixels, tiles)

    def depends_on_order(self, chunking: Chunking) -> bool:
        """Whether `cost` depends on which loop is outside: something comes again in one of them, or earlier."""
        costs = self.costs
        if self.strips == 1:
            return False
        if costs.by_groups or (costs.task.in_ring is not None and not chunking.split_input):
            return True
        return chunking.words * chunking.per_block <= costs.machine.weights < costs.weights

    @property
    def least(self) -> float:
        """No tiling costs less."""
        compute = self.stream + self.rounded * COMMAND_CYCLES
        work = compute + self.write + self.post
        return max(compute, self.write, self.post) + PENALTY * work + self.tail

    def cost(self, chunking: Chunking, strips_outside: bool) -> float:
        """Estimated cycles of the step."""
        costs, strips = self.costs, self.strips
        task, machine = costs.task, costs.machine
        computes = self.rounded * chunking.per_block
        stream = self.streamed(chunking.tiles) if self.by_tiles else self.stream
        compute = stream + computes * COMMAND_CYCLES
        capacity = machine.weights
        if costs.weights <= capacity:
            again = 1
        elif chunking.words * chunking.per_block <= capacity:
            again = strips if strips_outside else 1
        else:
            again = self.blocks
        weights = again * costs.weights * costs.word_cycles
        if chunking.words > capacity // 2 and costs.weights > capacity:
            compute += weights  # one chunk at a time: the next is loaded when this one is done
        inputs, first, loads = 0.0, 0.0, 0
        waited = 0.0 if task.patient else chunking.words * costs.word_cycles
        if task.in_ring is not None:
            piece = costs.piece(self.strip, chunking.groups if chunking.split_input else costs.groups)
            if chunking.split_input:
                loads = strips * self.rounds * self.inside * chunking.count
            else:
                loads = strips if strips_outside or strips == 1 else strips * self.rounds
            inputs = loads * piece * task.in_cycles
            first = piece * task.in_cycles + waited
            if 2 * piece > task.in_ring and loads > 1:
                compute += inputs  # one piece at a time
        elif task.loaded:
            loads, inputs = strips, costs.whole_input
            groups = chunking.groups if costs.by_groups else costs.groups
            first = costs.piece(self.strip, groups) * task.in_cycles + waited
        inputs += costs.residual
        if task.skips > 1 and task.read(0, self.strip[0]) > 1:  # a LOAD has the rows of one channel group only
            loads *= chunking.groups if chunking.split_input else costs.groups
        commands = 2 * computes + 2 * loads + self.rounded * 2 + self.stores
        read = weights + inputs + commands * machine.command_cycles + self.records
        lag = 0.0 if task.patient else compute / computes * min(1.0, read / compute)
        work = compute + read + self.write + self.post
        both = max(compute, read)
        if costs.by_groups:  # what is computed while the input comes, or its first strip, and the rest
            parts = strips if strips_outside else 1
            begin, start = inputs / parts + weights / self.rounds, compute / parts / self.rounds
            both = max(begin, start) + max(read - begin, compute - start)
        return max(both, self.write, self.post) + PENALTY * work + first + lag + self.tail
