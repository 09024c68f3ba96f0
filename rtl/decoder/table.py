"""A code table as the readers need it, made of the words of its header as they are written."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.tables import HEADER_BYTES
from accel.memories import TABLE_WORD_BYTES
from accel.models.encode.huffman import LONGEST_BITS

SPARE_BITS = sum(k + 1 for k in range(1, LONGEST_BITS + 1))  # those of all lengths, one behind the other
ADDRESS_BITS = 9  # of a symbol's byte in its table
LENGTH_BITS = 4
WORD_SHIFT = (TABLE_WORD_BYTES - 1).bit_length()


class CodeTable(wiring.Component):
    """What follows from how many code words each length has.

    `en`, `addr`, `data`: a word of the table is written; word 0 begins a new table, the header's others follow in
    order. Of each length k, `spares`: words of k bits that begin no code word of k bits and fewer, k + 1 bits; `bases`:
    the byte in which a symbol is, minus its code word. `longest`: bits. `good`: the code words are complete and at most
    `places`, and the symbols of all of them were written.

    A word of k bits begins a longer code word if it and the spares are 2^k together or more: one bit of a sum.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        super().__init__(
            {
                "en": In(1), "addr": In(ADDRESS_BITS), "data": In(8 * TABLE_WORD_BYTES),
                "spares": Out(SPARE_BITS), "bases": Out(ADDRESS_BITS * LONGEST_BITS),
                "longest": Out(LENGTH_BITS), "good": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        spare, total = Signal(LONGEST_BITS + 1, name="spare"), Signal(range(255 * LONGEST_BITS + 1), name="total")
        over = Signal(name="over")
        spares = [Signal(k + 1, name=f"spare_{k}") for k in range(1, LONGEST_BITS + 1)]
        bases = [Signal(ADDRESS_BITS, name=f"base_{k}") for k in range(1, LONGEST_BITS + 1)]
        m.d.comb += [self.spares.eq(Cat(spares)), self.bases.eq(Cat(bases))]
        fits, written = Signal(name="fits"), Signal(ADDRESS_BITS, name="written")
        m.d.comb += self.good.eq(fits & ((written << WORD_SHIFT) + TABLE_WORD_BYTES >= total + HEADER_BYTES))
        with m.If(self.en):
            m.d.sync += written.eq(self.addr)
        with m.If(self.en & (self.addr < HEADER_BYTES // TABLE_WORD_BYTES)):
            m.d.sync += fits.eq(0)
        for number in range(HEADER_BYTES // TABLE_WORD_BYTES):
            next_spare, next_total, wrong = (spare, total, over) if number else (Const(1), Const(0), Const(0))
            with m.If(self.en & (self.addr == number)):
                if number == 0:
                    m.d.sync += self.longest.eq(0)
                for k in range(max(1, number * TABLE_WORD_BYTES), (number + 1) * TABLE_WORD_BYTES):
                    count, there = self.data.word_select(k % TABLE_WORD_BYTES, 8), next_spare << 1
                    behind = Signal(signed(LONGEST_BITS + 3), name=f"behind_{k}")
                    sum_ = Signal(len(total), name=f"sum_{k}")
                    m.d.comb += [behind.eq(there - count), sum_.eq(next_total + count)]
                    wrong |= behind[-1]
                    # The first code word of k bits is 2^k - there.
                    m.d.sync += [
                        spares[k - 1].eq(behind),
                        bases[k - 1].eq(next_total + there + (HEADER_BYTES - (1 << k))),
                    ]
                    with m.If(count != 0):
                        m.d.sync += self.longest.eq(k)
                    if k == LONGEST_BITS:
                        m.d.sync += fits.eq(~wrong & (behind == 0) & (sum_ <= self.places))
                    next_spare, next_total = behind[: len(spare)], sum_
                m.d.sync += [spare.eq(next_spare), total.eq(next_total), over.eq(wrong)]
        return m
