"""Signatures that the boxes of the block diagram share: memory ports and what every unit has."""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from accel.commands import COMMAND_BYTES, WAIT_BITS
from accel.design import Design
from accel.memories import Memory
from accel.units import UNIT_NAMES

COMMAND_STREAM = stream.Signature(8 * COMMAND_BYTES)
"""Commands as raw bits, lowest bit first as in DRAM."""


def write_port(memory: Memory, design: Design) -> Signature:
    """A write port as its user sees it: `data` and `mask` (one bit a lane) are written at the clock edge if `en`."""
    lanes, bits = memory.lanes(design), memory.width_bits(design)
    return Signature({"en": Out(1), "addr": Out(memory.address_bits), "data": Out(bits), "mask": Out(lanes)})


def read_port(memory: Memory, design: Design) -> Signature:
    """A read port as its user sees it: `data` is valid in the cycle after `en`, and holds until the next read."""
    return Signature({"en": Out(1), "addr": Out(memory.address_bits), "data": In(memory.width_bits(design))})


def write_registered(m: Module, port: Any, name: str) -> Any:
    """What is to be driven in place of a write port, whose words are written a cycle later.

    A memory of activations is far away, and a command that waits for a word reads it two cycles after `done` at the
    earliest: so `done` need not wait for that register.
    """
    ours = port.signature.create(path=(name,))
    for member in port.signature.members:
        register = Signal.like(getattr(ours, member), name=f"{name}_{member}", reset_less=member != "en")
        m.d.sync += register.eq(getattr(ours, member))
        m.d.comb += getattr(port, member).eq(register)
    return ours


def word_of(memory: Memory, address: Value) -> Value:
    """The word within its bank."""
    return address[: memory.word_bits]


def within(word: Value, words: int) -> Value:
    """Whether there is such a word: of a power of two, whether no bit above is set, without a chain of carries."""
    return ~word[words.bit_length() - 1 :].any() if words & (words - 1) == 0 else word < words


def bank_of(memory: Memory, address: Value) -> Value:
    """Which of two banks an address is in: its highest bit."""
    return address[memory.word_bits]


def waits_hold(unit: object, command: data.View) -> Value:
    """Whether the other units have completed what a command of the unit (with `unit_members`) waits for."""
    others = [name for name in UNIT_NAMES if f"wait_{name}" in dict(command.shape())]
    holds = [getattr(unit, f"completed_{name}") >= getattr(command, f"wait_{name}") for name in others]
    return reduce(and_, holds)


def events_of(unit: Any, *sources: Any) -> list:
    """The events that the boxes of a unit count, as its own."""
    return [
        getattr(unit, name).eq(getattr(source, name))
        for source in sources
        for name in source.signature.members
        if name.startswith("event_")
    ]


def unit_members() -> dict:
    """The members that load, compute, post and store have in common (as the unit sees them).

    `i`: commands from its queue. `completed_*`: how many commands each unit has completed. `halt`: stop starting
    anything. `done`: one-cycle pulse, a (counted) command is complete. `idle`: nothing is in progress inside.
    `error`: not 0 for one cycle when something is wrong (an ErrorCode).
    """
    return {
        "i": In(COMMAND_STREAM),
        **{f"completed_{unit}": In(WAIT_BITS) for unit in UNIT_NAMES},
        "halt": In(1),
        "done": Out(1),
        "idle": Out(1),
        "error": Out(4),
    }
