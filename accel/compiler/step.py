"""A step: a layer as the compiler runs it, with the pooling that is fused into it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from accel.compiler.geometry import Geometry
from accel.compiler.parts import Part
from accel.compiler.placement import Spot
from accel.models.integers.network import IntegerNetwork, Layer, MatrixLayer, Requantise, VectorLayer
from accel.models.integers.stretches import read_by


@dataclass(frozen=True)
class OnArray(MatrixLayer):
    """A layer that stays on the array though another unit could run it: its input's channels lie in other lanes."""

    @classmethod
    def of(cls, layer: MatrixLayer) -> OnArray:
        """The same layer."""
        return cls(**{f.name: getattr(layer, f.name) for f in fields(layer)})


KIND_OF: dict[type[Layer], str] = {MatrixLayer: "matrix", OnArray: "matrix", VectorLayer: "vector"}
"""Kinds of step, by the class of their layers, for `accel.compiler.lower.table.kind`."""


@dataclass(frozen=True)
class Step:
    """A layer, with the pooling layer that is fused into it. `requantise` has both layers' clip limits.

    `source`, `target` and `added`: where its input, its output and its residual operand lie. `part`: which part of a
    layer of the network this is, and where it writes.
    """

    index: int
    layer: Layer
    pool: VectorLayer | None
    geometry: Geometry
    requantise: Requantise
    output: str
    source: Spot
    target: Spot
    added: Spot | None
    part: Part | None = None

    @property
    def of(self) -> str:
        """The name of the network's layer."""
        return self.part.of.name if self.part else self.name

    def skips(self, streamed: bool) -> int:
        """Rows from one that is loaded to the next: those that no kernel reads stay in DRAM if the input is there."""
        return self.geometry.skips if streamed else 1

    @property
    def completes(self) -> bool:
        """Whether its output is complete with it."""
        return self.part is None or self.part.last

    @property
    def kind(self) -> str:
        """That of its layer's class."""
        return KIND_OF[type(self.layer)]

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def input(self) -> str:
        """The tensor that it reads."""
        return self.layer.input

    @property
    def residual(self) -> str | None:
        """The tensor that it adds."""
        return self.layer.residual.tensor if self.layer.residual else None

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that it reads, each once."""
        return tuple(dict.fromkeys(read_by(self.layer)))

    @property
    def spots(self) -> dict[str, Spot]:
        """Where the tensors lie that it reads and writes."""
        found = {self.input: self.source, self.output: self.target}
        if self.residual and self.added:
            found[self.residual] = self.added
        return found

    def __str__(self) -> str:
        fused = f" + {self.pool.name}" if self.pool else ""
        added = f" + {self.residual}" if self.residual else ""
        where = f" ({self.part})" if self.part else ""
        reads = f"{self.index} {self.kind} {self.name}{fused}: {self.input}{added}"
        return f"{reads} -> {self.output}{where}; {self.geometry}"


def one_pixel(step: Step, network: IntegerNetwork) -> bool:
    """Whether the residual operand of a step is one pixel for several of the output."""
    if step.residual is None:
        return False
    return network.tensors[step.residual].shape[1:] == (1, 1) != network.tensors[step.output].shape[1:]
