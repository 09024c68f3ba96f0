"""What `accel emit` writes for other tools, given to them: FuseSoC, systemrdl-compiler, Tcl, LiteX, Verilator."""

from __future__ import annotations

import re
import subprocess
import sys
import tkinter
from pathlib import Path
from typing import Any

import pytest

from accel.design import load, parse
from accel.flow import emit_tools
from accel.flow.register_rdl import rdl
from accel.registers import COUNTERS, registers
from accel.rtl.emit import verilog_text, waivers_text
from tests.benches.verilator import environment

TINY = """\
name: tiny
array: {rows: 2, cols: 2}
buffers: {activation_bytes: 1024, weight_bytes: 512, accumulator_bytes: 512, parameter_bytes: 512}
memory: {axi_bits: 64, latency_cycles: 20}
reset: %s
clock_mhz: 50
"""
HIGH, LOW = (parse(TINY % kind) for kind in ("active-high", "active-low"))


@pytest.fixture(scope="module", params=[HIGH, LOW], ids=["rst", "rst_n"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Verilog of a design and the files for other tools."""
    top = tmp_path_factory.mktemp("tools")
    files = emit_tools.contents(request.param)
    files |= {"accelerator.v": verilog_text(request.param).encode(), "waivers.vlt": waivers_text().encode()}
    for name, content in files.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(content)
    return top


def lint(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["verilator", "--lint-only", "-Wall", "waivers.vlt", *options]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


# SystemRDL


def compiled(text: str, folder: Path) -> Any:
    from systemrdl import RDLCompiler

    (folder / "map.rdl").write_text(text)
    compiler = RDLCompiler()
    compiler.compile_file(str(folder / "map.rdl"))
    return compiler.elaborate().top


@pytest.mark.parametrize("name", ["nano", "core", "64 bits"])
def test_registers_in_systemrdl(name: str, tmp_path: Path) -> None:
    """Compiled, it has the design's registers, each with its offset, value after reset, and what may be written."""
    memory = load("nano").memory.model_copy(update={"axi_address_bits": 64})
    design = load("nano").model_copy(update={"memory": memory}) if name == "64 bits" else load(name)
    found = {node.inst_name: node for node in compiled(rdl(design), tmp_path).registers()}
    assert list(found) == [register.name for register in (*registers(design), *COUNTERS)]
    for register in (*registers(design), *COUNTERS):
        node = found[register.name]
        fields = node.fields()
        assert (node.absolute_address, node.get_property("regwidth")) == (register.offset, 32)
        assert sum(field.get_property("reset") << field.low for field in fields) == register.reset
        written = sum((1 << field.width) - 1 << field.low for field in fields if field.is_sw_writable)
        readable = sum((1 << field.width) - 1 << field.low for field in fields if field.is_sw_readable)
        whole = (1 << register.bits) - (1 << register.align)
        assert written == {"rw": whole, "ro": 0, "wo": 0b11, "w1c": 0b10}[register.access], register.name
        assert bool(readable) == (register.access != "wo")
    done = next(field for field in found["STATUS"].fields() if field.inst_name == "done")
    assert done.get_property("onwrite").name == "woclr"


# FuseSoC


@pytest.mark.rtl
def test_lint_by_fusesoc(folder: Path) -> None:
    """Its target `lint` runs Verilator on the files of the core; a file with an unused signal more is an error."""

    def run(design: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fusesoc.main", "--cores-root", ".", "run", "--target", "lint", "--no-export"]
        return subprocess.run(
            [*command, f"accel:designs:{design}"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    good = run("tiny")
    assert good.returncode == 0, (good.stdout[-2000:], good.stderr[-2000:])
    verilog = folder / "accelerator.v"
    text = verilog.read_text()
    verilog.write_text(text.replace("endmodule", "  output [3:0] nobody;\nendmodule", 1))
    try:
        assert run("tiny").returncode != 0
    finally:
        verilog.write_text(text)


# Vivado


def interfaces(text: str) -> dict[str, set[str]]:
    """Pins by interface in a module's attributes."""
    found: dict[str, set[str]] = {}
    for name, pin in re.findall(r'X_INTERFACE_INFO = "\S+ (\w+) (\w+)"', text):
        found.setdefault(name, set()).add(pin)
    return found


@pytest.mark.rtl
def test_wrapper_for_vivado(folder: Path) -> None:
    """Every port of the accelerator is connected, in an interface, under AXI's own names; Verilator finds no fault."""
    text = (folder / "vivado" / "accelerator_axi.v").read_text()
    clean = lint("vivado/accelerator_axi.v", "accelerator.v", "--top-module", "accelerator_axi", folder=folder)
    assert clean.returncode == 0, clean.stderr[-2000:]
    channels = {"AW": "ADDR LEN SIZE BURST PROT CACHE", "W": "DATA STRB LAST", "B": "RESP", "R": "DATA RESP LAST"}
    channels["AR"] = channels["AW"]
    whole = {c + name for c, names in channels.items() for name in [*names.split(), "VALID", "READY"]}
    lite = {pin for pin in whole if not re.search("LEN|SIZE|BURST|PROT|CACHE|LAST", pin)}
    assert interfaces(text) == {
        "aclk": {"CLK"}, "aresetn": {"RST"}, "irq": {"INTERRUPT"}, "m_axi": whole, "s_axil": lite
    }  # fmt: skip
    assert "ASSOCIATED_BUSIF s_axil:m_axi, ASSOCIATED_RESET aresetn, FREQ_HZ 50000000" in text
    assert "XIL_INTERFACENAME m_axi, PROTOCOL AXI4, DATA_WIDTH 64, ADDR_WIDTH 32" in text
    assert len(re.findall(r"^    (?:input|output) ", text, re.MULTILINE)) == text.count("X_INTERFACE_INFO")


@pytest.mark.parametrize("part", ["xc7z020clg400-1", "xc7a100tcsg324-1"])
def test_block_design(part: str, tmp_path: Path) -> None:
    """The script runs in a Tcl whose Vivado commands only take notes: every pin that it names is one of the wrapper."""
    words = emit_tools.contents(HIGH)
    (tmp_path / "block_design.tcl").write_bytes(words["vivado/block_design.tcl"])
    pins = interfaces(words["vivado/accelerator_axi.v"].decode())
    tcl = tkinter.Tcl()
    noted: list[tuple[str, ...]] = []

    def note(*words: str) -> str:
        noted.append(words)
        return words[-1] if words[0].startswith("get_") else ""

    tcl.createcommand("noted", note)
    tcl.eval("proc unknown {args} {noted {*}$args}")
    tcl.eval(f"set argv {{{part}}}; source {{{tmp_path / 'block_design.tcl'}}}")
    pin_queries = [words[1] for words in noted if words[0] in ("get_bd_pins", "get_bd_intf_pins")]
    ours = {name.removeprefix("accelerator/") for name in pin_queries if not name.startswith("ps/")}
    assert ours <= set(pins)
    commands = [words[0] for words in noted]
    if part.startswith("xc7z"):
        rules = [words for words in noted if words[:3] == ("apply_bd_automation", "-rule", "xilinx.com:bd_rule:axi4")]
        assert ["/accelerator/m_axi" in words[4] for words in rules] == [False, True]
        assert ours == {"s_axil", "irq"}
    else:
        assert ours == set(pins)
    assert commands.index("assign_bd_address") < commands.index("validate_bd_design") < commands.index("make_wrapper")
    (added,) = (words[-1].split() for words in noted if words[0] == "add_files")
    assert [Path(name).name for name in added] == ["accelerator_axi.v", "accelerator.v"]


# LiteX

SOC = """
import sys

from litex.build.generic_platform import Pins
from litex.build.sim import SimPlatform
from litex.soc.integration.soc_core import SoCMini
from migen import ClockDomain

sys.path.insert(0, "litex")
from litex_accelerator import add_accelerator

platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1))])
soc = SoCMini(platform, clk_freq=50e6)
soc.clock_domains.cd_sys = ClockDomain("sys")
soc.comb += [soc.cd_sys.clk.eq(platform.request("sys_clk")), soc.cd_sys.rst.eq(platform.request("sys_rst"))]
add_accelerator(soc, origin=0x9000_0000)
soc.finalize()
region = soc.bus.regions["accelerator"]
assert (region.origin, region.size) == (0x9000_0000, 4096)
assert "accelerator_memory" in soc.bus.masters
assert [source.split("/")[-1] for source, *_ in platform.sources] == ["accelerator.v"]
platform.get_verilog(soc, name="soc").write("soc.v")
"""


@pytest.mark.rtl
def test_in_a_litex_soc(folder: Path) -> None:
    """A SoC with it is built to Verilog, which Verilator finds complete: ports, directions and widths.

    In a process of its own: of LiteX's modules some complain when somebody, as Hypothesis does, looks at all modules.
    """
    made = subprocess.run([sys.executable, "-c", SOC], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    found = lint("soc.v", "accelerator.v", "--top-module", "soc", folder=folder)
    about = [line for line in (found.stdout + found.stderr).splitlines() if "Exiting due to" not in line]
    assert not [line for line in about if re.search(r"%(Error|Warning-PIN)|port connection", line) and "soc.v" in line]
