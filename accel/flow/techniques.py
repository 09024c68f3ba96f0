"""The techniques that `accel compare` has a row for: a name and a function from a network to integers.

A later technique is a new entry here, and nothing else in this folder changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.errors import InputError
from models.graph import Network
from models.integer import IntegerNetwork
from models.quantise import quantise
from models.share import share


@dataclass(frozen=True)
class Technique:
    """`apply(network, calibration)` gives the integer network; `calibration` is as in `models.quantise`."""

    name: str
    title: str
    apply: Callable[[Network, NDArray[Any]], IntegerNetwork]


def _shared(bits: int) -> Technique:
    return Technique(
        f"shared-{bits}", f"shared, {bits} bits", lambda network, calibration: share(network, calibration, bits)
    )


# The first is what the others are compared to.
TECHNIQUES = (
    Technique("dense", "dense int8", lambda network, calibration: quantise(network, calibration)),
    *(_shared(bits) for bits in (8, 6, 4, 3, 2)),
)


def names() -> tuple[str, ...]:
    """The techniques' names."""
    return tuple(technique.name for technique in TECHNIQUES)


def find(name: str) -> Technique:
    """The technique of that name. Raises InputError."""
    for technique in TECHNIQUES:
        if technique.name == name:
            return technique
    raise InputError(f"technique must be one of {', '.join(names())}, not {name!r}")
