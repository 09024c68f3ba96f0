"""Seconds of `accel compare` on three designs, first and again: `python -m tests.benchmarks.comparing`.

Status 1 if a limit is missed.

Seconds are those of one core's work, imports and charts included, each command in a process of its own that is bound to
one core. The compiled form of the kernel is there, as it is after the first comparisons on a machine; compiling it is
not counted. Between the second and the third run one of the three designs gets another clock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from accel.design import load
from tests.benchmarks.limits import processor_seconds, report_missed

DESIGNS = ("edge", "edge-coded", "edge-sparse")
LIMITS = {"first, s": 20.0, "again, s": 3.0}


def seconds(folder: Path, *designs: str, options: tuple[str, ...] = ()) -> float:
    """User and system time of a comparison whose files and cache lie in `folder`."""
    command = [str(Path(sys.executable).parent / "accel"), "compare", "-o", str(folder / "out"), *options]
    for design in designs:
        command += ["--design", design]
    began = processor_seconds()
    subprocess.run(
        command, check=True, capture_output=True,
        env={**os.environ, "ACCEL_CACHE": str(folder / "cache"), "ACCEL_KERNELS": str(folder / "kernels")},
        preexec_fn=lambda: os.sched_setaffinity(0, {0}),
    )  # fmt: skip
    return processor_seconds() - began


def main() -> int:
    """Print a line for each run; the status."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        os.environ["ACCEL_COMPILED"] = "1"
        seconds(folder, *DESIGNS, options=("--technique", "deep"))  # compiles what all of them use
        shutil.rmtree(folder / "cache")
        faster = folder / "faster.yaml"
        edge = load("edge")
        faster.write_text(edge.model_copy(update={"clock_mhz": edge.clock_mhz / 2}).to_yaml())
        found = {
            "first, s": seconds(folder, *DESIGNS),
            "again, s": seconds(folder, *DESIGNS),
            "with one design changed, s": seconds(folder, str(faster), *DESIGNS[1:]),
        }
    for name, value in found.items():
        print(f"{name:28} {value:5.1f}")
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
