"""The float network: an immutable list of layers with the shape of every tensor.

Shapes leave the batch dimension out. A tensor is a feature map (channels, height, width), a vector
(features,) or a matrix (rows, features). Batch normalisation, dropout and the like do not exist here:
`accel.models.exchange.onnx_read` folds them away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.carried import Carried
from accel.models.errors import InputError
from accel.models.functions import Function
from accel.models.host import Host, HostStep
from accel.models.window import Window

__all__ = [
    "Activation",
    "Add",
    "Concat",
    "Conv",
    "GlobalPool",
    "Layer",
    "Linear",
    "Mul",
    "Network",
    "Pool",
    "Reshape",
    "Select",
    "Softmax",
    "Sub",
    "Unary",
    "build",
]

Shape = tuple[int, ...]
Float = NDArray[np.float32]
# Sizes that a network may have, so that none is computed before it is known to be reasonable. FCN on 500 x 500 pixels,
# padded by 100, has tensors of 2**25 values, and 2**28 in the windows of its second convolution.
LARGEST_TENSOR = 2**26
LARGEST_WINDOWS = 2**29  # values in all windows of a convolution on one input
LARGEST_POOLED = 2**32  # the same of a pooling
LARGEST_KERNEL = 2**16


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


@dataclass(frozen=True)
class Network:
    """A float network with one input; make it with `build`, which checks it.

    `layers` stand in an order in which they can run, HostSteps among them; `shapes` holds the shape of every tensor by
    name; `host` is what of the file that it came from the accelerator does not run; `carried` the numbers of a file
    that was quantised. `more_outputs` are tensors that are wanted beside `output`.
    """

    name: str
    input: str
    output: str
    layers: tuple[Layer, ...]
    shapes: dict[str, Shape]
    host: Host | None = None
    carried: Carried | None = None
    more_outputs: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs, `output` first."""
        return (self.output, *self.more_outputs)

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(x.weights.size + x.bias.size for x in self.layers if isinstance(x, Conv | Linear))


def build(
    name: str, input: str, input_shape: Shape, layers: tuple[Layer, ...], output: str = "",
    more_outputs: tuple[str, ...] = (),
) -> Network:  # fmt: skip
    """The checked network of `layers`; `output` defaults to the last layer's.

    Raises InputError when a layer reads a tensor that does not exist yet, writes one that does, has
    the name of another layer, does not fit the shape of what it reads, or has weights that are not finite.
    """
    check_input(name, input, input_shape)
    shapes: dict[str, Shape] = {input: tuple(input_shape)}
    names: set[str] = set()
    for layer in layers:
        where = f"{name}: layer {layer.name!r}"
        for tensor in layer.inputs:
            if tensor not in shapes:
                raise InputError(f"{where} reads {tensor!r}, which no earlier layer writes")
        if layer.name in names:
            raise InputError(f"{where} must have a name of its own")
        names.add(layer.name)
        if layer.output in shapes:
            raise InputError(f"{where} writes {layer.output!r}, which exists already")
        if isinstance(layer, Conv | Linear):
            for what, array in (("weights", layer.weights), ("bias", layer.bias)):
                if not np.isfinite(array).all():
                    raise InputError(f"{where} ({operator_of(layer)}): {what} must be finite, not NaN or Inf")
        try:
            shapes[layer.output] = output_shape(layer, [shapes[t] for t in layer.inputs])
        except InputError as error:
            raise InputError(f"{where} ({operator_of(layer)}): {error}") from None
    output = output or (layers[-1].output if layers else input)
    for end in (output, *more_outputs):
        if end not in shapes:
            raise InputError(f"{name}: output {end!r} is written by no layer")
    return Network(name, input, output, tuple(layers), shapes, more_outputs=more_outputs)


def with_layers(network: Network, layers: Iterable[Layer]) -> Network:
    """The checked network of the same ends with other layers, without what came from a file. Raises as `build`."""
    shape = network.shapes[network.input]
    return build(network.name, network.input, shape, tuple(layers), network.output, network.more_outputs)


