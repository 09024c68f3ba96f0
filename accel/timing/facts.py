"""Facts and counts of commands: all that timing and the counters need of a command and the configuration in force."""

from __future__ import annotations

from accel.commands import Opcode
from accel.events import Event
from accel.rows import OPCODE, WIDTH
from accel.timing.compute import compute_events, compute_facts
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.load import load_events, load_facts
from accel.timing.machine import FACTS, Machine
from accel.timing.outputs import outputs_events
from accel.timing.post import post_events, post_facts
from accel.timing.sparse import sparse_events, sparse_facts
from accel.timing.store import store_events, store_facts

EVENTS = len(Event)
LOAD, COMPUTE, POST, STORE = int(Opcode.LOAD), int(Opcode.COMPUTE), int(Opcode.POST), int(Opcode.STORE)


@part
def facts_of(m: Machine, rows: Ints, configs: Ints, facts: MutableInts) -> int:
    """The facts of every command.

    `rows`: rows of commands one after the other; `configs`: for each the number of the row that is its configuration
    in force (`accel.rows.in_force`); `facts`: `FACTS` places a command.
    """
    for k in range(len(configs)):
        r, c, f = k * WIDTH, configs[k] * WIDTH, k * FACTS
        opcode = rows[r + OPCODE]
        facts[f] = opcode
        if opcode == LOAD:
            load_facts(m, rows, r, facts, f)
        elif opcode == COMPUTE and m.sparse:
            sparse_facts(m, rows, r, c, facts, f)
        elif opcode == COMPUTE:
            compute_facts(m, rows, r, c, facts, f)
        elif opcode == POST:
            post_facts(m, rows, r, c, facts, f)
        elif opcode == STORE:
            store_facts(m, rows, r, facts, f)
    return 0


@part
def events_of(m: Machine, rows: Ints, configs: Ints, facts: Ints, events: MutableInts) -> int:
    """The counts of every command, `EVENTS` places each, in the order of `Event`; arguments as for `facts_of`."""
    for k in range(len(configs)):
        r, c, f, e = k * WIDTH, configs[k] * WIDTH, k * FACTS, k * EVENTS
        opcode = facts[f]
        if opcode == LOAD:
            load_events(m, rows, r, facts, f, events, e)
        elif opcode == COMPUTE and m.sparse:
            sparse_events(m, rows, r, c, facts, f, events, e)
        elif opcode == COMPUTE and m.outputs:
            outputs_events(m, rows, r, c, facts, f, events, e)
        elif opcode == COMPUTE:
            compute_events(m, rows, r, c, facts, f, events, e)
        elif opcode == POST:
            post_events(m, rows, r, c, events, e)
        elif opcode == STORE:
            store_events(m, rows, r, facts, f, events, e)
    return 0


@part
def facts_and_events_of(m: Machine, rows: Ints, configs: Ints, facts: MutableInts, events: MutableInts) -> int:
    """As `facts_of`, and then `events_of`."""
    facts_of(m, rows, configs, facts)
    return events_of(m, rows, configs, facts, events)
