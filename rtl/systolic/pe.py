"""The processing element: one multiplier, a weight and its shadow."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import PRODUCT_BITS, flag_bits, pe_lanes
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.pipeline import multiplier


class PE(wiring.Component):
    """Row r, column c of the array; every PE is the same.

    Activations (with `valid` and `swap`) go right, one register a PE; sums go down, one register a PE; weights, with
    flags (bit 0: it is 0), go down one register a PE, and the capture bit two, so that row r's weight and the capture
    bit meet in row r. `capture`: the weight that passes becomes the shadow. `swap`: this activation is the
    first of a tile, the shadow becomes the weight, for it already. The sum leaves `multiplier_stages` + 1 cycles after
    its activation came: the multiplier's registers, then the sum's. Its registers are those of
    `accel.datapath.pe_registers`.

    Gating: an activation that is not valid (of a gated row, or 0) adds nothing and is the one before it again (the
    feeder sees to that), and under a weight of 0 the multiplier sees no activation at all: a product with a zero
    operand leaves the multiplier's inputs as they were. (With several stages, registers that are not loaded.)

    2:4: there are four activations, each with its valid bit, and flags 2..1 of the weight say with which it multiplies.
    """

    def __init__(self, design: Design) -> None:
        self.stages, self.sum_bits = design.engine.multiplier_stages, design.widths.accumulator
        self.lanes, self.flags = pe_lanes(design), flag_bits(design)
        code, total, lanes = signed(CODE_BITS), signed(self.sum_bits), self.lanes
        super().__init__(
            {
                "act_i": In(CODE_BITS * lanes), "valid_i": In(lanes), "swap_i": In(1),
                "act_o": Out(CODE_BITS * lanes), "valid_o": Out(lanes), "swap_o": Out(1),
                "weight_i": In(code), "flags_i": In(self.flags), "capture_i": In(1),
                "weight_o": Out(code), "flags_o": Out(self.flags), "capture_o": Out(1),
                "sum_i": In(total), "sum_o": Out(total),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # Data need no reset; ports always have one, so the registers are signals of our own.
        act = Signal(CODE_BITS * self.lanes, name="act", reset_less=True)
        passing, weight, shadow = (
            Signal(signed(CODE_BITS), name=name, reset_less=True) for name in ("passing", "weight", "shadow")
        )
        total = Signal(signed(self.sum_bits), reset_less=True, name="total")
        passing_flags, weight_flags, shadow_flags = (
            Signal(self.flags, name=f"{name}_flags", reset_less=True) for name in ("passing", "weight", "shadow")
        )
        half_way = Signal(name="half_way")
        flags = Signal(self.flags, name="flags")
        m.d.comb += flags.eq(Mux(self.swap_i, shadow_flags, weight_flags))
        used, zero = Mux(self.swap_i, shadow, weight), flags[0]
        chosen, valid = Signal(signed(CODE_BITS), name="chosen"), Signal(name="chosen_valid")
        index = flags[1:] if self.lanes > 1 else Const(0)
        m.d.comb += [chosen.eq(self.act_i.word_select(index, CODE_BITS)), valid.eq(self.valid_i.bit_select(index, 1))]
        seen: Value = chosen if self.stages > 1 else Mux(zero, 0, chosen)
        enable = valid & ~zero
        product = multiplier(m, seen, used, signed(PRODUCT_BITS), self.stages, "product", enable)
        m.d.comb += [
            self.act_o.eq(act), self.weight_o.eq(passing), self.flags_o.eq(passing_flags), self.sum_o.eq(total)
        ]  # fmt: skip
        m.d.sync += [
            act.eq(self.act_i),
            self.valid_o.eq(self.valid_i),
            self.swap_o.eq(self.swap_i),
            passing.eq(self.weight_i),
            passing_flags.eq(self.flags_i),
            half_way.eq(self.capture_i),
            self.capture_o.eq(half_way),
            weight.eq(used),
            weight_flags.eq(flags),
            total.eq(self.sum_i + product),
        ]
        with m.If(self.capture_i):
            m.d.sync += [shadow.eq(self.weight_i), shadow_flags.eq(self.flags_i)]
        return m
