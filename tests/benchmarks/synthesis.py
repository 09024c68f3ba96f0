"""What the hardware costs on an FPGA: `python -m tests.benchmarks.synthesis`. Yosys, Lattice ECP5, block by block.

Blocks that multiply stand there twice, their products in DSP blocks and in LUTs. With `--core` also LeNet-5 as a core
without DRAM (the design `core`), which takes Yosys some minutes; the status is 1 if it needs more block RAM than an
ECP5-25F has.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

from accel.compile import compile_network
from accel.design import Array, Design, load
from accel.models import zoo
from accel.models.quantisation.shared import quantise_compressed
from accel.rtl.decoder.decoder import Decoder
from accel.rtl.decoder.lane import Lane
from accel.rtl.emit import core_text
from accel.rtl.requantise import Requantise
from accel.rtl.sparse.pe import PE as SparsePE
from accel.rtl.systolic.pe import PE
from tests.benches.synthesis import ECP5_25F_BLOCKS, Cells, block, synthesise
from tests.benchmarks.limits import report_missed

EDGE = load("edge")
SPARSE = load("edge-sparse")
EIE = SPARSE.model_copy(update={"array": Array(rows=1, cols=SPARSE.cols)})
CODED = EDGE.model_copy(update={"decoder_lanes": 16})
BLOCKS: dict[str, tuple[Design, Callable[[], wiring.Component]]] = {
    "PE of the systolic engine": (EDGE, lambda: PE(EDGE)),
    f"PE of the sparse engine, {SPARSE.rows} pixels wide": (SPARSE, lambda: SparsePE(SPARSE)),
    "PE of the sparse engine, 1 pixel wide (EIE)": (EIE, lambda: SparsePE(EIE)),
    "lane of the decoder": (CODED, Lane),
    "decoder with 16 lanes, tables included": (CODED, lambda: Decoder(CODED)),
    "lane of requantisation": (EDGE, lambda: Requantise(EDGE)),
}
CORES = {"LeNet-5 deep": "lenet-5-deep", "LeNet-5 Tucker-2 + deep": "lenet-5-tucker-deep"}


def core(checkpoint: str, folder: Path) -> Cells:
    """A checkpoint of the zoo as a core without DRAM."""
    network = quantise_compressed(zoo.load(checkpoint), zoo.preprocess(zoo.mnist_calibration()))
    return synthesise(core_text(compile_network(network, load("core"))), "accelerator", folder)


def main() -> int:
    """Print the table; the exit status."""
    columns = "LUT4", "FF", "18 Kb RAM", "18x18"
    print(f"{'block':44}" + "".join(f"{name:>11}" for name in columns))
    found_blocks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, (design, make) in BLOCKS.items():
            found = block(make(), design, folder)
            _line(title, found)
            if found.multipliers:
                _line("  with products in LUTs", block(make(), design, folder, "-nodsp"))
        if "--core" in sys.argv[1:]:
            for title, checkpoint in CORES.items():
                found = core(checkpoint, folder)
                _line(title, found)
                found_blocks[title] = found.blocks
    return report_missed(found_blocks, dict.fromkeys(found_blocks, ECP5_25F_BLOCKS))


def _line(title: str, found: Cells) -> None:
    counts = found.luts, found.registers, found.blocks, found.multipliers
    print(f"{title:44}" + "".join(f"{count:>11,}" for count in counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
