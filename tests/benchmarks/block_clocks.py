"""Clocks of small blocks by the options of a design: `python -m tests.benchmarks.block_clocks [KEY...]`.

Places and routes the blocks (ECP5-85F, speed 6, seed 1, extra `fpga`) whose keys are not in the table of
`accel.resources` (accel/resources/data/runs.json), or those that are named, and writes their clocks there: what
`accel.resources.fmax` knows of blocks. Then `python -m tests.benchmarks.resources --fit`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from amaranth.lib import wiring

from accel.design import Design
from accel.resources.fmax import blocks
from accel.rtl.emit import TOP, text_of
from accel.synthesis.modules import parse
from accel.synthesis.place import place
from accel.synthesis.targets import TARGETS
from tests.benches.resource_designs import OS, SPARSE, TWO_OF_FOUR, small
from tests.benchmarks.clocks import BLOCKS
from tests.benchmarks.resources import read, write

MADE: dict[str, Callable[[Design], wiring.Component]] = {
    "array": BLOCKS["array"][0], "output-array": BLOCKS["output-array"][0], "sparse-pe": BLOCKS["sparse-pe"][0],
    "weights": BLOCKS["weights"][0], "accumulators": BLOCKS["accumulators"][0], "feeder": BLOCKS["feeder"][0],
    "post": BLOCKS["post"][0], "loader": BLOCKS["loader"][0], "storer": BLOCKS["storer"][0],
    "sequencer": BLOCKS["sequencer"][0],
}  # fmt: skip
"""What a block of `accel.resources.fmax` is."""


def designs() -> Iterator[Design]:
    """Designs that have all blocks that are placed: 4 x 4, with two lanes behind."""
    for multiplier, stages in product(("portable", "ecp5"), (1, 2, 3)):
        values = {"multiplier": multiplier, "post_multiplier_stages": stages, "memory_stages": min(stages, 2)}
        for name, engine in (("ws", {}), ("os", OS), ("2of4", TWO_OF_FOUR), ("sparse", SPARSE)):
            for decoders in (0, 2):
                yield small(
                    f"{name}-{multiplier}-{stages}", 4, 4, 32, **values, engine=engine | {"multiplier_stages": stages},
                    post_lanes=2, decoder_lanes=decoders,
                )  # fmt: skip


def wanted() -> dict[str, Design]:
    """By the key of a block, the design whose block is placed."""
    found = {key: design for design in reversed([*designs()]) for key in blocks(design)}
    return dict(sorted(found.items(), key=lambda item: not item[0].endswith(("portable 1", "block 3"))))


def clock(key: str, design: Design) -> float:
    """MHz of a block alone."""
    on = TARGETS["ecp5-85f"]
    with tempfile.TemporaryDirectory() as folder:
        text = text_of(MADE[key.split()[0]](design), design)
        (found,) = place(parse(text, TOP), on, Path(folder))
        return round(found.fmax_mhz, 1)


def main() -> int:
    """Place what is missing or named, and write the table after each."""
    named = sys.argv[1:]
    for key, design in wanted().items():
        if any(key.startswith(name) for name in named) if named else key not in read()["clocks"]:
            mhz = clock(key, design)
            table = read()
            table["clocks"][key] = mhz
            write(table)
            print(f"{key:24} {mhz:6.1f} MHz", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
