"""What the fields of a command break, in a few bits that are found while it is written into the program buffer."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

from accel.commands import COMMAND_BYTES, Command, used_bits
from accel.design import Design
from accel.legal import RULES
from accel.rtl.layouts import layout

TESTS_OF_A_MARK = 4  # of rules, at most: one LUT behind them, in front of a memory
BITS_OF_A_MARK = 64  # above the last field, at most: three LUTs


def _tests(kind: type[Command], command: Value, design: Design) -> list[list[Value]]:
    """The rules that the command breaks if it is of this kind, by mark: one that adds has one to itself."""
    view = data.View(layout(kind), command)
    found = [(rule.broken(view, design), rule.adds) for rule in RULES[kind]]
    tests = [(Value.cast(test).bool(), adds) for test, adds in found if test is not False]  # else of another engine
    others = [test for test, adds in tests if not adds]
    size = -(-len(others) // TESTS_OF_A_MARK)
    return [*([test] for test, adds in tests if adds), *(others[k::size] for k in range(size))]


class Marks:
    """Whether any of a few rules of a kind is broken, whatever the command is, and whether a range of bits is not 0.

    Sums and comparisons of the rules (`accel.legal`) begin at the loader's registers and end in the program memory. The
    check is left with the opcode and an OR of these bits.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.sizes = {kind: len(_tests(kind, Const(0, 8 * COMMAND_BYTES), design)) for kind in RULES}
        ends = sorted({used_bits(kind) for kind in RULES} | {8 * COMMAND_BYTES})
        parts = [(low, high, -(-(high - low) // BITS_OF_A_MARK)) for low, high in pairwise(ends)]
        self.ranges = [
            (low + (high - low) * k // count, low + (high - low) * (k + 1) // count)
            for low, high, count in parts
            for k in range(count)
        ]
        self.bits = sum(self.sizes.values()) + len(self.ranges)

    def of(self, command: Value) -> Value:
        """The marks of a command."""
        found = [command[low:high].any() for low, high in self.ranges]
        for kind in self.sizes:
            found += [Cat(tests).any() for tests in _tests(kind, command, self.design)]
        return Cat(*found)

    def broken(self, marks: Value) -> dict[type[Command], Value]:
        """For each kind, whether a command with these marks breaks a rule of it or has a bit above its last field."""
        found, at = {}, len(self.ranges)
        for kind, size in self.sizes.items():
            above = [marks[k] for k, (low, _) in enumerate(self.ranges) if low >= used_bits(kind)]
            found[kind] = Cat(*above, marks[at : at + size]).any()
            at += size
        return found
