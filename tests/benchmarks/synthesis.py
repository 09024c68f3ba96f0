"""What the hardware costs on an FPGA: `python -m tests.benchmarks.synthesis`. Yosys, Lattice ECP5, block by block.

Blocks that multiply stand there twice, their products in DSP blocks and in LUTs. With `--core` also LeNet-5 as a core
without DRAM (the design `core`), which takes Yosys some minutes; the status is 1 if it needs more block RAM than an
ECP5-25F has. Counted as `accel synth` does: each distinct module by itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

from accel.compile import compile_network
from accel.design import Array, Design, load
from accel.flow.progress import silent
from accel.models import zoo
from accel.models.quantisation.shared import quantise_compressed
from accel.resources import PARTS
from accel.rtl.decoder.decoder import Decoder
from accel.rtl.decoder.entry_lane import EntryLane
from accel.rtl.decoder.lane import Lane
from accel.rtl.emit import TOP, core_text, text_of
from accel.rtl.output_stationary.pe import PE as OutputPE
from accel.rtl.output_stationary.turner import Turner
from accel.rtl.requantise import Requantise
from accel.rtl.sparse.pe import PE as SparsePE
from accel.rtl.systolic.pe import PE
from accel.synthesis.modules import parse
from accel.synthesis.netlist import synthesise
from accel.synthesis.targets import FAMILIES, Cells
from tests.benchmarks.limits import report_missed

EDGE = load("edge")
SPARSE = load("edge-sparse")
OUTPUTS = load("edge-os")
EIE = SPARSE.model_copy(update={"array": Array(rows=1, cols=SPARSE.cols)})
PAIRS = load("edge-2of4")
LISTS = load("edge-sparse-coded")
CODED = EDGE.model_copy(update={"decoder_lanes": 16})
BLOCKS: dict[str, tuple[Design, Callable[[], wiring.Component]]] = {
    "PE of the systolic engine": (EDGE, lambda: PE(EDGE)),
    "PE of the systolic engine with 2:4": (PAIRS, lambda: PE(PAIRS)),
    "PE whose output stays": (OUTPUTS, lambda: OutputPE(OUTPUTS)),
    "turner of 16 words in front of these": (OUTPUTS, lambda: Turner(OUTPUTS)),
    f"PE of the sparse engine, {SPARSE.rows} pixels wide": (SPARSE, lambda: SparsePE(SPARSE)),
    "PE of the sparse engine, 1 pixel wide (EIE)": (EIE, lambda: SparsePE(EIE)),
    "lane of the decoder": (CODED, Lane),
    "lane of a sparse engine's decoder": (LISTS, lambda: EntryLane(LISTS)),
    "decoder with 16 lanes, tables included": (CODED, lambda: Decoder(CODED)),
    "lane of requantisation": (EDGE, lambda: Requantise(EDGE)),
}
CORES = {"LeNet-5 deep": "lenet-5-deep", "LeNet-5 Tucker-2 + deep": "lenet-5-tucker-deep"}


def cells(verilog: str, folder: Path, options: str = "") -> Cells:
    """The cells of the module `TOP` and what is below it."""
    return synthesise(parse(verilog, TOP), FAMILIES["ecp5"], folder, silent, os.cpu_count() or 1, options=options).total


def core(checkpoint: str, folder: Path) -> Cells:
    """A checkpoint of the zoo as a core without DRAM."""
    network = quantise_compressed(zoo.load(checkpoint), zoo.preprocess(zoo.mnist_calibration()))
    return cells(core_text(compile_network(network, load("core"))), folder)


def main() -> int:
    """Print the table; the exit status."""
    columns = "LUT4", "FF", "18 Kb RAM", "18x18"
    print(f"{'block':44}" + "".join(f"{name:>11}" for name in columns))
    found_blocks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, (design, make) in BLOCKS.items():
            text = text_of(make(), design)
            found = cells(text, folder)
            _line(title, found)
            if found.dsp:
                _line("  with products in LUTs", cells(text, folder, "-nodsp"))
        if "--core" in sys.argv[1:]:
            for title, checkpoint in CORES.items():
                found = core(checkpoint, folder)
                _line(title, found)
                found_blocks[title] = found.bram
    return report_missed(found_blocks, dict.fromkeys(found_blocks, PARTS["ecp5-25f"].bram))


def _line(title: str, found: Cells) -> None:
    counts = found.lut, found.ff, found.bram, found.dsp
    print(f"{title:44}" + "".join(f"{count:>11,}" for count in counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
