"""What stands beside a command in the program buffer: bits that say which of its rules it breaks, whatever it is.

The loader's side finds them while the command is written, so that sums and comparisons of the rules (`accel.legal`) end
in the memory. Here is how many there are, of what, and where; the hardware's side is `accel.rtl.marks`.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from accel.commands import COMMAND_BYTES, Command, used_bits
from accel.design import Design
from accel.legal import RULES, Rule

TESTS_OF_A_MARK = 4  # of rules, at most: one LUT behind them, in front of a memory
BITS_OF_A_MARK = 64  # above the last field, at most: three LUTs
IN_LUTS = 128  # commands of a program buffer whose marks may lie in LUT RAM


def marks_of(kind: type[Command], design: Design) -> list[list[Rule]]:
    """The rules of a kind of command that there are in a design, by mark: one that adds has one to itself."""
    rules = [rule for rule in RULES[kind] if rule.applies(design)]
    others = [rule for rule in rules if not rule.adds]
    size = -(-len(others) // TESTS_OF_A_MARK)
    return [*([rule] for rule in rules if rule.adds), *(others[k::size] for k in range(size))]


def _ranges() -> tuple[tuple[int, int], ...]:
    """Bits of a command from the first to before the second, above the last field of some kind."""
    ends = sorted({used_bits(kind) for kind in RULES} | {8 * COMMAND_BYTES})
    parts = [(low, high, -(-(high - low) // BITS_OF_A_MARK)) for low, high in pairwise(ends)]
    return tuple(
        (low + (high - low) * k // count, low + (high - low) * (k + 1) // count)
        for low, high, count in parts
        for k in range(count)
    )


RANGES = _ranges()
"""Each has a mark: whether any of its bits is not 0."""


@lru_cache(16)  # area, energy and prediction of a design ask for its memories in turn
def mark_bits(design: Design) -> int:
    """Bits of all marks of a command."""
    return len(RANGES) + sum(len(marks_of(kind, design)) for kind in RULES)


def in_luts(design: Design) -> bool:
    """Whether marks are LUT RAM, into which they go a cycle behind their command: an ECP5 has it, and there loader,
    rules and program buffer were too far from each other for one cycle.
    """
    return design.multiplier == "ecp5" and design.buffers.program_commands <= IN_LUTS
