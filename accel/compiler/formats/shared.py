"""Codebook indices of 1 to 8 bits: each column of the array is a bit stream (`accel.layout.pack_weight_columns`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.format import Codes
from accel.models.integers.network import MatrixLayer
from accel.models.integers.network import Shared as Sharing


@dataclass(frozen=True)
class Shared:
    """The indices of a layer into its codebook."""

    sharing: Sharing
    coded: bool = False

    @property
    def name(self) -> str:
        """For reports."""
        return f"shared{self.bits}"

    @property
    def bits(self) -> int:
        """Bits of an index."""
        return self.sharing.bits

    @property
    def codebook(self) -> NDArray[np.int8]:
        """2**bits entries."""
        return self.sharing.codebook

    @property
    def pad_code(self) -> int:
        """The index of the entry nearest to 0."""
        return int(np.abs(self.codebook.astype(np.int16)).argmin())

    @property
    def has_zero(self) -> bool:
        """Whether the codebook has a 0."""
        return 0 in self.codebook

    def codes(self) -> Codes:
        """The indices."""
        return self.sharing.indices


def shared(layer: MatrixLayer) -> Shared | None:
    """A layer with a codebook."""
    return Shared(layer.shared) if layer.shared else None
