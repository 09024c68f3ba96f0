"""What the host runs before and after the accelerator, where a network has parts that the accelerator does not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from accel.models.errors import Blocker

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class HostPart:
    """Nodes that the host runs on floats, at one end of the network.

    `nodes` are their names and operators, `macs` their multiplications for one input, `values` how many values cross
    to or from the accelerator, a byte each. `run` takes an array (n, ...) and gives the outputs, each (n, ...).
    """

    nodes: tuple[str, ...]
    macs: int
    values: int
    run: Callable[[Array], list[Array]]


@dataclass(frozen=True, eq=False)
class Host:
    """Both ends of a network, None where there is nothing to do; `reasons`: what the accelerator does not run.

    `input_shape` is that of the whole network's input, without the batch, `macs` are those of the whole network.
    """

    head: HostPart | None
    tail: HostPart | None
    reasons: tuple[Blocker, ...]
    input_shape: tuple[int, ...]
    macs: int

    @property
    def parts(self) -> tuple[tuple[str, HostPart], ...]:
        """Those that are there, with the words for where they stand."""
        both = (("before", self.head), ("after", self.tail))
        return tuple((where, part) for where, part in both if part is not None)
