"""The bench of a folder that `accel emit` wrote, and a design for such folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from accel.design import Array, Memory, load

GAPS = load("nano").model_copy(
    update={
        "name": "gaps",
        "array": Array(rows=3, cols=4),
        "post_lanes": 1,
        "memory": Memory(axi_bits=128, latency_cycles=9, axi_address_bits=64, axi_prot=5, axi_write_cache=15),
    }
)
"""Several words in a beat, rows that do not fill their beats, groups that are not full; 64-bit addresses."""


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`run.py` in an emitted folder, as a user calls it, with one build for all folders beside it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COCOTB", "PYTEST"))}
    command = [sys.executable, "run.py", "--build", str(folder.parent / "build"), *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
