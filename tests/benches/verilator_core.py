"""A core without DRAM in Verilator: built once for a design, with its program as a file, so that it runs many."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.design import Design
from accel.events import Event
from accel.on_chip import constant_words, image_beats, regions_of
from accel.program import Program
from accel.rtl.core import Engine
from accel.rtl.emit import text_of
from accel.rtl.on_chip import Depths
from tests.benches.verilator import build

BENCH = Path(__file__).parent / "verilator_core.cpp"
ROM = """
module rom (input clk, input r_en, input [{address}:0] r_addr, output reg [{top}:0] r_data);
    reg [{top}:0] words [0:{last}];
    reg [8*256-1:0] name;
    initial if ($value$plusargs("rom=%s", name)) $readmemh(name, words);
    always @(posedge clk) if (r_en) r_data <= words[r_addr];
endmodule
"""


@dataclass(frozen=True)
class Job:
    """Images that are streamed in a row; seeds of pauses (0: none) and of packets to be dropped.

    `abort_after`: cycles after which each run is stopped (0: never); it sends nothing, and is started again.
    """

    codes: NDArray[np.int8]
    in_seed: int = 0
    out_seed: int = 0
    bad_seed: int = 0
    counters: bool = False
    abort_after: int = 0


@dataclass(frozen=True)
class Run:
    """What became of one image: the cycle of done, the counters if they were read, the beats of the result."""

    done: int
    events: dict[Event, int]
    beats: NDArray[np.uint8]


class BuiltCore:
    """The hardware of a design without DRAM, with room for programs of `depths`, built in `folder`."""

    def __init__(self, design: Design, folder: Path, depths: Depths) -> None:
        self.design, self.folder, self.depths = design, folder, depths
        bits, last = design.memory.axi_bits, depths.constants - 1
        engine = Engine(design, [0] * depths.constants, depths)
        rom = ROM.format(address=last.bit_length() - 1, top=bits - 1, last=last)
        build(text_of(engine, design) + rom, design, BENCH, folder)

    def fits(self, program: Program) -> bool:
        """Whether the program has room in what was built."""
        needs = Depths.of(regions_of(program))
        return all(getattr(needs, part) <= getattr(self.depths, part) for part in vars(needs))

    def run(self, program: Program, jobs: Sequence[Job], max_cycles: int) -> list[list[Run]]:
        """Run the jobs one after the other; by job, what became of its images."""
        found, beat = regions_of(program), self.design.beat_bytes
        header = [
            program.program_offset, program.first_fetch, program.dram_bytes, found.image.first, found.image.beats,
            found.result.first, found.result.beats, found.spill.first, found.spill.beats, max_cycles, len(jobs),
        ]  # fmt: skip
        for job in jobs:
            header += [len(job.codes), job.in_seed, job.out_seed, job.bad_seed, int(job.counters), job.abort_after]
        images = np.concatenate([image_beats(program, job.codes).reshape(len(job.codes), -1) for job in jobs])
        width = self.design.memory.axi_bits // 4
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            (folder / "case").write_bytes(np.array(header, np.uint64).tobytes() + images.tobytes())
            (folder / "rom").write_text("\n".join(f"{word:0{width}x}" for word in constant_words(program)))
            command = [self.folder / "obj" / "bench", "case", "out", "+rom=rom"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
            if ran.returncode:
                raise RuntimeError(f"the bench ended with status {ran.returncode}: {ran.stderr.strip()}")
            data = (folder / "out").read_bytes()
        words = 1 + len(Event)
        sized = np.frombuffer(data, np.uint8).reshape(len(images), 8 * words + found.result.beats * beat)
        runs = []
        for row in sized:
            done, *counts = np.frombuffer(row[: 8 * words].tobytes(), np.uint64).tolist()
            beats = row[8 * words :].reshape(found.result.beats, beat)
            runs.append(Run(done, dict(zip(Event, counts, strict=True)), beats))
        ends = np.cumsum([len(job.codes) for job in jobs]).tolist()
        return [runs[a:b] for a, b in zip([0, *ends], ends, strict=False)]
