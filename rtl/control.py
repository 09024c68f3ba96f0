"""Run control: the end of a run, its first error, and the watchdog."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.commands import ErrorCode
from accel.latency import DONE, DONE_CYCLES


class Control(wiring.Component):
    """`done` comes one cycle after `finished`; or, after an error, when `quiet` (nothing is in flight on AXI).

    `busy`: from the cycle after `start` to that of `done`. `errors`: an ErrorCode in the cycles in which something is
    wrong; the first is kept in `error` until the next start. `halt`: there is one, until everything is reset after that
    (`starting`, the cycle after `start`), so that nothing begins in between. `watchdog` cycles without `active`
    (something made progress) are ErrorCode.TIMEOUT; 0 = never. If after an error the bus is neither quiet nor active
    for as long again, `done` comes nevertheless. `halt` stays, so that what is in flight then is still completed and
    dropped whenever the memory comes to it; the registers refuse a start until the bus is quiet. If not `last`, another
    image follows: `next` comes instead of `done`, and what is wrong meanwhile is wrong with it. `abort` is an error as
    others are (ABORTED), for a run that makes progress but should not go on.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "starting": In(1),
                "busy": In(1),
                "finished": In(1),
                "last": In(1),
                "errors": In(4),
                "abort": In(1),
                "active": In(1),
                "quiet": In(1),
                "watchdog": In(32),
                "halt": Out(1),
                "error": Out(4),
                "done": Out(1),
                "next": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        # One more than the cycles without progress, so that whether these are too many is known in a register: it ends
        # an image, which much hangs on.
        ahead, too_long = Signal(33, init=1, name="ahead"), Signal(name="too_long")
        ending = [Signal(name=stage.name) for stage in DONE]  # finished so many cycles before
        assert len(ending) == DONE_CYCLES
        # Reset by `starting`, at what it would be then: `start` is known late, and these are many registers.
        expired = too_long & ~self.starting
        failed = Signal(name="failed")  # there is an error
        m.d.comb += [
            self.done.eq(self.busy & ((ending[-1] & self.last) | (failed & (self.quiet | expired)))),
            self.next.eq(self.busy & ending[-1] & ~self.last & ~failed),
        ]
        m.d.sync += [Cat(ending).eq(Cat(self.finished, ending)), ahead.eq(ahead + 1)]
        m.d.sync += too_long.eq((self.watchdog != 0) & (ahead >= self.watchdog))
        none = [ahead.eq(1), too_long.eq(0)]
        with m.If(self.starting):
            m.d.sync += self.halt.eq(0)
        with m.If(self.busy & ~failed & ~(self.last & Cat(self.finished, ending).any())):
            with m.If(self.errors != 0):
                m.d.sync += [self.error.eq(self.errors), failed.eq(1), self.halt.eq(1), *none]
            with m.Elif(self.abort):
                m.d.sync += [self.error.eq(ErrorCode.ABORTED), failed.eq(1), self.halt.eq(1), *none]
            with m.Elif(expired):
                m.d.sync += [self.error.eq(ErrorCode.TIMEOUT), failed.eq(1), self.halt.eq(1), *none]
        with m.If(self.active):
            m.d.sync += none
        with m.Elif(self.starting):
            m.d.sync += [ahead.eq(2), too_long.eq(self.watchdog == 1)]
        with m.If(self.start):
            m.d.sync += [self.error.eq(0), failed.eq(0), Cat(ending).eq(0)]
        return m
