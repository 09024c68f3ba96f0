"""Multiply-accumulates: a layer applies each of its weights once at each position of its output."""

from __future__ import annotations

from math import prod

from accel.models.graph import Conv, Linear, Network, Shape


def layer_macs(weights: int, positions: int) -> int:
    """Of a layer of so many weights, all groups together, whose output has so many positions: pixels, or rows."""
    return weights * positions


def positions(layer: Conv | Linear, output: Shape) -> int:
    """The pixels of a feature map, or the rows of a matrix, of this shape, at which each weight meets an input.

    Over a spread input (`Window.base_dilation`) that is one pixel of as many as lie from one input to the next.
    """
    if isinstance(layer, Conv):
        return prod(-(-size // base) for size, base in zip(output[1:], layer.window.base_dilation, strict=True))
    return prod(output[:-1])


def macs(network: Network) -> dict[str, int]:
    """Of each layer with weights, for one input; padding counts."""
    return {
        layer.name: layer_macs(layer.weights.size, positions(layer, network.shapes[layer.output]))
        for layer in network.layers
        if isinstance(layer, Conv | Linear)
    }
