"""One lane of requantisation, from a 32-bit sum to an int8 code (docs/formats.md, "Integer arithmetic")."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


def round_shift(m: Module, value: Value, shift: Value, name: str) -> Value:
    """RS(value, shift): arithmetic shift right, half rounds up. Combinational."""
    half = Signal(signed(len(value)), name=f"{name}_half")
    m.d.comb += half.eq(value >> Mux(shift == 0, 0, shift - 1)[:6])
    return Mux(shift == 0, value, (half + 1) >> 1)


class Requantise(wiring.Component):
    """Pipeline of four registers: + bias | x multiplier | round-shift | + zero point + residual, clip.

    Cycle 0 takes `value`, the record (`bias`, `multiplier`, `shift`) and `residual` (already minus its zero point; 0
    without a residual). `code` is there in cycle 4. The other inputs do not change while something is in the pipeline.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "value": In(signed(32)), "bias": In(signed(32)), "multiplier": In(16), "shift": In(6),
                "residual": In(signed(9)), "res_multiplier": In(16), "res_shift": In(6),
                "zero_point": In(signed(8)), "low": In(signed(8)), "high": In(signed(8)),
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

        def later(value: Value, cycles: int, name: str) -> Value:
            for k in range(cycles):
                signal = Signal.like(value, name=f"{name}_{k}", reset_less=True)
                m.d.sync += signal.eq(value)
                value = signal
            return value

        biased = register(33, "biased", self.value + self.bias)
        multiplier, shift = later(self.multiplier, 1, "multiplier_later"), later(self.shift, 2, "shift_later")
        product = register(50, "product", biased * multiplier)
        scaled = register(51, "scaled", round_shift(m, product, shift, "main"))
        res_product = register(26, "res_product", later(self.residual, 1, "residual_later") * self.res_multiplier)
        res_scaled = register(26, "res_scaled", round_shift(m, res_product, self.res_shift, "res"))
        total = Signal(signed(53), name="total")
        m.d.comb += total.eq(scaled + res_scaled + self.zero_point)
        m.d.sync += self.code.eq(Mux(total < self.low, self.low, Mux(total > self.high, self.high, total)))
        return m
