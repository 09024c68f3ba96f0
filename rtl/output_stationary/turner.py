"""Words of R pixels in, columns of R channels out: a square of registers that moves two ways in turn."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.design import Design
from accel.memories import CODE_BITS


class Turner(wiring.Component):
    """R words (`push`) of a unit, each a pixel's R channels, come out as R columns (`pull`): a channel of the R pixels.

    The square moves up or left, in which words enter at the bottom or on the right, and columns leave at the top or on
    the left. A unit that came in one way leaves the other way, while the next one comes in behind it: `begin` comes
    with its first column, and turns round. `column` is there with `pull`, before the square moves.

    So a unit may be pushed while the one before is pulled or later, but none before, and R words must be pushed in all,
    whatever they hold.
    """

    def __init__(self, design: Design) -> None:
        self.rows = design.rows
        width = CODE_BITS * design.rows
        super().__init__({"push": In(1), "pull": In(1), "begin": In(1), "word": In(width), "column": Out(width)})

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        size = range(self.rows)
        before, left = Signal(name="before"), Signal(name="left")  # the way in which the square moves
        cells = [[Signal(CODE_BITS, name=f"cell_{y}_{x}", reset_less=True) for x in size] for y in size]
        m.d.comb += [
            left.eq(before ^ (self.pull & self.begin)),
            self.column.eq(Mux(left, Cat(cells[k][0] for k in size), Cat(cells[0][k] for k in size))),
        ]
        m.d.sync += before.eq(left)
        lanes = [self.word.word_select(k, CODE_BITS) for k in size]
        with m.If(self.push | self.pull):
            for y in size:
                for x in size:
                    from_right = cells[y][x + 1] if x + 1 < self.rows else lanes[y]
                    from_below = cells[y + 1][x] if y + 1 < self.rows else lanes[x]
                    m.d.sync += cells[y][x].eq(Mux(left, from_right, from_below))
        return m
