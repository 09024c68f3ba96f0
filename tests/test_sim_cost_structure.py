"""Registers that are priced, against those that the emitted Verilog has."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

from accel.design import load
from accel.rtl.emit import verilog_text
from accel.rtl.sparse.ports import broadcast_layout
from accel.sim.cost.structure import blocks, queue_bits
from tests.benches.unit_designs import compute_design


def registers(text: str) -> int:
    """Bits that are assigned at a clock edge in a module and in all that it instantiates, without memories."""
    modules = {m[1]: m[0] for m in re.finditer(r"^module (\w+).*?^endmodule", text, re.S | re.M)}

    @cache
    def bits(name: str) -> int:
        body = modules[name]
        found = re.findall(r"^ +reg (?:signed )?(?:\[(\d+):0\] )?(\w+)(?: +=[^;]*)?;", body, re.M)
        widths = {register: int(high or 0) + 1 for high, register in found}
        clocked = re.findall(r"always @\(posedge clk\)(.*?)(?=always|assign|endmodule)", body, re.S)
        own = {register for part in clocked for register in re.findall(r"(\w+) <= ", part)}
        inside = Counter(re.findall(r"^ +(\w+) +(?:#\(.*?\)\s*)?\\?\w+ +?\($", body, re.M | re.S))
        return sum(widths.get(r, 0) for r in own) + sum(
            n * bits(m) for m, n in inside.items() if m in modules and m != name
        )

    return bits("accelerator")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "edge", "edge-os", "edge-sparse", "edge-coded", "edge-sparse-coded"])
def test_registers_are_those_of_the_verilog(name: str) -> None:
    """Within a tenth: what is no PE is a few numbers that were counted in four designs."""
    design = load(name)
    priced = sum(block.registers for block in blocks(design))
    assert priced == pytest.approx(registers(verilog_text(design)), rel=0.1)


def test_a_design_that_no_number_was_counted_in() -> None:
    """A small array with a narrow bus, where the shell is nearly everything: within a quarter."""
    design = compute_design(3, 5)
    priced = sum(block.registers for block in blocks(design))
    assert priced == pytest.approx(registers(verilog_text(design)), rel=0.25)


@pytest.mark.parametrize(("rows", "cols"), [(16, 16), (1, 64), (8, 3)])
def test_bits_of_a_queue_are_those_of_the_hardware(rows: int, cols: int) -> None:
    sparse = load("edge-sparse")
    design = sparse.model_copy(update={"array": sparse.array.model_copy(update={"rows": rows, "cols": cols})})
    assert queue_bits(design) == broadcast_layout(design).size
