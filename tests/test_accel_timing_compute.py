"""The compute unit's closed form against a loop over tiles, and its counts against loops over pixels.

That both equal the hardware is shown in tests/test_rtl_compute.py; here commands are larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute
from accel.events import Event
from accel.latency import MIN_TILE_CYCLES
from accel.timing.compute import inside_pairs
from tests.benches.timing import UnitTiming
from tests.benches.unit import Offer, draw_offers
from tests.benches.unit_designs import compute_design


def walk(rows: int, cols: int, stages: int, offers: Sequence[Offer]) -> list[tuple[int, int]]:
    """(pop, complete) of each COMPUTE, tile by tile: weight row by weight row and start by start."""
    result = []
    config = ConfigCompute()
    slot = weights = pixels = 0  # cycles from which slot, weight issue and feeder are free
    start = -MIN_TILE_CYCLES
    for offer in offers:
        if isinstance(offer.command, ConfigCompute):
            config = offer.command
            slot = max(max(offer.pushed + 1, slot) + 1, pixels - 1)
            continue
        c = offer.command
        pop = max(offer.pushed + 1, offer.ready, slot, weights - 1)
        slot = max(pop + 1, pixels - 1)
        weights, pixels = max(weights, pop + 1), max(pixels, slot + 1)
        for _ in np.ndindex(c.n_tiles, c.groups, config.kernel_h, config.kernel_w):
            weights = max(weights, start) + rows
            start = max(pixels, weights, start + MIN_TILE_CYCLES)
            pixels = start + c.out_h * c.out_w
        result.append((pop, pixels - 1 + 3 + rows + cols + stages + 1))
    return result


def draw(rng: Random) -> list[Offer]:
    """Commands of the unit, configurations among them."""
    commands: list[Compute | ConfigCompute] = []
    for _ in range(rng.randint(1, 8)):
        if rng.random() < 0.3:
            commands.append(ConfigCompute(kernel_h=rng.randint(1, 3), kernel_w=rng.randint(1, 3)))
        commands.append(draw_command(rng))
    return draw_offers(rng, commands)


def draw_command(rng: Random) -> Compute:
    return Compute(
        out_h=rng.choice([1, rng.randint(1, 6)]),
        out_w=rng.randint(1, 9),
        groups=rng.choice([1, rng.randint(1, 6)]),
        n_tiles=rng.choice([1, 1, 2, 5]),
    )


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_closed_form_is_the_walk_over_tiles(rng: Random) -> None:
    rows, cols, stages = rng.choice([1, 2, 3, rng.randint(1, 40)]), rng.randint(1, 8), rng.randint(1, 3)
    offers = draw(rng)
    timing = UnitTiming(compute_design(rows, cols, multiplier_stages=stages))
    steps = [timing.step(offer.command, offer.pushed, offer.ready) for offer in offers]
    found = [(s.pop, s.complete) for s, offer in zip(steps, offers, strict=True) if isinstance(offer.command, Compute)]
    assert found == walk(rows, cols, stages, offers)
    assert all(after.pop >= step.issued for step, after in pairwise(steps) if step.busy == 0)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_closed_form_is_the_walk_over_units_where_outputs_stay(rng: Random) -> None:
    """Word by word: R pixels a unit, a unit in max(R, MIN_TILE_CYCLES) cycles, and the way of the last pixel out."""
    rows, cols, stages = rng.choice([1, 2, 3, rng.randint(1, 40)]), rng.randint(1, 8), rng.randint(1, 3)
    offers = draw(rng)
    timing = UnitTiming(compute_design(rows, cols, multiplier_stages=stages, dataflow="os"))
    config, slot, free = ConfigCompute(), 0, 0  # free: the feeder's first cycle without work
    for offer in offers:
        step, c = timing.step(offer.command, offer.pushed, offer.ready), offer.command
        if isinstance(c, ConfigCompute):
            config, slot = c, max(max(offer.pushed + 1, slot) + 1, free - 1)
            continue
        pop = max(offer.pushed + 1, offer.ready, slot)
        slot = max(pop + 1, free - 1)
        left, free, streamed, block = c.out_h * c.out_w, slot + 1, 0, 0
        while left:
            block = min(left, rows)
            left -= block
            for _ in np.ndindex(c.n_tiles, c.groups, config.kernel_h, config.kernel_w):
                free, streamed = free + max(rows, MIN_TILE_CYCLES), streamed + rows
        # read, pad, edge | the columns | skew, factors, multiply, add, drain, columns | write; first pixel, then others
        way = 3 + rows + (rows - 1) + 1 + stages + 1 + 1 + (cols - 1) + 1
        assert (step.pop, step.complete) == (pop, free - 1 + way + block - 1)
        assert step.events[Event.STREAM_CYCLES] == streamed


@settings(max_examples=300, deadline=None)
@given(
    st.integers(-4096, 4095), st.integers(1, 63), st.integers(1, 9), st.integers(1, 15), st.integers(1, 40),
    st.integers(1, 4095),
)  # fmt: skip
def test_inside_pairs(start: int, dilation: int, taps: int, stride: int, count: int, size: int) -> None:
    positions = start + dilation * np.arange(taps)[:, None] + stride * np.arange(count)
    assert inside_pairs(start, dilation, taps, stride, count, size) == ((positions >= 0) & (positions < size)).sum()
    start %= 16
    positions = positions - positions[0, 0] - start
    assert inside_pairs(-start, dilation, taps, stride, count, 20) == ((positions >= 0) & (positions < 20)).sum()


def test_every_streamed_cycle_is_done_or_gated() -> None:
    design = compute_design(7, 5)
    timing = UnitTiming(design)
    timing.step(ConfigCompute(kernel_h=3, kernel_w=2), 0, 0)
    events = timing.step(Compute(out_h=4, out_w=6, groups=3, n_tiles=2, rows_last=2, cols_last=4), 1, 0).events
    taps, pixels = 6, 24
    assert events[Event.STREAM_CYCLES] == 2 * 3 * taps * pixels
    assert events[Event.MACS] == (7 + 7 + 2) * (5 + 4) * taps * pixels
    assert events[Event.MACS] + events[Event.MACS_GATED] == 7 * 5 * events[Event.STREAM_CYCLES]


def test_a_command_of_any_size_is_one_step() -> None:
    """2**24 tiles of 2**24 pixels: a loop over them would not come back."""
    step = UnitTiming(compute_design(8, 8)).step(Compute(out_h=4095, out_w=4095, groups=16383, n_tiles=1023), 0, 0)
    assert step.busy == 4095 * 4095 * 16383 * 1023
