"""The C driver of `accel emit` in front of the emitted Verilog: built for a program, run behind many memories."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.flow import driver
from accel.rtl.emit import verilog_text
from accel.series import Series
from tests.benches.verilator import Case, build

BENCH = Path(__file__).parent / "driver.cpp"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
UNUSED = 99  # of an outcome: the function was not called
NETWORK = """#include "accel_network.h"
const struct accel_network *const the_network = &accel_network;
"""


@dataclass(frozen=True)
class Plan:
    """What the program on the processor does: see driver.cpp. `version` and `array` change what it expects to read."""

    polls: int = 1 << 30
    poll_cycles: int = 50
    interrupt: bool = False
    stop_polls: int = 1 << 30
    drain_polls: int = 1 << 30
    restart: bool = False
    dram_bytes: int = 0
    version: int = 0
    array: int = 0
    base_offset: int = 0
    images: int = 1
    input_move: int = 0
    input_step: int = 0
    output_move: int = 0
    output_step: int = 0


@dataclass(frozen=True)
class Outcome:
    """What the driver's functions returned, in the order in which they are called, and the codes of all outputs."""

    init: int
    start: int
    again: int
    wait: int
    stop: int
    refused: int
    drain: int
    second: int
    last: int
    placed: int
    cycles: int
    irq: int
    read_beats: int
    images: int
    codes: NDArray[np.int8] = field(repr=False)


def sources(series: Series, folder: Path) -> None:
    """Write the driver, its headers and `network.c`, which has the network as `the_network`."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = driver.files(series, image_bytes=series.first.dram_bytes, cycles=(0, 0)) | {"network.c": NETWORK}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def compiled(folder: Path, *flags: str, what: Sequence[str] = ("accel", "network")) -> list[Path]:
    """Compile C files of a folder to objects, with `STRICT`. Raises RuntimeError with what the compiler says."""
    for name in what:
        command = ["cc", *STRICT, "-O1", *flags, "-c", f"{name}.c", "-o", f"{name}.o"]
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if made.returncode or made.stderr:
            raise RuntimeError(made.stderr)
    return [folder / f"{name}.o" for name in what]


class BuiltDriver:
    """A design's Verilog with the driver of the programs for it."""

    def __init__(self, series: Series, folder: Path) -> None:
        self.program, self.folder = series.first, folder
        program = series.first
        sources(series, folder / "c")
        build(verilog_text(program.design), program.design, BENCH, folder, objects=compiled(folder / "c"))

    def run(self, codes: NDArray[np.int8], runs: Sequence[tuple[Case, Plan]]) -> list[Outcome]:
        """Run input codes, as `Program.packed` takes them, for each case and plan, on hardware that is reset once.

        `codes` (n, ...): a run takes the first of them, as many as it has images.

        The image is the first bytes of a case's memory. Raises RuntimeError with what the bench says.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            arguments = []
            for index, (case, plan) in enumerate(runs):
                (folder / f"{index}.case").write_bytes(self._case(codes[: plan.images], case, plan))
                arguments += [f"{index}.case", f"{index}.out"]
            ran = subprocess.run(
                [self.folder / "obj" / "bench", *arguments], cwd=folder, capture_output=True, text=True, check=False,
                timeout=900,
            )  # fmt: skip
            if ran.returncode:
                raise RuntimeError(f"the bench ended with status {ran.returncode}: {ran.stderr.strip()}")
            return [_outcome((folder / f"{index}.out").read_bytes()) for index in range(len(runs))]

    def _case(self, codes: NDArray[np.int8], case: Case, plan: Plan) -> bytes:
        image = case.memory[: len(self.program.image)]
        settings = [int(getattr(plan, each.name)) for each in fields(plan)]
        header = case.encode()[: -len(case.memory)]
        return (
            header
            + np.array([*settings, len(image), codes.size], np.uint64).tobytes()
            + image.tobytes()
            + codes.tobytes()
        )


def _outcome(data: bytes) -> Outcome:
    count = len(fields(Outcome)) - 1
    words = np.frombuffer(data, np.int64, count)
    return Outcome(
        *(int(np.int32(word & 0xFFFFFFFF)) if k < 10 else int(word) for k, word in enumerate(words)),
        np.frombuffer(data, np.int8, offset=8 * count),
    )
