"""Structured pruning: whole output channels go, and with them the inputs of whatever reads them: the network shrinks.

Channels are ranked by the sum of their weights' magnitudes (Li et al., arXiv 1608.08710, section 3.1). Layers whose
outputs are added or multiplied (a gate of squeeze and excite) keep the same channels, those that are strongest in all
of them together; a depthwise convolution keeps those of its input. A concatenation has the channels of its operands,
each of which goes or stays where it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.prune import matrix_layers
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
    Sub,
    Unary,
    channel_axis,
    with_layers,
)

Kept = NDArray[np.int64]


def drop_channels(network: Network, share: Mapping[str, float] | float) -> Network:
    """Keep the strongest `share` (above 0, at most 1) of the output channels of each layer named, one at least.

    One number is for every layer whose channels can go. What follows up to the next layers with weights may be
    functions of each value, pooling, sums, differences and products, concatenations, depthwise convolutions and
    flattening. Raises InputError for a layer that does not exist, one whose channels reach a convolution in groups, the
    network's input or its output, for a share outside its range, and if one number finds no layer.
    """
    names = [layer.name for layer in matrix_layers(network)]
    given = dict(share) if isinstance(share, Mapping) else {"every layer": share}
    for name, value in given.items():
        if name not in names and isinstance(share, Mapping):
            raise InputError(f"{network.name}: channels must name one of {', '.join(names)}, not {name!r}")
        if not 0 < value <= 1:
            raise InputError(f"{network.name}: share of channels of {name} must be above 0 and at most 1, not {value}")
    if not isinstance(share, Mapping):
        given = dict.fromkeys(droppable(network), share)
        if not given:
            raise InputError(f"{network.name}: channels must be of a network with a layer that can lose some")
    for name, value in given.items():
        network = _dropped(network, name, value)
    return network


def droppable(network: Network) -> tuple[str, ...]:
    """Layers whose channels can go, in order; of those that keep the same channels the first."""
    sets = Sets(network)
    return tuple(layers[0].name for channels, layers in _makers(sets).items() if not sets.fixed[channels])


def output_channels(network: Network) -> int:
    """How many channels the layers with weights have that do not make the network's output, depthwise ones apart."""
    sets = Sets(network)
    ends = {source for tensor in network.outputs for source, _ in sets.of[tensor]}
    return sum(len(one.weights) for channels, made in _makers(sets).items() if channels not in ends for one in made)


def few_went(network: Network, went: int, keep: float) -> str:
    """A line if of `network`, of whose channels the share `keep` was to stay, less than half of the others went."""
    every = output_channels(network)
    if went >= (1 - keep) * every / 2:
        return ""
    return (
        f"{went / every:.0%} of the channels went, not {1 - keep:.0%}: the others reach an operator that fixes them"
    ).replace("%", " %")


def strongest(layer: Conv | Linear, share: float) -> Kept:
    """The indices, ascending, of the output channels to keep."""
    return _strongest([layer], share)


def _strongest(layers: list[Conv | Linear], share: float) -> Kept:
    strength = sum(np.abs(layer.weights).reshape(len(layer.weights), -1).sum(1) for layer in layers)
    assert not isinstance(strength, int)
    count = max(1, round(share * len(strength)))
    return np.sort(np.argsort(-strength, kind="stable")[:count])


def is_depthwise(layer: Conv) -> bool:
    """Whether each output reads the one input of its number."""
    return layer.groups > 1 and layer.groups == len(layer.weights) and layer.weights.shape[1] == 1


Parts = tuple[tuple[str, int], ...]


