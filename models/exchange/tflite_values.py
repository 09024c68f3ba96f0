"""Operators of a .tflite file that compute values one by one, or reduce dimensions: what they become in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tflite
from onnx import helper

from accel.models.exchange.tflite_file import Operator
from accel.models.exchange.tflite_writing import FIRST, Writing


def _unary(writing: Writing, operator: Operator, kinds: tuple[str, ...]) -> None:
    """One after the other, in the order that the activation lies in."""
    output, name = writing.result(operator), writing.any(operator.inputs[0])
    for number, kind in enumerate(kinds):
        name = writing.node(kind, [name], f"{output}.{number}" if number < len(kinds) - 1 else f"{output}.linear")
    writing.made(operator.outputs[0], name)


def _square(writing: Writing, operator: Operator) -> None:
    name = writing.any(operator.inputs[0])
    writing.made(operator.outputs[0], writing.node("Mul", [name, name], f"{writing.result(operator)}.linear"))


def _leaky(writing: Writing, operator: Operator) -> None:
    slope = operator.option(tflite.LeakyReluOptions, "Alpha")
    name = writing.node(
        "LeakyRelu", [writing.value(operator.inputs[0])], f"{writing.result(operator)}.linear", alpha=slope
    )
    writing.made(operator.outputs[0], name)


def _gelu(writing: Writing, operator: Operator) -> None:
    """x (1 + erf(x / sqrt 2)) / 2, or its approximation by tanh: ONNX has it as one operator later than our opset."""
    x, output = writing.value(operator.inputs[0]), writing.result(operator)

    def number(value: float, what: str) -> str:
        return writing.number(f"{output}.{what}", np.float32(value))

    if operator.option(tflite.GeluOptions, "Approximate"):
        cube = writing.node("Mul", [x, writing.node("Mul", [x, x], f"{output}.square")], f"{output}.cube")
        part = writing.node("Mul", [cube, number(0.044715, "factor")], f"{output}.part")
        sum_ = writing.node("Add", [x, part], f"{output}.sum")
        inner = writing.node("Mul", [sum_, number(np.sqrt(2 / np.pi), "root")], f"{output}.inner")
        inner = writing.node("Tanh", [inner], f"{output}.tanh")
    else:
        inner = writing.node("Mul", [x, number(np.sqrt(0.5), "root")], f"{output}.inner")
        inner = writing.node("Erf", [inner], f"{output}.erf")
    gate = writing.node("Add", [inner, number(1, "one")], f"{output}.gate")
    gate = writing.node("Mul", [gate, number(0.5, "half")], f"{output}.halved")
    writing.made(operator.outputs[0], writing.node("Mul", [x, gate], f"{output}.linear"))


def _prelu(writing: Writing, operator: Operator) -> None:
    """A slope for each channel, which is the last dimension."""
    output, rank = writing.result(operator), len(writing.tensor(operator.inputs[0]).shape)
    slope = writing.floats(operator.inputs[1])
    slope = slope.reshape((1,) * (rank - slope.ndim) + slope.shape)
    slope = slope.transpose(FIRST)[0] if rank == 4 else slope[0]
    inputs = [writing.value(operator.inputs[0]), writing.number(f"{output}.slope", slope)]
    writing.made(operator.outputs[0], writing.node("PRelu", inputs, f"{output}.linear"))


def _together(writing: Writing, operator: Operator, kinds: tuple[str, ...]) -> None:
    """A node of all inputs, each broadcast from the last dimension on, and unary nodes behind it."""
    output = writing.result(operator)
    name = writing.node(kinds[0], writing.aligned(operator), f"{output}.{kinds[0]}")
    for kind in kinds[1:]:
        name = writing.node(kind, [name], f"{output}.{kind}")
    writing.made(operator.outputs[0], name)


def _squared_difference(writing: Writing, operator: Operator) -> None:
    output = writing.result(operator)
    name = writing.node("Sub", writing.aligned(operator), f"{output}.difference")
    writing.made(operator.outputs[0], writing.node("Mul", [name, name], f"{output}.linear"))


def _reduce(writing: Writing, operator: Operator, kind: str) -> None:
    """Over any dimensions; those of height and width of a map keep the order of ONNX, others go through the file's."""
    output, place = writing.result(operator), operator.inputs[0]
    rank = len(writing.tensor(place).shape)
    axes = sorted(axis % rank for axis in writing.integers(operator.inputs[1]))
    keep = int(bool(operator.option(tflite.ReducerOptions, "KeepDims")))
    if rank == 4 and (keep or axes in ([1, 2], [3])):
        name, axes, put = writing.value(place), sorted(FIRST.index(axis) for axis in axes), writing.made
    else:
        name, put = writing.ordered(place), writing.put
    inputs, given = [name], {"axes": axes}
    if kind == "ReduceSum":  # whose axes are an input in the opset that is written
        inputs, given = [name, writing.number(f"{output}.axes", np.array(axes, np.int64))], {}
    put(operator.outputs[0], writing.node(kind, inputs, f"{output}.linear", keepdims=keep, **given))


