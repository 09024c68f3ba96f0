"""Signal to quantisation noise, layer by layer: the int8 network beside the float network on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Conv, Float, Linear, Network
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import float32, int8

__all__ = ["LayerNoise", "noise", "worst"]

EXACT_DB = 100.0  # of a tensor without noise
JUDGED = 32  # inputs on which two ways are compared
MOST_FLOATS = 2**26  # in all tensors of those inputs
AnyNetwork = TypeVar("AnyNetwork", IntegerNetwork, Network)


@dataclass(frozen=True)
class LayerNoise:
    """A layer of the float network with weights, up to the next tensor that both networks have, which is `tensor`.

    `ratio_db`: 10 log10 of the power of the output over that of the int8 network's difference to it. `read_db`: the
    least of what it reads, as far as both networks have that; None if they do not. `through`: layers with weights in
    front of it without such a tensor: their noise is in this one's, as where channels were dropped.
    """

    layer: str
    tensor: str
    ratio_db: float
    read_db: float | None
    through: tuple[str, ...] = ()

    @property
    def added(self) -> float | None:
        """Power of the noise that comes to that of what is read, over that of the signal; below 0 if it shrinks.

        Noise as strong as the signal counts as 1 however strong it is: then there is nothing left to spoil.
        """
        return (
            None if self.read_db is None else 10 ** (-max(self.ratio_db, 0) / 10) - 10 ** (-max(self.read_db, 0) / 10)
        )


def noise(network: Network, other: IntegerNetwork | Network, inputs: NDArray[Any]) -> tuple[LayerNoise, ...]:
    """For each tensor that the `other` network, int8 or float, has too, in order, on `inputs` (n, *input shape).

    Tensors are twins if they have one name and as many values. What was fused into a layer has none: it is looked
    through. Raises InputError for inputs of another shape.
    """
    ratios = dict(_ratios(float32.run_all(network, inputs), other, inputs))
    # Of a tensor the noise of what it was made of, the last layer with weights, and all of those behind the last twins.
    reads: dict[str, float | None] = {network.input: ratios.get(network.input)}
    makers: dict[str, str] = {}
    unseen: dict[str, frozenset[str]] = {network.input: frozenset()}
    order = {layer.name: number for number, layer in enumerate(network.layers)}
    found = []
    for layer in network.layers:
        known = [value for tensor in layer.inputs if (value := reads.get(tensor)) is not None]
        read_db = min(known) if known else None
        since = frozenset[str]().union(*(unseen[tensor] for tensor in layer.inputs))
        if isinstance(layer, Conv | Linear):
            maker, since = layer.name, since | {layer.name}
        else:  # a sum is fused into the layer whose output has no twin, whichever of its inputs that is
            before = since or {makers[tensor] for tensor in layer.inputs if tensor in makers}
            maker = max(before, key=order.__getitem__, default=layer.name)
        makers[layer.output] = maker
        reads[layer.output] = ratios.get(layer.output, read_db)
        unseen[layer.output] = frozenset() if layer.output in ratios else since
        if layer.output in ratios:
            through = tuple(sorted(since - {maker}, key=order.__getitem__))
            found.append(LayerNoise(maker, layer.output, ratios[layer.output], read_db, through))
    return tuple(found)


def worst(layers: Iterable[LayerNoise]) -> LayerNoise | None:
    """The layer to blame: the one that adds most noise to what it reads; None if that is not known of any.

    By power, not by dB: from 100 dB to 40 is less than from 20 to 10.
    """
    known = [(one.added, one) for one in layers if one.added is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def nearest(network: Network, ways: Iterable[AnyNetwork], calibration: NDArray[Any]) -> AnyNetwork:
    """The one of `ways`, int8 or float, with the most signal to noise in the output of the last layer that both have.

    On some calibration inputs: fewer of a network that is large.
    """
    return max(ways, key=nearness(network, calibration))


def nearness(network: Network, calibration: NDArray[Any]) -> Callable[[IntegerNetwork | Network], float]:
    """By how many dB the signal is above the noise in another network's output, as `nearest` takes it."""
    each = sum(map(math.prod, network.shapes.values()))
    inputs = calibration[: max(2, min(JUDGED, MOST_FLOATS // each))]
    floats = float32.run_all(network, inputs)
    last_first = {layer.output: floats[layer.output] for layer in reversed(network.layers)}
    return lambda other: next(_ratios(last_first, other, inputs), ("", EXACT_DB))[1]


def _ratios(
    floats: Mapping[str, Float], other: IntegerNetwork | Network, inputs: NDArray[Any]
) -> Iterator[tuple[str, float]]:
    """Of each of `floats` that has a twin in `other`, in their order, its name and the twin's signal to noise."""
    if isinstance(other, Network):
        values = float32.run_all(other, inputs)
        for name, wanted in floats.items():
            if name in values and values[name].shape == wanted.shape:
                yield name, _ratio_db(wanted, values[name])
        return
    codes = int8.run(other, int8.quantise_input(other, inputs), all_tensors=True)
    for name, wanted in floats.items():
        if name in other.tensors and codes[name].size == wanted.size:
            spec = other.tensors[name]
            if wanted.ndim == 3:  # rows of a matrix lie along the width
                wanted = wanted.swapaxes(1, 2)
            yield name, _ratio_db(wanted, spec.scale * (codes[name].astype(np.float64) - spec.zero_point))


def _ratio_db(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    signal = float(np.square(wanted, dtype=np.float64).sum())
    error = float(np.square(found.reshape(wanted.shape) - wanted, dtype=np.float64).sum())
    if not error or not signal:
        return EXACT_DB if not error else -EXACT_DB
    return min(EXACT_DB, 10 * math.log10(signal / error))
