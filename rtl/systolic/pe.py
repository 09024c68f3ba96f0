"""The processing element: one multiplier, a weight and its shadow."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import PRODUCT_BITS, array_sum_bits, pe_lanes
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.multiplier import product
from accel.structured import INDEX_BITS


def pixel_layout(design: Design) -> data.StructLayout:
    """What goes right: an activation (2:4: four), with gates whether it is `valid`, and `swap` with a tile's first."""
    lanes = pe_lanes(design)
    valid = {"valid": lanes} if design.gates_zeros else {}
    return data.StructLayout({"act": CODE_BITS * lanes, **valid, "swap": 1})


def weight_layout(design: Design) -> data.StructLayout:
    """What goes down: a weight, with gates whether it is `zero`, with 2:4 the `index` of its activation."""
    zero = {"zero": 1} if design.gates_zeros else {}
    return data.StructLayout(
        {"code": signed(CODE_BITS), **zero, **({"index": INDEX_BITS} if design.two_of_four else {})}
    )


class PE(wiring.Component):
    """Row r, column c of the array; every PE is the same.

    Pixels (`pixel_layout`) go right, one register a PE; sums go down, one register a PE; weights (`weight_layout`) go
    down one register a PE, and the capture bit two, so that row r's weight and the capture bit meet in row r.
    `capture`: the weight that passes becomes the shadow. `swap`: with the pixel, the shadow becomes the weight. They
    are multiplied a cycle later, when both are in registers; the sum leaves `multiplier_stages` + 2 cycles after its
    pixel came. Its registers are those of `accel.datapath.pe_registers`.

    Gating, in portable multipliers: an activation that is not valid (of a gated row, or 0) adds nothing and is the one
    before it again (the feeder sees to that), and under a weight of 0 the multiplier sees no activation at all: a
    product with a zero operand leaves the multiplier's inputs as they were. (With several stages, registers that are
    not loaded.) In front of other multipliers what is not valid must be 0.
    """

    def __init__(self, design: Design) -> None:
        self.design, total = design, signed(array_sum_bits(design))
        pixel, weight = pixel_layout(design).size, weight_layout(design).size
        super().__init__(
            {
                "pixel_i": In(pixel), "pixel_o": Out(pixel), "weight_i": In(weight), "weight_o": Out(weight),
                "capture_i": In(1), "capture_o": Out(1), "sum_i": In(total), "sum_o": Out(total),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design, lanes = self.design, pe_lanes(self.design)
        pixel = data.View(pixel_layout(design), self.pixel_i)
        # Data need no reset; ports always have one, so the registers are signals of our own.
        act = Signal(CODE_BITS * lanes, name="act", reset_less=True)
        valid, swap = Signal(lanes, name="valid"), Signal(name="swap")
        passing, shadow, held = (
            Signal(weight_layout(design).size, name=name, reset_less=True) for name in ("passing", "shadow", "weight")
        )
        total = Signal(self.sum_i.shape(), reset_less=True, name="total")
        half_way = Signal(name="half_way")
        weight, index = data.View(weight_layout(design), held), Const(0)
        enable, chosen = None, Signal(signed(CODE_BITS), name="chosen")
        if lanes > 1:
            index = weight.index
        m.d.comb += chosen.eq(act.word_select(index, CODE_BITS))
        seen: Value = chosen
        if design.gates_zeros:
            m.d.sync += valid.eq(pixel.valid)
            enable = valid.bit_select(index, 1) & ~weight.zero
            if design.engine.multiplier_stages == 1:
                seen = Mux(weight.zero, 0, chosen)
        product_now = product(m, design, seen, weight.code, signed(PRODUCT_BITS), "product", enable)
        m.d.comb += [
            self.pixel_o.eq(Cat(act, valid, swap) if design.gates_zeros else Cat(act, swap)),
            self.weight_o.eq(passing), self.sum_o.eq(total),
        ]  # fmt: skip
        m.d.sync += [
            act.eq(pixel.act), swap.eq(pixel.swap), passing.eq(self.weight_i),
            half_way.eq(self.capture_i), self.capture_o.eq(half_way), total.eq(self.sum_i + product_now),
        ]  # fmt: skip
        with m.If(pixel.swap):
            m.d.sync += held.eq(shadow)
        with m.If(self.capture_i):
            m.d.sync += shadow.eq(self.weight_i)
        return m
