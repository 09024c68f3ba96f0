"""Self-checking cocotb test bench of the emitted core: `python run.py` in this folder builds and runs it.

It needs cocotb and nothing else of Python's packages. Images go in and results come out by AXI-Stream; bytes, cycles
and all performance counters must be what expected.json and expected.bin say.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

FOLDER = Path(os.environ.get("ACCEL_FOLDER", Path(__file__).parent))
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
RESET, ACTIVE = EXPECTED["reset"]
REGISTERS = EXPECTED["registers"]
BEAT = EXPECTED["beat_bytes"]


def packets(name: str, beats: int) -> list[bytes]:
    """The packets in a file."""
    data, size = (FOLDER / name).read_bytes(), beats * BEAT
    assert len(data) == EXPECTED["images"] * size, f"{name} has {len(data)} bytes"
    return [data[at : at + size] for at in range(0, len(data), size)]


IMAGES = packets("images.bin", EXPECTED["image_beats"])
RESULTS = packets("expected.bin", EXPECTED["result_beats"])


class Streams:
    """Sends the packets of `queue`, collects those that come; with `pauses` both sides wait at random."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.cycle, self.sent, self.dropped = 0, 0, 0
        self.queue: list[bytes] = []
        self.came: list[bytes] = []
        self.packet = b""
        self.done: list[int] = []  # cycles in which a run was done
        self.pauses: random.Random | None = None
        self.offering = self.ready = self.irq = self.lite_taken = False
        self.held: tuple[int, int] | None = None
        self.driven: dict[str, int] = {}

    def set(self, name: str, value: int) -> None:
        """Drive an input, if it changes: every write costs time."""
        if self.driven.get(name) != value:
            self.driven[name] = value
            getattr(self.dut, name).value = value

    def luck(self) -> bool:
        """Whether a side does not pause in this cycle."""
        return self.pauses is None or self.pauses.random() < 0.6

    def drive(self) -> None:
        """The streams in the cycle that begins."""
        self.offering = bool(self.queue) and (self.offering or self.luck())
        self.set("s_axis_tvalid", int(self.offering))
        if self.offering:
            at = self.sent * BEAT
            self.set("s_axis_tdata", int.from_bytes(self.queue[0][at : at + BEAT], "little"))
            self.set("s_axis_tlast", int(at + BEAT >= len(self.queue[0])))
        self.ready = self.luck()
        self.set("m_axis_tready", int(self.ready))

    async def step(self) -> None:
        """One clock cycle."""
        dut = self.dut
        await RisingEdge(dut.clk)  # the values are still those of the cycle that ends here
        self.lite_taken = bool(
            (self.driven.get("s_axil_awvalid") and dut.s_axil_awready.value == 1)
            or (self.driven.get("s_axil_arvalid") and dut.s_axil_arready.value == 1)
        )
        if self.offering and dut.s_axis_tready.value == 1:
            self.sent, self.offering = self.sent + 1, False
            if self.sent * BEAT >= len(self.queue[0]):
                self.queue.pop(0)
                self.sent = 0
        if dut.m_axis_tvalid.value == 1:
            self.take()
        else:
            assert self.held is None, "an offered beat was withdrawn"
        irq = dut.irq.value == 1
        if irq and not self.irq:
            self.done.append(self.cycle - 1)
        self.irq = irq
        self.dropped += dut.dropped.value == 1
        self.cycle += 1
        self.drive()

    def take(self) -> None:
        """Look at the beat that is offered."""
        data, last = self.dut.m_axis_tdata.value, int(self.dut.m_axis_tlast.value)
        assert data.is_resolvable, f"undefined data in the result: {data}"
        offer = int(data), last
        assert self.held in (None, offer), "an offered beat was changed"
        self.held = None if self.ready else offer
        if self.ready:
            self.packet += offer[0].to_bytes(BEAT, "little")
            if last:
                self.came.append(self.packet)
                self.packet = b""

    async def results(self, count: int) -> list[bytes]:
        """Wait for so many packets; returns them."""
        limit = self.cycle + 20 * count * EXPECTED["events"]["CYCLES"] + 10000
        while len(self.came) < count:
            await self.step()
            assert self.cycle < limit, "a result does not come"
        found, self.came = self.came[:count], self.came[count:]
        return found

    async def read(self, name: str) -> int:
        """Read a register."""
        self.set("s_axil_araddr", REGISTERS[name])
        self.set("s_axil_arvalid", 1)
        await self.step()
        while not self.lite_taken:
            await self.step()
        self.set("s_axil_arvalid", 0)
        await self.step()
        while self.dut.s_axil_rvalid.value != 1:
            await self.step()
        return int(self.dut.s_axil_rdata.value)

    async def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.set("s_axil_awaddr", REGISTERS[name])
        self.set("s_axil_wdata", value)
        self.set("s_axil_awvalid", 1)
        self.set("s_axil_wvalid", 1)
        await self.step()
        while not self.lite_taken:
            await self.step()
        self.set("s_axil_awvalid", 0)
        self.set("s_axil_wvalid", 0)


