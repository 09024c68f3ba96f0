"""Columns of a unit: with each a row of weights is issued; behind the last of a tile, where its sums go."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.latency import ACC_READ, array_pipeline, cycles, feed_cycles, unit_cycles
from accel.memories import ACCUMULATOR, WEIGHT
from accel.rtl.output_stationary.feeder import unit_layout
from accel.rtl.pipeline import later
from accel.rtl.systolic.feeder import TAG, tags
from accel.rtl.systolic.segment import issue_layout


class Columns(wiring.Component):
    """R columns a unit, one a cycle from the cycle after its `turn` on, in which the next unit is read.

    `issue`: the row of weights of the column (`accel.rtl.systolic.segment`), which meets it at the array's edge
    `feed_cycles` later, where `first` and `last` of a tile, the number of `pixels` of which the column has a term, and
    that of the `cols` are as well; a cycle before, `exist` says which pixels, `pull` and `begin` are for the turner.
    `tag`: one a pixel of a tile, `ACC_READ` before its sums leave the array.

    `outside`: a word beyond the weight buffer was issued in the cycle before, or sums are beyond all addresses.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        rows, cols = design.rows, design.cols
        super().__init__(
            {
                "turn": In(1), "unit": In(unit_layout(design)),
                "issue": Out(issue_layout(design)), "pull": Out(1), "begin": Out(1),
                "first": Out(1), "last": Out(1), "exist": Out(rows), "pixels": Out(range(rows + 1)),
                "cols": Out(range(cols + 1)), "tag": Out(TAG), "outside": Out(1),
                "event_weight_reads": Out(1), "event_codebook_reads": Out(range(cols + 1)),
                "event_macs": Out(range(rows * cols + 1)), "event_macs_gated": Out(range(rows * cols + 1)),
                "event_stream_cycles": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        rows, cols, size = design.rows, design.cols, unit_cycles(design)
        passing, column = Signal(name="passing"), Signal(range(size), name="column")
        held, unit = Signal(unit_layout(design), name="held"), Signal(unit_layout(design), name="unit_now")
        begins, stream, exists = Signal(name="begins"), Signal(name="stream"), Signal(name="exists")
        m.d.comb += [
            begins.eq(passing & (column == 0)), unit.eq(Mux(begins, self.unit, held)),
            stream.eq(passing & (column < rows)), exists.eq(stream & (column < unit.lanes)),
        ]  # fmt: skip
        m.d.sync += held.eq(unit)
        with m.If(passing):
            m.d.sync += column.eq(column + 1)
            with m.If(column == size - 1):
                m.d.sync += passing.eq(0)
        with m.If(self.turn):
            m.d.sync += [passing.eq(1), column.eq(0)]
        products = Signal(range(rows * cols + 1), name="products")
        m.d.comb += [
            products.eq(Mux(exists, unit.pixels * unit.cols, 0)), self.event_macs.eq(products),
            self.event_macs_gated.eq(Mux(stream, rows * cols - products, 0)), self.event_stream_cycles.eq(stream),
        ]  # fmt: skip
        beyond = Signal(len(unit.sum) + 1, name="last_sum")
        m.d.comb += beyond.eq(unit.sum + unit.pixels - 1)
        too_high = self._weights(m, unit, begins, stream)
        m.d.sync += self.outside.eq(too_high | (begins & beyond[ACCUMULATOR.word_bits :].any()))
        turned, edge = feed_cycles(design) - 1, feed_cycles(design)  # the array's edge is a register
        pixels = Mux(exists, unit.pixels, 0)
        m.d.comb += [
            self.pull.eq(later(m, stream, turned, "pull")), self.begin.eq(later(m, begins, turned, "begin")),
            self.exist.eq(later(m, Cat(*(pixels > p for p in range(rows))), turned, "exist")),
        ]  # fmt: skip
        m.d.comb += [
            self.first.eq(later(m, begins & unit.first, edge, "first")),
            self.last.eq(later(m, stream & unit.last & (column == rows - 1), edge, "last")),
            self.pixels.eq(later(m, pixels, edge, "pixels")),
            self.cols.eq(later(m, unit.cols, edge, "cols")),
        ]
        self._tags(m, unit, passing & unit.last & (column == size - 1))
        return m

    def _weights(self, m: Module, unit: data.View, begins: Signal, go: Signal) -> Value:
        """Rows of weights in order, from the first one again in each block of pixels. Returns: beyond the buffer."""
        bits = WEIGHT.lane_bits(self.design)
        available, left = Signal(range(16), name="available"), Signal(range(16), name="left")
        address, here = (Signal(WEIGHT.address_bits + 1, name=name) for name in ("next_address", "address"))
        again, needs = begins & unit.again, Signal(name="needs")
        issue = data.View(issue_layout(self.design), self.issue.as_value())
        m.d.comb += [
            left.eq(Mux(again, 0, available)), here.eq(Mux(again, unit.weight_addr, address)),
            needs.eq(left < unit.weight_bits),
            issue.go.eq(go), issue.read.eq(go & needs), issue.address.eq(here), issue.shift.eq(bits - 1 - left),
            issue.bits.eq(unit.weight_bits), issue.look_up.eq(go & unit.use_codebook),
            issue.bank.eq(unit.codebook_bank), issue.cols.eq(unit.cols),
            self.event_weight_reads.eq(issue.read),
            self.event_codebook_reads.eq(Mux(issue.look_up, self.design.cols, 0)),
        ]  # fmt: skip
        with m.If(go):
            m.d.sync += [available.eq(left + Mux(needs, bits, 0) - unit.weight_bits), address.eq(here + needs)]
        return issue.read & (here >= self.design.weight_words)

    def _tags(self, m: Module, unit: data.View, ended: Value) -> None:
        """One a pixel behind the last column of a tile, as long under way as its sums, less the read of old ones."""
        design = self.design
        left = Signal(range(design.rows + 1), name="pixels_left")
        word, bank = Signal(ACCUMULATOR.word_bits, name="tag_word"), Signal(name="tag_bank")
        overwrite, ends = Signal(name="tag_overwrite"), Signal(name="tag_ends")
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), word.eq(word + 1)]
        with m.If(ended):
            m.d.sync += [
                left.eq(unit.pixels), word.eq(unit.sum), bank.eq(unit.bank), overwrite.eq(unit.overwrite),
                ends.eq(unit.ends),
            ]  # fmt: skip
        tag = Signal(TAG, name="tag_now")
        m.d.comb += [
            tag.valid.eq(left != 0), tag.address.eq(Cat(word, bank)), tag.overwrite.eq(overwrite),
            tag.last.eq(ends & (left == 1)),
        ]  # fmt: skip
        # The last column is `unit_cycles` - R cycles before the end of its unit, this one a cycle after that.
        way = feed_cycles(design) + cycles(array_pipeline(design)) - cycles(ACC_READ)
        behind = way - (unit_cycles(design) - design.rows) - 1
        m.d.comb += self.tag.eq(tags(m, design, tag, behind))
