"""A maximum over joined channels as the join of maxima of the parts, each of which its own convolution can take along.

e1 (s -> a), e3 (s -> b), join (a, b -> c), pool (c -> d)    becomes
e1 (s -> a), e3 (s -> b), pool:part0 (a -> p), pool:part1 (b -> q), join (p, q -> d)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from accel.models.integers.network import AnyLayer, ChannelLayer, IntegerNetwork, MatrixLayer, VectorLayer
from accel.models.integers.stretches import read_by


def pooled_parts(network: IntegerNetwork) -> IntegerNetwork:
    """The network with each pooling of a join, which nothing else reads, in parts; itself if it has none."""
    while True:
        uses = Counter(name for layer in network.layers for name in read_by(layer))
        uses.update(network.outputs)
        makers = {layer.output: layer for layer in network.layers}
        for layer in network.layers:
            if not isinstance(layer, VectorLayer) or layer.reduce == "sum" or layer.residual:
                continue
            join = makers.get(layer.input)
            if layer.window.kernel == (1, 1) or not isinstance(join, ChannelLayer) or uses[join.output] > 1:
                continue
            if _gains(join, makers, uses):
                network = _parted(network, join, layer)
                break
        else:
            return network


def _gains(join: ChannelLayer, makers: dict[str, AnyLayer], uses: Counter[str]) -> bool:
    """Whether a part, each of which comes once, can be pooled where it is made."""
    parts = [makers.get(name) for name in join.inputs if uses[name] == 1]
    once = len(set(join.inputs)) == len(join.inputs) > 1
    return once and any(isinstance(part, MatrixLayer) and not part.residual for part in parts)


def _parted(network: IntegerNetwork, join: ChannelLayer, pool: VectorLayer) -> IntegerNetwork:
    tensors = {name: spec for name, spec in network.tensors.items() if name != join.output}
    made: list[AnyLayer] = []
    for number, name in enumerate(join.inputs):
        to = replace(
            tensors[pool.output],
            name=f"{pool.output}:part{number}",
            shape=(tensors[name].shape[0], *tensors[pool.output].shape[1:]),
        )
        made.append(replace(pool, name=f"{pool.name}:part{number}", input=name, output=to.name))
        tensors[to.name] = to
    made.append(replace(join, inputs=tuple(layer.output for layer in made), output=pool.output))
    layers: list[AnyLayer] = []
    for layer in network.layers:
        if layer is not join:
            layers += made if layer is pool else [layer]
    return replace(network, tensors=tensors, layers=tuple(layers))
