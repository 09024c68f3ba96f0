"""Images one after the other in one run: two programs, and where the inputs and outputs of each image lie.

The hardware runs `first` on the first image and `following` on each further one. Between them nothing is reset on chip
but the units: what `first` has loaded and nothing has overwritten is still there, so `following` does not load it. From
image to image the inputs are moved by a step, and so are the outputs; both are multiples of PAGE, so that bursts are
cut alike and an image takes as many cycles wherever it lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel.commands import Opcode
from accel.program import Placement, Program
from accel.registers import IMAGES_BITS, PAGE_BITS, STEP_BITS
from accel.rows import LOAD, OPCODE, STORE, CommandRows, rows_of

PAGE = 1 << PAGE_BITS
MOST_IMAGES = (1 << IMAGES_BITS) - 1
LARGEST_STEP = (1 << STEP_BITS) - PAGE


@dataclass(frozen=True)
class Layout:
    """What the registers of these names hold, and all bytes that a run may touch: inputs and outputs come last."""

    images: int
    input_move: int
    input_step: int
    output_move: int
    output_step: int
    dram_bytes: int

    def moves(self, image: int) -> tuple[int, int]:
        """By how many bytes inputs and outputs of an image, 0 the first, lie behind their places."""
        return self.input_move + image * self.input_step, self.output_move + image * self.output_step


@dataclass(frozen=True)
class Series:
    """The program of the first image and that of each further one, with one DRAM image and the same places in it."""

    first: Program
    following: Program

    def layout(self, images: int) -> Layout:
        """Places for so many images: one in the image itself, several behind it.

        Raises ValueError for a number of images that the hardware cannot count, or that do not fit its addresses, and
        for several images where an output shares a tensor with an input, so that they cannot be moved apart.
        """
        program = self.first
        if images > 1 and program.input_span == (0, 0):
            raise ValueError(f"images must be 1 where inputs and outputs share a tensor, not {images}")
        if not 1 <= images <= MOST_IMAGES:
            raise ValueError(f"images must be 1..{MOST_IMAGES}, not {images}")
        if images == 1:
            return Layout(1, 0, 0, 0, 0, program.dram_bytes)
        spans = program.input_span, program.output_span
        steps = [pages(last - first) for first, last in spans]
        at, moves = program.dram_bytes, []
        for (first, last), step in zip(spans, steps, strict=True):
            moves.append(pages(at - first))
            at = last + moves[-1] + (images - 1) * step
        if max(steps) > LARGEST_STEP or at > 1 << 32:
            raise ValueError(f"images must take at most 4 GiB, and {LARGEST_STEP} bytes each, not {images} of {steps}")
        return Layout(images, moves[0], steps[0], moves[1], steps[1], at)

    def programs(self, layout: Layout) -> Iterator[Program]:
        """Of each image in turn the program as if it were compiled for the place of that image."""
        for image in range(layout.images):
            yield moved(self.following if image else self.first, *layout.moves(image), layout.dram_bytes)

    def packed(self, layout: Layout, codes: NDArray[np.int8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """As `Program.packed`, of the input codes of each image in its place."""
        for program, image in zip(self.programs(layout), codes, strict=True):
            yield from program.packed(image)


def moved(program: Program, inputs: int, outputs: int, dram_bytes: int) -> Program:
    """The program with its inputs and outputs so many bytes further behind."""
    rows = rows_of(program.commands).copy()
    loads, stores = rows[:, OPCODE] == Opcode.LOAD, rows[:, OPCODE] == Opcode.STORE
    plain = loads & (rows[:, LOAD.coded] == 0)
    of_output = plain & (rows[:, LOAD.continues] == 0)
    for mine, address, mark, by in (
        (plain, LOAD.dram_addr, LOAD.continues, inputs),
        (of_output, LOAD.dram_addr, LOAD.literal, outputs),
        (stores, STORE.dram_addr, STORE.of_output, outputs),
    ):
        rows[mine & (rows[:, mark] == 1), address] += by

    def placed(place: Placement, by: int) -> Placement:
        return replace(place, offset=place.offset + by)

    return replace(
        program,
        commands=CommandRows(rows),
        dram_bytes=dram_bytes,
        input=placed(program.input, inputs),
        output=placed(program.output, outputs),
        more_inputs=tuple(placed(place, inputs) for place in program.more_inputs),
        more_outputs=tuple(placed(place, outputs) for place in program.more_outputs),
    )


def pages(size: int) -> int:
    """The next multiple of PAGE."""
    return -(-size // PAGE) * PAGE
