"""Weight sharing: k-means on the weights of each layer (Han et al., arXiv 1510.00149, section 3).

The centroids start evenly between the smallest and the largest weight (the paper's "linear"
initialisation, its best one) and follow Lloyd's algorithm to convergence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.cluster import initial, lloyd, nearest
from accel.models.encode.encoded_layer import LARGEST_CODEBOOK
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.network import Int8, IntegerNetwork, Shared
from accel.models.integers.quantise import quantise_with
from accel.models.integers.quantise_weights import per_channel_weights

Quantised = tuple[Int8, NDArray[np.float64], Shared | None]


def share(network: Network, calibration: NDArray[Any], bits: int) -> IntegerNetwork:
    """`network` in int8, with the weights of each layer drawn from a codebook of 2**bits codes.

    Every MatrixLayer gets `shared`, one weight scale for the whole layer, and weights that equal
    `codebook[indices]`. `calibration` is as in `accel.models.integers.quantise.quantise`.

    Raises InputError for bits outside 1..8, and what `quantise` raises.
    """
    if bits not in range(1, 9):
        raise InputError(f"bits of weight sharing must be 1..8, not {bits}")
    return quantise_with(
        network, calibration, lambda weights, smallest: _coded(*cluster(weights, bits), bits, smallest)
    )


def quantise_compressed(network: Network, calibration: NDArray[Any]) -> IntegerNetwork:
    """`network` in int8 as its weights are: layers with few different weights become `shared`, others dense.

    A layer counts as shared if it has at most 256 different weights (0 of a pruned layer among them) and twice as many
    weights or more. `calibration` is as in `accel.models.integers.quantise.quantise`, whose InputErrors are raised.
    """

    def quantiser(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
        values, members = np.unique(weights, return_inverse=True)
        if len(values) > LARGEST_CODEBOOK or 2 * len(values) > weights.size:
            return per_channel_weights(weights, smallest)
        bits = max(1, (len(values) - 1).bit_length())
        full = np.concatenate([values, np.full(2**bits - len(values), values[-1])]).astype(np.float64)
        return _coded(full, members.reshape(weights.shape).astype(np.uint8), bits, smallest)

    return quantise_with(network, calibration, quantiser)


def _coded(
    centroids: NDArray[np.float64], indices: NDArray[np.uint8], bits: int, smallest: NDArray[np.float64]
) -> Quantised:
    """Weights `centroids[indices]` as a codebook of int8 with one scale for the layer."""
    scale = max(float(np.abs(centroids).max()) / 127, float(smallest.max())) or 1.0
    codebook = np.clip(np.rint(centroids / scale), -127, 127).astype(np.int8)
    return codebook[indices], np.full(len(indices), scale), Shared(bits, codebook, indices)


def cluster(weights: NDArray[np.float32], bits: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Ascending centroids (2**bits,) and, for each weight, the index of the nearest, in the shape of `weights`."""
    ascending = np.sort(weights, axis=None).astype(np.float64)
    centroids = lloyd(ascending, initial(ascending, 2**bits, "linear"))
    return centroids, nearest(weights, centroids)
