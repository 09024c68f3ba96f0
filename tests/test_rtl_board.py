"""What a board needs around the accelerator, block by block in Amaranth's simulator."""

from __future__ import annotations

import binascii
import struct
from random import Random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from accel.board import ACCEPTED, MEMORY_BIT, READ, REFUSED, WRITE, design_on
from accel.board import board as board_named
from accel.design import load
from accel.rtl.board import bridge as bridge_module
from accel.rtl.board.bridge import Bridge
from accel.rtl.board.memory import BoardMemory
from accel.rtl.board.system import LiteMaster
from accel.rtl.board.uart import Receiver, Transmitter
from tests.benches.simulator import put, simulate

DESIGN = design_on(board_named("ulx3s"), load("nano"))


class Loop(wiring.Component):
    """A transmitter whose line goes to a receiver of another rate."""

    def __init__(self) -> None:
        self.sender, self.receiver = Transmitter(), Receiver()
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sender, m.submodules.receiver = self.sender, self.receiver
        m.d.comb += self.receiver.rx.eq(self.sender.tx)
        return m


@pytest.mark.parametrize(("sends", "takes"), [(4, 4), (5, 5), (40, 40), (40, 41), (40, 39), (33, 32)])
def test_bytes_over_the_line(sends: int, takes: int) -> None:
    """Back to back, from rates that differ by 3 %."""
    dut, sent = Loop(), [0x00, 0xFF, 0x55, 0x80, 0x01, 0xA5, 0x7E]
    found: list[int] = []

    async def testbench(ctx: Any) -> None:
        put(ctx, dut.sender, divider=sends)
        put(ctx, dut.receiver, divider=takes)
        ctx.set(dut.receiver.o.ready, 1)
        left = list(sent)
        for _ in range(sends * 10 * (len(sent) + 2)):
            ctx.set(dut.sender.i.valid, bool(left))
            ctx.set(dut.sender.i.payload, left[0] if left else 0)
            _, _, ready, valid, byte = await ctx.tick().sample(
                dut.sender.i.ready, dut.receiver.o.valid, dut.receiver.o.payload
            )
            if ready and left:
                left.pop(0)
            if valid:
                found.append(byte)

    simulate(dut, testbench)
    assert found == sent


