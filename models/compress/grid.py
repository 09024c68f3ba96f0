"""Rounding for rate: weights on a uniform grid, each at the point that is best for error and bits together.

The grid's points are whole multiples of a step, one a layer or one an output. A weight w goes to the multiple k that
minimises

    ((w - k * step) / step)**2 + rate * bits(k)

among 0 and the two multiples that enclose it, where bits(k) is what k takes in the code of
`accel.models.encode.arithmetic`: its flag in its context, its sign, its magnitude. What they take follows from how
often each occurs in the layer as it is rounded so far, and what is best from what they take: the two are repeated in
turn (entropy-constrained quantisation, Chou, Lookabaugh & Gray 1989; in the coding of networks Wiedemann et al.,
DeepCABAC, arXiv 1907.11900). Rounding to the nearest is `rate` 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.prune import matrix_layers, with_weights
from accel.models.encode.arithmetic import CLASSES
from accel.models.errors import InputError
from accel.models.graph import Conv, Float, Layer, Linear, Network, with_layers
from accel.models.grid import LARGEST_CODE, significant

TIMES = 10  # of rounding and counting; most layers stand still before
SMALLEST_STEP = np.float32(2.0**-100)  # below any weight that matters; with the multiples, a normal float32
Double = NDArray[np.float64]
Codes = NDArray[np.int64]


def round_for_rate(weights: Float, levels: int, rate: float, per_output: bool = False) -> Float:
    """`weights` (outputs, ...) on a grid of `levels` (1..127) multiples each way: the largest weight is the last.

    `rate` is what a bit weighs against the square of a step. Zeros stay. With `per_output` each output has a step.
    """
    matrix = weights.reshape(len(weights), -1)
    largest: Float = np.abs(matrix).max(1, keepdims=True)
    if not per_output:
        largest = np.full_like(largest, largest.max())
    steps = np.where(largest > 0, np.maximum(significant(largest / np.float32(levels)), SMALLEST_STEP), np.float32(1))
    codes = _round(matrix.astype(np.float64) / steps, rate, levels)
    found: Float = (codes * steps).astype(np.float32).reshape(weights.shape)
    return found


def _round(scaled: Double, rate: float, levels: int) -> Codes:
    """The multiples for weights in steps."""
    nearest = np.clip(np.rint(scaled), -levels, levels).astype(np.int64)
    if not rate:
        return nearest
    below = np.floor(np.abs(scaled)).astype(np.int64)
    sign = np.sign(scaled).astype(np.int64)
    options = [sign * np.clip(size, 0, levels) for size in (0 * below, below, below + 1)]
    options = [np.where(scaled == 0, 0, option) for option in options]
    codes = nearest
    for _ in range(TIMES):
        costs = Costs(codes)
        total = [(scaled - option) ** 2 + rate * costs.bits(option) for option in options]
        found = np.choose(np.argmin(total, axis=0), options)
        if np.array_equal(found, codes):
            break
        codes = found
    return codes


class Costs:
    """What numbers take in the code at each place of a matrix, if all others are `codes` (outputs, columns).

    From how often bits occur in their contexts in the whole matrix: what an adaptive code takes, but for learning.
    """

    def __init__(self, codes: Codes) -> None:
        kept = codes != 0
        left = np.zeros_like(codes)
        left[:, 1:] = codes[:, :-1]
        in_column = np.cumsum(kept, 0) - kept
        in_row = np.cumsum(kept, 1) - kept
        rows, columns = np.arange(codes.shape[0])[:, None], np.arange(codes.shape[1])
        classes = _fullness(in_column, rows) * CLASSES + _fullness(in_row, columns)
        self._flags = 2 * classes + (left != 0)
        self._flag_bits = _bits(self._flags, kept, 2 * CLASSES**2)
        self._signs = np.sign(left) + 1
        self._sign_bits = _bits(self._signs[kept], codes[kept] < 0, 3)
        sizes = np.bincount(np.abs(codes[kept]), minlength=LARGEST_CODE + 1) + 0.25
        sizes[0] = 1
        self._size_bits = -np.log2(sizes / sizes[1:].sum())

    def bits(self, codes: Codes) -> Double:
        """Bits of each of `codes` at its place."""
        flag = np.where(codes != 0, self._flag_bits[1][self._flags], self._flag_bits[0][self._flags])
        sign = np.where(codes < 0, self._sign_bits[1][self._signs], self._sign_bits[0][self._signs])
        found: Double = flag + np.where(codes != 0, sign + self._size_bits[np.abs(codes)], 0)
        return found


def _fullness(ones: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """As `accel.models.encode.arithmetic.fullness`."""
    ratio = (2 * count + 2) // (2 * ones + 1)
    return np.minimum(np.frexp(ratio)[1] - 1, CLASSES - 1).astype(np.int64)


def _bits(contexts: NDArray[np.int64], ones: NDArray[np.bool_], count: int) -> tuple[Double, Double]:
    """Bits of a 0 and of a 1 in each of `count` contexts."""
    seen = np.bincount(contexts.ravel(), minlength=count) + 1.0
    found = np.bincount(contexts.ravel(), ones.ravel().astype(np.float64), count) + 0.5
    return -np.log2(1 - found / seen), -np.log2(found / seen)


def put_on_grid(
    network: Network, levels: Mapping[str, int], rate: Mapping[str, float], per_output: bool = False
) -> Network:
    """The layers that `levels` names, rounded by `round_for_rate`; `rate` is 0 where it names none.

    Raises InputError for a layer that does not exist.
    """
    layers = {layer.name: layer for layer in matrix_layers(network)}
    for what, given in (("levels", levels), ("rate", rate)):
        for name in given:
            if name not in layers:
                raise InputError(f"{network.name}: {what} must name one of {', '.join(layers)}, not {name!r}")
    return with_weights(
        network,
        {n: round_for_rate(layers[n].weights, count, rate.get(n, 0), per_output) for n, count in levels.items()},
    )


def round_biases(network: Network, bits: int) -> Network:
    """All biases with so many significant bits, 1..24: fewer to store."""
    layers: list[Layer] = [
        replace(layer, bias=significant(layer.bias, bits)) if isinstance(layer, Conv | Linear) else layer
        for layer in network.layers
    ]
    return with_layers(network, layers)
