"""The codes of all inputs of an integer network as one array, as everything that runs it takes them.

Of one input they are (n, channels, height, width). Of several they are flat, (n, values): those of the first input in
row-major order, behind them those of the next, in the order of `IntegerNetwork.inputs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import numpy as np

from accel.models.integers.layers import Int8
from accel.models.integers.network import IntegerNetwork


def joined(network: IntegerNetwork, tensors: Mapping[str, Int8]) -> Int8:
    """One array of the inputs' codes, each (n, channels, height, width)."""
    if not network.more_inputs:
        return tensors[network.input]
    return np.concatenate([tensors[name].reshape(len(tensors[name]), -1) for name in network.inputs], 1)


def divided(codes: Int8, shapes: Iterable[tuple[int, int, int]]) -> list[Int8]:
    """The inputs' codes, each (..., channels, height, width), of what `joined` made of inputs of these `shapes`."""
    shapes = list(shapes)
    if len(shapes) == 1:
        return [codes]
    found, at = [], 0
    for shape in shapes:
        found.append(codes[..., at : at + prod(shape)].reshape(*codes.shape[:-1], *shape))
        at += prod(shape)
    return found
