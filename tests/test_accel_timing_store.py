"""The storer beat by beat, and cycles computed by hand; test_rtl_storer.py holds its timing against the hardware."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Store, Target
from accel.design import Design, load
from accel.events import Event
from accel.latency import ADDRESS_CYCLES, STORE_PENDING, store_read_cycles
from accel.layout import beats, words_per_beat
from tests.benches.draw import draw_design, draw_memory, with_memory
from tests.benches.timing import UnitTiming
from tests.benches.unit import Offer, draw_offers

NANO = with_memory(load("nano"), 20, 1)


def test_one_beat_by_hand() -> None:
    gap = words_per_beat(NANO, Target.ACTIVATION)
    step = UnitTiming(NANO).step(Store(row_words=1), pushed=10, ready=0)
    assert step.pop == 11
    assert step.complete == 11 + max(gap + store_read_cycles(NANO), ADDRESS_CYCLES + 1) + 20 + 1
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


def walk(design: Design, offers: Sequence[Offer]) -> list[tuple[int, int]]:
    """(pop, complete) of each STORE, beat by beat."""
    memory, gap = design.memory, words_per_beat(design, Target.ACTIVATION)
    result: list[tuple[int, int]] = []
    last = -memory.beat_interval_cycles
    for offer in offers:
        c = offer.command
        pending = result[-STORE_PENDING][1] + 1 if len(result) >= STORE_PENDING else 0
        pop = max(offer.pushed + 1, offer.ready, last + 1, pending)
        cycle = max(pop + gap + store_read_cycles(design), pop + ADDRESS_CYCLES + 1, last + memory.beat_interval_cycles)
        for row in range(c.rows):
            for k in range(beats(design, Target.ACTIVATION, c.row_words)):
                at = (c.dram_addr + row * c.dram_pitch) // design.beat_bytes + k
                if row or k:
                    address = 2 if k == 0 or at % memory.burst_beats == 0 else 1
                    cycle = last + max(gap, memory.beat_interval_cycles, address)
                last = cycle
        result.append((pop, last + memory.latency_cycles + 1))
    return result


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_closed_form_is_the_walk_over_beats(rng: Random) -> None:
    design = with_memory(draw_design(rng, largest=9), *draw_memory(rng))
    beat = design.beat_bytes
    commands = [
        Store(
            rows=rng.randint(1, 4), row_words=rng.randint(1, 40), dram_addr=beat * rng.randint(0, 99),
            dram_pitch=beat * rng.randint(0, 99),
        )
        for _ in range(rng.randint(1, 8))
    ]  # fmt: skip
    offers, timing = draw_offers(rng, commands), UnitTiming(design)
    steps = [timing.step(offer.command, offer.pushed, offer.ready) for offer in offers]
    assert [(step.pop, step.complete) for step in steps] == walk(design, offers)
