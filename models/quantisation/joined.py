"""Which tensors must have one scale: the parts of a Concat, so that their producers write into it as it is.

A part that is the network's input keeps its own scale, and is requantised into the Concat; so is what a quantised file
gives another scale.
"""

from __future__ import annotations

from collections.abc import Mapping

from accel.models.graph import Concat, GlobalPool, Network, Pool, Reshape, Select, readers

Ranges = dict[str, tuple[float, float]]


def joined(network: Network) -> dict[str, str]:
    """For each tensor that shares its scale with others the one that stands for all of them."""
    parent: dict[str, str] = {}

    def root(tensor: str) -> str:
        while parent.setdefault(tensor, tensor) != tensor:
            tensor = parent[tensor]
        return tensor

    for layer in network.layers:
        if isinstance(layer, Concat):
            for tensor in layer.inputs:
                if tensor != network.input:
                    parent[root(tensor)] = root(layer.output)
    if not parent:
        return {}
    read_by = readers(network)
    for layer in reversed(network.layers):
        tensor = layer.inputs[0]
        # The same codes under two names; and a maximum that alone reads a tensor is exact, and can be fused, only so.
        same = isinstance(layer, Select | Reshape)
        alone = isinstance(layer, Pool | GlobalPool) and layer.kind == "max" and len(read_by[tensor]) == 1
        if (same or alone) and layer.output in parent and tensor != network.input:
            parent[root(tensor)] = root(layer.output)
    return {tensor: root(tensor) for tensor in parent}


def together(ranges: Ranges, shared: Mapping[str, str]) -> Ranges:
    """`ranges` with that of a tensor that stands for several widened to all of them."""
    found = dict(ranges)
    for tensor, first in shared.items():
        low, high = found[first]
        found[first] = min(low, ranges[tensor][0]), max(high, ranges[tensor][1])
    return found
