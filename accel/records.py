"""The record of a channel's requantisation, as DRAM, parameter buffer and hardware have it (docs/formats.md).

A word of the parameter buffer holds P of them, `RECORD_BYTES` each, little-endian.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import ConfigPost, field_bits
from accel.memories import RECORD_BYTES


class Bits(NamedTuple):
    """Where a field of the record lies."""

    first: int
    bits: int

    @property
    def end(self) -> int:
        """The bit after its last."""
        return self.first + self.bits


# As wide as the fields of the record that all channels share (`uniform`).
BIAS = Bits(0, field_bits(ConfigPost, "uniform_bias"))  # signed
MULTIPLIER = Bits(BIAS.end, field_bits(ConfigPost, "uniform_multiplier"))
SHIFT = Bits(MULTIPLIER.end, field_bits(ConfigPost, "uniform_shift"))
assert SHIFT.end <= 8 * RECORD_BYTES


def pack_records(bias: NDArray, multiplier: NDArray, shift: NDArray) -> NDArray[np.uint8]:
    """(n,) biases, multipliers and shifts to (n, RECORD_BYTES) records. Raises ValueError for what is too wide."""
    word = np.zeros(len(bias), np.uint64)
    for field, numbers, signed in ((BIAS, bias, 1), (MULTIPLIER, multiplier, 0), (SHIFT, shift, 0)):
        wide, low = numbers.astype(np.int64), -(signed << field.bits - 1)
        if np.any((wide < low) | (wide >= low + (1 << field.bits))):
            raise ValueError(f"a field of {field.bits} bits must be {low}..{low + (1 << field.bits) - 1}, not {wide}")
        word |= (wide & (1 << field.bits) - 1).astype(np.uint64) << np.uint64(field.first)
    return word.astype("<u8").view(np.uint8).reshape(-1, RECORD_BYTES)


def unpack_records(words: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(..., n * RECORD_BYTES) bytes to biases, multipliers and shifts (..., n)."""
    word = np.ascontiguousarray(words).view("<u8")
    bias, multiplier, shift = (
        (word >> np.uint64(field.first) & np.uint64((1 << field.bits) - 1)).astype(np.int64)
        for field in (BIAS, MULTIPLIER, SHIFT)
    )
    return np.where(bias >> BIAS.bits - 1, bias - (1 << BIAS.bits), bias), multiplier, shift
