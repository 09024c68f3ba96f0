"""Weights to int8 codes: symmetric, with a scale for each output channel or one for the layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accel.models.integers.network import Int8, Shared

# Weights (O, ...) and the smallest scale (O,) that each channel's bias allows -> codes, scale (O,), sharing.
Quantised = tuple[Int8, NDArray[np.float64], Shared | None]
WeightQuantiser = Callable[[NDArray[np.float32], NDArray[np.float64]], Quantised]


def per_channel_weights(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
    """Codes -127..127 with one scale for each output channel."""
    largest = np.abs(weights.reshape(len(weights), -1)).max(1).astype(np.float64)
    return _symmetric(weights, np.maximum(largest / 127, smallest))


def per_layer_weights(weights: NDArray[np.float32], smallest: NDArray[np.float64]) -> Quantised:
    """Codes -127..127 with one scale for all channels."""
    scale = max(float(np.abs(weights).max()) / 127, float(smallest.max()))
    return _symmetric(weights, np.full(len(weights), scale))


def _symmetric(weights: NDArray[np.float32], scale: NDArray[np.float64]) -> Quantised:
    scale = np.where(scale > 0, scale, 1.0)  # a channel of zeros: any scale holds it
    codes = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1)))
    return np.clip(codes, -127, 127).astype(np.int8), scale, None
