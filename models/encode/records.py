"""The graph of a file of compressed weights as JSON: every field with its type and range, and what it becomes.

`docs/formats.md` has the tables that `accel.models.encode.record_tables` makes of these classes.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from accel.models.functions import Function, Step
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Pool,
    Reshape,
    Select,
    Shape,
    Softmax,
    Sub,
    Unary,
)
from accel.models.window import Window

MOST_GRAPH_BYTES = 2**22  # of the JSON, inflated: 50,000 layers
MOST_LAYERS = 2**16 - 1
MOST_CHANNELS = 2**20  # that one layer chooses


class Misfit(Exception):
    """Bytes that no encoder of this version wrote; the command line never sees it."""


class Record(BaseModel):
    """A JSON object with exactly these fields; a number has no other form, is finite and in its range."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


Name = Annotated[str, Field(max_length=1000)]
Title = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]  # what reports show
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
Channel = Annotated[int, Field(ge=0, le=2**31 - 1)]
Pads = Annotated[int, Field(ge=0, le=2**31 - 1)]
Cut = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class WindowRecord(Record):
    """A sliding window."""

    kernel: tuple[Size, Size] = Field(description="rows, columns")
    stride: tuple[Size, Size] = Field(description="y, x")
    pads: tuple[Cut, Cut, Cut, Cut] = Field(description="top, left, bottom, right; below 0: cut off")
    dilation: tuple[Size, Size] = Field(description="y, x")
    base_dilation: tuple[Size, Size] = Field((1, 1), description="of the input: from one pixel to the next; y, x")
    edges: tuple[Pads, Pads, Pads, Pads] = Field((0, 0, 0, 0), description="of the input, repeated around it first")


class _Named(Record):
    name: Title = Field(description="of the layer, printable, no other has it")
    inputs: tuple[Name] = Field(description="the tensor that is read")
    output: Name = Field(description="the tensor that is written")


class ConvRecord(_Named):
    """Convolution."""

    type: Literal["Conv"]
    window: WindowRecord
    groups: Size = Field(description="of channels")


class LinearRecord(_Named):
    """Matrix product on the last axis."""

    type: Literal["Linear"]


class ActivationRecord(_Named):
    """Clipping: ReLU is 0 and null."""

    type: Literal["Activation"]
    low: float | None = Field(description="lower limit, null for none")
    high: float | None = Field(description="upper limit, null for none")


class StepRecord(Record):
    """A step of a function: an elementwise operator of ONNX."""

    operator: str = Field(max_length=32, description="an operator of ONNX; Constant is a number")
    operands: tuple[Annotated[int, Field(ge=0, le=999)], ...] = Field(
        max_length=2, description="of which values: 0 is the argument, k what step k makes"
    )
    numbers: tuple[float, ...] = Field(max_length=2, description="the operator's attributes")


class UnaryRecord(_Named):
    """A function of each value."""

    type: Literal["Unary"]
    function: tuple[StepRecord, ...] = Field(max_length=999, description="its steps, one behind the other")


class PoolRecord(_Named):
    """Pooling."""

    type: Literal["Pool"]
    kind: Literal["max", "average"]
    window: WindowRecord
    count_include_pad: bool = Field(description="an average counts padding as zeros")


class GlobalPoolRecord(_Named):
    """Pooling of a whole map to 1 x 1."""

    type: Literal["GlobalPool"]
    kind: Literal["max", "average"]


class AddRecord(_Named):
    """Sum of two tensors."""

    type: Literal["Add"]
    inputs: tuple[Name, Name] = Field(description="the tensors that are read")  # type: ignore[assignment]


class ConcatRecord(_Named):
    """Channels one after the other."""

    type: Literal["Concat"]
    inputs: tuple[Name, ...] = Field(  # type: ignore[assignment]
        description="the tensors that are read", min_length=1, max_length=MOST_LAYERS
    )


class SelectRecord(_Named):
    """Some channels of the input, in an order."""

    type: Literal["Select"]
    channels: tuple[Channel, ...] = Field(description="of the input", min_length=1, max_length=MOST_CHANNELS)


class SubRecord(_Named):
    """Difference of two tensors."""

    type: Literal["Sub"]
    inputs: tuple[Name, Name] = Field(description="the tensors that are read")  # type: ignore[assignment]


