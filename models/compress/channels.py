"""Structured pruning: whole output channels go, and with them the inputs of whatever reads them: the network shrinks.

Channels are ranked by the sum of their weights' magnitudes (Li et al., arXiv 1608.08710, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Activation, Conv, GlobalPool, Layer, Linear, Network, Pool, Reshape, readers, with_layers

Kept = NDArray[np.int64]


def drop_channels(network: Network, share: Mapping[str, float]) -> Network:
    """Keep the strongest `share` (above 0, at most 1) of the output channels of each layer named, one at least.

    What follows up to the next layers with weights may be activations, pooling and flattening. Raises InputError for a
    layer that does not exist, one whose channels reach an Add, a convolution in groups or the network's output, and a
    share outside its range.
    """
    names = [layer.name for layer in network.layers if isinstance(layer, Conv | Linear)]
    for name, value in share.items():
        if name not in names:
            raise InputError(f"{network.name}: channels must name one of {', '.join(names)}, not {name!r}")
        if not 0 < value <= 1:
            raise InputError(f"{network.name}: share of channels of {name} must be above 0 and at most 1, not {value}")
    layers: dict[str, Layer] = {layer.name: layer for layer in network.layers}
    for name, value in share.items():
        layer = layers[name]
        assert isinstance(layer, Conv | Linear)
        if isinstance(layer, Conv) and layer.groups > 1:
            raise InputError(f"{network.name}: layer {name!r} has groups, its channels cannot be dropped")
        kept = strongest(layer, value)
        layers[name] = replace(layer, weights=layer.weights[kept], bias=layer.bias[kept])
        _follow(network, layers, layer.output, kept, len(layer.weights), name)
    return with_layers(network, (layers[x.name] for x in network.layers))


def strongest(layer: Conv | Linear, share: float) -> Kept:
    """The indices, ascending, of the output channels to keep."""
    strength = np.abs(layer.weights).reshape(len(layer.weights), -1).sum(1)
    count = max(1, round(share * len(strength)))
    return np.sort(np.argsort(-strength, kind="stable")[:count])


def _follow(network: Network, layers: dict[str, Layer], tensor: str, kept: Kept, of: int, name: str) -> None:
    """Take the inputs that are gone out of what reads `tensor`, of whose `of` features `kept` remain."""
    if tensor in network.outputs:
        raise InputError(f"{network.name}: layer {name!r} makes the network's output, its channels cannot be dropped")
    for original in readers(network)[tensor]:
        layer = layers[original.name]
        match layer:
            case Conv() if layer.groups == 1:
                layers[layer.name] = replace(layer, weights=layer.weights[:, kept])
            case Linear():
                layers[layer.name] = replace(layer, weights=layer.weights[:, kept])
            case Reshape():
                each = prod(network.shapes[tensor]) // of
                if layer.shape != (each * of,) and network.shapes[original.output] != (each * of,):
                    _refuse(network, name, original.name)
                features = (kept[:, None] * each + np.arange(each)).ravel()
                layers[layer.name] = replace(layer, shape=(len(features),))
                _follow(network, layers, original.output, features, each * of, name)
            case Activation() | Pool() | GlobalPool():
                _follow(network, layers, original.output, kept, of, name)
            case _:
                _refuse(network, name, original.name)


def _refuse(network: Network, name: str, reader: str) -> None:
    raise InputError(f"{network.name}: channels of layer {name!r} cannot be dropped, because {reader!r} reads them")
