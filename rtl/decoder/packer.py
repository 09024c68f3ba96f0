"""The sink of the decoder: codes of lanes to rows, and rows to the words of the weight buffer."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.memories import CODE_BITS, WEIGHT


class Packer(wiring.Component):
    """Every lane of a weight word is a stream of codes of `bits` bits, lowest bit first.

    `valid`: the codes of a step, lane l's in byte l of `codes`; `place`: which part of a row they are; `ends`: the row
    is complete with it; `last`: it is the last one of its block. A word is written in the cycle after a step, or the
    one after that: what is left of a block's last row. `start`: a block begins at word `first`.
    """

    def __init__(self, design: Design) -> None:
        self.lanes, self.columns = design.decoder_lanes, design.weight_codes
        self.lane_bits = WEIGHT.lane_bits(design)
        super().__init__(
            {
                "start": In(1), "first": In(WEIGHT.address_bits), "bits": In(4), "valid": In(1),
                "place": In(range(max(2, self.columns // self.lanes))), "ends": In(1), "last": In(1),
                "codes": In(CODE_BITS * self.lanes),
                "en": Out(1), "addr": Out(WEIGHT.address_bits + 1), "data": Out(self.lane_bits * self.columns),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        row = Signal(CODE_BITS * self.columns, name="row", reset_less=True)
        size = CODE_BITS * self.lanes
        for k in range(self.columns // self.lanes):
            with m.If(self.valid & (self.place == k)):
                m.d.sync += row[k * size : (k + 1) * size].eq(self.codes)
        complete, final, flush = Signal(name="complete"), Signal(name="final"), Signal(name="flush")
        m.d.sync += [complete.eq(self.valid & self.ends), final.eq(self.valid & self.ends & self.last)]
        lane = self.lane_bits
        filled, after = Signal(range(lane), name="filled"), Signal(range(lane + CODE_BITS), name="after")
        full = Signal(name="full")
        m.d.comb += [after.eq(filled + self.bits), full.eq(after >= lane)]
        for c in range(self.columns):
            rest, joined = (
                Signal(lane, name=f"rest_{c}", reset_less=True),
                Signal(lane + CODE_BITS, name=f"joined_{c}"),
            )
            m.d.comb += [
                joined.eq(Mux(filled == 0, 0, rest) | (row.word_select(c, CODE_BITS) << filled)),
                self.data.word_select(c, lane).eq(Mux(flush, rest, joined[:lane])),
            ]
            with m.If(complete):
                m.d.sync += rest.eq(Mux(full, joined >> lane, joined))
        m.d.comb += self.en.eq(flush | (complete & (full | final)))
        m.d.sync += flush.eq(final & (after > lane))
        with m.If(self.en):
            m.d.sync += self.addr.eq(self.addr + 1)
        with m.If(complete):
            m.d.sync += filled.eq(Mux(final, 0, Mux(full, after - lane, after)))
        with m.If(self.start):
            m.d.sync += [self.addr.eq(self.first), filled.eq(0), flush.eq(0)]
        return m
