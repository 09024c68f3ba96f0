"""Synthesis of small hardware: its netlist computes what the text says, and what `accel synth` counts is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring

from accel.datapath import pe_registers
from accel.design import Array, Design, load
from accel.flow import synth as job
from accel.flow.progress import silent
from accel.rtl.emit import TOP, text_of
from accel.rtl.ram import RAM_VERILOG
from accel.rtl.systolic.array import SystolicArray
from accel.rtl.systolic.pe import PE
from accel.synthesis.modules import parse
from tests.benches.netlist import differing_cycles, gates, inverted


def array(design: Design) -> SystolicArray:
    """A whole array, skew and deskew included, of 2 x 2 PEs."""
    return SystolicArray(design.model_copy(update={"array": Array(rows=2, cols=2)}))


@pytest.mark.parametrize("make", [PE, pytest.param(array, marks=pytest.mark.synth)])
def test_netlist_is_its_verilog(tmp_path: Path, make: Callable[[Design], wiring.Component]) -> None:
    """Multiplier in LUTs, since Yosys has no model of the DSP block. One inverted LUT is seen, wherever it is."""
    nano = load("nano")
    text = text_of(make(nano), nano)
    tree = parse(text, TOP)
    netlist = gates(tree, tmp_path)
    same, *others = differing_cycles(
        text, [netlist, *(inverted(netlist, place) for place in (0.1, 0.5, 0.9))], tree, tmp_path / "miter"
    )
    assert same == 0
    assert min(others) > 0


def test_synthesis_of_a_pe_has_the_registers_that_it_says(tmp_path: Path) -> None:
    """What `accel synth` counts, against the widths that the hardware is built with (accel.datapath)."""
    nano = load("nano")
    of = job.Source(nano, parse(text_of(PE(nano), nano), TOP))
    told: list[str] = []
    found = job.run(of, job.target("ecp5-25f"), False, told.append)
    assert (found.total.ff, found.total.dsp, found.total.bram) == (sum(pe_registers(nano).values()), 1, 0)
    assert found.components == {"glue": found.total}
    assert (found.short, found.placed, told) == ((), None, [TOP])
    assert len(told) == job.steps(of, job.target("ecp5-25f"), False)
    assert job.record(found)["available"]["dsp"] == 28


@pytest.mark.synth
@pytest.mark.parametrize("name", ["ecp5-25f", "up5k", "xc7"])
def test_a_pe_on_each_target(name: str) -> None:
    """Placed and routed where there is a free tool; every multiplier is one."""
    nano = load("nano")
    on = job.target(name)
    found = job.run(job.Source(nano, parse(text_of(PE(nano), nano), TOP)), on, on.part.family == "ecp5", silent)
    assert found.total.dsp == 1
    assert 0 < found.total.ff <= sum(pe_registers(nano).values())  # some are inside the multiplier
    if found.placed:
        assert found.placed.fmax_mhz > 40
        assert sum(ns for _, ns in found.placed.critical) == pytest.approx(1000 / found.placed.fmax_mhz, rel=0.01)


TWICE = """
module first(clk, a_1 , q);
  input clk;
  wire clk;
  input [7:0] a_1 ;
  output [7:0] q;
  reg [7:0] q;
  always @(posedge clk) q <= a_1 + 8'h03;
endmodule

module second(clk, zz, q);
  input clk;
  input [7:0] zz;
  output [7:0] q;
  reg [7:0] q;
  wire clk;
  always @(posedge clk) q <= zz + 8'h03;
endmodule

module third(clk, zz, q);
  input clk;
  input [7:0] zz;
  output [7:0] q;
  reg [7:0] q;
  wire clk;
  always @(posedge clk) q <= zz + 8'h04;
endmodule

module accelerator(clk, x, y);
  input clk;
  input [7:0] x;
  output [7:0] y;
  wire [7:0] a;
  wire [7:0] b;
  first one (
    .a_1 (x),
    .clk(clk),
    .q(a)
  );
  second two (
    .clk(clk),
    .q(b),
    .zz(a)
  );
  third three (
    .clk(clk),
    .q(y),
    .zz(b)
  );
endmodule
"""


def test_modules_that_differ_in_names_alone_are_one() -> None:
    """The second is the first with its ports renamed; another constant is another module."""
    tree = parse(TWICE, TOP)
    assert sorted(tree.parts) == ["accelerator", "first", "third"]
    assert sorted(tree.paths()) == [((), TOP), (("one",), "first"), (("three",), "third"), (("two",), "first")]
    assert ".a_1(a)" in tree.parts[TOP].text
    keys = tree.keys
    assert len(set(keys.values())) == 3
    assert parse(TWICE.replace("a_1", "other").replace("three", "trois"), TOP).keys["first"] == keys["first"]
    assert parse(TWICE.replace("8'h03", "8'h05"), TOP).keys["first"] != keys["first"]


def test_modules_with_parameters_are_one_for_each_set_of_values() -> None:
    text = RAM_VERILOG + "".join(
        f"module {name}(clk, o);\n  input clk;\n  output o;\n{body}endmodule\n"
        for name, body in ((TOP, "".join(RAM.format(width=width, name=f"m{k}") for k, width in enumerate((8, 16, 8)))),)
    )
    tree = parse(text, TOP)
    assert sorted(tree.parts) == [TOP, "ram_depth64_width16", "ram_depth64_width8"]
    assert "parameter WIDTH = 16" in tree.parts["ram_depth64_width16"].stub
    assert "endmodule" in tree.parts["ram_depth64_width16"].stub
    assert "always" not in tree.parts["ram_depth64_width16"].stub


RAM = """  ram #(
    .DEPTH(32'd64),
    .WIDTH(32'd{width})
  ) {name} (
    .clk(clk),
    .r_en(1'h1)
  );
"""


def test_a_stub_declares_every_port() -> None:
    """Of a port `input_move` too, which declares nothing by its name."""
    head = "module part (input_move, out);\n  input [3:0] input_move;\n  wire [3:0] input_move;\n  output out;\n"
    inner = "  part part_0 (\n    .input_move(a),\n    .out(b)\n  );\n"
    whole = f"module top (a, b);\n  input [3:0] a;\n  output b;\n{inner}endmodule\n"
    tree = parse(f"{head}  assign out = input_move[0];\nendmodule\n{whole}", "top")
    assert re.findall(r"^\s*(input|output)\b.*?(\w+);", tree.parts["part"].stub, re.M) == [
        ("input", "input_move"), ("output", "out")
    ]  # fmt: skip
