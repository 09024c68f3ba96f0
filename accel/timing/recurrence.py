"""Cycle-exact timing of a Program: the max-plus recurrence of docs/architecture.md, "Timing contract".

Commands are taken once, in program order. Each unit's own timing (`accel/timing/<unit>.py`) says when it takes a
command and when it is done; `accel/timing/sequencer.py` has sequencer, queues, waits and the end of the program. The
cost is per command (and per burst inside loads), never per cycle. The compiler's scheduler uses the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import overload

import numpy as np
from numpy.typing import NDArray

from accel.commands import Command, Load, Opcode, Target
from accel.design import Design
from accel.dram import row_activations
from accel.entropy.program import coded_loads
from accel.events import COLUMN, DATA_EVENTS, Event
from accel.layout import beats
from accel.legal import check_rows
from accel.program import Program
from accel.rows import OPCODE, Rows, command_of, in_force, rows_of, waits_of
from accel.timing.coded import Stream, with_streams
from accel.timing.facts import EVENTS, events_of, facts_and_events_of, facts_of
from accel.timing.kernel import call
from accel.timing.machine import FACTS, FETCH_BEATS, GAP, ROW_BEATS, Machine
from accel.timing.machine import ROWS as FACT_ROWS
from accel.timing.sequencer import NEVER_FETCHED, run, unit_of
from accel.timing.state import AWAITED, BUSY, COMPLETE, COUNTS, ISSUED, NEXT_BEAT, OUT, POPPED, PUSHED, READY, Clock
from accel.units import UNIT_NAMES


@dataclass(frozen=True)
class Step:
    """One command in one unit, in cycles since start (the cycle in which start is pulsed is 0).

    `pop`: the cycle in which the unit takes it from its queue. `issued`: the first cycle in which the unit could take
    another command. `complete`: the cycle of its done pulse; the completion counter shows it in the next cycle. For
    configuration commands `complete` has no meaning for others. `busy`: cycles in which the unit's shared resource
    (AXI data channel, array, post pipeline) works for it. `events`: what it adds to the counters.
    """

    pop: int
    issued: int
    complete: int
    busy: int = 0
    events: dict[Event, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Timed:
    """One command's history: its unit, when it was pushed, and what its unit did with it.

    `ready`: first cycle in which its waits held; `awaited`: the unit that made it so ("" without waits).
    """

    unit: str
    pushed: int
    ready: int
    awaited: str
    step: Step


@dataclass(frozen=True)
class History(Sequence[Timed | None]):
    """Each command's history, None for NOP, END and what stands behind it; made when it is asked for.

    `opcodes` (n,), `out` (n, OUT) as in `accel.timing.state`; `counted` gives the `events`.
    """

    opcodes: NDArray[np.int64]
    out: NDArray[np.int64]
    counted: Callable[[], NDArray[np.int64]]

    @cached_property
    def events(self) -> NDArray[np.int64]:
        """(n, EVENTS) counts in the order of `Event`."""
        return self.counted()

    def __len__(self) -> int:
        return len(self.opcodes)

    @overload
    def __getitem__(self, index: int) -> Timed | None: ...

    @overload
    def __getitem__(self, index: slice) -> History: ...

    def __getitem__(self, index: int | slice) -> Timed | History | None:
        if isinstance(index, slice):
            return History(self.opcodes[index], self.out[index], partial(_part_of, self, index))
        unit, out = unit_of(int(self.opcodes[index])), self.out[index].tolist()
        if unit < 0 or not out[PUSHED]:
            return None
        counts = {event: int(self.events[index, k]) for event, k in COLUMN.items() if self.events[index, k]}
        step = Step(out[POPPED], out[ISSUED], out[COMPLETE], out[BUSY], counts)
        awaited = UNIT_NAMES[out[AWAITED]] if out[AWAITED] >= 0 else ""
        return Timed(UNIT_NAMES[unit], out[PUSHED], out[READY], awaited, step)


@dataclass(frozen=True)
class Timing:
    """Cycles from start to done, and what happened, as far as it is asked for.

    `history`, `rows`: of the hardware's own fetch and of the commands. `read_busy_cycles`: for so long after done DRAM
    gives no beat, because it gave one at the end, and gives one in so many cycles.
    """

    cycles: int
    history: History = field(repr=False)
    design: Design = field(repr=False)
    rows: Rows = field(repr=False)
    read_busy_cycles: int = 0

    @cached_property
    def commands(self) -> History:
        """Each command's history (None for NOP and END)."""
        return self.history[1:]

    @cached_property
    def first_fetch(self) -> Timed:
        """The history of the hardware's own fetch."""
        found = self.history[0]
        assert found is not None
        return found

    @cached_property
    def events(self) -> dict[Event, int]:
        """The counters at the end."""
        counts = zip(COLUMN, self.history.events.sum(axis=0).tolist(), strict=True)
        total = {event: count for event, count in counts if event not in DATA_EVENTS}
        total[Event.COMMANDS] = int((self.history.out[:, PUSHED] > 0).sum())
        total[Event.CYCLES] = self.cycles
        return total

    @cached_property
    def activations(self) -> NDArray[np.int64]:
        """(1 + n,) rows of the DRAM that the fetch and each command open, as `accel.dram` counts them."""
        ran, found = self.history.out[:, PUSHED] != 0, np.zeros(len(self.rows), np.int64)
        ran[0] = True
        found[ran] = row_activations(self.design, self.rows[ran])
        return found

    @property
    def row_activations(self) -> int:
        """Rows of the DRAM that are opened."""
        return int(self.activations.sum())


