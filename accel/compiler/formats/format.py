"""What the compiler asks of a weight format."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Rows = NDArray[np.unsignedinteger[Any]]


class WeightFormat(Protocol):
    """The weights of one layer in one format.

    `bits` of a code; `codebook`, int8, what codes are looked up in (empty: they are the weights); `pad_code`, the code
    nearest to 0, which fills unused rows and columns; `has_zero`, whether that is a weight of 0. `coded`: in DRAM lies
    a stream that the decoder makes the words of.
    """

    @property
    def coded(self) -> bool:
        """Whether the words come out of the decoder."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def bits(self) -> int:
        """Bits of a code."""

    @property
    def codebook(self) -> NDArray[np.int8]:
        """Entries in the order of their codes."""

    @property
    def pad_code(self) -> int:
        """The code nearest to 0."""

    @property
    def has_zero(self) -> bool:
        """Whether a weight of 0 can be written."""

    def codes(self) -> Codes:
        """The layer's codes, in the shape of its weights."""
