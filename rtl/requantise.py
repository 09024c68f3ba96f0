"""One lane of requantisation, from a 32-bit sum to an int8 code (docs/formats.md, "Integer arithmetic")."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import (
    BIASED_BITS,
    BYTE,
    FACTOR_BITS,
    LOW_BITS,
    MULTIPLIER_BITS,
    OPERAND_BITS,
    PARTNER_BITS,
    RESIDUAL_BITS,
    SCALED_BITS,
    SHIFT_BITS,
)
from accel.design import Design
from accel.latency import requantise_pipeline, until
from accel.rtl.multiplier import post_product
from accel.rtl.pipeline import later

COARSE = 4  # lowest bit of a shift that the stage "align" does; "scale" does those below
FOUR = 4  # inputs of a LUT


def halves(value: Value) -> Value:
    """A number in units of a half, which a shift may then lead to: the bit below the point is what rounds up."""
    return Cat(Const(0, 1), value).as_signed()


def plus_half(left: Value, right: Value) -> Value:
    """Halves rounded up, plus a whole number: the lowest bit is the adder's carry."""
    return (left + Cat(left[0], right).as_signed()) >> 1


def differ(bits: Value) -> Value:
    """Whether they are not all equal: a signed value needs more than the lowest of them."""
    return bits.any() & ~bits.all()


def shift_right(m: Module, value: Value, amount: Value, bits: int, name: str) -> tuple[Value, Value]:
    """A signed value shifted right, in `bits` bits, and whether they do not hold it: then they mean nothing.

    Shifts of many bits come first, so that each that follows has fewer bits to give.
    """
    beyond: Value = Const(0)
    for k in reversed(range(len(amount))):
        needed = bits + (1 << k) - 1  # for what the lower bits of the amount may bring into the result
        shifted = Signal(signed(min(len(value), needed)), name=f"{name}_by_{1 << k}")
        m.d.comb += shifted.eq(Mux(amount[k], value >> (1 << k), value))
        lost = value[needed - 1 :]
        if len(lost) > 1:
            beyond = beyond | Mux(amount[k], differ(lost[1 << k :]) if len(lost) > (1 << k) + 1 else 0, differ(lost))
        value = shifted
    return value, beyond


class Requantise(wiring.Component):
    """The stages of `accel.latency.requantise_pipeline`.

    They are: + bias | x multiplier, in two parts | these added, coarse shift | fine shift, saturated | + residual and
    zero point, rounded | clip.

    Cycle 0 takes `value`, the record (`bias`, `multiplier`, `shift`) and `residual` (already minus its zero point; 0
    without a residual). `code` is there after the last stage; with `multiply`, when the residual is a factor and the
    record does not change, `accel.latency.product_pipeline` later. The other inputs do not change while something is in
    the pipeline. Its multipliers are `accel.datapath.REQUANTISE_MULTIPLIERS`.
    """

    def __init__(self, design: Design) -> None:
        self.design, self.stages = design, requantise_pipeline(design)
        super().__init__(
            {
                "value": In(signed(32)), "bias": In(signed(32)), "multiplier": In(MULTIPLIER_BITS),
                "shift": In(SHIFT_BITS), "residual": In(signed(RESIDUAL_BITS)), "res_multiplier": In(MULTIPLIER_BITS),
                "res_shift": In(SHIFT_BITS), "multiply": In(1), "zero_point": In(signed(8)), "low": In(signed(8)),
                "high": In(signed(8)), "code": Out(signed(8)),
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

        def times(left: Value, right: Value, shape: Shape, name: str) -> Value:
            return post_product(m, self.design, left, right, shape, name)

        # A register near what it chooses.
        multiply = (
            later(m, self.multiply, 1, "multiplies", reset_less=True) if self.design.operand_products else Const(0)
        )
        biased = register(BIASED_BITS, "biased", self.value + self.bias)
        # With `multiply` the residual's multiplier takes both operands, and the other one what it makes of them.
        # A residual operand is shifted left first, so that whole bytes are left to shift its product right.
        factor = Mux(multiply, biased[:FACTOR_BITS].as_signed(), self.res_multiplier)
        most = OPERAND_BITS - RESIDUAL_BITS
        operand = self.residual << Mux(multiply, 0, ~self.res_shift[:BYTE])
        operand = register(OPERAND_BITS, "operand", operand)
        res_product = times(operand, factor, signed(PARTNER_BITS + most), "res_product")
        left = Signal(signed(BIASED_BITS), name="left")
        m.d.comb += left.eq(Mux(multiply, res_product, biased))
        # Two products that fit multiplier blocks of 18 x 18 bits.
        right = wait(self.multiplier, "bias", "multiplier_later")
        low = times(left[:LOW_BITS], right, unsigned(LOW_BITS + MULTIPLIER_BITS), "product_low")
        high_bits = BIASED_BITS - LOW_BITS + MULTIPLIER_BITS
        high = times(left[LOW_BITS:].as_signed(), right, signed(high_bits), "product_high")
        upper = Signal(signed(high_bits + 1), name="upper")
        m.d.comb += upper.eq(high + low[LOW_BITS:])

        product = halves(Cat(low[:LOW_BITS], upper))
        shift = wait(self.shift, "multiply", "shift_later")
        reach = SCALED_BITS + (1 << COARSE)  # of what the fine shift may bring into the result
        coarse = Cat(Const(0, COARSE), shift[COARSE:])
        aligned = register(reach, "aligned", shift_right(m, product, coarse, reach, "aligned")[0])
        # Whether that loses bits of a product that is not shifted is known by fours, and put together a stage later.
        assert len(product) - (1 << COARSE) <= reach  # one that is shifted fits
        top, apart = product[reach - 1 :], FOUR - 1
        differing = Cat(differ(top[k : k + FOUR]) for k in range(0, len(top) - 1, apart))
        stays = later(m, ~shift[COARSE:].any(), 1, "stays", reset_less=True)
        too_far = stays & later(m, differing, 1, "differing", reset_less=True).any()
        sign = later(m, product[-1], 1, "sign", reset_less=True)
        fine = later(m, shift[:COARSE], 1, "fine", reset_less=True)
        shifted, farther = shift_right(m, aligned, fine, SCALED_BITS + 1, "scaled")
        furthest = Cat((~sign).replicate(SCALED_BITS), sign).as_signed()
        scaled = register(SCALED_BITS + 1, "scaled", Mux(too_far | farther, furthest, shifted))

        bytes_ = Cat(Const(0, BYTE), self.res_shift[BYTE:])
        moved, _ = shift_right(m, halves(res_product) >> most, bytes_, PARTNER_BITS + 1, "res")
        residual = register(PARTNER_BITS + 1, "res_shifted", Mux(multiply, 0, moved))
        partner = register(PARTNER_BITS, "partner", plus_half(residual, self.zero_point))
        total = register(SCALED_BITS + 1, "total", plus_half(scaled, partner))
        # Nine bits are enough to compare with limits of eight.
        near, far = total[:9].as_signed(), differ(total[8:])
        below, above = Mux(far, total[-1], near < self.low), Mux(far, ~total[-1], near > self.high)
        m.d.sync += self.code.eq(Mux(below, self.low, Mux(above, self.high, near)))
        return m
