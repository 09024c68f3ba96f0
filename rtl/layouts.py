"""The hardware's view of commands: bit layouts made from the classes of `accel.commands`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from amaranth.hdl import Signal, signed, unsigned
from amaranth.lib import data

from accel.commands import COMMAND_BYTES, OPCODE_BITS, Command, field_bits, used_bits


def layout(command: type[Command]) -> data.StructLayout:
    """256 bits: `opcode`, the fields in order (signed where the command says so), and `unused` if any are left."""
    members = {"opcode": unsigned(OPCODE_BITS)}
    for f in fields(command):
        bits = f.metadata["bits"]
        members[f.name] = signed(bits) if f.metadata["signed"] else unsigned(bits)
    unused = 8 * COMMAND_BYTES - used_bits(command)
    if unused:  # a signal without bits would be `wire [-1:0]` in Verilog
        members["unused"] = unsigned(unused)
    return data.StructLayout(members)


def bits_of(command: type[Command], names: Iterable[str]) -> list[int]:
    """The places of these fields in the 256 bits."""
    found = layout(command)
    return [found[name].offset + bit for name in names for bit in range(found[name].width)]


def field_signal(command: type[Command], field: str, name: str | None = None) -> Signal:
    """An unsigned signal as wide as a field of a command, and called like it if it has no other name."""
    return Signal(field_bits(command, field), name=name or field)
