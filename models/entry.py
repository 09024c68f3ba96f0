"""Inputs of a whole network as the accelerator takes them: what the host runs in front has been run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.graph import Network
from accel.models.host import HostPart

Array = NDArray[Any]
AT_ONCE = 256  # inputs: what the host holds between its nodes is of so many


def shape_of(network: Network) -> tuple[int, ...]:
    """The shape of an input of the whole network, without the batch."""
    return network.host.input_shape if network.host and network.host.head else network.shapes[network.input]


def is_channels_last(network: Network) -> bool:
    """Whether the whole network reads maps with channels behind: only the host does, and maps are larger than deep."""
    shape = shape_of(network)
    return bool(network.host and network.host.head) and len(shape) == 3 and shape[-1] < shape[0]


def entered(network: Network, inputs: Array) -> Array:
    """`inputs` (n, *`shape_of`) as (n, *shape of the accelerator's input).

    Where the host only puts values elsewhere, they keep their type, so that pixels stay bytes; else they are float32.
    Raises InputError for what the host cannot run.
    """
    if not network.host or not network.host.head:
        return inputs
    head, shape = network.host.head, network.shapes[network.input]
    order = _order(head, shape_of(network))
    if order is not None:
        return inputs.reshape(len(inputs), -1)[:, order].reshape(-1, *shape)
    made = np.empty((len(inputs), *shape), np.float32)
    for start in range(0, len(inputs), AT_ONCE):
        (part,) = head.run([inputs[start : start + AT_ONCE]])
        made[start : start + AT_ONCE] = part.reshape(-1, *shape)
    return made


def _order(head: HostPart, shape: tuple[int, ...]) -> Array | None:
    """Which value of an input each value behind `head` is, None if the host computes anything."""
    count = math.prod(shape)
    if count > 2**24:  # float32 does not number more
        return None
    numbers = np.arange(count, dtype=np.float32)
    # Other values of both signs tell a move from an activation, or a sum that vanishes on the numbers.
    probes = np.stack([numbers, np.random.default_rng(0).standard_normal(count, np.float32)])
    (found,) = head.run([probes.reshape(2, *shape)])
    found = found.reshape(2, -1)
    if found.shape != probes.shape or not np.array_equal(np.sort(found[0]), numbers):
        return None
    order = found[0].astype(np.int64)
    return order if np.array_equal(probes[1, order], found[1]) else None
