"""What each operator of a .tflite file becomes in ONNX: one function an operator, in the table WRITERS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tflite

from accel.models.exchange import tflite_arrange, tflite_maps, tflite_values
from accel.models.exchange.tflite_file import Operator
from accel.models.exchange.tflite_writing import Unsupported, Writing
from accel.models.window import same_padding

PADDING = {tflite.Padding.SAME: "SAME_UPPER", tflite.Padding.VALID: "VALID"}


def _conv(writing: Writing, operator: Operator, depthwise: bool) -> None:
    """Weights (outputs, height, width, inputs), or of a depthwise convolution (1, height, width, outputs)."""
    options = tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions
    source, filters = writing.tensor(operator.inputs[0]), writing.tensor(operator.inputs[1])
    if len(source.shape) != 4 or len(filters.shape) != 4:
        raise Unsupported(f"input and filter must have four dimensions, not {source.shape} and {filters.shape}")
    output = writing.result(operator)
    order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
    weights = writing.weights(operator.inputs[1], output, lambda x: np.ascontiguousarray(x.transpose(order)))
    groups = source.shape[3] if depthwise else source.shape[3] // max(filters.shape[3], 1)
    height, width = filters.shape[1:3]
    dilation = [operator.option(options, f"Dilation{way}Factor") or 1 for way in "HW"]
    stride = [operator.option(options, f"Stride{way}") or 1 for way in "HW"]
    pads = [0, 0, 0, 0]
    if PADDING.get(operator.option(options, "Padding")) == "SAME_UPPER":
        for i, size in enumerate((height, width)):
            total = max(0, same_padding(source.shape[1 + i], (size - 1) * dilation[i] + 1, stride[i]))
            pads[i], pads[i + 2] = total // 2, total - total // 2
    name = writing.node(
        "Conv", [writing.value(operator.inputs[0]), weights, *_bias(writing, operator, output)], f"{output}.linear",
        group=groups, kernel_shape=[height, width], strides=stride, dilations=dilation, pads=pads,
    )  # fmt: skip
    fused = operator.option(options, "FusedActivationFunction")
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _bias(writing: Writing, operator: Operator, output: str) -> list[str]:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return []
    return [writing.weights(operator.inputs[2], f"{output}.bias", lambda x: x.reshape(-1))]


def _fully_connected(writing: Writing, operator: Operator) -> None:
    """Weights (outputs, inputs); of a map that was flattened the inputs lie as (height, width, channels)."""
    options = tflite.FullyConnectedOptions
    source, output = writing.tensor(operator.inputs[0]), writing.result(operator)
    rank = len(writing.tensor(operator.outputs[0]).shape)
    bias = _bias(writing, operator, output)
    flat = dict(writing.flat)
    if rank == 2 and len(source.shape) == 4:
        flat[operator.inputs[0]] = (writing.value(operator.inputs[0]), source.shape[1:])
    elif rank != len(source.shape) or rank not in (2, 3):
        raise Unsupported(f"input must be rows of features, not of shape {source.shape}")
    if operator.inputs[0] in flat:
        map_name, (height, width, channels) = flat[operator.inputs[0]]
        size = height * width * channels

        def turned(matrix: np.ndarray) -> np.ndarray:
            maps = matrix.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
            return np.ascontiguousarray(maps).reshape(-1, size)

        weights = writing.weights(operator.inputs[1], output, turned)
        vector = writing.node("Flatten", [map_name], f"{output}.flat", axis=1)
        name = writing.node("Gemm", [vector, weights, *bias], f"{output}.linear", transB=1)
    elif rank == 2:
        weights = writing.weights(operator.inputs[1], output, lambda x: x)
        name = writing.node("Gemm", [writing.value(operator.inputs[0]), weights, *bias], f"{output}.linear", transB=1)
    else:
        matrix = writing.floats(operator.inputs[1]).T
        name = writing.node(
            "MatMul",
            [writing.value(operator.inputs[0]), writing.number(f"{output}.matrix", matrix)],
            f"{output}.product",
        )
        name = writing.node("Add", [name, *bias], f"{output}.linear") if bias else name
    fused = operator.option(options, "FusedActivationFunction")
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _pool(writing: Writing, operator: Operator, kind: str) -> None:
    options = tflite.Pool2DOptions
    output = writing.result(operator)
    name = writing.node(
        kind, [writing.value(operator.inputs[0])], f"{output}.linear",
        kernel_shape=[operator.option(options, f"Filter{way}") for way in ("Height", "Width")],
        strides=[operator.option(options, f"Stride{way}") for way in "HW"],
        auto_pad=PADDING[operator.option(options, "Padding")],
    )  # fmt: skip
    fused = operator.option(options, "FusedActivationFunction")
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _arithmetic(writing: Writing, operator: Operator, kind: str) -> None:
    """Of two activations, or of one and a constant, which is broadcast from the last dimension on."""
    output = writing.result(operator)
    name = writing.node(kind, writing.aligned(operator), f"{output}.linear")
    options = {"Add": tflite.AddOptions, "Sub": tflite.SubOptions, "Mul": tflite.MulOptions, "Div": tflite.DivOptions}
    fused = operator.option(options[kind], "FusedActivationFunction")
    writing.made(operator.outputs[0], writing.activate(fused, name, output))


def _unary(writing: Writing, operator: Operator, kind: str) -> None:
    output = writing.result(operator)
    writing.made(operator.outputs[0], writing.node(kind, [writing.value(operator.inputs[0])], f"{output}.linear"))


def _clipped(writing: Writing, operator: Operator, fused: int) -> None:
    output = writing.result(operator)
    writing.made(operator.outputs[0], writing.activate(fused, writing.value(operator.inputs[0]), output))


def _softmax(writing: Writing, operator: Operator, kind: str) -> None:
    """Over the last dimension, which is that of the channels."""
    if kind == "Softmax" and operator.option(tflite.SoftmaxOptions, "Beta") not in (0, 1.0):
        raise Unsupported(f"beta must be 1, not {operator.option(tflite.SoftmaxOptions, 'Beta'):g}")
    axis = 1 if len(writing.tensor(operator.inputs[0]).shape) == 4 else -1
    output = writing.result(operator)
    # Its scale is always 1 / 256, and what reads it here reads floats.
    writing.names[operator.outputs[0]] = writing.node(kind, [writing.value(operator.inputs[0])], output, axis=axis)


def _copy(writing: Writing, operator: Operator) -> None:
    """QUANTIZE and DEQUANTIZE: another scale, or none."""
    writing.made(operator.outputs[0], writing.value(operator.inputs[0]))


def _constant_or_copy(writing: Writing, operator: Operator) -> None:
    """Weights that are stored in 16 or 8 bits and used in 32."""
    if operator.inputs[0] in writing.names:
        _copy(writing, operator)
        return
    writing.replace(operator.outputs[0], operator.inputs[0])


_WRITERS: dict[str, Callable[[Writing, Operator], None]] = {
    "ADD": partial(_arithmetic, kind="Add"),
    "AVERAGE_POOL_2D": partial(_pool, kind="AveragePool"),
    "CONV_2D": partial(_conv, depthwise=False),
    "DEPTHWISE_CONV_2D": partial(_conv, depthwise=True),
    "DENSIFY": _constant_or_copy,
    "DEQUANTIZE": _constant_or_copy,
    "DIV": partial(_arithmetic, kind="Div"),
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": partial(_unary, kind="HardSwish"),
    "LOGISTIC": partial(_unary, kind="Sigmoid"),
    "LOG_SOFTMAX": partial(_softmax, kind="LogSoftmax"),
    "MAX_POOL_2D": partial(_pool, kind="MaxPool"),
    "MUL": partial(_arithmetic, kind="Mul"),
    "QUANTIZE": _copy,
    "RELU": partial(_clipped, fused=1),
    "RELU6": partial(_clipped, fused=3),
    "RELU_N1_TO_1": partial(_clipped, fused=2),
    "SOFTMAX": partial(_softmax, kind="Softmax"),
    "SUB": partial(_arithmetic, kind="Sub"),
    "TANH": partial(_unary, kind="Tanh"),
}
WRITERS = _WRITERS | tflite_values.WRITERS | tflite_arrange.WRITERS | tflite_maps.WRITERS
