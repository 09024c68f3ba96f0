"""The shape that a layer makes of those that it reads, and how large it may be."""

from __future__ import annotations

import math

from accel.models.errors import InputError
from accel.models.graph_layers import (
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
    repeating,
)
from accel.models.host import HostStep
from accel.models.window import Window

# Sizes that a network may have, so that none is computed before it is known to be reasonable. FCN on 500 x 500 pixels,
# padded by 100, has tensors of 2**25 values, and 2**28 in the windows of its second convolution.
LARGEST_TENSOR = 2**26
LARGEST_WINDOWS = 2**29  # values in all windows of a convolution on one input
LARGEST_POOLED = 2**32  # the same of a pooling
LARGEST_KERNEL = 2**16


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
