"""The layers of a float network: what each is, and what ONNX calls it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.functions import Function
from accel.models.host import HostStep
from accel.models.window import Window

Shape = tuple[int, ...]
Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Conv:
    """2-D convolution: weights (out_channels, in_channels / groups, kernel_h, kernel_w), bias (out_channels,).

    Over a spread input (`Window.base_dilation`) it is a transposed convolution, whose kernel stands here mirrored.
    """

    name: str
    inputs: tuple[str]
    output: str
    weights: Float
    bias: Float
    window: Window
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Linear:
    """Gemm or MatMul on the last axis: weights (out_features, in_features), bias (out_features,)."""

    name: str
    inputs: tuple[str]
    output: str
    weights: Float
    bias: Float


@dataclass(frozen=True)
class Activation:
    """Clip every value to low..high: ReLU is 0..inf, ReLU6 is 0..6."""

    name: str
    inputs: tuple[str]
    output: str
    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True)
class Unary:
    """A function of each value."""

    name: str
    inputs: tuple[str]
    output: str
    function: Function


@dataclass(frozen=True)
class Pool:
    """Pooling of a feature map; an average counts padding as zeros only if `count_include_pad`.

    A maximum over windows of one pixel takes some rows and columns; its pads may be below 0, what is cut off
    (`Window.crops`). One over a spread input repeats every pixel: its kernel is the base dilation b, its pads are b - 1
    (`repeating`). One over repeated edges is a copy with them around it.
    """

    name: str
    inputs: tuple[str]
    output: str
    kind: Literal["max", "average"]
    window: Window
    count_include_pad: bool = False


@dataclass(frozen=True)
class GlobalPool:
    """Reduce height and width of a feature map to 1 x 1."""

    name: str
    inputs: tuple[str]
    output: str
    kind: Literal["max", "average"]


@dataclass(frozen=True)
class Add:
    """Elementwise sum of two tensors of one shape; or of a map and a pixel (channels, 1, 1), for all of its pixels."""

    name: str
    inputs: tuple[str, str]
    output: str


@dataclass(frozen=True)
class Sub:
    """The first tensor less the second, of shapes as for Add."""

    name: str
    inputs: tuple[str, str]
    output: str


@dataclass(frozen=True)
class Mul:
    """Elementwise product of two tensors, of shapes as for Add: gates, squeeze and excite."""

    name: str
    inputs: tuple[str, str]
    output: str


@dataclass(frozen=True)
class Concat:
    """The channels of several maps (or features of vectors, of the rows of matrices) one after the other."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Select:
    """Some channels (or features) in an order: `channels` of the input, each any number of times.

    Slice, Split and Gather along the channels, and a shuffle of channels, are all this.
    """

    name: str
    inputs: tuple[str]
    output: str
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Reshape:
    """The same values in row-major order under another shape; Flatten is a Reshape to one dimension."""

    name: str
    inputs: tuple[str]
    output: str
    shape: Shape


@dataclass(frozen=True)
class Softmax:
    """Softmax over the features: the channels of a feature map, else the last axis."""

    name: str
    inputs: tuple[str]
    output: str


Layer = (
    Conv
    | Linear
    | Activation
    | Unary
    | Pool
    | GlobalPool
    | Add
    | Sub
    | Mul
    | Concat
    | Select
    | Reshape
    | Softmax
    | HostStep
)


def operator_of(layer: Layer) -> str:
    """What ONNX calls this kind of layer."""
    match layer:
        case Linear():
            return "Gemm"
        case Conv() if layer.window.spread:
            return "ConvTranspose"
        case Pool() if layer.window.spread:
            return "Pad" if any(layer.window.edges) else "Resize"
        case Pool() if layer.window.crops:
            return "Slice"
        case Activation():
            return "Relu" if (layer.low, layer.high) == (0.0, np.inf) else "Clip"
        case Unary():
            return str(layer.function)
        case Pool():
            return "MaxPool" if layer.kind == "max" else "AveragePool"
        case GlobalPool():
            return "GlobalMaxPool" if layer.kind == "max" else "GlobalAveragePool"
        case Select():
            return "Gather"
    return type(layer).__name__


def repeating(factor: tuple[int, int]) -> Window:
    """The window whose maximum over a spread input repeats each pixel `factor` (y, x) times."""
    pads = factor[0] - 1, factor[1] - 1
    return Window(factor, (1, 1), pads * 2, (1, 1), factor)
