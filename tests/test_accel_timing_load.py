"""Hand-computed cycles of the loader's timing; test_rtl_loader.py holds it against the hardware."""

from __future__ import annotations

from accel.commands import Load, Target
from accel.design import load
from accel.events import Event
from accel.layout import words_per_beat
from tests.benches.draw import with_memory
from tests.benches.timing import UnitTiming

NANO = with_memory(load("nano"), 20, 1)
BURST = NANO.memory.burst_beats


def test_one_burst_by_hand() -> None:
    gap = words_per_beat(NANO, Target.WEIGHT)
    step = UnitTiming(NANO).step(Load(target=Target.WEIGHT, row_beats=3), pushed=10, ready=0)
    # popped in 11, address in 12, first beat 20 cycles later, the others after one word a cycle was written
    assert (step.pop, step.issued) == (11, 13)
    assert step.complete == 32 + 3 * gap
    assert step.events == {Event.READ_BEATS: 3, Event.READ_BURSTS: 1, Event.WEIGHT_WRITES: 3 * gap}


def test_the_latency_is_paid_once_for_a_stream_of_commands() -> None:
    timing, count = UnitTiming(NANO), 20
    spacing = words_per_beat(NANO, Target.WEIGHT)
    command = Load(target=Target.WEIGHT, row_beats=BURST)
    done = [timing.step(command, pushed=2 * k, ready=0).complete for k in range(count)]
    assert done[-1] == done[0] + (count - 1) * (BURST * spacing + 1)


def test_waits_hold_the_address_back() -> None:
    assert UnitTiming(NANO).step(Load(target=Target.WEIGHT), pushed=10, ready=500).pop == 500
