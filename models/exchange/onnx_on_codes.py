"""Operators on codes (QLinearConv and its kin) as float operators between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accel.models.exchange.onnx_reading import Reading

MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators


@dataclass(frozen=True)
class OnCodes:
    """The float operator of one on codes, and where its inputs stand.

    `operands`: places of codes, with scale and zero point behind them; `bias`: the place of int32 codes; `output`: the
    place of the output's scale and zero point. `axis`: of the weights' scales, where there are several.
    """

    operator: str
    operands: tuple[int, ...]
    output: int
    bias: int | None = None
    axis: int = 0
    dropped: tuple[str, ...] = ()  # attributes that the float operator does not have


ON_CODES: dict[tuple[str, str], OnCodes] = {
    ("", "QLinearConv"): OnCodes("Conv", (0, 3), 6, bias=8),
    ("", "QLinearMatMul"): OnCodes("MatMul", (0, 3), 6, axis=1),
    (MICROSOFT, "QGemm"): OnCodes("Gemm", (0, 3), 7, bias=6),
    (MICROSOFT, "QLinearAdd"): OnCodes("Add", (0, 3), 6),
    (MICROSOFT, "QLinearMul"): OnCodes("Mul", (0, 3), 6),
    (MICROSOFT, "QLinearAveragePool"): OnCodes("AveragePool", (0,), 3, dropped=("channels_last",)),
    (MICROSOFT, "QLinearGlobalAveragePool"): OnCodes("GlobalAveragePool", (0,), 3, dropped=("channels_last",)),
    (MICROSOFT, "QLinearSigmoid"): OnCodes("Sigmoid", (0,), 3),
    (MICROSOFT, "QLinearLeakyRelu"): OnCodes("LeakyRelu", (0,), 3),
    (MICROSOFT, "QLinearSoftmax"): OnCodes("Softmax", (0,), 3, dropped=("opset",)),
}


def write_out(reading: Reading, model: onnx.ModelProto) -> None:
    """Write out the nodes of `model` that work on codes; what has an unexpected form stays as it is, to be refused."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if (node.domain, node.op_type) == (MICROSOFT, "QLinearConcat") and len(node.input) % 3 == 2:
            nodes += _joined(node)
            continue
        form = ON_CODES.get(("" if node.domain == "ai.onnx" else node.domain, node.op_type))
        nodes += [node] if form is None or not _fits(form, node) else _written(reading, model, node, form)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _joined(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """QLinearConcat: the scale of the result, then each operand with its own."""
    name, output, operands = node.name or node.output[0], node.output[0], []
    for number, place in enumerate(range(2, len(node.input), 3)):
        operands.append(f"{output}.operand{number}")
        inputs = list(node.input[place : place + 3])
        yield helper.make_node("DequantizeLinear", inputs, operands[-1:], name=f"{name}.operand{number}")
    floating = helper.make_node("Concat", operands, [f"{output}.float"], name=name)
    floating.attribute.extend(node.attribute)
    yield floating
    yield helper.make_node("QuantizeLinear", [f"{output}.float", *node.input[:2]], [output], name=f"{name}.scale")


def _fits(form: OnCodes, node: onnx.NodeProto) -> bool:
    last = any(a.name == "channels_last" and a.i for a in node.attribute)
    return len(node.input) > form.output and len(node.output) == 1 and bool(node.output[0]) and not last


def _written(reading: Reading, model: onnx.ModelProto, node: onnx.NodeProto, form: OnCodes) -> Iterator[onnx.NodeProto]:
    name, output = node.name or node.output[0], node.output[0]
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    axis = form.axis if form.operator != "Gemm" or transposed else 1
    operands = []
    for number, place in enumerate(form.operands):
        operand = f"{output}.operand{number}"
        operands.append(operand)
        yield helper.make_node(
            "DequantizeLinear",
            list(node.input[place : place + 3]),
            [operand],
            name=f"{name}.operand{number}",
            axis=axis,
        )
    if form.bias is not None and len(node.input) > form.bias and node.input[form.bias]:
        yield from _bias(reading, model, node, form, operands)
    floating = helper.make_node(form.operator, operands, [f"{output}.float"], name=name)
    floating.attribute.extend(a for a in node.attribute if a.name not in form.dropped)
    yield floating
    yield helper.make_node(
        "QuantizeLinear",
        [f"{output}.float", *node.input[form.output : form.output + 2]],
        [output],
        name=f"{name}.scale",
    )


def _bias(
    reading: Reading, model: onnx.ModelProto, node: onnx.NodeProto, form: OnCodes, operands: list[str]
) -> Iterator[onnx.NodeProto]:
    """The bias in floats: its codes times the scales of both operands, which are constants."""
    assert form.bias is not None
    scales = [reading.constants.get(node.input[place + 1], np.ones(1, np.float32)) for place in form.operands]
    scale = f"{node.output[0]}.bias_scale"
    reading.constants[scale] = np.asarray(scales[0] * scales[1], np.float32).reshape(scales[1].shape)
    model.graph.initializer.append(numpy_helper.from_array(reading.constants[scale], scale))
    operands.append(f"{node.output[0]}.bias")
    yield helper.make_node("DequantizeLinear", [node.input[form.bias], scale], [operands[-1]], axis=0)
