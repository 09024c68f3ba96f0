"""Hand-computed cycles of the storer's timing; test_rtl_storer.py holds it against the hardware."""

from __future__ import annotations

from accel.commands import Store, Target
from accel.design import load
from accel.events import Event
from accel.latency import STORE_READ_CYCLES
from accel.layout import beats, words_per_beat
from tests.benches.draw import with_memory
from tests.benches.timing import UnitTiming

NANO = with_memory(load("nano"), 20, 1)


def test_one_beat_by_hand() -> None:
    gap = words_per_beat(NANO, Target.ACTIVATION)
    step = UnitTiming(NANO).step(Store(row_words=1), pushed=10, ready=0)
    assert step.pop == 11
    assert step.complete == 11 + gap + STORE_READ_CYCLES + 20 + 1
    row_beats = beats(NANO, Target.ACTIVATION, 1)
    assert step.events == {Event.WRITE_BEATS: row_beats, Event.WRITE_BURSTS: 1, Event.ACT_READS: 1}


def test_bursts_of_rows_that_start_anywhere_are_counted_one_by_one() -> None:
    burst, beat = NANO.memory.burst_beats, NANO.beat_bytes
    words = 5 * words_per_beat(NANO, Target.ACTIVATION)
    row_beats = beats(NANO, Target.ACTIVATION, words)
    for pitch in (burst, 2 * burst + 1, 7, row_beats):
        for start in (0, 1, burst - 1):
            command = Store(dram_addr=start * beat, rows=9, row_words=words, dram_pitch=pitch * beat)
            touched = [{(start + y * pitch + k) // burst for k in range(row_beats)} for y in range(9)]
            step = UnitTiming(NANO).step(command, pushed=0, ready=0)
            assert step.events[Event.WRITE_BURSTS] == sum(len(blocks) for blocks in touched)
