"""Untrained networks: first weights, and a notation for layers that stand one after the other."""

from __future__ import annotations

import math

import numpy as np

from accel.models.graph import (
    Activation,
    Conv,
    Float,
    Layer,
    Linear,
    Network,
    Pool,
    Reshape,
    Shape,
    build,
    output_shape,
)
from accel.models.window import Window

IMAGE = "image"  # the input of every chain


def initial(random: np.random.Generator | None, *shape: int, variance: float = 1.0) -> tuple[Float, Float]:
    """Normal weights of `shape` (outputs, inputs, ...) and `variance` / fan-in, and a bias of zeros, float32.

    A variance of 2 keeps the size of activations through ReLUs (He et al., arXiv 1502.01852, equation 10). Without a
    generator weights are zeros that take no memory, for those who want the shapes alone.
    """
    bias = np.zeros(shape[0], np.float32)
    if random is None:
        return np.broadcast_to(np.float32(0), shape), bias
    weights, deviation = np.empty(shape, np.float32), math.sqrt(variance / math.prod(shape[1:]))
    for output in weights:  # the numbers are drawn in float64: those of VGG-16's fc6 all at once would take 0.8 GB
        output[...] = random.standard_normal(shape[1:]) * deviation
    return weights, bias


class Chain:
    """Layers one after the other, each with its first weights; a local notation: what is kept is what `network` gives.

    `shape` is that of the input, then of what the last layer writes. With `he` a layer in front of a ReLU gets weights
    of twice the variance. Raises InputError, in the methods, for a layer that does not fit.
    """

    def __init__(self, random: np.random.Generator | None, shape: Shape, he: bool = True) -> None:
        self.random, self.input_shape, self.shape, self.he = random, shape, shape, he
        self.tensor, self.layers = IMAGE, list[Layer]()

    def conv(self, name: str, channels: int, window: Window, groups: int = 1, relu: str = "") -> None:
        """A convolution, and a ReLU if that has a name."""
        shape = (channels, self.shape[0] // groups, *window.kernel)
        weights, bias = initial(self.random, *shape, variance=self._variance(relu))
        self._append(Conv(name, (self.tensor,), name, weights, bias, window, groups))
        self._activation(relu)

    def linear(self, name: str, outputs: int, relu: str = "", tensor: str = "", gain: float = 1.0) -> None:
        """A fully connected layer that writes `tensor` (called as the layer if not given), and a ReLU if it has a name.

        The standard deviation of the weights is multiplied by `gain`.
        """
        weights, bias = initial(self.random, outputs, self.shape[-1], variance=self._variance(relu))
        scaled = weights if gain == 1 else weights * np.float32(gain)
        self._append(Linear(name, (self.tensor,), tensor or name, scaled, bias))
        self._activation(relu)

    def pool(self, name: str, window: Window) -> None:
        """Maximum pooling."""
        self._append(Pool(name, (self.tensor,), name, "max", window))

    def flatten(self) -> None:
        """All values as one vector."""
        self._append(Reshape("flatten", (self.tensor,), "flatten", (math.prod(self.shape),)))

    def network(self, name: str) -> Network:
        """The checked network. Raises InputError."""
        return build(name, IMAGE, self.input_shape, tuple(self.layers))

    def _variance(self, relu: str) -> float:
        return 2.0 if relu and self.he else 1.0

    def _activation(self, name: str) -> None:
        if name:
            self._append(Activation(name, (self.tensor,), name))

    def _append(self, layer: Layer) -> None:
        self.layers.append(layer)
        self.shape, self.tensor = output_shape(layer, [self.shape]), layer.output
