"""Registers one after the other: delays of what travels beside data, and a multiplier as deep as its stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import mul

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from accel.design import Design
from accel.rtl.ram import Store

LEAST_DELAY = 4  # cycles of a delay that is worth a pointer into LUT RAM


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


def in_luts(design: Design, cycles: int) -> bool:
    """Whether such a delay of what needs no reset is made of LUT RAM."""
    return design.multiplier == "ecp5" and cycles >= LEAST_DELAY


def delayed(m: Module, design: Design, value: Value, cycles: int, name: str) -> Value:
    """As `shifted`, for what nobody uses before something was written `cycles` before: where the FPGA is an ECP5, which
    has no shift registers but LUT RAM, all but the last register are words of that.
    """
    if not in_luts(design, cycles):
        return shifted(m, value, cycles, name)
    m.submodules[f"{name}_store"] = store = Store(len(value), cycles - 1)
    # A start may come while something is under way: the place goes on.
    place = Signal(range(cycles - 1), name=f"{name}_place", reset_less=True)
    held = Signal(len(value), name=name, reset_less=True)
    m.d.sync += [place.eq(Mux(place == cycles - 2, 0, place + 1)), held.eq(store.r_data)]
    m.d.comb += [store.w_en.eq(1), store.w_addr.eq(place), store.r_addr.eq(place), store.w_data.eq(value)]
    return held


def delayed_by(m: Module, value: Value, cycles: int, more: Sequence[tuple[Value, int]], name: str) -> Value:
    """As `delayed` in LUT RAM, and so many cycles `more` of each that holds: they may only change when nothing that is
    used is under way.
    """
    depth = 1 << (cycles + sum(extra for _, extra in more) - 1).bit_length()
    m.submodules[f"{name}_store"] = store = Store(len(value), depth)
    place = Signal(range(depth), name=f"{name}_place", reset_less=True)
    held = Signal(len(value), name=name, reset_less=True)
    back = sum((Mux(holds, extra, 0) for holds, extra in more), start=Const(cycles - 1))
    m.d.sync += [place.eq(place + 1), held.eq(store.r_data)]
    m.d.comb += [store.w_en.eq(1), store.w_addr.eq(place), store.r_addr.eq(place - back), store.w_data.eq(value)]
    return held


def multiplier(
    m: Module, left: Value, right: Value, shape: Shape, stages: int, name: str, enable: Value | None = None,
    times: Callable[[Value, Value], Value] = mul,
) -> Signal:  # fmt: skip
    """left * right, `stages` registers later (1 or more); 0 for operands that come without `enable`.

    `times` multiplies.

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
        m.d.sync += product.eq(times(left, right))
    else:
        m.d.sync += product.eq(0)
        with m.If(enable):
            m.d.sync += product.eq(times(left, right))
    for k in range(stages - 2):
        again = Signal(shape, reset_less=True, name=f"{name}_{k + 1}")
        m.d.sync += again.eq(product)
        product = again
    return product
