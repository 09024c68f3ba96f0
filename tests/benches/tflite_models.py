"""Small .tflite files, written with the schema of the package `tflite`, for the tests of their reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

Array = np.ndarray
CODES = {np.dtype(kind): number for number, kind in enumerate((np.float32, np.float16, np.int32, np.uint8, np.int64))}
CODES[np.dtype(np.bool_)] = tflite.TensorType.BOOL
CODES[np.dtype(np.int8)] = tflite.TensorType.INT8


@dataclass(frozen=True)
class Sparse:
    """A constant of `shape` of which only `values` are stored, in the order of dimensions `order`, blocks of `blocked`.

    A level is a dense size, or segments and indices.
    """

    shape: tuple[int, ...]
    values: Array
    order: tuple[int, ...]
    blocked: tuple[int, ...]
    levels: tuple[int | tuple[tuple[int, ...], tuple[int, ...]], ...]


@dataclass(frozen=True)
class Op:
    """An operator: inputs are names of activations or constants, outputs their names and shapes, `kind` their type.

    `options` is the name of its table of options, `fields` what is in it; `custom` the options of one that is not
    built in.
    """

    name: str
    inputs: Sequence[str | Array | Sparse]
    outputs: Mapping[str, tuple[int, ...]]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    kind: type = np.float32
    custom: bytes = b""


def model(
    shape: tuple[int, ...], operators: Sequence[Op], scales: Mapping[str, tuple[float, int]] | None = None
) -> bytes:
    """A file of one graph from the activation "x" of `shape` to the outputs of the last operator.

    `scales`: scale and zero point of activations of int8; "x" is one if it is among them.
    """
    scales = scales or {}
    builder = flatbuffers.Builder(1024)
    tensors, buffers, places = list[int](), [_buffer(builder, b"")], dict[str, int]()

    def tensor(
        name: str, shape: tuple[int, ...], kind: np.dtype, content: bytes = b"", sparse: int | None = None
    ) -> int:
        if content:
            buffers.append(_buffer(builder, content))
        place = len(buffers) - 1 if content else 0
        tensors.append(_tensor(builder, name, shape, CODES[kind], place, sparse, scales.get(name)))
        return len(tensors) - 1

    def constant(name: str, value: Array | Sparse) -> int:
        if isinstance(value, Sparse):
            sparse = _sparsity(builder, value)
            return tensor(name, value.shape, value.values.dtype, value.values.tobytes(), sparse)
        return tensor(name, value.shape, value.dtype, value.tobytes())

    places["x"] = tensor("x", shape, np.dtype(np.int8 if "x" in scales else np.float32))
    written, codes = [], []
    for number, op in enumerate(operators):
        inputs = [
            places[x] if isinstance(x, str) else constant(f"constant{number}.{i}", x) for i, x in enumerate(op.inputs)
        ]
        for name, output in op.outputs.items():
            places[name] = tensor(name, output, np.dtype(op.kind))
        codes.append(_code(builder, op))
        written.append(_operator(builder, op, number, inputs, [places[name] for name in op.outputs]))
    ends = _integers(builder, [places[name] for name in operators[-1].outputs])
    starts, name = _integers(builder, [0]), builder.CreateString("main")
    tables = _tables(builder, tensors), _tables(builder, written)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tables[0])
    tflite.SubGraphAddInputs(builder, starts)
    tflite.SubGraphAddOutputs(builder, ends)
    tflite.SubGraphAddOperators(builder, tables[1])
    tflite.SubGraphAddName(builder, name)
    graphs = _tables(builder, [tflite.SubGraphEnd(builder)])
    parts = _tables(builder, codes), _tables(builder, buffers), builder.CreateString("made for a test")
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, parts[0])
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, parts[1])
    tflite.ModelAddDescription(builder, parts[2])
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _tables(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _integers(builder: Any, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.array(values, np.int32)))


def _buffer(builder: Any, content: bytes) -> int:
    data = builder.CreateByteVector(content) if content else None
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return int(tflite.BufferEnd(builder))


def _tensor(
    builder: Any, name: str, shape: tuple[int, ...], kind: int, buffer: int, sparse: int | None,
    coding: tuple[float, int] | None,
) -> int:  # fmt: skip
    sizes, text = _integers(builder, shape), builder.CreateString(name)
    if coding:
        scale = builder.CreateNumpyVector(np.array(coding[:1], np.float32))
        zero = builder.CreateNumpyVector(np.array(coding[1:], np.int64))
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scale)
        tflite.QuantizationParametersAddZeroPoint(builder, zero)
        quantised = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, sizes)
    tflite.TensorAddType(builder, kind)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, text)
    if coding:
        tflite.TensorAddQuantization(builder, quantised)
    if sparse is not None:
        tflite.TensorAddSparsity(builder, sparse)
    return int(tflite.TensorEnd(builder))


def _sparsity(builder: Any, given: Sparse) -> int:
    levels = []
    for level in given.levels:
        vectors = []
        for values in () if isinstance(level, int) else level:
            content = _integers(builder, values)
            tflite.Int32VectorStart(builder)
            tflite.Int32VectorAddValues(builder, content)
            vectors.append(tflite.Int32VectorEnd(builder))
        tflite.DimensionMetadataStart(builder)
        if isinstance(level, int):
            tflite.DimensionMetadataAddFormat(builder, tflite.DimensionType.DENSE)
            tflite.DimensionMetadataAddDenseSize(builder, level)
        else:
            tflite.DimensionMetadataAddFormat(builder, tflite.DimensionType.SPARSE_CSR)
            tflite.DimensionMetadataAddArraySegmentsType(builder, tflite.SparseIndexVector.Int32Vector)
            tflite.DimensionMetadataAddArraySegments(builder, vectors[0])
            tflite.DimensionMetadataAddArrayIndicesType(builder, tflite.SparseIndexVector.Int32Vector)
            tflite.DimensionMetadataAddArrayIndices(builder, vectors[1])
        levels.append(tflite.DimensionMetadataEnd(builder))
    parts = _integers(builder, given.order), _integers(builder, given.blocked), _tables(builder, levels)
    tflite.SparsityParametersStart(builder)
    tflite.SparsityParametersAddTraversalOrder(builder, parts[0])
    if given.blocked:
        tflite.SparsityParametersAddBlockMap(builder, parts[1])
    tflite.SparsityParametersAddDimMetadata(builder, parts[2])
    return int(tflite.SparsityParametersEnd(builder))


def _code(builder: Any, op: Op) -> int:
    number = getattr(tflite.BuiltinOperator, op.name, tflite.BuiltinOperator.CUSTOM)
    custom = builder.CreateString(op.name)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
    tflite.OperatorCodeAddVersion(builder, 1)
    if number == tflite.BuiltinOperator.CUSTOM:
        tflite.OperatorCodeAddCustomCode(builder, custom)
    return int(tflite.OperatorCodeEnd(builder))


def _operator(builder: Any, op: Op, number: int, inputs: Sequence[int], outputs: Sequence[int]) -> int:
    given = None
    if op.options:
        getattr(tflite, f"{op.options}Start")(builder)
        for what, value in op.fields.items():
            getattr(tflite, f"{op.options}Add{what}")(builder, value)
        given = getattr(tflite, f"{op.options}End")(builder)
    custom = builder.CreateByteVector(op.custom) if op.custom else None
    places = _integers(builder, inputs), _integers(builder, outputs)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, number)
    tflite.OperatorAddInputs(builder, places[0])
    tflite.OperatorAddOutputs(builder, places[1])
    if given is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, op.options))
        tflite.OperatorAddBuiltinOptions(builder, given)
    if custom is not None:
        tflite.OperatorAddCustomOptions(builder, custom)
    return int(tflite.OperatorEnd(builder))
