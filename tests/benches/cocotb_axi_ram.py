"""Test bench of the emitted accelerator with AXI models of another hand (cocotbext-axi), for `tests/test_flow_emit.py`.

It takes the place of the bench that is emitted. AxiRam keeps to the protocol in its own order of things, with pauses at
random on all five channels; timing is its own, so that bytes are compared and cycles are not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

FOLDER = Path(__file__).parent
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
REGISTERS = EXPECTED["registers"]


def pauses(seed: int) -> Iterator[bool]:
    """Pause in about a third of the cycles."""
    generator = random.Random(seed)
    while True:
        yield generator.random() < 0.35


@cocotb.test()
async def inference_behind_axi_ram(dut: Any) -> None:
    """One inference: the output bytes are the reference's."""
    Clock(dut.clk, 10, unit="ns").start()
    size_bytes = 1 << (EXPECTED["dram_bytes"] - 1).bit_length()
    ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=size_bytes)
    registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    interfaces = ram.write_if, ram.read_if
    channels = [getattr(i, c) for i in interfaces for c in ("aw_channel", "w_channel", "b_channel") if hasattr(i, c)]
    channels += [getattr(i, c) for i in interfaces for c in ("ar_channel", "r_channel") if hasattr(i, c)]
    assert len(channels) == 5
    for seed, channel in enumerate(channels):
        channel.set_pause_generator(pauses(seed))
    ram.write(0, (FOLDER / "image.bin").read_bytes())
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    for name, value in (
        ("IRQ_ENABLE", 1), ("DRAM_BASE", 0), ("DRAM_SIZE", EXPECTED["dram_bytes"]),
        ("PROGRAM_OFFSET", EXPECTED["program_offset"]), ("PROGRAM_COUNT", EXPECTED["program_count"]), ("CONTROL", 1),
    ):  # fmt: skip
        await registers.write_dword(REGISTERS[name], value)
    for _ in range(40 * EXPECTED["events"]["CYCLES"]):
        if dut.irq.value == 1:
            break
        await RisingEdge(dut.clk)
    assert dut.irq.value == 1, "the accelerator does not raise done"
    assert await registers.read_dword(REGISTERS["STATUS"]) == 2
    assert await registers.read_dword(REGISTERS["ERROR"]) == 0
    expected, mask = (FOLDER / "expected.bin").read_bytes(), (FOLDER / "expected_mask.bin").read_bytes()
    found = ram.read(EXPECTED["output_offset"], len(expected))
    wrong = [k for k in range(len(expected)) if mask[k] and found[k] != expected[k]]
    assert not wrong, f"{len(wrong)} output bytes differ"
