"""A command queue in front of a unit."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.rtl.ports import COMMAND_STREAM
from accel.rtl.ram import Store


class CommandQueue(wiring.Component):
    """FIFO of `depth` commands: pushed in cycle d, offered in d + 1; a place popped in p is free in p + 1."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__({"i": In(COMMAND_STREAM), "o": Out(COMMAND_STREAM)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        level = Signal(range(self.depth + 1), name="level")
        push, pop = Signal(name="push"), Signal(name="pop")
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += level.eq(level + push - pop)
        if self.depth == 1:
            held = Signal(len(self.i.payload), name="held", reset_less=True)
            m.d.comb += self.o.payload.eq(held)
            with m.If(push):
                m.d.sync += held.eq(self.i.payload)
            return m
        m.submodules.cells = cells = Store(len(self.i.payload), self.depth)
        read, write = Signal(range(self.depth), name="read"), Signal(range(self.depth), name="write")
        m.d.comb += [
            cells.w_en.eq(push),
            cells.w_addr.eq(write),
            cells.w_data.eq(self.i.payload),
            cells.r_addr.eq(read),
            self.o.payload.eq(cells.r_data),
        ]
        for pointer, moved in ((read, pop), (write, push)):
            with m.If(moved):
                m.d.sync += pointer.eq(pointer + 1)
                with m.If(pointer == self.depth - 1):
                    m.d.sync += pointer.eq(0)
        return m
