"""Sliding windows as a matrix, for both references.

Tensors stand here as (channels, batch, height, width): a convolution of a whole batch is then one matrix
product, whose result is again in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.window import Window

Array = NDArray[Any]


def pad(x: Array, window: Window, value: float) -> Array:
    """`x` (C, N, H, W) with the pads of `window` filled with `value`."""
    top, left, bottom, right = window.pads
    if not any(window.pads):
        return x
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def taps(x: Array, window: Window) -> Iterator[tuple[int, int, Array]]:
    """For each kernel position (y, x) the view of padded `x` that it sees, (C, N, out_h, out_w)."""
    height = (x.shape[2] - (window.kernel[0] - 1) * window.dilation[0] - 1) // window.stride[0] + 1
    width = (x.shape[3] - (window.kernel[1] - 1) * window.dilation[1] - 1) // window.stride[1] + 1
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            top, left = i * window.dilation[0], j * window.dilation[1]
            rows = slice(top, top + (height - 1) * window.stride[0] + 1, window.stride[0])
            columns = slice(left, left + (width - 1) * window.stride[1] + 1, window.stride[1])
            yield i, j, x[:, :, rows, columns]


def convolve(x: Array, weights: Array, window: Window, groups: int) -> Array:
    """The convolution of padded `x` (C, N, H, W) with `weights` (O, C / groups, kh, kw), without bias.

    The result (O, N, out_h, out_w) is computed and returned in the type of `weights`.
    """
    out, depth, kh, kw = weights.shape
    columns: Array | None = None
    shape: tuple[int, ...] = ()
    for i, j, view in taps(x, window):
        if columns is None:
            shape = view.shape
            columns = np.empty((shape[0], kh, kw, *shape[1:]), weights.dtype)
        columns[:, i, j] = view
    assert columns is not None
    matrix = columns.reshape(groups, depth * kh * kw, -1)
    return (weights.reshape(groups, out // groups, -1) @ matrix).reshape(out, *shape[1:])
