"""Scale and offset per channel: BatchNormalization, and Add, Sub, Mul, Div with a constant.

They fold into the Conv or Linear that they follow; where there is none they become a depthwise 1 x 1 Conv, of a vector
too, or for a matrix a Linear with a diagonal of weights.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx

from accel.models.exchange.onnx_functions import of_one_tensor
from accel.models.exchange.onnx_reading import Array, Given, Reading
from accel.models.functions import function_of, straight, with_number
from accel.models.graph import Activation, Add, Conv, Layer, Linear, Mul, Reshape, Shape, Sub, Unary, channel_axis
from accel.models.window import Window

TWO: dict[str, type[Add] | type[Sub] | type[Mul]] = {"Add": Add, "Sub": Sub, "Mul": Mul}
LARGEST_DIAGONAL = 1024  # features of a matrix that are scaled by a product with a diagonal


def batch_norm(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Append BatchNormalization with its four constants, as scale and offset."""
    for name, wanted in (("training_mode", 0), ("spatial", 1)):
        if given[name] != wanted:
            raise reading.error(node, f"{name} must be {wanted}, not {given[name]}")
    shape = reading.shape(node, node.input[0])
    if len(shape) == 2:
        raise reading.unsupported(
            node, f"channels are the rows of a matrix {shape}, and must be features or those of a map"
        )
    channels = channels_of(shape)
    gain, bias, mean, variance = (
        reading.constant(node, i + 1, what, rank=1, length=channels).astype(np.float64)
        for i, what in enumerate(("scale", "bias", "mean", "variance"))
    )
    variance += given["epsilon"]
    if not (variance > 0).all():
        raise reading.error(node, f"variance plus epsilon must be above 0, not {variance.min():g}")
    scale = gain / np.sqrt(variance)
    _affine(reading, node, node.input[0], scale, bias - mean * scale)


