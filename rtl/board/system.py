"""The accelerator with a serial port and a memory: all of a board's hardware but its clock and its pins."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from accel.design import Design
from accel.rtl.axi import LITE_SLAVE
from accel.rtl.board.bridge import WORDS, Bridge
from accel.rtl.board.memory import BoardMemory
from accel.rtl.board.uart import DIVIDER_BITS, Receiver, Transmitter
from accel.rtl.identifiers import plain_identifiers
from accel.rtl.modules import convert
from accel.rtl.top import ports_of

SYSTEM = "board_system"


class LiteMaster(wiring.Component):
    """Words to an AXI4-Lite slave, each when the one before is answered."""

    def __init__(self) -> None:
        super().__init__({"words": In(WORDS), "lite": Out(LITE_SLAVE.flip())})

    def elaborate(self, platform: object) -> Module:
        """Address and data are offered until each is taken; the answer makes `words` ready."""
        m = Module()
        words, lite = self.words, self.lite
        address = Cat(Const(0, 2), words.addr)[: len(lite.awaddr)]
        m.d.comb += [
            lite.awaddr.eq(address), lite.araddr.eq(address), lite.wdata.eq(words.w_data), lite.wstrb.eq(-1),
            lite.bready.eq(1), lite.rready.eq(1),
        ]  # fmt: skip
        left = Signal(3, name="left")  # addresses and data that are to be offered: ar, aw, w
        offers, taken = Cat(lite.arvalid, lite.awvalid, lite.wvalid), Cat(lite.arready, lite.awready, lite.wready)
        under_way = Signal(name="under_way")
        m.d.comb += offers.eq(left)
        with m.If(~under_way & words.valid & ~words.ready):
            m.d.sync += [left.eq(Cat(~words.write, words.write, words.write)), under_way.eq(1)]
        with m.Else():
            m.d.sync += left.eq(left & ~taken)
        m.d.sync += words.ready.eq(under_way & (lite.bvalid | lite.rvalid))
        with m.If(under_way & (lite.bvalid | lite.rvalid)):
            m.d.sync += [under_way.eq(0), words.r_data.eq(lite.rdata)]
        return m


class System(wiring.Component):
    """Ports: the serial lines `rx` and `tx`, `divider` cycles a bit (4 or more), and `irq`; clock, synchronous reset.

    `memory_bytes` of block RAM lie at address 0. The accelerator is an instance of the module `accelerator`.
    """

    def __init__(self, design: Design, memory_bytes: int) -> None:
        self.design, self.memory_bytes = design, memory_bytes
        super().__init__({"divider": In(DIVIDER_BITS), "rx": In(1), "tx": Out(1, init=1), "irq": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.transmitter = transmitter = Transmitter()
        m.submodules.bridge = bridge = Bridge()
        m.submodules.memory = memory = BoardMemory(self.design, self.memory_bytes)
        m.submodules.registers = registers = LiteMaster()
        connect(m, receiver.o, bridge.i)
        connect(m, bridge.o, transmitter.i)
        connect(m, bridge.memory, memory.host)
        connect(m, bridge.registers, registers.words)
        ports: dict[str, Any] = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        sides = {"m_axi": (memory.read, memory.write), "s_axil": (registers.lite,)}
        inner = {f"{prefix}_{name}": getattr(side, name) for prefix, each in sides.items() for side in each
                 for name in side.signature.members}  # fmt: skip
        for name, member in ports_of(self.design).items():
            ports[("i_" if member.flow is In else "o_") + name] = port = Signal(member.shape, name=name)
            if name == "irq":
                m.d.comb += self.irq.eq(port)
            else:
                m.d.comb += port.eq(inner[name]) if member.flow is In else inner[name].eq(port)
        m.submodules.accelerator = Instance("accelerator", **ports)
        timer = Signal(DIVIDER_BITS, name="timer")
        m.d.sync += timer.eq(Mux(bridge.tick, self.divider - 1, timer - 1))
        m.d.comb += [
            bridge.tick.eq(timer == 0),
            receiver.divider.eq(self.divider),
            transmitter.divider.eq(self.divider),
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
        ]
        return m


def system_text(design: Design, memory_bytes: int) -> str:
    """The system as Verilog, module `SYSTEM`: without what the accelerator's text has, `accelerator` and `ram`."""
    return plain_identifiers("\n".join(convert(System(design, memory_bytes), SYSTEM).values()))