def _best(writing: Writing, operator: Operator, kind: str) -> None:
    place = operator.inputs[0]
    (axis,) = writing.integers(operator.inputs[1])
    output, to = writing.result(operator), np.dtype(writing.tensor(operator.outputs[0]).kind)
    name = writing.node(kind, [writing.ordered(place)], f"{output}.place", axis=axis, keepdims=0)
    name = writing.node("Cast", [name], f"{output}.linear", to=helper.np_dtype_to_tensor_dtype(to))
    writing.put(operator.outputs[0], name)


def _cast(writing: Writing, operator: Operator) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(writing.tensor(operator.outputs[0]).kind))
    name = writing.node("Cast", [writing.any(operator.inputs[0])], f"{writing.result(operator)}.linear", to=kind)
    writing.made(operator.outputs[0], name)


def _batch_matmul(writing: Writing, operator: Operator) -> None:
    """Of the last two dimensions, in the file's order."""
    output, names = writing.result(operator), []
    for number, option in enumerate(("AdjX", "AdjY")):
        place = operator.inputs[number]
        name, rank = writing.ordered(place), len(writing.tensor(place).shape)
        if operator.option(tflite.BatchMatMulOptions, option):
            turned = [*range(rank - 2), rank - 1, rank - 2]
            name = writing.node("Transpose", [name], f"{output}.{option}", perm=turned)
        names.append(name)
    writing.put(operator.outputs[0], writing.node("MatMul", names, f"{output}.linear"))


def _l2_normalise(writing: Writing, operator: Operator) -> None:
    """Over the last dimension, which is that of the channels."""
    axis = 1 if len(writing.tensor(operator.inputs[0]).shape) == 4 else -1
    name = writing.node(
        "LpNormalization", [writing.value(operator.inputs[0])], f"{writing.result(operator)}.linear", axis=axis, p=2
    )
    writing.made(operator.outputs[0], name)


WRITERS: dict[str, Callable[[Writing, Operator], None]] = {
    "ABS": partial(_unary, kinds=("Abs",)),
    "ARG_MAX": partial(_best, kind="ArgMax"),
    "ARG_MIN": partial(_best, kind="ArgMin"),
    "BATCH_MATMUL": _batch_matmul,
    "CAST": _cast,
    "CEIL": partial(_unary, kinds=("Ceil",)),
    "COS": partial(_unary, kinds=("Cos",)),
    "ELU": partial(_unary, kinds=("Elu",)),
    "EQUAL": partial(_together, kinds=("Equal",)),
    "EXP": partial(_unary, kinds=("Exp",)),
    "FLOOR": partial(_unary, kinds=("Floor",)),
    "GELU": _gelu,
    "GREATER": partial(_together, kinds=("Greater",)),
    "GREATER_EQUAL": partial(_together, kinds=("GreaterOrEqual",)),
    "L2_NORMALIZATION": _l2_normalise,
    "LEAKY_RELU": _leaky,
    "LESS": partial(_together, kinds=("Less",)),
    "LESS_EQUAL": partial(_together, kinds=("LessOrEqual",)),
    "LOG": partial(_unary, kinds=("Log",)),
    "LOGICAL_AND": partial(_together, kinds=("And",)),
    "LOGICAL_NOT": partial(_unary, kinds=("Not",)),
    "LOGICAL_OR": partial(_together, kinds=("Or",)),
    "MAXIMUM": partial(_together, kinds=("Max",)),
    "MEAN": partial(_reduce, kind="ReduceMean"),
    "MINIMUM": partial(_together, kinds=("Min",)),
    "NEG": partial(_unary, kinds=("Neg",)),
    "NOT_EQUAL": partial(_together, kinds=("Equal", "Not")),
    "POW": partial(_together, kinds=("Pow",)),
    "PRELU": _prelu,
    "REDUCE_MAX": partial(_reduce, kind="ReduceMax"),
    "REDUCE_MIN": partial(_reduce, kind="ReduceMin"),
    "REDUCE_PROD": partial(_reduce, kind="ReduceProd"),
    "ROUND": partial(_unary, kinds=("Round",)),
    "RSQRT": partial(_unary, kinds=("Sqrt", "Reciprocal")),
    "SELECT": partial(_together, kinds=("Where",)),
    "SELECT_V2": partial(_together, kinds=("Where",)),
    "SIGN": partial(_unary, kinds=("Sign",)),
    "SIN": partial(_unary, kinds=("Sin",)),
    "SQRT": partial(_unary, kinds=("Sqrt",)),
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "SUM": partial(_reduce, kind="ReduceSum"),
}
