"""Scale and offset per channel: BatchNormalization, and Add, Sub, Mul, Div with a constant.

They fold into the Conv or Linear that they follow; where there is none they become a depthwise 1 x 1 Conv, of a vector
too, or for a matrix a Linear with a diagonal of weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Array, Given, Reading
from accel.models.graph import Add, Conv, Linear, Reshape, Shape
from accel.models.window import Window

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
    channels = _channels(shape)
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
    """Add, Sub, Mul, Div: of two activations only Add; with a constant per channel, scale and offset."""
    operands = list(node.input)
    constant = [name in reading.constants for name in operands]
    if node.op_type == "Sum" and len(operands) != 2:
        _sum(reading, node)
        return
    if not any(constant):
        if node.op_type not in ("Add", "Sum"):
            raise reading.unsupported(node, f"{node.op_type} of {len(operands)} activations is not supported")
        first, second = (reading.resolve(t) for t in operands)
        reading.append(node, Add(reading.name(node), (first, second), node.output[0]))
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
        case "Div", 0:
            raise reading.unsupported(node, "division by an activation is not supported")
        case _:
            raise reading.error(node, "division must not be by zero, and is")
    _affine(reading, node, tensor, scale, offset)


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


def _channels(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else shape[-1]


def _per_channel(reading: Reading, node: onnx.NodeProto, value: Array, shape: Shape) -> Array:
    """`value` broadcast to an activation of `shape`, as one number a channel (float64)."""
    full = reading.full(shape)
    aligned = value.astype(np.float64).reshape((1,) * (len(full) - value.ndim) + value.shape)
    if aligned.ndim != len(full) or any(n not in (1, size) for n, size in zip(aligned.shape, full, strict=True)):
        raise reading.error(node, f"constant of shape {value.shape} does not fit an input of {full}")
    axis = 1 if len(shape) == 3 else len(full) - 1
    first = aligned[tuple(slice(None) if i == axis else slice(1) for i in range(len(full)))]
    if not np.array_equal(aligned, np.broadcast_to(first, aligned.shape)):
        raise reading.unsupported(node, "constant must be one value a channel, and differs inside a channel")
    return np.broadcast_to(first.reshape(-1), _channels(shape))


def _affine(reading: Reading, node: onnx.NodeProto, tensor: str, scale: Array, offset: Array) -> None:
    """y = x * scale + offset per channel, in the layer before if that has no other reader."""
    shape, tensor = reading.shape(node, tensor), reading.resolve(tensor)
    before = reading.layers.get(tensor)
    if isinstance(before, Conv | Linear) and reading.uses[tensor] == 1:
        column = scale.reshape(-1, *[1] * (before.weights.ndim - 1))
        del reading.layers[tensor]
        reading.codes.pop(before.name, None)
        weights, bias = before.weights * column, before.bias * scale + offset
        folded = replace(before, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
        reading.append(node, replace(folded, output=node.output[0]))
    elif len(shape) == 2:
        _diagonal(reading, node, tensor, scale, offset)
    elif len(shape) == 1:
        # A vector is held as a map of one pixel: only the names differ.
        name, output = reading.name(node), node.output[0]
        reading.append(node, Reshape(f"{name}.map", (tensor,), f"{output}.map", (*shape, 1, 1)))
        _depthwise(reading, node, f"{output}.map", f"{output}.scaled", scale, offset)
        reading.append(node, Reshape(f"{name}.vector", (f"{output}.scaled",), output, shape))
    else:
        _depthwise(reading, node, tensor, node.output[0], scale, offset)


def _depthwise(reading: Reading, node: onnx.NodeProto, tensor: str, output: str, scale: Array, offset: Array) -> None:
    weights, bias = scale.reshape(-1, 1, 1, 1).astype(np.float32), offset.astype(np.float32)
    reading.append(node, Conv(reading.name(node), (tensor,), output, weights, bias, Window((1, 1)), len(scale)))


def _diagonal(reading: Reading, node: onnx.NodeProto, tensor: str, scale: Array, offset: Array) -> None:
    if len(scale) > LARGEST_DIAGONAL:
        raise reading.unsupported(node, f"scale and offset of {len(scale)} features must follow a Gemm or MatMul")
    weights, bias = np.diag(scale).astype(np.float32), offset.astype(np.float32)
    reading.append(node, Linear(reading.name(node), (tensor,), node.output[0], weights, bias))
