"""A serial port: bytes to and from a line, eight bits, no parity, one stop bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

BITS = 10  # of a byte on the line: start, eight of data (lowest first), stop
DIVIDER_BITS = 16  # of the cycles of a bit


class Receiver(wiring.Component):
    """Bytes from the line `rx`, `divider` cycles a bit (4 or more).

    Two registers take the line in. A byte waits at `o` until the next one is complete, which replaces it. A stop bit
    that is not 1 drops its byte.
    """

    def __init__(self) -> None:
        super().__init__({"rx": In(1), "divider": In(DIVIDER_BITS), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """Samples each bit in its middle, counted from the edge of the start bit."""
        m = Module()
        line = Signal(2, init=3, name="line")
        timer, left = Signal(DIVIDER_BITS, name="timer"), Signal(range(BITS + 1), name="left")
        shift = Signal(BITS - 1, name="shift")
        m.d.sync += line.eq(Cat(self.rx, line[0]))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0), m.If(~line[1]):
            m.d.sync += [left.eq(BITS), timer.eq(self.divider[1:] - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divider - 1), left.eq(left - 1), shift.eq(Cat(shift[1:], line[1]))]
            with m.If((left == BITS) & line[1]):  # no start bit: it was a spike
                m.d.sync += left.eq(0)
            with m.If((left == 1) & line[1]):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift[1:])]
        return m


class Transmitter(wiring.Component):
    """Bytes to the line `tx`, `divider` cycles a bit."""

    def __init__(self) -> None:
        super().__init__({"divider": In(DIVIDER_BITS), "i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """The bits of a byte leave a register one after the other; behind them it holds the idle line's 1."""
        m = Module()
        shift, left = Signal(BITS, init=-1, name="shift"), Signal(range(BITS + 1), name="left")
        timer = Signal(DIVIDER_BITS, name="timer")
        m.d.comb += [self.tx.eq(shift[0]), self.i.ready.eq(left == 0)]
        m.d.sync += timer.eq(Mux((timer == 0) | (left == 0), self.divider - 1, timer - 1))
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [shift.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))), left.eq(BITS)]
        with m.Elif((left != 0) & (timer == 0)):
            m.d.sync += [shift.eq(Cat(shift[1:], Const(1, 1))), left.eq(left - 1)]
        return m
