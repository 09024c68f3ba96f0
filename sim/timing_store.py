"""Timing of the storer: closed forms for each burst.

With memory latency L, one beat in B cycles, g cycles to make a beat (words a beat, 1 if a word takes several beats):

    pop     p = max(pushed + 1, waits, previous done + 1)
    burst   a = p + 1, or the cycle after the previous burst's last beat                     address taken
            w = max(a + g + STORE_READ_CYCLES, previous beat + B)                            first beat taken
            later beats every max(B, g)
    done    e = last beat + L + 1
"""

from __future__ import annotations

from accel.commands import Store, Target
from accel.design import Design
from accel.events import Event
from accel.latency import STORE_READ_CYCLES
from accel.layout import beats, words_per_beat
from sim.step import Step


class StoreTiming:
    """The storer's state between commands; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.free = 0
        self.next_beat = 0

    def step(self, command: Store, pushed: int, ready: int) -> Step:
        """Time one STORE: `pushed` into the queue, waits hold from `ready` on."""
        memory, beat_bytes = self.design.memory, self.design.beat_bytes
        gap = words_per_beat(self.design, Target.ACTIVATION)
        spacing = max(gap, memory.beat_interval_cycles)
        row_beats = beats(self.design, Target.ACTIVATION, command.row_words)
        pop = max(pushed + 1, ready, self.free)
        address = pop + 1
        bursts = 0
        row = command.dram_addr // beat_bytes
        last = 0
        for _ in range(command.rows):
            at, left = row, row_beats
            while left:
                length = min(left, memory.burst_beats - at % memory.burst_beats)
                first = max(address + gap + STORE_READ_CYCLES, self.next_beat)
                last = first + (length - 1) * spacing
                self.next_beat = last + memory.beat_interval_cycles
                address = last + 1
                bursts += 1
                at += length
                left -= length
            row += command.dram_pitch // beat_bytes
        done = last + memory.latency_cycles + 1
        self.free = done + 1
        events = {
            Event.WRITE_BEATS: command.rows * row_beats,
            Event.WRITE_BURSTS: bursts,
            Event.ACT_READS: command.rows * command.row_words,
        }
        return Step(pop, done + 1, done, command.rows * row_beats, events)
