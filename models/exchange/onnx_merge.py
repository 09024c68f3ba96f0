"""Functions of one tensor that are several layers as one, so that the hardware looks up once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from accel.models.exchange import onnx_affine
from accel.models.exchange.onnx_functions import Chain, extended
from accel.models.graph import Activation, Layer, Shape, Unary


def merged(layers: tuple[Layer, ...], outputs: Collection[str], shapes: Mapping[str, Shape]) -> tuple[Layer, ...]:
    """The layers with each function of one tensor as one layer; what is a scale and an offset as a convolution.

    A function begins at the nearest tensor that others read as well, or else at what no function makes.
    """
    known: dict[str, Chain] = {}
    by_output: dict[str, Layer] = {}
    for layer in layers:
        known[layer.output], by_output[layer.output] = extended(layer, known), layer
    elementwise = {layer.output for layer in layers if len(known[layer.output]) > 1}
    read = {tensor for layer in layers if layer.output not in elementwise for tensor in layer.inputs} | set(outputs)
    wanted, kept = set(outputs), list[Layer]()
    for layer in reversed(layers):
        if layer.output not in wanted:
            continue
        if layer.output in elementwise:
            roots = list(known[layer.output])[1:]
            root = next((tensor for tensor in roots if tensor in read), roots[-1])
            function = known[layer.output][root]
            if not isinstance(layer, Activation) or not _clips(by_output, layer, root):
                layer = Unary(layer.name, (root,), layer.output, function)
        kept += reversed(_settled(layer, shapes))
        wanted.update(layer.inputs)
    return tuple(reversed(kept))


def _clips(by_output: Mapping[str, Layer], layer: Layer, root: str) -> bool:
    """Whether from `root` up to an Activation all is clipping, which the hardware does without a table."""
    tensor = layer.inputs[0]
    while tensor != root:
        before = by_output[tensor]
        if not isinstance(before, Activation):
            return False
        tensor = before.inputs[0]
    return True


def _settled(layer: Layer, shapes: Mapping[str, Shape]) -> list[Layer]:
    """A scale and an offset by themselves as what the array does, as far as it can; else the layer."""
    if isinstance(layer, Unary) and layer.function.line is not None:
        a, b = layer.function.line
        shape = shapes[layer.inputs[0]]
        channels = onnx_affine.channels_of(shape)
        if len(shape) != 2 or channels <= onnx_affine.LARGEST_DIAGONAL:
            scale, offset = np.full(channels, a), np.full(channels, b)
            return onnx_affine.layers_of(layer.name, layer.inputs[0], layer.output, shape, scale, offset)
    return [layer]
