"""Program: what the compiler makes and the simulator, the hardware and its drivers run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import Command
from accel.design import Design
from accel.layout import RowTensor, WordTensor, dram_to_words, stride_bytes, words_to_dram
from accel.listing import listing
from accel.models.integers.ends import divided
from accel.rows import in_force
from accel.units import UNIT_OF

__all__ = ["LayerInfo", "Placement", "Program"]


class Bound(NamedTuple):
    """A command and the configuration in force for it: None before its unit has one, or if the unit needs none."""

    command: Command
    config: Command | None


def bound(commands: Iterable[Command]) -> Iterator[Bound]:
    """Each command with the configuration in force, in program order; a configuration command is its own."""
    given = tuple(commands)
    opcodes = np.array([command.OPCODE for command in given], np.int64)
    for command, at in zip(given, in_force(opcodes.reshape(-1, 1)).tolist(), strict=True):
        unit = UNIT_OF.get(type(command))
        configured = unit is not None and unit.configuration is not None and at >= 0
        yield Bound(command, given[at] if configured else None)


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies in DRAM: byte offset and layout."""

    name: str
    offset: int
    layout: WordTensor | RowTensor
    scale: float = 1.0
    zero_point: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.layout.channels, self.layout.height, self.layout.width

    def bytes(self, design: Design) -> int:
        """Bytes from its first to its last."""
        if isinstance(self.layout, RowTensor):
            return self.layout.bytes
        return self.layout.words(design.word_lanes) * stride_bytes(design.word_lanes, design.beat_bytes)


@dataclass(frozen=True)
class Compulsory:
    """What a layer, or a network, asks for whatever the schedule: see `accel.compiler.compulsory`.

    `filter_macs`: of the `macs`, those of depthwise layers that the post-process unit filters.
    """

    macs: int
    read_bytes: int
    write_bytes: int
    filter_macs: int = 0


@dataclass(frozen=True)
class LayerInfo:
    """What a report says of one layer: its name, what it asks for, its weights in DRAM.

    `weight_bytes` with the filling to whole tiles, codebook and records.
    """

    name: str
    kind: str
    must: Compulsory
    weight_bytes: int
    weight_format: str


@dataclass(frozen=True)
class Program:
    """Commands in program order, and the DRAM image that contains them.

    `commands` is the order in which they are dispatched, fetches included; program order is a legal sequential order:
    every wait is on an earlier command. In the image they lie at `program_offset`, in fetch order.
    The hardware itself fetches the first `first_fetch` commands. `layer_of[i]` is the index into `layers` of command i,
    or -1. `image` is the initial DRAM content; `dram_bytes` >= len(image) is all that the program may touch. `facts`
    (n, FACTS) is what the commands' time depends on (`accel.timing.machine`), if their fields do not say it all: of a
    sparse engine, on weights, and on activations none of which is zero. `input_span`, `output_span`: the bytes of DRAM
    from the first of all inputs (outputs) to behind the last, which registers can move; empty if they cannot be.
    """

    name: str
    design: Design
    commands: Sequence[Command]
    layer_of: tuple[int, ...]
    layers: tuple[LayerInfo, ...]
    image: NDArray[np.uint8]
    dram_bytes: int
    program_offset: int
    first_fetch: int
    input: Placement
    output: Placement
    more_inputs: tuple[Placement, ...] = ()
    more_outputs: tuple[Placement, ...] = ()
    facts: NDArray[np.int64] | None = field(default=None, compare=False)
    input_span: tuple[int, int] = (0, 0)
    output_span: tuple[int, int] = (0, 0)

    def text(self) -> str:
        """The program as text, one command a line (`accel.listing`)."""
        return listing(self)

    def to_dict(self) -> dict[str, Any]:
        """The program as plain values: the commands in order with their layers and fields, and what lies where."""
        commands = []
        for layer, command in zip(self.layer_of, self.commands, strict=True):
            given = {field.name: int(getattr(command, field.name)) for field in fields(command)}
            name = self.layers[layer].name if layer >= 0 else None
            commands.append({"command": command.OPCODE.name, "layer": name, "fields": given})
        return {
            "network": self.name,
            "design": self.design.name,
            "dram_bytes": self.dram_bytes,
            "image_bytes": len(self.image),
            "input_offset": self.input.offset,
            "output_offset": self.output.offset,
            "input_offsets": {place.name: place.offset for place in self.inputs},
            "output_offsets": {place.name: place.offset for place in self.outputs},
            "commands": commands,
        }

    @property
    def inputs(self) -> tuple[Placement, ...]:
        """All inputs, `input` first."""
        return (self.input, *self.more_inputs)

    @property
    def outputs(self) -> tuple[Placement, ...]:
        """All outputs, `output` first."""
        return (self.output, *self.more_outputs)

    def packed(self, codes: NDArray[np.int8]) -> list[tuple[int, NDArray[np.uint8]]]:
        """Of each input the byte at which the host writes it, and the (..., bytes) of its codes.

        `codes` are (..., C, H, W), of several inputs (..., values): `accel.models.integers.ends`.
        """
        shapes = [place.shape for place in self.inputs]
        return [
            (place.offset, self._packed(place, found))
            for place, found in zip(self.inputs, divided(codes, shapes), strict=True)
        ]

    def pack_input(self, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
        """(..., C, H, W) codes of `input` to the (..., bytes) that the host writes at `input.offset`."""
        return self._packed(self.input, codes)

    def _packed(self, place: Placement, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
        layout = place.layout
        if isinstance(layout, RowTensor):
            return layout.pack(codes).view(np.uint8)
        return words_to_dram(layout.pack(codes, self.design.word_lanes), self.design.beat_bytes).view(np.uint8)

    def image_with(self, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
        """The whole DRAM content (..., dram_bytes) at start for input codes as `packed` takes them."""
        packed = self.packed(codes)
        memory = np.zeros((*packed[0][1].shape[:-1], self.dram_bytes), np.uint8)
        memory[..., : len(self.image)] = self.image
        for at, found in packed:
            memory[..., at : at + found.shape[-1]] = found
        return memory

    def unpack_output(
        self, memory: NDArray[np.uint8], first: int = 0, place: Placement | None = None
    ) -> NDArray[np.int8]:
        """The (..., C, H, W) codes of an output in a DRAM content after the run, (..., bytes from byte `first` on).

        `place`: one of `outputs`, the first if it is None.
        """
        place = place or self.output
        layout = place.layout
        assert isinstance(layout, WordTensor)
        lanes, beat = self.design.word_lanes, self.design.beat_bytes
        size = layout.words(lanes) * stride_bytes(lanes, beat)
        at = place.offset - first
        data = memory[..., at : at + size].view(np.int8)
        return layout.unpack(dram_to_words(data, lanes, beat))
