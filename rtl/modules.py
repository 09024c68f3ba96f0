"""Components that are written to Verilog once and instantiated by name many times.

Amaranth writes one Verilog module per instance. Inside `collecting()` a shared component becomes an `Instance` of a
named module, and one component of each name is kept to be converted once; outside, in simulation, it is an ordinary
submodule.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from amaranth.back import rtlil, verilog
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

from accel.rtl.acyclic import quick_check

_collected: ContextVar[dict[str, wiring.Component] | None] = ContextVar("collected", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, wiring.Component]]:
    """While open, shared components become instances; yields the table of module name -> component."""
    table: dict[str, wiring.Component] = {}
    token = _collected.set(table)
    try:
        yield table
    finally:
        _collected.reset(token)


def is_collecting() -> bool:
    """Whether Verilog is being written (inside `collecting`)."""
    return _collected.get() is not None


def shared(m: Module, make: Callable[[], wiring.Component], instance: str, module: str) -> Any:
    """Add the component that `make` makes to `m` as `instance`; returns something with its ports as attributes.

    Components of the same `module` name must be equal in everything, and may contain shared components themselves. Only
    flat ports of plain shapes are supported, and the component must use clock and reset of the domain `sync`. (A
    ResetInserter around it does not reach into it when collecting.)
    """
    table = _collected.get()
    if table is None:
        component = make()
        m.submodules[instance] = component
        return component
    if module not in table:
        table[module] = make()
    ports, arguments = {}, {}
    for name, member in table[module].signature.members.items():
        ports[name] = Signal(member.shape, name=f"{instance}_{name}")
        arguments[("i_" if member.flow is Flow.In else "o_") + name] = ports[name]
    clock = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    m.submodules[instance] = Instance(module, **arguments, **clock)
    return SimpleNamespace(**ports)


def convert(top: wiring.Component, name: str) -> dict[str, str]:
    """Verilog by module name: `top`, and each shared component below it once. Their submodules stand with them.

    Yosys is started once for all of them, and without locations in the source, which would be stripped: two thirds of
    its time. What Amaranth makes lives until the end, so that looking for garbage meanwhile finds nothing, in half of
    the time of Python; half of the rest would go into its check for combinational cycles.
    """
    with collecting() as table, _no_garbage_collection(), quick_check():
        texts = {name: rtlil.convert(top, name=name, emit_src=False)}
        while missing := [module for module in table if module not in texts]:
            for module in missing:
                texts[module] = rtlil.convert(table[module], name=module, emit_src=False)
    # What verilog.convert does with one of them; the requirement on Amaranth's version stands for the private name.
    together = verilog._convert_rtlil_text("\n".join(texts.values()), strip_internal_attrs=True)
    found = dict.fromkeys(texts, "")
    for text in re.split(r"^(?=module )", together, flags=re.MULTILINE)[1:]:
        found[re.split(r"[\s.(]", text.removeprefix("module ").removeprefix("\\"))[0]] += text
    return found


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
