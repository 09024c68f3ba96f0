"""Self-checking cocotb test bench of the emitted accelerator: `python run.py` in this folder builds and runs it.

It needs cocotb and nothing else of Python's packages. `AxiMemory` is a DRAM of the stated latency and bandwidth; the
accelerator is driven through its registers as a processor would, and what it leaves in memory, its cycles and all of
its performance counters must be what expected.json and expected.bin say.
"""

from __future__ import annotations

import json
import os
import random
from collections import deque
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

FOLDER = Path(os.environ.get("ACCEL_FOLDER", Path(__file__).parent))
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
RESET, ACTIVE = EXPECTED["reset"]
REGISTERS = EXPECTED["registers"]
MANY = FOLDER / "run.json"  # of `accel emit --images N`
RUN = json.loads(MANY.read_text(encoding="utf-8")) if MANY.exists() else {}
DRAM_BASE = 0x4000_0000 if EXPECTED["address_bits"] == 32 else 0x12_4000_0000
FILLING = 0xA5  # what DRAM holds where nothing was written


class AxiMemory:
    """AXI4 slave in front of `content`, and AXI4-Lite master, stepped once a clock cycle.

    A read burst's first beat is offered `latency` cycles after its address, the others every `interval` cycles; a write
    burst is answered `latency` cycles after its last beat. With `stalls` every handshake waits at random, so that beats
    may come before their address: they wait for it here, as AXI4 has it.
    """

    def __init__(self, dut: Any, content: bytearray, latency: int, interval: int, stalls: random.Random | None) -> None:
        self.dut, self.content, self.latency, self.interval, self.stalls = dut, content, latency, interval, stalls
        self.before = bytes(content)
        self.beat = len(dut.m_axi_wstrb)
        self.cycle = 0
        self.reads: deque[list[int]] = deque()  # due, address, beats left
        self.writes: deque[list[int]] = deque()  # address, beats left
        self.beats: deque[tuple[Any, int, bool]] = deque()  # data, strobes, last: taken, and not written yet
        self.answers: deque[int] = deque()
        self.read_earliest = self.write_earliest = 0
        self.r_valid = self.b_valid = self.lite_taken = False
        self.driven: dict[str, int] = {}
        self.drive()

    def set(self, name: str, value: int) -> None:
        """Drive an input, if it changes: every write costs time."""
        if self.driven.get(name) != value:
            self.driven[name] = value
            getattr(self.dut, name).value = value

    def luck(self) -> bool:
        """Whether a handshake may happen in this cycle."""
        return self.stalls is None or self.stalls.random() < 0.6

    def drive(self) -> None:
        """The memory's outputs of the cycle that begins."""
        self.set("m_axi_arready", int(self.luck()))
        self.set("m_axi_awready", int(self.luck()))
        self.set("m_axi_wready", int(self.cycle >= self.write_earliest and self.luck()))
        due = bool(self.reads) and self.cycle >= max(self.reads[0][0], self.read_earliest)
        self.r_valid = due and (self.r_valid or self.luck())
        self.set("m_axi_rvalid", int(self.r_valid))
        if self.r_valid:
            _, at, left = self.reads[0]
            self.set("m_axi_rdata", int.from_bytes(self.content[at : at + self.beat], "little"))
            self.set("m_axi_rlast", int(left == 1))
        answered = bool(self.answers) and self.cycle >= self.answers[0]
        self.b_valid = answered and (self.b_valid or self.luck())
        self.set("m_axi_bvalid", int(self.b_valid))

    def burst(self, channel: str) -> tuple[int, int]:
        """Offset and beats of the address that is offered on a channel."""
        address = int(getattr(self.dut, f"m_axi_{channel}addr").value)
        beats = int(getattr(self.dut, f"m_axi_{channel}len").value) + 1
        last = address + beats * self.beat - 1
        assert address // 4096 == last // 4096, f"a burst at {address:#x} crosses 4 KiB"
        end = DRAM_BASE + len(self.content)
        assert DRAM_BASE <= address <= last < end, f"a burst at {address:#x} leaves the memory"
        return address - DRAM_BASE, beats

    def put(self, at: int, data: Any, strobes: int) -> None:
        """Write a beat to its place: the bytes that have a strobe."""
        if strobes == (1 << self.beat) - 1:
            assert data.is_resolvable, f"undefined data for {at:#x}: {data}"
            self.content[at : at + self.beat] = int(data).to_bytes(self.beat, "little")
            return
        for k in range(self.beat):
            if strobes >> k & 1:
                lane = data[8 * k + 7 : 8 * k]
                assert lane.is_resolvable, f"undefined data for {at + k:#x}: {lane}"
                self.content[at + k] = int(lane)

    async def step(self) -> None:
        """One clock cycle."""
        dut = self.dut
        await RisingEdge(dut.clk)  # the values are still those of the cycle that ends here
        self.lite_taken = bool(
            (self.driven.get("s_axil_awvalid") and dut.s_axil_awready.value == 1)
            or (self.driven.get("s_axil_arvalid") and dut.s_axil_arready.value == 1)
        )
        if self.r_valid and dut.m_axi_rready.value == 1:
            self.reads[0][1] += self.beat
            self.reads[0][2] -= 1
            if not self.reads[0][2]:
                self.reads.popleft()
            self.read_earliest, self.r_valid = self.cycle + self.interval, False
        if self.b_valid and dut.m_axi_bready.value == 1:
            self.answers.popleft()
            self.b_valid = False
        if self.driven["m_axi_arready"] and dut.m_axi_arvalid.value == 1:
            offset, beats = self.burst("ar")
            self.reads.append([self.cycle + self.latency, offset, beats])
        if self.driven["m_axi_wready"] and dut.m_axi_wvalid.value == 1:
            self.beats.append((dut.m_axi_wdata.value, int(dut.m_axi_wstrb.value), dut.m_axi_wlast.value == 1))
            self.write_earliest = self.cycle + self.interval
        if self.driven["m_axi_awready"] and dut.m_axi_awvalid.value == 1:
            self.writes.append(list(self.burst("aw")))
        while self.writes and self.beats:
            at, left = self.writes[0]
            data, strobes, last = self.beats.popleft()
            self.put(at, data, strobes)
            assert (left == 1) == last, "wlast is not at the end of the burst"
            self.writes[0] = [at + self.beat, left - 1]
            if last:
                self.writes.popleft()
                self.answers.append(self.cycle + self.latency)
        self.cycle += 1
        self.drive()

    async def write(self, name: str, value: int) -> int:
        """Write a register; returns the cycle in which it was taken."""
        self.set("s_axil_awaddr", REGISTERS[name])
        self.set("s_axil_wdata", value)
        self.set("s_axil_awvalid", 1)
        self.set("s_axil_wvalid", 1)
        await self.step()
        while not self.lite_taken:
            await self.step()
        self.set("s_axil_awvalid", 0)
        self.set("s_axil_wvalid", 0)
        return self.cycle - 1

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


