"""Elementwise operators of one activation, which become functions; and chains and trees of them, which become one.

A file writes SiLU as a Sigmoid and a Mul, GELU as Div, Erf, Add, Mul and Mul, hard-swish as Add, Clip, Mul and Div:
each node is read by itself, and `accel.models.exchange.onnx_merge` puts together what depends on one tensor alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Given, Reading, names
from accel.models.functions import (
    IDENTITY,
    OPERATORS,
    Function,
    clip,
    function_of,
    joined,
    straight,
    with_number,
)
from accel.models.graph import Activation, Layer, Unary

LONGEST = 99  # steps of a function that are looked at: a network's are a few


def _gelu(given: Given) -> Function:
    if given["approximate"] == "tanh":
        cube = joined("Mul", joined("Mul", IDENTITY, IDENTITY), IDENTITY).then(with_number("Mul", 0.044715))
        inner = joined("Add", IDENTITY, cube).then(with_number("Mul", math.sqrt(2 / math.pi))).then(function_of("Tanh"))
    else:
        inner = with_number("Div", math.sqrt(2)).then(function_of("Erf"))
    return joined("Mul", IDENTITY, inner.then(with_number("Add", 1))).then(with_number("Mul", 0.5))


def _swish(given: Given) -> Function:
    return joined("Mul", IDENTITY, straight(given["alpha"], 0).then(function_of("Sigmoid")))


WRITTEN_OUT: dict[str, Callable[[Given], Function]] = {
    "Gelu": _gelu,
    "HardSwish": lambda given: joined("Mul", IDENTITY, function_of("HardSigmoid", 1 / 6, 0.5)),
    "Mish": lambda given: joined("Mul", IDENTITY, function_of("Softplus").then(function_of("Tanh"))),
    "Swish": _swish,
}
"""Operators that are several steps."""


def unary(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """An operator of one activation."""
    kind = node.op_type
    if kind in WRITTEN_OUT:
        function = WRITTEN_OUT[kind](given)
    else:
        function = function_of(kind, *(given[name] for name in OPERATORS[kind].attributes))
    reading.append(node, Unary(*names(reading, node), function))


def with_constants(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    """Pow, Max and Min of an activation and constants of one value."""
    activations = [name for name in node.input if name not in reading.constants]
    if len(activations) != 1 or (node.op_type == "Pow" and len(node.input) != 2):
        raise reading.unsupported(node, f"must be of one activation and constants, not of {len(activations)}")
    function = IDENTITY
    for place, name in enumerate(node.input):
        if name in reading.constants:
            value = reading.constants[name]
            if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
                raise reading.unsupported(node, f"constant {name!r} must be one finite number, not {value.shape}")
            first = node.op_type == "Pow" and place == 0
            function = function.then(with_number(node.op_type, float(value.reshape(-1)[0]), first))
    shape = reading.shape(node, activations[0])
    if any(reading.constants[name].ndim > len(shape) + 1 for name in node.input if name in reading.constants):
        raise reading.unsupported(node, "constants must not have more dimensions than the activation")
    reading.append(node, Unary(reading.name(node), (reading.resolve(activations[0]),), node.output[0], function))


def own_function(layer: Layer) -> Function | None:
    """The function of a layer of one activation that is one."""
    match layer:
        case Unary():
            return layer.function
        case Activation():
            return clip(layer.low, layer.high)
    return None


Chain = dict[str, Function]  # a tensor as a function of others, the nearest first, which is itself


def extended(layer: Layer, known: Mapping[str, Chain]) -> Chain:
    """The chain of what `layer` makes."""
    own, found = own_function(layer), {layer.output: IDENTITY}
    if own is not None:
        source = layer.inputs[0]
        for tensor, inner in known.get(source, {source: IDENTITY}).items():
            function = inner.then(own)
            if len(function.steps) <= LONGEST:
                found[tensor] = function
    return found


def _chain(layers: Mapping[str, Layer], tensor: str) -> Chain:
    """The chain of a tensor."""
    path = list[Layer]()
    while (layer := layers.get(path[-1].inputs[0] if path else tensor)) and own_function(layer) is not None:
        path.append(layer)
    known: dict[str, Chain] = {}
    for layer in reversed(path):
        known[layer.output] = extended(layer, known)
    return known.get(tensor, {tensor: IDENTITY})


def of_one_tensor(reading: Reading, node: onnx.NodeProto, operator: str, operands: tuple[str, str]) -> bool:
    """Enter an operator of two activations that are functions of one, if they are; whether it was done."""
    left, right = (_chain(reading.layers, reading.resolve(name)) for name in operands)
    root = next((tensor for tensor in left if tensor in right), None)
    if root is None or (operator == "Add" and left[root] == right[root] == IDENTITY):
        return False
    function = joined(operator, left[root], right[root])
    reading.append(node, Unary(reading.name(node), (root,), node.output[0], function))
    return True
