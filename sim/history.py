"""A timed program with what a walk through it looks up: who came before, who fetched whom, tiles and bursts."""

from __future__ import annotations

from bisect import bisect_left

from accel.commands import COMMAND_BYTES, Command, Compute, ConfigCompute, Load, Post, Store, Target
from accel.entropy.program import coded_loads
from accel.program import Program, bound
from accel.sim.bursts import bursts, uses
from accel.timing.coded import Stream
from accel.timing.compute import blocks_of, tile_cycles, tiles_of
from accel.timing.load import unpack_cycles
from accel.timing.machine import Machine
from accel.timing.outputs import drain_cycles
from accel.timing.recurrence import Step, Timed, Timing, first_fetch
from accel.units import UNIT_NAMES, UNIT_OF


class History:
    """The commands by index: 0 is the hardware's own fetch, i + 1 command i of the program."""

    def __init__(self, program: Program, timing: Timing) -> None:
        self.design, self.machine, self.timing = program.design, Machine.of(program.design), timing
        fetch = first_fetch(program.design, program.program_offset, program.first_fetch)
        self.commands: list[Command] = [fetch, *program.commands]
        self.timed: list[Timed | None] = [timing.first_fetch, *timing.commands]
        self.kernel = [1] * len(self.commands)  # taps in force
        self.beside = [0] * len(self.commands)
        self.place = [0] * len(self.commands)  # in its unit's queue
        self.counted = [0] * len(self.commands)  # counted commands of its unit up to and with it
        self.brought = [0] * len(self.commands)  # the fetch that brings it
        self.queue: dict[str, list[int]] = {unit: [] for unit in UNIT_NAMES}
        self.work: dict[str, list[int]] = {unit: [] for unit in self.queue}  # without configurations
        fetches = [(0, 0)]
        for i, ((command, config), timed) in enumerate(zip(bound(self.commands), self.timed, strict=True)):
            if isinstance(command, Load) and command.target == Target.PROGRAM:
                count = command.row_beats * command.rows * self.design.beat_bytes // COMMAND_BYTES
                fetches.append((i, fetches[-1][1] + count))
            if isinstance(config, ConfigCompute):
                self.kernel[i], self.beside[i] = config.kernel_h * config.kernel_w, config.beside
            if timed is not None:
                self.place[i] = len(self.queue[timed.unit])
                self.queue[timed.unit].append(i)
                if isinstance(command, UNIT_OF[type(command)].counted):
                    self.work[timed.unit].append(i)
                self.counted[i] = len(self.work[timed.unit])
        ends = [end for _, end in fetches]
        for i in range(1, len(self.commands)):
            self.brought[i] = fetches[min(bisect_left(ends, i), len(fetches) - 1)][0]
        streams = {1 + index: stream for index, stream in coded_loads(program)}
        loads = [(self.load_at(i), self.timed_at(i), streams.get(i)) for i in self.work["load"]]
        self.bursts = bursts(self.machine, loads)
        self.firsts = [burst.first for burst in self.bursts]
        self.numbers = [burst.load for burst in self.bursts]
        self.dones = {unit: [self.timed_at(i).step.complete for i in found] for unit, found in self.work.items()}

    def load_at(self, i: int) -> Load:
        """Command `i`, which is a LOAD."""
        command = self.commands[i]
        assert isinstance(command, Load)
        return command

    def timed_at(self, i: int) -> Timed:
        """When command `i` was taken and done; it is one of a unit."""
        timed = self.timed[i]
        assert timed is not None
        return timed

    def tiles(self, i: int) -> tuple[int, int, int, int]:
        """Pixels of a tile, cycles from one to the next, first cycle of the first and of the last tile.

        Where outputs stay in the array, units instead of tiles, and their cycles instead of pixels.
        """
        command = self.commands[i]
        assert isinstance(command, Compute)
        pixels = command.out_h * (command.out_w + self.beside[i])
        tiles = tiles_of(self.machine, command.n_tiles, command.groups, self.kernel[i], command.structured)
        period = tile_cycles(self.machine, pixels)
        if self.design.output_stationary:
            tiles *= blocks_of(self.machine, pixels)
            pixels = period = self.machine.unit_cycles
        last = self.timed_at(i).step.complete - tail_cycles(self.machine, command, self.timed_at(i).step) - pixels + 1
        return pixels, period, last - (tiles - 1) * period, last

    def before(self, i: int) -> int:
        """The command before among those of its unit that are no configurations, or -1."""
        work, count = self.work[self.timed_at(i).unit], self.counted[i]
        if count and work[count - 1] == i:
            count -= 1
        return work[count - 1] if count else -1

    @property
    def interval(self) -> int:
        """Cycles from a beat to the next."""
        return self.design.memory.beat_interval_cycles

    def load_of(self, at: int) -> Load:
        """The LOAD to which burst `at` belongs."""
        return self.load_at(self.work["load"][self.bursts[at].load])


def tail_cycles(m: Machine, command: Command, step: Step, stream: Stream | None = None) -> int:
    """Cycles from the last beat, pixel or element of a command, a coded LOAD with its stream, to its completion."""
    if isinstance(command, Load):
        used = uses(m, command, stream)
        return unpack_cycles(m, command.target) if used is None else int(used[-1])
    if isinstance(command, Store):
        return m.latency + 1
    if isinstance(command, Post):
        return step.complete - step.issued  # by its configuration
    if m.outputs and isinstance(command, Compute):
        return drain_cycles(m, command.out_h * command.out_w)
    return m.compute_latency
