"""Weights to int8 codes: symmetric, with a scale for each output channel or one for the layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel.models.integers.network import Int8, Shared

BLOCK = 2**20  # weights that are worked on at a time: as float64 those of VGG-16's fc6 take 0.8 GB
# Weights (O, ...) and the smallest scale (O,) that each channel's bias allows -> codes, scale (O,), sharing.
Quantised = tuple[Int8, NDArray[np.float64], Shared | None]
WeightQuantiser = Callable[[NDArray[np.float32], NDArray[np.float64]], Quantised]


def per_channel_weights(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
    """Codes -127..127 with one scale for each output channel."""
    rows = weights.reshape(len(weights), -1)
    largest = np.maximum(rows.max(1), -rows.min(1)).astype(np.float64)
    return _symmetric(weights, np.maximum(largest / 127, smallest))


def per_layer_weights(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
    """Codes -127..127 with one scale for all channels."""
    scale = max(float(max(weights.max(), -weights.min())) / 127, float(smallest.max()))
    return _symmetric(weights, np.full(len(weights), scale))


def shared_codes(codes: Int8, indices: NDArray[np.integer], bits: int | None = None) -> Shared:
    """Weights that are `codes[indices]`, with as many bits as the codes need, or `bits`; the last one fills up."""
    bits = bits or max(1, (len(codes) - 1).bit_length())
    full = np.concatenate([codes, np.full(2**bits - len(codes), codes[-1])])
    return Shared(bits, full, indices.astype(np.uint8))


def _symmetric(weights: NDArray[np.float32], scale: NDArray[np.float64]) -> Quantised:
    scale = np.where(scale > 0, scale, 1.0)  # a channel of zeros: any scale holds it
    codes = np.empty(weights.shape, np.int8)
    step = max(1, BLOCK // max(1, weights[:1].size))
    for first in range(0, len(weights), step):
        part = slice(first, first + step)
        found = np.rint(weights[part] / scale[part].reshape(-1, *[1] * (weights.ndim - 1)))
        codes[part] = np.clip(found, -127, 127)
    return codes, scale, None
