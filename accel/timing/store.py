"""Timing of the storer, in closed form for each command.

With memory latency L, one beat in B cycles, and g cycles to make a beat (words a beat; 1 if a word takes several):

    pop        p   = max(pushed + 1, waits, last beat of the command before + 1,
                         done of the command STORE_PENDING before + 1)
    first beat x_1 = max(p + g + STORE_READ_CYCLES, last beat of the command before + B)
    others     x_i = x_{i-1} + max(B, g), or + max(B, g, 2) for the first beat of a burst (its address goes between)
    done       e   = last beat + L + 1

The reader makes beats while addresses are sent and keeps ahead, so neither rows nor bursts cost it anything. It can be
ahead of the write channel only where the channel is the slower one, which then goes at its own pace to the end.
"""

from __future__ import annotations

from collections import deque

from accel.commands import Store, Target
from accel.design import Design
from accel.events import Event
from accel.latency import STORE_PENDING, STORE_READ_CYCLES
from accel.layout import beats, words_per_beat
from accel.timing.step import Step


class StoreTiming:
    """The storer's state between commands; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.last = -design.memory.beat_interval_cycles  # cycle of the last beat
        self.done: deque[int] = deque(maxlen=STORE_PENDING)

    def step(self, command: Store, pushed: int, ready: int) -> Step:
        """Time one STORE: `pushed` into the queue, waits hold from `ready` on."""
        memory, beat_bytes = self.design.memory, self.design.beat_bytes
        interval, burst = memory.beat_interval_cycles, memory.burst_beats
        gap = words_per_beat(self.design, Target.ACTIVATION)
        spacing = max(gap, interval)
        row_beats = beats(self.design, Target.ACTIVATION, command.row_words)
        start, pitch = command.dram_addr // beat_bytes, command.dram_pitch // beat_bytes
        if pitch % burst:
            bursts = sum(((start + y * pitch) % burst + row_beats - 1) // burst + 1 for y in range(command.rows))
        else:
            bursts = command.rows * ((start % burst + row_beats - 1) // burst + 1)
        total = command.rows * row_beats
        pop = max(pushed + 1, ready, self.last + 1)
        if len(self.done) == STORE_PENDING:
            pop = max(pop, self.done[0] + 1)
        first = max(pop + gap + STORE_READ_CYCLES, self.last + interval)
        self.last = first + (total - 1) * spacing + (bursts - 1) * (max(spacing, 2) - spacing)
        done = self.last + memory.latency_cycles + 1
        self.done.append(done)
        events = {
            Event.WRITE_BEATS: total,
            Event.WRITE_BURSTS: bursts,
            Event.ACT_READS: command.rows * command.row_words,
        }
        return Step(pop, self.last + 1, done, total, events)