def check(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


class Slave:
    """A memory behind one of the bridge's ports that takes words after a pause of its own."""

    def __init__(self, port: Any, random: Random) -> None:
        self.port, self.random, self.words = port, random, dict[int, int]()
        self.late: int | None = None

    def step(self, ctx: Any, offered: tuple[int, int, int, int, int]) -> None:
        """After an edge: `offered` is what was there before it (valid, ready, write, address, data)."""
        valid, ready, write, address, data = offered
        if self.late is not None:
            ctx.set(self.port.r_data, self.late)
            self.late = None
        if valid and ready and write:
            self.words[address] = data
        elif valid and ready:
            self.late = self.words.get(address, 0)
        ctx.set(self.port.ready, self.random.random() < 0.4)


@pytest.mark.parametrize("seed", range(3))
def test_requests_and_damage(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words come and go as a dictionary keeps them. What is damaged is refused; after a pause all is as before."""
    monkeypatch.setattr(bridge_module, "IDLE_BITS", 64)
    random, dut = Random(seed), Bridge()
    slaves = [Slave(port, random) for port in (dut.registers, dut.memory)]
    kept: dict[int, int] = {}

    async def testbench(ctx: Any) -> None:
        put(ctx, dut, tick=1)

        async def step() -> tuple[int, int, int]:
            ports = [s for x in (dut.registers, dut.memory) for s in (x.valid, x.ready, x.write, x.addr, x.w_data)]
            _, _, taken, valid, byte, *offered = await ctx.tick().sample(
                dut.i.ready, dut.o.valid & dut.o.ready, dut.o.payload, *ports
            )
            for k, slave in enumerate(slaves):
                slave.step(ctx, tuple(offered[5 * k : 5 * k + 5]))
            return taken, valid, byte

        async def ask(request: bytes, answers: int) -> bytes:
            """Sends it; what is answered until so many bytes came, or nothing happened for 400 cycles."""
            left, found, silent = list(request), bytearray(), 0
            while len(found) < answers and silent < 400:
                ctx.set(dut.i.valid, bool(left))
                ctx.set(dut.i.payload, left[0] if left else 0)
                ctx.set(dut.o.ready, random.random() < 0.5)
                taken, valid, byte = await step()
                silent = 0 if (left and taken) or valid else silent + 1
                if left and taken:
                    left.pop(0)
                if valid:
                    found.append(byte)
            ctx.set(dut.i.valid, 0)
            return bytes(found)

        def header(operation: int, address: int, words: int) -> bytes:
            packed = struct.pack("<BIH", operation, address, words)
            return packed + check(packed)

        for _ in range(40):
            first, count = random.randrange(12) * 4 | random.choice([0, 1 << MEMORY_BIT]), random.randrange(6)
            places = [first + 4 * k for k in range(count)]
            kind = random.choice(["write", "write", "read", "read", "bad header", "bad data", "cut"])
            if kind == "read":
                data = b"".join(kept.get(place, 0).to_bytes(4, "little") for place in places)
                found = await ask(header(READ, first, count), 1 + len(data) + 2)
                assert found == bytes([ACCEPTED]) + data + check(data)
                continue
            data = random.randbytes(4 * count)
            request = bytearray(header(WRITE, first, count) + data + check(data))
            if kind == "bad header":
                request[random.randrange(9)] ^= 1 << random.randrange(8)
            elif kind == "bad data":
                request[random.randrange(9, len(request))] ^= 1 << random.randrange(8)
            elif kind == "cut":
                request = request[: random.randrange(1, len(request))]
            if kind != "bad header":  # words that came are written, damaged or not: they will be sent again
                whole = [request[at : at + 4] for at in range(9, min(9 + 4 * count, len(request)), 4)]
                came = [int.from_bytes(word, "little") for word in whole if len(word) == 4]
                kept.update(zip(places, came, strict=False))
            answers = {"write": [ACCEPTED], "cut": []}.get(kind, [REFUSED])
            assert list(await ask(bytes(request), 1)) == answers, (kind, request.hex())
            if kind in ("bad header", "cut"):
                for _ in range(70):
                    await step()

    simulate(dut, testbench)
    for place, word in kept.items():
        assert slaves[place >> MEMORY_BIT].words[(place & ~(1 << MEMORY_BIT)) // 4] == word


def test_the_accelerator_comes_first() -> None:
    """Bursts, whose reader pauses, come as if there were no host; the host reads and writes in between, correctly."""
    dut, random, beats = BoardMemory(DESIGN, 64 * 8), Random(5), 64
    content = {k: random.randrange(1 << 32) for k in range(2 * beats)}
    pauses = [random.random() < 0.3 for _ in range(400)]

    def trace(busy: bool) -> tuple[list[tuple[int, int]], int]:
        seen: list[tuple[int, int]] = []
        done = 0

        async def testbench(ctx: Any) -> None:
            nonlocal done
            for place, word in content.items():
                put(ctx, dut.host, valid=1, write=1, addr=place, w_data=word)
                await ctx.tick().until(dut.host.ready)
            host, asked = Random(6), 0
            put(ctx, dut.host, valid=0)
            put(ctx, dut.read, araddr=8 * 8, arlen=31, arvalid=1)
            waiting, late = False, None
            for cycle, pause in enumerate(pauses):
                if busy and not waiting:
                    asked = host.randrange(2 * beats)
                    put(ctx, dut.host, valid=1, write=int(asked >= 96), addr=asked, w_data=content[asked])
                    waiting = True
                ctx.set(dut.read.rready, not pause)
                _, _, came, data, ready, taken, write = await ctx.tick().sample(
                    dut.read.rvalid & dut.read.rready, dut.read.rdata, dut.read.arready, dut.host.ready, dut.host.write
                )
                if ready:
                    ctx.set(dut.read.arvalid, cycle < 100)
                if came:
                    seen.append((cycle, data))
                assert late is None or ctx.get(dut.host.r_data) == content[late]
                late = None
                if waiting and taken:
                    waiting, done = False, done + 1
                    late = None if write else asked

        simulate(dut, testbench)
        return seen, done

    alone, _ = trace(False)
    beside, done = trace(True)
    assert beside == alone
    assert done > 50
    words = [content[2 * k] | content[2 * k + 1] << 32 for k in range(8, 40)]
    assert [data for _, data in alone] == words * (len(alone) // 32)


def test_words_over_axi_lite() -> None:
    """Against a slave that takes addresses and data when it likes, and answers late."""
    dut, random = LiteMaster(), Random(7)
    held: dict[int, int] = {}
    wanted: dict[int, int] = {}

    async def testbench(ctx: Any) -> None:
        lite, words = dut.lite, dut.words
        address = data = read = answer = None
        put(ctx, words, valid=0)
        for _ in range(60):
            place, value, write = random.randrange(16), random.randrange(1 << 32), random.random() < 0.5
            put(ctx, words, valid=1, write=write, addr=place, w_data=value)
            for _ in range(200):
                offers = (lite.awvalid & lite.awready, lite.awaddr, lite.wvalid & lite.wready, lite.wdata)
                reads = (lite.arvalid & lite.arready, lite.araddr, words.ready)
                _, _, aw, at, w, given, ar, source, ready = await ctx.tick().sample(*offers, *reads)
                address, data, read = (at if aw else address), (given if w else data), (source if ar else read)
                for name in ("bvalid", "rvalid"):
                    ctx.set(getattr(lite, name), 0)
                if answer is None and random.random() < 0.3:
                    if address is not None and data is not None:
                        held[address // 4], address, data, answer = data, None, None, "bvalid"
                    elif read is not None:
                        ctx.set(lite.rdata, held.get(read // 4, 0))
                        read, answer = None, "rvalid"
                    if answer:
                        ctx.set(getattr(lite, answer), 1)
                        answer = None
                for name in ("awready", "wready", "arready"):
                    ctx.set(getattr(lite, name), random.random() < 0.4)
                if ready:
                    break
            else:
                raise AssertionError("no answer")
            if write:
                wanted[place] = value
            else:
                assert ctx.get(words.r_data) == wanted.get(place, 0)
        assert held == wanted

    simulate(dut, testbench)
