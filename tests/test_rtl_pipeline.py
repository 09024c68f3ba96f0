"""Delays: what goes in comes out as many cycles later, whatever the registers are made of."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.rtl.pipeline import LEAST_DELAY, delayed
from tests.benches.simulator import simulate
from tests.benches.unit_designs import post_design

BITS = 11


class Delay(wiring.Component):
    """A value through `delayed`."""

    def __init__(self, design: Design, cycles: int) -> None:
        self.design, self.cycles = design, cycles
        super().__init__({"i": In(BITS), "o": Out(BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(delayed(m, self.design, self.i, self.cycles, "delay"))
        return m


@pytest.mark.parametrize("make", ["portable", "ecp5"])
@pytest.mark.parametrize("cycles", [1, LEAST_DELAY - 1, LEAST_DELAY, LEAST_DELAY + 1, 17])
def test_a_delay_is_that_long(make: str, cycles: int) -> None:
    dut, rng = Delay(post_design(1, 1, 1, multiplier=make), cycles), Random(cycles)
    values, got = [rng.getrandbits(BITS) for _ in range(3 * cycles + 5)], []

    async def testbench(ctx: Any) -> None:
        for value in values:
            ctx.set(dut.i, value)
            await ctx.tick()
            got.append(ctx.get(dut.o))

    simulate(dut, testbench)
    assert got[cycles - 1 :] == values[: len(values) - cycles + 1]
