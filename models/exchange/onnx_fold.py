"""Constants that other constants make: evaluated by ONNX's reference evaluator, within a bound on their size.

Whatever the evaluator knows is folded. For the operators of FOLDABLE the size of the result is bounded here; for all
others ONNX's shape inference, which sees the values, must tell it.

What exporters write between constants is arithmetic on shapes, and weights that are turned or scaled. A Shape of an
activation counts as constant, so that the idiom Shape -> Gather -> Concat -> Reshape folds away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from accel.models.exchange import onnx_load
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_reading import Array, Reading

Size = Callable[[list[Array]], int]  # the most values that an operator can make of constant inputs
# All folded constants together may have so many values, and a few times those of the file.
MOST_VALUES, TIMES = 2**24, 4
# Of one repeated value, which takes no memory here: weights of files that only show an architecture.
MOST_FILLED = 2**28


def _widest(values: list[Array]) -> int:
    return math.prod(np.broadcast_shapes(*(value.shape for value in values)))


def _sum(values: list[Array]) -> int:
    return sum(value.size for value in values)


def _filled(values: list[Array]) -> int:
    return math.prod(int(n) for n in values[0].reshape(-1))


def _expanded(values: list[Array]) -> int:
    shape = [int(n) for n in values[1].reshape(-1)]
    return math.prod(max(n, 1) for n in shape) * max(values[0].size, 1)


def _gathered(values: list[Array]) -> int:
    """Each index takes everything but the axis, which may be the shortest."""
    return values[1].size * (values[0].size // max(min(values[0].shape, default=1), 1))


FOLDABLE: dict[str, Size] = (
    dict.fromkeys(("Add", "Div", "Equal", "Mul", "Pow", "Sub", "Where"), _widest)
    | dict.fromkeys(("Cast", "Floor", "Neg", "Reciprocal", "ReduceProd", "Sqrt"), _sum)
    | dict.fromkeys(("Concat", "Flatten", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"), _sum)
    | {"Constant": _sum, "ConstantOfShape": _filled, "Expand": _expanded, "Gather": _gathered, "Identity": _sum}
)


# Their values are drawn, or their length is only known when they are made, or they hold graphs of their own.
NOT_CONSTANT = (
    "Bernoulli", "Compress", "If", "Loop", "Multinomial", "NonZero", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "Scan", "Unique",
)  # fmt: skip


def foldable(node: onnx.NodeProto) -> bool:
    """Whether a node of the standard operators is a constant when all its inputs are."""
    return node.op_type not in NOT_CONSTANT


def fold(reading: Reading, node: onnx.NodeProto) -> None:
    """Enter what `node`, a `foldable` one, makes of its constant inputs. Raises InputError if that is too much."""
    values = [reading.constants[name] for name in node.input if name]
    if node.op_type == "Constant":
        _check_constant(reading, node)
    with refused(f"{_where(reading, node)} cannot be evaluated"):
        size = FOLDABLE[node.op_type](values) if node.op_type in FOLDABLE else _inferred_size(reading, node, values)
    if node.op_type == "ConstantOfShape":
        _fill(reading, node, values[0], size)
        return
    most = MOST_VALUES + TIMES * reading.stored
    if size < 0 or reading.folded + size > most:
        raise reading.error(node, f"constants that others make must have at most {most} values together")
    results = _evaluate(reading, node, values)
    reading.folded += sum(result.size for result in results)
    reading.constants.update(zip((name for name in node.output if name), results, strict=False))


def _fill(reading: Reading, node: onnx.NodeProto, shape: Array, size: int) -> None:
    """Enter `size` copies of one value. Raises InputError if that is too much."""
    if min(shape.reshape(-1), default=0) < 0 or reading.filled + size > MOST_FILLED:
        raise reading.error(node, f"constants that others make must have at most {MOST_FILLED} values together")
    (one,) = _evaluate(reading, node, [np.ones_like(shape)])
    reading.filled += size
    reading.constants[node.output[0]] = np.broadcast_to(one.reshape(-1)[0], [int(n) for n in shape.reshape(-1)])


def shape_of(reading: Reading, node: onnx.NodeProto) -> None:
    """Enter the shape of an activation, batch included, as the constant that Shape makes of it."""
    full = np.array(reading.full(reading.shape(node, node.input[0])), np.int64)
    given = {a.name: a.i for a in node.attribute}
    reading.constants[node.output[0]] = full[given.get("start", 0) : given.get("end", len(full))]


def _check_constant(reading: Reading, node: onnx.NodeProto) -> None:
    """Raise InputError for a Constant whose value cannot be read."""
    for given in node.attribute:
        if given.type == onnx.AttributeProto.TENSOR:
            onnx_load.array(given.t, reading.file)


def _where(reading: Reading, node: onnx.NodeProto) -> str:
    return f"{reading.file}: node {reading.name(node)!r} ({node.op_type})"


def _evaluate(reading: Reading, node: onnx.NodeProto, values: list[Array]) -> list[Array]:
    """The outputs of `node` for constant inputs."""
    names = [name for name in node.input if name]
    given = dict(zip(names, values, strict=True))
    with refused(f"{_where(reading, node)} cannot be evaluated"), np.errstate(all="ignore"):
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in given.items()
        ]
        model = _model_of(reading, node, inputs)
        return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, given)]


def _inferred_size(reading: Reading, node: onnx.NodeProto, values: list[Array]) -> int:
    """The number of values of all outputs, as ONNX's inference tells it from the values of the inputs."""
    model = _model_of(reading, node, [])
    names = [name for name in node.input if name]
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in dict(zip(names, values, strict=True)).items()
    )
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    total = 0
    for value in inferred.graph.output:
        sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim]
        if not value.type.tensor_type.HasField("shape") or min(sizes, default=0) < 0:
            raise ValueError("the size of its result is not known before it is made")
        total += math.prod(sizes)
    return total


def _model_of(reading: Reading, node: onnx.NodeProto, inputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", reading.opset)])
