"""Window loads: words cut out of a string of bytes, a word a cycle, whatever the beats."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.commands import Load, field_bits
from accel.design import Design
from accel.layout import window_beats
from accel.rtl.layouts import field_signal, layout

LANE_BITS = 14  # of a first lane: no legal command leads to one that they do not hold


def times(factor: Value, value: Value) -> Value:
    """A product by additions: small ones would take multipliers of an FPGA."""
    total: Value = Const(0)
    for bit in range(len(factor)):
        total = total + (Mux(factor[bit], value, 0) << bit)
    return total


class Window(wiring.Component):
    """The words of a window LOAD, `accel.commands.Load` says which.

    After each beat all words that it completes are written, one a cycle, and then the next beat is taken: `more` says
    in a cycle of work (`slot`) that another one must follow. `take`: a command begins, which `command` has from the
    next cycle on; `beat`: a beat of it comes and is `newest` in the next cycle; `first`: the first one of a row,
    `left`: rows from it on.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "command": In(layout(Load)),
                "take": In(1),
                "beat": In(1),
                "first": In(1),
                "left": In(field_bits(Load, "rows")),
                "slot": In(1),
                "newest": In(8 * design.beat_bytes),
                "more": Out(1),
                "write": Out(1),
                "addr": Out(field_bits(Load, "dst_addr")),
                "row": Out(field_bits(Load, "dst_addr")),
                "data": Out(8 * design.word_lanes),
                "mask": Out(design.word_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        c = self.command
        begin = Signal(name="begin")
        # Bytes from the end of the next word to the end of the newest beat: it is complete when there are none missing.
        slack, ahead = Signal(signed(12), name="slack"), Signal(signed(12), name="ahead")
        words, part = field_signal(Load, "row_words", "words"), field_signal(Load, "parts", "part")
        index = field_signal(Load, "row_words", "index")
        start, place = self._place("row_"), self._place("")  # of the row's first window, and of the one that is written
        apart, run_apart = c.code_bits, Signal(LANE_BITS, name="run_apart")
        writing, again, last = Signal(name="writing"), Signal(name="again"), Signal(name="last")
        m.d.comb += [
            run_apart.eq(times(apart, c.run)),
            ahead.eq(slack - Mux(part == c.parts, c.step - times(c.parts, c.run), c.run)),
            writing.eq(self.slot & (slack >= 0) & (words != 0)),
            again.eq((place["tap"] + apart < c.zero_code) & (place["above"] != 0)),
            last.eq(writing & ~again),
            self.more.eq(writing & (again | ((ahead >= 0) & (words != 1)))),
            self.write.eq(writing),
            self.row.eq(place["address"]),
            self.addr.eq(place["address"] + index),
        ]
        with m.If(last):
            m.d.sync += [slack.eq(ahead), words.eq(words - 1), index.eq(index + 1)]
            m.d.sync += part.eq(Mux(part == c.parts, 0, part + 1))
            m.d.sync += [place[name].eq(start[name]) for name in place]
        with m.Elif(writing):
            m.d.sync += [
                place["tap"].eq(place["tap"] + apart),
                place["above"].eq(place["above"] - 1),
                place["address"].eq(place["address"] - c.dst_pitch),
                place["lane"].eq(place["lane"] + run_apart),
            ]
        begun = self._next_row(m, begin, start)
        with m.If(self.beat):
            m.d.sync += begin.eq(0)
            with m.If(self.first):
                m.d.sync += [slack.eq(self.design.beat_bytes - c.skip_bytes - c.run), words.eq(c.row_words)]
                m.d.sync += [part.eq(0), index.eq(0)]
                m.d.sync += [register[name].eq(begun[name]) for register in (start, place) for name in begun]
            with m.Else():
                m.d.sync += slack.eq(Mux(last, ahead, slack) + self.design.beat_bytes)
        with m.If(self.take):
            m.d.sync += begin.eq(1)
        self._select(m, slack, place["lane"])
        return m

    def _place(self, prefix: str) -> dict[str, Signal]:
        """Where a row goes: its number in the window, how many windows are above, address and first lane."""
        bits = field_bits(Load, "zero_code")
        return {
            "tap": Signal(bits + 1, name=f"{prefix}tap"),
            "above": Signal(bits, name=f"{prefix}above"),
            "address": field_signal(Load, "dst_addr", f"{prefix}address"),
            "lane": Signal(LANE_BITS, name=f"{prefix}lane"),
        }

    def _next_row(self, m: Module, begin: Value, start: dict[str, Signal]) -> dict[str, Value]:
        """Where the row goes that begins: to the next window if that has a row of its own, else to a lower place."""
        c, phase = self.command, Signal(field_bits(Load, "code_bits"), name="phase")
        wraps, fresh = Signal(name="wraps"), Signal(name="fresh")
        m.d.comb += [wraps.eq(phase == c.code_bits - 1), fresh.eq(wraps & (self.left + c.code_bits > c.zero_code))]
        with m.If(self.beat & self.first):
            m.d.sync += phase.eq(Mux(begin | wraps, 0, phase + 1))
        above = start["above"]
        most = (1 << len(above)) - 1  # no row is in so many windows
        return {
            "tap": Mux(begin | fresh, 0, start["tap"] + 1),
            "above": Mux(begin, 0, Mux(fresh & (above != most), above + 1, above)),
            "address": Mux(begin, c.dst_addr, start["address"] + Mux(fresh, c.dst_pitch, 0)),
            "lane": Mux(begin | fresh, c.lane, start["lane"] + c.run),
        }

    def _select(self, m: Module, slack: Value, lane: Value) -> None:
        """Bytes of the last beats into the lanes of the word."""
        c, beat, lanes = self.command, self.design.beat_bytes, self.design.word_lanes
        beats = window_beats(self.design)
        held = Signal(8 * beat * (beats - 1), reset_less=True, name="held")
        with m.If(self.beat):
            m.d.sync += held.eq(Cat(held, self.newest) >> (8 * beat))
        # The last byte of the word is `slack` before the end; below the oldest byte are those of lanes before the word.
        size = beat * beats + lanes
        shift = Signal(range(size), name="shift")
        m.d.comb += shift.eq(size - c.run - slack - lane)
        bytes_: Value = Cat(Const(0, 8 * lanes), held, self.newest)
        for bit in reversed(range(len(shift))):
            width = 8 * (lanes + (1 << bit) - 1)
            shifted = Signal(width, name=f"shifted_{bit}")
            m.d.comb += shifted.eq(Mux(shift[bit], bytes_ >> (8 << bit), bytes_))
            bytes_ = shifted
        m.d.comb += [
            self.data.eq(bytes_),
            self.mask.eq(Cat((lane <= k) & (lane + c.run > k) for k in range(lanes))),
        ]
