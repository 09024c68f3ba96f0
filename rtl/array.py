"""The systolic array: R x C processing elements with the skew of their inputs and the deskew of their sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from rtl.pe import PE
from rtl.shared import shared


class Delay(wiring.Component):
    """`depth` registers of `bits`, without reset: what comes out first is not used by anybody."""

    def __init__(self, bits: int, depth: int) -> None:
        self.bits, self.depth = bits, depth
        super().__init__({"i": In(bits), "o": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        value: Value = self.i
        for k in range(self.depth):
            stage = Signal(self.bits, name=f"stage_{k}", reset_less=True)
            m.d.sync += stage.eq(value)
            value = stage
        m.d.comb += self.o.eq(value)
        return m


class SystolicArray(wiring.Component):
    """Weight-stationary array.

    In one cycle: `acts` (R lanes) with `valid` (a bit a row) and `swap` (a tile's first) for a pixel, and independently
    `weights` (C lanes) with `capture` (row 0 of a tile) for a weight row of the next tile; its other rows follow in the
    next cycles. The sums of a pixel leave, all columns together, accel.latency.array_cycles(R, C) later.

    With row 0 of a tile's weights in cycle w and its first pixel in t, row r is captured in w + 2r (+ c, column c) and
    swapped in t + r (+ c): t >= w + R, and for the next tile w' >= t.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        bits = design.widths.accumulator
        super().__init__(
            {
                "acts": In(8 * design.rows), "valid": In(design.rows), "swap": In(1),
                "weights": In(8 * design.cols), "capture": In(1),
                "sums": Out(bits * design.cols),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        rows, cols, bits = self.design.rows, self.design.cols, self.design.widths.accumulator
        right: list[tuple[Value, Value, Value]] = []
        for r in range(rows):
            lane = Cat(self.acts.word_select(r, 8), self.valid[r], self.swap)
            out = self._delay(m, f"skew_row{r}", lane, r)
            right.append((out[:8], out[8], out[9]))
        down: list[tuple[Value, Value, Value]] = []
        for c in range(cols):
            out = self._delay(m, f"skew_col{c}", Cat(self.weights.word_select(c, 8), self.capture), c)
            down.append((out[:8], out[8], Signal(bits, name=f"zero_{c}")))
        for r in range(rows):
            for c in range(cols):
                pe = shared(m, PE(bits), f"pe_{r}_{c}", "pe")
                m.d.comb += [
                    pe.act_i.eq(right[r][0]), pe.valid_i.eq(right[r][1]), pe.swap_i.eq(right[r][2]),
                    pe.weight_i.eq(down[c][0]), pe.capture_i.eq(down[c][1]), pe.sum_i.eq(down[c][2]),
                ]  # fmt: skip
                right[r] = (pe.act_o, pe.valid_o, pe.swap_o)
                down[c] = (pe.weight_o, pe.capture_o, pe.sum_o)
        for c in range(cols):
            m.d.comb += self.sums.word_select(c, bits).eq(self._delay(m, f"deskew_{c}", down[c][2], cols - 1 - c))
        return m

    @staticmethod
    def _delay(m: Module, name: str, value: Value, depth: int) -> Value:
        if depth == 0:
            return value
        delay = shared(m, Delay(len(value), depth), name, f"delay_{len(value)}x{depth}")
        m.d.comb += delay.i.eq(value)
        return delay.o
