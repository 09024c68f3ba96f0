"""Memories in block RAMs with their own registers: what a simulator makes of the instances, and what Yosys does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design, load
from accel.rtl.emit import TOP
from accel.rtl.identifiers import plain_identifiers
from accel.rtl.modules import convert
from accel.rtl.pipeline import later
from accel.rtl.ram import RAM_VERILOG
from accel.rtl.registered_ram import DP16KD, REGISTERED_VERILOG, RegisteredRam
from accel.synthesis.modules import parse
from accel.synthesis.tools import run
from tests.benches.netlist import GATES, differing_cycles

# Width, words and lanes: whole blocks of the widest words, and of four bits, whose lanes are written one by one.
SHAPES = ((36, 512, 1), (50, 512, 1), (72, 512, 1), (16, 4096, 2), (12, 4096, 1))
ADDRESS, LANES = 3, 2  # bits that differ: each stands for several


class Memories(wiring.Component):
    """A memory of each width; what leaves it in other cycles than the second after a read is 0 here, and what was
    written while it was read.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "write": In(LANES), "to": In(ADDRESS), "data": In(72), "read": In(1), "at": In(ADDRESS),
                **{f"o_{width}": Out(width) for width, _, _ in SHAPES},
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        known, seen = Signal(LANES << ADDRESS), Signal()  # a word that was never written is whatever it is
        for lane in range(LANES):
            with m.If(self.write[lane]):
                m.d.sync += known.bit_select(Cat(Const(lane, 1), self.to), 1).eq(1)
        m.d.comb += seen.eq(
            self.read & ~(self.write.any() & (self.to == self.at)) & known.word_select(self.at, LANES).all()
        )
        there = later(m, seen, 2, "there")
        for width, depth, lanes in SHAPES:
            m.submodules[f"memory_{width}"] = memory = RegisteredRam(self.design, width, depth, lanes)
            assert memory.in_blocks == (self.design.multiplier == "ecp5")
            bits = (depth - 1).bit_length()
            to, at = self.to.replicate(4), self.at.replicate(4)
            m.d.comb += [
                memory.w_en.eq(self.write[0] if lanes == 1 else self.write),
                memory.w_addr.eq(to[:bits]), memory.w_data.eq(self.data),
                memory.r_en.eq(self.read), memory.r_addr.eq(at[:bits]),
                getattr(self, f"o_{width}").eq(Mux(there, memory.r_data, 0)),
            ]  # fmt: skip
        return m


def text_of(multiplier: str) -> str:
    """The memories of a design with such multipliers."""
    design = Design(**load("nano-ecp5").model_dump() | {"multiplier": multiplier})
    return plain_identifiers("\n".join([*convert(Memories(design), TOP).values(), RAM_VERILOG, REGISTERED_VERILOG]))


def renamed(text: str, suffix: str) -> str:
    """The same with other names of modules, the top one `GATES`."""
    mine = re.sub(rf"\b{TOP}", GATES + suffix, text)
    mine = re.sub(r"\bram(_registered)?\b", rf"ram\1{suffix}", mine)
    return re.sub(rf"\bmodule {GATES}{suffix}\(", f"module {GATES}(", mine, count=1)


@pytest.mark.rtl
def test_block_rams_hold_their_words_in_registers(tmp_path: Path) -> None:
    """Against a memory with a register behind it, and the blocks that Yosys makes of that; without the block's register
    a word comes a cycle too early.
    """
    plain, blocks = text_of("portable"), text_of("ecp5")
    assert "ram_registered #(" in blocks.split("module ram ")[0]
    (tmp_path / "plain.v").write_text(plain, encoding="utf-8")
    script = (
        f"read_verilog plain.v; synth_ecp5 -top {TOP}; rename {TOP} {GATES}; write_verilog -noattr -selected yosys.v"
    )
    run("yosys", ["-q", "-p", script], tmp_path)
    yosys = re.sub(r"\.INITVAL_.*,\n", "", (tmp_path / "yosys.v").read_text(encoding="utf-8"))
    assert "DP16KD" in yosys
    early = renamed(blocks, "_early").replace("OUTREG", "NOREG")
    tree = parse(plain, TOP)
    found = differing_cycles(plain + DP16KD, [renamed(blocks, "_blocks"), yosys, early], tree, tmp_path, cycles=5000)
    assert found[:2] == [0, 0]
    assert found[2] > 1000
