"""The bursts of timed LOADs: when each was asked for and when its beats came, as `accel.timing.load` has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.commands import Load
from accel.latency import BACK_CYCLES, DECODE_CYCLES
from accel.timing.coded import Stream
from accel.timing.load import address_cycle, beat_spacing, first_beat, stage_cycle, unpack_cycles
from accel.timing.machine import Machine
from accel.timing.recurrence import Timed
from accel.timing.window import copies, words_complete


@dataclass(frozen=True)
class Burst:
    """A burst of LOAD number `load`: cycles in which it was cut and checked, of its address, its first and last beat.

    `gap`: cycles in which its last beat is used. `pace`: of each beat but the last, the cycles until the next one if
    the loader takes them, 0 if the memory does; None if all are alike. `coded`: the decoder uses them.
    """

    load: int
    cut: int
    checked: int
    address: int
    first: int
    last: int
    gap: int
    pace: NDArray[np.int64] | None = None
    coded: bool = False


def uses(m: Machine, load: Load, stream: Stream | None) -> NDArray[np.int64] | None:
    """Cycles in which each beat of a LOAD is used, None if all take the same."""
    if stream:
        return np.append(stream.gaps, stream.tail + DECODE_CYCLES)
    if not load.window:
        return None
    size = np.arange(1, load.row_beats + 1) * m.beat_bytes - load.skip_bytes
    words = [words_complete(int(s), load.row_words, load.run, load.step, load.parts + 1) for s in size]
    times = [copies(y, load.rows, load.zero_code, load.code_bits) for y in range(load.rows)]
    return np.maximum(1, np.outer(times, np.diff(words, prepend=0))).ravel()


def bursts(m: Machine, loads: Iterable[tuple[Load, Timed, Stream | None]]) -> list[Burst]:
    """All bursts in order, from what the timing says of each LOAD: when its unit took it and when it was done.

    With a stream for those that are coded.
    """
    found = list[Burst]()
    done = next_beat = checked = address = 0
    for number, (load, timed, stream) in enumerate(loads):
        used, gap = uses(m, load, stream), unpack_cycles(m, load.target)
        spacing = beat_spacing(m, gap)
        cut, next_beat = timed.step.pop, max(next_beat, done + 1, timed.step.pop + BACK_CYCLES + 1)
        row, pitch = load.dram_addr // m.beat_bytes, load.dram_pitch // m.beat_bytes
        for y in range(load.rows):
            at, left = row + y * pitch, load.row_beats
            while left:
                length = min(left, m.burst - at % m.burst)
                here = (y + 1) * load.row_beats - left
                at, left = at + length, left - length
                cut = stage_cycle(cut, checked)
                checked = stage_cycle(cut, address)
                address = address_cycle(checked, found[-m.outstanding].last if len(found) >= m.outstanding else -1)
                first = first_beat(m, address, next_beat)
                last, pace = first + (length - 1) * spacing, None
                if used is not None:
                    *inside, gap = used[here : here + length].tolist()
                    last = first + sum(max(cycles, m.interval) for cycles in inside)
                    pace = np.array([cycles if cycles > m.interval else 0 for cycles in inside], np.int64)
                found.append(Burst(number, cut, checked, address, first, last, gap, pace, stream is not None))
                next_beat = last + max(gap, m.interval)
        next_beat = found[-1].last + m.interval
        done = timed.step.complete
    return found
