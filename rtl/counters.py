"""The performance counters: a word each in one memory, and in front of it a few bits for each event."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.events import Event
from accel.registers import COUNTER_BITS
from accel.rtl.pipeline import later
from accel.rtl.ram import Ram


class Counters(wiring.Component):
    """Counts `event_<name>`, `widths[event]` bits, and the cycles, in cycles of `counting`. `clear`: all become 0.

    What was counted of an event since its last turn is added to its word when its turn comes again, one event a cycle.
    A word that would pass 2**COUNTER_BITS - 1 stays there. `ask` (until `answered`) for the counter of `index` in
    `events`: its `value` comes with the turn that follows, and has all that was counted up to the cycle before `ask`.
    """

    def __init__(self, widths: Mapping[Event, int]) -> None:
        self.events = (Event.CYCLES, *widths)
        self.widths = dict(widths)
        super().__init__(
            {
                "clear": In(1),
                "counting": In(1),
                **{f"event_{event.name.lower()}": In(width) for event, width in widths.items()},
                "ask": In(1),
                "index": In(range(len(self.events))),
                "answered": Out(1),
                "value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        turns = len(self.events)
        m.submodules.words = words = Ram(COUNTER_BITS, turns)
        turn, fresh = Signal(range(turns), name="turn"), Signal(range(turns + 1), init=turns, name="fresh")
        m.d.sync += turn.eq(Mux(turn == turns - 1, 0, turn + 1))
        with m.If(fresh != 0):  # words from before `clear` are worth nothing
            m.d.sync += fresh.eq(fresh - 1)
        with m.If(self.clear):
            m.d.sync += fresh.eq(turns)
        # No turn brings more than a word holds: 64 x 64 products in every cycle are 18 bits.
        most = max((turns * ((1 << width) - 1)).bit_length() for width in self.widths.values())
        taken, part, base = (
            Signal(bits, name=name, reset_less=True)
            for name, bits in (("taken", most), ("part", most), ("base", COUNTER_BITS))
        )
        m.d.comb += [words.r_en.eq(1), words.r_addr.eq(turn)]
        # One bit of `chosen` is 1, that of `turn`: what it chooses is the sum of products, half of a switch in LUTs.
        chosen = Signal(turns, init=1, name="chosen")
        m.d.sync += chosen.eq(chosen.rotate_left(1))
        since = [self._since(m, event, chosen[k]) for k, event in enumerate(self.events)]
        m.d.sync += taken.eq(reduce(or_, (Mux(chosen[k], each, 0) for k, each in enumerate(since))))
        # The word is there in the next cycle, has a register of its own in the one after, and is written in that.
        m.d.sync += [part.eq(taken), base.eq(Mux(later(m, fresh != 0, 1, "fresh"), 0, words.r_data))]
        total = Signal(COUNTER_BITS + 1, name="total")
        m.d.comb += [
            total.eq(base + part),
            self.value.eq(Mux(total[COUNTER_BITS], -1, total)),
            self.answered.eq(later(m, self.ask & (turn == self.index), 2, "asked")),
            words.w_en.eq(1),
            words.w_addr.eq(later(m, turn, 2, "turn")),
            words.w_data.eq(self.value),
        ]
        return m

    def _since(self, m: Module, event: Event, taken: Value) -> Signal:
        """What was counted of an event since it was taken."""
        name = event.name.lower()
        width = self.widths.get(event, 1)
        since = Signal((len(self.events) * ((1 << width) - 1)).bit_length(), name=f"since_{name}")
        amount: Value = Const(1)
        if event is not Event.CYCLES:
            amount = getattr(self, f"event_{name}")
        m.d.sync += since.eq(Mux(taken, 0, since) + Mux(self.counting, amount, 0))
        with m.If(self.clear):
            m.d.sync += since.eq(0)
        return since
