"""A format whose words come out of the decoder: the plain format's codes as a stream of code words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.format import Codes, WeightFormat


@dataclass(frozen=True)
class Coded:
    """The codes of `plain`, which are what lies in the weight buffer, coded in DRAM (`accel.entropy`)."""

    plain: WeightFormat
    coded: bool = True

    @property
    def name(self) -> str:
        """For reports, as long as nobody has encoded it."""
        first, *rest = self.plain.name.split(" ")
        return " ".join([f"{first}+huffman", *rest])

    @property
    def bits(self) -> int:
        """Bits of a code in the weight buffer."""
        return self.plain.bits

    @property
    def codebook(self) -> NDArray[np.int8]:
        """The plain format's."""
        return self.plain.codebook

    @property
    def pad_code(self) -> int:
        """The plain format's: what runs stand for."""
        return self.plain.pad_code

    @property
    def has_zero(self) -> bool:
        """As the plain format."""
        return self.plain.has_zero

    @cached_property
    def _codes(self) -> Codes:
        """Of several codes for one weight, the first only."""
        codes = self.plain.codes()
        if not len(self.codebook):
            return codes
        _, first, which = np.unique(self.codebook, return_index=True, return_inverse=True)
        return first[which].astype(np.uint8)[codes]

    def codes(self) -> Codes:
        """The layer's codes."""
        return self._codes
