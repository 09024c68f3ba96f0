"""One lane of requantisation, from a 32-bit sum to an int8 code (docs/formats.md, "Integer arithmetic")."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import BIASED_BITS, FACTOR_BITS, MULTIPLIER_BITS, RESIDUAL_BITS
from accel.design import Design
from accel.latency import requantise_pipeline, until
from accel.rtl.pipeline import later, multiplier


def round_shift(m: Module, value: Value, shift: Value, name: str) -> Value:
    """RS(value, shift): arithmetic shift right, half rounds up. Combinational."""
    half = Signal(signed(len(value)), name=f"{name}_half")
    m.d.comb += half.eq(value >> Mux(shift == 0, 0, shift - 1)[:6])
    return Mux(shift == 0, value, (half + 1) >> 1)


class Requantise(wiring.Component):
    """The stages of `accel.latency.requantise_pipeline`.

    They are: + bias | x multiplier | round-shift | + zero point + residual, clip.

    Cycle 0 takes `value`, the record (`bias`, `multiplier`, `shift`) and `residual` (already minus its zero point; 0
    without a residual). `code` is there after the last stage; with `multiply`, when the residual is a factor and the
    record does not change, `accel.latency.product_pipeline` later. The other inputs do not change while something is in
    the pipeline. Its multipliers are `accel.datapath.REQUANTISE_MULTIPLIERS`.
    """

    def __init__(self, design: Design) -> None:
        self.stages = requantise_pipeline(design)
        super().__init__(
            {
                "value": In(signed(32)), "bias": In(signed(32)), "multiplier": In(MULTIPLIER_BITS), "shift": In(6),
                "residual": In(signed(RESIDUAL_BITS)), "res_multiplier": In(MULTIPLIER_BITS), "res_shift": In(6),
                "multiply": In(1), "zero_point": In(signed(8)), "low": In(signed(8)), "high": In(signed(8)),
                "code": Out(signed(8)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()

        def register(bits: int, name: str, value: Value) -> Signal:
            signal = Signal(signed(bits), name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        def wait(value: Value, stage: str, name: str) -> Value:
            """`value` when the data of cycle 0 leave a stage."""
            return later(m, value, until(self.stages, stage), name, reset_less=True)

        def times(left: Value, right: Value, bits: int, name: str) -> Signal:
            depth = until(self.stages, "multiply") - until(self.stages, "bias")
            return multiplier(m, left, right, signed(bits), depth, name)

        biased = register(BIASED_BITS, "biased", self.value + self.bias)
        # With `multiply` the residual's multiplier takes both operands, and the other one what it makes of them.
        factor = Mux(self.multiply, biased[:FACTOR_BITS].as_signed(), self.res_multiplier)
        res_product = times(wait(self.residual, "bias", "residual_later"), factor, 26, "res_product")
        left = Mux(self.multiply, res_product, biased)
        product = times(left, wait(self.multiplier, "bias", "multiplier_later"), 50, "product")
        scaled = register(51, "scaled", round_shift(m, product, wait(self.shift, "multiply", "shift_later"), "main"))
        added = Mux(self.multiply, 0, round_shift(m, res_product, self.res_shift, "res"))
        res_scaled = register(26, "res_scaled", added)
        total = Signal(signed(53), name="total")
        m.d.comb += total.eq(scaled + res_scaled + self.zero_point)
        m.d.sync += self.code.eq(Mux(total < self.low, self.low, Mux(total > self.high, self.high, total)))
        return m
