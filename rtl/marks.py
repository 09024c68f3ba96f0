"""What the fields of a command break, in a few bits that are found while it is written into the program buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from accel.commands import Command, used_bits
from accel.design import Design
from accel.legal import RULES
from accel.marks import RANGES, mark_bits, marks_of
from accel.rtl.layouts import layout


class Marks:
    """Whether any of a few rules of a kind is broken, whatever the command is, and whether a range of bits is not 0.

    The check is left with the opcode and an OR of these bits.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.sizes = {kind: len(marks_of(kind, design)) for kind in RULES}
        self.bits = mark_bits(design)

    def of(self, command: Value) -> Value:
        """The marks of a command."""
        found = [command[low:high].any() for low, high in RANGES]
        for kind in self.sizes:
            view = data.View(layout(kind), command)
            for rules in marks_of(kind, self.design):
                found.append(Cat(Value.cast(rule.broken(view, self.design)).bool() for rule in rules).any())
        return Cat(*found)

    def broken(self, marks: Value) -> dict[type[Command], Value]:
        """For each kind, whether a command with these marks breaks a rule of it or has a bit above its last field."""
        found, at = {}, len(RANGES)
        for kind, size in self.sizes.items():
            above = [marks[k] for k, (low, _) in enumerate(RANGES) if low >= used_bits(kind)]
            found[kind] = Cat(*above, marks[at : at + size]).any()
            at += size
        return found
