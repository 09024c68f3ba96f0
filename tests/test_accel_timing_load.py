"""The loader beat by beat, and cycles computed by hand; test_rtl_loader.py holds its timing against the hardware."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.design import Design, load
from accel.events import Event
from accel.layout import words_per_beat
from tests.benches.draw import draw_design, draw_memory, with_memory
from tests.benches.timing import UnitTiming
from tests.benches.unit import Offer, draw_offers

NANO = with_memory(load("nano"), 20, 1)
NANO = NANO.model_copy(update={"array": NANO.array.model_copy(update={"weight_rows": 1})})  # a word a beat
BURST = NANO.memory.burst_beats


def test_one_burst_by_hand() -> None:
    gap = words_per_beat(NANO, Target.WEIGHT)
    step = UnitTiming(NANO).step(Load(target=Target.WEIGHT, row_beats=3), pushed=10, ready=0)
    # popped in 11, address in 14, first beat 20 cycles later, the others after one word a cycle was written
    assert (step.pop, step.issued) == (11, 15)
    assert step.complete == 34 + 3 * gap
    assert step.events == {Event.READ_BEATS: 3, Event.READ_BURSTS: 1, Event.WEIGHT_WRITES: 3 * gap}


def test_the_latency_is_paid_once_for_a_stream_of_commands() -> None:
    timing, count = UnitTiming(NANO), 20
    spacing = words_per_beat(NANO, Target.WEIGHT)
    command = Load(target=Target.WEIGHT, row_beats=BURST)
    done = [timing.step(command, pushed=2 * k, ready=0).complete for k in range(count)]
    assert done[-1] == done[0] + (count - 1) * (BURST * spacing + 1)


def test_waits_hold_the_address_back() -> None:
    assert UnitTiming(NANO).step(Load(target=Target.WEIGHT), pushed=10, ready=500).pop == 500


def walk(design: Design, offers: Sequence[Offer]) -> list[tuple[int, int]]:
    """(pop, complete) of each LOAD, beat by beat."""
    memory, result = design.memory, []
    lasts: list[int] = []  # last beats of all bursts
    backs: list[int] = []
    front = back_free = arrives = 0  # the stage that cuts, the back end, the next beat on the bus
    bursts: list[tuple[int, int, int]] = []  # cut, checked, address taken: a stage is free when its burst goes on
    for offer in offers:
        c = offer.command
        gap = words_per_beat(design, Target(c.target))
        depth = design.buffers.queue_commands
        ahead = backs[-depth] + 1 if len(backs) >= depth else 0
        pop = max(offer.pushed + 1, offer.ready, front, ahead)
        backs.append(max(pop + 2, back_free))
        came, earliest, beat = pop, max(arrives, backs[-1] + 1), 0
        for row in range(c.rows):
            ends = ends_of(c)
            start = (c.dram_addr + row * c.dram_pitch) // design.beat_bytes
            for at in range(start, start + c.row_beats):
                if at == start or at % memory.burst_beats == 0:
                    if beat:
                        lasts.append(beat)
                    free = lasts[-memory.outstanding_bursts] + 1 if len(lasts) >= memory.outstanding_bursts else 0
                    before = bursts[-1] if bursts else (0, 0, 0)
                    came = max(came + 1, before[1])
                    checked = max(came + 1, before[2])
                    address = max(checked + 1, free)
                    bursts.append((came, checked, address))
                    earliest = max(earliest, address + memory.latency_cycles)
                beat = earliest
                if c.window:  # the words in front, as long as they are complete
                    gap, size = 0, (at - start + 1) * design.beat_bytes
                    while ends and ends[0] <= size:
                        gap, ends = gap + windows_with(c, row), ends[1:]
                    gap = max(gap, 1)
                earliest = beat + max(gap, memory.beat_interval_cycles)
        lasts.append(beat)
        front, arrives, back_free = came + 1, beat + memory.beat_interval_cycles, beat + gap
        result.append((pop, beat + gap))
    return result


def ends_of(c: Load) -> list[int]:
    """Where the bytes of each word of a row end, in the order of the words."""
    parts = c.parts + 1
    return [c.skip_bytes + i // parts * c.step + (i % parts + 1) * c.run for i in range(c.row_words)]


def windows_with(c: Load, row: int) -> int:
    """How many windows have the row."""
    tops = [0]
    while tops[-1] + c.zero_code < c.rows:
        tops.append(tops[-1] + c.code_bits)
    return sum(0 <= row - top < c.zero_code for top in tops)


def draw_window(rng: Random) -> dict[str, int]:
    """A window load's own fields; rows may end before their last word."""
    tall = rng.randint(1, 6)
    return {
        "window": 1, "run": rng.randint(1, 9), "step": rng.randint(1, 40), "row_words": rng.randint(1, 90),
        "skip_bytes": rng.randint(0, 3), "zero_code": tall, "code_bits": rng.randint(1, tall),
        "parts": rng.randint(0, 7),
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_closed_form_is_the_walk_over_beats(rng: Random) -> None:
    design = with_memory(draw_design(rng, largest=9), *draw_memory(rng))
    size, commands = design.beat_bytes, []
    for _ in range(rng.randint(1, 9)):
        target = rng.choice([t for t in Target if t is not Target.PROGRAM])
        window = draw_window(rng) if target is Target.ACTIVATION else {}
        rows = {"rows": rng.randint(1, 4), "row_beats": rng.choice([1, rng.randint(1, 150)])}
        far = {name: size * rng.randint(0, 99) for name in ("dram_addr", "dram_pitch")}
        commands.append(Load(target=target, **rows, **far, **(window if rng.random() < 0.5 else {})))
    offers, timing = draw_offers(rng, commands), UnitTiming(design)
    steps = [timing.step(offer.command, offer.pushed, offer.ready) for offer in offers]
    assert [(step.pop, step.complete) for step in steps] == walk(design, offers)
