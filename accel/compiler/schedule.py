"""A log of operations and loads put in program order: the fastest of some ways, and exactly how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accel.commands import COMMAND_BYTES, WAIT_BITS, End, Load, Nop, Opcode, Target
from accel.compiler.access import depths
from accel.compiler.estimate import beat_cycles
from accel.compiler.hazards import Logs, Placed, earliest_of, fill_logs
from accel.compiler.ops import ALIGNMENT, Log, Segment
from accel.compiler.ordering import (
    CYCLES,
    FETCH,
    FETCHED,
    FINISH,
    OUTCOME,
    PLACED,
    Declared,
    Order,
    Pace,
    Store,
    order,
)
from accel.design import Design
from accel.layout import beats, words_per_beat
from accel.models.errors import InputError
from accel.rows import LOAD, OPCODE, STORE, Rows, in_force, row_of, set_waits
from accel.timing.coded import with_streams
from accel.timing.facts import facts_of
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
FIRST, LONGER = 12, 24  # commands that the hardware fetches by itself, at most; in a search also so many
TRIED_COMMANDS = 1000  # of all paces that are tried together


def _first_fetch(design: Design, commands: int, most: int = FIRST) -> int:
    """As many commands as arrive until the first of them is answered: fewer would leave the bus idle."""
    cycles = beats(design, Target.PROGRAM, 8) * beat_cycles(Machine.of(design), Target.PROGRAM) / 8
    hidden = -int(-(design.memory.latency_cycles + 10) // cycles)
    unit = words_per_beat(design, Target.PROGRAM)
    first = min(commands, max(4, min(hidden, most, design.buffers.program_commands // 2)))
    return -(-first // unit) * unit


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
        sources, placed = self._sources, len(self._sources)
        rows = self.log.rows[sources]
        in_data = (self.log.segments[sources] == Segment.DATA) & (sources >= 0)
        for opcode, column in ((Opcode.LOAD, LOAD.dram_addr), (Opcode.STORE, STORE.dram_addr)):
            rows[in_data & (rows[:, OPCODE] == opcode), column] += self.data_offset
        rows[sources == FETCH] = row_of(Load, target=Target.PROGRAM)
        rows[sources == FINISH] = row_of(End)
        fetches = np.asarray(self.order.fetches[2 : 2 * placed + 2]).reshape(-1, 2)[sources == FETCH]
        unit = words_per_beat(self.design, Target.PROGRAM)
        rows[sources == FETCH, LOAD.dram_addr] = self.program_offset + fetches[:, 0] * COMMAND_BYTES
        rows[sources == FETCH, LOAD.row_beats] = beats(self.design, Target.PROGRAM, 1) * -(-fetches[:, 1] // unit)
        set_waits(rows, np.asarray(self.order.waits[UNITS : UNITS * (placed + 1)]).reshape(-1, UNITS))
        return np.concatenate([rows, np.tile(np.array(row_of(Nop), np.int64), (self._filling, 1))])

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
        first = np.array(
            row_of(
                Load, dram_addr=self.program_offset, target=Target.PROGRAM,
                row_beats=beats(self.design, Target.PROGRAM, self.first_fetch),
            )
        )[None]  # fmt: skip
        rows = np.concatenate([first, self.rows()])
        count, machine = len(self._sources) + 1, Machine.of(self.design)
        flat, configs = rows[:count].ravel(), in_force(rows[:count])
        facts = np.zeros(FACTS * count, np.int64)
        call(facts_of, count, (machine, flat, configs), (facts,))
        for column, value, at in self._found():
            facts[FACTS * (at + 1) + column] = value
        streams = dict(self.log.streams)
        placed = ((1 + at, streams[source]) for at, source in enumerate(self._sources.tolist()) if source in streams)
        with_streams(machine, facts, placed)
        out = np.zeros((len(rows), OUT), np.int64)
        out[:count] = np.asarray(self.order.out[: OUT * count]).reshape(-1, OUT)
        return timing_of(self.design, rows, out, facts, self.cycles)


class Scheduler:
    """A log and what ordering must know of it, for as many paces as one likes.

    `data_beats`: beats of the data segment; `program_offset`: bytes of DRAM before the program.
    """

    def __init__(self, design: Design, log: Log, data_beats: int, program_offset: int) -> None:
        self.design, self.log, self.program_offset = design, log, program_offset
        self.machine = machine = Machine.of(design)
        count = self.count = len(log.rows)
        flat, configs = np.ascontiguousarray(log.rows).ravel(), in_force(log.rows)
        opcodes = np.ascontiguousarray(log.rows[:, OPCODE])
        self.facts = np.zeros(FACTS * (count + 2), np.int64)
        call(facts_of, count, (machine, flat, configs), (self.facts,))
        for row, found in log.facts.items():
            for column, value in found.items():
                self.facts[FACTS * row + column] = value
        self.gaps = with_streams(machine, self.facts, log.streams)
        self.logs, self.placed = Logs.of(count), Placed.of(count)
        data = (log.segments == Segment.DATA).astype(np.int64)
        sizes = np.array(depths(design, data_beats), np.int64)
        outside = call(fill_logs, count, (machine, flat, configs, data, sizes), (self.logs,))
        assert not outside, (log.rows[outside - 1], sizes)
        earliest = np.zeros(count, np.int64)
        call(earliest_of, count, (self.logs, opcodes), (self.placed, earliest))
        loads = opcodes == Opcode.LOAD
        self.declared = Declared(
            opcodes, np.flatnonzero(loads), np.flatnonzero(~loads), np.ascontiguousarray(log.items), earliest
        )
        self.store = Store(program_offset, design.buffers.program_commands, _first_fetch(design, count + 1))

    def fastest(self, search: bool = False) -> Ordered:
        """The fastest of as many program orders as are worth their time. Raises InputError as `order` does.

        `search`: of all of them, also with a longer first fetch.
        """
        if search:
            return min((self.order(*way) for way in product(PACES, (FIRST, LONGER))), key=lambda o: o.cycles)
        tried = PACES[: max(1, TRIED_COMMANDS // max(1, self.count))]
        return min((self.order(pace) for pace in tried), key=lambda ordered: ordered.cycles)

    def order(self, pace: Pace, first: int = FIRST) -> Ordered:
        """The program order at a pace, at most `first` commands in the first fetch.

        Raises InputError if the waits do not fit their fields.
        """
        store = self.store._replace(first=_first_fetch(self.design, self.count + 1, first))
        most = 2 * (self.count + 1) + self.store.capacity + 64  # a fetch brings more than itself
        sizes = (most, 2 * most, UNITS * most, OUT * most, OUTCOME)
        made = Order(*(np.zeros(size, np.int64) for size in sizes))
        clock = Clock.of(most, 2 * most)
        inputs = (self.machine, self.declared, self.gaps, self.logs, store, pace)
        error = call(order, self.count, inputs, (self.facts, self.placed, clock, made))
        assert not error, error
        largest = int(made.waits.max())
        if largest >> WAIT_BITS:
            raise InputError(f"the program must have fewer than 2**{WAIT_BITS} commands of a unit, not {largest:,}")
        return Ordered(self.design, self.log, self.program_offset, made, int(made.outcome[CYCLES]))
