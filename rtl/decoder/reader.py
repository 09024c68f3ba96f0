"""A reader: bits that were taken from the stream and not used, and the code word that they begin with."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.stream import CHUNK_BITS
from accel.models.encode.huffman import LONGEST_BITS
from accel.rtl.decoder.table import INDEX_BITS, LENGTH_BITS, LIMIT_BITS

HELD_BITS = 2 * LONGEST_BITS - 1 + CHUNK_BITS  # at most: a chunk comes while fewer than twice the longest word are held


class Reader(wiring.Component):
    """`bits` bits, and the `index` in its table of the symbol whose code word is next, if there are enough for it.

    `use`: the code word is used; `take`: `chunk` comes in behind the others, in the same cycle or not; `clear`: nothing
    is held. `short`: fewer bits than the longest code word; `low`: fewer than two of these.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "limits": In(LIMIT_BITS * LONGEST_BITS), "bases": In(INDEX_BITS * LONGEST_BITS),
                "longest": In(LENGTH_BITS), "clear": In(1), "use": In(1), "take": In(1), "chunk": In(CHUNK_BITS),
                "index": Out(INDEX_BITS), "short": Out(1), "low": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        held, bits = Signal(HELD_BITS, name="held"), Signal(range(HELD_BITS + 1), name="bits")
        peek, length = Signal(LONGEST_BITS, name="peek"), Signal(LENGTH_BITS, name="length")
        m.d.comb += [
            peek.eq(Cat(reversed([held[k] for k in range(LONGEST_BITS)]))),  # the first bit is the highest
            self.short.eq(bits < self.longest),
            self.low.eq(bits < (self.longest << 1)),
        ]
        found, index = Const(LONGEST_BITS, LENGTH_BITS), Const(0, INDEX_BITS)
        for k in range(LONGEST_BITS, 0, -1):
            below = Signal(name=f"below_{k}")
            here = Signal(INDEX_BITS, name=f"index_{k}")
            m.d.comb += [
                below.eq(peek < self.limits.word_select(k - 1, LIMIT_BITS)),
                here.eq((peek >> (LONGEST_BITS - k)) + self.bases.word_select(k - 1, INDEX_BITS)),
            ]
            found, index = Mux(below, k, found), Mux(below, here, index)
        m.d.comb += [length.eq(found), self.index.eq(index)]
        left, after = Signal(len(bits), name="left"), Signal(HELD_BITS, name="after")
        m.d.comb += [left.eq(bits), after.eq(held)]
        with m.If(self.use):
            m.d.comb += [left.eq(bits - length), after.eq(held >> length)]
        m.d.sync += [bits.eq(left), held.eq(after)]
        with m.If(self.take):
            m.d.sync += [bits.eq(left + CHUNK_BITS), held.eq(after | (self.chunk << left))]
        with m.If(self.clear):
            m.d.sync += [bits.eq(0), held.eq(0)]
        return m
