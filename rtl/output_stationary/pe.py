"""The processing element that holds a sum: one multiplier, the sum, and its place in the chain that drains sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import PRODUCT_BITS, array_sum_bits
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.multiplier import product
from accel.rtl.systolic.pe import weight_layout


def term_layout(design: Design) -> data.StructLayout:
    """What goes right: an activation, with gates whether it is `valid`, and what becomes of the sum."""
    valid = {"valid": 1} if design.gates_zeros else {}
    return data.StructLayout({"act": CODE_BITS, **valid, "first": 1, "last": 1, "shift": 1})


class PE(wiring.Component):
    """Every PE is the same; its registers are those of `accel.datapath.pe_registers`.

    Activations (`term_layout`) go right and weights (`accel.rtl.systolic.pe.weight_layout`) down, one register a PE.
    Their product is added to the sum `multiplier_stages` + 1 cycles after they came: `first` comes then with the first
    one of a tile, before which the sum counts as 0; `last` comes a cycle after the last one was added, and puts the sum
    into the chain. While `shift` the chain takes the sum of the PE above. All three go right, one register a PE.

    Gating as in `accel.rtl.systolic.pe`: a product with a zero operand leaves the multiplier's inputs alone.
    """

    def __init__(self, design: Design) -> None:
        self.design, total = design, signed(array_sum_bits(design))
        term, weight = term_layout(design).size, weight_layout(design).size
        super().__init__(
            {
                "term_i": In(term), "term_o": Out(term), "weight_i": In(weight), "weight_o": Out(weight),
                "drain_i": In(total), "drain_o": Out(total),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design, term = self.design, data.View(term_layout(self.design), self.term_i)
        # Data need no reset; ports always have one, so the registers are signals of our own.
        act = Signal(signed(CODE_BITS), name="act", reset_less=True)
        held = Signal(weight_layout(design).size, name="weight", reset_less=True)
        valid, first, last, shift = (Signal(name=name) for name in ("valid", "first", "last", "shift"))
        total, drained = (Signal(self.drain_i.shape(), name=name, reset_less=True) for name in ("total", "drained"))
        weight, enable = data.View(weight_layout(design), held), None
        seen: Value = act
        if design.gates_zeros:
            m.d.sync += valid.eq(term.valid)
            enable = valid & ~weight.zero
            if design.engine.multiplier_stages == 1:
                seen = Mux(weight.zero, 0, act)
        product_now = product(m, design, seen, weight.code, signed(PRODUCT_BITS), "product", enable)
        passed = Cat(act, valid) if design.gates_zeros else act
        m.d.comb += [
            self.term_o.eq(Cat(passed, first, last, shift)), self.weight_o.eq(held), self.drain_o.eq(drained)
        ]  # fmt: skip
        m.d.sync += [
            act.eq(term.act), held.eq(self.weight_i),
            first.eq(term.first), last.eq(term.last), shift.eq(term.shift),
            total.eq(Mux(term.first, 0, total) + product_now),
        ]  # fmt: skip
        with m.If(term.last):
            m.d.sync += drained.eq(total)
        with m.Elif(term.shift):
            m.d.sync += drained.eq(self.drain_i)
        return m
