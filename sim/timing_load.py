"""Timing of the loader: closed forms for each burst.

With W-byte beats, memory latency L, one beat in B cycles, g cycles to unpack a beat (words a beat, or W in window mode):

    pop      p   = max(pushed + 1, waits, front free, a place behind the front)
    burst j  a_j = max(a_{j-1} + 1, p + 1, last beat of burst j - outstanding, + 1)            address taken
             x   = max(a_j + L, previous beat + max(B, g of that beat), b + 1)                 first beat taken
             later beats every max(B, g)
    back     b   = max(p + 1, end of the previous command's last word)                        command taken
    done     e   = last beat + g                                                              last word written
"""

from __future__ import annotations

from collections import deque

from accel.commands import Load, Target
from accel.design import Design
from accel.events import Event
from accel.latency import LOADER_AHEAD
from accel.layout import beats_per_word, words_per_beat
from sim.step import Step

WRITE_EVENTS = {
    Target.ACTIVATION: Event.ACT_WRITES,
    Target.WEIGHT: Event.WEIGHT_WRITES,
    Target.PARAMETER: Event.PARAM_WRITES,
}


class LoadTiming:
    """The loader's state between commands; `step` is called for its commands in program order."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.front_free = 0
        self.address = 0  # cycle of the last address
        self.next_beat = 0  # earliest cycle of the next beat, as far as the memory and the unpacker are concerned
        self.back_free = 0
        self.taken: deque[int] = deque(maxlen=LOADER_AHEAD)  # cycles in which the back took its last commands
        self.lasts: deque[int] = deque(maxlen=design.memory.outstanding_bursts)
        self.fetched: list[int] = []
        self.per_beat = {target: words_per_beat(design, target) for target in Target}
        self.per_word = {target: beats_per_word(design, target) for target in Target}

    def step(self, command: Load, pushed: int, ready: int) -> Step:
        """Time one LOAD: `pushed` into the queue, waits hold from `ready` on."""
        memory, beat_bytes = self.design.memory, self.design.beat_bytes
        latency, burst = memory.latency_cycles, memory.burst_beats
        outstanding = memory.outstanding_bursts
        target = Target(command.target)
        gap = beat_bytes if command.window else self.per_beat[target]
        spacing = max(gap, memory.beat_interval_cycles)
        pop = max(pushed + 1, ready, self.front_free)
        if len(self.taken) == LOADER_AHEAD:
            pop = max(pop, self.taken[0] + 1)
        back = max(pop + 1, self.back_free)
        address, next_beat, lasts = pop, max(self.next_beat, back + 1), self.lasts
        first_beat = -1
        bursts = 0
        row = command.dram_addr // beat_bytes
        pitch = command.dram_pitch // beat_bytes
        fetch: list[int] = []
        last = 0
        for _ in range(command.rows):
            at, left = row, command.row_beats
            while left:
                length = min(left, burst - at % burst)
                address += 1
                if len(lasts) == outstanding and lasts[0] >= address:
                    address = lasts[0] + 1
                first = address + latency
                if first < next_beat:
                    first = next_beat
                last = first + (length - 1) * spacing
                if target is Target.PROGRAM:
                    fetch.extend(range(first, last + 1, spacing))
                if first_beat < 0:
                    first_beat = first
                lasts.append(last)
                next_beat = last + spacing
                bursts += 1
                at += length
                left -= length
            row += pitch
        self.taken.append(back)
        self.front_free = address + 1
        self.next_beat = max(last + spacing, last + memory.beat_interval_cycles)
        self.back_free = last + gap
        if target is Target.PROGRAM:
            self._fetched(fetch)
        beats = command.rows * command.row_beats
        events = {Event.READ_BEATS: beats, Event.READ_BURSTS: bursts}
        if target in WRITE_EVENTS:
            words = command.rows * command.row_words if command.window else beats * gap // self.per_word[target]
            events[WRITE_EVENTS[target]] = words
        return Step(pop, address + 1, last + gap, beats, events)

    def _fetched(self, beats: list[int]) -> None:
        per_beat, per_word = self.per_beat[Target.PROGRAM], self.per_word[Target.PROGRAM]
        if per_word > 1:
            self.fetched = [x + 1 for x in beats[per_word - 1 :: per_word]]
        else:
            self.fetched = [x + 1 + k for x in beats for k in range(per_beat)]

    def program_written(self, index: int) -> int:
        """Cycle in which command `index` of the last fetch is written to the program buffer."""
        return self.fetched[index]


