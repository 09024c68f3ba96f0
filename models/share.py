"""Weight sharing: k-means on the weights of each layer (Han et al., arXiv 1510.00149, section 3).

The centroids start evenly between the smallest and the largest weight (the paper's "linear"
initialisation, its best one) and follow Lloyd's algorithm to convergence. In one dimension a cluster is an
interval of the sorted weights, so an iteration needs only the borders, by binary search, and the sums
between them, from prefix sums: 2**bits * log(weights) instead of 2**bits * weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.graph import Network
from models.integer import Int8, IntegerNetwork, Shared
from models.quantise import quantise_with

# Lloyd's algorithm always ends, but rounding could make it alternate between two equally good borders.
LARGEST_ITERATIONS = 10_000


def share(network: Network, calibration: NDArray[Any], bits: int) -> IntegerNetwork:
    """`network` in int8, with the weights of each layer drawn from a codebook of 2**bits codes.

    Every MatrixLayer gets `shared`, one weight scale for the whole layer, and weights that equal
    `codebook[indices]`. `calibration` is as in `models.quantise.quantise`.

    Raises InputError for bits outside 1..8, and what `quantise` raises.
    """
    if bits not in range(1, 9):
        raise InputError(f"bits of weight sharing must be 1..8, not {bits}")

    def codebook_of(
        weights: NDArray[np.float32], smallest: NDArray[np.float64]
    ) -> tuple[Int8, NDArray[np.float64], Shared | None]:
        centroids, indices = cluster(weights, bits)
        scale = max(float(np.abs(centroids).max()) / 127, float(smallest.max())) or 1.0
        codebook = np.clip(np.rint(centroids / scale), -127, 127).astype(np.int8)
        return codebook[indices], np.full(len(weights), scale), Shared(bits, codebook, indices)

    return quantise_with(network, calibration, codebook_of)


def cluster(weights: NDArray[np.float32], bits: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Ascending centroids (2**bits,) and, for each weight, the index of the nearest, in the shape of `weights`.

    A cluster that loses all its weights keeps its centroid.
    """
    flat = np.sort(weights, axis=None).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    centroids = np.linspace(flat[0], flat[-1], 2**bits)
    borders = np.empty(0, np.int64)
    for _ in range(LARGEST_ITERATIONS):
        former = borders
        borders = np.searchsorted(flat, (centroids[1:] + centroids[:-1]) / 2)
        if np.array_equal(borders, former):
            break
        ends = np.concatenate([[0], borders, [len(flat)]])
        counts = np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(counts, 1)
        centroids = np.where(counts > 0, means, centroids)
    indices = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights.astype(np.float64))
    return centroids, indices.astype(np.uint8)
