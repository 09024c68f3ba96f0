"""The AXI4-Lite slave: every register of the map, counters, start, done and interrupt."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from accel.design import load
from accel.events import Event
from accel.registers import COUNTER_BASE, COUNTER_BITS, COUNTERS, OFFSETS, REGISTERS, VERSION, counter_offset, registers
from accel.rtl.csr import Csr
from tests.benches.simulator import Bench

WIDTHS = {event: 1 + index % 5 for index, event in enumerate(Event) if event is not Event.CYCLES}
WIDTHS[Event.MACS] = 26  # full within a run of 300 cycles
NANO = load("nano")
RW = [register for register in REGISTERS if register.access == "rw"]


WIDE = NANO.model_copy(update={"memory": NANO.memory.model_copy(update={"axi_address_bits": 64})})


@cache
def bench() -> Bench:
    """With 64-bit addresses, which have all registers."""
    return Bench(Csr(WIDE, WIDTHS))


class Host:
    """Writes and reads, with random delays of every handshake."""

    def __init__(self, ctx, random: Random) -> None:
        self.ctx, self.lite, self.random = ctx, bench().unit.lite, random

    async def _pause(self) -> None:
        for _ in range(self.random.choice([0, 0, 1, 3])):
            await self.ctx.tick()

    async def write(self, offset: int, value: int, strobe: int = 15) -> None:
        ctx, lite = self.ctx, self.lite
        first, second = (lite.awvalid, lite.wvalid) if self.random.random() < 0.5 else (lite.wvalid, lite.awvalid)
        ctx.set(lite.awaddr, offset)
        ctx.set(lite.wdata, value)
        ctx.set(lite.wstrb, strobe)
        ctx.set(first, 1)
        await self._pause()
        ctx.set(second, 1)
        while not (ctx.get(lite.awready) and ctx.get(lite.wready)):
            await ctx.tick()
        await ctx.tick()
        ctx.set(lite.awvalid, 0)
        ctx.set(lite.wvalid, 0)
        await self._pause()
        ctx.set(lite.bready, 1)
        assert ctx.get(lite.bvalid)
        assert ctx.get(lite.bresp) == 0
        await ctx.tick()
        ctx.set(lite.bready, 0)
        assert not ctx.get(lite.bvalid)

    async def read(self, offset: int) -> int:
        ctx, lite = self.ctx, self.lite
        await self._pause()
        ctx.set(lite.araddr, offset)
        ctx.set(lite.arvalid, 1)
        while not ctx.get(lite.arready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(lite.arvalid, 0)
        for _ in range(len(Event) + 3 if offset >= COUNTER_BASE else 0):  # a counter's turn comes
            if not ctx.get(lite.rvalid):
                assert not ctx.get(lite.arready)
                await ctx.tick()
        assert ctx.get(lite.rvalid)
        value = ctx.get(lite.rdata)
        await self._pause()
        assert (ctx.get(lite.rvalid), ctx.get(lite.rdata)) == (1, value)
        ctx.set(lite.rready, 1)
        await ctx.tick()
        ctx.set(lite.rready, 0)
        return value


async def offer(ctx, value: int, strobe: int = 15) -> None:
    """Offer a write to CONTROL; returns in the cycle in which it is taken, before which nothing starts or stops."""
    unit = bench().unit
    ctx.set(unit.lite.awaddr, OFFSETS["CONTROL"])
    ctx.set(unit.lite.wdata, value)
    ctx.set(unit.lite.wstrb, strobe)
    ctx.set(unit.lite.awvalid, 1)
    ctx.set(unit.lite.wvalid, 1)
    assert (ctx.get(unit.start), ctx.get(unit.abort), ctx.get(unit.lite.awready)) == (0, 0, 0)
    await ctx.tick()
    assert (ctx.get(unit.lite.awready), ctx.get(unit.lite.wready)) == (1, 1)


async def taken(ctx) -> None:
    """The cycle ends in which a write is taken, and so does what is offered; its answer is taken."""
    lite = bench().unit.lite
    await ctx.tick()
    ctx.set(lite.awvalid, 0)
    ctx.set(lite.wvalid, 0)
    ctx.set(lite.bready, 1)


def hosted(test) -> None:
    async def body(ctx) -> None:
        ctx.set(bench().unit.quiet, 1)
        await test(ctx, Host(ctx, Random(3)))

    bench().run(body)


def test_the_map_after_reset() -> None:
    async def test(ctx, host: Host) -> None:
        expected = {register.offset: register.reset for register in registers(WIDE) + COUNTERS}
        assert len(expected) == len(REGISTERS + COUNTERS)
        assert expected[OFFSETS["ARRAY"]] == 8 | 8 << 8 | 8 << 16 | 2 << 24
        assert expected[OFFSETS["VERSION"]] == VERSION
        for offset in range(0, 0x240, 4):
            assert await host.read(offset) == expected.get(offset, 0), hex(offset)

    hosted(test)


@pytest.mark.parametrize("register", RW, ids=lambda r: r.name)
def test_writable_registers_byte_by_byte(register) -> None:
    async def test(ctx, host: Host) -> None:
        random, held = Random(1), register.reset
        mask = (1 << register.bits) - (1 << register.align)
        for _ in range(12):
            value, strobe = random.getrandbits(32), random.getrandbits(4)
            bytes_written = sum(255 << 8 * k for k in range(4) if strobe >> k & 1) & mask
            held = held & ~bytes_written | value & bytes_written
            await host.write(register.offset, value, strobe)
            assert await host.read(register.offset) == held
            used = ctx.get(getattr(bench().unit, register.name.lower()))
            assert used == (register.reset if register.latched else held)
        for other in RW:
            if other is not register:
                assert await host.read(other.offset) == other.reset

    hosted(test)


def test_a_run_uses_what_the_registers_held_at_its_start() -> None:
    async def test(ctx, host: Host) -> None:
        unit, latched = bench().unit, [register for register in RW if register.latched]
        assert {r.name for r in RW} - {r.name for r in latched} == {"IRQ_ENABLE"}

        def used() -> list[int]:
            return [ctx.get(getattr(unit, register.name.lower())) for register in latched]

        def kept(value: int) -> list[int]:
            return [value & (1 << r.bits) - (1 << r.align) for r in latched]

        for value, during in ((0x1234_5678, 0xFFFF_FFFF), (0x8765_4321, 0)):
            for register in latched:
                await host.write(register.offset, value)
            await host.write(OFFSETS["CONTROL"], 1)
            assert used() == kept(value)
            for register in latched:
                await host.write(register.offset, during)
                assert await host.read(register.offset) == during & (1 << register.bits) - (1 << register.align)
            assert used() == kept(value)
            await host.write(OFFSETS["CONTROL"], 1)  # busy: refused, and nothing is latched
            assert used() == kept(value)
            ctx.set(unit.done, 1)
            await ctx.tick()
            ctx.set(unit.done, 0)

    hosted(test)


def test_from_image_to_image() -> None:
    """Moves grow by their steps, the program is the next one, the last image is known, and the next run begins anew."""

    async def test(ctx, host: Host) -> None:
        unit = bench().unit
        values = {
            "INPUT_MOVE": 0xFFFF_E000, "INPUT_STEP": 0x3000, "OUTPUT_MOVE": 0x5000, "OUTPUT_STEP": 0x00FF_F000,
            "PROGRAM_OFFSET": 64, "PROGRAM_COUNT": 5, "NEXT_OFFSET": 4096, "NEXT_COUNT": 9, "IMAGES": 3,
        }  # fmt: skip
        for name, value in values.items():
            await host.write(OFFSETS[name], value)
        for _ in range(2):
            await host.write(OFFSETS["CONTROL"], 1)
            for image, begin in enumerate(((64, 5), (4096, 9), (4096, 9))):
                assert (ctx.get(unit.program_offset), ctx.get(unit.program_count)) == begin
                assert ctx.get(unit.input_move) == (0xFFFF_E000 + 0x3000 * image) % (1 << 32)
                assert ctx.get(unit.output_move) == 0x5000 + 0x00FF_F000 * image
                assert ctx.get(unit.last) == (image == 2)
                assert await host.read(OFFSETS["IMAGES_DONE"]) == image
                end = unit.done if image == 2 else unit.next
                ctx.set(end, 1)
                await ctx.tick()
                ctx.set(end, 0)
            assert await host.read(OFFSETS["IMAGES_DONE"]) == 3
        await host.write(OFFSETS["IMAGES"], 0)
        await host.write(OFFSETS["CONTROL"], 1)
        assert ctx.get(unit.last)
        ctx.set(unit.error, 3)
        ctx.set(unit.done, 1)
        await ctx.tick()
        assert await host.read(OFFSETS["IMAGES_DONE"]) == 0

    hosted(test)


def test_no_start_on_a_bus_that_is_not_quiet() -> None:
    async def test(ctx, host: Host) -> None:
        unit = bench().unit
        await host.write(OFFSETS["CONTROL"], 1)
        ctx.set(unit.quiet, 0)
        assert await host.read(OFFSETS["STATUS"]) == 1  # a bus that is in use is no fault
        ctx.set(unit.error, 6)
        ctx.set(unit.done, 1)
        await ctx.tick()
        ctx.set(unit.done, 0)
        assert await host.read(OFFSETS["STATUS"]) == 2 + 4 + 8
        await host.write(OFFSETS["CONTROL"], 1)
        assert not ctx.get(unit.busy)
        assert await host.read(OFFSETS["STATUS"]) == 2 + 4 + 8
        ctx.set(unit.quiet, 1)
        assert await host.read(OFFSETS["STATUS"]) == 2 + 4
        ctx.set(unit.error, 0)
        await host.write(OFFSETS["CONTROL"], 1)
        assert await host.read(OFFSETS["STATUS"]) == 1

    hosted(test)


def test_start_busy_done_and_interrupt() -> None:
    async def test(ctx, host: Host) -> None:
        unit, starts = bench().unit, []

        async def settle(cycles: int) -> None:
            for _ in range(cycles):
                await ctx.tick()

        async def start() -> None:
            await offer(ctx, 1, strobe=1)
            starts.append(ctx.get(unit.start))
            await taken(ctx)
            assert not ctx.get(unit.start)
            await ctx.tick()
            ctx.set(unit.lite.bready, 0)

        await host.write(OFFSETS["CONTROL"], 0)
        assert not ctx.get(unit.busy)
        await start()
        await start()  # while busy: ignored
        assert starts == [1, 0]
        assert await host.read(OFFSETS["STATUS"]) == 1
        ctx.set(unit.error, 3)
        ctx.set(unit.done, 1)
        await ctx.tick()
        ctx.set(unit.done, 0)
        await settle(5)
        assert await host.read(OFFSETS["STATUS"]) == 6
        assert await host.read(OFFSETS["ERROR"]) == 3
        assert not ctx.get(unit.irq)
        await host.write(OFFSETS["IRQ_ENABLE"], 1)
        assert ctx.get(unit.irq)
        await host.write(OFFSETS["STATUS"], 2)
        assert not ctx.get(unit.irq)
        assert await host.read(OFFSETS["STATUS"]) == 4
        ctx.set(unit.error, 0)
        await start()
        assert starts == [1, 0, 1]
        assert await host.read(OFFSETS["STATUS"]) == 1

    hosted(test)


def test_what_a_run_ended_with_is_gone_in_the_cycle_after_the_next_start() -> None:
    async def test(ctx, host: Host) -> None:
        unit, lite = bench().unit, bench().unit.lite
        ctx.set(unit.error, 0)
        await host.write(OFFSETS["IRQ_ENABLE"], 1)
        await host.write(OFFSETS["CONTROL"], 1)
        ctx.set(unit.done, 1)
        await ctx.tick()
        ctx.set(unit.done, 0)
        assert (ctx.get(unit.irq), await host.read(OFFSETS["STATUS"])) == (1, 2)
        await offer(ctx, 1, strobe=1)
        assert (ctx.get(unit.start), ctx.get(unit.irq)) == (1, 1)
        await taken(ctx)
        assert (ctx.get(unit.busy), ctx.get(unit.irq)) == (1, 0)
        ctx.set(lite.araddr, OFFSETS["STATUS"])
        ctx.set(lite.arvalid, 1)
        await ctx.tick()
        ctx.set(lite.arvalid, 0)
        assert ctx.get(lite.rdata) == 1

    hosted(test)


def test_abort_is_a_pulse_while_busy() -> None:
    async def test(ctx, host: Host) -> None:
        unit = bench().unit

        async def control(value: int, strobe: int = 15) -> tuple[int, int]:
            """Start and abort in the cycle in which a write is taken; neither stays."""
            await offer(ctx, value, strobe)
            found = ctx.get(unit.start), ctx.get(unit.abort)
            await taken(ctx)
            assert (ctx.get(unit.start), ctx.get(unit.abort)) == (0, 0)
            await ctx.tick()
            return found

        assert await control(2) == (0, 0)
        assert await control(3) == (1, 0)  # not busy yet
        assert await control(1) == (0, 0)
        assert await control(2, strobe=14) == (0, 0)
        assert await control(2) == (0, 1)
        assert await control(3) == (0, 1)

    hosted(test)


def test_counters_count_from_start_to_done() -> None:
    async def test(ctx, host: Host) -> None:
        unit = bench().unit
        random = Random(8)
        for run_cycles in (9, 300, 40):  # a start clears, also what is full
            total = dict.fromkeys(Event, 0)
            await offer(ctx, 1, strobe=1)
            assert ctx.get(unit.start)
            for cycle in range(run_cycles + 1):  # cycle 0 is that of start, the last one that of done
                ctx.set(unit.done, cycle == run_cycles)
                for event, width in WIDTHS.items():
                    amount = random.getrandbits(width)
                    ctx.set(getattr(unit, f"event_{event.name.lower()}"), amount)
                    total[event] += amount * (cycle > 1)  # units are reset in cycle 1
                await (ctx.tick() if cycle else taken(ctx))
            ctx.set(unit.done, 0)
            ctx.set(unit.lite.bready, 0)
            await ctx.tick()  # what units still do after done (the inputs are as before) does not count
            for event in WIDTHS:
                ctx.set(getattr(unit, f"event_{event.name.lower()}"), 0)
            total[Event.CYCLES] = run_cycles
            for event, count in total.items():
                assert await host.read(counter_offset(event)) == min(count, (1 << COUNTER_BITS) - 1), event

    hosted(test)
