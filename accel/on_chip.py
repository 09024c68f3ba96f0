"""A core without DRAM: what lies where in its memory, and whether it fits.

Addresses are those of the program, as if there were a DRAM: program and constants from beat 0 on, then the data segment
with the network's input, its output and whatever is spilled between layers. The hardware keeps each part in a memory of
its own (`accel.rtl.on_chip`): constants as initial values, two places for an image, two for a result, one for what is
spilled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.commands import COMMAND_BYTES, Opcode, Store, Target
from accel.design import Design
from accel.layout import beats
from accel.memory_kinds import OnChip
from accel.models.errors import InputError
from accel.program import Placement, Program
from accel.rows import LOAD, OPCODE, Rows, rows_of

PLACES = 2  # of images, and of results: one that is worked on, and one on its way


@dataclass(frozen=True)
class Span:
    """Beats of an address range."""

    first: int
    beats: int

    def holds(self, beat: int) -> bool:
        """Whether a beat lies in it."""
        return self.first <= beat < self.first + self.beats


@dataclass(frozen=True)
class Regions:
    """The parts of a core's memory, in beats of `beat_bytes`: all but `image` are read and written by one side each."""

    beat_bytes: int
    constants: Span
    image: Span
    result: Span
    spill: Span

    @property
    def bytes(self) -> int:
        """What memory they take, both places of image and result included."""
        return self.beat_bytes * (
            self.constants.beats + PLACES * (self.image.beats + self.result.beats) + self.spill.beats
        )


def regions(
    design: Design, rows: Rows, program_offset: int, source: Placement, target: Placement
) -> Regions:  # fmt: skip
    """Where the program in `rows`, its commands, finds everything.

    Constants end with the program. Spilled is what a LOAD reads behind that and outside the image; a result that is
    read again counts as spilled too, since the stream out has its memory's only read port.
    """
    beat = design.beat_bytes
    constants = Span(0, -(-(program_offset + COMMAND_BYTES * len(rows)) // beat))
    image, result = (Span(place.offset // beat, -(-place.bytes(design) // beat)) for place in (source, target))
    loads = rows[(rows[:, OPCODE] == Opcode.LOAD) & (rows[:, LOAD.target] != Target.PROGRAM)]
    first = loads[:, LOAD.dram_addr] // beat
    last = first + (loads[:, LOAD.rows] - 1) * (loads[:, LOAD.dram_pitch] // beat) + loads[:, LOAD.row_beats]
    back = (first >= constants.beats) & ((first < image.first) | (first >= image.first + image.beats))
    spill = Span(0, 0)
    if back.any():
        begin = int(first[back].min())
        spill = Span(begin, int(last[back].max()) - begin)
    return Regions(beat, constants, image, result, spill)


def regions_of(program: Program) -> Regions:
    """`regions` of a program."""
    return regions(program.design, rows_of(program.commands), program.program_offset, program.input, program.output)


def shortage(design: Design, found: Regions | None) -> int:
    """Bytes by which the memory of a core without DRAM is too small; 0 with DRAM (None)."""
    assert (found is not None) == isinstance(design.memory, OnChip)
    return max(0, found.bytes - design.memory.bytes) if found and isinstance(design.memory, OnChip) else 0


def check_room(design: Design, found: Regions | None) -> None:
    """Raise InputError if the memory of a core without DRAM has no room for all; DRAM (None) has."""
    memory = design.memory
    if found and isinstance(memory, OnChip) and shortage(design, found):
        beat = found.beat_bytes
        parts = [
            f"program and constants {found.constants.beats * beat:,}",
            f"{PLACES} images {PLACES * found.image.beats * beat:,}",
            f"{PLACES} results {PLACES * found.result.beats * beat:,}",
            f"spilled between layers {found.spill.beats * beat:,}",
        ]
        raise InputError(
            f"memory.bytes must hold {found.bytes:,} bytes ({', '.join(parts)}), the design has {memory.bytes:,}: "
            f"short by {shortage(design, found):,}"
        )


def constant_words(program: Program) -> list[int]:
    """The beats of program and constants, as numbers whose lowest byte comes first."""
    beat = program.design.beat_bytes
    size = regions_of(program).constants.beats * beat
    image = np.zeros(size, np.uint8)
    image[: len(program.image[:size])] = program.image[:size]
    return [int.from_bytes(image[at : at + beat].tobytes(), "little") for at in range(0, size, beat)]


def image_beats(program: Program, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """(..., C, H, W) input codes to the (..., beats, bytes) that the host streams in."""
    return beats_of(program.pack_input(codes), program.design.beat_bytes)


def result_beats(program: Program, memory: NDArray[np.uint8], written: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The (..., beats, bytes) that the core streams out, from a DRAM content after the run.

    `written`: the bytes that the run writes (`accel.sim.execute.written`). The others are zeros in the stream.
    """
    span, beat = regions_of(program).result, program.design.beat_bytes
    place = slice(span.first * beat, (span.first + span.beats) * beat)
    kept = np.where(written[place], memory[..., place], 0).astype(np.uint8)
    missing = set(range(span.first, span.first + span.beats)) - stored_beats(program)
    assert not missing, f"beats {sorted(missing)} of the result are never sent by the storer"
    return beats_of(kept, beat)


def stored_beats(program: Program) -> set[int]:
    """The beats of all STOREs, those without a strobe included."""
    found: set[int] = set()
    for c in program.commands:
        if isinstance(c, Store):
            for row in range(c.rows):
                first = (c.dram_addr + row * c.dram_pitch) // program.design.beat_bytes
                found.update(range(first, first + beats(program.design, Target.ACTIVATION, c.row_words)))
    return found


def codes_of_result(program: Program, packet: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The (..., C, H, W) output codes in (..., beats, bytes) of the stream."""
    flat = packet.reshape(*packet.shape[:-2], -1)
    return program.unpack_output(flat, program.output.offset)


def beats_of(data: NDArray[np.uint8], beat_bytes: int) -> NDArray[np.uint8]:
    """(..., bytes), filled up with zeros, as (..., beats, beat_bytes)."""
    missing = -data.shape[-1] % beat_bytes
    filled = np.pad(data, [(0, 0)] * (data.ndim - 1) + [(0, missing)])
    return filled.reshape(*data.shape[:-1], -1, beat_bytes)
