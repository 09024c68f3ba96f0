"""The state of the recurrence and what it says of a command, as flat numbers.

`state` is one flat sequence: the places below, of which `..._RING` begin rings of the last few cycles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import Machine
from accel.units import UNIT_NAMES

LOAD, COMPUTE, POST, STORE = (UNIT_NAMES.index(name) for name in ("load", "compute", "post", "store"))
UNITS = len(UNIT_NAMES)

# What is said of a command; AWAITED is the unit that READY comes from, -1 if it waited for none.
OUT = 7
PUSHED, READY, AWAITED, POPPED, ISSUED, COMPLETE, BUSY = range(OUT)

DISPATCHED, ENDED, READ, WRITTEN = range(4)
POPS, COUNTS = 4, 8  # by unit: commands taken, commands completed
FRONT, BACK, NEXT_BEAT, TAKEN, BURST_COUNT = range(12, 17)  # load
CHECKED, OFFERED = 26, 27  # load: cycles in which its last burst left those stages
SLOT, WEIGHTS, TILE, FINISHED = range(17, 21)  # compute
LAST, FREE = 21, 22  # post
STORED, STORE_COUNT = 23, 24  # store
DRAINED = 25  # post: its last output is written
RING = 64  # of the longest: Memory.outstanding_bursts
POP_RING = 32
TAKEN_RING = POP_RING + UNITS * RING
LASTS_RING = TAKEN_RING + RING
PENDING_RING = LASTS_RING + RING
STATE = PENDING_RING + RING


class Clock(NamedTuple):
    """Sequencer, queues and units after the commands so far.

    `done`: completions of the units, as many places each. `written`: cycles in which fetched commands are in the
    program buffer; those from READ to WRITTEN are not read yet.
    """

    state: MutableInts
    done: MutableInts
    written: MutableInts

    @classmethod
    def of(cls, commands: int, fetched: int) -> Clock:
        """Room for so many commands of a unit, and so many that are fetched."""
        return cls(np.zeros(STATE, np.int64), np.zeros(UNITS * commands, np.int64), np.zeros(fetched, np.int64))


@part
def reset(m: Machine, state: MutableInts) -> int:
    """The state before the first command."""
    for k in range(STATE):
        state[k] = 0
    state[DISPATCHED], state[NEXT_BEAT] = m.first_push, m.read_busy
    for k in range(m.outstanding):
        state[LASTS_RING + k] = -1
    state[TILE] = -m.min_tile
    state[LAST] = -m.post_cycles - 1
    state[DRAINED] = -1
    state[STORED] = -m.interval
    return 0


@part
def place(m: Machine, state: Ints, unit: int) -> int:
    """The first cycle in which a unit's queue has a place."""
    pops = state[POPS + unit]
    if pops < m.queue_depth:
        return 0
    return state[POP_RING + unit * RING + pops % m.queue_depth] + 1


@part
def popped(m: Machine, state: MutableInts, unit: int, cycle: int) -> int:
    """The unit takes a command from its queue."""
    state[POP_RING + unit * RING + state[POPS + unit] % m.queue_depth] = cycle
    state[POPS + unit] += 1
    return cycle
