"""Small float networks of the blocks that the literature joins channels with, as torchvision writes them; a sum."""

from __future__ import annotations

import numpy as np

from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Pool,
    Reshape,
    Select,
    build,
)
from accel.models.window import Window


class Blocks:
    """Layers one after the other; methods take and give names of tensors. Channels of each tensor are in `channels`."""

    def __init__(self, channels: int) -> None:
        self.layers: list[Layer] = []
        self.channels = {"x": channels}
        self.random = np.random.default_rng(0)

    def conv(self, source: str, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True) -> str:
        """Convolution with "same" pads, and ReLU."""
        name, depth = f"conv{len(self.layers)}", self.channels[source] // groups
        weights = self.random.standard_normal((out, depth, kernel, kernel)) / np.sqrt(depth * kernel * kernel / 2)
        bias = self.random.standard_normal(out) / 10
        window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        made = name if not relu else f"{name}.linear"
        self._add(Conv(name, (source,), made, weights.astype(np.float32), bias.astype(np.float32), window, groups), out)
        return self._add(Activation(f"{name}.relu", (made,), name), out) if relu else made

    def pool(self, source: str, kernel: int, stride: int, kind: str = "max") -> str:
        """Pooling with "same" pads."""
        name = f"pool{len(self.layers)}"
        window = Window((kernel, kernel), (stride, stride), ((kernel - 1) // 2,) * 4)
        return self._add(Pool(name, (source,), name, kind, window, True), self.channels[source])  # type: ignore[arg-type]

    def concat(self, *sources: str) -> str:
        """All channels."""
        name = f"concat{len(self.layers)}"
        return self._add(Concat(name, sources, name), sum(self.channels[s] for s in sources))

    def select(self, source: str, channels: range | list[int]) -> str:
        """Some channels."""
        name = f"select{len(self.layers)}"
        return self._add(Select(name, (source,), name, tuple(channels)), len(channels))

    def add(self, first: str, second: str) -> str:
        """The sum, and ReLU."""
        name = f"add{len(self.layers)}"
        self._add(Add(name, (first, second), f"{name}.sum"), self.channels[first])
        return self._add(Activation(f"{name}.relu", (f"{name}.sum",), name), self.channels[first])

    def network(self, name: str, size: int, source: str, classes: int = 10) -> Network:
        """The network, with an average over all pixels and a linear layer at the end."""
        channels = self.channels[source]
        self._add(GlobalPool("mean", (source,), "mean", "average"), channels)
        self._add(Reshape("flat", ("mean",), "flat", (channels,)), channels)
        weights = self.random.standard_normal((classes, channels)).astype(np.float32)
        self._add(Linear("fc", ("flat",), "fc", weights, np.zeros(classes, np.float32)), classes)
        return build(name, "x", (self.channels["x"], size, size), tuple(self.layers))

    def _add(self, layer: Layer, channels: int) -> str:
        self.layers.append(layer)
        self.channels[layer.output] = channels
        return layer.output


def fire() -> Network:
    """SqueezeNet: two fire modules and the pooling of their joined outputs."""
    b = Blocks(3)
    x = b.conv("x", 12, 3, 2)
    for squeezed, expanded in ((4, 12), (6, 16)):
        s = b.conv(x, squeezed)
        x = b.concat(b.conv(s, expanded), b.conv(s, expanded, 3))
        x = b.pool(x, 3, 2)
    return b.network("fire", 16, x)


def inception() -> Network:
    """GoogLeNet: two modules of four branches, one pooled; then a reduction whose branch is the pooling itself."""
    b = Blocks(3)
    x = b.conv("x", 16, 3, 2)
    for a, r3, c3, r5, c5, p in ((8, 6, 13, 2, 4, 5), (10, 7, 16, 3, 5, 6)):
        branches = b.conv(x, a), b.conv(b.conv(x, r3), c3, 3), b.conv(b.conv(x, r5), c5, 3), b.conv(b.pool(x, 3, 1), p)
        x = b.concat(*branches)
    x = b.concat(b.conv(x, 9, 3, 2), b.pool(x, 3, 2))
    return b.network("inception", 16, x)


def dense() -> Network:
    """DenseNet: a block of three layers that read all before them, a transition, and a layer of a second block."""
    b = Blocks(3)
    features = [b.conv("x", 10, 3)]
    for _ in range(3):
        joined = b.concat(*features) if len(features) > 1 else features[0]
        features.append(b.conv(b.conv(joined, 16), 6, 3))
    x = b.pool(b.conv(b.concat(*features), 14), 2, 2, "average")
    x = b.concat(x, b.conv(x, 6, 3))
    return b.network("dense", 10, x)


def shuffle() -> Network:
    """ShuffleNet v2: two units that halve the map, and between them two that split, join and shuffle channels."""
    b = Blocks(3)
    x, half = b.conv("x", 12, 3, 2), 11

    def shuffled(source: str) -> str:
        return b.select(source, [c % 2 * half + c // 2 for c in range(2 * half)])

    def branch(source: str, stride: int) -> str:
        y = b.conv(source, half)
        return b.conv(b.conv(y, half, 3, stride, half, relu=False), half)

    def halved(source: str) -> str:
        channels = b.channels[source]
        left = b.conv(b.conv(source, channels, 3, 2, channels, relu=False), half)
        return shuffled(b.concat(left, branch(source, 2)))

    x = halved(x)
    for _ in range(2):
        kept, worked = b.select(x, range(half)), b.select(x, range(half, 2 * half))
        x = shuffled(b.concat(kept, branch(worked, 1)))
    return b.network("shuffle", 16, halved(x))


def residual() -> Network:
    """ResNet: a block whose tensors have 2,312 words of 8 channels, so that a bank of 4,096 holds one of them."""
    b = Blocks(3)
    x = b.conv("x", 16, 3)
    return b.network("residual", 34, b.add(b.conv(b.conv(x, 16, 3), 16, 3, relu=False), x))


BLOCKS = {network.__name__: network for network in (fire, inception, dense, shuffle, residual)}
