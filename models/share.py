"""Weight sharing: k-means on the weights of each layer (Han et al., arXiv 1510.00149, section 3).

The centroids start evenly between the smallest and the largest weight (the paper's "linear"
initialisation, its best one) and follow Lloyd's algorithm to convergence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.compress.cluster import initial, lloyd, nearest
from models.errors import InputError
from models.graph import Network
from models.integer import Int8, IntegerNetwork, Shared
from models.quantise import quantise_with


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
    """Ascending centroids (2**bits,) and, for each weight, the index of the nearest, in the shape of `weights`."""
    ascending = np.sort(weights, axis=None).astype(np.float64)
    centroids = lloyd(ascending, initial(ascending, 2**bits, "linear"))
    return centroids, nearest(weights, centroids)
