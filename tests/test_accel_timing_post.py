"""The post-process unit's closed form against loops over its outputs.

That both equal the hardware is shown in tests/test_rtl_post.py; here commands are larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ConfigPost, Post
from accel.events import Event
from tests.benches.timing import UnitTiming
from tests.benches.unit import Offer, draw_offers
from tests.benches.unit_designs import post_design

PASSES = 3  # of a window of 3 x 3; one of 5 x 5 takes three times as many
FILTER_EVENTS = [Event.FILTER_STEPS, Event.FILTER_MACS]


def walk_filter(c: Post, config: ConfigPost, cycle: int, stages: int, events: dict[Event, int]) -> int:
    """The cycle of the last element: pixels pass in order, and a window is complete with its last one."""
    height, width, (y0, x0) = c.stream_h, c.stream_w, (max(0, c.iy0), max(0, c.ix0))
    side, words, passes = (3, 2, PASSES) if c.filter == 1 else (5, 4, 3 * PASSES)
    down, right = side - 1 - y0 + c.iy0, side - 1 - x0 + c.ix0
    ends = {
        q * height * width + (oy * config.stride_y + down) * width + ox * config.stride_x + right
        for q, oy, ox in np.ndindex(c.chunks, c.out_h, c.out_w)
    }
    for at in range(max(ends) + 1):
        q, pixel = divmod(at, height * width)
        iy, ix = y0 + pixel // width, x0 + pixel % width
        events[Event.ACT_READS] += q < c.chunks and iy < config.in_h and ix < config.in_w
        cycle += passes if at in ends else 1
    events[Event.PARAM_READS] += words * c.chunks
    events[Event.FILTER_STEPS] += max(ends) + 1
    events[Event.FILTER_MACS] += side * side * 2 * len(ends)
    for event in (Event.ACT_WRITES, Event.POST_OUTPUTS):
        events[event] += len(ends)
    return cycle + words * c.chunks + 2 + stages - 1


def walk(offers: Sequence[Offer], stages: int) -> tuple[list[tuple[int, int]], dict[Event, int]]:
    """(pop, complete) of each command and the counts, element by element."""
    result = []
    events = dict.fromkeys(
        [Event.ACC_READS, Event.ACT_READS, Event.ACT_WRITES, Event.PARAM_READS, Event.POST_OUTPUTS, *FILTER_EVENTS], 0
    )
    config = ConfigPost()
    cycle, written = 0, -1  # first free cycle of the front; cycle of the last write
    for offer in offers:
        c = offer.command
        pop = max(offer.pushed + 1, offer.ready, cycle)
        if isinstance(c, ConfigPost):
            pop = max(pop, written + 1)
            config, cycle = c, pop + 1
            result.append((pop, pop))
            continue
        cycle = pop + 1
        if c.filter:
            cycle = walk_filter(c, config, cycle, stages, events)
            written = cycle + 9 + stages
            result.append((pop, written))
            continue
        for _, oy, ox in np.ndindex(c.chunks, c.out_h, c.out_w):
            for wy, wx in np.ndindex(config.win_h, config.win_w):
                iy, ix = c.iy0 + oy * config.stride_y + wy, c.ix0 + ox * config.stride_x + wx
                inside = 0 <= iy < config.in_h and 0 <= ix < config.in_w
                events[Event.ACT_READS if c.from_activation else Event.ACC_READS] += inside
                cycle += 1
            if c.residual:
                events[Event.ACT_READS] += 1
                cycle += c.from_activation
            events[Event.PARAM_READS] += not c.uniform
            for event in (Event.ACT_WRITES, Event.POST_OUTPUTS):
                events[event] += 1
        cycle -= 1  # the next POST is taken in the cycle of the last element
        written = cycle + 9 + stages
        result.append((pop, written))
    return result, events


def _draw_filter(rng: Random, commands: Sequence[Post | ConfigPost]) -> Post:
    config = next((c for c in reversed(commands) if isinstance(c, ConfigPost)), ConfigPost())
    out_h, out_w, chunks = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 4)
    height = (out_h - 1) * config.stride_y + rng.randint(1, 4)
    width = (out_w - 1) * config.stride_x + rng.randint(5, 9)
    number = rng.randint(1, 2)
    iy0, ix0 = rng.randint(-2 * number, 9), rng.randint(-2 * number, 9)
    return Post(
        filter=number, from_activation=1, reduce_sum=1, iy0=iy0, ix0=ix0, out_h=out_h,
        out_w=out_w, chunks=chunks, stream_h=height, stream_w=width,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_closed_form_is_the_walk_over_elements(rng: Random) -> None:
    commands: list[Post | ConfigPost] = []
    for _ in range(rng.randint(1, 6)):
        if rng.random() < 0.4:
            commands.append(
                ConfigPost(
                    win_h=rng.randint(1, 5), win_w=rng.randint(1, 5), stride_y=rng.randint(1, 6),
                    stride_x=rng.randint(1, 6), in_h=rng.randint(1, 30), in_w=rng.randint(1, 30),
                )
            )  # fmt: skip
        if rng.random() < 0.5:
            commands.append(_draw_filter(rng, commands))
            continue
        commands.append(
            Post(
                from_activation=rng.randint(0, 1), residual=rng.randint(0, 1), uniform=rng.randint(0, 1),
                iy0=rng.randint(-9, 9), ix0=rng.randint(-9, 9), out_h=rng.randint(1, 6), out_w=rng.randint(1, 6),
                chunks=rng.randint(1, 4),
            )
        )  # fmt: skip
    offers = draw_offers(rng, commands)
    stages = rng.randint(1, 3)
    timing = UnitTiming(post_design(4, 2, 2, multiplier_stages=stages, filter_multipliers=9 // PASSES, filter_side=5))
    steps = [timing.step(offer.command, offer.pushed, offer.ready) for offer in offers]
    found, events = walk(offers, stages)
    assert [(step.pop, step.complete) for step in steps] == found
    assert {event: sum(step.events.get(event, 0) for step in steps) for event in events} == events
