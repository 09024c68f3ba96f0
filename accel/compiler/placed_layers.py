"""Layers that the compiler makes: copies of channels, parts of depthwise layers, and what keeps every code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accel.models.integers.network import Layer, MatrixLayer, Requantise, TensorSpec, VectorLayer
from accel.models.window import Window


def some_outputs(layer: MatrixLayer, taken: list[int], name: str, source: str, output: str) -> MatrixLayer:
    """The outputs `taken` of a depthwise layer, of an input that has their channels."""
    r, shared = layer.requantise, layer.shared
    if len(r.bias) > 1:
        r = replace(r, bias=r.bias[taken], multiplier=r.multiplier[taken], shift=r.shift[taken])
    return replace(
        layer,
        name=name,
        input=source,
        output=output,
        weights=layer.weights[taken],
        requantise=r,
        groups=len(taken),
        shared=shared and replace(shared, indices=shared.indices[taken]),
    )


def same_codes(zero_point: int) -> Requantise:
    """One record that keeps every code: times 2**15, shifted by 15."""
    bias = np.array([-zero_point], np.int32)
    return Requantise(bias, np.array([1 << 15], np.uint16), np.array([15], np.uint8), zero_point)


def copy_layer(name: str, source: TensorSpec, output: str, by_vector: bool) -> Layer:
    """A layer that keeps every code: a maximum over one pixel, which keeps lanes, or a product with the identity."""
    count, requantise, window = source.shape[0], same_codes(source.zero_point), Window((1, 1))
    if by_vector:
        return VectorLayer(name, source.name, output, "max", window, requantise)
    return MatrixLayer(name, source.name, output, np.eye(count, dtype=np.int8)[:, :, None, None], window, requantise)
