"""Which tensors share a storage: those that are joined, as far as each of their channels lies in one place alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from accel.compiler.placed_layers import copy_layer, some_outputs
from accel.models.integers.network import AnyLayer, ChannelLayer, IntegerNetwork, MatrixLayer, TensorSpec
from accel.models.integers.stretches import read_by

Origin = list[tuple[str, int]]  # of each channel of a tensor: base, and channel of it
MOSTLY = 0.75  # of its channels a base that is joined must give, or they are copied


@dataclass
class Joiner:
    """Joins tensors, and copies what has to be.

    `origin` of every tensor so far; `parent` of each base towards the one that stands for its storage.
    """

    network: IntegerNetwork
    word_lanes: int
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    layers: list[AnyLayer] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)
    origin: dict[str, Origin] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)

    def _root(self, base: str) -> str:
        while self.parent[base] != base:
            base = self.parent[base]
        return base

    def _new(self, name: str) -> str:
        """A name for a copy."""
        number = len(self.copies)
        while f"{name}.copy{number}" in self.tensors:
            number += 1
        return f"{name}.copy{number}"

    def _base(self, name: str) -> None:
        self.parent[name] = name
        self.origin[name] = [(name, channel) for channel in range(self.tensors[name].shape[0])]

    def join(self) -> None:
        """Decide what lies together, and copy the channels that cannot."""
        network = self.network
        self.tensors = dict(network.tensors)
        for name in network.inputs:
            self._base(name)
        read = set(network.outputs)
        for layer in network.layers:
            if isinstance(layer, ChannelLayer):  # what is only joined further is joined there
                read |= set() if layer.channels is None else set(layer.inputs)
            else:
                read.update(read_by(layer))
        for layer in network.layers:
            if isinstance(layer, ChannelLayer):
                joined = [at for name in layer.inputs for at in self.origin[name]]
                self.origin[layer.output] = joined if layer.channels is None else [joined[c] for c in layer.channels]
            elif isinstance(layer, MatrixLayer) and self._scattered(layer):
                self._by_bases(layer)
            else:
                self.layers.append(layer)
                self._base(layer.output)
                continue
            if layer.output in read:
                self._join(layer.output)
            self._name(layer.output, self.origin[layer.output])

    def _scattered(self, layer: MatrixLayer) -> bool:
        """Whether a depthwise layer reads all channels of some bases, each once, but not in the lanes 0, 1, 2, ..."""
        found, channels = self.origin[layer.input], len(layer.weights)
        if layer.groups != channels or layer.weights.shape[1] > 1 or layer.residual or len(set(found)) < channels:
            return False
        bases = dict.fromkeys(base for base, _ in found)
        if sum(len(self.origin[base]) for base in bases) != channels:
            return False
        *first, _ = (len(self.origin[base]) for base in bases)
        in_order = found == [at for base in bases for at in self.origin[base]]
        return not in_order or any(count % self.word_lanes for count in first)

    def _by_bases(self, layer: MatrixLayer) -> None:
        """The layer as one for each base that it reads, in the order of the base; what it makes has their channels."""
        found, made = self.origin[layer.input], list[tuple[str, int]]((("", 0),) * len(layer.weights))
        for number, base in enumerate(dict.fromkeys(base for base, _ in found)):
            taken = sorted((i for i, (of, _) in enumerate(found) if of == base), key=lambda i: found[i][1])
            part = some_outputs(layer, taken, f"{layer.name}:part{number}", base, f"{layer.output}:part{number}")
            spec = self.tensors[layer.output]
            self.tensors[part.output] = replace(spec, name=part.output, shape=(len(taken), *spec.shape[1:]))
            self.layers.append(part)
            self._base(part.output)
            for channel, i in enumerate(taken):
                made[i] = (part.output, channel)
        self.origin[layer.output] = made

    def _join(self, name: str) -> None:
        """Bring all channels of a tensor into one storage."""
        found = self.origin[name]
        bases = dict.fromkeys(base for base, _ in found)
        # Of each channel how often it has come before (-1: it is copied although it comes once), and its storage.
        away = [(turn, self._root(base)) for turn, (base, _) in zip(_repeats(found), found, strict=True)]
        apart, twice = len({self._root(base) for base in bases}) > 1, any(turn for turn, _ in away)
        for base in bases:
            few = len({channel for of, channel in found if of == base}) < MOSTLY * len(self.origin[base])
            if (apart and few) or ((apart or twice) and base in self.network.inputs):
                away = [
                    (turn or -1, root) if of == base else (turn, root)
                    for (turn, root), (of, _) in zip(away, found, strict=True)
                ]
        for turn, root in dict.fromkeys(away):
            if turn:
                places = [i for i, at in enumerate(away) if at == (turn, root)]
                copy = self._copied(self._new(name), [found[i] for i in places])
                for channel, i in enumerate(places):
                    found[i] = (copy, channel)
        first = self._root(found[0][0])
        for base in dict.fromkeys(base for base, _ in found):
            self.parent[self._root(base)] = first

    def _name(self, name: str, origin: Origin) -> None:
        """A channel layer that makes the tensor `name` of bases."""
        bases = list(dict.fromkeys(base for base, _ in origin))
        firsts, at = {}, 0
        for base in bases:
            firsts[base] = at
            at += len(self.origin[base])
        channels = tuple(firsts[base] + channel for base, channel in origin)
        self.layers.append(ChannelLayer(name, tuple(bases), name, channels))

    def _copied(self, name: str, origin: Origin) -> str:
        """A base with copies of these channels, which lie in one storage."""
        bases = dict.fromkeys(base for base, _ in origin)
        (base, *rest), spec = bases, self.tensors[origin[0][0]]
        shape = (len(origin), *spec.shape[1:])
        self.tensors[name] = TensorSpec(name, shape, spec.scale, spec.zero_point)
        source = base
        if rest or origin != self.origin[base]:
            source = f"{name}.of"
            self.tensors[source] = TensorSpec(source, shape, spec.scale, spec.zero_point)
            self.origin[source] = list(origin)
            self._name(source, origin)
        self.layers.append(copy_layer(name, self.tensors[source], name, by_vector=source == base))
        self.copies.add(name)
        self._base(name)
        return name


def _repeats(found: Origin) -> list[int]:
    """How often each channel has come before."""
    seen: dict[tuple[str, int], int] = {}
    turns = []
    for at in found:
        turns.append(seen.get(at, 0))
        seen[at] = turns[-1] + 1
    return turns
