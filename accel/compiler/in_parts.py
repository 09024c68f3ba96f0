"""Poolings over a whole map that is larger than a window of POST, or than an activation bank, as layers that are not.

A maximum is one of maxima: of each row, then of columns; a row that is longer than a window has several, which overlap
as far as strides are short. A sum must be exact until it is requantised, so it is made in the accumulators: a layer of
ones, one for each channel, that the array reads in parts (`accel.compiler.lower.deep`). Codes do not change.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

import numpy as np

from accel.commands import ConfigPost, most
from accel.compiler.lower.deep import covers
from accel.compiler.placed_layers import same_codes
from accel.design import Design
from accel.models.integers.network import (
    AnyLayer,
    IntegerNetwork,
    MatrixLayer,
    Shared,
    TensorSpec,
    VectorLayer,
    Window,
)

LARGEST_KERNEL, LARGEST_STRIDE = most(ConfigPost, "win_h"), most(ConfigPost, "stride_y")


def in_parts(network: IntegerNetwork, design: Design) -> IntegerNetwork:
    """The network with its too large poolings in parts; itself if it has none."""
    if not any(_too_large(layer, network, design) for layer in network.layers):
        return network
    tensors, layers = dict(network.tensors), list[AnyLayer]()
    for layer in network.layers:
        if not _too_large(layer, network, design):
            layers.append(layer)
        elif layer.reduce == "sum":
            layers.append(_ones(layer, tensors[layer.input].shape[0]))
        else:
            made, between = _maxima(layer, tensors[layer.input])
            layers += made
            tensors |= {tensor.name: tensor for tensor in between}
    return replace(network, tensors=tensors, layers=tuple(layers))


def _too_large(layer: AnyLayer, network: IntegerNetwork, design: Design) -> TypeGuard[VectorLayer]:
    """Whether a layer is a pooling over a whole map, without an operand to add, that no POST can do."""
    if type(layer) is not VectorLayer or layer.residual or not covers(layer, network.tensors[layer.input].shape):
        return False
    height, width = layer.window.kernel
    return max(height, width) > LARGEST_KERNEL or height * width > design.activation_words


def _ones(layer: VectorLayer, channels: int) -> MatrixLayer:
    """The sum of a map's pixels as a layer whose weights are 1, in codes of one bit."""
    indices = np.ones((channels, 1, *layer.window.kernel), np.uint8)
    shared = Shared(1, np.array([0, 1], np.int8), indices)
    return MatrixLayer(
        layer.name, layer.input, layer.output, indices.view(np.int8), Window(layer.window.kernel), layer.requantise,
        channels, None, shared, layer.source,
    )  # fmt: skip


def windows(size: int) -> tuple[int, int]:
    """Kernel and stride of windows that are all of `size` pixels together, the fewest that can be."""
    steps = -(-max(0, size - LARGEST_KERNEL) // LARGEST_STRIDE)
    stride = -(-(size - LARGEST_KERNEL) // steps) if steps else 1
    return size - steps * stride, stride


def _maxima(layer: VectorLayer, source: TensorSpec) -> tuple[list[VectorLayer], list[TensorSpec]]:
    """Maxima of rows, of columns of these, and of what is left if a row or a column has several; what lies between."""
    same = same_codes(source.zero_point)
    (down, step_down), (right, step_right) = (windows(size) for size in source.shape[1:])
    cuts = [Window((1, right), (1, step_right)), Window((down, 1), (step_down, 1))]
    made, between, at = list[VectorLayer](), list[TensorSpec](), source
    for number, window in enumerate(cuts):
        shape = (source.shape[0], *window.output_size(*at.shape[1:]))
        to = replace(source, name=f"{layer.output}:part{number}", shape=shape)
        made.append(
            VectorLayer(f"{layer.name}:part{number}", at.name, to.name, "max", window, same, None, layer.source)
        )
        between.append(to)
        at = to
    return [*made, replace(layer, input=at.name, window=Window(at.shape[1:]))], between
