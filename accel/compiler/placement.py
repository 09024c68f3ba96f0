"""Where channels lie: tensors that are joined share a storage, each channel layer is then only names of lanes.

A storage is one tensor on chip and in DRAM, made of whole activation words (R lanes). Each *base* (the network's input,
or what a step writes) lies at channel groups of its own; tensors that are joined lie behind each other in the order in
which they are made, so that what a reader finds between the channels that it wants has been written before. A layer on
the array reads from the first to the last group that it needs: lanes that are not its own get weights of 0. The vector
unit works lane by lane: what it writes lies in the lanes of what it reads.

A depthwise layer runs once for each base that it reads, in the order of its channels, if that is not the order of the
layer: a filter works lane by lane, and an array in reach of few.

Where that cannot be, channels are copied first, by a layer of the network that `place` returns: what is joined twice,
part of a tensor that belongs elsewhere, the network's input and output, operands that do not lie lane upon lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accel.compiler.joining import Joiner
from accel.compiler.placed_layers import copy_layer
from accel.models.integers.network import (
    AnyLayer,
    ChannelLayer,
    IntegerNetwork,
    Layer,
    VectorLayer,
)

Lanes = tuple[int, ...]


@dataclass(frozen=True)
class Spot:
    """Channels of a tensor: `lanes[c]` (None: c) counted from channel group `group` of `storage`.

    `channels` lanes, to one past the last; `written`: with those that a step writes besides, so that no reader of
    what lies behind finds anything undefined.
    """

    storage: str
    group: int
    channels: int
    written: int
    lanes: Lanes | None = None


@dataclass(frozen=True)
class Placed:
    """A network with the copies that it needs, and the spot of each tensor that a step reads or writes."""

    network: IntegerNetwork
    spots: Mapping[str, Spot]
    copies: frozenset[str]


def place(network: IntegerNetwork, word_lanes: int) -> Placed:
    """The spots of `network` in words of so many lanes."""
    if not any(isinstance(layer, ChannelLayer) or _given_pixel(layer, network) for layer in network.layers):
        spots = {name: Spot(name, 0, spec.shape[0], spec.shape[0]) for name, spec in network.tensors.items()}
        return Placed(network, spots, frozenset())
    builder = _Builder(network, word_lanes)
    builder.join()
    builder.lay()
    return builder.placed()


def _given_pixel(layer: AnyLayer, network: IntegerNetwork) -> bool:
    """Whether the layer's second operand is one pixel that is an input of the network."""
    added = None if isinstance(layer, ChannelLayer) else layer.residual
    return (
        added is not None and added.tensor in network.more_inputs and network.tensors[added.tensor].shape[1:] == (1, 1)
    )


