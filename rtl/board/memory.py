"""Block RAM as the memory behind the accelerator's bus, with a port for the host."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped

from accel.design import Design
from accel.rtl.axi import read_master, write_master
from accel.rtl.board.bridge import WORDS
from accel.rtl.bursts import BurstReader, BurstWriter
from accel.rtl.ram import Ram

WORD_BITS = 32


class BoardMemory(wiring.Component):
    """`size` bytes from address 0 on, as fast as `accel.board.design_on` says. Nobody may read or write behind them.

    The accelerator comes first: a word of the `host` waits until there is no beat of the accelerator in its way, so
    that cycles do not depend on the host.
    """

    def __init__(self, design: Design, size: int) -> None:
        self.design = design
        beats = max(2, -(-size // design.beat_bytes))
        self.ram = Ram(design.memory.axi_bits, beats, design.beat_bytes)
        super().__init__(
            {
                "read": In(read_master(design.memory)),
                "write": In(write_master(design.memory)),
                "host": In(WORDS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        memory, host, bits = self.design.memory, self.host, self.design.memory.axi_bits
        m.submodules.ram = ram = self.ram
        m.submodules.reader = reader = BurstReader(memory)
        m.submodules.writer = writer = BurstWriter(memory)
        connect(m, flipped(self.read), reader.axi)
        connect(m, flipped(self.write), writer.axi)
        words = bits // WORD_BITS
        within = (words - 1).bit_length()
        beat, lane = host.addr[within:], host.addr[:within]
        reads = host.valid & ~host.write & ~reader.r.en & ~reader.hold
        writes = host.valid & host.write & ~writer.w.en
        strobes = Signal(bits // 8, name="strobes")
        chosen = Signal(max(1, within), name="chosen")
        m.d.comb += [
            strobes.eq((1 << WORD_BITS // 8) - 1 << lane * (WORD_BITS // 8)),
            ram.r_en.eq(reader.r.en | reads),
            ram.r_addr.eq(Mux(reader.r.en, reader.r.beat, beat)),
            reader.r.data.eq(ram.r_data),
            ram.w_en.eq(Mux(writer.w.en, writer.w.strobes, Mux(writes, strobes, 0))),
            ram.w_addr.eq(Mux(writer.w.en, writer.w.beat, beat)),
            ram.w_data.eq(Mux(writer.w.en, writer.w.data, host.w_data.replicate(words))),
            host.ready.eq(Mux(host.write, writes, reads)),
        ]
        came = Signal(name="came")
        m.d.sync += came.eq(reads)
        with m.If(reads):
            m.d.sync += chosen.eq(lane)
        with m.If(came):  # a register, since the blocks of a large memory are slow and far from each other
            m.d.sync += host.r_data.eq(ram.r_data.word_select(chosen, WORD_BITS))
        return m
