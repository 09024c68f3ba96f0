"""`accel emit`: a folder with the Verilog of a design, the DRAM image of a network, and what both need to be used."""

from __future__ import annotations

import json
import os
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.compile import compile_network
from accel.compiler.choose import Formats
from accel.design import Design, OnChip
from accel.flow import emit_core, register_map
from accel.flow.design_fields import commented
from accel.flow.emit_text import expected, origin, readme_words, template
from accel.flow.report import write
from accel.layout import WordTensor, stride_bytes
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.program import Program
from accel.rtl.emit import verilog_text, waivers_text
from accel.sim.execute import execute_memory, written
from accel.sim.result import Result, simulate

__all__ = ["emit"]

MARK = "expected.json"  # is in every folder that `emit` wrote
COPIED = ("cocotb_accelerator.py", "run.py")
FILES = (
    "accelerator.v", "waivers.vlt", "design.yaml", "image.bin", "expected.bin", "expected_mask.bin", MARK,
    "registers.md", "accelerator.h", "README.md", *COPIED,
)  # fmt: skip


def check(folder: Path) -> None:
    """Raise InputError for a folder in which `emit` would replace a file that it did not write."""
    others = sorted(name for name in {*FILES, *emit_core.FILES} if os.path.lexists(folder / name))
    if others and not (folder / MARK).exists():
        raise InputError(f"output folder {folder} must not hold a {others[0]} that accel did not write, and does")


def emit(
    network: IntegerNetwork, design: Design, folder: Path, inputs: NDArray[Any], formats: Formats = "auto"
) -> None:
    """Write the folder; the test bench runs the first of the float `inputs` (n, C, H, W). `formats` as
    `compile_network` takes them.

    Raises InputError for what the design cannot hold, and for a folder that cannot be written or in which a file of
    somebody else would be replaced.
    """
    check(folder)
    files_by_name = contents(network, design, inputs, formats)
    assert set(files_by_name) == set(emit_core.FILES if isinstance(design.memory, OnChip) else FILES)
    write(folder, files_by_name, check=lambda: check(folder))


def contents(
    network: IntegerNetwork, design: Design, inputs: NDArray[Any], formats: Formats = "auto"
) -> dict[str, bytes]:
    """The files by name."""
    if isinstance(design.memory, OnChip):
        return emit_core.contents(network, design, inputs, formats)
    if not len(inputs):
        raise InputError(f"{network.name}: the test bench needs at least one input")
    program = compile_network(network, design, formats)
    codes = int8.quantise_input(network, inputs[:1])
    output = int8.run(network, codes)[network.output]
    memory = execute_memory(program, codes[0])
    if not np.array_equal(program.unpack_output(memory).reshape(output[0].shape), output[0]):
        raise AssertionError(f"{network.name}: the program does not give the reference's bytes")
    result = simulate(program, codes)
    place = _output_place(program)
    return {
        "accelerator.v": (origin(design, "AXI4") + verilog_text(design)).encode(),
        "waivers.vlt": waivers_text().encode(),
        "design.yaml": commented(design).encode(),
        "image.bin": program.image_with(codes[0])[: _image_bytes(program)].tobytes(),
        "expected.bin": memory[place].tobytes(),
        "expected_mask.bin": written(program)[place].astype(np.uint8).tobytes(),
        MARK: (json.dumps(_expected(program, result, output[0]), indent=1) + "\n").encode(),
        "registers.md": register_map.markdown(design).encode(),
        "accelerator.h": register_map.header(program).encode(),
        "README.md": _readme(network, program, result).encode(),
        **{name: template(name).encode() for name in COPIED},
    }


def _image_bytes(program: Program) -> int:
    """Bytes of DRAM that must be written before a start: the image, and the input behind it."""
    packed = program.pack_input(np.zeros(_input_shape(program), np.int8))
    return max(len(program.image), program.input.offset + packed.shape[-1])


def _input_shape(program: Program) -> tuple[int, int, int]:
    layout = program.input.layout
    return layout.channels, layout.height, layout.width


def _output_place(program: Program) -> slice:
    """Where the output tensor lies in DRAM."""
    layout, design = program.output.layout, program.design
    assert isinstance(layout, WordTensor)
    size = layout.words(design.word_lanes) * stride_bytes(design.word_lanes, design.beat_bytes)
    return slice(program.output.offset, program.output.offset + size)


def _expected(program: Program, result: Result, output: NDArray[np.int8]) -> dict[str, Any]:
    """What the test bench reads."""
    design = program.design
    return expected(program, result) | {
        "dram_bytes": program.dram_bytes,
        "program_offset": program.program_offset,
        "program_count": program.first_fetch,
        "output_offset": program.output.offset,
        "latency_cycles": design.memory.latency_cycles,
        "beat_interval_cycles": design.memory.beat_interval_cycles,
        "address_bits": design.memory.axi_address_bits,
        "output_codes": output.ravel().tolist(),
    }


def _readme(network: IntegerNetwork, program: Program, result: Result) -> str:
    return Template(template("emitted.md")).substitute(
        readme_words(network, program, result),
        image_bytes=f"{_image_bytes(program):,}",
        dram_bytes=f"{program.dram_bytes:,}",
        input_offset=program.input.offset,
        output_offset=program.output.offset,
    )
