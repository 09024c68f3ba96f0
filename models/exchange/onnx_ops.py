"""What each ONNX operator becomes: one function an operator, in the table OPERATORS.

A function reads its node and its constants, and appends a layer to the Reading. Operators that scale and
shift channels are in `accel.models.exchange.onnx_affine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import onnx

from accel.models.exchange.onnx_affine import arithmetic, batch_norm
from accel.models.exchange.onnx_reading import Reading, attribute, evaluate, names
from accel.models.graph import Activation, Conv, GlobalPool, Linear, Pool, Reshape, Softmax
from accel.models.window import Window


def _copy(reading: Reading, node: onnx.NodeProto) -> None:
    if node.input[0] in reading.constants:
        reading.constants[node.output[0]] = reading.constants[node.input[0]]
        return
    if len(node.output) > 1 and any(reading.uses[name] for name in node.output[1:]):
        raise reading.error(node, "the mask must not be used, and is")
    reading.shape(node, node.input[0])
    reading.alias[node.output[0]] = node.input[0]


def _window(reading: Reading, node: onnx.NodeProto, kernel: tuple[int, ...]) -> Window:
    """The window of a Conv or pooling node; "same" padding and a rounded-up size become explicit pads."""
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3 or len(kernel) != 2:
        raise reading.error(node, f"must be two-dimensional: kernel {kernel}, input {shape}")
    stride = tuple(attribute(node, "strides", [1, 1]))
    dilation = tuple(attribute(node, "dilations", [1, 1]))
    pads = list(attribute(node, "pads", [0, 0, 0, 0]))
    auto = attribute(node, "auto_pad", "NOTSET")
    ceil = attribute(node, "ceil_mode", 0)
    for i in range(2):
        span = (kernel[i] - 1) * dilation[i] + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, (math.ceil(shape[1 + i] / stride[i]) - 1) * stride[i] + span - shape[1 + i])
            small, large = total // 2, total - total // 2
            pads[i], pads[i + 2] = (small, large) if auto == "SAME_UPPER" else (large, small)
        elif auto == "VALID":
            pads[i] = pads[i + 2] = 0
        elif auto != "NOTSET":
            raise reading.error(node, f"auto_pad {auto!r} is not supported")
        if ceil:
            rest = (shape[1 + i] + pads[i] + pads[i + 2] - span) % stride[i]
            # A last window that would start in the padding is dropped, as the operator says.
            starts = shape[1 + i] + pads[i] + pads[i + 2] - span - rest + stride[i]
            if rest and starts < shape[1 + i] + pads[i]:
                pads[i + 2] += stride[i] - rest
    top, left, bottom, right = pads
    return Window(
        (kernel[0], kernel[1]), (stride[0], stride[1]), (top, left, bottom, right), (dilation[0], dilation[1])
    )


def _conv(reading: Reading, node: onnx.NodeProto) -> None:
    weights = reading.constant(node, 1, "weight")
    has_bias = len(node.input) > 2 and node.input[2]
    bias = reading.constant(node, 2, "bias") if has_bias else np.zeros(len(weights), np.float32)
    window = _window(reading, node, tuple(weights.shape[2:]))
    reading.append(node, Conv(*names(reading, node), weights, bias, window, attribute(node, "group", 1)))


def _gemm(reading: Reading, node: onnx.NodeProto) -> None:
    if attribute(node, "transA", 0):
        raise reading.error(node, "transA must be 0, not 1")
    weights = reading.constant(node, 1, "matrix")
    weights = weights if attribute(node, "transB", 0) else weights.T
    bias = np.zeros(len(weights), np.float32)
    if len(node.input) > 2 and node.input[2]:
        c = reading.constant(node, 2, "bias")
        if c.size not in (1, len(weights)) or (c.ndim and c.shape[-1] != c.size):
            raise reading.error(node, f"bias must be a row of {len(weights)} values, not {c.shape}")
        bias = np.broadcast_to(c.reshape(-1), len(weights)) * np.float32(attribute(node, "beta", 1.0))
    weights = np.ascontiguousarray(weights * np.float32(attribute(node, "alpha", 1.0)))
    reading.append(node, Linear(*names(reading, node), weights, bias))


def _matmul(reading: Reading, node: onnx.NodeProto) -> None:
    weights = reading.constant(node, 1, "matrix")
    if weights.ndim != 2:
        raise reading.error(node, f"matrix must have 2 dimensions, not {weights.ndim}")
    weights = np.ascontiguousarray(weights.T)
    reading.append(node, Linear(*names(reading, node), weights, np.zeros(len(weights), np.float32)))


def _relu(reading: Reading, node: onnx.NodeProto) -> None:
    reading.append(node, Activation(*names(reading, node)))


def _clip(reading: Reading, node: onnx.NodeProto) -> None:
    limits = []
    for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        value = attribute(node, name, default)
        if len(node.input) > index and node.input[index]:
            value = float(reading.constant(node, index, name).reshape(-1)[0])
        # Exporters write "no limit" as the largest float.
        limits.append(value if abs(value) < np.finfo(np.float32).max else math.copysign(math.inf, value))
    reading.append(node, Activation(*names(reading, node), *limits))


def _pool(reading: Reading, node: onnx.NodeProto) -> None:
    if len(node.output) > 1 and node.output[1]:
        raise reading.error(node, "output Indices is not supported")
    window = _window(reading, node, tuple(attribute(node, "kernel_shape", [])))
    where = names(reading, node)
    if node.op_type == "MaxPool":
        reading.append(node, Pool(*where, "max", window))
        return
    include = bool(attribute(node, "count_include_pad", 0))
    # Pads that were added only to round the size up never count, whatever count_include_pad says.
    if include and attribute(node, "ceil_mode", 0) and list(window.pads) != attribute(node, "pads", [0] * 4):
        raise reading.error(node, "ceil_mode with count_include_pad is not supported for this size")
    reading.append(node, Pool(*where, "average", window, include))


def _global_pool(reading: Reading, node: onnx.NodeProto) -> None:
    kind: Literal["max", "average"] = "max" if node.op_type == "GlobalMaxPool" else "average"
    reading.append(node, GlobalPool(*names(reading, node), kind))


def _reduce_mean(reading: Reading, node: onnx.NodeProto) -> None:
    axes = attribute(node, "axes", None)
    if len(node.input) > 1 and node.input[1] in reading.constants:
        axes = reading.constants[node.input[1]].tolist()
    if axes is None or sorted(a % 4 for a in axes) != [2, 3]:
        raise reading.error(node, f"axes must be height and width (2, 3), not {axes}")
    name, inputs, output = names(reading, node)
    keep = attribute(node, "keepdims", 1)
    pooled = output if keep else f"{output}.pooled"
    reading.append(node, GlobalPool(name, inputs, pooled, "average"))
    if not keep:
        channels = reading.shapes[pooled][0]
        reading.append(node, Reshape(f"{name}.flatten", (pooled,), output, (channels,)))


def _reshape(reading: Reading, node: onnx.NodeProto) -> None:
    """Flatten, Reshape, Squeeze and Unsqueeze: whatever shape the operator makes of zeros of ours."""
    zeros = np.zeros((reading.batch, *reading.shape(node, node.input[0])), np.float32)
    values = [zeros]
    for name in node.input[1:]:
        if name and name not in reading.constants:
            raise reading.error(node, f"shape {name!r} must be a constant, and depends on the input")
        if name:
            values.append(reading.constants[name])
    shape = evaluate(reading, node, values)[0].shape
    if len(shape) < 2 or shape[0] != reading.batch or len(shape) > 4:
        raise reading.error(node, f"shape must keep the batch of {reading.batch} in front, not {shape}")
    reading.append(node, Reshape(*names(reading, node), tuple(shape[1:])))


def _softmax(reading: Reading, node: onnx.NodeProto) -> None:
    shape = reading.shape(node, node.input[0])
    axis = attribute(node, "axis", -1 if reading.opset >= 13 else 1) % (len(shape) + 1)
    # Before opset 13 softmax runs over all the dimensions from its axis on.
    flattens = reading.opset < 13 and math.prod(shape[axis:]) > 1
    if axis != (1 if len(shape) == 3 else len(shape)) or flattens:
        raise reading.error(node, f"axis must be the features of an input of shape {shape}, not {axis}")
    reading.append(node, Softmax(*names(reading, node)))


OPERATORS: dict[str, Callable[[Reading, onnx.NodeProto], None]] = {
    "Add": arithmetic,
    "AveragePool": _pool,
    "BatchNormalization": batch_norm,
    "Clip": _clip,
    "Conv": _conv,
    "Div": arithmetic,
    "Dropout": _copy,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Identity": _copy,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mul": arithmetic,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": _reshape,
    "Sub": arithmetic,
    "Sum": arithmetic,
    "Unsqueeze": _reshape,
}
