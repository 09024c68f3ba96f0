"""Why a compressed network fails: the layer behind which its activations leave those of the float network."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.noise import noise, worst

INPUTS = 32  # on so many the activations are compared


def reason(network: Network, compressed: IntegerNetwork, calibration: NDArray[Any], untrained: bool) -> str:
    """What to say behind a fallen accuracy, with a leading separator; "" if nothing can be compared.

    The layer to blame is the one that adds most noise to what it reads, and the remedy follows from what it became.
    """
    blamed = worst(noise(network, compressed, calibration[:INPUTS]))
    if blamed is None:
        return ""
    what = (
        f"; {blamed.layer} loses most: its output has {blamed.ratio_db:.0f} dB of signal to noise, "
        f"what it reads {blamed.read_db:.0f} dB"
    )
    return f"{what}; {_remedy(blamed.layer, compressed, untrained)}"


def _remedy(layer: str, compressed: IntegerNetwork, untrained: bool) -> str:
    """A step that mends it."""
    parts = [one for one in compressed.layers if one.name in (f"{layer}.in", f"{layer}.out", f"{layer}.core")]
    ranks = [len(one.weights) for one in parts if hasattr(one, "weights") and not one.name.endswith(".out")]
    if ranks and min(ranks) <= 2:
        return f"its rank is {min(ranks)}: give the Tucker step `ranks` or `weakening`, and retrain (--train DATA)"
    named = next((one for one in compressed.layers if one.name == layer), None)
    if getattr(named, "shared", None) is not None:
        return "its codebook is not trained: retrain (--train DATA), or share with more bits"
    return "retrain (--train DATA)" if untrained else "compress it less, or train longer"