@dataclass
class _Builder(Joiner):
    """Lays out what is joined, and copies what does not lie as it must.

    `lanes` of bases (None: as they are), `groups` where they begin; `sizes` of storages.
    """

    lanes: dict[str, Lanes | None] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    # In which lanes they lie.

    def lay(self) -> None:
        """Give each base its groups, in the order in which they are made; copy operands that do not fit."""
        made, self.layers = self.layers, []
        for name in self.network.inputs:
            self._put(name, None)
        for layer in made:
            if isinstance(layer, ChannelLayer):
                self.layers.append(layer)
                continue
            fitted, lanes = self._fitted(layer)
            self.layers.append(fitted)
            if fitted.output not in self.parent:
                self._base(fitted.output)
            self._put(fitted.output, lanes)

    def _fitted(self, layer: Layer) -> tuple[Layer, Lanes | None]:
        """The layer with copies of operands that do not lie as its output must, and the lanes of that."""
        added = layer.residual
        lanes = self._spot(layer.input).lanes if isinstance(layer, VectorLayer) else None
        if not added:
            return layer, lanes
        if _given_pixel(layer, self.network):
            added = replace(added, tensor=self._plain(added.tensor))  # on chip: one pixel for all cannot be streamed
            layer = replace(layer, residual=added)
        theirs = self._spot(added.tensor).lanes
        if isinstance(layer, VectorLayer) and lanes is not None and theirs != lanes:
            layer, lanes = replace(layer, input=self._plain(layer.input)), None
        if theirs != lanes:
            layer = replace(layer, residual=replace(added, tensor=self._plain(added.tensor)))
        return layer, lanes

    def _plain(self, tensor: str) -> str:
        """A copy of a tensor whose channels lie in the lanes from the first on."""
        name = self._new(tensor)
        self.tensors[name] = replace(self.tensors[tensor], name=name)
        self.layers.append(copy_layer(name, self.tensors[tensor], name, by_vector=False))
        self.copies.add(name)
        self._base(name)
        self._put(name, None)
        return name

    def _put(self, base: str, lanes: Lanes | None) -> None:
        root = self._root(base)
        self.lanes[base], self.groups[base] = lanes, self.sizes.get(root, 0)
        self.sizes[root] = self.groups[base] + self._width(base)

    def _width(self, base: str) -> int:
        """Channel groups of a base."""
        return -(-self._channels(base) // self.word_lanes)

    def _channels(self, base: str) -> int:
        lanes = self.lanes[base]
        return self.tensors[base].shape[0] if lanes is None else max(lanes) + 1

    def _spot(self, tensor: str) -> Spot:
        """Where a tensor lies of whose bases all have been put."""
        origin, rows = self.origin[tensor], self.word_lanes
        at = []
        for base, channel in origin:
            lanes = self.lanes[base]
            at.append(self.groups[base] * rows + (channel if lanes is None else lanes[channel]))
        group = min(at) // rows
        found = tuple(lane - group * rows for lane in at)
        lanes = None if found == tuple(range(len(found))) else found
        channels = max(found) + 1
        return Spot(self._root(origin[0][0]), group, channels, channels, lanes)

    # What comes of it.

    def placed(self) -> Placed:
        """The result; with a copy of each output that does not lie alone and in order, or has more lanes written."""
        for output in self.network.outputs:
            spot = self._spot(output)
            width = -(-spot.channels // self.word_lanes)
            alone = spot.lanes is None and self.sizes[spot.storage] == width
            if not alone or output not in self.parent or output in self._filled():
                self._copy_output(output, spot)
        spots = {name: self._spot(name) for name in self.origin}
        full = self._filled()
        for name in full - set(self.network.inputs):
            spots[name] = replace(spots[name], written=self._width(name) * self.word_lanes)
        storages: dict[str, str] = {}
        for name in self.parent:  # a storage is called after the base that is made first
            storages.setdefault(self._root(name), name)
        spots = {name: replace(spot, storage=storages[spot.storage]) for name, spot in spots.items()}
        made = replace(self.network, tensors=self.tensors, layers=tuple(self.layers))
        return Placed(made, spots, frozenset(self.copies))

    def _copy_output(self, output: str, spot: Spot) -> None:
        """What makes the network's output makes an inner tensor instead, which is then copied."""
        inner = f"{output}.parts"

        def renamed(name: str) -> str:
            return inner if name == output else name

        found: list[AnyLayer] = []
        source = replace(self.tensors[output], name=inner)
        copy = copy_layer(self._new(output), source, output, by_vector=spot.lanes is None)
        for layer in self.layers:
            if isinstance(layer, ChannelLayer):
                layer = replace(layer, inputs=tuple(map(renamed, layer.inputs)), output=renamed(layer.output))
            else:
                added = layer.residual
                added = added and replace(added, tensor=renamed(added.tensor))
                layer = replace(layer, input=renamed(layer.input), output=renamed(layer.output), residual=added)
            found.append(layer)
            if layer.output == inner:
                found.append(copy)
        self.layers = found
        self.copies.add(copy.name)
        self.tensors[inner] = source
        self.origin = {renamed(n): [(renamed(b), c) for b, c in origin] for n, origin in self.origin.items()}
        self.lanes = {renamed(name): lanes for name, lanes in self.lanes.items()}
        self.groups = {renamed(name): group for name, group in self.groups.items()}
        self.parent = {renamed(name): renamed(root) for name, root in self.parent.items()}
        self.sizes = {renamed(name): size for name, size in self.sizes.items()}
        self._base(output)
        self._put(output, None)

    def _filled(self) -> set[str]:
        """The bases whose last word must be written as a whole: what is not alone, and what a vector layer copies."""
        shared: dict[str, int] = {}
        for base in self.parent:
            shared[self._root(base)] = shared.get(self._root(base), 0) + 1
        full = {base for base in self.parent if shared[self._root(base)] > 1}
        for layer in reversed(self.layers):
            if isinstance(layer, ChannelLayer) or layer.output not in full:
                continue
            read = [layer.input] if isinstance(layer, VectorLayer) else []
            read += [layer.residual.tensor] if layer.residual else []
            full |= {base for name in read for base, _ in self.origin[name]}
        return full
