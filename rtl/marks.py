"""What the fields of a command break, in a few bits that are found while it is written into the program buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

from accel.commands import COMMAND_BYTES, Command
from accel.design import Design
from accel.legal import RULES
from accel.rtl.layouts import layout

TESTS_OF_A_MARK = 4  # at most: one LUT behind them, in front of a memory


def _tests(kind: type[Command], command: Value, design: Design) -> list[Value]:
    """What the command breaks if it is of this kind; a constant 0 if nothing can be broken."""
    view = data.View(layout(kind), command)
    found = [rule.broken(view, design) for rule in RULES[kind]]
    tests = [Value.cast(test).bool() for test in found if test is not False]  # a rule of another engine
    if "unused" in dict(view.shape()):
        tests.append(view.unused != 0)
    return tests


class Marks:
    """For every kind of command, whether any of up to TESTS_OF_A_MARK tests of its fields fails, whatever it is.

    Sums and comparisons of the rules (`accel.legal`) begin at the loader's registers and end in the program memory. The
    check is left with the opcode and an OR of these bits.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        counts = {kind: len(_tests(kind, Const(0, 8 * COMMAND_BYTES), design)) for kind in RULES}
        self.sizes = {kind: -(-count // TESTS_OF_A_MARK) for kind, count in counts.items()}
        self.bits = sum(self.sizes.values())

    def of(self, command: Value) -> Value:
        """The marks of a command."""
        found = []
        for kind, size in self.sizes.items():
            tests = _tests(kind, command, self.design)
            found += [Cat(tests[k::size]).any() for k in range(size)]
        return Cat(*found)

    def broken(self, marks: Value) -> dict[type[Command], Value]:
        """For each kind, whether a command with these marks breaks a rule of it."""
        found, at = {}, 0
        for kind, size in self.sizes.items():
            found[kind] = marks[at : at + size].any()
            at += size
        return found
