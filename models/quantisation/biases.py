"""Bias correction: rounded weights shift the mean of what a channel sums up, and its bias takes the shift back.

Nagel et al., "Data-free quantization through weight equalization and bias correction", arXiv 1906.04721, section 4.2,
with the means measured on calibration inputs instead of derived: layer by layer, each behind the corrected ones, so
that what earlier layers shifted is taken back too. It costs nothing on the hardware.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Conv, Float, Linear, Network
from accel.models.integers.network import AnyLayer, IntegerNetwork, MatrixLayer, Requantise
from accel.models.quantisation.noise import nearest
from accel.models.reference import float32, int8

Double = NDArray[np.float64]
INT32_MAX = 2**31 - 1
INPUTS = 64  # means of so many inputs are close enough to those of all
MOST_CODES = 2**28  # in all tensors of the inputs that are used: of a large network they are fewer
MOST_FLOATS = 2**26


def correct_biases(network: Network, calibration: NDArray[Any], *made: IntegerNetwork) -> IntegerNetwork:
    """The nearest to the float `network`, by the outputs, of those `made` of it, as they are or with corrected biases.

    These give sums their means in float. Where weights are far from the float ones (shared with two bits, say), right
    means in each layer can leave the network's outputs further from the float network's than they were.

    Layers are matched by name; one that has no namesake, or a channel whose output does not depend on its sums, stays.
    A bias moves by whole units of its accumulator, and no sum leaves 32 bits. `calibration` (n, *input shape) are
    floats. Raises InputError for inputs of another shape.
    """
    each = sum(map(math.prod, network.shapes.values()))
    inputs = calibration[: max(4, min(INPUTS, MOST_CODES // each))]
    wanted = means(network, inputs)
    ways = (way for integer in made for way in (integer, _with_means(integer, inputs, wanted)))
    return nearest(network, ways, calibration)


def _with_means(integer: IntegerNetwork, inputs: NDArray[Any], wanted: dict[str, Double]) -> IntegerNetwork:
    """`integer` with biases for which the means of sums are those `wanted`, by name of the layer."""
    tensors = {integer.input: int8.batch_last(int8.quantise_input(integer, inputs))}
    found: dict[str, AnyLayer] = {}

    def corrected(layer: MatrixLayer, sums: Double) -> Requantise:
        if layer.name not in wanted:
            return layer.requantise
        to = _corrected(layer, sums, integer.tensors[layer.output].scale, wanted[layer.name])
        found[layer.name] = replace(layer, requantise=to)
        return to

    int8.forward(integer, tensors, corrected)
    return replace(integer, layers=tuple(found.get(layer.name, layer) for layer in integer.layers))


def means(network: Network, inputs: NDArray[Any]) -> dict[str, Double]:
    """The mean of each channel of what layers with weights give, (channels,), by name of the layer."""
    sums: dict[str, Double] = {}
    step = max(1, min(float32.CHUNK, MOST_FLOATS // sum(map(math.prod, network.shapes.values()))))
    for start in range(0, len(inputs), step):
        part = inputs[start : start + step]
        tensors = float32.run_all(network, part)
        for layer in network.layers:
            if isinstance(layer, Conv | Linear):
                mean = channel_means(tensors[layer.output]) * len(part)
                sums[layer.name] = sums.get(layer.name, 0.0) + mean
    return {name: total / len(inputs) for name, total in sums.items()}


def channel_means(values: Float) -> Double:
    """The mean of each channel of a tensor with its batch, (channels,)."""
    axes = (0, 1) if values.ndim == 3 else (0, *range(2, values.ndim))
    found: Double = values.mean(axes, dtype=np.float64)
    return found


def _corrected(layer: MatrixLayer, sums: Double, scale: float, wanted: Double) -> Requantise:
    """With biases for which the mean of `sums` (channels, height, width, n), in steps of `scale`, is `wanted`."""
    to = layer.requantise
    unit = to.multiplier * np.ldexp(1.0, -to.shift.astype(np.int64)) * scale
    if wanted.shape != (len(layer.weights),) or to.table is not None:
        return to
    found = sums.reshape(len(sums), -1).mean(1, dtype=np.float64) + to.bias
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(unit > 0, np.rint(wanted / unit - found), 0.0)
    largest = np.maximum(INT32_MAX - layer.largest_sum, np.abs(to.bias.astype(np.int64)))
    bias = np.clip(to.bias + np.nan_to_num(shift), -largest, largest).astype(np.int32)
    return replace(to, bias=np.broadcast_to(bias, wanted.shape).copy())
