"""The systolic array: R rows of C processing elements with the skew of their inputs and the deskew of their sums."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import flag_bits, pe_lanes
from accel.design import Design
from accel.rtl.modules import shared
from accel.rtl.pipeline import shifted
from accel.rtl.systolic.pe import PE


class ArrayRow(wiring.Component):
    """One row of the array: C processing elements (`PE` explains the ports).

    Activations enter at column 0; `weights`, `flags`, `capture` and `sums` have a lane for each column.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.cols, self.bits = design.cols, design.widths.accumulator
        self.lanes, self.flags = pe_lanes(design), flag_bits(design)
        super().__init__(
            {
                "act_i": In(8 * self.lanes), "valid_i": In(self.lanes), "swap_i": In(1),
                "weights_i": In(8 * self.cols), "flags_i": In(self.flags * self.cols), "capture_i": In(self.cols),
                "weights_o": Out(8 * self.cols), "flags_o": Out(self.flags * self.cols), "capture_o": Out(self.cols),
                "sums_i": In(self.bits * self.cols), "sums_o": Out(self.bits * self.cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        act, valid, swap = self.act_i, self.valid_i, self.swap_i
        for c in range(self.cols):
            pe = shared(m, partial(PE, self.design), f"pe_{c}", "pe")
            m.d.comb += [
                pe.act_i.eq(act), pe.valid_i.eq(valid), pe.swap_i.eq(swap),
                pe.weight_i.eq(self.weights_i.word_select(c, 8)), self.weights_o.word_select(c, 8).eq(pe.weight_o),
                pe.flags_i.eq(self.flags_i.word_select(c, self.flags)),
                self.flags_o.word_select(c, self.flags).eq(pe.flags_o),
                pe.capture_i.eq(self.capture_i[c]), self.capture_o[c].eq(pe.capture_o),
                pe.sum_i.eq(self.sums_i.word_select(c, self.bits)),
                self.sums_o.word_select(c, self.bits).eq(pe.sum_o),
            ]  # fmt: skip
            act, valid, swap = pe.act_o, pe.valid_o, pe.swap_o
        return m


class SystolicArray(wiring.Component):
    """Weight-stationary array.

    In one cycle: `acts` (a word) with `valid` (a bit a lane) and `swap` (a tile's first) for a pixel. A row has a lane,
    with 2:4 the four of its pair. The sums of a pixel leave, all columns together, accel.latency.array_pipeline later.

    Weights enter independently, at the first row of each of the w segments of Q = R / w rows: lanes s*C.. of `weights`
    and `flags` (`accel.datapath.flag_bits` each) and bit s of `capture` (with row 0 of the segment) are those of
    segment s, whose other rows follow in the next cycles. Segment s takes a tile's rows s*Q cycles after segment 0.

    With row 0 of a tile's weights in cycle e and its first pixel in t, row i of segment s is captured in e + s*Q + 2i
    (+ c, column c) and swapped in t + s*Q + i (+ c): t >= e + Q, and for the next tile e' >= t.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        bits = design.widths.accumulator
        super().__init__(
            {
                "acts": In(8 * design.word_lanes), "valid": In(design.word_lanes), "swap": In(1),
                "weights": In(8 * design.cols * design.weight_rows),
                "flags": In(flag_bits(design) * design.cols * design.weight_rows), "capture": In(design.weight_rows),
                "sums": Out(bits * design.cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        rows, cols, bits = self.design.rows, self.design.cols, self.design.widths.accumulator
        lanes = pe_lanes(self.design)
        sums: Value = Signal(bits * cols, name="no_sums")
        for r in range(rows):
            if r % self.design.fill_cycles == 0:
                passing, flags, capture = self._entry(m, r // self.design.fill_cycles)
            at = r // 2 if lanes > 1 else r  # of a pair, or of a row
            lane = Cat(self.acts.word_select(at, 8 * lanes), self.valid.word_select(at, lanes), self.swap)
            out = shifted(m, lane, r, f"skew_row{r}")
            row = shared(m, partial(ArrayRow, self.design), f"row_{r}", "array_row")
            m.d.comb += [
                row.act_i.eq(out[: 8 * lanes]), row.valid_i.eq(out[8 * lanes : 9 * lanes]), row.swap_i.eq(out[-1]),
                row.weights_i.eq(passing), row.flags_i.eq(flags), row.capture_i.eq(capture), row.sums_i.eq(sums),
            ]  # fmt: skip
            passing, flags, capture, sums = row.weights_o, row.flags_o, row.capture_o, row.sums_o
        for c in range(cols):
            deskewed = shifted(m, sums.word_select(c, bits), cols - 1 - c, f"deskew_{c}")
            m.d.comb += self.sums.word_select(c, bits).eq(deskewed)
        return m

    def _entry(self, m: Module, segment: int) -> tuple[Signal, Signal, Signal]:
        """Weights, flags and captures of a segment, later by a cycle in each column."""
        cols, size, suffix = self.design.cols, flag_bits(self.design), f"_{segment}" if segment else ""
        weights = Signal(8 * cols, name=f"weights{suffix}")
        flags, captures = Signal(size * cols, name=f"flags{suffix}"), Signal(cols, name=f"captures{suffix}")
        for c in range(cols):
            lane = segment * cols + c
            entering = Cat(self.weights.word_select(lane, 8), self.flags.word_select(lane, size), self.capture[segment])
            out = shifted(m, entering, c, f"skew_col{c}{suffix}")
            m.d.comb += [
                weights.word_select(c, 8).eq(out[:8]), flags.word_select(c, size).eq(out[8:-1]), captures[c].eq(out[-1])
            ]  # fmt: skip
        return weights, flags, captures
