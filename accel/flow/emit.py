"""`accel emit`: a folder with the Verilog of a design, the DRAM image of a network, and what both need to be used."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.board import Board, design_on
from accel.compile import compile_series
from accel.compiler.choose import Formats
from accel.design import Design, OnChip
from accel.flow import driver, emit_board, emit_core, emit_images, emit_stretches, emit_tools, register_map
from accel.flow.design_fields import commented
from accel.flow.emit_stretches import Emitted
from accel.flow.emit_text import expected, layout_text, origin, readme_words, template
from accel.flow.report import write
from accel.models.errors import InputError
from accel.models.host import Host
from accel.models.integers.ends import joined
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.program import Program
from accel.rtl.emit import verilog_text, waivers_text
from accel.series import Series
from accel.sim.execute import execute_memory, written
from accel.sim.result import Result, simulate
from accel.timing.recurrence import time_program

__all__ = ["emit"]

MARK = "expected.json"  # is in every folder that `emit` wrote
ENDS = ("head.onnx", "tail.onnx")
WHERE = {"head.onnx": "before the accelerator, on floats", "tail.onnx": "behind it"}
COPIED = ("cocotb_accelerator.py", "run.py")
FILES = (
    "accelerator.v", "waivers.vlt", "design.yaml", "image.bin", "expected.bin", "expected_mask.bin", MARK,
    "registers.md", *driver.FILES, "README.md", *COPIED,
)  # fmt: skip


def check(folder: Path) -> None:
    """Raise InputError for a folder in which `emit` would replace a file that it did not write."""
    known = {
        *FILES,
        *emit_core.FILES,
        *emit_images.FILES,
        *emit_stretches.FILES,
        *emit_tools.FILES,
        *ENDS,
        "stretch-1",
        emit_board.FOLDER,
    }
    others = sorted(name for name in known if os.path.lexists(folder / name))
    if others and not any((folder / mark).exists() for mark in (MARK, emit_stretches.PLAN)):
        raise InputError(f"output folder {folder} must not hold a {others[0]} that accel did not write, and does")


def emit(
    network: IntegerNetwork, design: Design, folder: Path, inputs: NDArray[Any], formats: Formats = "auto",
    host: Host | None = None, on: Board | None = None, images: int = 1, tries: int = 0,
) -> None:  # fmt: skip
    """Write the folder; the test bench runs the first of the float `inputs` (n, C, H, W). `formats` and `tries` as
    `compile_network` takes them; `host` has what the host runs before and behind; with `on` it is for that board.
    Of several `images` the bench also runs so many, those inputs in turn, in one run; programs are compiled for that.

    Raises InputError for what the design cannot hold, and for a folder that cannot be written or in which a file of
    somebody else would be replaced.
    """
    check(folder)
    files_by_name = contents(network, design, inputs, formats, host, on, images, tries)
    write(folder, files_by_name, check=lambda: check(folder))


def contents(
    network: IntegerNetwork, design: Design, inputs: NDArray[Any], formats: Formats = "auto", host: Host | None = None,
    on: Board | None = None, images: int = 1, tries: int = 0,
) -> dict[str, bytes]:  # fmt: skip
    """The files by name."""
    if images != 1:
        emit_images.check(network, design, images)
    if on:
        emit_board.check(network)
        design = design_on(on, design)
    ends = {"head.onnx": host.head, "tail.onnx": host.tail} if host else {}
    models = {name: part.run.model for name, part in ends.items() if part is not None and part.run.model}
    said = "".join(f" {name} is what the host runs {WHERE[name]}." for name in models)
    if isinstance(design.memory, OnChip):
        return emit_core.contents(network, design, inputs, formats, tries) | models
    if not len(inputs):
        raise InputError(f"{network.name}: the test bench needs at least one input")
    tensors = int8.run(network, int8.quantise_input(network, inputs[:1]), all_tensors=True)
    verilog = (origin(design, "AXI4") + verilog_text(design)).encode()
    if not network.host_steps:
        made = _stretch(network, design, tensors, formats, verilog, said, images, tries)
        run = emit_images.contents(network, made.series, images, inputs) if images != 1 else {}
        return made.files | run | models | (emit_board.contents(on, network, made.series.first, inputs) if on else {})
    emitted = partial(_stretch, design=design, tensors=tensors, formats=formats, verilog=verilog, tries=tries)
    return models | emit_stretches.contents(network, design, tensors, emitted, said)


def _stretch(
    network: IntegerNetwork, design: Design, tensors: Mapping[str, NDArray[np.int8]], formats: Formats, verilog: bytes,
    ends: str = "", images: int = 1, tries: int = 0,
) -> Emitted:  # fmt: skip
    """The program of one stretch, and its folder, for codes (1, channels, height, width) of every tensor."""
    series = compile_series(network, design, formats, images, tries)
    program, codes = series.first, joined(network, tensors)
    memory = execute_memory(program, codes[0])
    for end in program.outputs:
        if not np.array_equal(program.unpack_output(memory, place=end), tensors[end.name][0]):
            raise AssertionError(f"{network.name}: the program does not give the reference's bytes")
    result = simulate(program, codes)
    cycles = result.cycles, time_program(series.following).cycles
    place = _output_place(program)
    files = {
        "accelerator.v": verilog,
        "waivers.vlt": waivers_text().encode(),
        "design.yaml": commented(design).encode(),
        "image.bin": program.image_with(codes[0])[: _image_bytes(program)].tobytes(),
        "expected.bin": memory[place].tobytes(),
        "expected_mask.bin": written(program)[place].astype(np.uint8).tobytes(),
        MARK: (json.dumps(_expected(series, result, tensors[network.output][0]), indent=1) + "\n").encode(),
        "registers.md": register_map.markdown(design).encode(),
        **{name: text.encode() for name, text in driver.files(series, _image_bytes(program), cycles).items()},
        "README.md": _readme(network, program, result, cycles[1], ends).encode(),
        **{name: template(name).encode() for name in COPIED},
        **emit_tools.contents(design),
    }
    return Emitted(series, result.cycles, files)


def _image_bytes(program: Program) -> int:
    """Bytes of DRAM that must be written before a start: the image, and the inputs behind it."""
    return max(len(program.image), *(place.offset + place.bytes(program.design) for place in program.inputs))


def _output_place(program: Program) -> slice:
    """Where the output tensors lie in DRAM, with what is between them."""
    ends = [(place.offset, place.offset + place.bytes(program.design)) for place in program.outputs]
    return slice(min(first for first, _ in ends), max(last for _, last in ends))


def _expected(series: Series, result: Result, output: NDArray[np.int8]) -> dict[str, Any]:
    """What the test bench reads."""
    program, following = series.first, series.following
    design = program.design
    return expected(program, result) | {
        "dram_bytes": program.dram_bytes,
        "program_offset": program.program_offset,
        "program_count": program.first_fetch,
        "next_offset": following.program_offset,
        "next_count": following.first_fetch,
        "output_offset": _output_place(program).start,
        "latency_cycles": design.memory.latency_cycles,
        "beat_interval_cycles": design.memory.beat_interval_cycles,
        "address_bits": design.memory.axi_address_bits,
        "output_codes": output.ravel().tolist(),
    }


def _readme(network: IntegerNetwork, program: Program, result: Result, next_cycles: int, ends: str) -> str:
    words = readme_words(network, program, result)
    more = [
        f"\n- A further {what}, {place.name!r}, is at byte {place.offset}: {layout_text(program, place.layout)}. "
        f"A code q stands for {place.scale:.9g} * (q - ({place.zero_point}))."
        for what, some in (("input", program.more_inputs), ("output", program.more_outputs))
        for place in some
    ]
    return Template(template("emitted.md")).substitute(
        words | {"host": f"{words['host']}{ends}{''.join(more)}"},
        next_cycles=f"{next_cycles:,}",
        image_bytes=f"{_image_bytes(program):,}",
        dram_bytes=f"{program.dram_bytes:,}",
        input_offset=program.input.offset,
        output_offset=program.output.offset,
    )
