"""What each ONNX operator becomes: one function an operator, in the table OPERATORS.

A function reads its node and its constants, and appends a layer to the Reading. Scale and offset per
channel (BatchNormalization, or Mul / Add / Sub / Div with a constant) fold into the Conv or Linear that
they follow, or become a depthwise 1 x 1 Conv where there is none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from models.errors import InputError
from models.graph import Activation, Add, Conv, GlobalPool, Layer, Linear, Pool, Reshape, Shape, Softmax, output_shape
from models.integer import Window

Array = NDArray[Any]


@dataclass
class Reading:
    """What has been read of one file so far.

    `constants` by name; `alias` from a tensor to the one it is a copy of; `shapes` of activations without
    the batch of `batch` inputs; `uses` counts the readers of every name.
    """

    file: str
    opset: int
    batch: int = 1
    constants: dict[str, Array] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    uses: Counter[str] = field(default_factory=Counter)
    layers: list[Layer] = field(default_factory=list)

    def error(self, node: onnx.NodeProto, message: str) -> InputError:
        """The exception for `node`, naming file, node and operator."""
        return InputError(f"{self.file}: node {self.name(node)!r} ({node.op_type}): {message}")

    def name(self, node: onnx.NodeProto) -> str:
        """The node's name, or that of its output: ONNX nodes need no name."""
        return node.name or (node.output[0] if node.output else "")

    def resolve(self, tensor: str) -> str:
        """The tensor that `tensor` is a copy of, or itself."""
        while tensor in self.alias:
            tensor = self.alias[tensor]
        return tensor

    def shape(self, node: onnx.NodeProto, tensor: str) -> Shape:
        """The shape of an activation that `node` reads."""
        tensor = self.resolve(tensor)
        if tensor not in self.shapes:
            raise self.error(node, f"input {tensor!r} must be an activation, and is a constant or does not exist")
        return self.shapes[tensor]

    def constant(self, node: onnx.NodeProto, index: int, what: str) -> Array:
        """Input `index` of `node`, which must be a constant with finite values, as float32."""
        name = node.input[index]
        if name not in self.constants:
            raise self.error(node, f"{what} {name!r} must be a constant, and depends on the input")
        array = self.constants[name]
        if array.dtype.kind != "f":
            raise self.error(node, f"{what} {name!r} must be floating point, not {array.dtype}")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise self.error(node, f"{what} {name!r} must be finite, not NaN or Inf")
        return array

    def append(self, node: onnx.NodeProto, layer: Layer) -> None:
        """Add `layer` and the shape of its output."""
        try:
            self.shapes[layer.output] = output_shape(layer, [self.shape(node, t) for t in layer.inputs])
        except InputError as error:
            if str(error).startswith(self.file):
                raise
            raise self.error(node, str(error)) from None
        self.layers.append(layer)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of attribute `name`, or `default`."""
    for a in node.attribute:
        if a.name == name:
            value = helper.get_attribute_value(a)
            return value.decode() if isinstance(value, bytes) else value
    return default


def evaluate(reading: Reading, node: onnx.NodeProto, values: list[Array]) -> list[Array]:
    """The outputs of `node` for constant inputs, by ONNX's reference evaluator."""
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "constant",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for n, v in dict(zip(names, values, strict=True)).items()
        ],
        [helper.make_empty_tensor_value_info(n) for n in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", reading.opset)])
    try:
        with np.errstate(all="ignore"):  # a value that is not finite is refused where it is used
            results = ReferenceEvaluator(model).run(None, dict(zip(names, values, strict=True)))
    except Exception as error:  # the evaluator raises whatever numpy raises
        raise reading.error(node, f"cannot be evaluated: {' '.join(str(error).split())}") from None
    return [np.asarray(r) for r in results]


def _names(reading: Reading, node: onnx.NodeProto) -> tuple[str, tuple[str], str]:
    """Name, inputs and output of a layer with one activation."""
    reading.shape(node, node.input[0])
    return reading.name(node), (reading.resolve(node.input[0]),), node.output[0]


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
    reading.append(node, Conv(*_names(reading, node), weights, bias, window, attribute(node, "group", 1)))


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
    reading.append(node, Linear(*_names(reading, node), weights, bias))


def _matmul(reading: Reading, node: onnx.NodeProto) -> None:
    weights = reading.constant(node, 1, "matrix")
    if weights.ndim != 2:
        raise reading.error(node, f"matrix must have 2 dimensions, not {weights.ndim}")
    weights = np.ascontiguousarray(weights.T)
    reading.append(node, Linear(*_names(reading, node), weights, np.zeros(len(weights), np.float32)))


def _relu(reading: Reading, node: onnx.NodeProto) -> None:
    reading.append(node, Activation(*_names(reading, node)))


def _clip(reading: Reading, node: onnx.NodeProto) -> None:
    limits = []
    for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        value = attribute(node, name, default)
        if len(node.input) > index and node.input[index]:
            value = float(reading.constant(node, index, name).reshape(-1)[0])
        # Exporters write "no limit" as the largest float.
        limits.append(value if abs(value) < np.finfo(np.float32).max else math.copysign(math.inf, value))
    reading.append(node, Activation(*_names(reading, node), *limits))


def _pool(reading: Reading, node: onnx.NodeProto) -> None:
    if len(node.output) > 1 and node.output[1]:
        raise reading.error(node, "output Indices is not supported")
    window = _window(reading, node, tuple(attribute(node, "kernel_shape", [])))
    names = _names(reading, node)
    if node.op_type == "MaxPool":
        reading.append(node, Pool(*names, "max", window))
        return
    include = bool(attribute(node, "count_include_pad", 0))
    # Pads that were added only to round the size up never count, whatever count_include_pad says.
    if include and attribute(node, "ceil_mode", 0) and list(window.pads) != attribute(node, "pads", [0] * 4):
        raise reading.error(node, "ceil_mode with count_include_pad is not supported for this size")
    reading.append(node, Pool(*names, "average", window, include))


def _global_pool(reading: Reading, node: onnx.NodeProto) -> None:
    kind: Literal["max", "average"] = "max" if node.op_type == "GlobalMaxPool" else "average"
    reading.append(node, GlobalPool(*_names(reading, node), kind))


def _reduce_mean(reading: Reading, node: onnx.NodeProto) -> None:
    axes = attribute(node, "axes", None)
    if len(node.input) > 1 and node.input[1] in reading.constants:
        axes = reading.constants[node.input[1]].tolist()
    if axes is None or sorted(a % 4 for a in axes) != [2, 3]:
        raise reading.error(node, f"axes must be height and width (2, 3), not {axes}")
    name, inputs, output = _names(reading, node)
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
    reading.append(node, Reshape(*_names(reading, node), tuple(shape[1:])))


def _softmax(reading: Reading, node: onnx.NodeProto) -> None:
    shape = reading.shape(node, node.input[0])
    axis = attribute(node, "axis", -1 if reading.opset >= 13 else 1) % (len(shape) + 1)
    # Before opset 13 softmax runs over all the dimensions from its axis on.
    flattens = reading.opset < 13 and math.prod(shape[axis:]) > 1
    if axis != (1 if len(shape) == 3 else len(shape)) or flattens:
        raise reading.error(node, f"axis must be the features of an input of shape {shape}, not {axis}")
    reading.append(node, Softmax(*_names(reading, node)))


def _batch_norm(reading: Reading, node: onnx.NodeProto) -> None:
    if attribute(node, "training_mode", 0):
        raise reading.error(node, "training_mode must be 0, not 1")
    what = ("scale", "bias", "mean", "variance")
    gain, bias, mean, variance = (reading.constant(node, i + 1, w).astype(np.float64) for i, w in enumerate(what))
    scale = gain / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    _affine(reading, node, node.input[0], scale, bias - mean * scale)


def _arithmetic(reading: Reading, node: onnx.NodeProto) -> None:
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
        reading.append(
            node,
            replace(
                before,
                output=node.output[0],
                weights=(before.weights * column).astype(np.float32),
                bias=(before.bias * scale + offset).astype(np.float32),
            ),
        )
    elif len(shape) == 3:
        weights = scale.reshape(-1, 1, 1, 1).astype(np.float32)
        names_of_layer = reading.name(node), (names[-1],), node.output[0]
        layer = Conv(*names_of_layer, weights, offset.astype(np.float32), Window((1, 1)), channels)
        reading.append(node, layer)
    else:
        raise reading.error(node, "scale and offset of a vector must follow a Gemm or MatMul")


OPERATORS: dict[str, Callable[[Reading, onnx.NodeProto], None]] = {
    "Add": _arithmetic,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": _conv,
    "Div": _arithmetic,
    "Dropout": _copy,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Identity": _copy,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Mul": _arithmetic,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": _reshape,
    "Sub": _arithmetic,
    "Sum": _arithmetic,
    "Unsqueeze": _reshape,
}
