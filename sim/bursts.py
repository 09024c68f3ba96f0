"""The bursts of timed LOADs: when each was asked for and when its beats came, as `accel.timing.load` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accel.commands import Load, Target
from accel.design import Design
from accel.layout import words_per_beat
from accel.timing.recurrence import Timed


@dataclass(frozen=True)
class Burst:
    """A burst of LOAD number `load`: cycles of its address, of its first and of its last beat."""

    load: int
    address: int
    first: int
    last: int


def unpack_cycles(design: Design, load: Load) -> int:
    """Cycles in which the loader writes one beat: a word each, in window mode a byte each."""
    return design.beat_bytes if load.window else words_per_beat(design, Target(load.target))


def bursts(design: Design, loads: Iterable[tuple[Load, Timed]]) -> list[Burst]:
    """All bursts in order, from what the timing says of each LOAD: when its unit took it and when it was done."""
    memory, found = design.memory, list[Burst]()
    done = next_beat = 0
    for number, (load, timed) in enumerate(loads):
        spacing = max(unpack_cycles(design, load), memory.beat_interval_cycles)
        address, next_beat = timed.step.pop, max(next_beat, done + 1, timed.step.pop + 2)
        row, pitch = load.dram_addr // design.beat_bytes, load.dram_pitch // design.beat_bytes
        for y in range(load.rows):
            at, left = row + y * pitch, load.row_beats
            while left:
                length = min(left, memory.burst_beats - at % memory.burst_beats)
                at, left = at + length, left - length
                address += 1
                if len(found) >= memory.outstanding_bursts:
                    address = max(address, found[-memory.outstanding_bursts].last + 1)
                first = max(address + memory.latency_cycles, next_beat)
                found.append(Burst(number, address, first, first + (length - 1) * spacing))
                next_beat = found[-1].last + spacing
        next_beat = found[-1].last + memory.beat_interval_cycles
        done = timed.step.complete
    return found
