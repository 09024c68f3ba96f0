"""Weight sharing without training, from a float network to int8 in one step."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from accel.models.compress.cluster import share_weights
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.shared import quantise_compressed

__all__ = ["share"]


def share(network: Network, calibration: NDArray[Any], bits: int) -> IntegerNetwork:
    """`network` in int8, with the weights of each layer drawn from a codebook of at most 2**bits codes.

    It is `share_weights`, then `quantise_compressed`: the ranges of activations are those of the network whose weights
    are shared, and a layer that is too small to share anything stays dense.

    Raises InputError for bits outside 1..8, and what `quantise` raises.
    """
    return quantise_compressed(share_weights(network, bits), calibration)