class DeadlockError(Exception):
    """A command waits for one that comes later in program order, or commands are never fetched."""


def time_program(program: Program, read_busy_cycles: int = 0) -> Timing:
    """Time every command of the program; where time depends on activations, as if none of them were zero.

    `read_busy_cycles`: those of the image before, whose end is this one's start.

    Raises DeadlockError where the hardware would end in TIMEOUT, IllegalCommandError where it would end in FIELD,
    DamagedStream where it would end in STREAM.
    """
    fetch = first_fetch(program.design, program.program_offset, program.first_fetch)
    rows = np.concatenate([rows_of([fetch]), rows_of(program.commands)])
    streams = [(1 + index, made) for index, made in coded_loads(program)]
    if program.facts is None:
        return time_rows(program.design, rows, None, streams, read_busy_cycles)
    facts = np.concatenate([known_facts(program.design, rows[:1]), program.facts])
    return time_rows(program.design, rows, facts, streams, read_busy_cycles)


def first_fetch(design: Design, program_offset: int, count: int) -> Load:
    """The LOAD that the hardware pushes by itself when it is started."""
    return Load(dram_addr=program_offset, target=Target.PROGRAM, row_beats=beats(design, Target.PROGRAM, count))


def time_commands(design: Design, commands: Sequence[Command], program_offset: int, fetch_count: int) -> Timing:
    """As `time_program`, of bare commands."""
    return time_rows(design, rows_of([first_fetch(design, program_offset, fetch_count), *commands]))


def time_rows(
    design: Design,
    rows: Rows,
    facts: NDArray[np.int64] | None = None,
    streams: Iterable[tuple[int, Stream]] = (),
    read_busy_cycles: int = 0,
) -> Timing:
    """As `time_program`, of rows, the first of which is the hardware's own fetch.

    `facts` (n, FACTS): what the commands' durations depend on, by default `known_facts`. `streams`: those of the coded
    LOADs, by number of the row.
    """
    check_rows(design, rows[1:])
    ends = np.flatnonzero(rows[:, OPCODE] == Opcode.END)
    count = int(ends[0]) + 1 if len(ends) else len(rows)
    machine = Machine.of(design)._replace(read_busy=read_busy_cycles)
    if facts is None:
        facts = known_facts(design, rows[:count])
    flat_facts = np.array(facts[:count]).ravel()
    gaps = with_streams(machine, flat_facts, streams)
    out = np.zeros((len(rows), OUT), np.int64)
    waits, result = waits_of(rows[:count]), np.zeros(2, np.int64)
    clock = Clock.of(count, fetched(facts))
    failed = call(run, count, (machine, flat_facts, gaps, waits.ravel()), (clock, out.ravel(), result))
    if failed:
        raise DeadlockError(_reason(rows, waits, clock.state, failed, int(result[1])))
    timing = timing_of(design, rows, out, flat_facts, int(result[0]))
    return replace(timing, read_busy_cycles=max(0, int(clock.state[NEXT_BEAT]) - timing.cycles))


def known_facts(design: Design, rows: Rows) -> NDArray[np.int64]:
    """(n, FACTS) what the durations of commands depend on, as far as design, command and configuration tell."""
    facts = np.zeros((len(rows), FACTS), np.int64)
    flat = np.ascontiguousarray(rows).ravel()
    call(facts_of, len(rows), (Machine.of(design), flat, in_force(rows)), (facts.ravel(),))
    return facts


def fetched(facts: NDArray[np.int64]) -> int:
    """Commands that all fetches together bring."""
    fetches = facts[(facts[:, OPCODE] == Opcode.LOAD) & (facts[:, FETCH_BEATS] > 0)]
    beats_read = fetches[:, ROW_BEATS] * fetches[:, FACT_ROWS]
    return int((beats_read // np.maximum(fetches[:, FETCH_BEATS], 1) * fetches[:, GAP]).sum())


def timing_of(
    design: Design, rows: Rows, out: NDArray[np.int64], facts: NDArray[np.int64] | None, cycles: int
) -> Timing:
    """The Timing of what the recurrence said of n commands, the hardware's own fetch first.

    `facts` (FACTS of each command that can run,), flat; None: what the rows tell, all of which can run.
    """
    history = History(rows[:, OPCODE], out, partial(_events, design, rows, facts))
    return Timing(cycles, history, design, rows)


def _events(design: Design, rows: Rows, facts: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(n, EVENTS) counts of n commands."""
    count, events = len(rows) if facts is None else len(facts) // FACTS, np.zeros((len(rows), EVENTS), np.int64)
    inputs = (Machine.of(design), np.ascontiguousarray(rows[:count]).ravel(), in_force(rows[:count]))
    if facts is None:
        call(facts_and_events_of, count, inputs, (np.zeros(FACTS * count, np.int64), events.ravel()))
    else:
        call(events_of, count, (*inputs, facts), (events.ravel(),))
    return events


def _part_of(history: History, index: slice) -> NDArray[np.int64]:
    return history.events[index]


def _reason(rows: Rows, waits: NDArray[np.int64], state: NDArray[np.int64], index: int, error: int) -> str:
    """Why the command of row `index` never starts."""
    if error == NEVER_FETCHED:
        return f"command {index - 1} is never fetched"
    counts = state[COUNTS : COUNTS + len(UNIT_NAMES)]
    unit = int((waits[index] > counts).argmax())
    return (
        f"{command_of(rows[index])} waits for {waits[index, unit]} {UNIT_NAMES[unit]} commands, "
        f"{counts[unit]} come before it"
    )
