"""The bursts of timed LOADs: when each was asked for and when its beats came, as `accel.timing.load` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.commands import Load
from accel.latency import DECODE_CYCLES
from accel.timing.coded import Stream
from accel.timing.load import beat_spacing, unpack_cycles
from accel.timing.machine import Machine
from accel.timing.recurrence import Timed


@dataclass(frozen=True)
class Burst:
    """A burst of LOAD number `load`: cycles of its address, of its first and of its last beat.

    `gap`: cycles in which its last beat is used. `decoding`: of each beat but the last, the cycles until the next one
    if the decoder takes them, 0 if the memory does; None if the LOAD is not coded.
    """

    load: int
    address: int
    first: int
    last: int
    gap: int
    decoding: NDArray[np.int64] | None = None


def unpacked(m: Machine, load: Load) -> int:
    """Cycles in which the words of one beat of a LOAD are written."""
    return unpack_cycles(m, load.target, load.window)


def bursts(m: Machine, loads: Iterable[tuple[Load, Timed, Stream | None]]) -> list[Burst]:
    """All bursts in order, from what the timing says of each LOAD: when its unit took it and when it was done.

    With a stream for those that are coded.
    """
    found = list[Burst]()
    done = next_beat = 0
    for number, (load, timed, stream) in enumerate(loads):
        used = np.append(stream.gaps, stream.tail + DECODE_CYCLES) if stream else None
        gap, spacing = unpacked(m, load), beat_spacing(m, unpacked(m, load))
        address, next_beat = timed.step.pop, max(next_beat, done + 1, timed.step.pop + 2)
        row, pitch = load.dram_addr // m.beat_bytes, load.dram_pitch // m.beat_bytes
        for y in range(load.rows):
            at, left = row + y * pitch, load.row_beats
            while left:
                length = min(left, m.burst - at % m.burst)
                here = load.row_beats - left
                at, left = at + length, left - length
                address += 1
                if len(found) >= m.outstanding:
                    address = max(address, found[-m.outstanding].last + 1)
                first = max(address + m.latency, next_beat)
                last, decoding = first + (length - 1) * spacing, None
                if used is not None:
                    *inside, gap = used[here : here + length].tolist()
                    last = first + sum(max(cycles, m.interval) for cycles in inside)
                    decoding = np.array([cycles if cycles > m.interval else 0 for cycles in inside], np.int64)
                found.append(Burst(number, address, first, last, gap, decoding))
                next_beat = last + max(gap, m.interval)
        next_beat = found[-1].last + m.interval
        done = timed.step.complete
    return found
