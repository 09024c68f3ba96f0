"""Logic synthesis of the emitted Verilog with Yosys, flat, for a Lattice ECP5."""

from __future__ import annotations

import json
import re
from pathlib import Path

from accel.synthesis.targets import FAMILIES, Cells
from accel.synthesis.tools import run


def synthesise(verilog: str, top: str, folder: Path) -> tuple[Cells, int]:
    """The cells of the module `top` and what is below it, and how many ones block RAM's initial values have."""
    (folder / "source.v").write_text(verilog, encoding="utf-8")
    script = (
        f"read_verilog source.v; scratchpad -set abc9.D 5000; synth_ecp5 -top {top}; tee -q -o cells.json stat -json; "
        "select t:DP16KD; write_rtlil -selected blocks.il"
    )
    run("yosys", ["-q", "-p", script], folder)
    report = (folder / "cells.json").read_text(encoding="utf-8")
    values = re.findall(r"\\INITVAL_\w+ 320'([01xz]+)", (folder / "blocks.il").read_text(encoding="utf-8"))
    cells = FAMILIES["ecp5"].count(json.loads(report[report.index("{") :])["design"]["num_cells_by_type"])
    return cells, sum(value.count("1") for value in values)
