"""Sequencer, queues and waits: the recurrence over commands in program order."""

from __future__ import annotations

from accel.commands import Opcode
from accel.timing.compute import compute_step, config_compute_step
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.load import load_step
from accel.timing.machine import FACTS, Machine
from accel.timing.outputs import outputs_step
from accel.timing.post import config_post_step, post_step
from accel.timing.sparse import sparse_config_step, sparse_step
from accel.timing.state import (
    AWAITED,
    COMPLETE,
    COMPUTE,
    COUNTS,
    DISPATCHED,
    ENDED,
    LOAD,
    OUT,
    POPPED,
    POST,
    PUSHED,
    READ,
    READY,
    STORE,
    UNITS,
    WRITTEN,
    Clock,
    place,
    popped,
    reset,
)
from accel.timing.store import store_step
from accel.units import FIRST_FETCH

OP_LOAD, OP_COMPUTE, OP_POST, OP_STORE = (int(o) for o in (Opcode.LOAD, Opcode.COMPUTE, Opcode.POST, Opcode.STORE))
OP_CONFIG_COMPUTE, OP_CONFIG_POST = int(Opcode.CONFIG_COMPUTE), int(Opcode.CONFIG_POST)
OP_END, OP_NOP = int(Opcode.END), int(Opcode.NOP)

# What `take` gives when it is not 0: which command is never fetched, or waits for one that does not come before it.
NEVER_FETCHED, NEVER_READY = 1, 2


@part
def unit_of(opcode: int) -> int:
    """The unit that executes a command; -1 for what the sequencer takes itself."""
    if opcode == OP_LOAD:
        return LOAD
    if opcode in (OP_COMPUTE, OP_CONFIG_COMPUTE):
        return COMPUTE
    if opcode in (OP_POST, OP_CONFIG_POST):
        return POST
    return STORE if opcode == OP_STORE else -1


@part
def begin(m: Machine, clock: Clock, facts: Ints, f: int, gaps: Ints, out: MutableInts) -> int:
    """Begin with the fetch that the hardware makes by itself: its facts at `f`, what is said of it first in `out`."""
    reset(m, clock.state)
    out[PUSHED], out[READY], out[AWAITED] = m.first_push, 0, -1
    popped(m, clock.state, LOAD, load_step(m, clock.state, facts, f, gaps, m.first_push, 0, clock.written, out, 0))
    clock.done[LOAD * (len(clock.done) // UNITS)] = out[COMPLETE]
    clock.state[COUNTS + LOAD] = FIRST_FETCH
    return 0


@part
def take(
    m: Machine, clock: Clock, facts: Ints, f: int, gaps: Ints, waits: Ints, w: int, out: MutableInts, o: int
) -> int:
    """Dispatch the next command: its facts begin at `f`, its waits by unit at `w`, what is said of it at `o`.

    Gives 0, NEVER_FETCHED or NEVER_READY.
    """
    state, done, places = clock.state, clock.done, len(clock.done) // UNITS
    if state[READ] == state[WRITTEN]:
        return NEVER_FETCHED
    dispatch = max(state[DISPATCHED] + m.dispatch_interval, clock.written[state[READ]] + m.fetched_cycles)
    state[READ] += 1
    opcode = facts[f]
    if opcode in (OP_END, OP_NOP):
        state[DISPATCHED] = dispatch
        state[ENDED] = 1 if opcode == OP_END else 0
        return 0
    unit = unit_of(opcode)
    dispatch = max(dispatch, place(m, state, unit))
    ready, awaited = 0, -1
    for other in range(UNITS):
        count = waits[w + other]
        if count > state[COUNTS + other]:
            return NEVER_READY
        if count and done[other * places + count - 1] + 1 > ready:
            ready, awaited = done[other * places + count - 1] + 1, other
    state[DISPATCHED] = dispatch
    out[o + PUSHED], out[o + READY], out[o + AWAITED] = dispatch, ready, awaited
    if opcode == OP_CONFIG_COMPUTE:
        if m.sparse:
            popped(m, state, unit, sparse_config_step(m, state, dispatch, out, o))
        else:
            popped(m, state, unit, config_compute_step(m, state, dispatch, out, o))
        return 0
    if opcode == OP_CONFIG_POST:
        popped(m, state, unit, config_post_step(m, state, dispatch, out, o))
        return 0
    if opcode == OP_LOAD:
        load_step(m, state, facts, f, gaps, dispatch, ready, clock.written, out, o)
    elif opcode == OP_COMPUTE and m.sparse:
        sparse_step(m, state, facts, f, dispatch, ready, out, o)
    elif opcode == OP_COMPUTE and m.outputs:
        outputs_step(m, state, facts, f, dispatch, ready, out, o)
    elif opcode == OP_COMPUTE:
        compute_step(m, state, facts, f, dispatch, ready, out, o)
    elif opcode == OP_POST:
        post_step(m, state, facts, f, dispatch, ready, out, o)
    else:
        store_step(m, state, facts, f, dispatch, ready, out, o)
    popped(m, state, unit, out[o + POPPED])
    done[unit * places + state[COUNTS + unit]] = out[o + COMPLETE]
    state[COUNTS + unit] += 1
    return 0


@part
def cycles(m: Machine, clock: Clock) -> int:
    """Cycles from start to done, if nothing follows."""
    last, places = 0, len(clock.done) // UNITS
    for unit in range(UNITS):
        count = clock.state[COUNTS + unit]
        if count:
            last = max(last, clock.done[unit * places + count - 1])
    return max(clock.state[DISPATCHED], last + m.complete_cycles) + m.done_cycles


@part
def run(m: Machine, facts: Ints, gaps: Ints, waits: Ints, clock: Clock, out: MutableInts, result: MutableInts) -> int:
    """Time a program: the first facts are those of the hardware's own fetch.

    `gaps`: the table of gaps; `waits`: `UNITS` a command; `out`: `OUT` a command, the fetch first. `result` gets the
    cycles from start to done and, if it is not 0, what `take` gave for the command whose number is returned.
    """
    begin(m, clock, facts, 0, gaps, out)
    for k in range(1, len(facts) // FACTS):
        if clock.state[ENDED]:  # what fills the last beat behind END is never read
            break
        error = take(m, clock, facts, k * FACTS, gaps, waits, k * UNITS, out, k * OUT)
        if error:
            result[1] = error
            return k
    result[0] = cycles(m, clock)
    return 0
