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
    """A product by additions, two by two: small ones would take multipliers of an FPGA."""
    parts: list[Value] = [Mux(factor[bit], value, 0) << bit for bit in range(len(factor))]
    while len(parts) > 1:
        parts = [sum(parts[k + 1 : k + 2], parts[k]) for k in range(0, len(parts), 2)]
    return parts[0]


SLACK = signed(12)
ROOM = signed(field_bits(Load, "rows") + 2)
BELOW = signed(field_bits(Load, "zero_code") + 2)


class Window(wiring.Component):
    """The words of a window LOAD, `accel.commands.Load` says which.

    After each beat all words that it completes are written, one a cycle, and then the next beat is taken: `more` says
    in a cycle of work (`slot`) that another one must follow. `take`: a command may begin, which `following` has had for
    two cycles if it does, and `command` has from the next one on; `beat`: a beat of it comes and is `newest` in the
    next cycle; `first`: the first one of a row.

    What decides in a cycle is in registers that are counted ahead: whether a word is complete, and the one behind it,
    whether another window follows, and the way of the bytes. Whether a beat can be taken depends on it, and is known a
    cycle before: `more` of the next cycle is `more_behind_beat` if a beat comes in this one, else `more_without`, as
    long as that is a cycle of work.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "following": In(layout(Load)),
                "command": In(layout(Load)),
                "take": In(1),
                "beat": In(1),
                "first": In(1),
                "slot": In(1),
                "newest": In(8 * design.beat_bytes),
                "more": Out(1),
                "more_behind_beat": Out(1),
                "more_without": Out(1),
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
        if not self.design.windows:  # no command asks for a word
            return m
        c, beat_bytes = self.command, self.design.beat_bytes
        facts = self._facts(m)
        begin = Signal(name="begin")
        # Bytes from the end of the next word to the end of the newest beat: it is complete when there are none missing;
        # and the same of the word behind it.
        slack, ahead = Signal(SLACK, name="slack"), Signal(SLACK, name="ahead")
        full, behind = Signal(name="word_full"), Signal(name="behind_full")  # so there is one that is complete
        words, index = field_signal(Load, "row_words", "words"), field_signal(Load, "row_words", "index")
        none, single = Signal(name="none"), Signal(name="single")  # so many words are left
        part, part_ends = field_signal(Load, "parts", "part"), Signal(name="part_ends")  # of the word behind
        start, place = self._place("row_"), self._place("")  # of the row's first window, and of the one that is written
        shift = {name: Signal(range(self._choice()), name=f"{name}_shift") for name in ("row", "this", "behind")}
        writing, again, last = Signal(name="writing"), Signal(name="again"), Signal(name="last")
        advance, ahead_then = Signal(SLACK, name="advance"), Signal(SLACK, name="ahead_then")
        m.d.comb += [
            advance.eq(Mux(part_ends, facts["last_step"], c.run)),
            # Two differences: which of them it is comes late.
            ahead_then.eq(Mux(part_ends, ahead - facts["last_step"], ahead - c.run)),
            writing.eq(self.slot & full),
            last.eq(writing & ~again),
            self.more.eq(writing & (again | behind)),
            self.write.eq(writing),
            self.row.eq(place["address"]),
            self.addr.eq(place["address"] + index),
        ]

        def moved(stays: Value, goes: Value, by: int) -> Value:
            """After this cycle. What decides comes late: it chooses between sums."""
            return Mux(self.beat, Mux(last, goes + by, stays + by), goes)

        def reaches(missing: Value) -> Value:
            """Whether a beat brings what is missing: no adder, as its bytes are a power of two."""
            return ~missing[-1] | missing[(beat_bytes - 1).bit_length() :].all()

        begun = self._next_row(m, begin, start, facts)
        row_shift = Mux(begun.pop("top"), facts["shift"], shift["row"] - c.run)
        follows = words != 2
        # Each of the three with a beat, with a row's first one, and without; whether one comes is known late.
        next_again, next_full, next_behind = (
            [Signal(name=f"{name}_{case}") for case in ("beat", "first", "none")]
            for name in ("again", "full", "behind")
        )
        goes_on = ~(place["below"] - c.code_bits)[-1] & (place["above"] != 1)
        starts = ~start["below"][-1] & start["shared"]
        m.d.comb += [
            next_again[2].eq(Mux(writing, Mux(again, goes_on, starts), again)),
            next_again[0].eq(next_again[2]),
            next_again[1].eq(~begun["below"].as_signed()[-1] & begun["shared"]),
            next_full[0].eq(Mux(last, reaches(ahead) & ~single, reaches(slack) & ~none)),
            next_full[1].eq(~facts["slack"][-1] & (c.row_words != 0)),
            next_full[2].eq(Mux(last, ~ahead[-1] & ~single, full)),
            next_behind[0].eq(Mux(last, reaches(ahead_then) & follows, reaches(ahead) & ~single)),
            next_behind[1].eq(~facts["ahead"][-1] & (c.row_words != 1)),
            next_behind[2].eq(Mux(last, ~ahead_then[-1] & follows, behind)),
        ]
        more = [f & (a | b) for a, f, b in zip(next_again, next_full, next_behind, strict=True)]
        m.d.comb += [self.more_behind_beat.eq(Mux(self.first, more[1], more[0])), self.more_without.eq(more[2])]
        for register, (with_beat, with_first, without) in zip(
            (again, full, behind), (next_again, next_full, next_behind), strict=True
        ):
            m.d.sync += register.eq(Mux(self.beat, Mux(self.first, with_first, with_beat), without))
        with m.If(last):
            m.d.sync += [words.eq(words - 1), none.eq(single), single.eq(words == 2), index.eq(index + 1)]
            m.d.sync += [part.eq(Mux(part_ends, 0, part + 1)), part_ends.eq(Mux(part_ends, 0, part + 1) == c.parts)]
            m.d.sync += [place[name].eq(start[name]) for name in place]
        with m.Elif(writing):
            m.d.sync += [
                place["below"].eq(place["below"] - c.code_bits),
                place["above"].eq(place["above"] - 1),
                place["shared"].eq(place["above"] != 1),
                place["address"].eq(place["address"] - c.dst_pitch),
                place["lane"].eq(place["lane"] + facts["apart"]),
            ]
            m.d.sync += shift["this"].eq(shift["this"] - facts["apart"])
        with m.If(self.beat & self.first):
            m.d.sync += [
                *(register[name].eq(begun[name]) for register in (start, place) for name in begun),
                slack.eq(facts["slack"]), ahead.eq(facts["ahead"]), words.eq(c.row_words), index.eq(0),
                none.eq(c.row_words == 0), single.eq(c.row_words == 1),
                part.eq(c.parts != 0), part_ends.eq(c.parts[1:] == 0),
                shift["row"].eq(row_shift), shift["this"].eq(row_shift), shift["behind"].eq(row_shift + facts["step"]),
            ]  # fmt: skip
        with m.Elif(self.beat | last):
            m.d.sync += [
                slack.eq(moved(slack, ahead, beat_bytes)),
                ahead.eq(moved(ahead, ahead_then, beat_bytes)),
                shift["this"].eq(moved(shift["this"], shift["behind"], -beat_bytes)),
                shift["behind"].eq(moved(shift["behind"], shift["behind"] + advance, -beat_bytes)),
            ]  # fmt: skip
        with m.If(self.beat):
            m.d.sync += begin.eq(0)
        with m.If(self.take):
            m.d.sync += begin.eq(1)
        self._select(m, shift["this"], place["lane"])
        return m

    def _choice(self) -> int:
        """Bytes that a word is chosen from: below those of the last beats are those of lanes before the word."""
        return self.design.beat_bytes * window_beats(self.design) + self.design.word_lanes

    def _facts(self, m: Module) -> dict[str, Signal]:
        """Of `command`, and of the one that follows a cycle before: what is left for no adder in the cycles of work."""
        f, beat_bytes = self.following, self.design.beat_bytes
        kept = {"apart": LANE_BITS, "slack": SLACK, "shift": range(self._choice()), "below": BELOW}
        coming, facts = (
            {name: Signal(shape, name=f"{which}_{name}", reset_less=True) for name, shape in shapes.items()}
            for which, shapes in (
                ("coming", kept | {"parts": SLACK, "room": ROOM}),
                ("fact", kept | dict.fromkeys(("ahead", "step", "last_step"), SLACK)),
            )
        )
        m.d.sync += [
            coming["apart"].eq(times(f.code_bits, f.run)),
            coming["parts"].eq(times(f.parts, f.run)),
            coming["slack"].eq(beat_bytes - f.skip_bytes - f.run),
            coming["shift"].eq(self._choice() - beat_bytes + f.skip_bytes - f.lane),
            coming["room"].eq(f.rows + f.code_bits - f.zero_code - 1),
            coming["below"].eq(f.zero_code - f.code_bits - 1),
        ]
        step = Mux(f.parts == 0, f.step, f.run)
        with m.If(self.take):
            m.d.sync += [facts[name].eq(coming[name]) for name in kept]
            m.d.sync += [
                facts["ahead"].eq(coming["slack"] - step), facts["step"].eq(step),
                facts["last_step"].eq(f.step - coming["parts"]),
            ]  # fmt: skip
        return facts | {"room": coming["room"]}

    def _place(self, prefix: str) -> dict[str, Signal]:
        """Where a row goes: how many of its window's rows come behind those up to the next window's first, less one,
        how many windows are above and whether there are any, address and first lane.
        """
        bits = field_bits(Load, "zero_code")
        return {
            "below": Signal(BELOW, name=f"{prefix}below"),
            "above": Signal(bits, name=f"{prefix}above"),
            "shared": Signal(name=f"{prefix}shared"),
            "address": field_signal(Load, "dst_addr", f"{prefix}address"),
            "lane": Signal(LANE_BITS, name=f"{prefix}lane"),
        }

    def _next_row(self, m: Module, begin: Value, start: dict[str, Signal], facts: dict) -> dict[str, Value]:
        """Where the row goes that begins: to the next window if that has a row of its own, else to a lower place."""
        c = self.command
        # Rows up to the next one that begins a window, and whether it is the next; rows behind the last such one.
        phase, wraps = Signal(field_bits(Load, "code_bits"), name="phase"), Signal(name="wraps")
        room = Signal(ROOM, name="room")
        fresh = wraps & ~room[-1]
        with m.If(self.beat & self.first):
            m.d.sync += [
                phase.eq(Mux(begin | wraps, c.code_bits - 1, phase - 1)),
                wraps.eq(Mux(begin | wraps, c.code_bits == 1, phase == 1)),
                room.eq(room - 1),
            ]
        with m.If(self.take):
            m.d.sync += room.eq(facts["room"])
        above = start["above"]
        most = (1 << len(above)) - 1  # no row is in so many windows
        return {
            "top": begin | fresh,
            "below": Mux(begin | fresh, facts["below"], start["below"] - 1),
            "shared": ~begin & (fresh | start["shared"]),
            "above": Mux(begin, 0, Mux(fresh & (above != most), above + 1, above)),
            "address": Mux(begin, c.dst_addr, Mux(fresh, start["address"] + c.dst_pitch, start["address"])),
            "lane": Mux(begin | fresh, c.lane, start["lane"] + c.run),
        }

    def _select(self, m: Module, shift: Value, lane: Value) -> None:
        """Bytes of the last beats into the lanes of the word."""
        c, beat, lanes = self.command, self.design.beat_bytes, self.design.word_lanes
        beats = window_beats(self.design)
        held = Signal(8 * beat * (beats - 1), reset_less=True, name="held")
        with m.If(self.beat):
            m.d.sync += held.eq(Cat(held, self.newest) >> (8 * beat))
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
