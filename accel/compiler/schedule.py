"""A log of operations and loads put in program order: the fastest of some ways, and exactly how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accel.commands import COMMAND_BYTES, WAIT_BITS, End, Load, Nop, Opcode, Target
from accel.compiler.access import depths
from accel.compiler.estimate import beat_cycles
from accel.compiler.hazards import Logs, Placed, survey
from accel.compiler.ops import ALIGNMENT, Log, Segment
from accel.compiler.ordering import (
    BEST,
    CYCLES,
    FETCH,
    FETCHED,
    FINISH,
    PLACED,
    Declared,
    Order,
    Pace,
    Store,
    fastest,
    whole_beats,
)
from accel.compiler.transfers import words_of
from accel.design import Design
from accel.layout import beats
from accel.models.errors import InputError
from accel.rows import LOAD, OPCODE, STORE, WIDTH, Rows, in_force, row_of, set_waits
from accel.timing.coded import with_streams
from accel.timing.kernel import call
from accel.timing.machine import FACTS, Machine
from accel.timing.recurrence import Timing, known_facts, timing_of
from accel.timing.state import OUT, UNITS, Clock

# The first is for every program, the others in the order in which they gain most on 700 random and trained networks and
# designs (all together 3 %). Short programs try them all: there each beat that the bus carries at the wrong time shows.
PACES = (
    Pace(),
    Pace(8, 2, 1, 4000, 4000),
    Pace(10, 6, 2, 4000, 4000),
    Pace(32, 1, 4, 4000, 4000),
    Pace(10, 1, 0, 1000, 1 << 40),
    Pace(12, 6, 4, 4000, 4000),
    Pace(24, 14, 4, 200, 2000),
    Pace(16, 6),
    Pace(12, 2, 1),
    Pace(11, 1, 0),
    Pace(9, 1, 0),
)
# As plain numbers: to look up and to compare members takes long.
OP_LOAD, OP_STORE, DATA = int(Opcode.LOAD), int(Opcode.STORE), int(Segment.DATA)
ROW_OF_FETCH = np.array(row_of(Load, target=Target.PROGRAM), np.int64)
ROW_OF_END, ROW_OF_NOP = np.array(row_of(End), np.int64), np.array(row_of(Nop), np.int64)
FIRST, LONGER = 12, 24  # commands that the hardware fetches by itself, at most; in a search also so many
TRIED_COMMANDS = 1000  # of all paces that are tried together


@dataclass(frozen=True)
class Ordered:
    """All commands in program order, filled up to what is fetched; `cycles` from start to done.

    `order` has the hardware's own fetch first; it brings `first_fetch` commands. Addresses in `rows` count from the
    segments' beginnings. `behind`: bytes between the program and the data segment, at least.
    """

    design: Design
    log: Log
    program_offset: int
    order: Order
    cycles: int
    behind: int = 0

    @property
    def first_fetch(self) -> int:
        """Commands that the hardware fetches by itself."""
        return int(self.order.fetches[1])

    @cached_property
    def _sources(self) -> NDArray[np.int64]:
        return np.asarray(self.order.sources[1 : self.order.outcome[PLACED]])

    @property
    def _filling(self) -> int:
        return int(self.order.outcome[FETCHED]) - len(self._sources)

    @property
    def commands(self) -> int:
        """Commands of the program, those included that only fill its last beat."""
        return len(self._sources) + self._filling

    @property
    def end_offset(self) -> int:
        """Where the program ends in DRAM."""
        return self.program_offset + self.commands * COMMAND_BYTES

    @property
    def data_offset(self) -> int:
        """Where the data segment begins in DRAM, behind the program.

        On a multiple of a burst: so its bursts do not depend on the length of the program, nor does the time.
        """
        unit = max(ALIGNMENT, self.design.memory.burst_beats * self.design.beat_bytes)
        return -(-(self.end_offset + self.behind) // unit) * unit

    @cached_property
    def layers(self) -> NDArray[np.int64]:
        """The layer of each command; -1 for fetches and the end."""
        own = np.where(self._sources >= 0, self.log.layers[self._sources], -1)
        return np.concatenate([own, np.full(self._filling, -1)])

    def rows(self) -> Rows:
        """The commands with their waits and DRAM addresses."""
        return self._with_first_fetch()[1:]

    def _with_first_fetch(self) -> Rows:
        """The hardware's own fetch, and the commands."""
        order, words = self.order, words_of(self.design, Target.PROGRAM)
        placed = int(order.outcome[PLACED])
        made = np.empty((placed + self._filling, WIDTH), np.int64)
        made[placed:] = ROW_OF_NOP
        rows, sources = made[:placed], np.asarray(order.sources[:placed])
        rows[:] = self.log.rows[sources]
        in_data = (self.log.segments[sources] == DATA) & (sources >= 0)
        for opcode, column in ((OP_LOAD, LOAD.dram_addr), (OP_STORE, STORE.dram_addr)):
            rows[in_data & (rows[:, OPCODE] == opcode), column] += self.data_offset
        rows[sources == FINISH] = ROW_OF_END
        (fetching,) = np.nonzero(sources == FETCH)
        fetches = np.asarray(order.fetches[: 2 * placed]).reshape(-1, 2)[fetching]
        rows[fetching] = ROW_OF_FETCH
        rows[fetching, LOAD.dram_addr] = self.program_offset + fetches[:, 0] * COMMAND_BYTES
        rows[fetching, LOAD.row_beats] = -(-fetches[:, 1] // words.per_beat) * words.beats
        set_waits(rows, np.asarray(order.waits[: UNITS * placed]).reshape(-1, UNITS))
        return made

    def _found(self) -> Iterator[tuple[int, int, int]]:
        """Facts that come with the log: column, value, command of the program."""
        if self.log.facts:
            for at, source in enumerate(self._sources.tolist()):
                for column, value in self.log.facts.get(source, {}).items():
                    yield column, value, at

    def facts(self) -> NDArray[np.int64] | None:
        """(n, FACTS) what the commands' time depends on; None: their fields say it all."""
        if not self.log.facts:
            return None
        facts = known_facts(self.design, self.rows())
        for column, value, at in self._found():
            facts[at, column] = value
        return facts

    def timing(self) -> Timing:
        """What the recurrence said while the commands were put in order: what `time_program` says of the program."""
        rows = self._with_first_fetch()
        count, out = len(self._sources) + 1, np.zeros((len(rows), OUT), np.int64)
        out[:count] = np.asarray(self.order.out[: OUT * count]).reshape(-1, OUT)
        return timing_of(self.design, rows, out, self._all_facts(rows[:count]), self.cycles)

    def _all_facts(self, rows: Rows) -> NDArray[np.int64] | None:
        """Facts of the fetch and the commands, flat; None if their fields say it all."""
        if not self.log.facts and not self.log.streams:
            return None
        facts = known_facts(self.design, rows).ravel()
        for column, value, at in self._found():
            facts[FACTS * (at + 1) + column] = value
        streams = dict(self.log.streams)
        placed = ((1 + at, streams[source]) for at, source in enumerate(self._sources.tolist()) if source in streams)
        with_streams(Machine.of(self.design), facts, placed)
        return facts


class Scheduler:
    """A log and what ordering must know of it, for as many paces as one likes.

    `data_beats`: beats of the data segment; `program_offset`: bytes of DRAM before the program.
    """

    def __init__(self, design: Design, log: Log, data_beats: int, program_offset: int) -> None:
        self.design, self.log, self.program_offset = design, log, program_offset
        self.machine = machine = Machine.of(design)
        count = self.count = len(log.rows)
        opcodes = np.ascontiguousarray(log.rows[:, OPCODE])
        self.facts, earliest = np.zeros(FACTS * (count + 2), np.int64), np.zeros(count, np.int64)
        self.logs, self.placed = Logs.of(count), Placed.of(count)
        data = (log.segments == DATA).astype(np.int64)
        sizes = np.array(depths(design, data_beats), np.int64)
        inputs = (machine, np.ascontiguousarray(log.rows).ravel(), in_force(log.rows), opcodes, data, sizes)
        outside = call(survey, count, inputs, (self.facts, self.logs, self.placed, earliest))
        assert not outside, (log.rows[outside - 1], sizes)
        for row, found in log.facts.items():
            for column, value in found.items():
                self.facts[FACTS * row + column] = value
        self.gaps = with_streams(machine, self.facts, log.streams)
        loads = opcodes == OP_LOAD
        self.declared = Declared(
            opcodes, np.flatnonzero(loads), np.flatnonzero(~loads), np.ascontiguousarray(log.items), earliest
        )
        self.store = Store(program_offset, design.buffers.program_commands, 0)
        fetched_in = beats(design, Target.PROGRAM, 8) * beat_cycles(machine, Target.PROGRAM) / 8  # a command
        self.hidden = -int(-(design.memory.latency_cycles + 10) // fetched_in)

    def fastest(self, search: bool = False) -> Ordered:
        """The fastest of as many program orders as are worth their time. Raises InputError as `order` does.

        `search`: of all of them, also with a longer first fetch.
        """
        if search:
            return self._fastest(list(product(PACES, (FIRST, LONGER))))
        return self._fastest([(pace, FIRST) for pace in PACES[: max(1, TRIED_COMMANDS // max(1, self.count))]])

    def order(self, pace: Pace, first: int = FIRST) -> Ordered:
        """The program order at a pace, at most `first` commands in the first fetch.

        Raises InputError if the waits do not fit their fields.
        """
        return self._fastest([(pace, first)])

    def _fastest(self, tried: Sequence[tuple[Pace, int]]) -> Ordered:
        """The fastest order of some paces, each with the most commands of its first fetch."""
        ways = [number for pace, most in tried for number in (*pace, self._first_fetch(most))]
        most = 2 * (self.count + 1) + self.store.capacity + 64  # a fetch brings more than itself
        made, other = Order.of(most), Order.of(most if len(tried) > 1 else 0)
        clock = Clock.of(most, 2 * most)
        inputs = (self.machine, self.declared, self.gaps, self.logs, self.store, np.array(ways, np.int64))
        error = call(fastest, self.count * len(tried), inputs, (self.facts, self.placed, clock, made, other))
        assert not error, error
        best = other if other.outcome[BEST] else made
        largest = int(best.waits.max())
        if largest >> WAIT_BITS:
            raise InputError(f"the program must have fewer than 2**{WAIT_BITS} commands of a unit, not {largest:,}")
        return Ordered(self.design, self.log, self.program_offset, best, int(best.outcome[CYCLES]))

    def _first_fetch(self, most: int) -> int:
        """As many commands as arrive until the first of them is answered: fewer would leave the bus idle."""
        first = min(self.count + 1, max(4, min(self.hidden, most, self.store.capacity // 2)))
        return whole_beats(self.machine, first)
