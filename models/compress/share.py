"""Weight sharing without training, from a float network to int8 in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import LARGEST_CODEBOOK, is_shared
from accel.models.compress.cluster import share_per_output, share_weights
from accel.models.compress.prune import matrix_layers, with_weights
from accel.models.compress.scaled import closer, in_int8
from accel.models.graph import Float, Network
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.biases import correct_biases
from accel.models.quantisation.method import DEFAULT, Method, by
from accel.models.quantisation.noise import nearest
from accel.models.quantisation.quantise import quantise_with
from accel.models.quantisation.shared import quantised
from accel.models.quantisation.weights import Quantised

__all__ = ["share"]


def share(network: Network, calibration: NDArray[Any], bits: int, method: Method = DEFAULT) -> IntegerNetwork:
    """`network` in int8, with the weights of each layer drawn from a codebook of at most 2**bits codes.

    A layer has one codebook, with one scale (`share_weights`, then `quantise_compressed`) or a scale for each output
    (`share_per_output`) where that loses less of the weights, see `closer`; of that network and the one with one scale
    everywhere the one whose outputs are nearer to the float network's on calibration inputs is taken. The ranges of
    activations are those of the network whose weights are shared, or with 8 bits a scale for each output, which is what
    dense int8 has, of the float network; a layer that is too small to share anything stays dense.

    `method` is as in `quantise`. Raises InputError for bits outside 1..8, and what `quantise` raises.
    """
    return by(method, network, calibration, lambda one, inputs, how: _share(one, inputs, how, bits))


def _share(network: Network, calibration: NDArray[Any], method: Method, bits: int) -> IntegerNetwork:
    """By one method, of a network that is equalised already."""
    plain = replace(method, equalise=False, correct=False)
    of_layer = {layer.name: layer.weights for layer in matrix_layers(share_weights(network, bits))}
    of_outputs, originals = dict[str, Float](), dict[bytes, tuple[Float, Quantised]]()
    for layer in matrix_layers(network):
        candidate, found = of_layer[layer.name], share_per_output(layer.weights, bits)
        if found is None:
            of_layer[layer.name] = layer.weights  # nothing is gained by what its values lose
            continue
        codes, scale, _ = found
        own = (codes * scale.reshape(-1, *[1] * (codes.ndim - 1))).astype(np.float32)
        if not is_shared(candidate) or closer(layer.weights, own, in_int8(candidate)):
            # A codebook of 256 holds the very codes of dense int8, whose ranges are those of the float network.
            seen = layer.weights if 1 << bits == LARGEST_CODEBOOK else own
            of_outputs[layer.name], originals[seen.tobytes()] = seen, (layer.weights, found)

    def quantiser(weights: Float, smallest: NDArray[np.float64]) -> Quantised:
        if weights.tobytes() not in originals:
            return quantised(weights, smallest)
        original, found = originals[weights.tobytes()]
        codes, scale, shared = found
        if shared and (scale >= smallest).all():  # as it was found without a smallest scale
            return codes.reshape(weights.shape), scale, replace(shared, indices=shared.indices.reshape(weights.shape))
        return share_per_output(original.reshape(weights.shape), bits, smallest) or quantised(weights, smallest)

    def made(weights: Mapping[str, Float]) -> IntegerNetwork:
        return quantise_with(with_weights(network, weights), calibration, quantiser, plain)

    one = made(of_layer)
    several = (made(of_layer | of_outputs),) if of_outputs else ()
    if not method.correct:
        return nearest(network, (*several, one), calibration)
    return correct_biases(network, calibration, *several, one)  # what sharing shifts is taken back, too
