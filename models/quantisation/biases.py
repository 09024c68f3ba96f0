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

from accel.models.graph import Conv, Linear, Network
from accel.models.integers.network import AnyLayer, IntegerNetwork, MatrixLayer
from accel.models.quantisation.noise import output_db
from accel.models.reference import float32, int8

Double = NDArray[np.float64]
INT32_MAX = 2**31 - 1
INPUTS = 64  # means of so many inputs are close enough to those of all
MOST_CODES = 2**28  # in all tensors of the inputs that are used: of a large network they are fewer
MOST_FLOATS = 2**26


def correct_biases(network: Network, integer: IntegerNetwork, calibration: NDArray[Any]) -> IntegerNetwork:
    """`integer`, made of the float `network`, with biases that give sums their means in float, if it gains.

    Where weights are far from the float ones (shared with two bits, say), right means in each layer can leave the
    network's outputs further from the float network's than they were: then `integer` stays as it is.

    Layers are matched by name; one that has no namesake, or a channel whose output does not depend on its sums, stays.
    A bias moves by whole units of its accumulator, and no sum leaves 32 bits. `calibration` (n, *input shape) are
    floats. Raises InputError for inputs of another shape.
    """
    each = sum(map(math.prod, network.shapes.values()))
    inputs = calibration[: max(4, min(INPUTS, MOST_CODES // each))]
    wanted = _means(network, inputs)
    tensors = {integer.input: int8.quantise_input(integer, inputs).swapaxes(0, 1)}
    layers: list[AnyLayer] = []

    def corrected(layer: AnyLayer) -> AnyLayer:
        if isinstance(layer, MatrixLayer) and layer.name in wanted:
            layer = _corrected(integer, layer, tensors[layer.input], wanted[layer.name])
        layers.append(layer)
        return layer

    int8.forward(integer, tensors, corrected)
    found = replace(integer, layers=tuple(layers))
    return max(integer, found, key=lambda one: output_db(network, one, calibration))


def _means(network: Network, inputs: NDArray[Any]) -> dict[str, Double]:
    """The mean of each channel of what layers with weights give, (channels,), by name of the layer."""
    sums: dict[str, Double] = {}
    step = max(1, min(float32.CHUNK, MOST_FLOATS // sum(map(math.prod, network.shapes.values()))))
    for start in range(0, len(inputs), step):
        part = inputs[start : start + step]
        tensors = float32.run_all(network, part)
        for layer in network.layers:
            if isinstance(layer, Conv | Linear):
                values = tensors[layer.output]
                axes = (0, 1) if values.ndim == 3 else (0, *range(2, values.ndim))
                mean = values.mean(axes, dtype=np.float64) * len(part)
                sums[layer.name] = sums.get(layer.name, 0.0) + mean
    return {name: total / len(inputs) for name, total in sums.items()}


def _corrected(integer: IntegerNetwork, layer: MatrixLayer, x: NDArray[np.int8], wanted: Double) -> MatrixLayer:
    """The layer with biases for which the mean of its sums over `x` (channels, n, height, width) is `wanted`."""
    to = layer.requantise
    unit = to.multiplier * np.ldexp(1.0, -to.shift.astype(np.int64)) * integer.tensors[layer.output].scale
    if wanted.shape != (len(layer.weights),) or to.table is not None:
        return layer
    sums = int8.matrix_sums(layer, x, integer.tensors[layer.input].zero_point)
    found = sums.reshape(len(sums), -1).mean(1, dtype=np.float64) + to.bias
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(unit > 0, np.rint(wanted / unit - found), 0.0)
    largest = np.maximum(INT32_MAX - layer.largest_sum, np.abs(to.bias.astype(np.int64)))
    bias = np.clip(to.bias + np.nan_to_num(shift), -largest, largest).astype(np.int32)
    return replace(layer, requantise=replace(to, bias=np.broadcast_to(bias, wanted.shape).copy()))
