"""The systolic array: R rows of C processing elements with the skew of their inputs and the deskew of their sums."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import array_sum_bits, beside_weight_bits, flag_bits, pe_lanes
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.modules import shared
from accel.rtl.pipeline import delayed, shifted
from accel.rtl.systolic.pe import PE, pixel_layout, weight_layout


class ArrayRow(wiring.Component):
    """One row of the array: C processing elements (`PE` explains the ports).

    Pixels enter at column 0; `weights`, `capture` and `sums` have a lane for each column.
    """

    def __init__(self, design: Design) -> None:
        self.design, cols = design, design.cols
        self.lane, self.bits = weight_layout(design).size, array_sum_bits(design)
        super().__init__(
            {
                "pixel_i": In(pixel_layout(design).size),
                "weights_i": In(self.lane * cols), "capture_i": In(cols), "sums_i": In(self.bits * cols),
                "weights_o": Out(self.lane * cols), "capture_o": Out(cols), "sums_o": Out(self.bits * cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        pixel = self.pixel_i
        for c in range(self.design.cols):
            pe = shared(m, partial(PE, self.design), f"pe_{c}", "pe")
            m.d.comb += [
                pe.pixel_i.eq(pixel),
                pe.weight_i.eq(self.weights_i.word_select(c, self.lane)),
                self.weights_o.word_select(c, self.lane).eq(pe.weight_o),
                pe.capture_i.eq(self.capture_i[c]), self.capture_o[c].eq(pe.capture_o),
                pe.sum_i.eq(self.sums_i.word_select(c, self.bits)),
                self.sums_o.word_select(c, self.bits).eq(pe.sum_o),
            ]  # fmt: skip
            pixel = pe.pixel_o
        return m


class SystolicArray(wiring.Component):
    """Weight-stationary array.

    In one cycle: `acts` (a word) with `valid` (a bit a lane) and `swap` (a tile's first) for a pixel. A row has a lane,
    with 2:4 the four of its pair. What is not valid must be 0 if multipliers do not gate. The sums of a pixel leave,
    all columns together, accel.latency.array_pipeline later.

    Weights enter independently, at the first row of each of the w segments of Q = R / w rows: lanes s*C.. of `weights`
    and `flags` (`accel.datapath.flag_bits` each) and bit s of `capture` (with row 0 of the segment) are those of
    segment s, whose other rows follow in the next cycles. Segment s takes a tile's rows s*Q cycles after segment 0.

    With row 0 of a tile's weights in cycle e and its first pixel in t, row i of segment s is captured in e + s*Q + 2i
    (+ c, column c) and swapped in t + s*Q + i (+ c): t >= e + Q, and for the next tile e' >= t.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        bits = array_sum_bits(design)
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
        design = self.design
        rows, cols, bits, lanes = design.rows, design.cols, array_sum_bits(design), pe_lanes(design)
        sums: Value = Signal(bits * cols, name="no_sums")
        for r in range(rows):
            if r % design.fill_cycles == 0:
                weights, capture = self._entry(m, r // design.fill_cycles)
            at = r // 2 if lanes > 1 else r  # of a pair, or of a row
            valid = [self.valid.word_select(at, lanes)] if design.gates_zeros else []
            pixel = Cat(self.acts.word_select(at, CODE_BITS * lanes), *valid)
            row = shared(m, partial(ArrayRow, design), f"row_{r}", "array_row")
            m.d.comb += [
                row.pixel_i.eq(self._skewed(m, pixel, self.swap, r, f"skew_row{r}")),
                row.weights_i.eq(weights), row.capture_i.eq(capture), row.sums_i.eq(sums),
            ]  # fmt: skip
            weights, capture, sums = row.weights_o, row.capture_o, row.sums_o
        for c in range(cols):
            deskewed = delayed(m, design, sums.word_select(c, bits), cols - 1 - c, f"deskew_{c}")
            m.d.comb += self.sums.word_select(c, bits).eq(deskewed)
        return m

    def _entry(self, m: Module, segment: int) -> tuple[Signal, Signal]:
        """Weights with their flags, and captures, of a segment, later by a cycle in each column."""
        cols, flags, suffix = self.design.cols, flag_bits(self.design), f"_{segment}" if segment else ""
        size, first = weight_layout(self.design).size, flags - beside_weight_bits(self.design)
        weights, captures = Signal(size * cols, name=f"weights{suffix}"), Signal(cols, name=f"captures{suffix}")
        for c in range(cols):
            lane = segment * cols + c
            beside = self.flags.word_select(lane, flags)[first:]
            entering = Cat(self.weights.word_select(lane, CODE_BITS), beside)
            out = self._skewed(m, entering, self.capture[segment], c, f"skew_col{c}{suffix}")
            m.d.comb += [weights.word_select(c, size).eq(out[:-1]), captures[c].eq(out[-1])]
        return weights, captures

    def _skewed(self, m: Module, what: Value, flag: Value, cycles: int, name: str) -> Value:
        """`what` with its flag so many cycles later; that of all rows or columns is one chain of registers."""
        return Cat(delayed(m, self.design, what, cycles, name), shifted(m, flag, cycles, f"{name}_flag"))
