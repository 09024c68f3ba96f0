"""Blocks of the engine placed and routed alone: `python -m tests.benchmarks.clocks [BLOCK...] [--seeds 5]`.

On an ECP5-85F, speed 6, by nextpnr (extra `fpga`), on `nano` with the FPGA's multipliers in three stages and a second
register behind memories: LUT4s, registers, multipliers, block RAMs, and MHz from register to register, the median of
the seeds 1 to 5. The status is 1 if a clock is below its limit. A block takes minutes of a core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from amaranth.lib import wiring

from accel.design import Design, load
from accel.rtl.emit import TOP, text_of
from accel.rtl.loader import Loader
from accel.rtl.output_stationary.array import OutputArray
from accel.rtl.post.unit import PostUnit
from accel.rtl.sequencer import Sequencer
from accel.rtl.sparse.pe import PE as SparsePE
from accel.rtl.storer import Storer
from accel.rtl.systolic.accumulators import Accumulators
from accel.rtl.systolic.array import SystolicArray
from accel.rtl.systolic.feeder import Feeder
from accel.rtl.systolic.unit import ComputeUnit
from accel.rtl.systolic.weights import WeightIssue
from accel.rtl.systolic.zeros import ZeroProducts
from accel.synthesis.modules import parse
from accel.synthesis.place import Placed, place
from accel.synthesis.targets import TARGETS
from tests.benchmarks.limits import report_missed

BLOCKS: dict[str, tuple[Callable[[Design], wiring.Component], float]] = {
    "array": (SystolicArray, 150),
    "output-array": (OutputArray, 130),
    "accumulators": (Accumulators, 100),
    "weights": (WeightIssue, 100),
    "feeder": (Feeder, 100),
    "zeros": (ZeroProducts, 100),
    "compute": (ComputeUnit, 100),
    "post": (PostUnit, 100),
    "loader": (Loader, 100),
    "storer": (Storer, 100),
    "sequencer": (Sequencer, 100),
    "sparse-pe": (SparsePE, 85),
}
"""By name: what is made, and the MHz that it must reach."""


def design_of(block: str) -> Design:
    """`nano` for an FPGA, with the engine that the block is of."""
    values = load("nano").model_dump() | {"multiplier": "ecp5", "memory_stages": 2, "post_multiplier_stages": 2}
    values["engine"]["multiplier_stages"] = 3
    if block == "output-array":
        values["engine"]["dataflow"] = "os"
    if block == "sparse-pe":
        values["engine"] = {"kind": "sparse", "multiplier_stages": 3}
    if block in ("output-array", "sparse-pe"):
        values["array"]["weight_rows"] = 1
    return Design.model_validate(values)


def placed(block: str, seeds: int) -> list[Placed]:
    """What each seed makes of a block."""
    design, on = design_of(block), TARGETS["ecp5-85f"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = text_of(BLOCKS[block][0](design), design)
        return place(parse(text, TOP), on, folder, range(1, seeds + 1))


def main() -> int:
    """Print a line for each block; the status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("blocks", nargs="*", default=list(BLOCKS))
    parser.add_argument("--seeds", type=int, default=5)
    wanted = parser.parse_args()
    print(f"{'block':16}{'LUT4':>9}{'FF':>9}{'18x18':>9}{'18 Kb':>9}{'MHz':>9}   slowest path")
    clocks = {}
    for block in wanted.blocks:
        found = placed(block, wanted.seeds)
        cells = found[0].cells
        clocks[block] = median(each.fmax_mhz for each in found)
        slowest = min(found, key=lambda each: each.fmax_mhz).critical
        counts = "".join(f"{count:>9,}" for count in (cells.lut, cells.ff, cells.dsp, cells.bram))
        print(f"{block:16}{counts}{clocks[block]:>9.1f}   {' | '.join(f'{n} {ns}' for n, ns in slowest)}", flush=True)
    missed = {block: -clock for block, clock in clocks.items()}
    return report_missed(missed, {block: -BLOCKS[block][1] for block in missed})


if __name__ == "__main__":
    sys.exit(main())
