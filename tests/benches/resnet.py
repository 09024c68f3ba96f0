"""An integer network of ResNet-18's size, with random weights: 21 layers at 224 x 224 with their additions."""

from __future__ import annotations

import numpy as np

from accel.models.integers.network import (
    IntegerNetwork,
    Layer,
    MatrixLayer,
    Requantise,
    Residual,
    TensorSpec,
    VectorLayer,
)
from accel.models.window import Window


class _Builder:
    def __init__(self, size: int) -> None:
        self.generator = np.random.default_rng(0)
        self.tensors = {"x": TensorSpec("x", (3, size, size), 1.0, 0)}
        self.layers: list[Layer] = []

    def _add(self, layer: Layer, channels: int) -> str:
        shape = self.tensors[layer.input].shape
        made = TensorSpec(layer.output, (channels, *layer.window.output_size(*shape[1:])), 1.0, 0)
        self.tensors[layer.output] = made
        self.layers.append(layer)
        return layer.output

    def conv(self, name: str, source: str, out: int, window: Window, residual: str | None = None) -> str:
        """A convolution with ReLU; its output's name."""
        channels = self.tensors[source].shape[0]
        weights = self.generator.integers(-127, 128, (out, channels, *window.kernel)).astype(np.int8)
        shift = 15 + round(np.log2(5000 * weights[0].size ** 0.5 / 60))
        record = Requantise(
            self.generator.integers(-4000, 4000, out).astype(np.int32),
            self.generator.integers(32768, 65536, out).astype(np.uint16), np.full(out, shift, np.uint8), 0, low=0,
        )  # fmt: skip
        added = Residual(residual, 32768, 16, 0) if residual else None
        return self._add(MatrixLayer(name, source, f"{name}:out", weights, window, record, 1, added), out)

    def pool(self, name: str, source: str, window: Window, average: bool) -> str:
        """A pooling; its output's name."""
        multiplier, shift = (42800, 21) if average else (32768, 15)
        record = Requantise(np.array([0], np.int32), np.array([multiplier], np.uint16), np.array([shift], np.uint8), 0)
        layer = VectorLayer(name, source, f"{name}:out", "sum" if average else "max", window, record)
        return self._add(layer, self.tensors[source].shape[0])


def resnet18(size: int = 224) -> IntegerNetwork:
    """He et al., arXiv 1512.03385, table 1, on `size` x `size` pixels (a multiple of 32)."""
    build = _Builder(size)
    at = build.conv("conv1", "x", 64, Window((7, 7), (2, 2), (3, 3, 3, 3)))
    at = build.pool("pool1", at, Window((3, 3), (2, 2), (1, 1, 1, 1)), average=False)
    same = (1, 1, 1, 1)
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            name, beside = f"conv{stage + 2}_{block + 1}", at
            if stride > 1:
                beside = build.conv(f"{name}s", at, channels, Window((1, 1), (stride, stride)))
            inner = build.conv(f"{name}a", at, channels, Window((3, 3), (stride, stride), same))
            at = build.conv(f"{name}b", inner, channels, Window((3, 3), (1, 1), same), beside)
    at = build.pool("pool5", at, Window((size // 32, size // 32)), average=True)
    at = build.conv("fc", at, 1000, Window((1, 1)))
    return IntegerNetwork("resnet-18", "x", at, build.tensors, tuple(build.layers))
