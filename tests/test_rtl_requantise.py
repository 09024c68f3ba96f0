"""Requantisation against the formula in docs/formats.md, one value a cycle."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.latency import cycles, requantise_pipeline
from accel.rtl.requantise import Requantise
from tests.benches.simulator import simulate
from tests.benches.unit import round_shift
from tests.benches.unit_designs import draw_multiplier, post_design

INT32 = (-(1 << 31), -1, 0, 1, (1 << 31) - 1)


def value(rng: Random, low: int, high: int) -> int:
    """The ends, small numbers, and anything between."""
    return rng.choice([low, high, max(low, min(high, rng.randint(-3, 3))), rng.randint(low, high)])


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_values(rng: Random) -> None:
    rng = Random(rng.getrandbits(32))  # too many numbers for Hypothesis
    design = post_design(1, 1, 1, multiplier_stages=rng.randint(1, 3), multiplier=draw_multiplier(rng))
    dut, latency = Requantise(design), 5 + design.post_multiplier_stages
    assert latency == cycles(requantise_pipeline(design))
    low, high = sorted([value(rng, -128, 127), value(rng, -128, 127)])
    if rng.random() < 0.5:
        low, high = -128, 127
    scalars = {
        "res_multiplier": value(rng, 0, 65535), "res_shift": value(rng, 0, 47), "zero_point": value(rng, -128, 127),
        "low": low, "high": high,
    }  # fmt: skip
    given_, want = [], []
    for _ in range(200):
        shift = rng.choice([0, value(rng, 0, 47)])
        near = 1 << max(0, min(31, shift - 8))  # many codes are not clipped
        x = rng.choice([*INT32, rng.randint(-9, 9), rng.randint(-near, near - 1), rng.randint(*INT32[::4])])
        fields = {
            "value": x, "bias": rng.choice([0, value(rng, *INT32[::4])]), "shift": shift,
            "multiplier": rng.choice([1, value(rng, 0, 65535)]), "residual": rng.choice([0, value(rng, -255, 255)]),
        }  # fmt: skip
        term = round_shift(fields["residual"] * scalars["res_multiplier"], scalars["res_shift"])
        if rng.random() < 0.2:  # a sum that takes the largest operands back into the range of codes
            x, shift, multiplier = rng.randint(-200, 200) - term, rng.choice([0, rng.randint(16, 31)]), 1
            if shift:
                x, multiplier = (x << shift) // 65535, 65535
            x = max(INT32[0], min(INT32[-1], x))
            fields |= {"value": x, "bias": 0, "multiplier": multiplier, "shift": shift}
        y = round_shift((x + fields["bias"]) * fields["multiplier"], shift) + scalars["zero_point"]
        y += term
        given_.append(fields)
        want.append(min(max(y, low), high))
    got = []

    async def testbench(ctx: Any) -> None:
        for name, scalar in scalars.items():
            ctx.set(getattr(dut, name), scalar)
        for fields in given_ + [{}] * (latency - 1):
            for name, field in fields.items():
                ctx.set(getattr(dut, name), field)
            await ctx.tick()
            got.append(ctx.get(dut.code))

    simulate(dut, testbench)
    assert got[latency - 1 :] == want
