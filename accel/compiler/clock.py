"""A model of when commands are dispatched, taken and done, that runs along while the program is put in order.

It follows the timing contract of docs/architecture.md but for the boundaries of bursts. It only decides an order: a
program is right whatever it says.
"""

from __future__ import annotations

from collections import deque

from accel.commands import (
    COMMAND_BYTES,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    Load,
    Nop,
    Post,
    Store,
    Target,
)
from accel.compiler.estimate import Machine, answer_cycles, beat_cycles, compute_latency
from accel.compiler.hazards import UNIT_OF, Unit
from accel.design import Design
from accel.latency import (
    DONE_CYCLES,
    LOADER_AHEAD,
    MIN_TILE_CYCLES,
    POST_CYCLES,
    QUEUE_DEPTH,
    SEQUENCER_INTERVAL,
    STORE_PENDING,
    STORE_READ_CYCLES,
)
from accel.layout import beats, words_per_beat

Waits = tuple[int, int, int, int]


class Clock:
    """State of sequencer, queues and units after the commands so far."""

    def __init__(self, design: Design, first_fetch: int) -> None:
        self.design, self.machine = design, Machine.of(design)
        self.latency = design.memory.latency_cycles
        self.spacing = {(t, w): beat_cycles(design, t, w) for t in Target for w in (False, True)}
        self.gap = {t: words_per_beat(design, t) for t in Target}
        self.answer = answer_cycles(design)
        self.outstanding = design.memory.outstanding_bursts * design.memory.burst_beats  # beats
        self.compute_latency = compute_latency(design)
        self.pops: list[deque[int]] = [deque(maxlen=QUEUE_DEPTH) for _ in Unit]
        self.done: list[list[int]] = [[] for _ in Unit]
        self.dispatched = 0
        self.written: deque[tuple[int, float]] = deque()  # commands of a fetch and the cycle in which each comes
        self.config_compute, self.config_post = ConfigCompute(), ConfigPost()
        # load: addresses, data, back end; compute: slot, weights, tiles; post; store
        self.front = self.next_beat = self.back = 0
        self.taken: deque[int] = deque(maxlen=LOADER_AHEAD)
        self.slot = self.weights = self.finished = 0
        self.tile = -MIN_TILE_CYCLES
        self.last = self.free = 0
        self.stored = -1
        self.pending: deque[int] = deque(maxlen=STORE_PENDING)
        self._load(Load(target=Target.PROGRAM, row_beats=beats(design, Target.PROGRAM, first_fetch)), 1, 0)

    def place(self, unit: Unit) -> int:
        """When the unit's queue has a place."""
        pops = self.pops[unit]
        return pops[0] + 1 if len(pops) == QUEUE_DEPTH else 0

    @property
    def cycles(self) -> int:
        """Cycles until done, if nothing follows."""
        return max([self.dispatched, *(done[-1] + 1 for done in self.done if done)]) + DONE_CYCLES

    def take(self, command: Command, waits: Waits) -> None:
        """Dispatch a command."""
        self.dispatched = max(self.dispatched + SEQUENCER_INTERVAL, self._fetched() + 2)
        if isinstance(command, (Nop, End)):
            return
        unit = UNIT_OF[type(command)]
        self.dispatched = max(self.dispatched, self.place(unit))
        ready = max((self.done[other][wait - 1] + 1 for other, wait in enumerate(waits) if wait), default=0)
        match command:
            case Load():
                self._load(command, self.dispatched, ready)
            case Compute():
                self._compute(command, ready)
            case Post():
                self._post(command, ready)
            case Store():
                self._store(command, ready)
            case ConfigPost():
                self.config_post = command
                pop = max(self.dispatched + 1, self.last + POST_CYCLES + 1, self.free)
                self.free = pop + 1
                self.pops[unit].append(pop)
            case ConfigCompute():
                self.config_compute = command
                pop = max(self.dispatched + 1, self.slot)
                self.slot = max(pop + 1, self.finished)
                self.pops[unit].append(pop)

    def _fetched(self) -> int:
        """The cycle in which the next command is in the program buffer."""
        if not self.written:
            return 0
        count, cycle = self.written.popleft()
        if count > 1:
            self.written.appendleft((count - 1, cycle + self._per_command))
        return int(cycle)

    @property
    def _per_command(self) -> float:
        return self.spacing[Target.PROGRAM, False] * COMMAND_BYTES / self.design.beat_bytes

    def _load(self, c: Load, pushed: int, ready: int) -> None:
        target = Target(c.target)
        spacing, gap = self.spacing[target, bool(c.window)], self.design.beat_bytes if c.window else self.gap[target]
        pop = max(pushed + 1, ready, self.front)
        if len(self.taken) == LOADER_AHEAD:
            pop = max(pop, self.taken[0] + 1)
        self.pops[Unit.LOAD].append(pop)
        back = max(pop + 1, self.back)
        first = max(pop + 1 + self.latency, self.next_beat, back + 1)
        count = c.rows * c.row_beats
        last = first + (count - 1) * int(max(spacing, self.answer))
        bursts = c.rows * -(-c.row_beats // self.design.memory.burst_beats)
        self.taken.append(back)
        self.front = max(pop + 1 + bursts, last - self.outstanding)
        self.next_beat = last + spacing
        self.back = last + gap
        self.done[Unit.LOAD].append(last + gap)
        if target is Target.PROGRAM:
            commands = count * self.design.beat_bytes // COMMAND_BYTES
            self.written.append((commands, first + self._per_command))

    def _compute(self, c: Compute, ready: int) -> None:
        cfg, rows, pixels = self.config_compute, self.design.rows, c.out_h * c.out_w
        tiles = c.n_tiles * c.groups * cfg.kernel_h * cfg.kernel_w
        period = int(self.machine.tile_cycles(pixels))
        pop = max(self.dispatched + 1, ready, self.slot, self.weights)
        self.pops[Unit.COMPUTE].append(pop)
        taken = max(pop + 1, self.finished)
        weights = max(pop + 1, self.tile)
        start = max(taken + 1, weights + rows, self.tile + MIN_TILE_CYCLES)
        self.weights = (weights if tiles == 1 else start + (tiles - 2) * period) + rows - 1
        self.tile = start + (tiles - 1) * period
        self.finished = self.tile + pixels - 1
        self.slot = taken
        self.done[Unit.COMPUTE].append(self.finished + self.compute_latency)

    def _post(self, c: Post, ready: int) -> None:
        cfg = self.config_post
        pop = max(self.dispatched + 1, ready, self.last, self.free)
        self.pops[Unit.POST].append(pop)
        own = 1 if c.residual and c.from_activation else 0
        self.last = pop + c.chunks * c.out_h * c.out_w * (cfg.win_h * cfg.win_w + own)
        self.done[Unit.POST].append(self.last + POST_CYCLES)

    def _store(self, c: Store, ready: int) -> None:
        gap, interval = self.gap[Target.ACTIVATION], self.design.memory.beat_interval_cycles
        pop = max(self.dispatched + 1, ready, self.stored + 1)
        if len(self.pending) == STORE_PENDING:
            pop = max(pop, self.pending[0] + 1)
        self.pops[Unit.STORE].append(pop)
        first = max(pop + gap + STORE_READ_CYCLES, self.stored + interval)
        count = c.rows * beats(self.design, Target.ACTIVATION, c.row_words)
        self.stored = first + (count - 1) * self.spacing[Target.ACTIVATION, False]
        self.done[Unit.STORE].append(self.stored + self.latency + 1)
        self.pending.append(self.stored + self.latency + 1)
