"""A command queue in front of a unit."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.latency import QUEUE_DEPTH
from accel.rtl.ports import COMMAND_STREAM


class CommandQueue(wiring.Component):
    """FIFO of `depth` commands: pushed in cycle d, offered in d + 1; a place popped in p is free in p + 1."""

    def __init__(self, depth: int = QUEUE_DEPTH) -> None:
        self.depth = depth
        super().__init__({"i": In(COMMAND_STREAM), "o": Out(COMMAND_STREAM)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        slots = Array(Signal(len(self.i.payload), name=f"slot_{k}", reset_less=True) for k in range(self.depth))
        level = Signal(range(self.depth + 1), name="level")
        read, write = Signal(range(self.depth), name="read"), Signal(range(self.depth), name="write")
        push, pop = Signal(name="push"), Signal(name="pop")
        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            self.o.payload.eq(slots[read]),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += level.eq(level + push - pop)
        for pointer, moved in ((read, pop), (write, push)):
            with m.If(moved):
                m.d.sync += pointer.eq(pointer + 1)
                with m.If(pointer == self.depth - 1):
                    m.d.sync += pointer.eq(0)
        with m.If(push):
            m.d.sync += slots[write].eq(self.i.payload)
        return m