class MulRecord(_Named):
    """Product of two tensors."""

    type: Literal["Mul"]
    inputs: tuple[Name, Name] = Field(description="the tensors that are read")  # type: ignore[assignment]


class ReshapeRecord(_Named):
    """The same values in row-major order under another shape."""

    type: Literal["Reshape"]
    shape: tuple[Size, ...] = Field(description="of one input, without batch", min_length=1, max_length=3)


class SoftmaxRecord(_Named):
    """Softmax over the features."""

    type: Literal["Softmax"]


LayerRecord = Annotated[
    ConvRecord
    | LinearRecord
    | ActivationRecord
    | UnaryRecord
    | PoolRecord
    | GlobalPoolRecord
    | AddRecord
    | SubRecord
    | MulRecord
    | ConcatRecord
    | SelectRecord
    | ReshapeRecord
    | SoftmaxRecord,
    Field(discriminator="type"),
]


class GraphRecord(Record):
    """The whole document."""

    name: Title = Field(description="of the network, printable")
    input: Name = Field(description="the tensor that comes in")
    input_shape: tuple[Size, ...] = Field(description="of one input, without batch", min_length=1, max_length=3)
    output: Name = Field(description="the tensor that goes out")
    layers: tuple[LayerRecord, ...] = Field(description="in an order in which they can run", max_length=MOST_LAYERS)


KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Conv, Linear, Activation, Unary, Pool, GlobalPool, Add, Sub, Mul, Concat, Select, Reshape, Softmax)
}
AnyRecord = TypeVar("AnyRecord", bound=Record)


def plain(value: Any) -> Any:
    """The fields of a layer or a window that are no arrays, as JSON has them, infinite limits as None."""
    found = {}
    for field in fields(value):
        part = getattr(value, field.name)
        if isinstance(part, Window):
            part = plain(part)
        if isinstance(part, Function):
            part = tuple(plain(step) for step in part.steps)
        if not isinstance(part, np.ndarray):
            found[field.name] = None if isinstance(part, float) and math.isinf(part) else part
    return found


def graph_of(name: str, input: str, input_shape: Shape, output: str, layers: tuple[Layer, ...]) -> GraphRecord:
    """The record of a graph. Raises ValidationError for what the format cannot hold."""
    document = [plain(layer) | {"type": type(layer).__name__} for layer in layers]
    head = {"name": name, "input": input, "input_shape": tuple(input_shape), "output": output}
    return GraphRecord.model_validate(head | {"layers": tuple(document)})


def layer_of(record: Any) -> Layer:
    """The layer of a LayerRecord; weights and bias are empty."""
    parts = {name: getattr(record, name) for name in type(record).model_fields if name != "type"}
    if "window" in parts:
        parts["window"] = window_of(record.window)
    if isinstance(record, ActivationRecord):
        parts["low"] = -math.inf if record.low is None else record.low
        parts["high"] = math.inf if record.high is None else record.high
    if isinstance(record, UnaryRecord):
        parts["function"] = Function(tuple(Step(s.operator, s.operands, s.numbers) for s in record.function))
    kind = KINDS[record.type]
    if kind in (Conv, Linear):
        parts |= {"weights": np.empty(0, np.float32), "bias": np.empty(0, np.float32)}
    layer: Layer = kind(**parts)
    return layer


def window_of(record: WindowRecord) -> Window:
    """The window of its record."""
    return Window(record.kernel, record.stride, record.pads, record.dilation, record.base_dilation, record.edges)


def pack(record: Record) -> bytes:
    """A document as it stands in a file: JSON compressed by zlib, without what is as if it were left out."""
    return zlib.compress(record.model_dump_json(exclude_defaults=True).encode(), 9)


def unpack(data: bytes, kind: type[AnyRecord]) -> AnyRecord:
    """The inverse of `pack`. Raises Misfit for what is no such document, or longer than any that is needed."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, MOST_GRAPH_BYTES)
    except zlib.error as error:
        raise Misfit(f"graph: {error}") from None
    if not stream.eof or stream.unused_data:
        raise Misfit(f"graph must be one compressed text of at most {MOST_GRAPH_BYTES} bytes")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Misfit(f"graph: {problem(error)}") from None


def problem(error: ValidationError) -> str:
    """The first thing that is wrong, in one line."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return " ".join(f"{where or 'it'}: {first['msg']}".split())[:200]
