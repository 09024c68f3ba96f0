"""The processing element that holds a sum: one multiplier, the sum, and its place in the chain that drains sums."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import PRODUCT_BITS, flag_bits
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.pipeline import multiplier


class PE(wiring.Component):
    """Every PE is the same; its registers are those of `accel.datapath.pe_registers`.

    Activations (with `valid`) go right and weights (with flags, bit 0: it is 0) down, one register a PE. Their product
    is added to the sum `multiplier_stages` cycles after they came: `first` comes then with the first one of a tile,
    before which the sum counts as 0; `last` comes a cycle after the last one was added, and puts the sum into the
    chain. While `shift` the chain takes the sum of the PE above. All three go right, one register a PE.

    Gating as in `accel.rtl.systolic.pe`: a product with a zero operand leaves the multiplier's inputs alone.
    """

    def __init__(self, design: Design) -> None:
        self.stages, self.sum_bits, self.flags = (
            design.engine.multiplier_stages, design.widths.accumulator, flag_bits(design)
        )  # fmt: skip
        code, total = signed(CODE_BITS), signed(self.sum_bits)
        super().__init__(
            {
                "act_i": In(code), "valid_i": In(1), "first_i": In(1), "last_i": In(1), "shift_i": In(1),
                "act_o": Out(code), "valid_o": Out(1), "first_o": Out(1), "last_o": Out(1), "shift_o": Out(1),
                "weight_i": In(code), "flags_i": In(self.flags), "weight_o": Out(code), "flags_o": Out(self.flags),
                "drain_i": In(total), "drain_o": Out(total),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # Data need no reset; ports always have one, so the registers are signals of our own.
        act, weight = (Signal(signed(CODE_BITS), name=name, reset_less=True) for name in ("act", "weight"))
        flags = Signal(self.flags, name="flags", reset_less=True)
        total, drained = (Signal(signed(self.sum_bits), name=name, reset_less=True) for name in ("total", "drained"))
        zero = self.flags_i[0]
        seen: Value = self.act_i if self.stages > 1 else Mux(zero, 0, self.act_i)
        enable = self.valid_i & ~zero
        product = multiplier(m, seen, self.weight_i, signed(PRODUCT_BITS), self.stages, "product", enable)
        m.d.comb += [self.act_o.eq(act), self.weight_o.eq(weight), self.flags_o.eq(flags), self.drain_o.eq(drained)]
        m.d.sync += [
            act.eq(self.act_i), weight.eq(self.weight_i), flags.eq(self.flags_i), self.valid_o.eq(self.valid_i),
            self.first_o.eq(self.first_i), self.last_o.eq(self.last_i), self.shift_o.eq(self.shift_i),
            total.eq(Mux(self.first_i, 0, total) + product),
        ]  # fmt: skip
        with m.If(self.last_i):
            m.d.sync += drained.eq(total)
        with m.Elif(self.shift_i):
            m.d.sync += drained.eq(self.drain_i)
        return m
