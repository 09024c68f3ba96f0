"""A .tflite file as plain values: tensors with their constants and scales, operators with their options.

The schema is that of the package `tflite`; what its readers raise for damaged bytes is one InputError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from accel.models.errors import InputError, printable
from accel.models.exchange import tflite_sparse
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_reading import Array
from accel.models.files import read_whole

MOST_BYTES = 2**31 - 1
MOST_PARTS = 2**16  # tensors, or operators
TYPES: dict[int, type] = {
    tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.INT32: np.int32,
    tflite.TensorType.UINT8: np.uint8, tflite.TensorType.INT64: np.int64, tflite.TensorType.BOOL: np.bool_,
    tflite.TensorType.INT16: np.int16, tflite.TensorType.INT8: np.int8,
}  # fmt: skip
OPERATORS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor: `shape` with the batch in front, `scale` and `zero` of codes (empty: floats), `data` if constant."""

    name: str
    shape: tuple[int, ...]
    kind: type
    scale: Array
    zero: Array
    axis: int
    data: Array | None


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator: name, places of its tensors (-1: left out), a reader of its options, and those of a custom one."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    option: Callable[[type, str], Any]
    custom: bytes = b""


@dataclass(frozen=True, eq=False)
class File:
    """The one graph of a file."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def load(path: Path) -> File:
    """What is in a file. Raises InputError for what is no .tflite file, is damaged, or has several graphs."""
    content = read_whole(path, MOST_BYTES)
    file = printable(path.name)
    if content[4:8] != b"TFL3":
        raise InputError(f"{path} must be a .tflite file, and is not")
    with refused(f"{path} must be a valid .tflite file"):
        model = tflite.Model.GetRootAsModel(content, 0)
        graphs = model.SubgraphsLength()
    if graphs != 1:
        raise InputError(f"{file}: model must have one graph, not {graphs}")
    with refused(f"{path} must be a valid .tflite file"):
        graph = model.Subgraphs(0)
        counts = graph.TensorsLength(), graph.OperatorsLength(), graph.InputsLength(), graph.OutputsLength()
    if max(counts) > MOST_PARTS:
        raise InputError(f"{file}: graph must have at most {MOST_PARTS} tensors and operators, not {max(counts)}")
    with refused(f"{path} must be a valid .tflite file"):
        tensors = tuple(_tensor(model, graph.Tensors(i), i) for i in range(counts[0]))
        operators = tuple(_operator(model, graph.Operators(i)) for i in range(counts[1]))
        inputs = tuple(graph.Inputs(i) for i in range(counts[2]))
        outputs = tuple(graph.Outputs(i) for i in range(counts[3]))
        places = {place for x in operators for place in (*x.inputs, *x.outputs)} | {*inputs, *outputs}
        if not places <= set(range(-1, len(tensors))) or {*inputs, *outputs} & {-1}:
            raise ValueError("it names tensors that it does not have")
    return File(file, tensors, operators, inputs, outputs)


def _tensor(model: Any, tensor: Any, place: int) -> Tensor:
    shape = tuple(int(n) for n in (tensor.Shape(i) for i in range(min(tensor.ShapeLength(), 9))))
    kind = TYPES[tensor.Type()]
    given = tensor.Quantization()
    scale, zero, axis = np.zeros(0), np.zeros(0, np.int64), 0
    if given is not None and given.ScaleLength():
        scale, zero = np.asarray(given.ScaleAsNumpy()), np.asarray(given.ZeroPointAsNumpy())
        axis = given.QuantizedDimension()
        if not np.isfinite(scale).all() or not (scale > 0).all() or zero.shape != scale.shape:
            raise ValueError(f"scales of tensor {place} must be above 0, each with a zero point")
    data: Array | None = None
    buffer = model.Buffers(tensor.Buffer()) if tensor.Buffer() < model.BuffersLength() else None
    if buffer is not None and buffer.DataLength():
        data = np.frombuffer(np.asarray(buffer.DataAsNumpy()).tobytes(), kind)
        if tensor.Sparsity() is not None:
            data = tflite_sparse.dense(data, shape, tensor.Sparsity())
        if data.size != math.prod(shape):
            raise ValueError(f"tensor {place} of shape {shape} has {buffer.DataLength()} bytes")
    name = printable((tensor.Name() or b"").decode(errors="replace"))
    return Tensor(
        f"{name or 'tensor'}:{place}", shape, kind, scale, zero, axis, None if data is None else data.reshape(shape)
    )


def _operator(model: Any, operator: Any) -> Operator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = OPERATORS[number]
    if name == "CUSTOM":
        name = printable((code.CustomCode() or b"").decode(errors="replace")) or name
    inputs = tuple(operator.Inputs(i) for i in range(min(operator.InputsLength(), MOST_PARTS)))
    outputs = tuple(operator.Outputs(i) for i in range(min(operator.OutputsLength(), MOST_PARTS)))

    def option(kind: type, field: str) -> Any:
        table = operator.BuiltinOptions()
        if table is None:
            return 0
        options = kind()
        options.Init(table.Bytes, table.Pos)
        return getattr(options, field)()

    custom = bytes(operator.CustomOptionsAsNumpy()) if operator.CustomOptionsLength() else b""
    return Operator(name, inputs, outputs, option, custom)
