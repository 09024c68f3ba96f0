"""On-chip memories. No arbitration: the compiler never lets two commands use one port of one bank at the same time."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.memories import ACTIVATION, CODEBOOK, Memory
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, write_port
from accel.rtl.ram import Ram
from accel.rtl.registered_ram import memory
from accel.units import readers, writers

READERS = tuple(unit.name for unit in readers(ACTIVATION))
WRITERS = tuple(unit.name for unit in writers(ACTIVATION))


class ActivationBanks(wiring.Component):
    """Two banks of R-byte words, each with one read and one write port. The highest bit of an address is the bank.

    Writes need word < depth (the writers check it). A reader's data comes `memory_stages` cycles after `en`: with one
    it holds for as long as nobody else reads that bank, with two it is there in that cycle only.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        members = {f"r_{name}": In(read_port(ACTIVATION, design)) for name in READERS}
        members |= {f"w_{name}": In(write_port(ACTIVATION, design)) for name in WRITERS}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        reads = {name: getattr(self, f"r_{name}") for name in READERS}
        writes = {name: getattr(self, f"w_{name}") for name in WRITERS}
        outputs = []
        for bank in range(ACTIVATION.banks):
            width, words = ACTIVATION.width_bits(self.design), ACTIVATION.words(self.design)
            cells = memory(self.design, width, words, ACTIVATION.lanes(self.design))
            m.submodules[f"bank{bank}"] = cells
            outputs.append(cells.r_data)
            # The storer knows last that it reads: its address is there while nobody else reads.
            m.d.comb += cells.r_addr.eq(reads["store"].addr)
            for name, port in reads.items():
                with m.If(port.en & (bank_of(ACTIVATION, port.addr) == bank)):
                    m.d.comb += cells.r_en.eq(1)
                    if name != "store":
                        m.d.comb += cells.r_addr.eq(port.addr)
            for port in writes.values():
                with m.If(port.en & (bank_of(ACTIVATION, port.addr) == bank)):
                    m.d.comb += [
                        cells.w_en.eq(port.mask), cells.w_addr.eq(port.addr), cells.w_data.eq(port.data)
                    ]  # fmt: skip
        for name, port in reads.items():
            chosen = Signal(name=f"chosen_{name}")
            with m.If(port.en):
                m.d.sync += chosen.eq(bank_of(ACTIVATION, port.addr))
            chosen = later(m, chosen, self.design.memory_stages - 1, f"chosen_{name}")
            m.d.comb += port.data.eq(Mux(chosen, outputs[1], outputs[0]))
        return m


class Buffer(wiring.Component):
    """A memory of one bank: a write port for the loader, a read port for its user."""

    def __init__(self, memory: Memory, design: Design) -> None:
        self.memory, self.design = memory, design
        super().__init__({"w": In(write_port(memory, design)), "r": In(read_port(memory, design))})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        m.submodules.cells = cells = Ram(self.memory.width_bits(self.design), self.memory.words(self.design))
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
    """Two banks of 256 int8 entries for every column: `codes` at `en`, the entries `memory_stages` cycles later.

    With columns `apart`, each with an `en` of its own, they come one cycle later and stay: who has them registers them.
    """

    def __init__(self, design: Design, apart: bool = False) -> None:
        self.design, self.apart = design, apart
        super().__init__(
            {
                "w": In(write_port(CODEBOOK, design)),
                "en": In(design.cols if apart else 1),
                "bank": In(1),
                "codes": In(8 * design.cols),
                "entries": Out(8 * design.cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        for col in range(self.design.cols):
            size = CODEBOOK.width_bits(self.design), CODEBOOK.words(self.design)
            m.submodules[f"column{col}"] = cells = Ram(*size) if self.apart else memory(self.design, *size)
            m.d.comb += [
                cells.w_en.eq(self.w.en),
                cells.w_addr.eq(self.w.addr),
                cells.w_data.eq(self.w.data),
                cells.r_en.eq(self.en[col] if self.apart else self.en),
                cells.r_addr.eq(Cat(self.codes.word_select(col, 8), self.bank)),
                self.entries.word_select(col, 8).eq(cells.r_data),
            ]
        return m
