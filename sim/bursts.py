"""The bursts of timed LOADs: when each was asked for and when its beats came, as `accel.timing.load` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accel.commands import Load
from accel.timing.load import beat_spacing, unpack_cycles
from accel.timing.machine import Machine
from accel.timing.recurrence import Timed


@dataclass(frozen=True)
class Burst:
    """A burst of LOAD number `load`: cycles of its address, of its first and of its last beat."""

    load: int
    address: int
    first: int
    last: int


def unpacked(m: Machine, load: Load) -> int:
    """Cycles in which the words of one beat of a LOAD are written."""
    return unpack_cycles(m, load.target, load.window)


def bursts(m: Machine, loads: Iterable[tuple[Load, Timed]]) -> list[Burst]:
    """All bursts in order, from what the timing says of each LOAD: when its unit took it and when it was done."""
    found = list[Burst]()
    done = next_beat = 0
    for number, (load, timed) in enumerate(loads):
        spacing = beat_spacing(m, unpacked(m, load))
        address, next_beat = timed.step.pop, max(next_beat, done + 1, timed.step.pop + 2)
        row, pitch = load.dram_addr // m.beat_bytes, load.dram_pitch // m.beat_bytes
        for y in range(load.rows):
            at, left = row + y * pitch, load.row_beats
            while left:
                length = min(left, m.burst - at % m.burst)
                at, left = at + length, left - length
                address += 1
                if len(found) >= m.outstanding:
                    address = max(address, found[-m.outstanding].last + 1)
                first = max(address + m.latency, next_beat)
                found.append(Burst(number, address, first, first + (length - 1) * spacing))
                next_beat = found[-1].last + spacing
        next_beat = found[-1].last + m.interval
        done = timed.step.complete
    return found
