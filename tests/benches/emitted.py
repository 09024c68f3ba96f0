"""The bench of a folder that `accel emit` wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`run.py` in an emitted folder, as a user calls it, with one build for all folders beside it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COCOTB", "PYTEST"))}
    command = [sys.executable, "run.py", "--build", str(folder.parent / "build"), *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
