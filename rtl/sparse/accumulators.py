"""The accumulators of the sparse engine: for each PE two banks of words of R sums, with a port for POST."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.memories import ACCUMULATOR
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, word_of
from accel.rtl.ram import Ram
from accel.rtl.sparse.ports import sum_bits


class Accumulators(wiring.Component):
    """PEs read and write words of the bank `bank`; the post-process reads the other one at the same time.

    `clear`: the word `clear_addr` of all PEs becomes 0 (they write nothing meanwhile). For the post-process an address
    is that of a sum: its low bits are one of R sums of a word, and it gets those of all PEs.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        cols, word, width = design.cols, sum_bits(design), design.rows * design.widths.accumulator
        super().__init__(
            {
                "bank": In(1), "clear": In(1), "clear_addr": In(word),
                "r_en": In(cols), "r_addr": In(cols * word), "r_data": Out(cols * width),
                "w_en": In(cols), "w_addr": In(cols * word), "w_data": In(cols * width),
                "r_post": In(read_port(ACCUMULATOR, design)),
                "outside": Out(1), "event_acc_writes": Out(range(cols + 1)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        _, depth, width = ACCUMULATOR.cells(design)
        address_bits, bits = sum_bits(design), design.widths.accumulator
        lanes = (design.rows - 1).bit_length()
        post_word = word_of(ACCUMULATOR, self.r_post.addr) >> lanes
        post_bank, post_lane = Signal(name="post_bank"), Signal(max(1, lanes), name="post_lane")
        with m.If(self.r_post.en):
            m.d.sync += post_bank.eq(bank_of(ACCUMULATOR, self.r_post.addr))
            if lanes:
                m.d.sync += post_lane.eq(self.r_post.addr[:lanes])
        sums, outside, writes = [], [], []
        bank_read = Signal(name="bank_read")
        m.d.sync += bank_read.eq(self.bank)
        for pe in range(design.cols):
            w_en, w_addr = Signal(name=f"w_en_{pe}"), Signal(address_bits, name=f"w_addr_{pe}")
            fits = Signal(name=f"fits_{pe}")
            m.d.comb += [
                w_addr.eq(Mux(self.clear, self.clear_addr, self.w_addr.word_select(pe, address_bits))),
                fits.eq(w_addr < depth), w_en.eq((self.clear | self.w_en[pe]) & fits),
            ]  # fmt: skip
            writes.append(w_en)
            outside.append((self.clear | self.w_en[pe]) & ~fits)
            found = []
            for bank in range(ACCUMULATOR.banks):
                m.submodules[f"pe{pe}_bank{bank}"] = cells = Ram(width, depth)
                m.d.comb += [
                    cells.w_en.eq(w_en & (self.bank == bank)), cells.w_addr.eq(w_addr),
                    cells.w_data.eq(Mux(self.clear, 0, self.w_data.word_select(pe, width))),
                ]  # fmt: skip
                with m.If(self.r_post.en & (bank_of(ACCUMULATOR, self.r_post.addr) == bank)):
                    m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(post_word)]
                with m.If(self.r_en[pe] & (self.bank == bank)):
                    m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(self.r_addr.word_select(pe, address_bits))]
                found.append(cells.r_data)
            m.d.comb += self.r_data.word_select(pe, width).eq(Mux(bank_read, found[1], found[0]))
            word = Signal(width, name=f"post_word_{pe}")
            m.d.comb += word.eq(Mux(post_bank, found[1], found[0]))
            sums.append(word.word_select(post_lane, bits) if lanes else word)
        posted = later(m, Cat(*sums), design.memory_stages - 1, "sums_word", reset_less=True)
        m.d.comb += [self.r_post.data.eq(posted), self.event_acc_writes.eq(sum(writes, start=Const(0)))]
        m.d.sync += self.outside.eq(Cat(*outside).any())
        return m
