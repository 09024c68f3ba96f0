"""The array that holds sums: R rows of C processing elements, the skew of their inputs, and the chains that drain."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import flag_bits
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.modules import shared
from accel.rtl.output_stationary.pe import PE
from accel.rtl.pipeline import shifted


class OutputRow(wiring.Component):
    """One row of the array: C processing elements (`PE` explains the ports).

    Activations enter at column 0; `weights`, `flags` and `drain` have a lane for each column.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        cols, bits, flags = design.cols, design.widths.accumulator, flag_bits(design)
        super().__init__(
            {
                "act_i": In(CODE_BITS), "valid_i": In(1), "first_i": In(1), "last_i": In(1), "shift_i": In(1),
                "weights_i": In(CODE_BITS * cols), "flags_i": In(flags * cols), "drain_i": In(bits * cols),
                "weights_o": Out(CODE_BITS * cols), "flags_o": Out(flags * cols), "drain_o": Out(bits * cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        bits, flags = self.design.widths.accumulator, flag_bits(self.design)
        act, valid, first, last, shift = self.act_i, self.valid_i, self.first_i, self.last_i, self.shift_i
        for c in range(self.design.cols):
            pe = shared(m, partial(PE, self.design), f"pe_{c}", "pe")
            m.d.comb += [
                pe.act_i.eq(act), pe.valid_i.eq(valid), pe.first_i.eq(first), pe.last_i.eq(last),
                pe.shift_i.eq(shift),
                pe.weight_i.eq(self.weights_i.word_select(c, CODE_BITS)),
                self.weights_o.word_select(c, CODE_BITS).eq(pe.weight_o),
                pe.flags_i.eq(self.flags_i.word_select(c, flags)), self.flags_o.word_select(c, flags).eq(pe.flags_o),
                pe.drain_i.eq(self.drain_i.word_select(c, bits)), self.drain_o.word_select(c, bits).eq(pe.drain_o),
            ]  # fmt: skip
            act, valid, first, last, shift = pe.act_o, pe.valid_o, pe.first_o, pe.last_o, pe.shift_o
        return m


class OutputArray(wiring.Component):
    """Output-stationary array.

    In one cycle: `acts` of R pixels, with `valid` (a bit a pixel), and `weights` with `flags` of C output channels;
    with the `first` and the `last` of a tile. The last row has pixel 0, the first one pixel R - 1, so that the chains,
    which move down, give the pixels in order: the sums of pixel p leave `accel.latency.array_pipeline` + p cycles after
    the `last`, all columns together.

    Tiles have R cycles at least from one `last` to the next: row r's sum is complete r cycles after row 0's, and the
    chains begin to move when that of the last row is. From then on row r takes r sums from above, of which the last one
    leaves it in the cycle in which its own next sum may come.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "acts": In(CODE_BITS * design.rows), "valid": In(design.rows), "first": In(1), "last": In(1),
                "weights": In(CODE_BITS * design.cols), "flags": In(flag_bits(design) * design.cols),
                "sums": Out(design.widths.accumulator * design.cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        rows, cols, bits, flags = design.rows, design.cols, design.widths.accumulator, flag_bits(design)
        stages = design.engine.multiplier_stages
        first = shifted(m, self.first, stages, "first_product")
        last = shifted(m, self.last, stages + 1, "last_sum")
        shifts = self._shifts(m, last)
        entering = [Cat(self.weights.word_select(c, CODE_BITS), self.flags.word_select(c, flags)) for c in range(cols)]
        entering = [shifted(m, each, c, f"skew_col{c}") for c, each in enumerate(entering)]
        weights: Value = Cat(*(each[:CODE_BITS] for each in entering))
        zeros: Value = Cat(*(each[CODE_BITS:] for each in entering))
        drain: Value = Signal(bits * cols, name="no_sums")
        for r in range(rows):
            pixel = rows - 1 - r
            lane = Cat(self.acts.word_select(pixel, CODE_BITS), self.valid[pixel], first, last)
            out = shifted(m, lane, r, f"skew_row{r}")
            row = shared(m, partial(OutputRow, design), f"row_{r}", "output_row")
            m.d.comb += [
                row.act_i.eq(out[:CODE_BITS]), row.valid_i.eq(out[-3]), row.first_i.eq(out[-2]), row.last_i.eq(out[-1]),
                row.shift_i.eq(shifts[r]), row.weights_i.eq(weights), row.flags_i.eq(zeros), row.drain_i.eq(drain),
            ]  # fmt: skip
            weights, zeros, drain = row.weights_o, row.flags_o, row.drain_o
        for c in range(cols):
            deskewed = shifted(m, drain.word_select(c, bits), cols - 1 - c, f"deskew_{c}")
            m.d.comb += self.sums.word_select(c, bits).eq(deskewed)
        return m

    def _shifts(self, m: Module, last: Value) -> list[Value]:
        """Whether each row takes sums from above, at column 0: r cycles, from when the last row's own sum is there."""
        rows = self.design.rows
        begin, left = Signal(name="drain_begins"), Signal(range(rows + 1), name="drain_left")
        m.d.comb += begin.eq(shifted(m, last, rows, "drained_last"))
        m.d.sync += left.eq(Mux(begin, rows - 1, Mux(left == 0, 0, left - 1)))
        return [(begin | (left > rows - r)) if r else Const(0) for r in range(rows)]