@dataclass
class Sets:
    """Which tensors have the same channels.

    A tensor has `of` one set or, behind a concatenation, several, one behind the other; a flattened one has so many
    features of every channel. `sizes`: channels of each set. `fixed`: why they cannot go, "" if they can.
    """

    network: Network
    of: dict[str, Parts] = field(init=False)
    sizes: dict[str, int] = field(init=False)
    fixed: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        network = self.network
        self.of, self.sizes, self.fixed = {}, {}, {}
        self._begin(network.input, f"they are those of the input {network.input!r}")
        for layer in network.layers:
            self._add(layer)
        made_by = {layer.output: layer.name for layer in network.layers}
        for tensor in network.outputs:
            self._fix(tensor, f"layer {made_by.get(tensor, tensor)!r} makes the network's output")

    def features(self, tensor: str, channels: str, kept: Kept) -> Kept | None:
        """Those of a tensor that stay if of a set the channels `kept` do; None if it has none of that set."""
        parts = self.of[tensor]
        if channels not in (source for source, _ in parts):
            return None
        found, start = [], 0
        for source, each in parts:
            stay = kept if source == channels else np.arange(self.sizes[source])
            found.append(start + (stay[:, None] * each + np.arange(each)).ravel())
            start += self.sizes[source] * each
        return np.concatenate(found)

    def _begin(self, tensor: str, why: str) -> None:
        """A set of its own."""
        shape = self.network.shapes[tensor]
        self.of[tensor] = ((tensor, 1),)
        self.sizes[tensor], self.fixed[tensor] = shape[channel_axis(shape)], why

    def _add(self, layer: Layer) -> None:
        parts = self.of[layer.inputs[0]]
        shape, output = self.network.shapes[layer.inputs[0]], self.network.shapes[layer.output]
        match layer:
            case Conv() if is_depthwise(layer):
                self.of[layer.output] = parts
            case Conv() | Linear():
                self._begin(layer.output, "")
                if isinstance(layer, Conv) and layer.groups > 1:
                    for tensor in (layer.output, layer.inputs[0]):
                        self._fix(tensor, f"layer {layer.name!r} has groups")
            case Activation() | Unary() | Pool() | GlobalPool():
                self.of[layer.output] = parts
            case Add() | Sub() | Mul():
                self._meet(layer)
            case Concat():
                self.of[layer.output] = tuple(part for tensor in layer.inputs for part in self.of[tensor])
            case Reshape() if len(shape) == 3 and output in ((prod(shape),), (prod(shape), 1, 1)):
                self.of[layer.output] = tuple((source, each * shape[1] * shape[2]) for source, each in parts)
            case Reshape() if len(shape) == 1 and output == (*shape, 1, 1):
                self.of[layer.output] = parts
            case _:
                self._begin(layer.output, f"{layer.name!r} makes them")
                for tensor in layer.inputs:
                    self._fix(tensor, f"{layer.name!r} reads them")

    def _meet(self, layer: Add | Sub | Mul) -> None:
        """Two tensors channel by channel: the sets of both, one by one, if they lie alike."""
        one, other = (self.of[tensor] for tensor in layer.inputs)
        if [(self.sizes[s], each) for s, each in one] == [(self.sizes[s], each) for s, each in other]:
            for place in range(len(one)):  # looked up anew: a set may be another by now
                self._join(self.of[layer.inputs[0]][place][0], self.of[layer.inputs[1]][place][0])
        else:
            for tensor in layer.inputs:
                self._fix(tensor, f"{layer.name!r} reads them")
        self.of[layer.output] = self.of[layer.inputs[0]]

    def _fix(self, tensor: str, why: str) -> None:
        for source, _ in self.of[tensor]:
            self.fixed[source] = self.fixed[source] or why

    def _join(self, source: str, other: str) -> None:
        """Two sets are one from here on."""
        if source == other:
            return
        self.of = {
            tensor: tuple((source if s == other else s, each) for s, each in parts) for tensor, parts in self.of.items()
        }
        self.fixed[source] = self.fixed[source] or self.fixed.pop(other)


def _makers(sets: Sets) -> dict[str, list[Conv | Linear]]:
    """The layers whose outputs are the channels of each set, depthwise ones apart."""
    found = dict[str, list[Conv | Linear]]()
    for layer in matrix_layers(sets.network):
        if not (isinstance(layer, Conv) and is_depthwise(layer)):
            found.setdefault(sets.of[layer.output][0][0], []).append(layer)
    return found


def _dropped(network: Network, name: str, share: float) -> Network:
    """The network with the strongest `share` of the channels of the layer `name` and of those that are added to it."""
    sets = Sets(network)
    named = next(layer for layer in matrix_layers(network) if layer.name == name)
    channels = sets.of[named.output][0][0]
    if sets.fixed[channels]:
        raise InputError(f"{network.name}: channels of layer {name!r} cannot be dropped: {sets.fixed[channels]}")
    kept = _strongest(_makers(sets)[channels], share)

    layers: list[Layer] = []
    for layer in network.layers:
        read, written = (sets.features(tensor, channels, kept) for tensor in (layer.inputs[0], layer.output))
        if isinstance(layer, Conv) and is_depthwise(layer):
            if written is not None:
                layer = replace(layer, weights=layer.weights[written], bias=layer.bias[written], groups=len(written))
        elif isinstance(layer, Conv | Linear):
            weights, bias = layer.weights, layer.bias
            if read is not None:
                weights = weights[:, read]
            if written is not None:
                weights, bias = weights[written], bias[written]
            layer = replace(layer, weights=weights, bias=bias)
        elif isinstance(layer, Reshape) and written is not None:
            layer = replace(layer, shape=(len(written), *layer.shape[1:]))
        layers.append(layer)
    return with_layers(network, layers)