async def prepare(dut: Any, stalls: random.Random | None = None, run: dict[str, Any] = EXPECTED) -> AxiMemory:
    """Clock, reset, and a memory with the image, and with the inputs of a run on many."""
    Clock(dut.clk, 10, unit="ns").start()
    content = bytearray([FILLING]) * run["dram_bytes"]
    image = (FOLDER / "image.bin").read_bytes()
    content[: len(image)] = image
    if run is RUN:
        inputs = (FOLDER / "run_inputs.bin").read_bytes()
        content[RUN["inputs_offset"] : RUN["inputs_offset"] + len(inputs)] = inputs
    memory = AxiMemory(dut, content, EXPECTED["latency_cycles"], EXPECTED["beat_interval_cycles"], stalls)
    for name in ("awaddr", "awvalid", "wdata", "wvalid", "araddr", "arvalid"):
        memory.set(f"s_axil_{name}", 0)
    for name, value in (("s_axil_wstrb", 15), ("s_axil_bready", 1), ("s_axil_rready", 1)):
        memory.set(name, value)
    memory.set("m_axi_rresp", 0)
    memory.set("m_axi_bresp", 0)
    memory.set(RESET, ACTIVE)
    for _ in range(4):
        await memory.step()
    memory.set(RESET, 1 - ACTIVE)
    await memory.step()
    return memory


