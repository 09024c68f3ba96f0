"""The queue of broadcasts in front of a PE."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.rtl.ram import Store


class Queue(wiring.Component):
    """FIFO of `depth` words: what is pushed in cycle t is offered (`valid`, `data`) from t + 1 on.

    `room`: not full, counting what is pushed in this cycle but not what is taken in it; who saw it pushes in the next
    cycle at the latest. `take` only when `valid`, `push` only after `room`. `flush` empties it.
    """

    def __init__(self, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        super().__init__(
            {
                "flush": In(1), "push": In(1), "i": In(width), "room": Out(1),
                "valid": Out(1), "o": Out(width), "take": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        depth = max(2, self.depth)  # of the store: an address has a bit at least
        level = Signal(range(self.depth + 1), name="level")
        read, write = Signal(range(depth), name="read"), Signal(range(depth), name="write")
        m.d.comb += [self.room.eq(level + self.push < self.depth), self.valid.eq(level != 0)]
        m.d.sync += level.eq(level + self.push - self.take)
        for pointer, moved in ((read, self.take), (write, self.push)):
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == depth - 1, 0, pointer + 1))
        with m.If(self.flush):
            m.d.sync += [level.eq(0), read.eq(0), write.eq(0)]
        m.submodules.cells = cells = Store(self.width, depth)
        m.d.comb += [
            cells.w_en.eq(self.push), cells.w_addr.eq(write), cells.w_data.eq(self.i),
            cells.r_addr.eq(read), self.o.eq(cells.r_data),
        ]  # fmt: skip
        return m
