"""The layers of an integer network, and the arithmetic that the hardware implements.

The arithmetic is specified once, in docs/formats.md, "Integer arithmetic". In short, for a tensor
of real values `scale * (q - zero_point)` with int8 codes q:

    acc[o]  = sum over window of weight * q            (int32; padding contributes q = pad value)
    y       = round_shift((acc + bias) * multiplier, shift) + zero_point
    y      += round_shift((r - r_zero_point) * r_multiplier, r_shift)      when a residual is added
            -= when it is subtracted; when it is multiplied, instead
    y       = round_shift((q + bias) * (r - r_zero_point) * multiplier, shift) + zero_point
    q_out   = clip(y, low, high)                                           or table[clip(y, low, high) + 128]
    round_shift(v, s) = (v + 2**(s-1)) >> s  for s > 0, v for s = 0        (arithmetic shift: half rounds up)

`bias` already contains `-zero_point_in * sum(weights)`, so the array multiplies plain codes.
Weights are symmetric (zero point 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.window import Window

Int8 = NDArray[np.int8]
CODES = (-128, 127)
LARGEST_MULTIPLIER = 65535
LARGEST_SHIFT = 47


@dataclass(frozen=True)
class TensorSpec:
    """An int8 activation tensor, without its batch dimension.

    `shape` is (channels, height, width); a vector of n features is (n, 1, 1). A real value is
    `scale * (q - zero_point)`, q in -128..127.
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Requantise:
    """From a 32-bit sum to an int8 code, per output channel or (arrays of length 1) for the whole tensor.

    `bias` int32, `multiplier` 0..65535, `shift` 0..47, all of length 1 or of the number of channels;
    `low` <= `high` are the clip limits in codes (ReLU raises `low` to the zero point, ReLU6 lowers `high`).
    `table`: 256 codes, any function of an int8 code: what comes out is the entry of the clipped code, entry 0 that of
    -128; the zero point and the limits are then those of the codes that are looked up.
    """

    bias: NDArray[np.int32]
    multiplier: NDArray[np.uint16]
    shift: NDArray[np.uint8]
    zero_point: int
    low: int = -128
    high: int = 127
    table: Int8 | None = None

    @property
    def monotone(self) -> bool:
        """Whether a larger sum never gives a smaller code, so that a maximum may be taken before or after."""
        return self.table is None or bool((np.diff(self.table.astype(np.int16)) >= 0).all())


Operation = Literal["add", "subtract", "multiply"]


@dataclass(frozen=True)
class Residual:
    """A second operand on the way out: of the output's shape, or one pixel for all, (channels, 1, 1).

    It is added or subtracted, by its own multiplier and shift; or multiplied with the codes and their bias, and then
    only the layer's multiplier and shift count (one for all channels, no sums before it).
    """

    tensor: str
    multiplier: int
    shift: int
    zero_point: int
    operation: Operation = "add"


@dataclass(frozen=True)
class Shared:
    """Weight sharing: `weights` of the layer are `codebook[indices]`, indices of `bits` bits.

    `codebook` int8 of length 2**bits; `indices` uint8 of the shape of the weights.
    """

    bits: int
    codebook: Int8
    indices: NDArray[np.uint8]


@dataclass(frozen=True)
class MatrixLayer:
    """Convolution, fully connected layer or matrix product: everything that runs on the array.

    `weights` int8 (out_channels, in_channels / groups, kernel_h, kernel_w). A fully connected layer on a
    (C, H, W) tensor is a convolution with a kernel of H x W: there is no flatten. A matrix product of
    M rows by K by N is a 1 x 1 convolution of the tensor (K, 1, M) to (N, 1, M). Padding contributes the
    input's zero point. `source` names the network's own nodes that were fused here, for reports.
    """

    name: str
    input: str
    output: str
    weights: Int8
    window: Window
    requantise: Requantise
    groups: int = 1
    residual: Residual | None = None
    shared: Shared | None = None
    source: tuple[str, ...] = ()

    @cached_property
    def largest_sum(self) -> int:
        """The largest magnitude that a sum of products can reach, whatever the codes that are streamed."""
        rows = self.weights.reshape(len(self.weights), -1)
        # int16 holds the magnitude of -128.
        return int(np.abs(rows, dtype=np.int16).sum(1, dtype=np.int64).max()) * -CODES[0]


@dataclass(frozen=True)
class VectorLayer:
    """Pooling, or an Add that could not be fused: reduce a window channel by channel, then requantise.

    `reduce` "max" (padding contributes -128) or "sum" (padding contributes the input's zero point; average
    pooling has its divisor in the multiplier). An Add is a 1 x 1 "max" with a residual.
    `requantise` arrays have length 1. With `counts`, of a sum, they have a record for each of these numbers of elements
    that lie inside of the input, ascending: averages that leave pads out.
    """

    name: str
    input: str
    output: str
    reduce: Literal["max", "sum"]
    window: Window
    requantise: Requantise
    residual: Residual | None = None
    source: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class ChannelLayer:
    """Channels of one or several tensors under another name: no arithmetic, and no data is moved where that can be.

    The channels of `inputs` one after the other, or of these those that `channels` names, in its order. All inputs have
    height, width, scale and zero point of the output.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    channels: tuple[int, ...] | None = None
    source: tuple[str, ...] = ()


Layer = MatrixLayer | VectorLayer  # what the accelerator runs
AnyLayer = Layer | ChannelLayer


@dataclass(frozen=True)
class HostLayer:
    """What the host does after the accelerator: softmax on the dequantised output. `bytes` cross the boundary.

    `flattened`: over all values in the order (channel, y, x), else over the channels of each pixel.
    """

    name: str
    kind: str
    input: str
    output: str
    bytes: int
    flattened: bool = False
