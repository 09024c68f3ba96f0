"""The memory of a core without DRAM in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

from accel.rtl.on_chip import Depths, OnChipMemory
from tests.benches.simulator import simulate
from tests.benches.unit_designs import CORE


def test_stores_that_share_a_beat_of_the_result_leave_what_each_wrote() -> None:
    """Complementary strobes, another beat between them; bytes that nobody writes are zeros. In both places."""
    dut = OnChipMemory(CORE, [0], Depths(1, 1, 2, 0))
    writes = [(0, 0x8877665544332211, 0b0000_0101), (1, 0x0102030405060708, 0xFF), (0, (1 << 64) - 1, 0b0110_1000)]

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.result_first, 4)
        ctx.set(dut.result_beats, 2)
        for place in range(2):
            ctx.set(dut.result_place, place)
            for beat, value, strobes in writes:
                ctx.set(dut.write.awaddr, CORE.beat_bytes * (4 + beat))
                ctx.set(dut.write.awvalid, 1)
                await ctx.tick()
                ctx.set(dut.write.awvalid, 0)
                for port, signal in (("wdata", value), ("wstrb", strobes), ("wlast", 1), ("wvalid", 1)):
                    ctx.set(getattr(dut.write, port), signal)
                await ctx.tick()
                ctx.set(dut.write.wvalid, 0)
            for beat, expected in enumerate([0x00FFFF00FF330011, 0x0102030405060708]):
                ctx.set(dut.r_result.addr, 2 * place + beat)
                ctx.set(dut.r_result.en, 1)
                await ctx.tick()
                assert ctx.get(dut.r_result.data) == expected

    simulate(dut, testbench)
