"""Sliding windows as a matrix, for both references.

Tensors stand here as (channels, batch, height, width): a convolution of a whole batch is then one matrix
product, whose result is again in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.phases import phases
from accel.models.window import Window

Array = NDArray[Any]


def pad(x: Array, window: Window, value: float) -> Array:
    """`x` (C, N, H, W) with its edges repeated, spread and padded with `value`. Pads below 0 cut."""
    x = _with_edges(x, window)
    if not any(window.pads) and window.base_dilation == (1, 1):
        return x
    shape, target, source = list(x.shape), [slice(None)] * 4, [slice(None)] * 4
    for axis, base in enumerate(window.base_dilation):
        before, after, pixels = window.pads[axis], window.pads[axis + 2], x.shape[2 + axis]
        shape[2 + axis] = (pixels - 1) * base + 1 + before + after
        first = max(0, -(before // base))  # the first pixel that is not cut
        last = min(pixels - 1, (shape[2 + axis] - 1 - before) // base)
        at = before + first * base
        count = max(0, last - first + 1)
        target[2 + axis] = slice(at, at + (count - 1) * base + 1, base) if count else slice(0, 0)
        source[2 + axis] = slice(first, first + count)
    out = np.full(shape, value, x.dtype)
    out[tuple(target)] = x[tuple(source)]
    return out


def _with_edges(x: Array, window: Window) -> Array:
    top, left, bottom, right = window.edges
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), mode="edge") if any(window.edges) else x


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


def convolution(x: Array, weights: Array, window: Window, groups: int, value: int = 0) -> Array:
    """The convolution of `x` (C, N, H, W), padded and spread with `value`, as `convolve` gives it."""
    if not window.spread:
        return convolve(pad(x, window, value), weights, window, groups)
    x, window = _with_edges(x, window), replace(window, edges=(0, 0, 0, 0))
    height, width = x.shape[2:]
    out = np.empty((len(weights), x.shape[1], *window.output_size(height, width)), weights.dtype)
    # Every sum over empty positions, to which a phase adds what is not one.
    empty = weights.sum((1, 2, 3)) * value
    for phase in phases(window, height, width):
        rest: Array = empty
        part = out[:, :, *phase.rows]
        part[...] = 0
        if phase.window:
            taps = phase.of(weights)
            part[...] = convolve(pad(x, phase.window, value), taps, phase.window, groups)
            rest = empty - taps.sum((1, 2, 3)) * value
        if value:
            part += rest[:, None, None, None]
    return out


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
