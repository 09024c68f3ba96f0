"""What passes between the compiler's passes as text that a person can read and a test can compare.

Steps, geometries, places, plans and tilings print themselves (`str`); here is what is numbers: commands and the log.
"""

from __future__ import annotations

from collections.abc import Iterable

from accel.commands import Load, Target
from accel.compiler.ops import Log, Segment
from accel.rows import command_of, row_of

_BASES = {Segment.NONE: "", Segment.CONSTANTS: "constants+", Segment.DATA: "data+", Segment.PROGRAM: "program+"}


def command_text(row: Iterable[int], segment: Segment = Segment.NONE) -> str:
    """A command's name and the fields that differ from their defaults, one space apart.

    `segment`: what its DRAM address counts from.
    """
    command = command_of(row)
    usual = command_of(row_of(type(command)))
    words = [type(command).__name__]
    for name, value in vars(command).items():
        if name == "target" and isinstance(command, Load):
            words.append(Target(value).name)
        elif name == "dram_addr":
            words.append(f"{name}={_BASES[segment]}{value}")
        elif value != getattr(usual, name):
            words.append(f"{name}={value}")
    return " ".join(words)


def log_text(log: Log) -> str:
    """A line a command, in the order of declaration: LOADs with their item, operations with the last that they need."""
    lines = []
    for row, layer, segment, item, is_load in zip(
        log.rows, log.layers, log.segments, log.items, log.loads, strict=True
    ):
        mark = f"item {item}" if is_load else f"after {item - 1}" if item else "-"
        lines.append(f"{layer} {mark:8} {command_text(row, Segment(segment))}")
    return "\n".join(lines)
