"""The plan: where each tensor lies, and how each step runs. What `memory_plan` makes and `write` follows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry
from accel.compiler.step import Step
from accel.layout import WordTensor


@dataclass(frozen=True)
class Region:
    """Words of an activation bank."""

    bank: int
    word: int
    words: int

    def __str__(self) -> str:
        return f"bank {self.bank} words {self.word}..{self.word + self.words - 1}"


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its layout, its words on chip (None if spilled), its offset in the data segment."""

    layout: WordTensor
    region: Region | None
    dram: int | None

    def __str__(self) -> str:
        chip = str(self.region) if self.region else "not on chip"
        return chip if self.dram is None else f"{chip}, DRAM +{self.dram}"


@dataclass(frozen=True)
class StepPlan:
    """How a step runs. `flat`: pixels are taken as one row (`geometry` already is).

    `task` and `tiling` are of the types of the step's own lowering. `follows`: it is written piece by piece behind the
    blocks of the step before.
    """

    machine: Machine
    step: Step
    geometry: Geometry
    flat: bool
    task: Any
    tiling: Any
    in_ring: Region | None
    out_ring: Region | None
    follows: bool = False

    def __str__(self) -> str:
        rings = "".join(
            f"\n  {name} through {ring}" for name, ring in (("input", self.in_ring), ("output", self.out_ring)) if ring
        )
        notes = ("; flat" if self.flat else "") + ("; follows" if self.follows else "")
        return f"{self.step.index} {self.step.name}: {self.tiling}{notes}{rings}"


@dataclass(frozen=True)
class Chain:
    """Steps `first`, `first` + 1 and perhaps one more that run strip by strip; the second one is depthwise.

    `rows` of its output in a strip. What is between the steps lies on chip for a while only: some channel groups of the
    first one's strip in `made`, all of a strip of the depthwise output in one of `kept` (none if that is the end).
    """

    first: int
    count: int
    rows: int
    made: Region
    kept: tuple[Region, ...]

    def __str__(self) -> str:
        kept = ", ".join(map(str, self.kept))
        through = f"{self.made}; {kept}" if kept else str(self.made)
        return f"steps {self.first}..{self.first + self.count - 1} by strips of {self.rows} rows through {through}"


@dataclass(frozen=True)
class Span:
    """Bytes of the data segment that hold inputs of the network (with what is joined to them), or outputs."""

    first: int
    bytes: int
    of_input: bool


@dataclass(frozen=True)
class Plan:
    """Places of all tensors, plans of all steps, the size of the data segment, and where in it the network's ends lie.

    `joined`: an output lies in one tensor with an input, so that they cannot be moved apart. The estimate of a chain
    stands with its first step.
    """

    places: dict[str, Place]
    steps: list[StepPlan]
    data_bytes: int
    ends: tuple[Span, ...] = ()
    joined: bool = False
    chains: tuple[Chain, ...] = ()

    def cost(self, names: Collection[str] | None = None) -> float:
        """Estimated cycles of all steps, or of those named."""
        return sum(plan.tiling.cost for plan in self.steps if names is None or plan.step.name in names)

    def __str__(self) -> str:
        places = [f"{name}: {place}" for name, place in self.places.items()]
        return "\n".join(
            [*places, *map(str, self.steps), *map(str, self.chains), f"data segment: {self.data_bytes:,} bytes"]
        )
