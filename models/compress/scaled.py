"""Weight sharing in float with a scale for each output, where that is the better: what `share` of a recipe begins with.

The technique `shared-N` (`accel.models.compress.share`) makes the same choice on the way to int8; here the result is a
float network (`accel.models.scaled`), so that the codebook can be trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import is_shared
from accel.models.compress.cluster import Start, share_per_output, share_weights
from accel.models.compress.prune import matrix_layers, with_weights
from accel.models.graph import Conv, Float, Layer, Linear, Network, with_layers
from accel.models.grid import LARGEST_CODE, Grid
from accel.models.quantisation.biases import INPUTS, MOST_FLOATS, channel_means, means
from accel.models.quantisation.noise import nearest
from accel.models.reference import float32
from accel.models.scaled import scale_above, scaled_of
from accel.models.training.images import ImageSet, spread


def share_scaled(network: Network, bits: Mapping[str, int], start: Start = "linear", seed: int = 0) -> Network:
    """The layers that `bits` names with one codebook each of at most 2**bits, and one scale or one for each output.

    A layer has a scale for each output where that loses less of its weights in int8 (`closer`). A layer that has no
    more codes already stays. Raises InputError as `share_weights` does.
    """
    layers = {layer.name: layer.weights for layer in matrix_layers(network)}
    kept = {name for name, count in bits.items() if name in layers and _codes(layers[name]) <= 2**count}
    one = share_weights(network, {name: count for name, count in bits.items() if name not in kept}, start, seed)
    several = {}
    for layer in matrix_layers(one):
        before = layers[layer.name]
        if layer.name in bits and layer.weights is not before:
            found = _per_output(before, bits[layer.name], start, seed)
            if found is not None and (not is_shared(layer.weights) or closer(before, found, in_int8(layer.weights))):
                several[layer.name] = found
    return with_weights(one, several) if several else one


def nearest_shared(network: Network, data: ImageSet, *ways: Network) -> Network:
    """Of `ways`, `network` with other weights, the one whose outputs on some of what is learnt are nearest to its own.

    Each as it is, and with biases that give each layer's outputs their means in `network`, behind the corrected layers
    before: what `accel.models.quantisation.biases` does for int8. Large errors of weights shift means, and training
    would have to find back from there.
    """
    each = sum(map(math.prod, network.shapes.values()))
    some = data.floats(spread(data.train_images, max(4, min(INPUTS, MOST_FLOATS // each))))
    wanted = means(network, some)
    return nearest(network, (x for way in ways for x in (way, _with_means(way, some, wanted))), some)


def _with_means(network: Network, inputs: NDArray[np.float32], wanted: Mapping[str, NDArray[np.float64]]) -> Network:
    """`network` with biases for which layers' outputs have the means `wanted`."""
    tensors = {network.input: inputs}
    layers: list[Layer] = []
    for layer in network.layers:
        read = [tensors[name] for name in layer.inputs]
        if isinstance(layer, Conv | Linear):
            shift = wanted[layer.name] - channel_means(float32.forward(layer, read))
            layer = replace(layer, bias=(layer.bias + shift).astype(np.float32))
        tensors[layer.output] = float32.forward(layer, read)
        layers.append(layer)
    return with_layers(network, layers)


def _codes(weights: Float) -> int:
    """How many codes a layer with a scale for each output has; more than any codebook if it is none."""
    found = scaled_of(weights)
    return LARGEST_CODE**2 if found is None else len(np.unique(found.codes))


def _per_output(weights: Float, bits: int, start: Start, seed: int) -> Float | None:
    """Weights of one codebook with a scale for each output; None if there are too few for one."""
    largest = np.abs(weights.reshape(len(weights), -1)).max(1).astype(np.float64)
    found = share_per_output(weights, bits, scale_above(largest / LARGEST_CODE), start, seed)
    if found is None:
        return None
    codes, scale, _ = found
    shared = Grid(codes, scale.astype(np.float32)).weights  # exact: such a scale has 16 bits
    return None if scaled_of(shared) is None else shared


def in_int8(weights: Float) -> Float:
    """Weights of one codebook as int8 with one scale has them."""
    scale = float(np.abs(weights).max()) / LARGEST_CODE or 1.0
    return (np.rint(weights / scale) * scale).astype(np.float32)


def closer(weights: Float, one: Float, other: Float) -> bool:
    """Whether `one` is closer to `weights` than `other` is, by the mean over outputs of error over power.

    Each output counts alike, whatever its size: behind batch normalisation an output's scale says nothing of its
    weight, since what reads it undoes that.
    """
    matrix = weights.reshape(len(weights), -1).astype(np.float64)
    power = np.square(matrix).sum(1)

    def lost(found: Float) -> float:
        error = np.square(found.reshape(matrix.shape) - matrix).sum(1)
        return float((error[power > 0] / power[power > 0]).mean()) if power.any() else 0.0

    return lost(one) < lost(other)
