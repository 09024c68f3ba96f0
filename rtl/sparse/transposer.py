"""Words of a block's pixels in, columns of activations out: R pixels of a channel a cycle, without those of zeros."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import OFFSET_BITS
from accel.design import Design
from accel.latency import TRANSPOSERS


def unit_layout(design: Design) -> data.StructLayout:
    """What is known of a unit, R pixels under one kernel position and channel group.

    `pixels` and `lanes` that exist; `begins`: it is the first one of its block of pixels; `ends`: the command's last.
    """
    return data.StructLayout(
        {"pixels": design.rows.bit_length(), "lanes": design.word_lanes.bit_length(), "begins": 1, "ends": 1}
    )


class Transposer(wiring.Component):
    """TRANSPOSERS slots, filled and emptied in turn.

    Fill: `write` a `word` of pixel `row`; with the last one of a unit (`complete`) comes what is known of it (`unit`).
    From the next cycle on that slot is `full` once those before it are empty: `some` column is left that is not zero,
    the first one is `lane` with the activations `acts` (0 where there is no pixel), `only` that one is left. `next`
    leaves it behind. `leave`: the slot is empty from the next cycle on.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "flush": In(1),
                "write": In(1), "row": In(range(max(2, design.rows))), "word": In(OFFSET_BITS * design.word_lanes),
                "complete": In(1), "unit_i": In(unit_layout(design)),
                "full": Out(1), "some": Out(1), "only": Out(1), "lane": Out(range(max(2, design.word_lanes))),
                "acts": Out(OFFSET_BITS * design.rows), "unit": Out(unit_layout(design)), "next": In(1), "leave": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        rows, lanes, width = design.rows, design.word_lanes, OFFSET_BITS * design.word_lanes
        fill, use = Signal(range(TRANSPOSERS), name="fill"), Signal(range(TRANSPOSERS), name="use")
        present = Signal(lanes, name="present")  # lanes of the word that are not zero and exist
        exist = Cat(self.unit_i.lanes > k for k in range(lanes))
        m.d.comb += present.eq(Cat(self.word.word_select(k, OFFSET_BITS).any() for k in range(lanes)) & exist)
        fulls, masks, units, slots = [], [], [], []
        for s in range(TRANSPOSERS):
            full, mask = Signal(name=f"full_{s}"), Signal(lanes, name=f"mask_{s}")
            unit = Signal(unit_layout(design), name=f"unit_{s}")
            words = [Signal(width, name=f"word_{s}_{r}", reset_less=True) for r in range(rows)]
            with m.If(self.write & (fill == s)):
                m.d.sync += [
                    mask.eq(present | Mux(self.row == 0, 0, mask)),
                    full.eq(self.complete),
                    unit.eq(self.unit_i),
                ]
                for r in range(rows):
                    with m.If(self.row == r):
                        m.d.sync += words[r].eq(self.word)
            with m.If(self.next & (use == s)):
                m.d.sync += mask.eq(mask & (mask - 1))
            with m.If(self.leave & (use == s)):
                m.d.sync += full.eq(0)
            with m.If(self.flush):
                m.d.sync += full.eq(0)
            fulls.append(full)
            masks.append(mask)
            units.append(unit)
            slots.append(words)
        for pointer, moved in ((fill, self.write & self.complete), (use, self.leave)):
            with m.If(moved):
                m.d.sync += pointer.eq(Mux(pointer == TRANSPOSERS - 1, 0, pointer + 1))
            with m.If(self.flush):
                m.d.sync += pointer.eq(0)
        mask = Signal(lanes, name="mask")
        m.d.comb += [
            mask.eq(Array(masks)[use]), self.full.eq(Array(fulls)[use]), self.some.eq(mask.any()),
            self.only.eq((mask & (mask - 1)) == 0),
        ]  # fmt: skip
        for s in range(TRANSPOSERS):
            with m.If(use == s):
                m.d.comb += self.unit.eq(units[s])
        for k in reversed(range(lanes)):
            with m.If(mask[k]):
                m.d.comb += self.lane.eq(k)
        acts = []
        for r in range(rows):
            word, act = Signal(width, name=f"word_{r}"), Signal(OFFSET_BITS, name=f"act_{r}")
            m.d.comb += [
                word.eq(Array([words[r] for words in slots])[use]),
                act.eq(Mux(self.unit.pixels > r, word.word_select(self.lane, OFFSET_BITS), Const(0, OFFSET_BITS))),
            ]
            acts.append(act)
        m.d.comb += self.acts.eq(Cat(*acts))
        return m
