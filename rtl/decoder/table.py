"""A code table as the readers need it, made of the words of its header as they are written."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.tables import HEADER_BYTES
from accel.memories import TABLE_WORD_BYTES
from accel.models.encode.huffman import LONGEST_BITS

LIMIT_BITS = LONGEST_BITS + 1
INDEX_BITS = 9  # of a symbol in its table
LENGTH_BITS = 4
WORD_SHIFT = (TABLE_WORD_BYTES - 1).bit_length()


class CodeTable(wiring.Component):
    """What follows from how many code words each length has.

    `en`, `addr`, `data`: a word of the table is written; word 0 begins a new table, the header's others follow in
    order. Of each length k, `limits`: the first code word behind those of k bits and fewer, extended to 15 bits;
    `bases`: index of a symbol minus its code word. `longest`: bits. `good`: the code words are complete and at most
    `places`, and the symbols of all of them were written.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        super().__init__(
            {
                "en": In(1), "addr": In(INDEX_BITS), "data": In(8 * TABLE_WORD_BYTES),
                "limits": Out(LIMIT_BITS * LONGEST_BITS), "bases": Out(INDEX_BITS * LONGEST_BITS),
                "longest": Out(LENGTH_BITS), "good": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        word, total = Signal(LIMIT_BITS + 1, name="word"), Signal(range(255 * LONGEST_BITS + 1), name="total")
        over = Signal(name="over")
        limits = [Signal(LIMIT_BITS, name=f"limit_{k}") for k in range(1, LONGEST_BITS + 1)]
        bases = [Signal(INDEX_BITS, name=f"base_{k}") for k in range(1, LONGEST_BITS + 1)]
        m.d.comb += [self.limits.eq(Cat(limits)), self.bases.eq(Cat(bases))]
        fits, written = Signal(name="fits"), Signal(INDEX_BITS, name="written")
        m.d.comb += self.good.eq(fits & ((written << WORD_SHIFT) + TABLE_WORD_BYTES >= total + HEADER_BYTES))
        with m.If(self.en):
            m.d.sync += written.eq(self.addr)
        with m.If(self.en & (self.addr < HEADER_BYTES // TABLE_WORD_BYTES)):
            m.d.sync += fits.eq(0)
        for number in range(HEADER_BYTES // TABLE_WORD_BYTES):
            next_word, next_total, wrong = (word, total, over) if number else (Const(0), Const(0), Const(0))
            with m.If(self.en & (self.addr == number)):
                if number == 0:
                    m.d.sync += self.longest.eq(0)
                for k in range(max(1, number * TABLE_WORD_BYTES), (number + 1) * TABLE_WORD_BYTES):
                    count = self.data.word_select(k % TABLE_WORD_BYTES, 8)
                    behind, sum_ = Signal(LIMIT_BITS + 2, name=f"behind_{k}"), Signal(len(total), name=f"sum_{k}")
                    m.d.comb += [behind.eq(next_word + count), sum_.eq(next_total + count)]
                    wrong |= behind > 1 << k
                    m.d.sync += [
                        limits[k - 1].eq(behind << (LONGEST_BITS - k)), bases[k - 1].eq(next_total - next_word)
                    ]  # fmt: skip
                    with m.If(count != 0):
                        m.d.sync += self.longest.eq(k)
                    if k == LONGEST_BITS:
                        m.d.sync += fits.eq(~wrong & (behind == 1 << LONGEST_BITS) & (sum_ <= self.places))
                    next_word, next_total = (behind << 1)[: len(word)], sum_
                m.d.sync += [word.eq(next_word), total.eq(next_total), over.eq(wrong)]
        return m
