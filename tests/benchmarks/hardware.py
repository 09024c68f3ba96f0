"""How well the hardware works: `python -m tests.benchmarks.hardware`. Cycles are counted in Verilator, start to done.

Matrix products on `nano` (8 x 8, 8 bytes a cycle), a 3 x 3 convolution 64 -> 64 on 56 x 56 on `edge` (16 x 16, 16 bytes
a cycle), that and a matrix product 1024^3 on `edge-os`, a fully connected 1024 x 1024 layer at batch 1, dense and
shared, and the LeNets. Each run is checked: output bytes equal the integer reference's, cycles the simulator's. Then
how large the Verilog of the largest array is.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from accel.compile import compile_network
from accel.design import Design, load
from accel.gemm import gemm_network
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, Shared, TensorSpec
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference.int8 import quantise_input, run
from accel.models.window import Window
from accel.rtl.emit import verilog_text
from accel.sim.result import simulate
from accel.timing.recurrence import time_program
from tests.benches.verilator import Built, case_of
from tests.benchmarks.coding import slow
from tests.benchmarks.limits import processor_seconds, report_missed


@dataclass(frozen=True)
class Figure:
    """One run on the hardware."""

    name: str
    design: str
    cycles: int
    peak_percent: float
    dram_percent: float


def convolution(channels: int, outputs: int, size: int) -> IntegerNetwork:
    """A 3 x 3 convolution with padding on `size` x `size` pixels, with random weights."""
    generator = np.random.default_rng(0)
    weights = generator.integers(-127, 128, (outputs, channels, 3, 3)).astype(np.int8)
    shift = 15 + round(np.log2(5000 * (9 * channels) ** 0.5 / 60))
    record = Requantise(
        generator.integers(-4000, 4000, outputs).astype(np.int32),
        generator.integers(32768, 65536, outputs).astype(np.uint16),
        np.full(outputs, shift, np.uint8),
        zero_point=0,
    )
    layer = MatrixLayer("conv", "x", "y", weights, Window((3, 3), (1, 1), (1, 1, 1, 1)), record)
    tensors = {n: TensorSpec(n, (c, size, size), 1.0, 0) for n, c in (("x", channels), ("y", outputs))}
    return IntegerNetwork(f"conv3x3-{channels}-{outputs}-{size}", "x", "y", tensors, (layer,))


def shared_gemm(size: int, bits: int) -> IntegerNetwork:
    """A fully connected layer whose weights are random indices into a codebook of 2**bits entries."""
    network = gemm_network(1, size, size)
    (layer,) = network.layers
    assert isinstance(layer, MatrixLayer)
    generator = np.random.default_rng(bits)
    indices = generator.integers(0, 1 << bits, layer.weights.shape).astype(np.uint8)
    codebook = np.sort(generator.choice(np.arange(-127, 128), 1 << bits, replace=False)).astype(np.int8)
    return replace(network, layers=(replace(layer, weights=codebook[indices], shared=Shared(bits, codebook, indices)),))


def two_of_four(network: IntegerNetwork) -> IntegerNetwork:
    """With the two smallest of each four weights along the input channels 0."""
    (layer,) = network.layers
    assert isinstance(layer, MatrixLayer)
    quads = np.abs(layer.weights.astype(int)).reshape(len(layer.weights), -1, 4, *layer.weights.shape[2:])
    kept = quads.argsort(axis=2).argsort(axis=2) >= 2
    return replace(network, layers=(replace(layer, weights=layer.weights * kept.reshape(layer.weights.shape)),))


def unstructured(network: IntegerNetwork, density: float) -> IntegerNetwork:
    """With weights at random places 0, but for a share of `density`."""
    (layer,) = network.layers
    assert isinstance(layer, MatrixLayer)
    kept = np.random.default_rng(2).random(layer.weights.shape) < density
    return replace(network, layers=(replace(layer, weights=layer.weights * kept),))


# The first: as commit 4b26705 had them. 95 % of the array's peak for what stays in it.
LIMITS = {
    "GEMM 128 x 128 x 128 on nano, cycles": 33_775,
    "GEMM 1 x 128 x 128 on nano, cycles": 2_396,
    "conv 3x3, 64 -> 64, 56 x 56 on edge, cycles": 453_287,
    "fully connected 1024 x 1024 on nano, cycles": 134_273,
    "fully connected 1024 x 1024 on edge, cycles": 66_769,
    "lenet-5, dense on edge, cycles": 49_728,
    "lenet-5, shared 4 bits on edge, cycles": 49_606,
    "lenet-300-100, dense on edge, cycles": 18_228,
    "lenet-300-100, shared 4 bits on edge, cycles": 17_571,
    "GEMM 1024 x 1024 x 1024 on edge-os, cycles": 1024**3 / 16**2 / 0.95,
    "fully connected 1024 x 1024, 4 bits on edge, cycles": 36_000,
    "fully connected 1024 x 1024, 2 bits on edge, cycles": 19_000,
    "conv 3x3, 64 -> 64, 56 x 56, 2:4 on edge-2of4, cycles": 235_000,
    "conv 3x3, 64 -> 64, 56 x 56, 20 % on edge-sparse, cycles": 150_000,
    "lenet-5-deep on edge-sparse, cycles": 10_000,
    "lenet-5-deep on edge-coded, slow, cycles": 60_000,
    "lenet-5-deep on edge-sparse-coded, cycles": 10_000,
    "lenet-5-deep on edge-sparse-coded, slow, cycles": 60_000,
    "Verilog of 64 x 64, MB": 10,
    "Verilog of 64 x 64, s": 30,
}


def workloads() -> list[tuple[str, str, IntegerNetwork]]:
    """Title, design, network."""
    lenets = []
    ranges = zoo.preprocess(zoo.mnist_calibration())
    for name in zoo.NAMES:
        network = zoo.load(name)
        lenets += [(f"{name}, dense", "edge", quantise(network, ranges))]
        lenets += [(f"{name}, shared 4 bits", "edge", share(network, ranges, 4))]
    lenets += [("lenet-5, dense", "edge-os", quantise(zoo.load("lenet-5"), ranges))]
    deep = quantise_compressed(zoo.load("lenet-5-deep"), ranges)
    return [
        ("GEMM 128 x 128 x 128", "nano", gemm_network(128, 128, 128)),
        ("GEMM 1 x 128 x 128", "nano", gemm_network(1, 128, 128)),
        ("GEMM 1024 x 1024 x 1024", "edge-os", gemm_network(1024, 1024, 1024)),
        ("conv 3x3, 64 -> 64, 56 x 56", "edge-os", convolution(64, 64, 56)),
        ("conv 3x3, 64 -> 64, 56 x 56", "edge", convolution(64, 64, 56)),
        ("fully connected 1024 x 1024", "nano", gemm_network(1, 1024, 1024)),
        ("fully connected 1024 x 1024", "edge", gemm_network(1, 1024, 1024)),
        ("fully connected 1024 x 1024, 4 bits", "edge", shared_gemm(1024, 4)),
        ("fully connected 1024 x 1024, 2 bits", "edge", shared_gemm(1024, 2)),
        ("conv 3x3, 64 -> 64, 56 x 56, 2:4", "edge-2of4", two_of_four(convolution(64, 64, 56))),
        ("conv 3x3, 64 -> 64, 56 x 56", "edge-2of4", convolution(64, 64, 56)),
        ("conv 3x3, 64 -> 64, 56 x 56, 20 %", "edge-sparse", unstructured(convolution(64, 64, 56), 0.2)),
        ("lenet-5-deep", "edge-sparse", deep),
        ("lenet-5-deep", "edge-coded", deep),
        ("lenet-5-deep", "edge-coded, slow", deep),
        ("lenet-5-deep", "edge-sparse-coded", deep),
        ("lenet-5-deep", "edge-sparse-coded, slow", deep),
        *lenets,
    ]


def measure(built: Built, title: str, network: IntegerNetwork) -> Figure:
    """Run the network once. Raises AssertionError if reference, simulator and hardware differ."""
    design = built.design
    program = compile_network(network, design)
    if network.name.startswith("lenet"):  # a sparse engine's time depends on the image
        codes = quantise_input(network, zoo.preprocess(zoo.mnist_calibration()[:1]))[0]
    else:
        codes = np.random.default_rng(1).integers(-128, 128, network.tensors[network.input].shape).astype(np.int8)
    case = case_of(program, codes)
    outcome = built.run([replace(case, max_cycles=max(case.max_cycles, 2 * time_program(program).cycles))])[0]
    expected = run(network, codes[None])[network.output][0]
    assert outcome.done
    assert np.array_equal(program.unpack_output(outcome.memory).reshape(expected.shape), expected), title
    result = simulate(program, codes[None])
    assert outcome.cycles == result.cycles, title
    macs = sum(layer.must.macs for layer in program.layers)
    moved = max(outcome.read_beats, outcome.write_beats) * design.beat_bytes
    return Figure(
        title, design.name, outcome.cycles, 100 * macs / (design.rows * design.cols) / outcome.cycles,
        100 * moved / design.bytes_per_cycle / outcome.cycles,
    )  # fmt: skip


def largest() -> Design:
    """A 64 x 64 array."""
    large = load("large")
    return large.model_copy(update={"array": large.array.model_copy(update={"rows": 64, "cols": 64}), "name": "64x64"})


def design_of(name: str) -> Design:
    """A design that ships; "slow": behind the slow memory."""
    base, _, behind = name.partition(", ")
    found = load(base)
    return slow(found).model_copy(update={"name": name}) if behind else found


def main() -> int:
    """Print a line for each workload; the status."""
    cycles: dict[str, float] = {}
    built: dict[str, Built] = {}
    print(f"{'workload':36} {'design':16} {'cycles':>9} {'of peak':>8} {'of DRAM bandwidth':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for title, name, network in workloads():
            if name not in built:
                built[name] = Built(design_of(name), Path(folder) / name.replace(", ", "-"))
            f = measure(built[name], title, network)
            cycles[f"{title} on {name}, cycles"] = f.cycles
            print(f"{f.name:36} {f.design:16} {f.cycles:9,} {f.peak_percent:7.1f}% {f.dram_percent:17.1f}%")
    began = processor_seconds()
    text = verilog_text(Design.model_validate(largest().model_dump()))
    seconds = processor_seconds() - began
    print(f"Verilog of a 64 x 64 array: {len(text) / 1e6:.2f} MB in {seconds:.1f} s of processor time")
    return report_missed(cycles | {"Verilog of 64 x 64, MB": len(text) / 1e6, "Verilog of 64 x 64, s": seconds}, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
