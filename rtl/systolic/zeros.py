"""How many products have a zero operand: counted where activations and weights enter the array, not in every PE."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import pe_lanes
from accel.design import Design
from accel.rtl.pipeline import later
from accel.structured import QUAD


class ZeroProducts(wiring.Component):
    """Counts the products of a pixel whose activation or weight is 0, over the rows and columns that exist.

    `exist` and `valid` of the rows, `swap` and `existing_cols` of a pixel come in at the array's edge
    (`accel.rtl.systolic.feeder`), `row` and `others` of each segment a cycle behind it (`accel.rtl.systolic.segment`).
    The weights of a segment come R/w cycles after those of the one above, so a pixel's rows there are looked at as much
    later. A row has as many weights that are not 0 in its `held` register as it multiplies with, those of the next tile
    wait in `next`; with 2:4 a number for each of the four activations that they may name.

    `count` grows by the products of a pixel at most R - R/w + 4 cycles after its swap could be, before its sums are
    written.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        w, places = design.weight_rows, range(design.cols + 1)
        super().__init__(
            {
                "exist": In(design.rows), "valid": In(design.word_lanes), "swap": In(1), "existing_cols": In(places),
                "row": In(w), "others": In(places).array(pe_lanes(design)).array(w),
                "count": Out(range(design.rows * design.cols + 1)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        size = self.design.fill_cycles
        pixel = later(m, Cat(self.swap, self.existing_cols), 1, "pixel")
        sums = []
        for s in range(self.design.weight_rows):
            lanes = Cat(self._lanes(r) for r in range(s * size, (s + 1) * size))
            rows = later(m, Cat(self.exist[s * size : (s + 1) * size], lanes), s * size + 1, f"rows_{s}")
            sums.append(self._segment(m, s, pixel[0], pixel[1:], rows[:size], rows[size:]))
            pixel = later(m, pixel, size, f"pixel_{s}")
        m.d.sync += self.count.eq(sum(sums))
        return m

    def _lanes(self, row: int) -> Value:
        """The valid bits of the activations that a row is given."""
        if self.design.two_of_four:
            return self.valid.word_select(row // 2, QUAD)
        return self.valid[row]

    def _segment(self, m: Module, s: int, swap: Value, cols: Value, exist: Value, valid: Value) -> Signal:
        """The products of a segment's rows two cycles before."""
        lanes, places = pe_lanes(self.design), Cat(*self.others[s])
        size, each = self.design.fill_cycles, len(self.others[s][0])
        width = lanes * each
        waiting = Signal(size * width, name=f"next_{s}", reset_less=True)
        held = Signal(size * width, name=f"held_{s}", reset_less=True)
        used = Signal(size * width, name=f"used_{s}")
        total = Signal(range(size * self.design.cols + 1), name=f"total_{s}")
        m.d.comb += used.eq(Mux(swap, waiting, held))
        m.d.sync += held.eq(used)
        with m.If(self.row[s]):  # the first row moves to the lowest place
            m.d.sync += waiting.eq(Cat(waiting, places)[width:])
        products = []
        for r in range(size):
            others = [Mux(valid[r * lanes + k], used.word_select(r * lanes + k, each), 0) for k in range(lanes)]
            products.append(later(m, Mux(exist[r], cols - sum(others), 0)[:each], 1, f"products_{s}_{r}"))
        m.d.sync += total.eq(sum(products))
        return total
