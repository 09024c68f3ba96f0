"""Cycles of MLPerf Tiny's networks: `python -m tests.benchmarks.tiny_cycles`.

The four networks as they are published in int8 (`accel.models.zoo.TINY`): on `edge` with plain weights, and behind a
memory of one byte a cycle (32 bits, a beat in four cycles) on `edge`, `edge-coded` with 64 lanes and with 16, and
`edge-sparse-coded`, each with the weights that are fastest there. Beside the cycles stand the bytes of weights that are
read, those of depthwise layers and all tables of codes included, records of requantisation not, and what Vela
estimates for an Ethos-U55-256; of the designs the fastest counts that reads no more bytes than wanted. Status 1 if a
figure is above its limit.
"""

from __future__ import annotations

import sys

from accel.compile import compile_network
from accel.design import Design, load
from accel.memories import RECORD_BYTES
from accel.models import zoo
from accel.models.integers.network import MatrixLayer
from accel.sim.result import simulate
from tests.benches.model_networks import with_own_scales
from tests.benchmarks.limits import report_missed

EDGE = {"resnet-8": 52_500, "ds-cnn": 15_000, "mobilenet-v1-0.25": 45_000, "autoencoder": 18_000}
VELA = {"resnet-8": 141_933, "ds-cnn": 58_340, "mobilenet-v1-0.25": 161_459, "autoencoder": 201_184}
WEIGHT_BYTES = {"mobilenet-v1-0.25": 41_500, "autoencoder": 178_000}
SLOW = (("edge", 0), ("edge-coded", 64), ("edge-coded", 16), ("edge-sparse-coded", 16))  # with lanes of the decoder


def slow(name: str, lanes: int) -> Design:
    """A design that ships behind one byte a cycle, with so many lanes of its decoder."""
    design = load(name)
    memory = design.memory.model_copy(update={"axi_bits": 32, "beat_interval_cycles": 4})
    return design.model_copy(update={"memory": memory, "decoder_lanes": lanes})


def main() -> int:
    """Print a line for each network and design; the status."""
    found: dict[str, float] = {}
    limits: dict[str, float] = {}
    for name in zoo.TINY:
        network = with_own_scales(zoo.resolve(name))
        records = RECORD_BYTES * sum(len(layer.weights) for layer in network.layers if isinstance(layer, MatrixLayer))
        found[name], limits[name] = simulate(compile_network(network, load("edge"), "plain")).cycles, EDGE[name]
        print(f"{name:18} {found[name]:9,} cycles on edge, wanted {EDGE[name]:,}", flush=True)
        runs = []
        for design in SLOW:
            result = simulate(compile_network(network, slow(*design)))
            weights = result.total.info.weight_bytes - records
            runs.append((weights > WEIGHT_BYTES.get(name, weights), result.cycles, weights))
            print(f"    {design[0]:18} {design[1]:3} lanes {result.cycles:9,} cycles {weights:9,} bytes", flush=True)
        _, cycles, weights = min(runs)
        print(f"    a byte a cycle: {cycles:,} cycles, Vela's {VELA[name]:,}; {weights:,} bytes of weights")
        found[f"{name}, a byte a cycle"], limits[f"{name}, a byte a cycle"] = cycles, VELA[name]
        if name in WEIGHT_BYTES:
            found[f"{name}, bytes"], limits[f"{name}, bytes"] = weights, WEIGHT_BYTES[name]
    return report_missed(found, limits)


if __name__ == "__main__":
    sys.exit(main())
