"""Timing of the loader: closed forms for each burst.

With W-byte beats, memory latency L, one beat in B cycles, and g cycles to unpack a beat (words a beat; 1 if a word
takes several; W in window mode):

    pop      p   = max(pushed + 1, waits, last address of the command before + 1,
                       cycle in which the back took the command LOADER_AHEAD before + 1)
    back     b   = max(p + 1, done of the command before)                                  command taken by the back
    burst j  a_j = max(a_{j-1} + 1 (p + 1 for the first), last beat of burst j - outstanding + 1)      address taken
             x   = max(a_j + L, last beat of the burst before + max(B, g), b + 1)          first beat taken
             later beats every max(B, g) (across commands: B)
    done     e   = last beat + g                                                           last word written
"""

from __future__ import annotations

from collections import deque

from accel.commands import Load, Target
from accel.design import Design
from accel.events import Event
from accel.latency import LOADER_AHEAD
from accel.layout import beats_per_word, words_per_beat
from accel.timing.step import Step

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
        self.back_free = 0
        self.next_beat = 0  # earliest cycle of the next beat, as far as the memory is concerned
        self.taken: deque[int] = deque(maxlen=LOADER_AHEAD)  # cycles in which the back took its last commands
        outstanding = design.memory.outstanding_bursts
        self.lasts: deque[int] = deque([-1] * outstanding, maxlen=outstanding)  # last beats of the last bursts
        self.written: list[int] = []
        self.per_beat = {target: words_per_beat(design, target) for target in Target}
        self.per_word = {target: beats_per_word(design, target) for target in Target}

    def step(self, command: Load, pushed: int, ready: int) -> Step:
        """Time one LOAD: `pushed` into the queue, waits hold from `ready` on."""
        memory, beat_bytes = self.design.memory, self.design.beat_bytes
        target = Target(command.target)
        gap = beat_bytes if command.window else self.per_beat[target]
        spacing = max(gap, memory.beat_interval_cycles)
        pop = max(pushed + 1, ready, self.front_free)
        if len(self.taken) == LOADER_AHEAD:
            pop = max(pop, self.taken[0] + 1)
        back = max(pop + 1, self.back_free)
        self.taken.append(back)
        bursts = self._bursts(command, pop, max(self.next_beat, back + 1), spacing)
        last = bursts[-1][1]
        self.next_beat = last + memory.beat_interval_cycles
        self.back_free = last + gap
        if target is Target.PROGRAM:
            self.written = self._written([x for first, end in bursts for x in range(first, end + 1, spacing)])
        beats = command.rows * command.row_beats
        events = {Event.READ_BEATS: beats, Event.READ_BURSTS: len(bursts)}
        if target in WRITE_EVENTS:
            row_words = command.row_words if command.window else command.row_beats // self.per_word[target] * gap
            events[WRITE_EVENTS[target]] = command.rows * row_words
        return Step(pop, self.front_free, last + gap, beats, events)

    def _bursts(self, command: Load, address: int, next_beat: int, spacing: int) -> list[tuple[int, int]]:
        """Cycles of first and last beat of each burst; the first address follows in the cycle after `address`."""
        memory, lasts = self.design.memory, self.lasts
        latency, burst = memory.latency_cycles, memory.burst_beats
        row, pitch = command.dram_addr // self.design.beat_bytes, command.dram_pitch // self.design.beat_bytes
        bursts = []
        for _ in range(command.rows):
            left = command.row_beats
            room = burst - row % burst
            while left:
                length = left if left < room else room
                room = burst
                address += 1
                if lasts[0] >= address:
                    address = lasts[0] + 1
                first = address + latency
                if first < next_beat:
                    first = next_beat
                last = first + (length - 1) * spacing
                lasts.append(last)
                bursts.append((first, last))
                next_beat = last + spacing
                left -= length
            row += pitch
        self.front_free = address + 1
        return bursts

    def _written(self, beats: list[int]) -> list[int]:
        """Cycles in which the commands of a fetch are written, given those in which its beats are taken."""
        per_beat, per_word = self.per_beat[Target.PROGRAM], self.per_word[Target.PROGRAM]
        return [x + 1 + k for x in beats[per_word - 1 :: per_word] for k in range(per_beat)]

    def program_written(self, index: int) -> int:
        """Cycle in which command `index` of the last fetch is written to the program buffer."""
        return self.written[index]
