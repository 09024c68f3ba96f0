"""What makes the accelerator a part of somebody else's project: FuseSoC, SystemRDL, a Vivado block design, LiteX."""

from __future__ import annotations

from importlib.metadata import version
from string import Template

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from accel.design import Design, OnChip
from accel.flow.emit_text import template
from accel.flow.register_rdl import rdl
from accel.memory_kinds import Memory
from accel.rtl.emit import TOP
from accel.rtl.top import ports_of

CORE, RDL = f"{TOP}.core", f"{TOP}.rdl"
FILES = (CORE, RDL, "vivado", "litex")
AXI = "xilinx.com:interface:aximm:1.0"
STREAM = "xilinx.com:interface:axis:1.0"
BUSES = {"s_axil": AXI, "m_axi": AXI, "s_axis": STREAM, "m_axis": STREAM}


def contents(design: Design) -> dict[str, bytes]:
    """The files by name. Of a core without DRAM those for FuseSoC and SystemRDL."""
    files = {CORE: core_file(design), RDL: rdl(design)}
    if not isinstance(design.memory, OnChip):
        words = _words(design)
        files |= {
            f"vivado/{TOP}_axi.v": vivado_wrapper(design),
            "vivado/block_design.tcl": Template(template("block_design.tcl")).substitute(words),
            f"litex/litex_{TOP}.py": Template(template("litex_accelerator.in")).substitute(words),
        }
    return {name: text.encode() for name, text in files.items()}


def core_file(design: Design) -> str:
    """A core description of FuseSoC (CAPI 2)."""
    return Template(template("accelerator.core")).substitute(design=design.name, version=version("accel"))


def _words(design: Design) -> dict[str, object]:
    memory = design.memory
    return {
        "design": design.name,
        "data_bits": memory.axi_bits,
        "address_bits": memory.axi_address_bits,
        "clock_hz": round(design.clock_mhz * 1e6),
        "reset_name": f"i_{design.reset_port}",
        "reset_value": f'{"~" * (design.reset == "active-low")}ResetSignal("sys")',
    }


def vivado_wrapper(design: Design) -> str:
    """A module around the accelerator whose ports have the attributes by which IP integrator finds its interfaces."""
    assert isinstance(design.memory, Memory)
    buses: dict[str, str] = {
        "s_axil": "PROTOCOL AXI4LITE, DATA_WIDTH 32, ADDR_WIDTH 12, READ_WRITE_MODE READ_WRITE, HAS_PROT 0",
        "m_axi": f"PROTOCOL AXI4, DATA_WIDTH {design.memory.axi_bits}, ADDR_WIDTH {design.memory.axi_address_bits}, "
        f"READ_WRITE_MODE READ_WRITE, ID_WIDTH 0, SUPPORTS_NARROW_BURST 0, "
        f"MAX_BURST_LENGTH {design.memory.burst_beats}, NUM_READ_OUTSTANDING {design.memory.outstanding_bursts}",
    }
    ports = [
        _port("xilinx.com:signal:clock:1.0 aclk CLK", "input aclk", f"ASSOCIATED_BUSIF {':'.join(buses)}, "
              f"ASSOCIATED_RESET aresetn, FREQ_HZ {round(design.clock_mhz * 1e6)}"),
        _port("xilinx.com:signal:reset:1.0 aresetn RST", "input aresetn", "POLARITY ACTIVE_LOW"),
    ]  # fmt: skip
    low = design.reset == "active-low"
    connected = [".clk(aclk)", f".{design.reset_port}({'' if low else '~'}aresetn)"]
    for name, member in ports_of(design).items():
        width = Shape.cast(member.shape).width
        bits = f"[{width - 1}:0] " if width > 1 else ""
        declared = f"{'input' if member.flow is In else 'output'} {bits}{name}"
        connected.append(f".{name}({name})")
        if name == "irq":
            ports.append(_port("xilinx.com:signal:interrupt:1.0 irq INTERRUPT", declared, "SENSITIVITY LEVEL_HIGH"))
            continue
        bus, _, signal = name.rpartition("_")
        given = buses.pop(bus, "")
        parameter = f"XIL_INTERFACENAME {bus}, {given}" if given else ""
        ports.append(_port(f"{BUSES[bus]} {bus} {signal.upper()}", declared, parameter))
    return (
        f"// The accelerator of {design.name} as a module of a Vivado block design.\n"
        f"module {TOP}_axi (\n" + ",\n".join(ports) + "\n);\n"
        f"    {TOP} {TOP} (\n        " + ",\n        ".join(connected) + "\n    );\nendmodule\n"
    )


def _port(interface: str, declared: str, parameter: str = "") -> str:
    lines = [f'    (* X_INTERFACE_INFO = "{interface}" *)']
    if parameter:
        lines.append(f'    (* X_INTERFACE_PARAMETER = "{parameter}" *)')
    return "\n".join([*lines, f"    {declared}"])
