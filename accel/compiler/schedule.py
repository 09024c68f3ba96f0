"""Program order: operations, loads hoisted before them, and the fetches of the program itself.

The sequencer dispatches in order and stops at a full queue, so a load that comes too early delays everything behind it
and one that comes too late lets the array wait. Commands are therefore ordered by when their units could take them:
a rough simulation of the four queues runs along, and of the next load and the next operation the one is dispatched
first whose queue has a place first. Loads stay in the order in which their data is needed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

from accel.commands import COMMAND_BYTES, Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store, Target
from accel.compiler.estimate import COMPUTE_LATENCY, POST_LATENCY, STORE_LATENCY, beat_cycles, tile_cycles
from accel.compiler.hazards import UNIT_OF, Hazards, Unit, with_waits
from accel.compiler.ops import Item, Op
from accel.design import Design
from accel.latency import QUEUE_DEPTH, SEQUENCER_INTERVAL
from accel.layout import beats, words_per_beat


FETCH_COMMANDS = 16  # of one fetch, if the program buffer has room for twice as many
LOW_WATER = 14  # commands in the buffer that bridge the time until a fetch is answered


class Segment(Enum):
    """What a command's DRAM address counts from."""

    NONE = 0
    CONSTANTS = 1
    DATA = 2
    PROGRAM = 3


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


class Clock:
    """The rough simulation: when each unit takes a command, and when it has done it."""

    def __init__(self, design: Design, first_fetch: int) -> None:
        self.design = design
        self.pops: list[deque[float]] = [deque(maxlen=QUEUE_DEPTH) for _ in Unit]
        self.free = [0.0] * 4
        self.data_free = 0.0
        self.done: list[list[float]] = [[] for _ in Unit]
        self.dispatched = 0.0
        self.taps = 1  # of the convolution that is configured
        self.reduce = 1  # elements of the post window that is configured
        self.take(Load(target=Target.PROGRAM, row_beats=beats(design, Target.PROGRAM, first_fetch)), (0, 0, 0, 0))

    def place(self, unit: Unit) -> float:
        """When the unit's queue has a place."""
        pops = self.pops[unit]
        return pops[0] if len(pops) == QUEUE_DEPTH else 0.0

    def take(self, command: Command, waits: tuple[int, int, int, int]) -> None:
        """Dispatch a command."""
        unit = UNIT_OF[type(command)]
        self.dispatched = max(self.dispatched + SEQUENCER_INTERVAL, self.place(unit))
        start = max(self.dispatched + 1, self.free[unit])
        for other, wait in enumerate(waits):
            if wait:
                start = max(start, self.done[other][wait - 1] + 1)
        self.pops[unit].append(start)
        design, memory = self.design, self.design.memory
        match command:
            case Load():
                cycles = command.rows * command.row_beats * beat_cycles(
                    design, Target(command.target), bool(command.window)
                )
                begin = max(start + memory.latency_cycles + 2, self.data_free + 2)
                self.data_free = begin + cycles
                self.free[unit] = max(start + 3, begin)
                self.done[unit].append(self.data_free + 1)
            case Compute():
                tile = tile_cycles(design, command.out_h * command.out_w)
                cycles = int(command.n_tiles * command.groups * self.taps * tile)
                self.free[unit] = start + cycles + 2
                self.done[unit].append(self.free[unit] + design.rows + design.cols + COMPUTE_LATENCY)
            case Post():
                self.free[unit] = start + command.chunks * command.out_h * command.out_w * self.reduce + 2
                self.done[unit].append(self.free[unit] + POST_LATENCY)
            case Store():
                words = beats(design, Target.ACTIVATION, command.row_words) * command.rows
                cycles = words * beat_cycles(design, Target.ACTIVATION)
                self.free[unit] = start + cycles + memory.latency_cycles + STORE_LATENCY
                self.done[unit].append(self.free[unit])
            case ConfigPost():
                self.free[unit] = start + 1
                self.reduce = command.win_h * command.win_w
            case ConfigCompute():
                self.free[unit] = start + 1
                self.taps = command.kernel_h * command.kernel_w


class Scheduler:
    """Takes commands in program order and puts fetches between them. `total` counts all commands, END included."""

    def __init__(self, design: Design, data_beats: int, total: int) -> None:
        self.design, self.left = design, total
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
        hidden = round((self.design.memory.latency_cycles + 8) / cycles)
        return max(4, min(hidden, 12, self.capacity // 2))

    def _chunk(self) -> int:
        """Commands of one fetch."""
        return self._whole(min(FETCH_COMMANDS, self.capacity // 2))

    def add(self, command: Command, layer: int, segment: Segment) -> None:
        """Append a command, after a fetch if one is needed and has room (and is not the very first command)."""
        ready = self.fetched - len(self.placed)  # commands in the buffer, the next one included
        while self.left > ready and (ready == 1 or self.placed):
            chunk = self._chunk()
            room = (self.capacity - ready + 1) // self.unit * self.unit
            if ready > 1 and (room < chunk or ready > LOW_WATER):
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
        if not isinstance(command, (End, Nop)):
            waits = self.hazards.place(command, segment is Segment.DATA)
            self.clock.take(command, waits)
            command = with_waits(command, waits)
        self.placed.append(Placed(command, layer, segment))

    def finish(self) -> Schedule:
        """The schedule, filled up to what was fetched."""
        while len(self.placed) < self.fetched:
            self.placed.append(Placed(Nop(), -1, Segment.NONE))
        return Schedule(self.placed, self.first_fetch)


def schedule(design: Design, ops: list[Op], items: list[Item], data_beats: int) -> Schedule:
    """Program order of operations and items."""
    total = len(ops) + sum(len(item.loads) for item in items) + 1
    made = Scheduler(design, data_beats, total)
    loaded = 0

    def load() -> None:
        item = items[loaded]
        for command in item.loads:
            made.add(command, item.layer, Segment.DATA if item.data else Segment.CONSTANTS)

    for index, op in enumerate(ops):
        unit = UNIT_OF[type(op.command)]
        while loaded < len(items) and items[loaded].earliest <= index:
            needed = loaded < op.items
            if not needed and made.clock.place(Unit.LOAD) > max(made.clock.place(unit), made.clock.dispatched):
                break
            load()
            loaded += 1
        made.add(op.command, op.layer, Segment.DATA if unit is Unit.STORE else Segment.NONE)
    assert loaded == len(items)
    made.add(End(), -1, Segment.NONE)
    return made.finish()
