"""Entropy-coded weights, bytes and cycles: `python -m tests.benchmarks.coding`. Status 1 if a limit is missed.

For the zoo's networks on `nano` with 16 decoder lanes, on `edge-coded` and on `edge-sparse-coded`, also behind the slow
memory: bytes of weights that LOADs read (streams, tables, codebooks; records apart), and each layer's share of the
critical path, plain and coded. The limits of bytes hold of `nano` and `edge-sparse-coded`.
"""

from __future__ import annotations

import sys

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.compiler.choose import Formats
from accel.design import Design, load
from accel.models import zoo
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference.int8 import quantise_input
from accel.program import Program
from accel.sim.result import simulate
from tests.benchmarks.limits import report_missed

BYTES = {"lenet-5-deep": 34_000, "lenet-5-pruned": 42_500, "lenet-5-tucker-deep": 17_500, "lenet-5": 400_000}
LIMITS = {
    **{f"{name} on {design}, bytes": most for name, most in BYTES.items() for design in ("nano", "edge-sparse-coded")},
    "lenet-5-deep on edge-sparse-coded, cycles": 10_000,
    "lenet-5-deep on edge-sparse-coded, slow, cycles": 60_000,
}
CHOICES: tuple[Formats, ...] = ("plain", "coded", "auto")
WAYS = ("plain", "coded", "chosen")
NETWORKS = ("lenet-5-deep", "lenet-5-pruned", "lenet-5-tucker-deep", "lenet-5", "lenet-300-100-deep")
WEIGHTS = (Target.WEIGHT, Target.CODEBOOK, Target.RUN_TABLE, Target.VALUE_TABLE)


def weight_bytes(program: Program) -> int:
    """What LOADs read of weights."""
    loads = [c for c in program.commands if isinstance(c, Load) and c.target in WEIGHTS]
    return sum(c.row_beats * c.rows for c in loads) * program.design.beat_bytes


def designs() -> list[Design]:
    """Those that are compared."""
    return [load("nano").model_copy(update={"decoder_lanes": 16}), load("edge-coded"), load("edge-sparse-coded")]


def slow(design: Design) -> Design:
    """Behind a bus of 32 bits with a beat in four cycles."""
    memory = design.memory.model_copy(update={"axi_bits": 32, "beat_interval_cycles": 4})
    return design.model_copy(update={"memory": memory})


def main() -> int:
    """Print a table for each network and design. Returns the status."""
    found: dict[str, float] = {}
    digit = zoo.preprocess(zoo.mnist_calibration()[:1])
    for name in NETWORKS:
        network = quantise_compressed(zoo.load(name), zoo.preprocess(zoo.mnist_calibration()))
        codes = quantise_input(network, digit)
        for design in designs():
            programs = [compile_network(network, design, formats) for formats in CHOICES]
            results = [simulate(program, codes) for program in programs]
            (plain, coded, chosen), sizes = results, [weight_bytes(program) for program in programs]
            for before, after, choice in zip(plain.layers, coded.layers, chosen.layers, strict=True):
                told = (
                    f"{side.info.weight_format:16} {side.cycles:7,} ({side.limited_by})" for side in (before, after)
                )
                print(f"  {before.info.name:12} {'  '.join(told)}  chosen {choice.info.weight_format}")
            behind = simulate(compile_network(network, slow(design)), codes).cycles
            bytes_of = ", ".join(f"{size:,} {what}" for size, what in zip(sizes, WAYS, strict=True))
            cycles = ", ".join(f"{result.cycles:,} {what}" for result, what in zip(results, WAYS, strict=True))
            title = f"{name} on {design.name}"
            print(f"{title}: bytes of weights {bytes_of}; cycles {cycles}, {behind:,} behind the slow memory")
            counts = {"bytes": sizes[1], "cycles": chosen.cycles, "slow, cycles": behind}
            found |= {f"{title}, {what}": value for what, value in counts.items() if f"{title}, {what}" in LIMITS}
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
