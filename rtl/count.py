"""Counters: how many steps are left, and whether this is the last one, which a register knows."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value


class Count:
    """A counter of a walk, of `last` + 1 steps: `first` and `end` say whether it is at the first or at the last one.

    Both are registers: a walk's counters are asked together in every cycle, and a comparison in front of that is what
    its clock would wait for. `begin` and `step` are to be called within what enables them.
    """

    def __init__(self, m: Module, name: str, bits: int) -> None:
        self.m, self.name = m, name
        self.left, self.last = Signal(bits, name=f"{name}_left"), Signal(bits, name=f"{name}_last")
        self.first, self.end, self.single = (Signal(name=f"{name}_{kind}") for kind in ("first", "end", "single"))

    def begin(self, last: Value, single: Value) -> None:
        """At the first of `last` + 1 steps; `single`: `last` is 0."""
        self.m.d.sync += [
            self.last.eq(last), self.left.eq(last), self.single.eq(single), self.end.eq(single), self.first.eq(1)
        ]  # fmt: skip

    def step(self) -> None:
        """To the next step, or from the last one to the first."""
        with self.m.If(self.end):
            self.m.d.sync += [self.left.eq(self.last), self.end.eq(self.single), self.first.eq(1)]
        with self.m.Else():
            self.m.d.sync += [self.left.eq(self.left - 1), self.end.eq(self.left == 1), self.first.eq(0)]


def ends_next(levels: Sequence[tuple[Value, Value, Value]]) -> Value:
    """Whether the next step leads to the last one of all, of counters from the innermost on: each one's `end`,
    `single`, and whether its own next step leads to its last.
    """
    found = []
    for k, (end, _, near) in enumerate(levels):
        wraps = [inner & alone for inner, alone, _ in levels[:k]]  # and is at its last step again
        stays = [outer for outer, _, _ in levels[k + 1 :]]
        found.append(Cat(*wraps, ~end & near, *stays).all())
    return Cat(*found).any()


class Left:
    """What is `left` of something that is counted down, and in a register whether it is `one`."""

    def __init__(self, m: Module, name: str, bits: int) -> None:
        self.m = m
        self.left, self.one = Signal(bits, name=name), Signal(name=f"{name}_one")

    def begin(self, amount: Value) -> None:
        """So many."""
        self.m.d.sync += [self.left.eq(amount), self.one.eq(amount == 1)]

    def step(self) -> None:
        """One less."""
        self.m.d.sync += [self.left.eq(self.left - 1), self.one.eq(self.left == 2)]
