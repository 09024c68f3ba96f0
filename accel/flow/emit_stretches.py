"""The emitted folder of a network in several stretches: one folder a stretch, the host's steps, and what joins them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from string import Template
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.design import Design
from accel.flow.emit_text import template
from accel.layout import RowTensor, stride_bytes
from accel.models.host import HostStep
from accel.models.integers.network import IntegerNetwork
from accel.models.integers.stretches import stages, stretches
from accel.program import Placement
from accel.series import Series

PLAN = "network.json"
FILES = (PLAN, "host.py", "tensors.py", "input.bin", "README.md")


class Emitted(NamedTuple):
    """A stretch: its programs, the cycles of the first image, and the files of its folder."""

    series: Series
    cycles: int
    files: dict[str, bytes]


def contents(
    network: IntegerNetwork, design: Design, tensors: Mapping[str, NDArray[np.int8]],
    emitted: Callable[[IntegerNetwork], Emitted], ends: str,
) -> dict[str, bytes]:  # fmt: skip
    """The files by name. `tensors` (n, C, H, W): the codes of every tensor; `emitted` makes the folder of a stretch;
    `ends`: a sentence about what the host runs at the ends.
    """
    files: dict[str, bytes] = {}
    plan: list[dict[str, Any]] = []
    stage = stages(network)
    parts = [(stage[part.layers[0].output], 1, part) for part in stretches(network)]
    steps = [(stage[step.output], 0, step) for step in network.host_steps]
    count, cycles = 0, 0
    in_turn: list[tuple[int, int, IntegerNetwork | HostStep]] = [*parts, *steps]
    for _, _, part in sorted(in_turn, key=lambda one: one[:2]):
        if isinstance(part, HostStep):
            name = f"host-{1 + sum('model' in one for one in plan)}.onnx"
            files[name] = part.run.model
            plan.append(_host(name, part))
            continue
        count += 1
        folder = f"stretch-{count}"
        series, taken, found = emitted(part)
        program = series.first
        files |= {f"{folder}/{name}": content for name, content in found.items()}
        cycles += taken
        ends_of = {"inputs": program.inputs, "outputs": program.outputs}
        plan.append({"folder": folder} | {what: [place_of(x, design) for x in some] for what, some in ends_of.items()})
    shapes = {name: shape for _, _, step in steps for name, shape in zip(step.inputs, step.shapes, strict=True)}
    shapes |= {step.output: step.shape for _, _, step in steps}
    document = {
        "network": network.name,
        "input": network.input,
        "outputs": list(network.outputs),
        "stages": plan,
        "tensors": {
            name: {
                "shape": list(shapes.get(name, spec.shape)),
                "codes": list(spec.shape),
                "scale": spec.scale,
                "zero_point": spec.zero_point,
            }
            for name, spec in network.tensors.items()
            if any(name in (*part.inputs, *part.outputs) for _, _, part in parts) or name in shapes
        },
    }
    words = [f"{number}. {_words(one)}" for number, one in enumerate(plan, 1)]
    readme = Template(template("stretches.md")).substitute(
        network=network.name, design=design.name, count=count, cycles=f"{cycles:,}", clock=f"{design.clock_mhz:g}",
        latency=f"{cycles / design.clock_mhz:,.1f}", stages="\n".join(words), ends=ends,
    )  # fmt: skip
    return files | {
        PLAN: (json.dumps(document, indent=1) + "\n").encode(),
        **{name: template(name).encode() for name in ("host.py", "tensors.py")},
        "input.bin": tensors[network.input][0].tobytes(),
        "README.md": readme.encode(),
    }


def _host(name: str, step: HostStep) -> dict[str, Any]:
    shapes = [list(shape) for shape in step.run.shapes]
    return {
        "model": name,
        "nodes": list(step.nodes),
        "inputs": list(step.inputs),
        "shapes": shapes,
        "output": step.output,
    }


def place_of(place: Placement, design: Design) -> dict[str, Any]:
    """Where a tensor lies, as host.py reads it."""
    layout = place.layout
    found: dict[str, Any] = {"tensor": place.name, "offset": place.offset, "shape": list(place.shape)}
    if isinstance(layout, RowTensor):
        return found | {"layout": "rows", "pitch_bytes": layout.pitch_bytes, "pads": list(layout.pads)}
    return found | {
        "layout": "words",
        "lanes": design.word_lanes,
        "stride_bytes": stride_bytes(design.word_lanes, design.beat_bytes),
        "row_pitch": layout.row_pitch,
        "plane": layout.plane,
    }


def _words(stage: Mapping[str, Any]) -> str:
    if "model" in stage:
        nodes, inputs = ", ".join(stage["nodes"]), ", ".join(stage["inputs"])
        return f"{stage['model']} on the host ({nodes}): {inputs} to {stage['output']}"
    inputs, outputs = (", ".join(place["tensor"] for place in stage[what]) for what in ("inputs", "outputs"))
    return f"{stage['folder']} on the accelerator: {inputs} to {outputs}"
