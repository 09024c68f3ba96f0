"""What the host runs before, between and after the accelerator's stretches of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from accel.models.errors import Blocker

Array = NDArray[Any]
Shape = tuple[int, ...]


class Run(Protocol):
    """A part of a network as a function from tensors, (n, ...) each, to others.

    `model` is it as an ONNX file, whose inputs have the shapes `shapes`, a batch in front.
    """

    @property
    def model(self) -> bytes: ...  # noqa: D102
    @property
    def shapes(self) -> tuple[Shape, ...]: ...  # noqa: D102
    def __call__(self, given: Sequence[Array], /) -> list[Array]: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class HostPart:
    """Nodes that the host runs on floats, at one end of the network.

    `nodes` are their names and operators, `macs` their multiplications for one input, `values` how many values cross
    to or from the accelerator, a byte each. `run` takes the tensors at the cut, (n, ...) each, and gives the others; a
    tail that `reads_input` takes the network's input behind them.
    """

    nodes: tuple[str, ...]
    macs: int
    values: int
    run: Run
    reads_input: bool = False


@dataclass(frozen=True, eq=False)
class HostStep:
    """Nodes that the host runs on floats between two stretches: a layer with any number of inputs.

    `shapes` are those of the inputs, `shape` that of the output, without the batch; `nodes`, `macs` and `run` as of a
    HostPart.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    shapes: tuple[Shape, ...]
    shape: Shape
    nodes: tuple[str, ...]
    macs: int
    run: Run

    @property
    def values(self) -> int:
        """How many values cross from the accelerator and back, a byte each."""
        return sum(map(math.prod, self.shapes)) + math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Host:
    """Both ends of a network, None where there is nothing to do, and the steps `between` stretches.

    `reasons`: what the accelerator does not run. `input_shape` is that of the whole network's input, without the batch,
    `macs` are those of the whole network.
    """

    head: HostPart | None
    tail: HostPart | None
    reasons: tuple[Blocker, ...]
    input_shape: Shape
    macs: int
    between: tuple[HostStep, ...] = ()

    @property
    def parts(self) -> tuple[tuple[str, HostPart | HostStep], ...]:
        """Those that are there, with the words for where they stand."""
        all_parts = (("before", self.head), *(("between stretches of", x) for x in self.between), ("after", self.tail))
        return tuple((where, part) for where, part in all_parts if part is not None)
