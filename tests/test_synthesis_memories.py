"""What Yosys makes of `ram` and `store` on four families: block or LUT RAM, with nothing emulated around it.

`pytest -m synth tests/test_synthesis_memories.py`; about two minutes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accel import memories
from accel.design import load
from accel.rtl.ram import RAM_VERILOG, STORE_VERILOG
from accel.synthesis.tools import run

pytestmark = pytest.mark.synth

# Yosys' command; cells of block RAM, of LUT RAM and of registers, by how their names begin.
FAMILIES = {
    "ecp5": ("synth_ecp5", ("DP16KD", "PDPW16KD"), ("TRELLIS_DPR16X4",), ("TRELLIS_FF",)),
    "ice40": ("synth_ice40 -device u", ("SB_RAM40_4K",), (), ("SB_DFF",)),
    "xc7": ("synth_xilinx -family xc7 -noiopad", ("RAMB",), ("RAM32", "RAM64", "RAM128", "RAM256"), ("FD",)),
    "cyclonev": ("synth_intel_alm -family cyclonev -noiopad", ("MISTRAL_M10K",), ("MISTRAL_MLAB",), ("MISTRAL_FF",)),
}


def cells(verilog: str, top: str, family: str, folder: Path, **parameters: int) -> tuple[int, int, int]:
    """Block RAMs, cells of LUT RAM and registers of a module."""
    command, blocks, small, registers = FAMILIES[family]
    (folder / "source.v").write_text(verilog, encoding="utf-8")
    settings = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    run(
        "yosys",
        ["-q", "-p", f"read_verilog source.v; chparam {settings} {top}; {command} -top {top}; tee -q -o o stat -json"],
        folder,
    )
    report = (folder / "o").read_text(encoding="utf-8")
    found: dict[str, int] = json.loads(report[report.index("{") :])["design"]["num_cells_by_type"]

    def count(names: tuple[str, ...]) -> int:
        return sum(number for name, number in found.items() if name.startswith(names)) if names else 0

    return count(blocks), count(small), count(registers)


def sizes() -> list[tuple[int, int, int]]:
    """(width, words, lanes with masks) of each memory that `nano` has."""
    nano = load("nano")
    found = {(cells[2], cells[1], each.lanes(nano) if each.masked else 1)
             for each in memories.of(nano) for cells in (each.cells(nano),)}  # fmt: skip
    return sorted(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_memories_are_block_or_lut_ram(family: str, tmp_path: Path) -> None:
    """At most a word's register, which LUT RAM needs, and which row of blocks was read."""
    for width, depth, lanes in sizes():
        blocks, small, registers = cells(RAM_VERILOG, "ram", family, tmp_path, WIDTH=width, DEPTH=depth, LANES=lanes)
        assert blocks + small > 0, (width, depth, lanes)
        assert registers <= (width if small else depth.bit_length()), (width, depth, lanes)


@pytest.mark.parametrize("family", [name for name, (_, _, small, _) in FAMILIES.items() if small])
def test_queues_are_lut_ram(family: str, tmp_path: Path) -> None:
    """An iCE40 has none."""
    blocks, small, registers = cells(STORE_VERILOG, "store", family, tmp_path, WIDTH=256, DEPTH=4)
    assert small > 0
    assert (blocks, registers) == (0, 0)


def test_the_old_word_on_a_collision_would_be_emulated(tmp_path: Path) -> None:
    """So that the counts above can fail: without the attributes an ECP5 gets registers beside each memory."""
    promised = "\n".join(line for line in RAM_VERILOG.splitlines() if "no_rw_check" not in line)
    _, _, registers = cells(promised, "ram", "ecp5", tmp_path, WIDTH=64, DEPTH=1024, LANES=1)
    assert registers > 64
