"""Sliding windows as a matrix, for both references.

Tensors stand here as (channels, height, width, batch): a convolution of a whole batch is then a matrix product, whose
result is again in this order, and the matrix is copied in runs of whole rows of the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.phases import phases
from accel.models.window import Window

Array = NDArray[Any]
MATRIX_BYTES = 2**20  # of a product's columns at a time: they stay in the processor's cache
ROWS_BYTES = 2**22  # of the columns that products of several rows of windows share
LEAST_LINE = 256  # columns of a product that are worth a call of the BLAS


def pad(x: Array, window: Window, value: float) -> Array:
    """`x` (C, H, W, N) with its edges repeated, spread and padded with `value`. Pads below 0 cut."""
    x = _with_edges(x, window)
    if not any(window.pads) and window.base_dilation == (1, 1):
        return x
    shape, target, source = list(x.shape), [slice(None)] * 4, [slice(None)] * 4
    for axis, base in enumerate(window.base_dilation):
        before, after, pixels = window.pads[axis], window.pads[axis + 2], x.shape[1 + axis]
        shape[1 + axis] = (pixels - 1) * base + 1 + before + after
        first = max(0, -(before // base))  # the first pixel that is not cut
        last = min(pixels - 1, (shape[1 + axis] - 1 - before) // base)
        at = before + first * base
        count = max(0, last - first + 1)
        target[1 + axis] = slice(at, at + (count - 1) * base + 1, base) if count else slice(0, 0)
        source[1 + axis] = slice(first, first + count)
    out = np.full(shape, value, x.dtype)
    out[tuple(target)] = x[tuple(source)]
    return out


def _with_edges(x: Array, window: Window) -> Array:
    top, left, bottom, right = window.edges
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge") if any(window.edges) else x


def taps(x: Array, window: Window) -> Iterator[tuple[int, int, Array]]:
    """For each kernel position (y, x) the view of padded `x` that it sees, (C, out_h, out_w, N)."""
    height = (x.shape[1] - (window.kernel[0] - 1) * window.dilation[0] - 1) // window.stride[0] + 1
    width = (x.shape[2] - (window.kernel[1] - 1) * window.dilation[1] - 1) // window.stride[1] + 1
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            top, left = i * window.dilation[0], j * window.dilation[1]
            rows = slice(top, top + (height - 1) * window.stride[0] + 1, window.stride[0])
            columns = slice(left, left + (width - 1) * window.stride[1] + 1, window.stride[1])
            yield i, j, x[:, rows, columns]


def reduced(operation: np.ufunc, views: Iterable[tuple[int, int, Array]], kind: type | None = None) -> Array:
    """`operation` over the views of `taps`, one after the other, in type `kind`."""
    total: Array | None = None
    for _, _, view in views:
        total = view.astype(kind or view.dtype, order="C") if total is None else operation(total, view, out=total)
    assert total is not None
    return total


def convolution(
    x: Array, weights: Array, window: Window, groups: int, value: int = 0, any_order: bool = False
) -> Array:
    """The convolution of `x` (C, H, W, N), padded and spread with `value`, as `convolve` gives it.

    `any_order`: the sums are the same in whatever order their terms are added.
    """
    if not window.spread:
        x = pad(x, window, value)
        if any_order and groups == 1 and _by_rows(x, weights, window):
            return convolve_rows(x, weights, window)
        if any_order and window.kernel == window.stride == (1, 1):  # the input is the matrix, in one product
            matrix = np.ascontiguousarray(x, weights.dtype).reshape(groups, weights.shape[1], -1)
            factors = weights.reshape(groups, len(weights) // groups, -1)
            return np.matmul(factors, matrix).reshape(-1, *x.shape[1:])
        return convolve(x, weights, window, groups)
    x, window = _with_edges(x, window), replace(window, edges=(0, 0, 0, 0))
    height, width = x.shape[1:3]
    out = np.empty((len(weights), *window.output_size(height, width), x.shape[3]), weights.dtype)
    # Every sum over empty positions, to which a phase adds what is not one.
    empty = weights.sum((1, 2, 3)) * value
    for phase in phases(window, height, width):
        rest: Array = empty
        part = out[:, *phase.rows]
        part[...] = 0
        if phase.window:
            taps = phase.of(weights)
            part[...] = convolve(pad(x, phase.window, value), taps, phase.window, groups)
            rest = empty - taps.sum((1, 2, 3)) * value
        if value:
            part += rest[:, None, None, None]
    return out


def convolve(x: Array, weights: Array, window: Window, groups: int) -> Array:
    """The convolution of padded `x` (C, H, W, N) with `weights` (O, C / groups, kh, kw), without bias.

    The result (O, out_h, out_w, N) is computed and returned in the type of `weights`.
    """
    out, depth, kh, kw = weights.shape
    x = x.astype(weights.dtype, copy=False)
    views = list(taps(x, window))
    channels, height, width, batch = views[0][2].shape
    factors = weights.reshape(groups, out // groups, -1)
    line = width * batch
    if (height, width, kh, kw) == (1, 1, *x.shape[1:3]):  # fully connected: the input is the matrix
        matrix = np.ascontiguousarray(x).reshape(groups, depth * kh * kw, -1)
        return np.matmul(factors, matrix).reshape(out, height, width, batch)
    sums = np.empty((groups, out // groups, height * line), weights.dtype)
    row_bytes = channels * kh * kw * line * weights.itemsize
    step = max(1, min(height, MATRIX_BYTES // row_bytes))
    for top in range(0, height, step):
        rows = min(step, height - top)
        columns = np.empty((channels, kh, kw, rows, width, batch), weights.dtype)
        for i, j, view in views:
            columns[:, i, j] = view[:, top : top + rows]
        matrix = columns.reshape(groups, depth * kh * kw, -1)
        np.matmul(factors, matrix, out=sums[:, :, top * line : (top + rows) * line])
    return sums.reshape(out, height, width, batch)


def _by_rows(x: Array, weights: Array, window: Window) -> bool:
    """Whether `convolve_rows` can compute this, and is the faster."""
    kh, kw = weights.shape[2:]
    width = (x.shape[2] - (kw - 1) * window.dilation[1] - 1) // window.stride[1] + 1
    # Rows are copied once instead of `kh` times, unless windows do not share them.
    return window.dilation[0] == 1 and window.stride[0] < kh < x.shape[1] and width * x.shape[3] >= LEAST_LINE


def convolve_rows(x: Array, weights: Array, window: Window) -> Array:
    """As `convolve` without groups or dilation of rows, the terms of each sum added in another order.

    Rows of the input stand outermost, and in each the columns that a kernel's columns see: so what lies under a row of
    windows is a matrix as it stands, and the next row of windows has most of it too.
    """
    out, depth, kh, kw = weights.shape
    stride = window.stride[0]
    across = replace(window, kernel=(1, kw), stride=(1, window.stride[1]))
    views = [view for _, _, view in taps(x, across)]  # codes: a copy of them is made real as it is written
    width, batch = views[0].shape[2:]
    height, line = (x.shape[1] - kh) // stride + 1, width * batch
    factors = np.ascontiguousarray(weights.transpose(0, 2, 3, 1)).reshape(out, -1)
    sums = np.empty((out, height, line), weights.dtype)
    step = max(kh, ROWS_BYTES // (stride * kw * depth * line * weights.itemsize))
    for top in range(0, height, step):
        count = min(step, height - top)
        rows = slice(top * stride, (top + count - 1) * stride + kh)
        columns = np.empty((rows.stop - rows.start, kw, depth, width, batch), weights.dtype)
        for j, view in enumerate(views):
            columns[:, j] = view[:, rows].swapaxes(0, 1)
        lines = columns.reshape(len(columns), kw * depth, line)
        for row in range(count):
            np.matmul(factors, lines[row * stride : row * stride + kh].reshape(-1, line), out=sums[:, top + row])
    return sums.reshape(out, height, width, batch)
