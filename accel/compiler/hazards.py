"""Waits: how many commands of the other units must be complete before a command may start.

A command waits for the latest earlier command of another unit that touches the same words (one of the two writing),
or that uses the same port of the same bank. Commands of one unit are in order by themselves. Waits that an earlier
command of the same unit has waited for already are left out.

The accesses of each place, unit and direction stand in a *log*, in the order in which the unit runs its commands. A
wait is found by looking from the newest back to the first that shares a word, and no further than what has been waited
for already. Sixteen neighbours have a box around them, so that most are passed over together. Nothing is kept by word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accel.compiler.access import (
    ACCESSES,
    END,
    NOTHING,
    PLACE,
    PLACES,
    PORT_COUNT,
    PORTS,
    SIZE,
    START,
    TABLE,
    WRITE,
    accesses_of,
    overlap,
)
from accel.rows import OPCODE, WIDTH
from accel.timing.facts import facts_of
from accel.timing.kernel import Ints, MutableInts, part
from accel.timing.machine import Machine
from accel.timing.sequencer import unit_of
from accel.timing.state import LOAD, UNITS

BOX = 16  # entries of a log with a box around them
LOGS = PLACES * UNITS * 2
LARGEST = 1 << 62


class Logs(NamedTuple):
    """Accesses of n commands by place, unit and direction.

    `table`: `accel.compiler.access.TABLE` numbers a command. `bases` (LOGS + 1): where each log begins in `entries`, a
    multiple of BOX. An entry is ACCESSES * command + access. `boxes`: lowest and highest word of each BOX entries.
    """

    table: MutableInts
    bases: MutableInts
    entries: MutableInts
    boxes: MutableInts

    @classmethod
    def of(cls, commands: int) -> Logs:
        """Room for so many commands."""
        entries = ACCESSES * commands + LOGS * BOX
        sizes = (TABLE * commands, LOGS + 1, entries, 2 * (entries // BOX + 1))
        return cls(*(np.zeros(size, np.int64) for size in sizes))


class Placed(NamedTuple):
    """What of the logs is in program order: the `ends` of the logs, the `numbers` of commands in their units.

    `ports`: the last user by port and unit. `waited`: what each unit has waited for, of each other.
    """

    ends: MutableInts
    numbers: MutableInts
    ports: MutableInts
    waited: MutableInts

    @classmethod
    def of(cls, commands: int) -> Placed:
        """Nothing placed yet, of so many commands."""
        sizes = (LOGS, commands, PORT_COUNT * UNITS, UNITS * UNITS)
        return cls(*(np.zeros(size, np.int64) for size in sizes))


@part
def log_of(place: int, unit: int, write: int) -> int:
    """The log of a place, a unit and a direction."""
    return (place * UNITS + unit) * 2 + write


@part
def fill_logs(m: Machine, rows: Ints, configs: Ints, data: Ints, depths: Ints, logs: Logs) -> int:
    """Find all accesses; 1 + the number of a command that leaves its memory, else 0.

    `rows` and `configs` as in `accel.timing.facts`, `data` as for `accesses_of`, `depths` of the places.
    """
    table, bases, entries, boxes = logs.table, logs.bases, logs.entries, logs.boxes
    count = len(configs)
    for k in range(count):
        accesses_of(m, rows, k * WIDTH, configs[k] * WIDTH, data[k], table, k * TABLE)
        unit = unit_of(rows[k * WIDTH + OPCODE])
        for j in range(ACCESSES):
            a = k * TABLE + j * SIZE
            place = table[a + PLACE]
            if place == NOTHING:
                break
            if table[a + START] < 0 or table[a + END] > depths[place]:
                return k + 1
            bases[log_of(place, unit, table[a + WRITE]) + 1] += 1
    for log in range(LOGS):
        bases[log + 1] = bases[log] + -(-bases[log + 1] // BOX) * BOX
    for k in range(bases[LOGS] // BOX):
        boxes[2 * k], boxes[2 * k + 1] = LARGEST, -1
    for k in range(count):
        unit = unit_of(rows[k * WIDTH + OPCODE])
        for j in range(ACCESSES):
            a = k * TABLE + j * SIZE
            if table[a + PLACE] == NOTHING:
                break
            log = log_of(table[a + PLACE], unit, table[a + WRITE])
            at = bases[log]
            entries[at] = k * ACCESSES + j
            box = 2 * (at // BOX)
            boxes[box] = min(boxes[box], table[a + START])
            boxes[box + 1] = max(boxes[box + 1], table[a + END])
            bases[log] = at + 1
    for log in range(LOGS, 0, -1):  # each base has moved to its log's end: back to the boundary behind the log before
        bases[log] = -(-bases[log - 1] // BOX) * BOX
    bases[0] = 0
    return 0


@part
def newest(logs: Logs, log: int, end: int, numbers: Ints, after: int, a: int) -> int:
    """The largest of `numbers` above `after` of a command that shares a word with the access at `a`; else `after`.

    Of the log, what stands before `end` counts.
    """
    table, boxes = logs.table, logs.boxes
    at = end - 1
    while at >= logs.bases[log]:
        entry = logs.entries[at]
        number = numbers[entry // ACCESSES]
        if number <= after:
            return after
        box = 2 * (at // BOX)
        if boxes[box] >= table[a + END] or boxes[box + 1] <= table[a + START]:
            at = at // BOX * BOX - 1
            continue
        if overlap(table, a, entry // ACCESSES * TABLE + entry % ACCESSES * SIZE):
            return number
        at -= 1
    return after


@part
def nothing_placed(logs: Logs, placed: Placed) -> int:
    """Begin a program order."""
    for log in range(LOGS):
        placed.ends[log] = logs.bases[log]
    for k in range(len(placed.ports)):
        placed.ports[k] = 0
    for k in range(len(placed.waited)):
        placed.waited[k] = 0
    return 0


@part
def find_waits(logs: Logs, placed: Placed, k: int, unit: int, number: int, waits: MutableInts, w: int) -> int:
    """Waits by unit, at `w`, of command `k`: the next in program order, and the `number`th of its unit."""
    table, ports, waited = logs.table, placed.ports, placed.waited
    t = k * TABLE
    used = table[t + PORTS]
    for other in range(UNITS):
        latest = waited[unit * UNITS + other]
        if other != unit:
            for port in range(PORT_COUNT):
                if used >> port & 1:
                    latest = max(latest, ports[port * UNITS + other])
            for j in range(ACCESSES):
                a = t + j * SIZE
                if table[a + PLACE] == NOTHING:
                    break
                for write in range(0 if table[a + WRITE] else 1, 2):
                    log = log_of(table[a + PLACE], other, write)
                    latest = newest(logs, log, placed.ends[log], placed.numbers, latest, a)
        waits[w + other] = 0
        if latest > waited[unit * UNITS + other]:
            waits[w + other] = latest
            waited[unit * UNITS + other] = latest
    placed.numbers[k] = number
    for port in range(PORT_COUNT):
        if used >> port & 1:
            ports[port * UNITS + unit] = number
    for j in range(ACCESSES):
        a = t + j * SIZE
        if table[a + PLACE] == NOTHING:
            break
        placed.ends[log_of(table[a + PLACE], unit, table[a + WRITE])] += 1
    return 0


@part
def earliest_of(logs: Logs, opcodes: Ints, placed: Placed, earliest: MutableInts) -> int:
    """How many operations must be dispatched before each LOAD; LOADs and operations in the order of declaration.

    Those are the ones up to the last, of those declared before, that use what the LOAD or one before it overwrites.
    """
    table, numbers = logs.table, placed.numbers
    operations, latest = 0, 0
    nothing_placed(logs, placed)
    for k in range(len(opcodes)):
        unit = unit_of(opcodes[k])
        if unit != LOAD:
            operations += 1
            numbers[k] = operations
        for j in range(ACCESSES):
            a = k * TABLE + j * SIZE
            place = table[a + PLACE]
            if place == NOTHING:
                break
            if unit != LOAD:
                placed.ends[log_of(place, unit, table[a + WRITE])] += 1
                continue
            for other in range(UNITS):
                for write in range(2):
                    if other != LOAD:
                        log = log_of(place, other, write)
                        latest = newest(logs, log, placed.ends[log], numbers, latest, a)
        earliest[k] = latest
    return 0


@part
def survey(
    m: Machine, rows: Ints, configs: Ints, opcodes: Ints, data: Ints, depths: Ints, facts: MutableInts, logs: Logs,
    placed: Placed, earliest: MutableInts,
) -> int:  # fmt: skip
    """All that ordering must know of commands: `facts_of`, `fill_logs` (what that gives is given) and `earliest_of`."""
    facts_of(m, rows, configs, facts)
    outside = fill_logs(m, rows, configs, data, depths, logs)
    if outside == 0:
        earliest_of(logs, opcodes, placed, earliest)
    return outside
