"""The array that holds sums: R rows of C processing elements, the skew of their inputs, and the chains that drain."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import array_sum_bits, beside_weight_bits, flag_bits
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.modules import shared
from accel.rtl.output_stationary.pe import PE, term_layout
from accel.rtl.pipeline import delayed, shifted
from accel.rtl.systolic.pe import weight_layout


class OutputRow(wiring.Component):
    """One row of the array: C processing elements (`PE` explains the ports).

    Activations enter at column 0; `weights` and `drain` have a lane for each column.
    """

    def __init__(self, design: Design) -> None:
        self.design, cols = design, design.cols
        self.lane, self.bits = weight_layout(design).size, array_sum_bits(design)
        super().__init__(
            {
                "term_i": In(term_layout(design).size),
                "weights_i": In(self.lane * cols), "drain_i": In(self.bits * cols),
                "weights_o": Out(self.lane * cols), "drain_o": Out(self.bits * cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        term = self.term_i
        for c in range(self.design.cols):
            pe = shared(m, partial(PE, self.design), f"pe_{c}", "pe")
            m.d.comb += [
                pe.term_i.eq(term),
                pe.weight_i.eq(self.weights_i.word_select(c, self.lane)),
                self.weights_o.word_select(c, self.lane).eq(pe.weight_o),
                pe.drain_i.eq(self.drain_i.word_select(c, self.bits)),
                self.drain_o.word_select(c, self.bits).eq(pe.drain_o),
            ]  # fmt: skip
            term = pe.term_o
        return m


class OutputArray(wiring.Component):
    """Output-stationary array.

    In one cycle: `acts` of R pixels, with `valid` (a bit a pixel), and `weights` with `flags` of C output channels;
    with the `first` and the `last` of a tile. What is not valid must be 0 if multipliers do not gate. The last row has
    pixel 0, the first one pixel R - 1, so that the chains, which move down, give the pixels in order: the sums of pixel
    p leave `accel.latency.array_pipeline` + p cycles after the `last`, all columns together.

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
                "sums": Out(array_sum_bits(design) * design.cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        rows, cols, bits, flags = design.rows, design.cols, array_sum_bits(design), flag_bits(design)
        # With a product, a cycle behind its factors' registers; and when it is added.
        stages, first_flag = design.engine.multiplier_stages, flags - beside_weight_bits(design)
        first = shifted(m, self.first, stages + 1, "first_product")
        last = shifted(m, self.last, stages + 2, "last_sum")
        shifts = self._shifts(m, last)
        entering = [
            Cat(self.weights.word_select(c, CODE_BITS), self.flags.word_select(c, flags)[first_flag:])
            for c in range(cols)
        ]
        weights: Value = Cat(*(delayed(m, design, each, c, f"skew_col{c}") for c, each in enumerate(entering)))
        drain: Value = Signal(bits * cols, name="no_sums")
        for r in range(rows):
            pixel = rows - 1 - r
            valid = [self.valid[pixel]] if design.gates_zeros else []
            lane = delayed(m, design, Cat(self.acts.word_select(pixel, CODE_BITS), *valid), r, f"skew_row{r}")
            flags_then = shifted(m, Cat(first, last), r, f"skew_row{r}_flags")
            row = shared(m, partial(OutputRow, design), f"row_{r}", "output_row")
            m.d.comb += [
                row.term_i.eq(Cat(lane, flags_then, shifts[r])),
                row.weights_i.eq(weights), row.drain_i.eq(drain),
            ]  # fmt: skip
            weights, drain = row.weights_o, row.drain_o
        for c in range(cols):
            deskewed = delayed(m, design, drain.word_select(c, bits), cols - 1 - c, f"deskew_{c}")
            m.d.comb += self.sums.word_select(c, bits).eq(deskewed)
        return m

    def _shifts(self, m: Module, last: Value) -> list[Value]:
        """Whether each row takes sums from above, at column 0: r cycles, from when the last row's own sum is there."""
        rows = self.design.rows
        begin, left = Signal(name="drain_begins"), Signal(range(rows + 1), name="drain_left")
        m.d.comb += begin.eq(shifted(m, last, rows, "drained_last"))
        m.d.sync += left.eq(Mux(begin, rows - 1, Mux(left == 0, 0, left - 1)))
        return [(begin | (left > rows - r)) if r else Const(0) for r in range(rows)]
