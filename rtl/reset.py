"""A reset that is active while it is 0, for projects whose resets are (AXI's own ARESETn)."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ActiveLow(wiring.Component):
    """A component with `clk` and the synchronous reset `rst_n` as ports instead of a domain's clock and reset."""

    def __init__(self, inner: wiring.Component) -> None:
        self.inner = inner
        super().__init__({"clk": In(1), "rst_n": In(1), **inner.signature.members})

    def elaborate(self, platform: object) -> Module:
        """The component in a domain of its own."""
        m = Module()
        m.domains.sync = ClockDomain("sync")
        m.d.comb += [ClockSignal().eq(self.clk), ResetSignal().eq(~self.rst_n)]
        m.submodules.accelerator = self.inner
        for name, member in self.inner.signature.members.items():
            outer, port = getattr(self, name), getattr(self.inner, name)
            m.d.comb += outer.eq(port) if member.flow is Out else port.eq(outer)
        return m
