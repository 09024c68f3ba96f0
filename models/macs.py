"""Multiply-accumulates: a layer applies each of its weights once at each position of its output."""

from __future__ import annotations

from math import prod

from accel.models.graph import Conv, Linear, Network, Shape


def layer_macs(weights: int, positions: int) -> int:
    """Of a layer of so many weights, all groups together, whose output has so many positions: pixels, or rows."""
    return weights * positions


def positions(layer: Conv | Linear, output: Shape) -> int:
    """The pixels of a feature map, or the rows of a matrix, of this shape."""
    return prod(output[1:]) if isinstance(layer, Conv) else prod(output[:-1])


def macs(network: Network) -> dict[str, int]:
    """Of each layer with weights, for one input; padding counts."""
    return {
        layer.name: layer_macs(layer.weights.size, positions(layer, network.shapes[layer.output]))
        for layer in network.layers
        if isinstance(layer, Conv | Linear)
    }
