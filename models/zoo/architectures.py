"""Large networks of the literature as architectures: the layers are the published ones, the weights are random.

They serve to count, to compile and to simulate; no trained weights come with the project. Both end at the logits.
"""

from __future__ import annotations

import math

import numpy as np

from accel.models.errors import InputError
from accel.models.graph import Activation, Conv, Float, Layer, Linear, Network, Pool, Reshape, build
from accel.models.window import Window


def alexnet(random: np.random.Generator | None) -> Network:
    """AlexNet as in Caffe (one GPU, conv2, conv4 and conv5 in two groups): 60,965,224 parameters; input (3, 227, 227).

    Source: Krizhevsky et al., NIPS 2012; bvlc_alexnet of Caffe. The two local response normalisations (after relu1 and
    relu2) are left out: `accel.models.graph` has no such layer. They hold no parameters.
    """
    pool = Window((3, 3), (2, 2))
    chain = _Chain(random, (3, 227, 227))
    chain.conv("conv1", 96, Window((11, 11), (4, 4)))
    chain.pool("pool1", pool)
    chain.conv("conv2", 256, Window((5, 5), pads=(2, 2, 2, 2)), groups=2)
    chain.pool("pool2", pool)
    chain.conv("conv3", 384, Window((3, 3), pads=(1, 1, 1, 1)))
    chain.conv("conv4", 384, Window((3, 3), pads=(1, 1, 1, 1)), groups=2)
    chain.conv("conv5", 256, Window((3, 3), pads=(1, 1, 1, 1)), groups=2)
    chain.pool("pool5", pool)
    return chain.classifier("alexnet", 256 * 6 * 6)


def vgg16(random: np.random.Generator | None) -> Network:
    """VGG-16 (configuration D): 138,357,544 parameters; input (3, 224, 224).

    Source: Simonyan & Zisserman, arXiv 1409.1556, table 1.
    """
    chain = _Chain(random, (3, 224, 224))
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for i in range(1, depth + 1):
            chain.conv(f"conv{block}_{i}", channels, Window((3, 3), pads=(1, 1, 1, 1)))
        chain.pool(f"pool{block}", Window((2, 2), (2, 2)))
    return chain.classifier("vgg-16", 512 * 7 * 7)


ARCHITECTURES = {"alexnet": alexnet, "vgg-16": vgg16}


def architecture(name: str, seed: int | None = 0) -> Network:
    """The architecture `name` (one of ARCHITECTURES) with random weights, the same for the same seed.

    Weights are normal with variance 2 / fan-in (He et al., arXiv 1502.01852: activations keep their size through
    ReLUs), biases are zero. Without a seed weights are zeros that take no memory, for those who want the shapes alone.
    Raises InputError for another name.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"architecture must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    return ARCHITECTURES[name](None if seed is None else np.random.default_rng(seed))


class _Chain:
    """Layers one after the other, each convolution with its ReLU; a local notation, not kept."""

    def __init__(self, random: np.random.Generator | None, shape: tuple[int, int, int]) -> None:
        self.random, self.shape = random, shape
        self.channels, self.tensor = shape[0], "image"
        self.layers: list[Layer] = []

    def conv(self, name: str, channels: int, window: Window, groups: int = 1) -> None:
        weights, bias = _initial(self.random, channels, self.channels // groups, *window.kernel)
        self._append(Conv(name, (self.tensor,), name, weights, bias, window, groups))
        self._relu(name)
        self.channels = channels

    def pool(self, name: str, window: Window) -> None:
        self._append(Pool(name, (self.tensor,), name, "max", window))

    def classifier(self, name: str, features: int) -> Network:
        """fc6, fc7 and fc8 of both networks."""
        self._append(Reshape("flatten", (self.tensor,), "flatten", (features,)))
        for layer, size in (("fc6", 4096), ("fc7", 4096), ("fc8", 1000)):
            weights, bias = _initial(self.random, size, features)
            self._append(Linear(layer, (self.tensor,), layer, weights, bias))
            if layer != "fc8":
                self._relu(layer)
            features = size
        return build(name, "image", self.shape, tuple(self.layers))

    def _relu(self, of: str) -> None:
        name = of.replace("conv", "relu").replace("fc", "relu")
        self._append(Activation(name, (self.tensor,), name))

    def _append(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.tensor = layer.output


def _initial(random: np.random.Generator | None, *shape: int) -> tuple[Float, Float]:
    if random is None:
        return np.broadcast_to(np.float32(0), shape), np.zeros(shape[0], np.float32)
    weights = random.standard_normal(shape, dtype=np.float32)
    weights *= np.float32(math.sqrt(2 / math.prod(shape[1:])))
    return weights, np.zeros(shape[0], np.float32)
