"""Network to ONNX: opset 13, weights as initialisers, a symbolic batch dimension.

What the host runs between stretches is written as it was read: then the batch is the one that it was read for, and the
operator set the newest of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange.onnx_write_steps import with_steps
from accel.models.files import write_whole
from accel.models.functions import OPERATORS, Step
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
    channel_axis,
)
from accel.models.host import HostStep
from accel.models.mirrored import transposed
from accel.models.window import Window

__all__ = ["to_model", "write"]

OPSET = 13
IR_VERSION = 8  # the first that opset 13 files commonly carry: old readers keep working


def write(network: Network, path: str | Path) -> None:
    """Save `network` as an ONNX file; an existing file is replaced only by a complete one.

    Raises InputError if the file cannot be written.
    """
    write_whole(path, to_model(network).SerializeToString())


def to_model(network: Network) -> onnx.ModelProto:
    """`network` as an ONNX model; every tensor gets a leading dimension "batch".

    Raises InputError for steps of the host that ONNX does not convert to one operator set.
    """
    steps = [layer for layer in network.layers if isinstance(layer, HostStep)]
    batch = steps[0].run.shapes[0][0] if steps else "batch"
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for layer in network.layers:
        nodes += _nodes(layer, network, constants)

    def values(names: Iterable[str]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *network.shapes[name]])
            for name in dict.fromkeys(names)
        ]

    graph = helper.make_graph(
        nodes,
        network.name,
        values([network.input, *(step.output for step in steps)]),
        values([*network.outputs, *(name for step in steps for name in step.inputs)]),
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="accel")
    model.ir_version = IR_VERSION
    if steps:
        model = with_steps(network, model, steps)
    onnx.checker.check_model(model)
    return model


def _nodes(layer: Layer, network: Network, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """The ONNX nodes of one layer; appends what they need to `constants`."""

    def constant(suffix: str, array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(array, f"{layer.name}.{suffix}"))
        return f"{layer.name}.{suffix}"

    def node(op: str, *extra: str, **attributes: Any) -> list[onnx.NodeProto]:
        return [helper.make_node(op, [*layer.inputs, *extra], [layer.output], layer.name, **attributes)]

    match layer:
        case Pool() if any(layer.window.edges):
            return node("Pad", constant("pads", _edges(layer.window)), mode="edge")
        case Conv() if any(layer.window.edges):
            edges = Pool(
                f"{layer.name}.pad",
                layer.inputs,
                f"{layer.name}.padded",
                "max",
                Window((1, 1), edges=layer.window.edges),
            )
            inside = replace(layer, inputs=(edges.output,), window=replace(layer.window, edges=(0, 0, 0, 0)))
            return _nodes(edges, network, constants) + _nodes(inside, network, constants)
        case Conv() if layer.window.spread:
            turned = constant("weight", transposed(layer.weights, layer.groups))
            return node("ConvTranspose", turned, constant("bias", layer.bias), group=layer.groups, **_cut(layer.window))
        case Pool() if layer.window.crops:
            (top, left, bottom, right), (height, width) = layer.window.pads, network.shapes[layer.inputs[0]][1:]
            values = {
                "starts": [-top, -left],
                "ends": [height + bottom, width + right],
                "axes": [2, 3],
                "steps": list(layer.window.stride),
            }
            return node("Slice", *(constant(name, np.array(value, np.int64)) for name, value in values.items()))
        case Pool() if layer.window.spread:
            scales = constant("scales", np.array([1, 1, *layer.window.base_dilation], np.float32))
            modes = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
            return node("Resize", "", scales, **modes)
        case Conv():
            arrays = constant("weight", layer.weights), constant("bias", layer.bias)
            return node("Conv", *arrays, group=layer.groups, **_window(layer.window, dilations=True))
        case Linear() if len(network.shapes[layer.output]) == 1:
            return node("Gemm", constant("weight", layer.weights), constant("bias", layer.bias), transB=1)
        case Linear():
            product = f"{layer.name}.product"
            weights = constant("weight", np.ascontiguousarray(layer.weights.T))
            return [
                helper.make_node("MatMul", [*layer.inputs, weights], [product], f"{layer.name}.matmul"),
                helper.make_node("Add", [product, constant("bias", layer.bias)], [layer.output], layer.name),
            ]
        case Activation(low=0.0, high=math.inf):
            return node("Relu")
        case Activation():
            limits = [
                constant(name, np.array(value, np.float32)) if math.isfinite(value) else ""
                for name, value in (("low", layer.low), ("high", layer.high))
            ]
            return node("Clip", *limits)
        case Unary():
            return _steps(layer)
        case Pool(kind="max"):
            return node("MaxPool", **_window(layer.window, dilations=True))
        case Pool():
            if layer.window.dilation != (1, 1):
                raise InputError(f"layer {layer.name!r}: ONNX opset {OPSET} has no dilated average pooling")
            include = int(layer.count_include_pad)
            return node("AveragePool", count_include_pad=include, **_window(layer.window, dilations=False))
        case GlobalPool():
            return node("GlobalMaxPool" if layer.kind == "max" else "GlobalAveragePool")
        case Add() | Sub() | Mul():
            return node(type(layer).__name__)
        case Concat():
            return node("Concat", axis=1 + channel_axis(network.shapes[layer.output]))
        case Select():
            channels = constant("channels", np.array(layer.channels, np.int64))
            return node("Gather", channels, axis=1 + channel_axis(network.shapes[layer.output]))
        case Reshape() if len(layer.shape) == 1:
            return node("Flatten")
        case Reshape():
            # Zero copies the batch dimension.
            return node("Reshape", constant("shape", np.array([0, *layer.shape], np.int64)))
        case Softmax():
            return node("Softmax", axis=1 if len(network.shapes[layer.output]) == 3 else -1)
        case HostStep():
            return []  # onnx_write_steps has them


def _edges(window: Window) -> np.ndarray:
    """The pads of ONNX's Pad around height and width."""
    top, left, bottom, right = window.edges
    return np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)


def _steps(layer: Unary) -> list[onnx.NodeProto]:
    """A node for each step of a function."""
    names, nodes = [layer.inputs[0]], []
    steps = layer.function.steps or (Step("Identity", (0,)),)
    for number, step in enumerate(steps, 1):
        last = number == len(steps)
        names.append(layer.output if last else f"{layer.output}.{number}")
        title = layer.name if last else f"{layer.name}.{number}"
        attributes = OPERATORS[step.operator].attributes if step.numbers else ()
        given: dict[str, Any] = dict(zip(attributes, step.numbers, strict=True))
        nodes.append(helper.make_node(step.operator, [names[k] for k in step.operands], [names[-1]], title, **given))
    return nodes


def _cut(window: Window) -> dict[str, list[int]]:
    """The attributes of a transposed convolution: pads cut what it makes, output_padding adds to it."""
    reach = [(k - 1) * d for k, d in zip(window.kernel, window.dilation, strict=True)] * 2
    cut = [r - p for r, p in zip(reach, window.pads, strict=True)]
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.base_dilation),
        "dilations": list(window.dilation),
        "pads": [max(0, n) for n in cut],
        "output_padding": [max(0, -n) for n in cut[2:]],
    }


def _window(window: Window, dilations: bool) -> dict[str, list[int]]:
    attributes = {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": list(window.pads),
    }
    if dilations:
        attributes["dilations"] = list(window.dilation)
    return attributes
