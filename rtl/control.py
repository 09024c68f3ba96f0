"""Start and end of a run, the first error, and the watchdog."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.commands import ErrorCode

SOURCES = ("sequencer", "load", "compute", "post", "store")


class Control(wiring.Component):
    """Latches what happens to a run. The cycle of `start` is cycle 0.

    `soft_reset` is high in cycle 0 (it resets everything but this and the CSR), `begin` in cycle 1, `busy` from cycle 1
    to the cycle of the `done` pulse: one after `finished` or, when an error stopped the run, after the bus is idle.
    `error` is the code of the first error until the next start, and `halt` says that there is one. `watchdog` cycles
    without `activity` are ErrorCode.TIMEOUT (0: never). When after an error the bus is neither idle nor active for as
    long again, done is raised nevertheless; such a bus needs the hardware reset.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "finished": In(1),
                **{f"error_{source}": In(4) for source in SOURCES},
                "load_idle": In(1),
                "store_idle": In(1),
                "activity": In(1),
                "watchdog": In(32),
                "soft_reset": Out(1),
                "begin": Out(1),
                "busy": Out(1),
                "halt": Out(1),
                "error": Out(4),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        quiet, first = Signal(32), Signal(4)
        expired, stopped = Signal(), Signal()
        code = first
        for source in reversed(SOURCES):
            error = getattr(self, f"error_{source}")
            code = Mux(error != 0, error, code)
        m.d.comb += [
            expired.eq((self.watchdog != 0) & (quiet >= self.watchdog)),
            first.eq(Mux(expired, ErrorCode.TIMEOUT, 0)),
            self.soft_reset.eq(self.start),
            self.halt.eq(self.error != 0),
            stopped.eq(self.halt & ((self.load_idle & self.store_idle) | expired)),
        ]
        m.d.sync += [self.begin.eq(self.start), self.done.eq(0), quiet.eq(quiet + 1)]
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), self.error.eq(0), quiet.eq(0)]
        with m.Elif(self.busy & ~self.done):
            with m.If(~self.halt):
                m.d.sync += self.error.eq(code)
            with m.If(self.activity | (~self.halt & (code != 0))):
                m.d.sync += quiet.eq(0)
            m.d.sync += self.done.eq(self.finished | stopped)
        with m.Else():
            m.d.sync += [self.busy.eq(0), quiet.eq(0)]
        return m
