"""A reader: bits that were taken from the stream and not used, and the code word that they begin with."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.entropy.stream import CHUNK_BITS
from accel.models.encode.huffman import LONGEST_BITS
from accel.rtl.decoder.table import ADDRESS_BITS, LENGTH_BITS, SPARE_BITS

HELD_BITS = 2 * LONGEST_BITS - 1 + CHUNK_BITS  # at most: a chunk comes while fewer than twice the longest word are held
CHUNKS = (HELD_BITS + CHUNK_BITS - 1) // CHUNK_BITS  # with what has been used of the first one
POSITION_BITS = (CHUNK_BITS - 1).bit_length()
assert CHUNK_BITS == 1 << POSITION_BITS > LONGEST_BITS  # a word ends in the first chunk or the second


class Reader(wiring.Component):
    """`bits` bits, and `addr`, the byte of its table with the symbol whose code word is next, if the bits are enough.

    `use`: the code word is used; `take`: `chunk` comes in behind the others, in the same cycle or not; `clear`: nothing
    is held. `short`: fewer bits than the longest code word; `low`: fewer than two of these.

    Chunks stay whole: of the first one, what lies before `position` has been used. So the one shift is that of a code
    word's bits out of the first two chunks; a chunk that is used up moves the others on.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "spares": In(SPARE_BITS), "bases": In(ADDRESS_BITS * LONGEST_BITS),
                "longest": In(LENGTH_BITS), "clear": In(1), "use": In(1), "take": In(1), "chunk": In(CHUNK_BITS),
                "addr": Out(ADDRESS_BITS), "short": Out(1), "low": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        chunks = [Signal(CHUNK_BITS, name=f"chunk_{k}", reset_less=True) for k in range(CHUNKS)]
        ends = Signal(CHUNKS + 1, name="ends", init=1)  # bit k: so many chunks are there
        position, bits = Signal(POSITION_BITS, name="position"), Signal(range(HELD_BITS + 1), name="bits")
        length, used_up, moved = Signal(LENGTH_BITS, name="length"), Signal(name="used_up"), Signal(name="moved")
        m.d.comb += [self.short.eq(bits < self.longest), self.low.eq(bits < (self.longest << 1))]
        ends_in = [_at_least(position, CHUNK_BITS - k) for k in range(1, LONGEST_BITS + 1)]
        self._word(m, _behind(Cat(*chunks[:2]), position), length, used_up, ends_in)
        left = Signal(len(bits), name="left")
        m.d.comb += [moved.eq(self.use & used_up), left.eq(Mux(self.use, bits - length, bits))]
        with m.If(self.use):
            m.d.sync += position.eq(position + length)
        # What lies behind the chunks that are there may be anything: so the chunk that may come is there in any case.
        for k, chunk in enumerate(chunks[:-1]):
            with m.If(moved | ends[k]):
                m.d.sync += chunk.eq(Mux(moved & ~ends[k + 1], chunks[k + 1], self.chunk))
        with m.If(ends[CHUNKS - 1]):
            m.d.sync += chunks[-1].eq(self.chunk)
        stay = Mux(moved, ends[1:], ends)
        m.d.sync += [ends.eq(Mux(self.take, stay << 1, stay)), bits.eq(Mux(self.take, left + CHUNK_BITS, left))]
        with m.If(self.clear):
            m.d.sync += [ends.eq(1), position.eq(0), bits.eq(0)]
        return m

    def _word(self, m: Module, first: Value, length: Signal, used_up: Signal, ends_in: list[Value]) -> None:
        """The code word that the bits `first` begin with: its length, and where its symbol is.

        What begins a longer code word than one of k bits does so for all fewer bits too.
        """
        peek = Signal(LONGEST_BITS, name="peek")
        m.d.comb += peek.eq(Cat(reversed([first[k] for k in range(LONGEST_BITS)])))  # the first bit is the highest
        longer: Value = Const(1, 1)
        lengths, words, ends = (list[Value]() for _ in range(3))
        spare = self.spares
        for k in range(1, LONGEST_BITS + 1):
            here, word = Signal(name=f"is_{k}"), peek[LONGEST_BITS - k :]
            both = Signal(k + 2, name=f"both_{k}")
            m.d.comb += [both.eq(word + spare[: k + 1]), here.eq(longer & ~both[k])]
            lengths.append(Mux(here, Const(k, LENGTH_BITS), 0))
            at = Signal(ADDRESS_BITS, name=f"at_{k}")
            m.d.comb += at.eq(word + self.bases.word_select(k - 1, ADDRESS_BITS))
            words.append(Mux(here, at, 0))
            ends.append(here & ends_in[k - 1])
            longer, spare = both[k], spare[k + 1 :]
        m.d.comb += [length.eq(_any(lengths)), self.addr.eq(_any(words)), used_up.eq(_any(ends))]


def _any(values: list[Value]) -> Value:
    """The one of them that is not 0."""
    while len(values) > 1:
        values = [values[k] | values[k + 1] if k + 1 < len(values) else values[k] for k in range(0, len(values), 2)]
    return values[0]


def _at_least(position: Signal, number: int) -> Value:
    """`position >= number` as a table of its bits, not a carry chain."""
    return Const(-1 << number, 1 << len(position)).bit_select(position, 1)


def _behind(held: Value, position: Value) -> Value:
    """The longest word's bits from `position` on; by the highest bit first, so that each step has few bits to move."""
    for bit in reversed(range(POSITION_BITS)):
        needed = LONGEST_BITS + (1 << bit) - 1
        held = Mux(position[bit], held[1 << bit :], held)[:needed]
    return held
