"""Weight sharing in float: 1-D k-means on the weights of each layer (Han et al., arXiv 1510.00149, section 3).

The three initialisations of the paper's section 3.2. In one dimension a cluster is an interval of the sorted weights,
so an iteration of Lloyd's algorithm needs only the borders, by binary search, and the sums between them, from prefix
sums: k * log(weights) instead of k * weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import has_more
from accel.models.compress.prune import matrix_layers, with_weights
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.network import Shared
from accel.models.quantisation.weights import Quantised, shared_codes

Start = Literal["linear", "density", "random"]
STARTS: tuple[Start, ...] = ("linear", "density", "random")
# Lloyd's algorithm always ends, but rounding could make it alternate between two equally good borders.
LARGEST_ITERATIONS = 10_000
Double = NDArray[np.float64]


def initial(ascending: Double, count: int, start: Start, seed: int = 0) -> Double:
    """`count` ascending centroids for weights that ascend.

    linear: evenly between the smallest and the largest; density: evenly in the cumulative distribution; random: drawn
    from the weights without replacement (with, if there are fewer).
    """
    if start == "linear":
        return np.linspace(ascending[0], ascending[-1], count)
    if start == "density":
        return np.quantile(ascending, (np.arange(count) + 0.5) / count)
    generator = np.random.default_rng(seed)
    return np.sort(generator.choice(ascending, count, replace=len(ascending) < count))


def lloyd(ascending: Double, centroids: Double) -> Double:
    """The centroids after convergence, ascending. A cluster that loses all its weights keeps its centroid."""
    sums = np.concatenate([[0.0], np.cumsum(ascending)])
    borders: NDArray[np.int64] | None = None
    for _ in range(LARGEST_ITERATIONS):
        former = borders
        borders = np.searchsorted(ascending, (centroids[1:] + centroids[:-1]) / 2, side="right")  # as `nearest`
        if former is not None and np.array_equal(borders, former):
            break
        ends = np.concatenate([[0], borders, [len(ascending)]])
        counts = np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(counts, 1)
        centroids = np.where(counts > 0, means, centroids)
    return centroids


def nearest(weights: NDArray[np.float32], centroids: Double) -> NDArray[np.uint8]:
    """The index of the nearest of at most 256 ascending centroids, in the shape of `weights`."""
    return np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights.astype(np.float64)).astype(np.uint8)


def cluster(
    weights: NDArray[np.float32], count: int, start: Start = "linear", seed: int = 0
) -> tuple[Double, NDArray[np.uint8]]:
    """`count` (at most 256) ascending centroids and, for each weight, the index of the nearest, as `weights` lie."""
    ascending = np.sort(weights, axis=None).astype(np.float64)
    centroids = lloyd(ascending, initial(ascending, count, start, seed))
    return centroids, nearest(weights, centroids)


def share_per_output(
    weights: NDArray[np.float32], bits: int, smallest: NDArray[np.float64] | float = 0.0, start: Start = "linear",
    seed: int = 0,
) -> Quantised | None:  # fmt: skip
    """`weights` (outputs, ...) as codes of one codebook of 2**bits, with a scale for each output; None if too few.

    The codes of int8 if a codebook holds them all, else k-means on weights over the largest of their output, rounded to
    such codes; zeros of a pruned layer stay zeros. No scale is below `smallest` (of each output).
    None where there are fewer weights than a codebook has entries for two each.
    """
    matrix = weights.reshape(len(weights), -1)
    largest = np.abs(matrix).max(1)
    used = matrix != 0
    if np.count_nonzero(used) < 2 * 2**bits:
        return None
    scale = np.maximum(np.where(largest > 0, largest, 127).astype(np.float64) / 127, smallest)
    exact = matrix / scale[:, None]
    whole, relative = np.rint(exact).astype(np.int8), exact.astype(np.float32)  # a float32 may round up to a half
    values = (np.flatnonzero(np.bincount(whole.ravel().astype(np.int16) + 128)) - 128).astype(np.int8)
    if len(values) <= 2**bits:  # a codebook holds all codes that int8 has
        whole = whole.reshape(weights.shape)
        return whole, scale, shared_codes(values, np.searchsorted(values, whole), bits)
    pruned = not used.all()
    centroids, indices_used = cluster(relative[used], 2**bits - pruned, start, seed)
    rounded = np.clip(np.rint(centroids), -127, 127).astype(np.int8)
    codebook = np.concatenate([rounded, np.zeros(int(pruned), np.int8)])
    indices = np.full(matrix.shape, 2**bits - 1, np.uint8)
    indices[used] = indices_used
    shared = Shared(bits, codebook, indices.reshape(weights.shape))
    return codebook[shared.indices], scale, shared


def share_weights(network: Network, bits: int | Mapping[str, int], start: Start = "linear", seed: int = 0) -> Network:
    """Give all layers, or those named, at most 2**bits different weights each.

    In a layer that holds zeros these stay out of the clusters: 2**bits - 1 centroids for the other weights, and 0. A
    layer that has no more different weights stays as it is.
    Raises InputError for a layer that does not exist, bits outside 1..8, and an unknown `start`.
    """
    if start not in STARTS:
        raise InputError(f"start of weight sharing must be one of {', '.join(STARTS)}, not {start!r}")
    names = [layer.name for layer in matrix_layers(network)]
    bits = bits if isinstance(bits, Mapping) else dict.fromkeys(names, bits)
    for name, value in bits.items():
        if name not in names:
            raise InputError(f"{network.name}: bits must name one of {', '.join(names)}, not {name!r}")
        if value not in range(1, 9):
            raise InputError(f"{network.name}: bits of weight sharing of {name} must be 1..8, not {value}")
    changed: dict[str, NDArray[np.float32]] = {}
    for layer in matrix_layers(network):
        if layer.name not in bits:
            continue
        used = layer.weights != 0
        count = 2 ** bits[layer.name] - (not used.all())
        weights = layer.weights[used]
        if has_more(weights, count):  # else they are shared without any loss
            centroids, indices = cluster(weights, count, start, seed)
            changed[layer.name] = np.zeros_like(layer.weights)
            changed[layer.name][used] = centroids.astype(np.float32)[indices]
    return with_weights(network, changed)
