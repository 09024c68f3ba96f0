"""How a chain is cut into strips: rows of the depthwise output, tiles of a round of the first step, and who lies where.

For each strip the first step makes the rows that the filter reads, in rounds of some output tiles: a round is filtered
before the next one overwrites it, so it takes the room of a few channel groups. What is filtered stays for the strip.
Rows that two strips read are made twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import lcm

from accel.compiler.estimate import Machine, up
from accel.compiler.geometry import pieces, split
from accel.compiler.lower.filter_tiling import MOST_PARTS, FilterTask, filter_cycles
from accel.compiler.lower.matrix_cost import Chunking, Costs
from accel.compiler.lower.matrix_task import Size, Task, Tiling, most_tiles, piece_words, region_words
from accel.compiler.lower.matrix_tiling import block_in, whole_chunkings
from accel.compiler.lower.vector_tiling import PIECE_CYCLES

SWITCH_CYCLES = 40  # what it costs a unit to go from one step to another
MOST = 16  # tilings of a chain that are compared by the cycles that they take
ROUND_CYCLES = 100  # what one more round costs besides


@dataclass(frozen=True)
class ChainTask:
    """What tiling must know of a chain; `last` None: it ends with the depthwise step.

    `gaps`: free words of each bank; `source_bank`, `target_bank`: where the chain's ends lie if they are on chip.
    """

    first: Task
    middle: FilterTask
    last: Task | None
    gaps: Size
    source_bank: int | None
    target_bank: int | None

    @property
    def streams_out(self) -> bool:
        """Whether what the chain makes leaves it through a ring."""
        return (self.last or self.middle).out_ring is not None


@dataclass(frozen=True)
class Share:
    """`words` of a bank, `times` over."""

    bank: int
    words: int
    times: int


@dataclass(frozen=True)
class ChainTiling:
    """`rows` of a strip; what the rounds of the first step, the filtered strips, input and output take of the banks."""

    rows: int
    first: Tiling
    last: Tiling | None
    made: Share
    kept: Share | None
    source: Share | None
    target: Share | None
    cost: float


@lru_cache(1 << 12)
def choose_chain(machine: Machine, task: ChainTask) -> tuple[ChainTiling, ...]:
    """The MOST tilings with the lowest estimates, the lowest first."""
    found: dict[object, ChainTiling] = {}
    for option in sorted(_options(machine, task), key=lambda option: option.cost):
        if len(found) < MOST:
            found.setdefault(_kind(task, option), option)
    return tuple(found.values())


def _kind(task: ChainTask, option: ChainTiling) -> object:
    """Options that are equal but for the names of the banks are of one kind, if nothing is on chip already."""
    shares = option.made, option.kept, option.source, option.target
    free = task.source_bank is task.target_bank is None and task.gaps[0] == task.gaps[1]
    first = option.made.bank if free else 0
    banks = [share and (share.bank ^ first, share.times) for share in shares]
    return option.rows, option.first.block_tiles, *banks


def _options(machine: Machine, task: ChainTask) -> Iterator[ChainTiling]:
    g = task.middle.geometry
    tallest = min(g.out_h, task.middle.most_pixels(machine, 0))
    for rows in sorted({-(-g.out_h // k) for k in range(1, min(g.out_h, MOST_PARTS) + 1)}):
        last = _tiling(machine, task.last, (rows, g.out_w)) if task.last else None
        if rows > tallest or (task.last and not last):
            continue
        for tiles in _rounds(machine, task.first):
            made = max(high - low for low, high in (g.read(0, strip) for strip in split(g.out_h, rows)))
            first = _tiling(machine, task.first, (made, g.in_w), tiles)
            if first:
                yield from _Strips(machine, task, rows, made, first, last).options()


def _rounds(machine: Machine, task: Task) -> list[int]:
    """Output tiles of a round of the first step: every round begins with a channel group."""
    tiles, most = len(task.reach), most_tiles(machine, task, 1)
    unit = lcm(machine.cols, machine.word_lanes) // machine.cols
    sizes = {-(-tiles // k) for k in range(1, tiles + 1)}
    return sorted(size for size in sizes if size <= most and (size % unit == 0 or size == tiles))


def _tiling(machine: Machine, task: Task, strip: Size, tiles: int | None = None) -> Tiling | None:
    """Of a step whose output is made strip by strip: `tiles` a block, or as many as can be."""
    costs = Costs(machine, task)
    count = len(task.reach)
    for block_tiles in (tiles,) if tiles else sorted({-(-count // k) for k in range(1, count + 1)}, reverse=True):
        if block_tiles > most_tiles(machine, task, 1):
            continue
        block = block_in(task, *strip, machine.block_pixels(block_tiles))
        found: list[Chunking] = whole_chunkings(costs, block_tiles) if block else []
        if block and found and (tiles or block[1] == strip[1] or block_tiles == 1):
            best = min(found, key=lambda chunking: (chunking.per_block, chunking.words))
            aligned = block_tiles >= count or block_tiles * machine.cols % machine.word_lanes == 0
            return Tiling(True, strip, block, block_tiles, best.tiles, best.groups, False, aligned, 0.0)
    return None


class _Strips:
    """What all ways have in common in which a chain's tensors share the banks."""

    def __init__(
        self, machine: Machine, task: ChainTask, rows: int, made: int, first: Tiling, last: Tiling | None
    ) -> None:
        self.machine, self.task, self.rows, self.first, self.last = machine, task, rows, first, last
        g, one, align = task.middle.geometry, task.first, machine.activation_align
        self.count = pieces(g.out_h, rows)
        round_groups = machine.out_groups(first.block_tiles, one.outputs)
        groups = machine.out_groups(len(one.reach), one.outputs)
        self.made = up(round_groups * made * g.in_w, align)
        self.kept = up(groups * rows * g.out_w, align) if last else 0
        self.source = piece_words(machine, one, first.strip, max(one.reach))[0] if one.in_ring is not None else 0
        self.target = 0
        if task.streams_out and task.last and last:
            outputs = machine.out_groups(len(task.last.reach), task.last.outputs)
            self.target = up(region_words(task.last, (rows, g.out_w), outputs)[0], align)
        elif task.streams_out:
            self.target = up(round_groups * rows * task.middle.out_pitch, align)
        self._work(made, groups)

    def _work(self, made: int, groups: int) -> None:
        """Cycles of array, POST and the bus."""
        machine, task, g = self.machine, self.task, self.task.middle.geometry
        one, first, last = task.first, self.first, self.last
        read = [g.read(0, strip) for strip in split(g.out_h, self.rows)]
        again = sum(high - low for low, high in read) / (self.count * made)
        rounds = pieces(len(one.reach), first.block_tiles)
        self.rounds = rounds * self.count
        blocks = self.count * pieces(made, first.block[0]) * pieces(g.in_w, first.block[1])
        block = one.stream_cycles(machine, first.block[0] * first.block[1], first.block_tiles)
        self.expand, self.begin = again * blocks * block, block / rounds
        chunks = -(-one.outputs * machine.chunks // machine.cols)
        self.filter = filter_cycles(machine, g, groups, (self.rows, g.out_w))
        self.post = chunks * made * self.count * again * g.in_w + self.filter
        self.post += blocks * rounds * PIECE_CYCLES + self.count * rounds * 2 * SWITCH_CYCLES
        self.project = 0.0
        weights, words = Costs(machine, one).weights * one.word_cycles(machine), one.total_words(machine)
        if task.last and last:
            two = task.last
            outside = self.count * pieces(self.rows, last.block[0]) * pieces(g.out_w, last.block[1])
            self.project = outside * two.stream_cycles(machine, last.block[0] * last.block[1], last.block_tiles)
            self.post += -(-two.outputs * machine.chunks // machine.cols) * g.out_h * g.out_w
            self.post += outside * pieces(len(two.reach), last.block_tiles) * PIECE_CYCLES + self.count * SWITCH_CYCLES
            weights += two.total_words(machine) * two.word_cycles(machine)
            words += two.total_words(machine)
        if words > machine.weights:
            weights *= self.count
        self.array = self.expand + self.project + self.count * (rounds + 1) * SWITCH_CYCLES
        self.load = self.count * self.source * one.in_cycles
        self.bus = self.load + weights + (Costs(machine, task.last).residual if task.last else 0.0)
        if one.loaded:
            self.bus += Costs(machine, one).whole_input
        self.store = self.count * self.target * machine.activation_cycles * (1 if last else rounds)

    def options(self) -> Iterator[ChainTiling]:
        """Every way in which the tensors fit."""
        places = [
            [Share(bank, words, 1) for bank in (0, 1)] if words else [None]
            for words in (self.made, self.kept, self.source, self.target)
        ]
        for made, kept, source, target in product(*places):
            assert made
            taken = [0, 0]
            for share in (made, kept, source, target):
                if share:
                    taken[share.bank] += share.words
            if any(words > gap for words, gap in zip(taken, self.task.gaps, strict=True)):
                continue
            twice = []
            for share in (kept, source, target):
                fits = share is not None and taken[share.bank] + share.words <= self.task.gaps[share.bank]
                if share and fits:
                    taken[share.bank] += share.words
                twice.append(Share(share.bank, share.words, 2) if share and fits else share)
            kept, source, target = twice
            cost = self._cost(made, kept, source, target)
            yield ChainTiling(self.rows, self.first, self.last, made, kept, source, target, cost)

    def _cost(self, made: Share, kept: Share | None, source: Share | None, target: Share | None) -> float:
        """Estimated cycles: the slowest of the units, and shares of what waits for a port or a buffer.

        The shares are a fit to 250 chains of MobileNet v2, whose cycles were counted (one standard deviation: 10 %).
        """
        task = self.task
        source_bank = source.bank if source else task.source_bank
        kept_bank = kept.bank if kept else None
        found = max(self.array, self.post, self.bus, self.store) + self.begin + self.source * task.first.in_cycles
        found += self.rounds * ROUND_CYCLES
        if source_bank == made.bank:
            found += 0.4 * self.expand  # the array waits while the filter reads
        if kept:
            found += self.project * (0.25 * (kept.times == 1) + 0.35 * (kept.bank == made.bank))
        if source:
            found += self.load * (0.2 * (source.times == 1) + 0.35 * (source.bank in (made.bank, kept_bank)))
        if target:
            found += self.store * (0.15 * (target.times == 1) + 0.35 * (target.bank == made.bank))
            found += self.store * (1.2 * (target.bank == source_bank) + 0.95 * (target.bank == kept_bank))
        return found