def arithmetic(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Add, Sub, Mul, Div: of two activations but Div; with a constant per channel, scale and offset."""
    operands = list(node.input)
    constant = [name in reading.constants for name in operands]
    if node.op_type == "Sum" and len(operands) != 2:
        _sum(reading, node)
        return
    if not any(constant):
        operator = "Add" if node.op_type == "Sum" else node.op_type
        if of_one_tensor(reading, node, operator, (operands[0], operands[1])):
            return
        if operator not in TWO:
            raise reading.unsupported(node, f"{node.op_type} of {len(operands)} activations is not supported")
        first, second = (reading.resolve(t) for t in operands)
        shapes = [reading.shape(node, t) for t in operands]
        backwards = operator == "Sub" and math.prod(shapes[0]) < math.prod(shapes[1])
        if shapes[0] != shapes[1] and (backwards or not _pixel(*shapes)):
            pixel = "the second" if operator == "Sub" else "one"
            text = f"operands must have one shape, or {pixel} be a pixel of the other, not {shapes[0]} and {shapes[1]}"
            raise reading.unsupported(node, text)
        reading.append(node, TWO[operator](reading.name(node), (first, second), node.output[0]))
        return
    index = constant.index(True)
    tensor = operands[1 - index]
    shape = reading.shape(node, tensor)
    constant_operand = reading.constant(node, index, "operand")
    if given.get("axis") is not None:  # of old opsets: the dimension that the operand's first one stands at
        rank = len(shape) + 1
        places = rank - given["axis"] % rank - constant_operand.ndim
        constant_operand = constant_operand.reshape(constant_operand.shape + (1,) * max(places, 0))
    value = _per_channel(reading, node, constant_operand, shape)
    one, zero = np.ones_like(value), np.zeros_like(value)
    match node.op_type, index:
        case "Add" | "Sum", _:
            scale, offset = one, value
        case "Mul", _:
            scale, offset = value, zero
        case "Sub", 1:
            scale, offset = one, -value
        case "Sub", _:
            scale, offset = -one, value
        case "Div", 1 if np.all(value != 0):
            scale, offset = 1 / value, zero
        case "Div", 0 if np.all(value == value[0]):
            function = with_number("Div", float(value[0]), first=True)
            reading.append(node, Unary(reading.name(node), (reading.resolve(tensor),), node.output[0], function))
            return
        case "Div", 0:
            raise reading.unsupported(node, "division by an activation is not supported")
        case _:
            raise reading.error(node, "division must not be by zero, and is")
    _affine(reading, node, tensor, scale, offset)


def _pixel(first: Shape, second: Shape) -> bool:
    """Whether one is a map and the other a pixel of it."""
    larger, smaller = sorted((first, second), key=math.prod, reverse=True)
    return len(larger) == 3 and smaller == (larger[0], 1, 1)


def negate(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Neg, as scale and offset."""
    channels = channels_of(reading.shape(node, node.input[0]))
    _affine(reading, node, node.input[0], -np.ones(channels), np.zeros(channels))


def prelu(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    """PRelu: of one slope a function; of a slope per channel x + (slope - 1) * min(x, 0)."""
    slope = reading.constant(node, 1, "slope")
    shape, tensor = reading.shape(node, node.input[0]), reading.resolve(node.input[0])
    name, output = reading.name(node), node.output[0]
    if slope.size == 1:
        function = function_of("LeakyRelu", float(slope.reshape(-1)[0]))
        reading.append(node, Unary(name, (tensor,), output, function))
        return
    value = _per_channel(reading, node, slope, shape)
    if len(shape) == 2 and len(value) > LARGEST_DIAGONAL:
        raise reading.unsupported(node, f"slopes of {len(value)} features of a matrix are too many")
    below, scaled = f"{output}.below", f"{output}.weighed"
    reading.append(node, Activation(f"{name}.below", (tensor,), below, -math.inf, 0.0))
    for layer in layers_of(f"{name}.weighed", below, scaled, shape, value - 1, np.zeros(len(value))):
        reading.append(node, layer)
    reading.append(node, Add(name, (scaled, tensor), output))
    reading.uses[tensor] += 1
    reading.uses.update((below, scaled))


def _sum(reading: Reading, node: onnx.NodeProto) -> None:
    """Sum of one activation, which is a copy, or of more than two, added one after the other."""
    terms = [reading.resolve(name) for name in node.input]
    for term in terms:
        if term in reading.constants:
            raise reading.unsupported(node, f"of {len(terms)} terms none must be a constant, and {term!r} is one")
    if len(terms) == 1:
        reading.copy(node, terms[0])
        return
    total = terms[0]
    for index, term in enumerate(terms[1:], 1):
        last = index == len(terms) - 1
        output = node.output[0] if last else f"{node.output[0]}.{index}"
        name = reading.name(node) if last else f"{reading.name(node)}.{index}"
        reading.append(node, Add(name, (total, term), output))
        total = output


def channels_of(shape: Shape) -> int:
    """Of a map its channels, else features."""
    return shape[channel_axis(shape)]


def _per_channel(reading: Reading, node: onnx.NodeProto, value: Array, shape: Shape) -> Array:
    """`value` broadcast to an activation of `shape`, as one number a channel (float64)."""
    full = reading.full(shape)
    aligned = value.astype(np.float64).reshape((1,) * (len(full) - value.ndim) + value.shape)
    if aligned.ndim != len(full) or any(n not in (1, size) for n, size in zip(aligned.shape, full, strict=True)):
        raise reading.error(node, f"constant of shape {value.shape} does not fit an input of {full}")
    axis = 1 + channel_axis(shape)
    first = aligned[tuple(slice(None) if i == axis else slice(1) for i in range(len(full)))]
    if not np.array_equal(aligned, np.broadcast_to(first, aligned.shape)):
        raise reading.unsupported(node, "constant must be one value a channel, and differs inside a channel")
    return np.broadcast_to(first.reshape(-1), channels_of(shape))


def _affine(reading: Reading, node: onnx.NodeProto, tensor: str, scale: Array, offset: Array) -> None:
    """y = x * scale + offset per channel, in the layer before if that has no other reader."""
    shape, tensor = reading.shape(node, tensor), reading.resolve(tensor)
    before = reading.layers.get(tensor)
    if isinstance(before, Unary) and before.function.line is not None and reading.uses[tensor] == 1:
        a, b = before.function.line
        scale, offset, tensor = scale * a, scale * b + offset, before.inputs[0]
        before = reading.layers.get(tensor)
    if isinstance(before, Conv | Linear) and reading.uses[tensor] == 1:
        column = scale.reshape(-1, *[1] * (before.weights.ndim - 1))
        del reading.layers[tensor]
        reading.codes.pop(before.name, None)
        weights, bias = before.weights * column, before.bias * scale + offset
        folded = replace(before, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
        reading.append(node, replace(folded, output=node.output[0]))
    elif np.all(scale == scale[0]) and np.all(offset == offset[0]):
        function = straight(float(scale[0]), float(offset[0]))
        reading.append(node, Unary(reading.name(node), (tensor,), node.output[0], function))
    elif len(shape) == 2 and len(scale) > LARGEST_DIAGONAL:
        raise reading.unsupported(node, f"scale and offset of {len(scale)} features must follow a Gemm or MatMul")
    else:
        for layer in layers_of(reading.name(node), tensor, node.output[0], shape, scale, offset):
            reading.append(node, layer)


def layers_of(name: str, tensor: str, output: str, shape: Shape, scale: Array, offset: Array) -> list[Layer]:
    """Scale and offset per channel, (channels,) each, of a tensor of `shape`, as layers of the array."""
    bias = offset.astype(np.float32)
    if len(shape) == 2:
        return [Linear(name, (tensor,), output, np.diag(scale).astype(np.float32), bias)]
    weights, once = scale.reshape(-1, 1, 1, 1).astype(np.float32), Window((1, 1))
    if len(shape) == 3:
        return [Conv(name, (tensor,), output, weights, bias, once, len(scale))]
    # A vector is held as a map of one pixel: only the names differ.
    source, made = f"{output}.map", f"{output}.scaled"
    return [
        Reshape(f"{name}.map", (tensor,), source, (*shape, 1, 1)),
        Conv(name, (source,), made, weights, bias, once, len(scale)),
        Reshape(f"{name}.vector", (made,), output, shape),
    ]
