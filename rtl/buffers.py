"""On-chip memories. No arbitration: the compiler never lets two commands use one port of one bank at the same time."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from rtl.ports import read_port, write_port

READERS = ("feed", "post", "store")
WRITERS = ("load", "post")


class ActivationBanks(wiring.Component):
    """Two banks of R-byte words, each with one read and one write port. Address bit 19 is the bank.

    Writes need word < depth (the writers check it). A reader's data comes one cycle after `en` and holds for as long as
    nobody else reads that bank.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        members = {f"r_{name}": In(read_port(20, design.rows)) for name in READERS}
        members |= {f"w_{name}": In(write_port(20, design.rows)) for name in WRITERS}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        readers = {name: getattr(self, f"r_{name}") for name in READERS}
        writers = {name: getattr(self, f"w_{name}") for name in WRITERS}
        outputs = []
        for bank in range(2):
            m.submodules[f"bank{bank}"] = cells = memory.Memory(
                shape=8 * self.design.rows, depth=self.design.activation_words, init=[]
            )
            read, write = cells.read_port(), cells.write_port(granularity=8)
            outputs.append(read.data)
            m.d.comb += read.en.eq(0)
            for port in readers.values():
                with m.If(port.en & (port.addr[19] == bank)):
                    m.d.comb += [read.en.eq(1), read.addr.eq(port.addr)]
            for port in writers.values():
                with m.If(port.en & (port.addr[19] == bank)):
                    m.d.comb += [write.en.eq(port.mask), write.addr.eq(port.addr), write.data.eq(port.data)]
        for name, port in readers.items():
            chosen = Signal(name=f"chosen_{name}")
            with m.If(port.en):
                m.d.sync += chosen.eq(port.addr[19])
            m.d.comb += port.data.eq(Mux(chosen, outputs[1], outputs[0]))
        return m


class Buffer(wiring.Component):
    """One memory of `depth` words of `lanes` lanes: a write port for the loader, a read port for its user."""

    def __init__(self, addr_bits: int, depth: int, lanes: int, lane_bits: int = 8) -> None:
        self.depth, self.lanes, self.lane_bits = depth, lanes, lane_bits
        super().__init__(
            {"w": In(write_port(addr_bits, lanes, lane_bits)), "r": In(read_port(addr_bits, lanes, lane_bits))}
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.lanes * self.lane_bits, depth=self.depth, init=[])
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [
            write.en.eq(self.w.en),
            write.addr.eq(self.w.addr),
            write.data.eq(self.w.data),
            read.en.eq(self.r.en),
            read.addr.eq(self.r.addr),
            self.r.data.eq(read.data),
        ]
        return m


class Codebook(wiring.Component):
    """Two banks of 256 int8 entries for every column: `codes` at `en`, the entries one cycle later."""

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "w": In(write_port(9, 1)),
                "en": In(1),
                "bank": In(1),
                "codes": In(8 * design.cols),
                "entries": Out(8 * design.cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        for col in range(self.design.cols):
            m.submodules[f"column{col}"] = cells = memory.Memory(shape=8, depth=512, init=[])
            read, write = cells.read_port(), cells.write_port()
            m.d.comb += [
                write.en.eq(self.w.en),
                write.addr.eq(self.w.addr),
                write.data.eq(self.w.data),
                read.en.eq(self.en),
                read.addr.eq(Cat(self.codes.word_select(col, 8), self.bank)),
                self.entries.word_select(col, 8).eq(read.data),
            ]
        return m
