"""Channels of one tensor get magnitudes that are alike: the same network, whose layers fit one codebook each.

Through ReLUs, poolings and additions a channel may be scaled by any number above 0 where it is made, if it is scaled
back where it is read (Nagel et al., arXiv 1906.04721, section 4.1). Here the weights that make a channel and those that
read it get the same sum of squares, in all channels that are added together alike. Batch normalisation that was folded
into weights leaves channels of which some are ten times as large as others; their weights would share few values.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.channels import Sets, is_depthwise
from accel.models.compress.prune import matrix_layers
from accel.models.graph import Activation, Concat, Conv, Linear, Mul, Network, Unary, with_layers

Double = NDArray[np.float64]
SWEEPS = 20  # over all sets of channels, each of which moves what its neighbours see


def balanced(network: Network) -> Network:
    """`network`, its channels balanced wherever only layers without groups make and read them."""
    layers = {layer.name: layer for layer in matrix_layers(network)}
    for _ in range(SWEEPS):
        for makers, readers in _places(network):
            made = np.sum([_squares(layers[name], 0).sum(1) for name in makers], axis=0)
            read = np.sum([_squares(layers[name], 1).reshape(len(made), -1).sum(1) for name in readers], axis=0)
            used = (made > 0) & (read > 0)
            factors = np.where(used, np.divide(read, made, where=used, out=np.ones_like(made)), 1) ** 0.25
            for name in makers:
                layers[name] = _scaled(layers[name], factors, 0)
            for name in readers:
                each = layers[name].weights.shape[1] // len(made)
                layers[name] = _scaled(layers[name], 1 / np.repeat(factors, each), 1)
    return with_layers(network, [layers.get(layer.name, layer) for layer in network.layers])


def _places(network: Network) -> list[tuple[list[str], list[str]]]:
    """For each set of channels that may be scaled the layers that make them, and those that read them."""
    sets = Sets(network)
    fixed = {channels for channels, why in sets.fixed.items() if why}
    makers, readers = dict[str, list[str]](), dict[str, list[str]]()
    for layer in network.layers:
        channels = sets.of[layer.inputs[0]][0][0]
        if isinstance(layer, Concat):  # what reads it reads several sets
            fixed |= {source for source, _ in sets.of[layer.output]}
        if (isinstance(layer, Activation) and not _scales(layer)) or isinstance(layer, Unary | Mul):
            fixed.add(channels)
        if isinstance(layer, Conv) and is_depthwise(layer):
            fixed.add(channels)
        elif isinstance(layer, Conv | Linear):
            makers.setdefault(sets.of[layer.output][0][0], []).append(layer.name)
            readers.setdefault(channels, []).append(layer.name)
    return [(made, readers[channels]) for channels, made in makers.items() if channels not in fixed]


def _scales(layer: Activation) -> bool:
    """Whether a factor above 0 may be taken from in front of the activation to behind it."""
    return layer.low in (0, -math.inf) and layer.high in (0, math.inf)


def _squares(layer: Conv | Linear, axis: int) -> Double:
    """The squares of its weights, (outputs, the others) or with `axis` 1 (inputs, the others)."""
    first = np.moveaxis(layer.weights.astype(np.float64), axis, 0)
    return np.square(first.reshape(len(first), -1))


def _scaled(layer: Conv | Linear, factors: Double, axis: int) -> Conv | Linear:
    """With weights, and along the outputs biases, times `factors`."""
    along = factors.reshape([-1 if i == axis else 1 for i in range(layer.weights.ndim)])
    bias = layer.bias if axis else (layer.bias * factors).astype(np.float32)
    return replace(layer, weights=(layer.weights * along).astype(np.float32), bias=bias)
