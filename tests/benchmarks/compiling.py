"""How many designs a second are compiled and timed: `OMP_NUM_THREADS=1 python -m tests.benchmarks.compiling`.

Cycles and counters only, as an exploration asks for them: no weight is packed and no image written. Every design is
another one (array, buffers, memory), none is seen twice. LeNet-5, and all 21 layers of ResNet-18 at 224 x 224 with their
residuals and random weights. Seconds are those of the process on one core, after some designs that are not counted.
Status 1 below the limit.
"""

from __future__ import annotations

import os
import sys
import time
from random import Random

import numpy as np

from accel.compile import time_network
from accel.design import Design, load
from accel.models import zoo
from accel.models.integers.network import IntegerNetwork, Layer, MatrixLayer, Requantise, Residual, TensorSpec, VectorLayer
from accel.models.window import Window
from tests.benchmarks.limits import report_missed

WARM = 3
LIMITS = {"LeNet-5, ms a design": 1000 / 150, "ResNet-18, ms a design": 1000 / 8}


def resnet18() -> IntegerNetwork:
    """The shapes of ResNet-18 with random weights: 20 convolutions and the last layer, poolings and residuals."""
    rng = np.random.default_rng(0)
    tensors = {"x": TensorSpec("x", (3, 224, 224), 1.0, 0)}
    layers: list[Layer] = []

    def conv(name: str, source: str, outputs: int, kernel: int, stride: int, residual: str | None = None) -> str:
        channels, height, width = tensors[source].shape
        window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        weights = rng.integers(-127, 128, (outputs, channels, kernel, kernel)).astype(np.int8)
        record = Requantise(
            np.zeros(outputs, np.int32), np.full(outputs, 40000, np.uint16), np.full(outputs, 24, np.uint8), 0, 0
        )
        other = Residual(residual, 16384, 14, 0) if residual else None
        layers.append(MatrixLayer(name, source, f"{name}:out", weights, window, record, 1, other))
        shape = (outputs, *window.output_size(height, width))
        tensors[f"{name}:out"] = TensorSpec(f"{name}:out", shape, 1.0, 0)
        return f"{name}:out"

    def pool(name: str, source: str, reduce: str, window: Window) -> str:
        channels, height, width = tensors[source].shape
        one = Requantise(np.zeros(1, np.int32), np.full(1, 32768, np.uint16), np.full(1, 15, np.uint8), 0)
        layers.append(VectorLayer(name, source, f"{name}:out", reduce, window, one))  # type: ignore[arg-type]
        shape = (channels, *window.output_size(height, width))
        tensors[f"{name}:out"] = TensorSpec(f"{name}:out", shape, 1.0, 0)
        return f"{name}:out"

    at = conv("conv1", "x", 64, 7, 2)
    at = pool("pool1", at, "max", Window((3, 3), (2, 2), (1, 1, 1, 1)))
    for stage, outputs in enumerate((64, 128, 256, 512), 1):
        for block in (1, 2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 1 else 1
            skip = conv(f"{name}.downsample", at, outputs, 1, stride) if stride == 2 else at
            at = conv(f"{name}.conv2", conv(f"{name}.conv1", at, outputs, 3, stride), outputs, 3, 1, skip)
    at = pool("pool2", at, "sum", Window((7, 7)))
    at = conv("fc", at, 1000, 1, 1)
    return IntegerNetwork("resnet-18", "x", at, tensors, tuple(layers))


def designs(base: str, count: int) -> list[Design]:
    """Designs around one that ships, all different."""
    rng, found = Random(count), []
    values = load(base).model_dump()
    for index in range(count):
        rows, cols = rng.choice([8, 16, 32]), rng.choice([8, 16, 32])
        buffers = {name: int(values["buffers"][name] * rng.uniform(0.7, 2)) // 64 * 64 for name in values["buffers"]}
        buffers["program_commands"] = rng.choice([32, 64, 128])
        memory = values["memory"] | {"latency_cycles": rng.randint(10, 100), "axi_bits": rng.choice([64, 128, 256])}
        update = {"name": f"{base}-{index}", "array": {"rows": rows, "cols": cols}, "buffers": buffers, "memory": memory}
        found.append(Design.model_validate(values | update))
    return found


def milliseconds(network: IntegerNetwork, points: list[Design]) -> float:
    """Mean time of a design."""
    for design in points[:WARM]:
        time_network(network, design)
    began = time.process_time()
    for design in points[WARM:]:
        time_network(network, design)
    return 1000 * (time.process_time() - began) / len(points[WARM:])


def main() -> int:
    """Print a line for each network; the status."""
    os.environ.setdefault("ACCEL_COMPILED", "1")  # what a process that compares thousands comes to by itself
    found = {}
    for title, network, base, count in (
        ("LeNet-5", zoo.integer_network("lenet-5"), "edge", 100),
        ("ResNet-18", resnet18(), "large", 12),
    ):
        found[f"{title}, ms a design"] = spent = milliseconds(network, designs(base, count + WARM))
        print(f"{title}: {spent:.1f} ms a design, {1000 / spent:.1f} designs a second")
    return report_missed(found, LIMITS)


if __name__ == "__main__":
    sys.exit(main())
