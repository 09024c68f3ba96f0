"""Weights that are small whole numbers times a scale, as those of an interpolation are, taken as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
CLOSE = 1e-5  # of a code: float32 has about 1e-7 of a number


def exact_codes(weights: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float64]] | None:
    """The smallest codes and a scale for each output of `weights` (outputs, ...), or None if they are not whole."""
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    largest = np.abs(flat).max(1)
    if not largest.all():
        return None
    for code in range(1, LARGEST + 1):
        scale = largest / code
        codes = flat / scale[:, None]
        if np.abs(codes - np.rint(codes)).max() < CLOSE:
            return np.rint(codes).astype(np.int8).reshape(weights.shape), scale
    return None
