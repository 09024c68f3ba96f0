"""How near networks come to their bounds: `python -m tests.benchmarks.efficiency [NETWORK ...]`; `-v`: by convolution.

Each convolution of a network is compiled alone, so that its input is in DRAM and its output goes there, for an array of
32 x 32, 16 bytes a cycle and 540 KiB of buffers; a network's figure is the geometric mean of bound / cycles over its
convolutions. The bound is that of `accel.sim.bound`, the compulsory bytes and products, but for products with the
padding, which are counted as the literature does; the column "strict" leaves them out. Then MobileNet v2 whole, on
that design and on one of 16 x 16, against the strict bound. Cycles are the timing contract's, which the hardware's are
equal to; of a convolution alone those of the fastest of TRIES tilings (`accel simulate --tries`).
Status 1 if a network is below what is wanted.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import exp, log

from accel.compile import time_network
from accel.compiler.compulsory import compulsory
from accel.compiler.prepare import prepare
from accel.design import Design
from accel.models.integers.network import IntegerNetwork
from accel.program import Compulsory
from accel.sim.bound import bound_cycles
from tests.benches.convolutions import NETWORKS, Convolution, mobilenet2_network

WANTED = {
    "vgg-16": 0.95,
    "resnet-18": 0.95,
    "resnet-50": 0.95,
    "googlenet": 0.90,
    "squeezenet-1.1": 0.90,
    "alexnet": 0.90,
    "mobilenet-v1": 0.80,
    "mobilenet-v2": 0.80,
}
TRIES = 200  # of a convolution alone
WHOLE = {32: 0.70, 16: 0.80}  # MobileNet v2


def design_of(size: int, axi_bits: int = 128) -> Design:
    """`size` x `size` behind a memory that brings `axi_bits` a cycle, with 540 KiB of buffers."""
    kib = {"activation": 256, "weight": 128, "accumulator": 128, "parameter": 28}
    return Design.model_validate(
        {
            "name": f"{size}x{size}",
            "array": {"rows": size, "cols": size, "weight_rows": 1},
            "buffers": {f"{name}_bytes": value << 10 for name, value in kib.items()},
            "filter_multipliers": 9,
            "memory": {"axi_bits": axi_bits, "latency_cycles": 40},
            "clock_mhz": 500,
        }
    )


def bound_and_cycles(network: IntegerNetwork, design: Design, tries: int = 0) -> tuple[int, int]:
    """Cycles that no program goes below, and those of the compiler's program; `tries` as of `compile_network`."""
    steps = compulsory(prepare(network, design), {})
    must = Compulsory(*(sum(getattr(step, name) for step in steps) for name in ("macs", "read_bytes", "write_bytes")))
    return bound_cycles(design, must), time_network(network, design, tries=tries).cycles


@cache
def alone(convolution: Convolution, design: Design, tries: int = 0) -> tuple[int, int, int]:
    """Bound with products with the padding and without, and cycles; equal convolutions are compiled once."""
    strict, cycles = bound_and_cycles(convolution.network(), design, tries)
    return max(strict, -(-convolution.macs // (design.rows * design.cols))), strict, cycles


def mean(ratios: Sequence[float]) -> float:
    """Geometric mean."""
    return exp(sum(map(log, ratios)) / len(ratios))


def main(arguments: Sequence[str]) -> int:
    """Print a line for each network; the status."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all without: " + ", ".join(NETWORKS))
    parser.add_argument("-v", action="store_true", help="a line for each convolution")
    parser.add_argument(
        "--tries", type=int, default=TRIES, metavar="N", help="as of accel simulate; 0: by estimate alone"
    )
    options = parser.parse_args(arguments)
    names, missed = options.networks, False
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"networks must be of {', '.join(NETWORKS)}, not {', '.join(sorted(unknown))}")
    print(f"{'network':18} {'convolutions':>12} {'wanted':>7} {'mean':>6} {'least':>6} {'strict':>6}")
    for name in names or NETWORKS:
        design, ratios, stricts = design_of(32), [], []
        for c in NETWORKS[name]():
            bound, strict, cycles = alone(replace(c, name="conv"), design, options.tries)
            ratios.append(bound / cycles)
            stricts.append(strict / cycles)
            if options.v:
                print(f"    {c.name:19} {bound:9,} {cycles:9,} {bound / cycles:6.3f}")
        missed |= mean(ratios) < WANTED[name]
        figures = f"{mean(ratios):6.3f} {min(ratios):6.3f} {mean(stricts):6.3f}"
        print(f"{name:18} {len(ratios):12} {WANTED[name]:7.2f} {figures}", flush=True)
    for size, wanted in () if names else WHOLE.items():
        bound, cycles = bound_and_cycles(mobilenet2_network(), design_of(size))
        missed |= bound / cycles < wanted
        print(
            f"mobilenet-v2 whole on {size} x {size}: {bound:,} / {cycles:,} = {bound / cycles:.3f}, wanted {wanted:.2f}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
