"""Layers of few different weights: the codebook that they are drawn from, and what counts as weight sharing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Float

LARGEST_CODEBOOK = 256
SAMPLED = 4096


def codebook_of(weights: Float) -> Float:
    """The distinct values (entries,), 0.0 first and the others ascending; empty if they are more than 256.

    This is what a codebook can hold, shared on purpose or not: `is_shared` tells the two apart.
    """
    flat = weights.reshape(-1)
    if _shows_more(flat, LARGEST_CODEBOOK):
        return np.empty(0, np.float32)
    found = np.unique(flat[flat != 0])
    if np.count_nonzero(flat) < len(flat) or not len(flat):
        found = np.concatenate([np.zeros(1, np.float32), found])
    return found if len(found) <= LARGEST_CODEBOOK else np.empty(0, np.float32)


def has_more(weights: Float, count: int) -> bool:
    """Whether there are more than `count` distinct values."""
    flat = weights.reshape(-1)
    return _shows_more(flat, count) or len(np.unique(flat)) > count


def _shows_more(flat: Float, count: int) -> bool:
    """Whether some of them are more already: most layers that are not shared show it at once, without sorting all."""
    return len(np.unique(flat[:: max(len(flat) // SAMPLED, 1)])) > count


def indices_of(values: Float, codebook: Float) -> NDArray[np.uint8]:
    """The entry of a `codebook_of` that each of `values` is; they must all be in it."""
    if not len(codebook) or codebook[0] != 0:
        return np.searchsorted(codebook, values).astype(np.uint8)
    return np.where(values == 0, 0, np.searchsorted(codebook[1:], values) + 1).astype(np.uint8)


def is_shared(weights: Float) -> bool:
    """Whether a layer's weights are shared: a codebook holds them, and each value but 0 stands twice on average.

    Zeros do not count, so that a small layer that was only pruned is not taken for a shared one.
    """
    codebook = codebook_of(weights)
    return bool(len(codebook)) and 2 * int(np.count_nonzero(codebook)) <= int(np.count_nonzero(weights))
