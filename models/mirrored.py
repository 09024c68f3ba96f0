"""The weights of a transposed convolution as ONNX has them, and as a convolution over a spread input does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def mirrored(weights: Array, groups: int) -> Array:
    """(outputs, inputs / groups, kh, kw) of ONNX's (inputs, outputs / groups, kh, kw), the kernel turned around."""
    inputs, each, *kernel = weights.shape
    parts = weights.reshape(groups, inputs // groups, each, *kernel).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(groups * each, inputs // groups, *kernel)[:, :, ::-1, ::-1])


def transposed(weights: Array, groups: int) -> Array:
    """The inverse of `mirrored`."""
    outputs, depth, *kernel = weights.shape
    parts = weights[:, :, ::-1, ::-1].reshape(groups, outputs // groups, depth, *kernel).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(groups * depth, outputs // groups, *kernel))
