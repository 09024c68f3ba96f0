"""int8 weights as they are: a word of the weight buffer is a row of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.format import Codes
from accel.models.integers.network import MatrixLayer

NO_CODEBOOK = np.zeros(0, np.int8)


@dataclass(frozen=True)
class Dense:
    """The weights of `layer` as int8."""

    layer: MatrixLayer
    bits: int = 8
    pad_code: int = 0
    has_zero: bool = True
    coded: bool = False

    @property
    def name(self) -> str:
        """For reports; a layer with a codebook that could not be used says so."""
        return "dense (no 0 in its codebook)" if self.layer.shared else "dense"

    @property
    def codebook(self) -> NDArray[np.int8]:
        """None."""
        return NO_CODEBOOK

    def codes(self) -> Codes:
        """The weights' own bytes."""
        return self.layer.weights.view(np.uint8)


def dense(layer: MatrixLayer) -> Dense:
    """Any layer."""
    return Dense(layer)
