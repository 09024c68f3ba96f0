"""What each ONNX operator becomes: one function an operator, in the table OPERATORS.

A function reads its node, the node's attributes (checked: `accel.models.exchange.onnx_attributes`) and its constants,
and appends a layer to the Reading. Operators that scale and shift channels are in `accel.models.exchange.onnx_affine`,
those that change shapes in `accel.models.exchange.onnx_reshape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import onnx

from accel.models.exchange.onnx_affine import arithmetic, batch_norm
from accel.models.exchange.onnx_reading import Given, Reading, names
from accel.models.exchange.onnx_reshape import reshape
from accel.models.graph import Activation, Conv, GlobalPool, Linear, Pool, Reshape, Softmax
from accel.models.window import Window


def _copy(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    """Identity, and Dropout, which does nothing outside of training."""
    if any(reading.uses[name] for name in node.output[1:]):
        raise reading.error(node, "the mask must not be used, and is")
    if reading.given(node, 2) and reading.constants.get(node.input[2], np.array(True)).any():
        raise reading.error(node, "training_mode must be a constant that is false, and is not")
    name, output = node.input[0], node.output[0]
    if name in reading.constants:
        reading.constants[output] = reading.constants[name]
        return
    reading.shape(node, name)
    reading.alias[output] = reading.resolve(name)
    # The readers of the copy are readers of what is copied, instead of this node.
    reading.uses[reading.resolve(name)] += reading.uses[output] - 1


def _window(reading: Reading, node: onnx.NodeProto, given: Given, kernel: tuple[int, int]) -> Window:
    """The window of a Conv or pooling node; "same" padding and a rounded-up size become explicit pads."""
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3:
        raise reading.error(node, f"must be two-dimensional: kernel {kernel}, input {shape}")
    stride, dilation, pads = given["strides"], given["dilations"], list(given["pads"] or (0, 0, 0, 0))
    auto = given["auto_pad"]
    if auto != "NOTSET" and given["pads"] is not None:
        raise reading.error(node, f"pads must not be given together with auto_pad {auto}")
    if auto.startswith("SAME") and dilation != (1, 1):
        raise reading.error(node, f"dilations must be 1 with auto_pad {auto}, not {dilation}")
    for i in range(2):
        span = (kernel[i] - 1) * dilation[i] + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = (math.ceil(shape[1 + i] / stride[i]) - 1) * stride[i] + span - shape[1 + i]
            if total < -1:  # ONNX Runtime then begins inside the input, TensorFlow at its edge
                raise reading.error(node, f"strides {stride} are too large for auto_pad {auto} of kernel {kernel}")
            total = max(0, total)
            small, large = total // 2, total - total // 2
            pads[i], pads[i + 2] = (small, large) if auto == "SAME_UPPER" else (large, small)
        elif auto == "VALID":
            pads[i] = pads[i + 2] = 0
        if given.get("ceil_mode"):
            rest = (shape[1 + i] + pads[i] + pads[i + 2] - span) % stride[i]
            # A last window that would start in the padding is dropped, as the operator says.
            starts = shape[1 + i] + pads[i] + pads[i + 2] - span - rest + stride[i]
            if rest and starts < shape[1 + i] + pads[i]:
                pads[i + 2] += stride[i] - rest
    top, left, bottom, right = pads
    return Window(kernel, stride, (top, left, bottom, right), dilation)


def _conv(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    weights = reading.constant(node, 1, "weight", rank=4)
    kernel = weights.shape[2], weights.shape[3]
    if given["kernel_shape"] not in (None, kernel):
        raise reading.error(node, f"kernel_shape must be the weight's, {kernel}, not {given['kernel_shape']}")
    bias = np.zeros(len(weights), np.float32)
    if reading.given(node, 2):
        bias = reading.constant(node, 2, "bias", rank=1, length=len(weights))
    window = _window(reading, node, given, kernel)
    reading.append(node, Conv(*names(reading, node), weights, bias, window, given["group"]))


def _gemm(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    if given["transA"]:
        raise reading.error(node, "transA must be 0, not 1")
    if len(shape := reading.shape(node, node.input[0])) != 1:
        raise reading.error(node, f"input must be a vector, not of shape {shape}")
    weights = reading.constant(node, 1, "matrix", rank=2)
    weights = weights if given["transB"] else weights.T
    bias = np.zeros(len(weights), np.float32)
    if reading.given(node, 2):
        c = reading.constant(node, 2, "bias")
        if c.ndim > 2 or c.size not in (1, len(weights)) or (c.ndim and c.shape[-1] != c.size):
            raise reading.error(node, f"bias must be a row of {len(weights)} values, not {c.shape}")
        bias = np.broadcast_to(c.reshape(-1), len(weights)) * np.float32(given["beta"])
    weights = np.ascontiguousarray(weights * np.float32(given["alpha"]))
    reading.append(node, Linear(*names(reading, node), weights, bias))


def _matmul(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    weights = np.ascontiguousarray(reading.constant(node, 1, "matrix", rank=2).T)
    reading.append(node, Linear(*names(reading, node), weights, np.zeros(len(weights), np.float32)))


def _relu(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    reading.append(node, Activation(*names(reading, node)))


def _clip(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    limits = []
    for index, name in ((1, "min"), (2, "max")):
        value = given[name]
        if reading.given(node, index):
            value = float(reading.constant(node, index, name, rank=0)[()])
        # Exporters write "no limit" as the largest float.
        limits.append(value if abs(value) < np.finfo(np.float32).max else math.copysign(math.inf, value))
    reading.append(node, Activation(*names(reading, node), *limits))


def _pool(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    if len(node.output) > 1 and node.output[1]:
        raise reading.error(node, "output Indices is not supported")
    if given["kernel_shape"] is None:
        raise reading.error(node, "kernel_shape must be given, and is missing")
    window = _window(reading, node, given, given["kernel_shape"])
    where = names(reading, node)
    if node.op_type == "MaxPool":
        reading.append(node, Pool(*where, "max", window))
        return
    include = bool(given["count_include_pad"])
    # Pads that were added only to round the size up never count, whatever count_include_pad says.
    if include and given["ceil_mode"] and window.pads != (given["pads"] or (0, 0, 0, 0)):
        raise reading.error(node, "ceil_mode with count_include_pad is not supported for this size")
    reading.append(node, Pool(*where, "average", window, include))


def _global_pool(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    kind: Literal["max", "average"] = "max" if node.op_type == "GlobalMaxPool" else "average"
    reading.append(node, GlobalPool(*names(reading, node), kind))


def _reduce_mean(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    axes = given["axes"]
    if axes is None and reading.given(node, 1):
        axes = reading.integers(node, 1, "axes")
    if axes is None or sorted(axes) not in ([2, 3], [-2, -1], [-2, 3], [-1, 2]):
        raise reading.error(node, f"axes must be height and width (2, 3), not {axes and list(axes)}")
    name, inputs, output = names(reading, node)
    pooled = output if given["keepdims"] else f"{output}.pooled"
    reading.append(node, GlobalPool(name, inputs, pooled, "average"))
    if not given["keepdims"]:
        channels = reading.shapes[pooled][0]
        reading.append(node, Reshape(f"{name}.flatten", (pooled,), output, (channels,)))


def _softmax(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    shape = reading.shape(node, node.input[0])
    axis, rank = given["axis"], len(shape) + 1
    if axis is None:
        axis = -1 if reading.opset >= 13 else 1
    axis = axis + rank if axis < 0 else axis
    # Before opset 13 softmax runs over all the dimensions from its axis on.
    flattens = reading.opset < 13 and math.prod(shape[axis:]) > 1
    if axis != (1 if len(shape) == 3 else len(shape)) or flattens:
        raise reading.error(node, f"axis must be the features of an input of shape {shape}, not {given['axis']}")
    reading.append(node, Softmax(*names(reading, node)))


OPERATORS: dict[str, Callable[[Reading, onnx.NodeProto, Given], None]] = {
    "Add": arithmetic,
    "AveragePool": _pool,
    "BatchNormalization": batch_norm,
    "Clip": _clip,
    "Conv": _conv,
    "Div": arithmetic,
    "Dropout": _copy,
    "Flatten": reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Identity": _copy,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mul": arithmetic,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": reshape,
    "Softmax": _softmax,
    "Squeeze": reshape,
    "Sub": arithmetic,
    "Sum": arithmetic,
    "Unsqueeze": reshape,
}