async def prepare(dut: Any) -> Streams:
    """Clock, reset, interrupt enabled."""
    Clock(dut.clk, 10, unit="ns").start()
    streams = Streams(dut)
    for name in ("awaddr", "awvalid", "wdata", "wvalid", "araddr", "arvalid"):
        streams.set(f"s_axil_{name}", 0)
    for name, value in (("s_axil_wstrb", 15), ("s_axil_bready", 1), ("s_axil_rready", 1)):
        streams.set(name, value)
    streams.set("s_axis_tdata", 0)
    streams.set("s_axis_tlast", 0)
    streams.drive()
    streams.set(RESET, ACTIVE)
    for _ in range(4):
        await streams.step()
    streams.set(RESET, 1 - ACTIVE)
    await streams.step()
    streams.done.clear()  # an interrupt of before the reset
    await streams.write("IRQ_ENABLE", 1)
    return streams


def check(found: list[bytes], expected: list[bytes]) -> None:
    """Results must be the integer reference's, byte for byte."""
    for index, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        assert len(got) == len(wanted), f"result {index} has {len(got)} bytes, not {len(wanted)}"
        wrong = [k for k, (a, b) in enumerate(zip(got, wanted, strict=True)) if a != b]
        assert not wrong, f"{len(wrong)} output bytes of image {index} differ, the first at {wrong[0]}"


@cocotb.test()
async def one_image(dut: Any) -> None:
    """Output bytes, cycles, and every performance counter."""
    streams = await prepare(dut)
    assert await streams.read("VERSION") == EXPECTED["version"]
    assert await streams.read("ARRAY") == EXPECTED["array"]
    assert await streams.read("STATUS") == 0
    streams.queue = IMAGES[:1]
    while streams.queue:
        await streams.step()
    start = streams.cycle  # the cycle after the image's last beat is cycle 0 of the run
    check(await streams.results(1), RESULTS[:1])
    expected, found = EXPECTED["events"], {}
    for name in expected:
        found[name] = await streams.read(f"COUNT_{name}")
    cycles = streams.done[0] - start
    dut._log.info("%d cycles, %d expected", cycles, expected["CYCLES"])
    assert cycles == expected["CYCLES"]
    differences = {name: (found[name], expected[name]) for name in expected if found[name] != expected[name]}
    assert not differences, f"counters (found, expected): {differences}"
    assert await streams.read("ERROR") == 0
    dut._log.info("output bytes, cycles and %d counters are as the simulator says", len(expected))


@cocotb.test()
async def images_in_a_row(dut: Any) -> None:
    """One image comes in while another is worked on: a run starts in the cycle after the one before is done."""
    streams = await prepare(dut)
    streams.queue = [*IMAGES, *IMAGES]
    check(await streams.results(2 * len(IMAGES)), RESULTS * 2)
    gaps = [b - a for a, b in zip(streams.done, streams.done[1:], strict=False)]
    expected = [1 + cycles for cycles in [*EXPECTED["cycles"], *EXPECTED["cycles"]][1:]]
    if min(expected) > EXPECTED["image_beats"] + EXPECTED["result_beats"] + 5:
        assert gaps == expected, f"cycles from one result to the next: {gaps}, expected {expected}"


@cocotb.test()
async def images_with_pauses(dut: Any) -> None:
    """Whoever pauses, and whatever packets of a wrong length come between: the bytes are the same."""
    streams = await prepare(dut)
    streams.pauses = random.Random(1)
    long, short = IMAGES[0] + bytes(BEAT), IMAGES[0][:-BEAT]
    wrong = [packet for packet in (long, short) if packet]
    for image in IMAGES:
        streams.queue += [*wrong, image]
    check(await streams.results(len(IMAGES)), RESULTS)
    assert streams.dropped == len(wrong) * len(IMAGES)
