"""A command queue in front of a unit."""

from __future__ import annotations

from collections.abc import Collection

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.rtl.ports import COMMAND_STREAM
from accel.rtl.ram import Store


class CommandQueue(wiring.Component):
    """FIFO of `depth` commands: pushed in cycle d, offered in d + 1; a place popped in p is free in p + 1.

    `unused`: bits that nobody asks for, which come out as 0.
    """

    def __init__(self, depth: int, unused: Collection[int] = ()) -> None:
        self.depth, self.unused = depth, frozenset(unused)
        super().__init__({"i": In(COMMAND_STREAM), "o": Out(COMMAND_STREAM)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        level = Signal(range(self.depth + 1), name="level")
        push, pop, room = Signal(name="push"), Signal(name="pop"), Signal(name="room")
        # What is written while there is room is a command only if it is pushed, which is known late.
        m.d.comb += [
            room.eq(level != self.depth),
            self.i.ready.eq(room),
            self.o.valid.eq(level != 0),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        m.d.sync += level.eq(level + push - pop)
        used = [k for k in range(len(self.i.payload)) if k not in self.unused]
        kept, payload = Cat(self.i.payload[k] for k in used), [Const(0, 1)] * len(self.i.payload)
        oldest = Signal(len(used), name="oldest")
        for place, k in enumerate(used):
            payload[k] = oldest[place]
        m.d.comb += self.o.payload.eq(Cat(*payload))
        if self.depth == 1:
            held = Signal(len(used), name="held", reset_less=True)
            m.d.comb += oldest.eq(held)
            with m.If(room):
                m.d.sync += held.eq(kept)
            return m
        m.submodules.cells = cells = Store(len(used), self.depth)
        read, write = Signal(range(self.depth), name="read"), Signal(range(self.depth), name="write")
        m.d.comb += [
            cells.w_en.eq(room),
            cells.w_addr.eq(write),
            cells.w_data.eq(kept),
            cells.r_addr.eq(read),
            oldest.eq(cells.r_data),
        ]
        for pointer, moved in ((read, pop), (write, push)):
            with m.If(moved):
                m.d.sync += pointer.eq(pointer + 1)
                with m.If(pointer == self.depth - 1):
                    m.d.sync += pointer.eq(0)
        return m
