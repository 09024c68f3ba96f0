"""The window of the stream: beats come in, chunks go to the readers that want one, in their order."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.entropy.stream import CHUNK_BITS, DISPATCHED_BEATS


class Window(wiring.Component):
    """`wants` has a bit a reader. In a cycle with `go`, the first readers of these get a chunk: as many as `most`.

    `takes` and `chunks` go to the readers. `enough`: the chunks for this cycle are there; `more`: other readers must
    wait for the next. `low`: behind these, less than a beat of chunks is left; `full`: no beat has room. `beat`: `data`
    comes in behind the others, with `go` or when there are not enough. `clear`: nothing is held.
    """

    def __init__(self, design: Design) -> None:
        self.readers = 2 * design.decoder_lanes
        self.per_beat = design.beat_bytes * 8 // CHUNK_BITS
        self.most = min(DISPATCHED_BEATS * self.per_beat, self.readers)
        self.size = (DISPATCHED_BEATS + 1) * self.per_beat
        super().__init__(
            {
                "clear": In(1), "go": In(1), "beat": In(1), "data": In(design.memory.axi_bits),
                "wants": In(self.readers),
                "takes": Out(self.readers), "chunks": Out(self.readers * CHUNK_BITS),
                "enough": Out(1), "more": Out(1), "low": Out(1), "full": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        held, level = Signal(self.size * CHUNK_BITS, name="held"), Signal(range(self.size + 1), name="level")
        counts = self._counts(m)
        total, given = counts[-1], Signal(range(self.most + 1), name="given")
        m.d.comb += [
            self.more.eq(total > self.most),
            given.eq(Mux(self.more, self.most, total)),
            self.enough.eq(given <= level),
            self.low.eq(level < given + self.per_beat),
            self.full.eq(level > self.size - self.per_beat),
        ]
        choices = Array(held.word_select(k, CHUNK_BITS) for k in range(self.most))
        for reader in range(self.readers):
            before: Value = counts[reader - 1] if reader else Const(0, 1)
            at = Signal(range(self.most), name=f"at_{reader}")
            take = Signal(name=f"take_{reader}")
            inside = before < self.most if reader >= self.most else 1
            m.d.comb += [
                at.eq(before),
                take.eq(self.wants[reader] & inside & self.go),
                self.takes[reader].eq(take),
                self.chunks.word_select(reader, CHUNK_BITS).eq(choices[at]),
            ]
        kept, rest = Signal(len(held), name="kept"), Signal(len(level), name="rest")
        m.d.comb += [kept.eq(held), rest.eq(level)]
        with m.If(self.go):
            m.d.comb += [rest.eq(level - given), kept.eq(_shifted(held, given))]
        m.d.sync += [held.eq(kept), level.eq(rest)]
        with m.If(self.beat):
            placed = [Mux(rest == k, self.data << (k * CHUNK_BITS), 0) for k in range(self.size - self.per_beat + 1)]
            together = placed[0]
            for each in placed[1:]:
                together = together | each
            m.d.sync += [level.eq(rest + self.per_beat), held.eq(kept | together)]
        with m.If(self.clear):
            m.d.sync += [held.eq(0), level.eq(0)]
        return m

    def _counts(self, m: Module) -> list[Signal]:
        """How many readers up to and with each want a chunk: sums of neighbours, of neighbours of these, and so on."""
        width = self.readers.bit_length()
        sums: list[Value] = [self.wants[k] for k in range(self.readers)]
        step = 1
        while step < self.readers:
            following: list[Value] = []
            for k, value in enumerate(sums):
                total = Signal(min(width, (2 * step).bit_length()), name=f"sum_{step}_{k}")
                m.d.comb += total.eq(value + sums[k - step] if k >= step else value)
                following.append(total)
            sums, step = following, 2 * step
        counts = []
        for k, value in enumerate(sums):
            count = Signal(width, name=f"count_{k}")
            m.d.comb += count.eq(value)
            counts.append(count)
        return counts


def _shifted(held: Value, chunks: Value) -> Value:
    """Without the first so many chunks."""
    return held >> Cat(*([0] * (CHUNK_BITS - 1).bit_length()), chunks)
