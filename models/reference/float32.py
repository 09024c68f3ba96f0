"""Float forward pass of a Network: the definition that quantisation approximates.

Convolution is im2col and one matrix product a group, all in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Network,
    Pool,
    Reshape,
    Select,
    Softmax,
    Sub,
    Unary,
    channel_axis,
    operator_of,
)
from accel.models.host import HostStep
from accel.models.reference import im2col
from accel.models.window import Window

__all__ = ["run"]

Array = NDArray[Any]
CHUNK = 64  # images at a time


def run(network: Network, inputs: Array) -> NDArray[np.float32]:
    """The output of `network`, (n, *output shape), for `inputs` of shape (n, *input shape).

    Raises InputError if the inputs have another shape or no images, or a layer's output is not finite.
    """
    return run_outputs(network, inputs)[0]


def run_outputs(network: Network, inputs: Array) -> list[NDArray[np.float32]]:
    """All outputs of `network`, as `run` gives the first."""
    check_inputs(network, inputs)
    parts: list[list[Array]] = [[] for _ in network.outputs]
    for start in range(0, len(inputs), CHUNK):
        tensors = run_all(network, inputs[start : start + CHUNK])
        for part, name in zip(parts, network.outputs, strict=True):
            part.append(tensors[name])
    return [np.concatenate(part) for part in parts]


def run_all(network: Network, inputs: Array) -> dict[str, NDArray[np.float32]]:
    """Every tensor of `network` by name, each with the batch dimension in front.

    Raises InputError as `run` does.
    """
    check_inputs(network, inputs)
    tensors = {network.input: np.asarray(inputs, np.float32)}
    for layer in network.layers:
        with np.errstate(over="ignore", invalid="ignore"):  # seen in the output, and said once
            output = forward(layer, [tensors[t] for t in layer.inputs])
        if not np.isfinite(output).all():
            where = f"{network.name}: layer {layer.name!r} ({operator_of(layer)})"
            raise InputError(f"{where}: output must be finite as float32, and holds NaN or Inf for these inputs")
        tensors[layer.output] = output
    return tensors


def check_inputs(network: Network, inputs: Array) -> None:
    """Raise InputError unless `inputs` is a batch of at least one input of `network`."""
    check_batch(network.name, network.shapes[network.input], inputs)


def check_batch(name: str, expected: tuple[int, ...], inputs: Array) -> None:
    """Raise InputError unless `inputs` are (n, *expected) with n > 0."""
    if inputs.ndim != len(expected) + 1 or inputs.shape[1:] != expected:
        raise InputError(f"{name}: inputs must have shape (n, {_text(expected)}), not {inputs.shape}")
    if not len(inputs):
        raise InputError(f"{name}: inputs must hold at least one input, not none")


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def forward(layer: Layer, inputs: list[Array]) -> Array:
    """The output of one layer, batch first."""
    x = inputs[0]
    match layer:
        case Conv():
            y = im2col.convolution(np.moveaxis(x, 0, -1), layer.weights, layer.window, layer.groups)
            y += layer.bias[:, None, None, None]
            return np.moveaxis(y, -1, 0)
        case Linear():
            return x @ layer.weights.T + layer.bias
        case Activation():
            return np.clip(x, np.float32(layer.low), np.float32(layer.high))
        case Unary():
            return layer.function(x)
        case Pool():
            return _pool(layer, x)
        case GlobalPool():
            return x.max((2, 3), keepdims=True) if layer.kind == "max" else x.mean((2, 3), keepdims=True)
        case Add():
            return inputs[0] + inputs[1]
        case Sub():
            return inputs[0] - inputs[1]
        case Mul():
            return inputs[0] * inputs[1]
        case Concat():
            return np.concatenate(inputs, 1 + channel_axis(x.shape[1:]))
        case Select():
            return x.take(layer.channels, 1 + channel_axis(x.shape[1:]))
        case Reshape():
            return x.reshape(len(x), *layer.shape)
        case Softmax():
            axis = 1 + channel_axis(x.shape[1:])
            e = np.exp(x - x.max(axis, keepdims=True))
            return e / e.sum(axis, keepdims=True)
        case HostStep():
            return np.asarray(layer.run(inputs)[0], np.float32).reshape(len(x), *layer.shape)


def _pool(layer: Pool, x: Array) -> Array:
    x = np.moveaxis(x, 0, -1)
    if layer.kind == "max":
        views = im2col.taps(im2col.pad(x, layer.window, -np.inf), layer.window)
        found = im2col.reduced(np.maximum, views)
    elif layer.count_include_pad:
        found = _window_sum(x, layer.window) / np.float32(np.prod(layer.window.kernel))
    else:
        found = _window_sum(x, layer.window) / _window_sum(np.ones_like(x[:1, ..., :1]), layer.window)
    return np.moveaxis(found, -1, 0)


def _window_sum(x: Array, window: Window) -> Array:
    return np.add.reduce([view for _, _, view in im2col.taps(im2col.pad(x, window, 0), window)])
