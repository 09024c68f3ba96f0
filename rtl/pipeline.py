"""Registers one after the other: delays of what travels beside data, and a multiplier as deep as its stages."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Shape, Signal, Value


def later(m: Module, value: Value, cycles: int, name: str, reset_less: bool = False) -> Value:
    """`value` that many cycles later, through registers `name`_1, `name`_2 and so on."""
    for k in range(cycles):
        signal = Signal(value.shape(), name=f"{name}_{k + 1}", reset_less=reset_less)
        m.d.sync += signal.eq(value)
        value = signal
    return value


def shifted(m: Module, value: Value, cycles: int, name: str) -> Value:
    """As `later`, in one register `name` without reset: what comes out first must not be used by anybody."""
    if not cycles:
        return value  # a signal without bits would be `wire [-1:0]` in Verilog
    stages = Signal(len(value) * cycles, name=name, reset_less=True)
    m.d.sync += stages.eq(Cat(value, stages))
    return Cat(value, stages)[len(value) * cycles :]


def multiplier(
    m: Module, left: Value, right: Value, shape: Shape, stages: int, name: str, enable: Value | None = None
) -> Signal:
    """left * right, `stages` registers later (1 or more); 0 for operands that come without `enable`.

    One register holds the product; with two the operands are registered as well, with more the product again. That is
    how multiplier blocks of FPGAs are built, and where a synthesiser may move registers from. Operands without `enable`
    are not taken into its registers.
    """
    if stages > 1:
        held = [Signal(value.shape(), name=f"{name}_{side}", reset_less=True) for side, value in
                (("left", left), ("right", right))]  # fmt: skip
        take = [register.eq(value) for register, value in zip(held, (left, right), strict=True)]
        left, right = held
        if enable is None:
            m.d.sync += take
        else:
            used = Signal(name=f"{name}_used")
            m.d.sync += used.eq(enable)
            with m.If(enable):
                m.d.sync += take
            enable = used
    product = Signal(shape, reset_less=True, name=name)
    if enable is None:
        m.d.sync += product.eq(left * right)
    else:
        m.d.sync += product.eq(0)
        with m.If(enable):
            m.d.sync += product.eq(left * right)
    for k in range(stages - 2):
        again = Signal(shape, reset_less=True, name=f"{name}_{k + 1}")
        m.d.sync += again.eq(product)
        product = again
    return product
