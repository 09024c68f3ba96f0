"""What each ONNX operator becomes: one function an operator, in the table OPERATORS.

A function reads its node, the node's attributes (checked: `accel.models.exchange.onnx_attributes`) and its constants,
and appends a layer to the Reading. Operators that scale and shift channels are in `accel.models.exchange.onnx_affine`,
those that change shapes in `accel.models.exchange.onnx_reshape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx

from accel.models.exchange.onnx_affine import arithmetic, batch_norm, negate, prelu
from accel.models.exchange.onnx_channels import concat, gather, slice_, split, transpose
from accel.models.exchange.onnx_functions import WRITTEN_OUT, unary, with_constants
from accel.models.exchange.onnx_pad import pad, unpadded
from accel.models.exchange.onnx_prepare import REAL
from accel.models.exchange.onnx_quantised import dequantise_linear, quantise_linear
from accel.models.exchange.onnx_reading import Array, Given, Reading, names
from accel.models.exchange.onnx_rearrange import depth_to_space, space_to_depth
from accel.models.exchange.onnx_reshape import reshape
from accel.models.exchange.onnx_upsample import conv_transpose, resize
from accel.models.graph import Activation, Conv, GlobalPool, Linear, Pool, Softmax, channel_axis
from accel.models.window import Window, same_padding


def _copy(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    """Identity, and Dropout, which does nothing outside of training."""
    if any(reading.uses[name] for name in node.output[1:]):
        raise reading.unsupported(node, "the mask must not be used, and is")
    if reading.given(node, 2) and reading.constants.get(node.input[2], np.array(True)).any():
        raise reading.error(node, "training_mode must be a constant that is false, and is not")
    reading.copy(node, node.input[0])


def _cast(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """From one floating-point type to another: all are float32 here."""
    if given["to"] not in REAL:
        raise reading.unsupported(
            node, f"type of an activation must be {REAL[0]} or {REAL[1]}, a float, not {given['to']}"
        )
    reading.copy(node, node.input[0])


FEW_STEPS = 15


def _window(reading: Reading, node: onnx.NodeProto, given: Given, kernel: tuple[int, int]) -> Window:
    """The window of a Conv or pooling node; "same" padding and a rounded-up size become explicit pads."""
    shape = reading.shape(node, node.input[0])
    if len(shape) != 3:
        raise reading.unsupported(node, f"must be two-dimensional: kernel {kernel}, input {shape}")
    stride, dilation = _pair(reading, node, given, "strides"), _pair(reading, node, given, "dilations")
    pads, steps = list(_pads(reading, node, given) or (0, 0, 0, 0)), list(stride)
    auto = given["auto_pad"]
    if auto != "NOTSET" and given["pads"] is not None:
        raise reading.error(node, f"pads must not be given together with auto_pad {auto}")
    if auto.startswith("SAME") and dilation != (1, 1):
        raise reading.error(node, f"dilations must be 1 with auto_pad {auto}, not {dilation}")
    for i in range(2):
        span = (kernel[i] - 1) * dilation[i] + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = same_padding(shape[1 + i], span, stride[i])
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
        if stride[i] > FEW_STEPS and shape[1 + i] + pads[i] + pads[i + 2] == span:
            steps[i] = 1  # it is never taken, and commands hold no large ones
    top, left, bottom, right = pads
    return Window(kernel, (steps[0], steps[1]), (top, left, bottom, right), dilation)


def _pair(reading: Reading, node: onnx.NodeProto, given: Given, name: str) -> tuple[int, int]:
    """An attribute for height and width, which a one-dimensional network has for the width alone."""
    values = given[name] if given[name] is not None else (1,) * (1 if reading.one_dimensional else 2)
    if len(values) != (1 if reading.one_dimensional else 2):
        raise reading.error(node, f"{name} must be {1 if reading.one_dimensional else 2} integers, not {len(values)}")
    return (1, values[0]) if reading.one_dimensional else (values[0], values[1])


def _pads(reading: Reading, node: onnx.NodeProto, given: Given) -> tuple[int, int, int, int] | None:
    """The attribute pads as (top, left, bottom, right), None if it is not given."""
    pads = given["pads"]
    if pads is None:
        return None
    if len(pads) != (2 if reading.one_dimensional else 4):
        raise reading.error(node, f"pads must be {2 if reading.one_dimensional else 4} integers, not {len(pads)}")
    return (0, pads[0], 0, pads[1]) if reading.one_dimensional else (pads[0], pads[1], pads[2], pads[3])


def _conv(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    weights = reading.constant(node, 1, "weight", rank=3 if reading.one_dimensional else 4)
    weights = weights[:, :, None] if reading.one_dimensional else weights
    kernel = weights.shape[2], weights.shape[3]
    if given["kernel_shape"] is not None and _pair(reading, node, given, "kernel_shape") != kernel:
        raise reading.error(node, f"kernel_shape must be the weight's, {kernel}, not {given['kernel_shape']}")
    bias = np.zeros(len(weights), np.float32)
    if reading.given(node, 2):
        bias = reading.constant(node, 2, "bias", rank=1, length=len(weights))
    window = _window(reading, node, given, kernel)
    name, inputs, output = names(reading, node)
    tensor, window = unpadded(reading, node, inputs[0], window)
    if found := reading.weights.get(node.input[1]):
        reading.enter_codes(name, found.of(len(weights), 0))
    reading.append(node, Conv(name, (tensor,), output, weights, bias, window, given["group"]))


def _gemm(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    if given["transA"]:
        raise reading.unsupported(node, "transA must be 0, not 1")
    if len(shape := reading.shape(node, node.input[0])) != 1:
        raise reading.unsupported(node, f"input must be a vector, not of shape {shape}")
    weights = reading.constant(node, 1, "matrix", rank=2)
    weights = weights if given["transB"] else weights.T
    bias = np.zeros(len(weights), np.float32)
    if reading.given(node, 2):
        c = reading.constant(node, 2, "bias")
        if c.ndim > 2 or c.size not in (1, len(weights)) or (c.ndim and c.shape[-1] != c.size):
            raise reading.unsupported(node, f"bias must be a row of {len(weights)} values, not {c.shape}")
        bias = np.broadcast_to(c.reshape(-1), len(weights)) * np.float32(given["beta"])
    if given["alpha"] != 1:
        weights = weights * np.float32(given["alpha"])
    else:
        _matrix_codes(reading, node, len(weights), turned=not given["transB"])
    reading.append(node, Linear(*names(reading, node), _rows(weights), bias))


def _rows(weights: Array) -> Array:
    """A matrix whose rows lie one after the other; one number that stands for all of them may stay one."""
    return weights if not any(weights.strides) else np.ascontiguousarray(weights)


def _matrix_codes(reading: Reading, node: onnx.NodeProto, outputs: int, turned: bool) -> None:
    """Note the codes of a matrix (outputs, inputs), or `turned` (inputs, outputs)."""
    if found := reading.weights.get(node.input[1]):
        reading.enter_codes(reading.name(node), found.of(outputs, 1 if turned else 0, turned))


def _matmul(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    weights = np.ascontiguousarray(reading.constant(node, 1, "matrix", rank=2).T)
    _matrix_codes(reading, node, len(weights), turned=True)
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
        raise reading.unsupported(node, "output Indices is not supported")
    if given["kernel_shape"] is None:
        raise reading.error(node, "kernel_shape must be given, and is missing")
    window = _window(reading, node, given, _pair(reading, node, given, "kernel_shape"))
    where = names(reading, node)
    if node.op_type == "MaxPool":
        reading.append(node, Pool(*where, "max", window))
        return
    include = bool(given["count_include_pad"])
    # Pads that were added only to round the size up never count, whatever count_include_pad says.
    if include and given["ceil_mode"] and window.pads != (_pads(reading, node, given) or (0, 0, 0, 0)):
        raise reading.unsupported(node, "ceil_mode with count_include_pad is not supported for this size")
    name, inputs, output = where
    if include or not any(window.pads):  # zeros that a Pad put there count, and so must these
        tensor, padded = unpadded(reading, node, inputs[0], window)
        inputs, include, window = (tensor,), include or padded != window, padded
    reading.append(node, Pool(name, inputs, output, "average", window, include))


def _global_pool(reading: Reading, node: onnx.NodeProto, _: Given) -> None:
    kind: Literal["max", "average"] = "max" if node.op_type == "GlobalMaxPool" else "average"
    reading.append(node, GlobalPool(*names(reading, node), kind))


def _reduce(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """ReduceMean and ReduceMax over height and width of a map, or over one of them, as a pooling."""
    axes = given["axes"]
    if axes is None and reading.given(node, 1):
        axes = reading.integers(node, 1, "axes")
    shape = reading.shape(node, node.input[0])
    full = reading.full(shape)
    places = {axis % len(full) for axis in axes} if axes and all(-len(full) <= a < len(full) for a in axes) else set()
    # What a reduction without keepdims left is a matrix, whose last axis was a map's.
    last = {len(full) - 1} if reading.one_dimensional or len(full) == 3 else {2, 3}
    if len(full) < 3 or not places or not places <= last or len(places) != len(axes):
        raise reading.unsupported(node, f"axes must be height and width (2, 3), not {axes and list(axes)}")
    name, output, source = reading.name(node), node.output[0], node.input[0]
    if len(shape) == 2:
        shape, source = (*shape, 1), f"{output}.map"
        reading.reshape(node, f"{name}.map", node.input[0], source, shape)
    pooled, kind, inputs = f"{output}.pooled", _POOLED[node.op_type], (reading.resolve(source),)
    if places == last:
        reading.append(node, GlobalPool(name, inputs, pooled, kind))
    else:
        kernel = (shape[1], 1) if places == {2} else (1, shape[2])
        reading.append(node, Pool(name, inputs, pooled, kind, Window(kernel)))
    reading.uses[pooled] += 1
    kept = [1 if place in places else size for place, size in enumerate(full)]
    wanted = kept if given["keepdims"] else [size for place, size in enumerate(full) if place not in places]
    reading.reshape(node, f"{name}.flatten", pooled, output, reading.inner(tuple(wanted)))


_POOLED: dict[str, Literal["max", "average"]] = {"ReduceMax": "max", "ReduceMean": "average"}


def _softmax(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    shape = reading.shape(node, node.input[0])
    axis, rank = given["axis"], len(reading.full(shape))
    if axis is None:
        axis = -1 if reading.opset >= 13 else 1
    axis = axis + rank if axis < 0 else axis
    # Before opset 13 softmax runs over all the dimensions from its axis on.
    flattens = reading.opset < 13 and math.prod(shape[axis:]) > 1
    if axis != 1 + channel_axis(shape) or flattens:
        raise reading.unsupported(node, f"axis must be the features of an input of shape {shape}, not {given['axis']}")
    reading.append(node, Softmax(*names(reading, node)))


@dataclass(frozen=True)
class Operator:
    """How an operator is read, and what it becomes, in the words of docs/operators.md."""

    read: Callable[[Reading, onnx.NodeProto, Given], None]
    becomes: str


_AFFINE = "with a constant per channel: folded into the convolution or Gemm before it, else a depthwise 1 x 1"
_TWO = "of two activations of one shape, or of a map and one pixel of as many channels, in the post-process"
_SHAPE = "the same values in the same order; the batch stays in front"
_WINDOW = "one or two dimensions, strides, dilations, pads, auto_pad"
_RESIZED = (
    "by whole factors of height and width: nearest, in modes that repeat each pixel, as copies; linear, half_pixel or "
    "asymmetric, as a depthwise convolution with whole numbers as weights, or two where these need more than 8 bits"
)
_FUNCTION = "a table of 256 codes in the post-process, one for all that is a function of one tensor"
_FUNCTIONS = (
    "Abs", "Ceil", "Celu", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Log", "Reciprocal",
    "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu", *WRITTEN_OUT,
)  # fmt: skip
_SLOPES = (
    f"with one slope: {_FUNCTION}; with a slope per channel: a depthwise 1 x 1 of what is below 0, to which the rest "
    "is added"
)
OPERATORS: dict[str, Operator] = {
    "Add": Operator(arithmetic, f"{_TWO}; {_AFFINE}"),
    "AveragePool": Operator(_pool, f"average over a window: {_WINDOW}, ceil_mode, pads counted or not"),
    "BatchNormalization": Operator(batch_norm, _AFFINE.replace("with a constant per channel: ", "")),
    "Cast": Operator(_cast, "between float32 and float16, which are one here"),
    "Clip": Operator(_clip, "limits that are constants, in the post-process of the layer before"),
    "Concat": Operator(concat, "of activations along the channels: no data is moved, see Channels in architecture.md"),
    "Conv": Operator(_conv, f"on the array: constant weights, groups, {_WINDOW}"),
    "ConvTranspose": Operator(
        conv_transpose,
        "on the array, phase by phase: constant weights, groups, one or two dimensions, strides, dilations, pads, "
        "auto_pad, output_padding, output_shape",
    ),
    "DepthToSpace": Operator(depth_to_space, "a transposed convolution by ones, DCR or CRD"),
    "DequantizeLinear": Operator(dequantise_linear, "of a constant its values, of an activation nothing: see below"),
    "Div": Operator(arithmetic, f"by a constant, {_AFFINE}"),
    "Dropout": Operator(_copy, "nothing, outside of training"),
    "Flatten": Operator(reshape, _SHAPE),
    "Gather": Operator(gather, "of channels, by a constant vector: as Concat"),
    "Gemm": Operator(_gemm, "on the array: of a vector, constant matrix and bias, transA 0"),
    "GlobalAveragePool": Operator(_global_pool, "average over a whole map"),
    "GlobalMaxPool": Operator(_global_pool, "maximum over a whole map"),
    "Identity": Operator(_copy, "nothing"),
    "MatMul": Operator(_matmul, "on the array: of a vector, or the rows of a matrix, with a constant matrix"),
    "MaxPool": Operator(_pool, f"maximum over a window: {_WINDOW}, ceil_mode; output Indices is not supported"),
    "Max": Operator(with_constants, f"of an activation and numbers: {_FUNCTION}"),
    "Min": Operator(with_constants, f"of an activation and numbers: {_FUNCTION}"),
    "Mul": Operator(arithmetic, f"{_TWO}; {_AFFINE}"),
    "Pow": Operator(with_constants, f"of an activation and a number: {_FUNCTION}"),
    "Neg": Operator(negate, _AFFINE.replace("with a constant per channel: ", "")),
    "PRelu": Operator(
        prelu,
        _SLOPES,
    ),
    "Pad": Operator(
        pad,
        "zeros around height and width: pads of the convolution or average behind it, else a layer; channels of zeros; "
        "mode edge: copies",
    ),
    "QuantizeLinear": Operator(quantise_linear, "the scale of the int8 tensor: see below"),
    "ReduceMax": Operator(_reduce, "over height and width, or one of them: a maximum over a window"),
    "ReduceMean": Operator(_reduce, "over height and width, or one of them: an average over a window"),
    "Relu": Operator(_relu, "in the post-process of the layer before"),
    "Reshape": Operator(reshape, _SHAPE),
    "Resize": Operator(resize, _RESIZED),
    "Slice": Operator(slice_, "constant: of channels as Concat, of rows and columns forwards as copies"),
    "Softmax": Operator(_softmax, "on the host, as the last layer"),
    "SpaceToDepth": Operator(space_to_depth, "a convolution by ones"),
    "Split": Operator(split, "along the channels: as Concat"),
    "Squeeze": Operator(reshape, _SHAPE),
    "Sub": Operator(arithmetic, f"{_TWO}; {_AFFINE}"),
    "Sum": Operator(arithmetic, "of any number of activations of one shape, or as Add"),
    "Transpose": Operator(transpose, "between two Reshapes that shuffle channels in groups: as Concat"),
    "Unsqueeze": Operator(reshape, _SHAPE),
    "Upsample": Operator(resize, _RESIZED),
    **{name: Operator(unary, _FUNCTION) for name in _FUNCTIONS},
}
OPERATORS = dict(sorted(OPERATORS.items()))
