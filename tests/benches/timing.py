"""One unit of the timing recurrence by itself, for tests that push its commands when they like."""

from __future__ import annotations

from accel.commands import Command, Compute, ConfigCompute, ConfigPost, Load, Post, Store
from accel.design import Design
from accel.events import Event
from accel.rows import rows_of
from accel.timing.compute import compute_step, config_compute_step
from accel.timing.facts import EVENTS, events_of, facts_of
from accel.timing.load import load_step
from accel.timing.machine import FACTS, Machine
from accel.timing.outputs import outputs_step
from accel.timing.post import config_post_step, post_step
from accel.timing.recurrence import Step
from accel.timing.state import BUSY, COMPLETE, ISSUED, OUT, POPPED, STATE, WRITTEN, reset
from accel.timing.store import store_step


class UnitTiming:
    """The state between commands of one unit; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.machine = Machine.of(design)
        self.state = [0] * STATE
        reset(self.machine, self.state)
        self.config: Command = ConfigCompute()
        self.written: list[int] = []

    def step(self, command: Command, pushed: int, ready: int) -> Step:
        """Time one command: `pushed` into the queue, waits hold from `ready` on."""
        m, state, out = self.machine, self.state, [0] * OUT
        facts, events = [0] * FACTS * 2, [0] * EVENTS * 2
        if isinstance(command, (ConfigCompute, ConfigPost)):
            self.config = command
        rows = rows_of([command, self.config]).ravel().tolist()
        facts_of(m, rows, [1, 0], facts)
        events_of(m, rows, [1, 0], facts, events)
        match command:
            case Load():
                state[WRITTEN] = 0
                self.written = [0] * 4096
                load_step(m, state, facts, 0, [0], pushed, ready, self.written, out, 0)
            case Compute():
                step = outputs_step if m.outputs else compute_step
                step(m, state, facts, 0, pushed, ready, out, 0)
            case ConfigCompute():
                config_compute_step(m, state, pushed, out, 0)
            case Post():
                post_step(m, state, facts, 0, pushed, ready, out, 0)
            case ConfigPost():
                config_post_step(m, state, pushed, out, 0)
            case Store():
                store_step(m, state, facts, 0, pushed, ready, out, 0)
        counts = {event: count for event, count in zip(Event, events[:EVENTS], strict=True) if count}
        return Step(out[POPPED], out[ISSUED], out[COMPLETE], out[BUSY], counts)

    def program_written(self, index: int) -> int:
        """Cycle in which command `index` of the last fetch is written to the program buffer."""
        return self.written[index]
