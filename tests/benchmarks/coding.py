"""Entropy-coded weights, bytes and cycles: `python -m tests.benchmarks.coding`. Status 1 if a limit is missed.

For the zoo's networks on `nano` and `edge`, with as many decoder lanes as a weight row has codes: bytes of weights that
LOADs read (streams, tables, codebooks; records apart), and each layer's share of the critical path, plain and coded.
"""

from __future__ import annotations

import sys

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.design import load
from accel.models import zoo
from accel.models.quantisation.shared import quantise_compressed
from accel.program import Program
from accel.sim.result import simulate
from tests.benchmarks.limits import report_missed

LIMITS = {
    "lenet-5-deep, bytes": 34_000,
    "lenet-5-pruned, bytes": 42_500,
    "lenet-5-tucker-deep, bytes": 17_500,
    "lenet-5, bytes": 400_000,
}
NETWORKS = ("lenet-5-deep", "lenet-5-pruned", "lenet-5-tucker-deep", "lenet-5", "lenet-300-100-deep")
WEIGHTS = (Target.WEIGHT, Target.CODEBOOK, Target.RUN_TABLE, Target.VALUE_TABLE)


def weight_bytes(program: Program) -> int:
    """What LOADs read of weights."""
    loads = [c for c in program.commands if isinstance(c, Load) and c.target in WEIGHTS]
    return sum(c.row_beats * c.rows for c in loads) * program.design.beat_bytes


def main() -> int:
    """Print a table for each network and design; the limits hold of `nano`. Returns the status."""
    found: dict[str, float] = {}
    for name in NETWORKS:
        network = quantise_compressed(zoo.load(name), zoo.preprocess(zoo.mnist_calibration()))
        for design in (load("nano"), load("edge")):
            design = design.model_copy(update={"decoder_lanes": design.weight_codes})
            plain, coded = (simulate(compile_network(network, design, formats)) for formats in ("plain", "coded"))
            chosen = compile_network(network, design)
            sizes = [weight_bytes(compile_network(network, design, formats)) for formats in ("plain", "coded")]
            if design.name == "nano" and f"{name}, bytes" in LIMITS:
                found[f"{name}, bytes"] = sizes[1]
            print(f"{name} on {design.name}: {sizes[0]:,} bytes of weights plain, {sizes[1]:,} coded")
            for before, after, choice in zip(plain.layers, coded.layers, chosen.layers, strict=True):
                told = (
                    f"{side.info.weight_format:16} {side.cycles:7,} ({side.limited_by})" for side in (before, after)
                )
                print(f"  {before.info.name:12} {'  '.join(told)}  chosen {choice.weight_format}")
            total = simulate(chosen).cycles
            print(f"  cycles in all: {plain.cycles:,} plain, {coded.cycles:,} coded, {total:,} chosen")
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
