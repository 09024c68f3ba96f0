"""Program order: operations, loads hoisted before them, and the fetches of the program itself.

The sequencer dispatches in order and stops at a full queue, so a load that comes too early delays everything behind it
and one that comes too late lets the array wait. Commands are therefore ordered by when their units could take them: the
recurrence of the timing contract runs along, and of the next load and the next operation the one is dispatched first
whose queue has a place first. Loads stay in the order in which their data is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accel.commands import COMMAND_BYTES, Opcode, Target
from accel.compiler.hazards import Logs, Placed, find_waits, nothing_placed
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import (
    FACTS,
    FETCH_BEATS,
    FIRST_BEAT,
    GAP,
    GAPS,
    PITCH_BEATS,
    ROW_BEATS,
    ROWS,
    RUNS,
    VALUES,
    Machine,
)
from accel.timing.sequencer import begin, cycles, take, unit_of
from accel.timing.state import COUNTS, DISPATCHED, LOAD, NEXT_BEAT, OUT, UNITS, Clock, place

PROGRAM = int(Target.PROGRAM)
OP_LOAD, OP_END = int(Opcode.LOAD), int(Opcode.END)
FETCH, FINISH = -1, -2  # sources of commands that are no row of the log: a fetch, END


class Pace(NamedTuple):
    """How loads and fetches stand between operations.

    A fetch brings `commands` when `low` are left, or as soon as there is room if it will wait for more than `backlog`
    cycles of loads. Items are loaded before they are needed: at most `ahead` of them, and no more than `hold` cycles
    of loads, which would only delay fetches.
    """

    commands: int = 16
    low: int = 14
    ahead: int = 1 << 20
    hold: int = 1000
    backlog: int = 2000


class Store(NamedTuple):
    """Where a program is fetched from and to: its first byte in DRAM, places in the buffer, commands fetched first."""

    offset: int
    capacity: int
    first: int


class Declared(NamedTuple):
    """A log as ordering sees it, n rows.

    `opcodes` (n); `loads`, `operations`: the rows that are LOADs and that are not; `items` (n): of a LOAD its item, of
    an operation how many items it needs; `earliest` (n): operations before each LOAD.
    """

    opcodes: MutableInts
    loads: MutableInts
    operations: MutableInts
    items: MutableInts
    earliest: MutableInts


class Order(NamedTuple):
    """A program order, the hardware's own fetch first.

    `sources`: rows of the log, FETCH or FINISH. `fetches`: first command and commands of each fetch, two numbers a
    command. `waits` by unit, and `out` as in `accel.timing.state`. `outcome`: see PLACED and its neighbours.
    """

    sources: MutableInts
    fetches: MutableInts
    waits: MutableInts
    out: MutableInts
    outcome: MutableInts

    @classmethod
    def of(cls, commands: int) -> Order:
        """Room for so many commands, those of the fetches included."""
        sizes = (commands, 2 * commands, UNITS * commands, OUT * commands, OUTCOME)
        return cls(*(np.zeros(size, np.int64) for size in sizes))


WAY = len(Pace._fields) + 1  # numbers of a way to order: its pace, and the commands that are fetched first
OUTCOME = 5
# Commands in order, commands fetched, commands to come, time; whether it is the fastest of those that were compared.
PLACED, FETCHED, LEFT, CYCLES, BEST = range(OUTCOME)


@part
def whole_beats(m: Machine, commands: int) -> int:
    """Commands rounded up to whole beats."""
    unit = m.words_per_beat[PROGRAM]
    return -(-commands // unit) * unit


@part
def fetch_facts(m: Machine, facts: MutableInts, f: int, first: int, commands: int, offset: int) -> int:
    """Facts, at `f`, of a fetch of `commands` from the `first` on, of a program at `offset`."""
    unit = m.words_per_beat[PROGRAM]
    facts[f] = OP_LOAD
    facts[f + FIRST_BEAT] = (offset + first * COMMAND_BYTES) // m.beat_bytes
    facts[f + ROW_BEATS] = -(-commands // unit) * m.beats_per_word[PROGRAM]
    facts[f + ROWS], facts[f + PITCH_BEATS] = 1, 0
    facts[f + GAP], facts[f + FETCH_BEATS] = unit, m.beats_per_word[PROGRAM]
    facts[f + GAPS], facts[f + RUNS], facts[f + VALUES] = 0, 0, 0
    return 0


@part
def append(
    m: Machine, facts: Ints, f: int, gaps: Ints, source: int, logs: Logs, placed: Placed, clock: Clock, made: Order
) -> int:
    """The next command in program order, its facts at `f`; what `take` gives."""
    at, unit = made.outcome[PLACED], unit_of(facts[f])
    w = at * UNITS
    if source >= 0 and unit >= 0:
        find_waits(logs, placed, source, unit, clock.state[COUNTS + unit] + 1, made.waits, w)
    else:
        for other in range(UNITS):
            made.waits[w + other] = 0
    for k in range(at * OUT, (at + 1) * OUT):
        made.out[k] = 0
    made.sources[at] = source
    made.outcome[PLACED] = at + 1
    return take(m, clock, facts, f, gaps, made.waits, w, made.out, at * OUT)


@part
def add(
    m: Machine, facts: MutableInts, f: int, gaps: Ints, source: int, logs: Logs, placed: Placed, clock: Clock,
    store: Store, pace: Pace, made: Order,
) -> int:  # fmt: skip
    """As `append`, after a fetch if one is needed and has room (and the command is not the very first)."""
    outcome, state = made.outcome, clock.state
    scratch = len(facts) - FACTS
    ready = outcome[FETCHED] - (outcome[PLACED] - 1)  # commands in the buffer, the next one included
    while outcome[LEFT] > ready and (ready == 1 or outcome[PLACED] > 1):
        chunk = whole_beats(m, min(pace.commands, store.capacity // 2))
        room = (store.capacity - ready + 1) // m.words_per_beat[PROGRAM] * m.words_per_beat[PROGRAM]
        late = state[NEXT_BEAT] - state[DISPATCHED] > pace.backlog  # the fetch will come after long loads
        if ready > 1 and (room < chunk or (ready > pace.low and not late)):
            break
        size = min(room, chunk, whole_beats(m, outcome[LEFT] - ready + 1))
        fetch_facts(m, facts, scratch, outcome[FETCHED], size, store.offset)
        made.fetches[2 * outcome[PLACED]], made.fetches[2 * outcome[PLACED] + 1] = outcome[FETCHED], size
        error = append(m, facts, scratch, gaps, FETCH, logs, placed, clock, made)
        if error:
            return error
        outcome[FETCHED] += size
        ready += size - 1
    outcome[LEFT] -= 1
    return append(m, facts, f, gaps, source, logs, placed, clock, made)


@part
def due(m: Machine, state: Ints, opcode: int, pace: Pace) -> int:
    """Whether the loader should get its next command before an operation is dispatched."""
    operation = max(place(m, state, unit_of(opcode)), state[DISPATCHED])
    return 1 if place(m, state, LOAD) <= operation and state[NEXT_BEAT] <= operation + pace.hold else 0


@part
def order(
    m: Machine, log: Declared, gaps: Ints, logs: Logs, store: Store, pace: Pace, facts: MutableInts, placed: Placed,
    clock: Clock, made: Order,
) -> int:  # fmt: skip
    """Put a log's commands in program order; 0, or what `take` gave where it failed.

    `facts`: those of the log's commands, and two more rows to work with; `gaps`: the table of gaps. `made` may hold an
    earlier order.
    """
    loads, operations, outcome = log.loads, log.operations, made.outcome
    scratch = len(facts) - FACTS
    nothing_placed(logs, placed)
    outcome[PLACED], outcome[FETCHED], outcome[LEFT] = 1, store.first, len(loads) + len(operations) + 1
    fetch_facts(m, facts, scratch, 0, store.first, store.offset)
    made.sources[0], made.fetches[0], made.fetches[1] = FETCH, 0, store.first
    begin(m, clock, facts, scratch, gaps, made.out)
    at = item = reached = error = 0  # next LOAD, items loaded, items that operations so far have needed
    for index in range(len(operations)):
        k = operations[index]
        needs = log.items[k]
        reached = max(reached, needs)
        while at < len(loads) and error == 0:
            item = log.items[loads[at]]
            end = at
            while end < len(loads) and log.items[loads[end]] == item:
                end += 1
            needed = item < needs or at == 0  # nothing can start before a first load
            if log.earliest[loads[end - 1]] > index:
                break
            if not needed and (item - reached >= pace.ahead or not due(m, clock.state, log.opcodes[k], pace)):
                break
            while at < end and error == 0:
                error = add(m, facts, loads[at] * FACTS, gaps, loads[at], logs, placed, clock, store, pace, made)
                at += 1
        if error == 0:
            error = add(m, facts, k * FACTS, gaps, k, logs, placed, clock, store, pace, made)
    facts[scratch - FACTS] = OP_END
    if error == 0:
        error = add(m, facts, scratch - FACTS, gaps, FINISH, logs, placed, clock, store, pace, made)
    outcome[CYCLES] = cycles(m, clock)
    return error if at == len(loads) else -1


@part
def fastest(
    m: Machine, log: Declared, gaps: Ints, logs: Logs, store: Store, ways: Ints, facts: MutableInts, placed: Placed,
    clock: Clock, made: Order, other: Order,
) -> int:  # fmt: skip
    """The fastest of the orders in some ways, `WAY` numbers each, in `made` or `other`: its `outcome` says BEST.

    Of those that are as fast, the first. Else as `order`; one call for all of them, since entering compiled code takes
    as long as ordering a short program.
    """
    best, free = other, made
    for w in range(0, len(ways), WAY):
        pace = Pace(ways[w], ways[w + 1], ways[w + 2], ways[w + 3], ways[w + 4])
        from_there = Store(store.offset, store.capacity, ways[w + 5])
        error = order(m, log, gaps, logs, from_there, pace, facts, placed, clock, free)
        if error:
            return error
        if w == 0 or free.outcome[CYCLES] < best.outcome[CYCLES]:
            best, free = free, best
    best.outcome[BEST], free.outcome[BEST] = 1, 0
    return 0
