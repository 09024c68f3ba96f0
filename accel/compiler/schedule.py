"""Program order: operations, loads hoisted before them, and the fetches of the program itself.

The sequencer dispatches in order and stops at a full queue, so a load that comes too early delays everything behind it
and one that comes too late lets the array wait. Commands are therefore ordered by when their units could take them:
a rough simulation of the four queues runs along, and of the next load and the next operation the one is dispatched
first whose queue has a place first. Loads stay in the order in which their data is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from accel.commands import COMMAND_BYTES, Command, End, Load, Nop, Target
from accel.compiler.access import Accesses, Marks
from accel.compiler.clock import Clock
from accel.compiler.estimate import beat_cycles
from accel.compiler.hazards import UNIT_OF, Hazards, Unit, with_waits
from accel.compiler.ops import Log, Segment
from accel.design import Design
from accel.layout import beats, words_per_beat
from accel.rows import command_of

HOLD = 1000  # cycles of loads that are dispatched before there is need: more would only delay fetches
BACKLOG = 2000  # cycles of loads before a fetch from which on it is made as soon as there is room


@dataclass(frozen=True)
class Pace:
    """How a program is fetched: `commands` at a time when `low` are left; `ahead`: items loaded before they are due."""

    commands: int = 16
    low: int = 14
    ahead: int = 1 << 20


# The first is for every program. Short ones try them all: there each beat that the bus carries at the wrong time shows.
PACES = (Pace(), Pace(16, 6), Pace(12, 2, 1), Pace(11, 1, 0), Pace(10, 1, 0), Pace(9, 1, 0))


@dataclass(frozen=True)
class Placed:
    """A command in program order, with its waits, its layer (-1 for fetches) and what its address counts from."""

    command: Command
    layer: int
    segment: Segment


@dataclass(frozen=True)
class Schedule:
    """All commands, and how many the hardware fetches by itself."""

    commands: list[Placed]
    first_fetch: int


class Scheduler:
    """Takes commands in program order and puts fetches between them. `total` counts all commands, END included."""

    def __init__(self, design: Design, data_beats: int, total: int, pace: Pace) -> None:
        self.design, self.left, self.pace = design, total, pace
        self.hazards = Hazards(design, data_beats)
        self.placed: list[Placed] = []
        self.capacity = design.buffers.program_commands
        self.unit = words_per_beat(design, Target.PROGRAM)  # commands of a beat
        self.first_fetch = self._whole(min(total, self._first()))
        self.fetched = self.first_fetch
        self.clock = Clock(design, self.first_fetch)

    def _whole(self, commands: int) -> int:
        """Rounded up to whole beats."""
        return -(-commands // self.unit) * self.unit

    def _first(self) -> int:
        """As many commands as arrive until the first of them is answered: fewer would leave the bus idle."""
        cycles = beats(self.design, Target.PROGRAM, 8) * beat_cycles(self.design, Target.PROGRAM) / 8
        hidden = -int(-(self.design.memory.latency_cycles + 10) // cycles)
        return max(4, min(hidden, 12, self.capacity // 2))

    def _chunk(self) -> int:
        """Commands of one fetch."""
        return self._whole(min(self.pace.commands, self.capacity // 2))

    def add(self, command: Command, layer: int, segment: Segment) -> None:
        """Append a command, after a fetch if one is needed and has room (and is not the very first command)."""
        ready = self.fetched - len(self.placed)  # commands in the buffer, the next one included
        while self.left > ready and (ready == 1 or self.placed):
            chunk = self._chunk()
            room = (self.capacity - ready + 1) // self.unit * self.unit
            late = self.clock.next_beat - self.clock.dispatched > BACKLOG  # the fetch will come after long loads
            if ready > 1 and (room < chunk or (ready > self.pace.low and not late)):
                break
            size = min(room, chunk, self._whole(self.left - ready + 1))
            fetch = Load(
                dram_addr=self.fetched * COMMAND_BYTES,
                target=Target.PROGRAM,
                row_beats=beats(self.design, Target.PROGRAM, size),
            )
            self._append(fetch, -1, Segment.PROGRAM)
            self.fetched += size
            ready += size - 1
        self._append(command, layer, segment)
        self.left -= 1

    def _append(self, command: Command, layer: int, segment: Segment) -> None:
        waits = (0, 0, 0, 0)
        if not isinstance(command, (End, Nop)):
            waits = self.hazards.place(command, segment is Segment.DATA)
            command = with_waits(command, waits)
        self.clock.take(command, waits)
        self.placed.append(Placed(command, layer, segment))

    def finish(self) -> Schedule:
        """The schedule, filled up to what was fetched."""
        while len(self.placed) < self.fetched:
            self.placed.append(Placed(Nop(), -1, Segment.NONE))
        return Schedule(self.placed, self.first_fetch)


@dataclass
class Item:
    """What some LOADs bring; it may be loaded once every operation before `earliest` is dispatched."""

    loads: list[Load]
    data: bool
    earliest: int
    layer: int


@dataclass
class Op:
    """A command of compute, post or store, and the number of items that must be loaded before it."""

    command: Command
    layer: int
    items: int


def declared(design: Design, log: Log, data_beats: int) -> tuple[list[Op], list[Item]]:
    """Operations and items of a log, with the operations that each item must stay behind."""
    accesses, touched = Accesses(design), Marks(design, data_beats)
    ops: list[Op] = []
    items: list[Item] = []
    for values, layer, segment, number in zip(log.rows, log.layers, log.segments, log.items, strict=True):
        command, data = command_of(values), segment == Segment.DATA
        found = accesses.of(command, data)[0]
        if not isinstance(command, Load):
            ops.append(Op(command, int(layer), int(number)))
            for access in found:
                touched.set(access, len(ops))
            continue
        while len(items) <= number:
            items.append(Item([], data, 0, int(layer)))
        items[number].loads.append(command)
        items[number].earliest = max([items[number].earliest, *(touched.latest(access) for access in found)])
    return ops, items


def order(design: Design, ops: list[Op], items: list[Item], data_beats: int, pace: Pace) -> Scheduler:
    """Program order of operations and items; the clock of the result knows how long it takes."""
    total = len(ops) + sum(len(item.loads) for item in items) + 1
    made = Scheduler(design, data_beats, total, pace)
    loaded = reached = 0

    def load() -> None:
        item = items[loaded]
        for command in item.loads:
            made.add(command, item.layer, Segment.DATA if item.data else Segment.CONSTANTS)

    for index, op in enumerate(ops):
        unit = UNIT_OF[type(op.command)]
        reached = max(reached, op.items)
        while loaded < len(items) and items[loaded].earliest <= index:
            needed = loaded < op.items or loaded == 0  # nothing can start before a first load
            next_op = max(made.clock.place(unit), made.clock.dispatched)
            later = made.clock.place(Unit.LOAD) > next_op or made.clock.next_beat > next_op + HOLD
            if not needed and (later or loaded - reached >= pace.ahead):
                break
            load()
            loaded += 1
        made.add(op.command, op.layer, Segment.DATA if unit is Unit.STORE else Segment.NONE)
    assert loaded == len(items)
    made.add(End(), -1, Segment.NONE)
    return made
