"""The graph of a file of an int8 network as JSON: what `accel.models.encode.records` is for float networks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from accel.models.encode.records import MOST_CHANNELS, MOST_LAYERS, Channel, Name, Record, Size, Title, WindowRecord
from accel.models.integers.layers import CODES, LARGEST_MULTIPLIER, LARGEST_SHIFT

Code = Annotated[int, Field(ge=CODES[0], le=CODES[1])]
Multiplier = Annotated[int, Field(ge=0, le=LARGEST_MULTIPLIER)]
Shift = Annotated[int, Field(ge=0, le=LARGEST_SHIFT)]


class TensorRecord(Record):
    """An int8 tensor: a real value is scale * (code - zero_point)."""

    name: Name
    shape: tuple[Size, Size, Size] = Field(description="channels, height, width")
    scale: float = Field(gt=0)
    zero_point: Code


class ResidualRecord(Record):
    """A second operand on the way out."""

    tensor: Name
    multiplier: Multiplier
    shift: Shift
    zero_point: Code
    operation: Literal["add", "subtract", "multiply"] = Field(default="add", description="left out if add")


class SharedRecord(Record):
    """Weights that are indices into a codebook: the different weights, 0 first, the others ascending, then `more`."""

    bits: int = Field(ge=1, le=8, description="of an index; the codebook is filled up with its last entry")
    more: tuple[Code, ...] = Field(max_length=256, description="entries that no weight uses, ascending")


class OutRecord(Record):
    """What becomes of sums: the scalars of requantisation."""

    zero_point: Code
    low: Code
    high: Code
    table: tuple[Code, ...] | None = Field(
        default=None, min_length=256, max_length=256,
        description="what becomes of the codes -128..127, which zero point and limits are then of; left out if none",
    )  # fmt: skip


class MatrixRecord(Record):
    """Convolution or matrix product; weights and requantisation records stand behind the graph."""

    type: Literal["Matrix"]
    name: Title
    input: Name
    output: Name
    window: WindowRecord
    groups: Size
    uniform: bool = Field(description="one requantisation record for all channels, else one a channel")
    out: OutRecord
    residual: ResidualRecord | None
    shared: SharedRecord | None
    source: tuple[Title, ...] = Field(description="nodes of the float network that are fused here")


class CountRecord(Record):
    """Multiplier and shift for windows of which so many elements lie inside."""

    count: Size
    multiplier: Multiplier
    shift: Shift


class VectorRecord(Record):
    """Pooling or addition."""

    type: Literal["Vector"]
    name: Title
    input: Name
    output: Name
    reduce: Literal["max", "sum"]
    window: WindowRecord
    bias: int = Field(ge=-(2**31), le=2**31 - 1)
    multiplier: Multiplier
    shift: Shift
    out: OutRecord
    residual: ResidualRecord | None
    source: tuple[Title, ...]
    counts: tuple[CountRecord, ...] = Field(
        default=(), max_length=4096,
        description="records by the elements of a window that lie inside, instead of the one above; left out if none",
    )  # fmt: skip


class ChannelRecord(Record):
    """Channels of tensors under another name."""

    type: Literal["Channel"]
    name: Title
    inputs: tuple[Name, ...] = Field(min_length=1, max_length=MOST_LAYERS)
    output: Name
    channels: tuple[Channel, ...] | None = Field(
        description="of all channels of the inputs those taken, null for all", max_length=MOST_CHANNELS
    )
    source: tuple[Title, ...]


class HostRecord(Record):
    """What the host does with the output."""

    name: Title
    kind: Literal["softmax"]
    input: Name
    output: Name
    bytes: Size = Field(description="that cross the boundary")
    flattened: bool = Field(description="over all values, else over the channels of each pixel")


class IntegerRecord(Record):
    """The whole document."""

    name: Title
    input: Name
    output: Name
    tensors: tuple[TensorRecord, ...] = Field(max_length=MOST_LAYERS)
    layers: tuple[Annotated[MatrixRecord | VectorRecord | ChannelRecord, Field(discriminator="type")], ...] = Field(
        max_length=MOST_LAYERS
    )
    host_layers: tuple[HostRecord, ...] = Field(max_length=16)
    more_inputs: tuple[Name, ...] = Field((), max_length=MOST_LAYERS, description="behind `input`; none if left out")
    more_outputs: tuple[Name, ...] = Field((), max_length=MOST_LAYERS, description="behind `output`; none if left out")


Plain = dict[str, Any]
