"""What `accel emit --images N` writes beside the rest: a run on many images for the test bench."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.design import Design, OnChip
from accel.events import Event
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.series import Series
from accel.sim.execute import written
from accel.sim.execute.facts import run_series

FILES = ("run.json", "run_inputs.bin", "run_expected.bin", "run_mask.bin")


def check(network: IntegerNetwork, design: Design, images: int) -> None:
    """Raise InputError for a network or a design that has no runs of many images."""
    if network.host_steps:
        raise InputError(f"--images must be 1 for {network.name}, between whose programs the host works, not {images}")
    if isinstance(design.memory, OnChip):
        raise InputError(
            f"--images must be 1 for {design.name}, which works on each image that streams in, not {images}"
        )


def contents(network: IntegerNetwork, series: Series, images: int, inputs: NDArray[Any]) -> dict[str, bytes]:
    """The files by name, for float `inputs` in turn. Raises InputError as `Series.layout` raises ValueError."""
    try:
        layout = series.layout(images)
    except ValueError as error:
        raise InputError(f"--images: {error}") from None
    codes = int8.quantise_input(network, inputs[:images])
    codes = codes[np.arange(images) % len(codes)]
    machine, timings = run_series(series, layout, codes)
    before, mask = np.zeros(layout.dram_bytes, np.uint8), np.zeros(layout.dram_bytes, np.uint8)
    for at, packed in series.packed(layout, codes):
        before[at : at + len(packed)] = packed
    expected = int8.run(network, codes)[network.output]
    for number, program in enumerate(series.programs(layout)):
        mask |= written(program)
        if not np.array_equal(program.unpack_output(machine.whole)[0], expected[number]):
            raise AssertionError(f"{network.name}: image {number} of a run does not give the reference's bytes")
    spans = series.first.input_span, series.first.output_span
    places = [
        slice(first + move, last + move + (images - 1) * step)
        for (first, last), move, step in zip(
            spans, layout.moves(0), (layout.input_step, layout.output_step), strict=True
        )
    ]
    events = {event.name: sum(timing.events[event] for timing, _ in timings) for event in timings[0][0].events}
    events[Event.MACS_ZERO.name] = sum(zeros for _, zeros in timings)
    document = {
        "inputs_offset": places[0].start,
        "outputs_offset": places[1].start,
        "events": events,
        "dram_bytes": layout.dram_bytes,
        "registers": {
            "IMAGES": images,
            "INPUT_MOVE": layout.input_move,
            "INPUT_STEP": layout.input_step,
            "OUTPUT_MOVE": layout.output_move,
            "OUTPUT_STEP": layout.output_step,
            "NEXT_OFFSET": series.following.program_offset,
            "NEXT_COUNT": series.following.first_fetch,
        },
    }
    return {
        "run.json": (json.dumps(document, indent=1) + "\n").encode(),
        "run_inputs.bin": before[places[0]].tobytes(),
        "run_expected.bin": machine.whole[0][places[1]].tobytes(),
        "run_mask.bin": mask[places[1]].tobytes(),
    }