def check_input(name: str, input: str, shape: Shape) -> None:
    """Raise InputError unless the input of network `name` can have this shape."""
    if not shape or min(shape) < 1:
        raise InputError(f"{name}: input {input!r} must have a shape of positive sizes, not {shape}")
    if math.prod(shape) > LARGEST_TENSOR:
        raise InputError(f"{name}: input {input!r} must have at most {LARGEST_TENSOR} values, not {shape}")


def stages(network: Network) -> dict[str, int]:
    """For each tensor, how many steps of the host in a row it waits for: layers of one number are one program."""
    found = {network.input: 0}
    for layer in network.layers:
        found[layer.output] = max(found[name] for name in layer.inputs) + isinstance(layer, HostStep)
    return found


def readers(network: Network) -> dict[str, list[Layer]]:
    """The layers that read each tensor; one that reads it twice stands there twice."""
    found: dict[str, list[Layer]] = {tensor: [] for tensor in network.shapes}
    for layer in network.layers:
        for tensor in layer.inputs:
            found[tensor].append(layer)
    return found


def output_shape(layer: Layer, inputs: list[Shape]) -> Shape:
    """The shape that `layer` makes of inputs of these shapes.

    Raises InputError if they do not fit, or what would be computed is too large.
    """
    shape = _output_shape(layer, inputs)
    sizes = [("output", shape, LARGEST_TENSOR)]
    if isinstance(layer, Conv | Pool):
        channels, height, width = inputs[0]
        (top, left, bottom, right), (by_y, by_x) = layer.window.pads, layer.window.base_dilation
        edges = layer.window.edges
        height, width = height + edges[0] + edges[2], width + edges[1] + edges[3]
        padded = height * by_y + top + bottom, width * by_x + left + right
        sizes.append(("input with its pads", (channels, *padded), LARGEST_TENSOR))
        # A convolution lays its windows side by side, a pooling goes through them one element at a time.
        most = LARGEST_WINDOWS if isinstance(layer, Conv) else LARGEST_POOLED
        taps = -(-layer.window.kernel[0] // by_y), -(-layer.window.kernel[1] // by_x)  # that a window meets
        sizes.append(("all windows together", (channels, *taps, *shape[1:]), most))
    for what, size, most in sizes:
        if math.prod(size) > most:
            raise InputError(f"{what} must have at most {most} values, not {size}")
    return shape


def _output_shape(layer: Layer, inputs: list[Shape]) -> Shape:
    shape = inputs[0]
    match layer:
        case Conv():
            channels, height, width = _feature_map(shape)
            out, in_per_group, *kernel = layer.weights.shape
            if layer.groups < 1 or out % layer.groups or in_per_group * layer.groups != channels:
                raise InputError(
                    f"weights {layer.weights.shape} in {layer.groups} groups do not fit {channels} input channels"
                )
            if tuple(kernel) != layer.window.kernel or layer.bias.shape != (out,):
                raise InputError(f"kernel {kernel} and bias {layer.bias.shape} do not fit the weights")
            _check_transposed(layer.window)
            return (out, *_slide(layer.window, height, width))
        case Linear():
            out, features = layer.weights.shape
            if len(shape) > 2 or shape[-1] != features or layer.bias.shape != (out,):
                raise InputError(f"weights {layer.weights.shape} do not fit an input of shape {shape}")
            return (*shape[:-1], out)
        case Pool():
            channels, height, width = _feature_map(shape)
            window = layer.window
            copies = repeating(window.base_dilation), Window((1, 1), edges=window.edges)
            if window.spread and (layer.kind != "max" or window not in copies):
                raise InputError(f"a pooling over a spread input must repeat its pixels, and {window} does not")
            if window.crops and layer.kind != "max":
                raise InputError("pads of an average must be at least 0")
            # A window that saw only padding would have no value.
            if any(window.pads[i] >= (window.kernel[i % 2] - 1) * window.dilation[i % 2] + 1 for i in range(4)):
                raise InputError(f"pads {window.pads} must be smaller than the kernel {window.kernel}")
            return (channels, *_slide(window, height, width))
        case GlobalPool():
            return (_feature_map(shape)[0], 1, 1)
        case Add() | Sub() | Mul():
            larger, smaller = sorted(inputs, key=math.prod, reverse=True)
            if larger != smaller and (len(larger) != 3 or smaller != (larger[0], 1, 1)):
                raise InputError(
                    f"both inputs must have one shape, or one be a pixel of the other, not {inputs[0]} and {inputs[1]}"
                )
            return larger
        case Concat():
            at = channel_axis(shape)
            rest = {(*s[:at], *s[at + 1 :]) for s in inputs}
            if len({len(s) for s in inputs}) > 1 or len(rest) > 1:
                raise InputError(f"inputs must differ in their channels only, not be {', '.join(map(str, inputs))}")
            return (*shape[:at], sum(s[at] for s in inputs), *shape[at + 1 :])
        case Select():
            at = channel_axis(shape)
            if not layer.channels or min(layer.channels) < 0 or max(layer.channels) >= shape[at]:
                raise InputError(f"channels must be some of 0..{shape[at] - 1}, not {list(layer.channels[:8])}")
            return (*shape[:at], len(layer.channels), *shape[at + 1 :])
        case Reshape():
            if math.prod(layer.shape) != math.prod(shape):
                raise InputError(f"shape {layer.shape} does not hold the values of {shape}")
            return layer.shape
        case Unary():
            return shape
        case Activation():
            if not layer.low < layer.high:
                raise InputError(f"low must be below high, not {layer.low} and {layer.high}")
            return shape
        case Softmax():
            return shape
        case HostStep():
            if tuple(inputs) != layer.shapes:
                raise InputError(f"inputs must have the shapes {layer.shapes}, not {tuple(inputs)}")
            return layer.shape


def channel_axis(shape: Shape) -> int:
    """The axis of the channels of a tensor: the features of a matrix come last."""
    return 1 if len(shape) == 2 else 0


def _feature_map(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise InputError(f"input must be (channels, height, width), not {shape}")
    return shape[0], shape[1], shape[2]


def repeating(factor: tuple[int, int]) -> Window:
    """The window whose maximum over a spread input repeats each pixel `factor` (y, x) times."""
    pads = factor[0] - 1, factor[1] - 1
    return Window(factor, (1, 1), pads * 2, (1, 1), factor)


def _check_transposed(window: Window) -> None:
    """Over a spread input a window must be that of a transposed convolution, whose pads and output padding cut."""
    if not window.spread:
        return
    if window.stride != (1, 1):
        raise InputError(f"a window over a spread input must have stride 1, not {window.stride}")
    for axis in (0, 1):
        most = (window.kernel[axis] - 1) * window.dilation[axis]
        before, after = window.pads[axis], window.pads[axis + 2]
        if before > most or after >= most + window.base_dilation[axis]:
            raise InputError(f"pads {window.pads} must be those of a transposed convolution, and are too large")


def _slide(window: Window, height: int, width: int) -> tuple[int, int]:
    counts = *window.kernel, *window.stride, *window.dilation, *window.base_dilation
    if min(counts) < 1 or min(window.edges) < 0 or (min(window.pads) < 0 and not window.crops):
        raise InputError(f"{window} must have kernel, stride and dilation of at least 1, pads of at least 0")
    if math.prod(window.kernel) > LARGEST_KERNEL:
        raise InputError(f"kernel must have at most {LARGEST_KERNEL} positions, not {window.kernel}")
    size = window.output_size(height, width)
    if min(size) < 1:
        raise InputError(f"kernel {window.kernel} does not fit in an input of {height} x {width} with its pads")
    return size
