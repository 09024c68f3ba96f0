"""Whole designs placed and routed as in a bitstream: `python -m tests.benchmarks.wholes [DESIGN...] [--seeds 1]`.

Flat, speed 6, each in its own part, by nextpnr (extra `fpga`), its ports behind shift registers (`tests.benches.
harness`), whose registers are taken off the count. A design takes tens of minutes of a core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from accel.design import load
from accel.rtl.emit import verilog_text
from accel.synthesis.modules import parse
from accel.synthesis.place import place
from accel.synthesis.targets import TARGETS
from tests.benches.harness import HARNESS, harnessed

DESIGNS = ("pico", "nano-ecp5")


def main() -> int:
    """Print a line for each design."""
    parser = argparse.ArgumentParser()
    parser.add_argument("designs", nargs="*", default=DESIGNS)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    for name in options.designs:
        design = load(name)
        on = TARGETS[design.technology.target]
        inside = replace(on, nextpnr=tuple(word for word in on.nextpnr if word != "--out-of-context"))
        text, registers = harnessed(verilog_text(design))
        with tempfile.TemporaryDirectory() as folder:
            found = place(parse(text, HARNESS), inside, Path(folder), range(1, options.seeds + 1))
        cells, luts = found[0].cells, found[0].used["TRELLIS_COMB"][0]
        print(
            f"{name:10} {on.part.name}: {median(one.fmax_mhz for one in found):.1f} MHz (seeds 1 to {options.seeds}), "
            f"{luts:,} LUTs with those of carry chains and memories, {cells.ff - registers:,} registers, "
            f"{cells.dsp} multipliers, {cells.bram} block RAMs"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
