"""Cost and hand-computed cycles of the loader's timing; test_rtl_loader.py holds it against the hardware."""

from __future__ import annotations

from time import process_time

from accel.commands import Load, Target
from accel.design import load
from accel.events import Event
from accel.layout import words_per_beat
from accel.timing.load import LoadTiming
from tests.benches.draw import with_memory

NANO = with_memory(load("nano"), 20, 1)
BURST = NANO.memory.burst_beats


def test_one_burst_by_hand() -> None:
    gap = words_per_beat(NANO, Target.WEIGHT)
    step = LoadTiming(NANO).step(Load(target=Target.WEIGHT, row_beats=3), pushed=10, ready=0)
    # popped in 11, address in 12, first beat 20 cycles later, the others after one word a cycle was written
    assert (step.pop, step.issued) == (11, 13)
    assert step.complete == 32 + 3 * gap
    assert step.events == {Event.READ_BEATS: 3, Event.READ_BURSTS: 1, Event.WEIGHT_WRITES: 3 * gap}


def test_the_latency_is_paid_once_for_a_stream_of_commands() -> None:
    timing, count = LoadTiming(NANO), 20
    spacing = words_per_beat(NANO, Target.WEIGHT)
    command = Load(target=Target.WEIGHT, row_beats=BURST)
    done = [timing.step(command, pushed=2 * k, ready=0).complete for k in range(count)]
    assert done[-1] == done[0] + (count - 1) * (BURST * spacing + 1)


def test_waits_hold_the_address_back() -> None:
    assert LoadTiming(NANO).step(Load(target=Target.WEIGHT), pushed=10, ready=500).pop == 500


def test_fifty_thousand_bursts_take_a_tenth_of_a_second() -> None:
    timing = LoadTiming(NANO)
    began = process_time()
    bursts = 0
    for k in range(500):
        command = Load(target=Target.WEIGHT, rows=50, row_beats=2 * BURST, dram_pitch=2 * BURST * NANO.beat_bytes)
        bursts += timing.step(command, pushed=k, ready=0).events[Event.READ_BURSTS]
    assert bursts == 50_000
    assert process_time() - began < 0.5  # measured: 0.02 s; the machine may be busy