async def run_program(memory: AxiMemory, run: dict[str, Any] = EXPECTED) -> int:
    """Start the program, wait for the interrupt, return the cycles from start to done."""
    for name, value in RUN["registers"].items() if run is RUN else ():
        await memory.write(name, value)
    await memory.write("IRQ_ENABLE", 1)
    await memory.write("DRAM_BASE", DRAM_BASE & 0xFFFF_FFFF)
    await memory.write("DRAM_BASE_HIGH", DRAM_BASE >> 32)  # without 64-bit addresses there is no such register
    await memory.write("DRAM_SIZE", run["dram_bytes"])
    await memory.write("PROGRAM_OFFSET", EXPECTED["program_offset"])
    await memory.write("PROGRAM_COUNT", EXPECTED["program_count"])
    start = await memory.write("CONTROL", 1)  # its cycle is cycle 0 of the run
    limit = memory.cycle + 20 * run["events"]["CYCLES"] + 10000
    while memory.dut.irq.value != 1:
        await memory.step()
        assert memory.cycle < limit, "the accelerator does not raise done"
    cycles = memory.cycle - 2 - start  # the interrupt was seen in cycle - 1, one cycle after done
    assert await memory.read("ERROR") == 0
    assert await memory.read("STATUS") == 2, "busy, or stopped by an error"
    return cycles


def check_output(memory: AxiMemory, name: str = "expected", at: int = EXPECTED["output_offset"]) -> None:
    """The output tensor must be the integer reference's, byte for byte; what is no part of it must not be touched."""
    expected = (FOLDER / f"{name}.bin").read_bytes()
    mask = (FOLDER / f"{name.removesuffix('_expected')}_mask.bin").read_bytes()
    found, before = memory.content[at : at + len(expected)], memory.before[at : at + len(expected)]
    wrong = [k for k in range(len(expected)) if found[k] != (expected[k] if mask[k] else before[k])]
    assert not wrong, f"{len(wrong)} output bytes differ, the first at {at + wrong[0]:#x}"


@cocotb.test()
async def registers(dut: Any) -> None:
    """The register file reads as the map says, and writes stay."""
    memory = await prepare(dut)
    assert await memory.read("VERSION") == EXPECTED["version"]
    assert await memory.read("ARRAY") == EXPECTED["array"]
    assert await memory.read("STATUS") == 0
    await memory.write("PROGRAM_OFFSET", 0xA5A5_A5A5)
    assert await memory.read("PROGRAM_OFFSET") == 0xA5A5_A5A5


@cocotb.test()
async def inference(dut: Any) -> None:
    """One inference: output bytes, cycles, and every performance counter."""
    memory = await prepare(dut)
    cycles = await run_program(memory)
    check_output(memory)
    await check_counters(dut, memory, cycles, EXPECTED["events"])


async def check_counters(dut: Any, memory: AxiMemory, cycles: int, expected: dict[str, int]) -> None:
    """Cycles and all counters, which stay at the most that they hold."""
    found = {}
    for name in expected:
        found[name] = await memory.read(f"COUNT_{name}")
    dut._log.info("%d cycles, %d expected", cycles, expected["CYCLES"])
    assert cycles == expected["CYCLES"]
    wanted = {name: min(count, 0xFFFF_FFFF) for name, count in expected.items()}
    differences = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
    assert not differences, f"counters (found, expected): {differences}"
    dut._log.info("output bytes, cycles and %d counters are as the simulator says", len(expected))


@cocotb.test()
async def inference_with_stalls(dut: Any) -> None:
    """Against a memory that stalls at random the output bytes are the same."""
    memory = await prepare(dut, random.Random(1))
    await run_program(memory)
    check_output(memory)


if RUN:

    @cocotb.test()
    async def run_of_many_images(dut: Any) -> None:
        """Many images in one run: output bytes of all, cycles, and every performance counter."""
        memory = await prepare(dut, run=RUN)
        cycles = await run_program(memory, RUN)
        assert await memory.read("IMAGES_DONE") == RUN["registers"]["IMAGES"]
        check_output(memory, "run_expected", RUN["outputs_offset"])
        await check_counters(dut, memory, cycles, RUN["events"])
