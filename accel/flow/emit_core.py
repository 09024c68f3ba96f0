"""What `accel emit` writes of a core without DRAM: Verilog with program and weights, a bench that streams."""

from __future__ import annotations

import json
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.compile import compile_network
from accel.compiler.choose import Formats
from accel.design import Design
from accel.flow import emit_tools, register_map
from accel.flow.design_fields import commented
from accel.flow.emit_text import expected, origin, readme_words, template
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.on_chip import codes_of_result, image_beats, regions_of, result_beats
from accel.program import Program
from accel.rtl.emit import core_text, waivers_text
from accel.sim.execute import execute_memory, written
from accel.sim.execute.facts import time_executed
from accel.sim.result import Result, simulate

IMAGES = 4  # that the bench streams, if so many are given
FILES = (
    "accelerator.v", "waivers.vlt", "design.yaml", "images.bin", "expected.bin", "expected.json", "registers.md",
    "accelerator.h", "README.md", "cocotb_accelerator.py", "run.py",
)  # fmt: skip


def contents(
    network: IntegerNetwork, design: Design, inputs: NDArray[Any], formats: Formats = "auto", tries: int = 0
) -> dict[str, bytes]:
    """The files by name."""
    if not len(inputs):
        raise InputError(f"{network.name}: the test bench needs at least one input")
    program = compile_network(network, design, formats, tries)
    codes = int8.quantise_input(network, inputs[:IMAGES])
    outputs = int8.run(network, codes)[network.output]
    memory = np.stack([execute_memory(program, image) for image in codes])
    results = result_beats(program, memory, written(program))
    if not np.array_equal(codes_of_result(program, results).reshape(outputs.shape), outputs):
        raise AssertionError(f"{network.name}: the program does not give the reference's bytes")
    result = simulate(program, codes[:1])  # the counters of the first image are compared
    return {
        "accelerator.v": (origin(design, "AXI-Stream", network.name) + core_text(program)).encode(),
        "waivers.vlt": waivers_text().encode(),
        "design.yaml": commented(design).encode(),
        "images.bin": image_beats(program, codes).tobytes(),
        "expected.bin": results.tobytes(),
        "expected.json": (json.dumps(_expected(program, result, codes, outputs), indent=1) + "\n").encode(),
        "registers.md": register_map.markdown(design).encode(),
        "accelerator.h": register_map.core_header(program).encode(),
        "README.md": _readme(network, program, result).encode(),
        "cocotb_accelerator.py": template("cocotb_core.py").encode(),
        "run.py": template("run.py").encode(),
        **emit_tools.contents(design),
    }


def _expected(
    program: Program, result: Result, codes: NDArray[np.int8], outputs: NDArray[np.int8]
) -> dict[str, Any]:  # fmt: skip
    """What the test bench reads: counters of the first image, cycles of all of them."""
    found = regions_of(program)
    return expected(program, result) | {
        "beat_bytes": program.design.beat_bytes,
        "images": len(outputs),
        "image_beats": found.image.beats,
        "result_beats": found.result.beats,
        "cycles": [time_executed(program, image).cycles for image in codes],
        "output_codes": outputs.reshape(len(outputs), -1).tolist(),
    }


def _readme(network: IntegerNetwork, program: Program, result: Result) -> str:
    found = regions_of(program)
    return Template(template("emitted_core.md")).substitute(
        readme_words(network, program, result),
        interval=f"{result.cycles + 1:,}",
        memory_bytes=f"{found.bytes:,}",
        constant_bytes=f"{found.constants.beats * found.beat_bytes:,}",
        beat_bytes=found.beat_bytes,
        image_beats=f"{found.image.beats:,}",
        result_beats=f"{found.result.beats:,}",
    )
