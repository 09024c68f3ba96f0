"""Quantisation after training: a float Network and calibration data to an IntegerNetwork.

Weights become int8, symmetric, per output channel (Jacob et al., arXiv 1712.05877, and Krishnamoorthi,
arXiv 1806.08342); activations int8 with the range that the calibration data show. What the hardware does
on the way out is fused: bias, ReLU / ReLU6 / clip, and an Add as residual. Flatten disappears.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.carried import Carried
from accel.models.errors import Blocked, Blocker, InputError
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Network,
    Pool,
    Reshape,
    Select,
    Softmax,
    Sub,
    Unary,
    operator_of,
    readers,
)
from accel.models.host import HostStep
from accel.models.integers.network import HostLayer, IntegerNetwork
from accel.models.quantisation import fuse
from accel.models.quantisation.biases import correct_biases
from accel.models.quantisation.conversion import Conversion, NoForm, declare, integer_shape
from accel.models.quantisation.matrix_form import convert_matrix
from accel.models.quantisation.method import DEFAULT, Method, by
from accel.models.quantisation.ranges import ranges_of
from accel.models.quantisation.vector_form import convert_channels, convert_elementwise, convert_pool, convert_two
from accel.models.quantisation.weights import Quantised, WeightQuantiser, per_channel_weights, per_layer_weights

__all__ = ["blockers", "quantise", "shapes_alone"]


def quantise(
    network: Network, calibration: NDArray[Any], per_channel: bool = True, method: Method = DEFAULT
) -> IntegerNetwork:
    """`network` in int8.

    Arguments:
        calibration: float inputs (n, *input shape), a few hundred typical ones; they set the ranges.
        per_channel: a weight scale for each output channel, or one for each layer.
        method: how ranges are found, whether channels are equalised, whether biases are corrected.

    Raises InputError for a calibration set that is empty, of the wrong shape or not finite, for a layer
    without an integer form, and for a sum that could overflow 32 bits.

    A network from a file that was quantised (`Network.carried`) keeps its scales, and its weights' codes and biases.
    """
    quantiser = per_channel_weights if per_channel else per_layer_weights
    return by(method, network, calibration, lambda one, inputs, how: _quantise(one, inputs, how, quantiser, True))


def without_scale(network: Network) -> tuple[str, ...]:
    """The tensors whose scale must come from calibration: all, but those that a quantised file gives."""
    specs = network.carried.specs if network.carried else {}
    state = Conversion(network, dict.fromkeys(network.shapes, (-1.0, 1.0)), readers(network), None, specs)
    _convert_all(state)
    return tuple(state.calibrated)


def blockers(network: Network) -> tuple[Blocker, ...]:
    """Every layer of `network` that has no integer form whatever its calibration, and why."""
    ranges = dict.fromkeys(network.shapes, (-1.0, 1.0))
    return _convert_all(Conversion(network, ranges, readers(network), None), NoForm)


def shapes_alone(network: Network) -> IntegerNetwork:
    """`network` in int8 without numbers: every weight is the code 1, one for all in memory, every range is -1..1.

    For what depends on shapes alone: the time of dense weights. Raises InputError as `quantise` does.
    """
    ranges = dict.fromkeys(network.shapes, (-1.0, 1.0))
    return _network_of(Conversion(network, ranges, readers(network), _ones))


def _ones(weights: NDArray[np.float32], _: NDArray[np.float64]) -> Quantised:
    return np.broadcast_to(np.int8(1), weights.shape), np.full(len(weights), 1 / 127), None


def quantise_with(
    network: Network, calibration: NDArray[Any], weight_quantiser: WeightQuantiser, method: Method = DEFAULT
) -> IntegerNetwork:
    """`quantise` with the codes and scales of the weights chosen by `weight_quantiser`; what is shared stays so."""
    return by(
        method, network, calibration, lambda one, inputs, how: _quantise(one, inputs, how, weight_quantiser), True
    )


def _quantise(
    network: Network, calibration: NDArray[Any], method: Method, weight_quantiser: WeightQuantiser,
    keep_codes: bool = False,
) -> IntegerNetwork:  # fmt: skip
    """By one method, of a network that is equalised already."""
    carried = network.carried or Carried()
    ranges = ranges_of(network, calibration, method)
    codes = carried.codes if keep_codes else {}
    found = _network_of(Conversion(network, ranges, readers(network), weight_quantiser, carried.specs, codes))
    return correct_biases(network, calibration, found) if method.correct and network.carried is None else found


def _network_of(state: Conversion) -> IntegerNetwork:
    """What `state` becomes when all of its layers are converted. Raises InputError."""
    network = state.network
    if found := _convert_all(state):
        raise Blocked(f"{network.name}: layer", found)
    if not state.layers:
        raise InputError(f"{network.name}: network must have a layer that the accelerator runs, and has none")
    output = state.host_layers[-1].input if state.host_layers else state.alias[network.output]
    return IntegerNetwork(
        network.name,
        network.input,
        output,
        state.tensors,
        tuple(state.layers),
        tuple(state.host_layers),
        more_outputs=tuple(state.alias[name] for name in network.more_outputs),
        host_steps=tuple(state.host_steps),
    )


def _convert_all(state: Conversion, what: type[InputError] = InputError) -> tuple[Blocker, ...]:
    """Append the integer form of every layer; those that raise are returned, if it is a `what`, and left out."""
    network, found = state.network, list[Blocker]()
    declare(state, network.input, integer_shape(network.shapes[network.input]))
    fused: set[str] = set()
    for layer in network.layers:
        if layer.name in fused:
            continue
        try:
            fused.update(_convert(state, layer))
        except InputError as error:
            if isinstance(error, what):
                culprit = getattr(error, "layer", None) or layer
                found.append(Blocker(culprit.name, operator_of(culprit), str(error)))
            declare(state, layer.output, integer_shape(network.shapes[layer.output]))
    return tuple(found)


def _convert(state: Conversion, layer: Layer) -> set[str]:
    """Append the integer form of `layer`; the names of the layers that it took in."""
    match layer:
        case Reshape():
            _reshape(state, layer)
            return {layer.name}
        case Softmax():
            _softmax(state, layer)
            return {layer.name}
        case HostStep():
            declare(state, layer.output, integer_shape(layer.shape))
            state.host_steps.append(replace(layer, inputs=tuple(state.alias[name] for name in layer.inputs)))
            return {layer.name}
        case Concat() | Select():
            convert_channels(state, layer)
            return {layer.name}

    def addable(operand: str, output: str) -> bool:
        shape = integer_shape(state.network.shapes[output])
        on_array = isinstance(layer, Linear) or (isinstance(layer, Conv) and not layer.window.spread)
        if not on_array or operand not in state.alias or integer_shape(state.network.shapes[layer.output]) != shape:
            return False
        return state.spec(operand).shape in (shape, (shape[0], 1, 1))

    chain = fuse.chain_of(state.network, state.readers, layer, addable)
    match layer:
        case Conv() | Linear():
            convert_matrix(state, layer, chain)
        case Pool() | GlobalPool():
            convert_pool(state, layer, chain)
        case Add() | Sub() | Mul():
            convert_two(state, layer, chain)
        case Activation() | Unary():
            convert_elementwise(state, layer.inputs[0], chain)
    return set(chain.source)


def _reshape(state: Conversion, layer: Reshape) -> None:
    """The same codes under another name: what reads them knows their layout."""
    before = state.network.shapes[layer.inputs[0]]
    # Rows of a matrix lie along the width, so a matrix is not in row-major order.
    if before != layer.shape and any(len(s) == 2 and min(s) > 1 for s in (before, layer.shape)):
        raise NoForm(f"reshape {before} to {layer.shape} must keep the order of the values, and does not")
    state.alias[layer.output] = state.alias[layer.inputs[0]]


def _softmax(state: Conversion, layer: Softmax) -> None:
    if state.network.outputs != (layer.output,):
        raise NoForm("softmax runs on the host: it must be the last layer, and is not")
    operand = state.spec(layer.inputs[0])
    size_bytes = math.prod(operand.shape)
    flattened = len(state.network.shapes[layer.output]) == 1
    state.host_layers.append(HostLayer(layer.name, "softmax", operand.name, layer.output, size_bytes, flattened))
