"""On-chip memories. No arbitration: the compiler never lets two commands use one port of one bank at the same time."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.rtl.ports import read_port, write_port
from accel.rtl.ram import Ram

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
            rows = self.design.rows
            m.submodules[f"bank{bank}"] = cells = Ram(8 * rows, self.design.activation_words, rows)
            outputs.append(cells.r_data)
            for port in readers.values():
                with m.If(port.en & (port.addr[19] == bank)):
                    m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(port.addr)]
            for port in writers.values():
                with m.If(port.en & (port.addr[19] == bank)):
                    m.d.comb += [
                        cells.w_en.eq(port.mask), cells.w_addr.eq(port.addr), cells.w_data.eq(port.data)
                    ]  # fmt: skip
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
        m.submodules.cells = cells = Ram(self.lanes * self.lane_bits, self.depth)
        m.d.comb += [
            cells.w_en.eq(self.w.en),
            cells.w_addr.eq(self.w.addr),
            cells.w_data.eq(self.w.data),
            cells.r_en.eq(self.r.en),
            cells.r_addr.eq(self.r.addr),
            self.r.data.eq(cells.r_data),
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
            m.submodules[f"column{col}"] = cells = Ram(8, 512)
            m.d.comb += [
                cells.w_en.eq(self.w.en),
                cells.w_addr.eq(self.w.addr),
                cells.w_data.eq(self.w.data),
                cells.r_en.eq(self.en),
                cells.r_addr.eq(Cat(self.codes.word_select(col, 8), self.bank)),
                self.entries.word_select(col, 8).eq(cells.r_data),
            ]
        return m
