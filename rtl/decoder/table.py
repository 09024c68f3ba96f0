"""A code table as the readers need it, made of the bytes of its header as they are written."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.tables import HEADER_BYTES
from accel.models.encode.huffman import LONGEST_BITS

LIMIT_BITS = LONGEST_BITS + 1
INDEX_BITS = 9  # of a symbol in its table
LENGTH_BITS = 4


class CodeTable(wiring.Component):
    """What follows from how many code words each length has.

    `en`, `addr`, `data`: a byte of the table is written; byte 0 begins a new table, 1..15 follow in order. Of each
    length k, `limits`: the first code word behind those of k bits and fewer, extended to 15 bits; `bases`: index of a
    symbol minus its code word. `longest`: bits. `good`: the code words are complete and at most `places`,
    and the symbols of all of them were written.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        super().__init__(
            {
                "en": In(1), "addr": In(INDEX_BITS), "data": In(8),
                "limits": Out(LIMIT_BITS * LONGEST_BITS), "bases": Out(INDEX_BITS * LONGEST_BITS),
                "longest": Out(LENGTH_BITS), "good": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        word, total = Signal(LIMIT_BITS + 1, name="word"), Signal(range(255 * LONGEST_BITS + 1), name="total")
        over = Signal(name="over")
        behind, sum_ = Signal(LIMIT_BITS + 2, name="behind"), Signal(len(total), name="sum")
        m.d.comb += [behind.eq(word + self.data), sum_.eq(total + self.data)]
        limits = [Signal(LIMIT_BITS, name=f"limit_{k}") for k in range(1, LONGEST_BITS + 1)]
        bases = [Signal(INDEX_BITS, name=f"base_{k}") for k in range(1, LONGEST_BITS + 1)]
        m.d.comb += [self.limits.eq(Cat(limits)), self.bases.eq(Cat(bases))]
        fits, written = Signal(name="fits"), Signal(INDEX_BITS, name="written")
        m.d.comb += self.good.eq(fits & (written >= total + (HEADER_BYTES - 1)))
        with m.If(self.en):
            m.d.sync += written.eq(self.addr)
        with m.If(self.en & (self.addr < HEADER_BYTES)):
            m.d.sync += fits.eq(0)
            with m.If(self.addr == 0):
                m.d.sync += [word.eq(0), total.eq(0), over.eq(0), self.longest.eq(0)]
            with m.Else():
                m.d.sync += [word.eq(behind << 1), total.eq(sum_)]
                with m.If(self.data != 0):
                    m.d.sync += self.longest.eq(self.addr)
            for k, limit, base in zip(range(1, LONGEST_BITS + 1), limits, bases, strict=True):
                with m.If(self.addr == k):
                    m.d.sync += [
                        limit.eq(behind << (LONGEST_BITS - k)), base.eq(total - word), over.eq(over | (behind > 1 << k))
                    ]  # fmt: skip
            with m.If(self.addr == LONGEST_BITS):
                m.d.sync += fits.eq(~over & (behind == 1 << LONGEST_BITS) & (sum_ <= self.places))
        return m
