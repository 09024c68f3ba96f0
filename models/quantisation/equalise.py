"""Cross-layer equalisation: channels of one tensor get magnitudes that are alike, so that one scale fits them all.

Where a layer's output reaches the next layer through functions f with f(s x) = s f(x), output c of the first can be
divided by s_c and the weights that read it multiplied by s_c, and the network stays the same (Nagel et al., arXiv
1906.04721, section 4.1). There s_c balances the weights of both layers. Here weights have a scale an output anyway, so
what is balanced is the activation's largest value a_c, over the calibration inputs, against what the next layer's codes
lose, the largest share r_c that its weights of input c have of those of their output: all are alike for
t_c = sqrt(a_c / r_c), as in Xiao et al. (SmoothQuant, arXiv 2211.10438). A depthwise layer loses nothing, since each of
its outputs reads one channel: there t_c = a_c. Of that s_c goes half of the way, sqrt(t_c): other inputs may be larger
than calibration was, and a channel that fills the codes has no room for them.

Layers that meet at a clip (ReLU6) stay: its limit is one for all channels, so a channel that grew would be cut off at
less than before, by inputs that calibration did not show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import is_shared
from accel.models.graph import (
    Activation,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Pool,
    Reshape,
    Unary,
    readers,
    with_layers,
)
from accel.models.grid import grid_of
from accel.models.reference import float32

Double = NDArray[np.float64]
MOST_GAIN = 16.0  # between channels of one tensor: what calibration saw little of may be larger elsewhere
SUFFIX = ".equalised"  # of tensors that hold other numbers than before


@dataclass(frozen=True)
class Pair:
    """Two layers with weights, and the layers between them."""

    first: Conv | Linear
    between: tuple[Layer, ...]
    second: Conv | Linear

    @property
    def tensors(self) -> tuple[str, ...]:
        """All that is scaled."""
        return (self.first.output, *(layer.output for layer in self.between))

    @property
    def coded(self) -> str:
        """The tensor that becomes codes first: what fuses into a layer is before it."""
        fused = [layer.output for layer in self.between if isinstance(layer, Activation | Unary)]
        return fused[-1] if fused else self.first.output


def equalised(network: Network, calibration: NDArray[Any], keep_shared: bool = False) -> Network:
    """`network` with channels equalised wherever it may be; tensors that changed have a name of their own.

    Networks that were quantised stay as they are, with `keep_shared` also layers whose weights are shared or on a grid.
    `calibration` are floats (n, *input shape). Raises InputError for inputs of another shape.
    """
    pairs = () if network.carried else pairs_of(network, keep_shared)
    if not pairs:
        return network
    largest = _largest(network, calibration, {pair.coded for pair in pairs})
    layers: dict[str, Layer] = {layer.name: layer for layer in network.layers}
    for pair in pairs:
        factors = _factors(pair, largest[pair.coded])
        for name, layer in _scaled(pair, factors, layers).items():
            layers[name] = layer
    named = {tensor: tensor + SUFFIX for pair in pairs for tensor in pair.tensors}
    return with_layers(network, (_renamed(layers[layer.name], named) for layer in network.layers))


def pairs_of(network: Network, keep_shared: bool = False) -> tuple[Pair, ...]:
    """All pairs of `network` between which scales can move."""
    read_by = readers(network)
    movable = [x for x in network.layers if isinstance(x, Conv | Linear) and _movable(network, x, keep_shared)]
    found = (_pair(network, read_by, layer) for layer in movable)
    names = {layer.name for layer in movable}
    return tuple(pair for pair in found if pair and pair.second.name in names)


def _pair(network: Network, read_by: dict[str, list[Layer]], first: Conv | Linear) -> Pair | None:
    between, tensor = list[Layer](), first.output
    while tensor not in network.outputs and len(read_by[tensor]) == 1:
        reader = read_by[tensor][0]
        if isinstance(reader, Conv | Linear):
            return Pair(first, tuple(between), reader)
        fused = all(isinstance(layer, Activation | Unary) for layer in between)
        if not (fused and _is_homogeneous(reader)) and not isinstance(reader, Pool | GlobalPool | Reshape):
            return None
        between.append(reader)
        tensor = reader.output
    return None


def _is_homogeneous(layer: Layer) -> bool:
    if isinstance(layer, Activation):
        return layer.low in (0, -math.inf) and layer.high == math.inf
    return isinstance(layer, Unary) and [step.operator for step in layer.function.steps] == ["LeakyRelu"]


def _movable(network: Network, layer: Conv | Linear, keep_shared: bool) -> bool:
    """Whether scaling the layer's weights leaves what it is."""
    if (isinstance(layer, Conv) and layer.window.spread) or len(network.shapes[layer.output]) == 2:
        return False
    return not keep_shared or (not is_shared(layer.weights) and grid_of(layer.weights) is None)


def _largest(network: Network, calibration: NDArray[Any], tensors: set[str]) -> dict[str, Double]:
    """The largest magnitude of each channel of `tensors`, (channels,)."""
    found: dict[str, Double] = {}
    for start in range(0, len(calibration), float32.CHUNK):
        values = float32.run_all(network, calibration[start : start + float32.CHUNK])
        for name in tensors:
            seen = np.abs(values[name]).max(axis=(0, *range(2, values[name].ndim))).astype(np.float64)
            found[name] = np.maximum(found.get(name, 0.0), seen)
    return found


def _factors(pair: Pair, largest: Double) -> Double:
    """What each channel is divided by."""
    if not largest.any():
        return np.ones(len(largest))
    seen = np.maximum(largest, largest.max() / MOST_GAIN**2)
    alike = seen if _is_depthwise(pair.second) else np.sqrt(seen / _shares(pair.second, len(largest)))
    return np.sqrt(alike / alike.max())


def _is_depthwise(layer: Conv | Linear) -> bool:
    return isinstance(layer, Conv) and layer.weights.shape[1] == 1


def _shares(layer: Conv | Linear, channels: int) -> Double:
    """Of each input channel, the largest share that weights of it have of the largest weight of their output."""
    groups = layer.groups if isinstance(layer, Conv) else 1
    weights = np.abs(layer.weights.reshape(groups, len(layer.weights) // groups, channels // groups, -1)).max(3)
    largest = weights.max(2, keepdims=True)
    shares = (weights / np.where(largest > 0, largest, 1)).max(1).reshape(-1).astype(np.float64)
    return np.maximum(shares, 1 / MOST_GAIN**2)


def _scaled(pair: Pair, factors: Double, layers: dict[str, Layer]) -> dict[str, Layer]:
    """Both layers of the pair with their weights scaled."""
    first, second = layers[pair.first.name], layers[pair.second.name]
    assert isinstance(first, Conv | Linear)
    assert isinstance(second, Conv | Linear)
    rows = factors.reshape(-1, *[1] * (first.weights.ndim - 1))
    groups = second.groups if isinstance(second, Conv) else 1
    whole = second.weights.reshape(groups, len(second.weights) // groups, len(factors) // groups, -1)
    columns = factors.reshape(groups, 1, -1, 1)
    return {
        first.name: replace(
            first,
            weights=(first.weights / rows).astype(np.float32),
            bias=(first.bias / factors).astype(np.float32),
        ),
        second.name: replace(second, weights=(whole * columns).astype(np.float32).reshape(second.weights.shape)),
    }


def _renamed(layer: Layer, named: dict[str, str]) -> Layer:
    inputs: Any = tuple(named.get(tensor, tensor) for tensor in layer.inputs)
    return replace(layer, inputs=inputs, output=named.get(layer.output, layer.output))
