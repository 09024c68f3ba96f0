"""Many images in one run: `accel simulate --images N`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Opcode, Target
from accel.compile import compile_network, compile_series
from accel.compiler.choose import Formats
from accel.design import Design, OnChip
from accel.events import Event
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.program import Program
from accel.rows import LOAD, OPCODE, rows_of
from accel.series import Series
from accel.sim.execute.facts import run_series
from accel.timing.recurrence import Timing, time_program

BETWEEN = 1  # cycles of a core without DRAM from the end of an image to the start of the next one


@dataclass(frozen=True)
class Images:
    """A run on `images` images: cycles of the first, of the last, and of all; events of all but those of data.

    `constant_bytes`: weights, records, codebooks and tables that the first and that each further image loads.
    """

    design: Design
    images: int
    first_cycles: int
    next_cycles: int
    cycles: int
    events: Mapping[Event, int]
    constant_bytes: tuple[int, int]

    @property
    def per_second(self) -> float:
        """Images a second at the design's clock."""
        return self.images * self.design.clock_mhz * 1e6 / self.cycles

    @property
    def dram_bytes(self) -> int:
        """Bytes that are moved both ways."""
        return (self.events[Event.READ_BEATS] + self.events[Event.WRITE_BEATS]) * self.design.beat_bytes

    def line(self) -> str:
        """In words."""
        loaded, again = self.constant_bytes
        return (
            f"{self.images:,} images in a run: {self.cycles:,} cycles, the first {self.first_cycles:,} and the last "
            f"{self.next_cycles:,}; {self.per_second:,.4g} images a second, {self.dram_bytes / self.images:,.0f} bytes "
            f"moved an image; of {loaded:,} bytes of weights and records each further image loads {again:,}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "images": self.images,
            "first_cycles": self.first_cycles,
            "next_cycles": self.next_cycles,
            "cycles": self.cycles,
            "images_per_s": self.per_second,
            "dram_bytes": self.dram_bytes,
            "first_constant_bytes": self.constant_bytes[0],
            "next_constant_bytes": self.constant_bytes[1],
            "events": {event.name: count for event, count in self.events.items()},
        }


def run(
    network: IntegerNetwork,
    design: Design,
    images: int,
    inputs: NDArray[np.float32],
    formats: Formats = "auto",
    tries: int = 0,
) -> Images:
    """Time a run on so many images, exactly; where time depends on activations, on `inputs` in turn.

    Raises InputError for a number of images that the hardware cannot count, a network that the host interrupts, and
    what does not fit.
    """
    if network.host_steps:
        raise InputError(f"--images must be 1 for {network.name}, between whose programs the host works, not {images}")
    if images < 1:
        raise InputError(f"--images must be at least 1, not {images}")
    if isinstance(design.memory, OnChip):
        return _streamed(network, design, images, formats, tries)
    series = compile_series(network, design, formats, images, tries)
    try:
        layout = series.layout(images)
    except ValueError as error:
        raise InputError(f"--images: {error}") from None
    constants = _constant_bytes(series.first), _constant_bytes(series.following)
    timings: list[Timing] = []
    if design.is_sparse:
        codes = int8.quantise_input(network, inputs)
        codes = codes[np.arange(images) % len(codes)]
        timings += [timing for timing, _ in run_series(series, layout, codes)[1]]
    else:
        timings += _timed(series, images)
    events = {event: sum(timing.events[event] for timing in timings) for event in timings[0].events}
    return Images(design, images, timings[0].cycles, timings[-1].cycles, events[Event.CYCLES], events, constants)


def _timed(series: Series, images: int) -> list[Timing]:
    """Of each image. One that begins as the one before began takes as long."""
    timings = [time_program(series.first)]
    for _ in range(images - 1):
        busy = timings[-1].read_busy_cycles
        same = len(timings) > 1 and timings[-2].read_busy_cycles == busy
        timings.append(timings[-1] if same else time_program(series.following, busy))
    return timings


def _streamed(network: IntegerNetwork, design: Design, images: int, formats: Formats, tries: int) -> Images:
    """Of a core without DRAM, if both streams keep up: from the first image that is complete to the last result."""
    program = compile_network(network, design, formats, tries)
    timing = time_program(program)
    events = {event: images * count for event, count in timing.events.items()}
    cycles = images * (timing.cycles + BETWEEN) - BETWEEN
    return Images(design, images, timing.cycles, timing.cycles, cycles, events, 2 * (_constant_bytes(program),))


def _constant_bytes(program: Program) -> int:
    """Bytes that LOADs bring of what is the same for every image, but commands."""
    rows = rows_of(program.commands)
    loads = rows[(rows[:, OPCODE] == Opcode.LOAD) & ~np.isin(rows[:, LOAD.target], (Target.ACTIVATION, Target.PROGRAM))]
    return int((loads[:, LOAD.row_beats] * loads[:, LOAD.rows]).sum()) * program.design.beat_bytes
