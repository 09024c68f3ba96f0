"""A program as text: what `accel program` prints and tests compare.

One line a command, in the order of dispatch: number, layer, unit, command, what it waits for, and every field that is
not its default. Addresses are hexadecimal; those of a memory with banks are `bank:word`. A DRAM address says in which
part of the image it lies. What a command of docs/formats.md does not have is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from accel.commands import COMMAND_BYTES, Command, Compute, Load, Post, Store, Target, most
from accel.layout import RowTensor, stride_bytes
from accel.memories import ACCUMULATOR, ACTIVATION, BY_TARGET, PARAMETER, POINTER, WEIGHT, Memory
from accel.units import UNIT_OF

MOVED = {"continues": "of_input", "literal": "of_output"}  # of a LOAD that is not coded

if TYPE_CHECKING:
    from accel.program import Placement, Program


def listing(program: Program) -> str:
    """The whole program, a line for each placement and each command."""
    return "".join(line.rstrip() + "\n" for line in _lines(program))


def _lines(program: Program) -> Iterator[str]:
    yield (
        f"program {program.name} on {program.design.name}: {len(program.commands)} commands,"
        f" the first {program.first_fetch} fetched from {program.program_offset:#x}"
    )
    yield f"image {len(program.image):#x} bytes of {program.dram_bytes:#x}"
    for what, place in _ends(program):
        t = place.layout
        form = "rows of bytes" if isinstance(t, RowTensor) else "words"
        yield f"{what} {place.name}: {t.channels} x {t.height} x {t.width} as {form} at {place.offset:#x}"
    yield ""
    names = [program.layers[layer].name if layer >= 0 else "-" for layer in program.layer_of]
    width = max(map(len, names), default=0)
    for index, (command, name) in enumerate(zip(program.commands, names, strict=True)):
        unit = UNIT_OF[type(command)].name if type(command) in UNIT_OF else "-"
        parts = [*_waits(command), *_fields(program, command)]
        yield f"{index:>5}  {name:<{width}}  {unit:<7}  {command.OPCODE.name:<14}  {' '.join(parts)}"


def _ends(program: Program) -> list[tuple[str, Placement]]:
    """Inputs and outputs with the words for them."""
    return [("input", place) for place in program.inputs] + [("output", place) for place in program.outputs]


def _waits(command: Command) -> list[str]:
    """`after load 3, post 1`: how many commands of which units must be complete."""
    units = UNIT_OF[type(command)].waits if type(command) in UNIT_OF else ()
    waits = [f"{unit} {count}" for unit in units if (count := getattr(command, f"wait_{unit}", 0))]
    return [f"after {', '.join(waits)};"] if waits else []


def _fields(program: Program, command: Command) -> Iterator[str]:
    for f in fields(command):
        value = getattr(command, f.name)
        if f.name.startswith("wait_") or (value == f.default and not f.name.endswith("_addr")):
            continue
        if f.name == "target":
            yield Target(value).name.lower() if value in list(Target) else f"target={value}"
        elif f.name == "dram_addr":
            yield f"dram={_segment(program, value)}:{value:#x}"
        elif f.name == "pointer_addr" and value == f.default and not program.design.is_sparse:
            continue
        elif f.name.endswith("_addr"):
            memory = _memory(command, f.name)
            if memory is not None:
                yield f"{f.name.removesuffix('_addr')}={_address(memory, value)}"
        elif isinstance(command, Load) and not command.coded and f.name in MOVED:
            yield MOVED[f.name]
        elif most(type(command), f.name) == 1:
            yield f.name
        else:
            yield f"{f.name}={value}"


def _memory(command: Command, field: str) -> Memory | None:
    """The memory that an address field is of; None if the command does not use the field."""
    match command:
        case Load():
            return None if command.target == Target.PROGRAM else BY_TARGET.get(command.target)
        case Compute():
            return {"act_addr": ACTIVATION, "weight_addr": WEIGHT, "acc_addr": ACCUMULATOR, "pointer_addr": POINTER}[
                field
            ]
        case Post():
            if (field == "res_addr" and not command.residual) or (field == "param_addr" and command.uniform):
                return None
            source = ACTIVATION if command.from_activation else ACCUMULATOR
            return {"src_addr": source, "param_addr": PARAMETER}.get(field, ACTIVATION)
        case Store():
            return ACTIVATION
    return None


def _address(memory: Memory, value: int) -> str:
    if memory.banks == 1:
        return f"{value:#x}"
    bank, word = divmod(value, memory.bank_words)
    return f"{bank}:{word:#x}"


def _segment(program: Program, address: int) -> str:
    """What lies at a byte of DRAM. The program's own commands end where their number says."""
    end = program.program_offset + COMMAND_BYTES * len(program.commands)
    if program.program_offset <= address < end:
        return "program"
    for what, place in _ends(program):
        if place.offset <= address < place.offset + _size(program, place):
            return what
    return "constants" if address < len(program.image) else "data"


def _size(program: Program, place: Placement) -> int:
    """Bytes that a tensor takes in DRAM."""
    if isinstance(place.layout, RowTensor):
        return place.layout.bytes
    lanes, beat = program.design.word_lanes, program.design.beat_bytes
    return place.layout.words(lanes) * stride_bytes(lanes, beat)
