"""Why a compressed network fails: the layer behind which its activations leave those of the float network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.channels import is_depthwise
from accel.models.compress.prune import matrix_layers
from accel.models.graph import Conv, Network
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.noise import LayerNoise, noise, worst

INPUTS = 32  # on so many the activations are compared
POINTS = 10.0  # of accuracy: what loses more has failed, and the reason is looked for
LOW_RANK = 2  # up to which a decomposition is to blame
State = Literal["untrained", "trained", "dense"]
RECIPE = "retrain (`epochs` in the recipe's steps, and --data DATA)"  # what a recipe that trains nothing is told


@dataclass(frozen=True)
class Row:
    """What was done to a network that fails: what it can be told follows from that.

    `state`: "dense", nothing but int8; "untrained", no training has mended what a technique did; or "trained".
    `retrain`: how one asks for training where the network came from. `more`: the remedy of a dense network.
    """

    state: State
    retrain: str = "retrain (--train DATA)"
    more: str = "try --quantisation best"


def reason(network: Network, compressed: IntegerNetwork | Network, inputs: NDArray[Any], row: Row) -> str:
    """What to say behind a fallen accuracy, with a leading separator; "" if nothing can be compared.

    The layer to blame is the one that adds most noise to what it reads, and the remedy follows from what it became.
    Where channels went no tensor can be compared up to the next that has all: of the layers that made it the one that
    lost most channels is to blame.
    """
    blamed = worst(noise(network, compressed, inputs[:INPUTS]))
    if blamed is None:
        return ""
    lost = {name: fewer for name, fewer in channels_lost(network, compressed).items() if name in blamed.through}
    if lost:
        return _dropped(blamed, lost, row)
    what = (
        f"; {blamed.layer} loses most: its output has {blamed.ratio_db:.0f} dB of signal to noise, "
        f"what it reads {blamed.read_db:.0f} dB"
    )
    return f"{what}; {_remedy(blamed.layer, compressed, row)}"


def channels_lost(network: Network, compressed: IntegerNetwork | Network) -> dict[str, tuple[int, int]]:
    """For each layer that has fewer output channels than in `network`: how many, and of how many.

    Depthwise layers, which have those that they read, are left out.
    """
    widths = {one.name: len(one.weights) for one in compressed.layers if hasattr(one, "weights")}
    return {
        layer.name: (widths[layer.name], len(layer.weights))
        for layer in matrix_layers(network)
        if not (isinstance(layer, Conv) and is_depthwise(layer))
        and widths.get(layer.name, len(layer.weights)) < len(layer.weights)
    }


def went(network: Network, compressed: IntegerNetwork | Network) -> int:
    """How many of them there are."""
    return sum(of - kept for kept, of in channels_lost(network, compressed).values())


def _dropped(blamed: LayerNoise, lost: dict[str, tuple[int, int]], row: Row) -> str:
    """The text where channels went."""
    name = min(lost, key=lambda name: lost[name][0] / lost[name][1])
    others = "" if len(lost) == 1 else f", the smallest share of {len(lost)} such layers"
    kept, of = lost[name]
    again = row.retrain if row.state == "untrained" else "train longer"
    return (
        f"; {name} keeps {kept} of {of} channels{others}: the next output with all of them, of {blamed.layer}, has "
        f"{blamed.ratio_db:.0f} dB of signal to noise; `channels` must keep more of it, or {again}"
    )


def _remedy(layer: str, compressed: IntegerNetwork | Network, row: Row) -> str:
    """A step that mends it."""
    again = row.retrain if row.state == "untrained" else "train longer"
    parts = [one for one in compressed.layers if one.name in (f"{layer}.in", f"{layer}.out", f"{layer}.core")]
    ranks = [len(one.weights) for one in parts if hasattr(one, "weights") and not one.name.endswith(".out")]
    if ranks and min(ranks) <= LOW_RANK:
        return f"its rank is {min(ranks)}: give the Tucker step `ranks` or `weakening`, and {again}"
    named = next((one for one in compressed.layers if one.name == layer), None)
    if getattr(named, "shared", None) is not None or (isinstance(compressed, Network) and _is_shared(named)):
        if row.state == "trained":
            return "its codebook is too small: share with more bits, or train longer"
        return f"its codebook is not trained: {row.retrain}, or share with more bits"
    if row.state == "dense":
        return row.more
    return row.retrain if row.state == "untrained" else "compress it less, or train longer"


def _is_shared(layer: Any) -> bool:
    """Whether a float layer has so few different weights that it has a codebook."""
    weights = getattr(layer, "weights", np.empty(0))
    return bool(4 * len(np.unique(weights)) < weights.size and np.count_nonzero(weights) == weights.size)
