"""The processing element: one multiplier, a weight and its shadow."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import PRODUCT_BITS
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.pipeline import multiplier


class PE(wiring.Component):
    """Row r, column c of the array; every PE is the same.

    Activations (with `valid` and `swap`) go right, one register a PE; sums go down, one register a PE; weights, with a
    bit that says whether they are 0, go down one register a PE, and the capture bit two, so that row r's weight and the
    capture bit meet in row r. `capture`: the weight that passes becomes the shadow. `swap`: this activation is the
    first of a tile, the shadow becomes the weight, for it already. The sum leaves `multiplier_stages` + 1 cycles after
    its activation came: the multiplier's registers, then the sum's. Its registers are those of
    `accel.datapath.pe_registers`.

    Gating: an activation that is not valid (of a gated row, or 0) adds nothing and is the one before it again (the
    feeder sees to that), and under a weight of 0 the multiplier sees no activation at all: a product with a zero
    operand leaves the multiplier's inputs as they were. (With several stages, registers that are not loaded.)
    """

    def __init__(self, design: Design) -> None:
        self.stages, self.sum_bits = design.engine.multiplier_stages, design.widths.accumulator
        code, total = signed(CODE_BITS), signed(self.sum_bits)
        super().__init__(
            {
                "act_i": In(code), "valid_i": In(1), "swap_i": In(1),
                "act_o": Out(code), "valid_o": Out(1), "swap_o": Out(1),
                "weight_i": In(code), "zero_i": In(1), "capture_i": In(1),
                "weight_o": Out(code), "zero_o": Out(1), "capture_o": Out(1),
                "sum_i": In(total), "sum_o": Out(total),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # Data need no reset; ports always have one, so the registers are signals of our own.
        act, passing, weight, shadow = (
            Signal(signed(CODE_BITS), name=name, reset_less=True) for name in ("act", "passing", "weight", "shadow")
        )
        total = Signal(signed(self.sum_bits), reset_less=True, name="total")
        passing_zero, weight_zero, shadow_zero = (
            Signal(name=f"{name}_zero", reset_less=True) for name in ("passing", "weight", "shadow")
        )
        half_way = Signal(name="half_way")
        used, zero = Mux(self.swap_i, shadow, weight), Mux(self.swap_i, shadow_zero, weight_zero)
        seen: Value = self.act_i if self.stages > 1 else Mux(zero, 0, self.act_i)
        enable = self.valid_i & ~zero
        product = multiplier(m, seen, used, signed(PRODUCT_BITS), self.stages, "product", enable)
        m.d.comb += [
            self.act_o.eq(act), self.weight_o.eq(passing), self.zero_o.eq(passing_zero), self.sum_o.eq(total)
        ]  # fmt: skip
        m.d.sync += [
            act.eq(self.act_i),
            self.valid_o.eq(self.valid_i),
            self.swap_o.eq(self.swap_i),
            passing.eq(self.weight_i),
            passing_zero.eq(self.zero_i),
            half_way.eq(self.capture_i),
            self.capture_o.eq(half_way),
            weight.eq(used),
            weight_zero.eq(zero),
            total.eq(self.sum_i + product),
        ]
        with m.If(self.capture_i):
            m.d.sync += [shadow.eq(self.weight_i), shadow_zero.eq(self.zero_i)]
        return m
