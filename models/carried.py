"""What a quantised file says of its own numbers: scales of activations, and codes of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spec = tuple[float, int]  # scale and zero point of an int8 tensor
Codes = tuple[NDArray[np.int8], NDArray[np.float64]]  # codes (outputs, ...) and a scale for each output


@dataclass(frozen=True, eq=False)
class Carried:
    """Scale and zero point by float tensor, and codes with their scales by layer."""

    specs: Mapping[str, Spec] = field(default_factory=dict)
    codes: Mapping[str, Codes] = field(default_factory=dict)


def along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """One number, or one for each place of `axis`, in a shape that broadcasts over `rank` dimensions."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)
