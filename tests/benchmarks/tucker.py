"""How long EVBMF and Tucker-2 take on all convolutions of VGG-16: `python -m tests.benchmarks.tucker`.

Random Gaussian weights have no low rank to find, so the weights here are made: for each layer a tensor whose Tucker
ranks are a quarter of its channels, plus noise of half its size. So the ranks found can be compared with those planted;
what trained weights would give, this does not say.

On a busy machine OpenBLAS's threads mostly wait for each other: OPENBLAS_NUM_THREADS=1 is then several times faster.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from accel.models import zoo
from accel.models.compress.tucker import Options, decompose
from accel.models.graph import Conv, Layer, Network, build

LIMIT_SECONDS = 60
NOISE = 0.5
ITERATIONS = 3


def planted(network: Network, seed: int) -> tuple[Network, dict[str, tuple[int, int]]]:
    """`network` with convolutions of low Tucker rank plus noise, and their ranks (R3, R4)."""
    random = np.random.default_rng(seed)
    layers: list[Layer] = []
    ranks = {}
    for layer in network.layers:
        if isinstance(layer, Conv):
            outputs, inputs, *kernel = layer.weights.shape
            r3, r4 = max(1, inputs // 4), outputs // 4
            core = random.standard_normal((r4, r3, *kernel))
            outer, inner = random.standard_normal((outputs, r4)), random.standard_normal((r3, inputs))
            signal = np.tensordot(outer, np.einsum("rskl,si->rikl", core, inner, optimize=True), 1)
            weights = signal / np.sqrt(r3 * r4) + NOISE * random.standard_normal(signal.shape)
            scale = np.sqrt(2 / layer.weights[0].size / (1 + NOISE**2))
            layer = replace(layer, weights=(scale * weights).astype(np.float32))
            ranks[layer.name] = r3, r4
        layers.append(layer)
    return build(network.name, network.input, network.shapes[network.input], tuple(layers)), ranks


def main() -> int:
    """Print a line for each layer and the total; status 1 if it took longer than the limit."""
    network, ranks = planted(zoo.architecture("vgg-16"), 0)
    began, cpu_began = time.perf_counter(), time.process_time()
    _, report = decompose(network, Options(iterations=ITERATIONS, layers=tuple(ranks)))
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    for row in report.layers:
        if row.name in ranks:
            print(
                f"{row.name}: {row.method}, ranks {row.ranks} (planted {ranks[row.name]}), "
                f"{row.macs_before:,} -> {row.macs_after:,} MACs, relative error {row.relative_error:.3f}"
            )
    print(
        f"VGG-16, 13 convolutions, EVBMF + Tucker-2 with {ITERATIONS} sweeps of HOOI: "
        f"{seconds:.1f} s ({cpu_seconds:.1f} s of processor)"
    )
    before, after = (
        sum(getattr(row, what) for row in report.layers if row.name in ranks) for what in ("macs_before", "macs_after")
    )
    print(f"convolutions: {before:,} -> {after:,} MACs ({before / after:.1f} times fewer)")
    print(f"whole network: {report.macs_before:,} -> {report.macs_after:,} MACs")
    return int(seconds > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
