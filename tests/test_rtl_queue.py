"""The command queue: cycles of push, offer and pop."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.rtl.fifo import CommandQueue
from tests.benches.simulator import Bench


@cache
def bench_of(depth: int) -> Bench:
    return Bench(CommandQueue(depth, range(100, 110)))


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_a_push_is_offered_one_cycle_later_and_a_pop_frees_one_cycle_later(rng: Random, depth: int) -> None:
    queue: list[int] = []
    seed = rng.getrandbits(32)
    bench = bench_of(depth)

    async def body(ctx) -> None:
        random, unit = Random(seed), bench.unit
        for number in range(60):
            push, pop = random.random() < 0.7, random.random() < 0.5
            ctx.set(unit.i.valid, push)
            ctx.set(unit.i.payload, number << 240 | number % 4 << 99 | number)
            room = len(queue) < depth  # of what was in it at the start of the cycle: no path from pop to push
            for ready in (not pop, pop):
                ctx.set(unit.o.ready, ready)
                assert ctx.get(unit.i.ready) == room
            assert ctx.get(unit.o.valid) == bool(queue)
            if queue:
                assert ctx.get(unit.o.payload) == queue[0] << 240 | queue[0] % 2 << 99 | queue[0]
            await ctx.tick()
            if pop and queue:
                queue.pop(0)
            if push and room:
                queue.append(number)

    bench.run(body)
