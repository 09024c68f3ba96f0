"""Components that are written to Verilog once and instantiated by name many times.

Amaranth writes one Verilog module per instance. Inside `collecting()` a shared component becomes an `Instance` of a named
module, and the component itself is kept to be converted once; outside, in simulation, it is an ordinary submodule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow

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


def shared(m: Module, component: wiring.Component, instance: str, module: str) -> Any:
    """Add `component` to `m` as `instance`; returns something with the component's ports as attributes.

    Components of the same `module` name must be equal in everything. Only flat ports of plain shapes are supported, and
    the component must use clock and reset of the domain `sync`.
    """
    table = _collected.get()
    if table is None:
        m.submodules[instance] = component
        return component
    table.setdefault(module, component)
    ports, arguments = {}, {}
    for name, member in component.signature.members.items():
        ports[name] = Signal(member.shape, name=f"{instance}_{name}")
        arguments[("i_" if member.flow is Flow.In else "o_") + name] = ports[name]
    clock = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    m.submodules[instance] = Instance(module, **arguments, **clock)
    return SimpleNamespace(**ports)
