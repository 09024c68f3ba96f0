"""What a compressed network costs on a design: exact cycles, exact bytes, energy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from accel.compile import time_network
from accel.design import Design
from accel.flow import simulate
from accel.models.encode.stored import FORMATS, stored_bytes
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import Word
from accel.models.integers.network import IntegerNetwork
from accel.models.integers.stretches import stretches
from accel.models.quantisation.shared import quantise_compressed

Goal = Literal["cycles", "bytes", "energy"]
GOALS: tuple[Goal, ...] = get_args(Goal)
Price = dict[Goal, float]
AS_COMPILED: Mapping[str, Word] = MappingProxyType({})  # whatever the compiler chooses
UNITS: dict[Goal, str] = {"cycles": "cycles", "bytes": "bytes", "energy": "uJ"}


@dataclass(frozen=True)
class Pricer:
    """Prices of networks on `design`, calibrated on `calibration` (n, *input shape): those that are asked for.

    cycles: of an image; bytes: of the int8 file, each layer in the format that takes least there; energy: in uJ, of an
    image, nominal. They are those of a row of `accel compare`.
    """

    design: Design
    calibration: NDArray[np.float32]
    goals: frozenset[Goal]

    def __call__(self, network: Network, formats: Mapping[str, Word] = AS_COMPILED) -> Price:
        """The prices of `network` in int8, its weights as they are. Raises InputError if it does not fit the design."""
        return self.of(self.integer(network), formats)

    def integer(self, network: Network) -> IntegerNetwork:
        """`network` in int8, its weights as they are."""
        return quantise_compressed(network, self.calibration)

    def of(self, integer: IntegerNetwork, formats: Mapping[str, Word] = AS_COMPILED) -> Price:
        """The prices of an int8 network, some of whose layers are read in `formats`."""
        return self.run(integer, formats) | self.stored(integer)

    @property
    def runs(self) -> frozenset[Goal]:
        """The goals that depend on how weights are read."""
        return self.goals - {"bytes"}

    def run(self, integer: IntegerNetwork, formats: Mapping[str, Word] = AS_COMPILED) -> dict[Goal, float]:
        """Those prices of it that are of a run."""
        found: dict[Goal, float] = {}
        if "energy" in self.goals or ("cycles" in self.goals and self.design.is_sparse):
            # A sparse engine's time depends on the zeros among the activations.
            run = simulate.run(integer, self.design, self.calibration, formats)
            found["cycles"] = run.result.cycles
            if "energy" in self.goals:
                found["energy"] = simulate.energy_record(run.total.energy)["total_uj"]
        elif "cycles" in self.goals:
            found["cycles"] = sum(time_network(part, self.design, formats).cycles for part in stretches(integer))
        return found

    def stored(self, integer: IntegerNetwork) -> dict[Goal, float]:
        """That of its file."""
        return {"bytes": stored_bytes(integer, FORMATS)} if "bytes" in self.goals else {}


@dataclass(frozen=True)
class Wanted:
    """What a search is to reach: least of `objective`, and of each goal in `limits` at most so much."""

    objective: Goal
    limits: Mapping[Goal, float]

    @property
    def goals(self) -> frozenset[Goal]:
        """What must be priced."""
        return frozenset({self.objective, *self.limits})

    def excess(self, price: Price) -> float:
        """By how much the limits are missed, as a sum of logarithms; 0 if none is."""
        return sum(max(0.0, math.log(price[goal] / limit)) for goal, limit in self.limits.items())

    def saved(self, before: Price, after: Price) -> float:
        """What a step towards the limits, or once they are reached of the objective, is worth."""
        missed = self.excess(before)
        return missed - self.excess(after) if missed else math.log(before[self.objective] / after[self.objective])


def limits(given: Sequence[str], dense: Price) -> dict[Goal, float]:
    """From texts "cycles=9000" or "bytes=0.2x", a part of what the network takes dense. Raises InputError."""
    found: dict[Goal, float] = {}
    for text in given:
        goal, _, value = text.partition("=")
        number: Any = value.removesuffix("x")
        try:
            number = float(number)
        except ValueError:
            number = math.nan
        if goal not in GOALS or not 0 < number < math.inf:
            raise InputError(f"--limit must be {', '.join(GOALS)} = a number above 0, or of dense (0.2x), not {text!r}")
        if goal in found:
            raise InputError(f"--limit must be given once for {goal}, not twice")
        found[goal] = number * dense[goal] if value.endswith("x") else number
    return found
