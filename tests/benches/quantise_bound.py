"""How far an integer network can lie from the float one: the errors of rounding, carried through the layers.

An oracle of quantisation that knows nothing of codes: each tensor that is held in int8 is off by half a step, each
weight by half of a step of its own, and a layer passes on the error of its input at most so many times as the weights
of one output sum to. Clips, maxima, averages and a reshape pass it on as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Add, Concat, Conv, Layer, Linear, Mul, Network, Softmax, Sub, Unary
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import float32

MULTIPLIER_ERROR = 2.0**-16  # of a multiplier with 16 significant bits


def largest_possible_error(network: Network, integer: IntegerNetwork, inputs: NDArray[Any]) -> float:
    """The largest difference between the outputs of both that rounding explains, for the inputs of the calibration."""
    largest = {name: float(np.abs(v).max()) for name, v in float32.run_all(network, inputs).items()}
    roundings = {
        x.output: 2 if getattr(x, "residual", None) else 1 for x in integer.layers
    }  # a residual is rounded on its own

    def held(tensor: str, error: float) -> float:
        """The error of `tensor` when it is written to int8, or not if it never is."""
        if tensor not in integer.tensors:
            return error
        half_step = integer.tensors[tensor].scale / 2
        return error + half_step * roundings.get(tensor, 1) + MULTIPLIER_ERROR * (largest[tensor] + error)

    error = {network.input: held(network.input, 0.0)}
    for layer in network.layers:
        error[layer.output] = held(layer.output, _passed_on(layer, error, largest))
        if isinstance(layer, Unary):  # its argument may saturate where that is half a step at most
            error[layer.output] += integer.tensors[layer.output].scale / 2 if layer.output in integer.tensors else 0
    return error[network.output]


def _passed_on(layer: Layer, error: dict[str, float], largest: dict[str, float]) -> float:
    """The error of a layer's output before that is rounded."""
    before = error[layer.inputs[0]]
    match layer:
        case Conv() | Linear():
            weights = np.abs(layer.weights.reshape(len(layer.weights), -1).astype(np.float64))
            half_steps = weights.max(1) / 127 / 2
            of_weights = half_steps * weights.shape[1] * (largest[layer.inputs[0]] + before)
            # A bias is a whole number of products of the two steps; the input's is at most twice its error.
            of_bias = half_steps * 2 * before
            return float((weights.sum(1) * before + of_weights + of_bias).max())
        case Concat():
            return max(error[tensor] for tensor in layer.inputs)
        case Unary():  # the argument's codes cover twice its largest value at most; no slope is above 1.1
            argument = largest[layer.inputs[0]] + before
            return 1.1 * (before + argument / 255 + MULTIPLIER_ERROR * argument)
        case Add() | Sub():
            return before + error[layer.inputs[1]]
        case Mul():
            other = error[layer.inputs[1]]
            return largest[layer.inputs[0]] * other + largest[layer.inputs[1]] * before + before * other
        case Softmax():
            return before / 2  # no row of its Jacobian sums to more than 1/2 in magnitude
        case _:
            return before
