"""Scale and offset per channel: BatchNormalization, and Add, Sub, Mul, Div with a constant.

They fold into the Conv or Linear that they follow, or become a depthwise 1 x 1 Conv where there is none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from accel.models.exchange.onnx_reading import Array, Reading, attribute
from accel.models.graph import Add, Conv, Linear, Shape
from accel.models.window import Window


def batch_norm(reading: Reading, node: onnx.NodeProto) -> None:
    """Append BatchNormalization with its four constants, as scale and offset."""
    if attribute(node, "training_mode", 0):
        raise reading.error(node, "training_mode must be 0, not 1")
    what = ("scale", "bias", "mean", "variance")
    gain, bias, mean, variance = (reading.constant(node, i + 1, w).astype(np.float64) for i, w in enumerate(what))
    variance += attribute(node, "epsilon", 1e-5)
    if not (variance > 0).all():
        raise reading.error(node, f"variance plus epsilon must be above 0, not {variance.min():g}")
    scale = gain / np.sqrt(variance)
    _affine(reading, node, node.input[0], scale, bias - mean * scale)


def arithmetic(reading: Reading, node: onnx.NodeProto) -> None:
    """Add, Sub, Mul, Div: of two activations only Add; with a constant per channel, scale and offset."""
    operands = list(node.input)
    constant = [name in reading.constants for name in operands]
    if len(operands) != 2 or not any(constant):
        if node.op_type not in ("Add", "Sum") or len(operands) != 2:
            raise reading.error(node, f"{node.op_type} of {len(operands)} activations is not supported")
        first, second = (reading.resolve(t) for t in operands)
        reading.append(node, Add(reading.name(node), (first, second), node.output[0]))
        return
    index = constant.index(True)
    tensor = operands[1 - index]
    value = _per_channel(reading, node, reading.constant(node, index, "operand"), reading.shape(node, tensor))
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
        case _:
            raise reading.error(node, "division by zero or by an activation is not supported")
    _affine(reading, node, tensor, scale, offset)


def _per_channel(reading: Reading, node: onnx.NodeProto, value: Array, shape: Shape) -> Array:
    """`value` broadcast to an activation of `shape`, as one number a channel (float64)."""
    full = (reading.batch, *shape)
    try:
        spread = np.broadcast_to(value.astype(np.float64), full)
    except ValueError:
        raise reading.error(node, f"constant of shape {value.shape} does not fit an input of {full}") from None
    first = spread[0, :, 0, 0] if len(shape) == 3 else spread[0].reshape(-1, shape[-1])[0]
    if not np.array_equal(spread, np.broadcast_to(first[:, None, None] if len(shape) == 3 else first, full)):
        raise reading.error(node, "constant must be one value a channel, and differs inside a channel")
    return first


def _affine(reading: Reading, node: onnx.NodeProto, tensor: str, scale: Array, offset: Array) -> None:
    """y = x * scale + offset per channel, in the layer before if that has no other reader."""
    shape = reading.shape(node, tensor)
    channels = shape[0] if len(shape) == 3 else shape[-1]
    if scale.shape != (channels,) or offset.shape != (channels,):
        raise reading.error(node, f"must have {channels} values, one a channel, not {scale.shape}")
    names = [tensor]
    while names[-1] in reading.alias:
        names.append(reading.alias[names[-1]])
    before = next((x for x in reading.layers if x.output == names[-1]), None)
    if isinstance(before, Conv | Linear) and all(reading.uses[name] == 1 for name in names):
        column = scale.reshape(-1, *[1] * (before.weights.ndim - 1))
        reading.layers.remove(before)
        weights, bias = before.weights * column, before.bias * scale + offset
        folded = replace(before, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
        reading.append(node, replace(folded, output=node.output[0]))
    elif len(shape) == 3:
        weights, bias = scale.reshape(-1, 1, 1, 1).astype(np.float32), offset.astype(np.float32)
        layer = Conv(reading.name(node), (names[-1],), node.output[0], weights, bias, Window((1, 1)), channels)
        reading.append(node, layer)
    else:
        raise reading.error(node, "scale and offset of a vector must follow a Gemm or MatMul")
