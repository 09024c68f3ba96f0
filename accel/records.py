"""The record of a channel's requantisation, as DRAM, parameter buffer and hardware have it (docs/formats.md).

A word of the parameter buffer holds P of them, `RECORD_BYTES` each, little-endian.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import ConfigPost, field_bits
from accel.memories import CODE_BITS, RECORD_BYTES


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
TAP = Bits(SHIFT.end, CODE_BITS)  # signed: the last of a filter's taps, whose others are a word of their own
assert TAP.end <= 8 * RECORD_BYTES
TAPS = 9  # of a filter's window, 3 x 3
FILTER_WORDS = 2  # parameter words of a chunk with a filter: records, then taps


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


def pack_filters(records: NDArray[np.uint8], taps: NDArray[np.int8]) -> NDArray[np.uint8]:
    """(n, P, RECORD_BYTES) records of n chunks and their (n, P, 9) taps to parameter words (FILTER_WORDS n, bytes)."""
    chunks, lanes, _ = records.shape
    words = np.zeros((chunks, FILTER_WORDS, lanes, RECORD_BYTES), np.uint8)
    last = taps[:, :, TAPS - 1].astype(np.uint8).astype(np.uint64) << np.uint64(TAP.first)
    first = np.ascontiguousarray(records).view("<u8")[..., 0] | last
    words[:, 0] = first.astype("<u8").view(np.uint8).reshape(chunks, lanes, RECORD_BYTES)
    words[:, 1] = taps[:, :, : TAPS - 1].view(np.uint8)
    return words.reshape(chunks * FILTER_WORDS, lanes * RECORD_BYTES)


def unpack_taps(words: NDArray[np.uint8], lanes: int) -> NDArray[np.int64]:
    """Parameter words (FILTER_WORDS n, bytes) to the (n, P, 9) taps of n chunks."""
    shaped = np.ascontiguousarray(words).reshape(-1, FILTER_WORDS, lanes, RECORD_BYTES)
    last = np.ascontiguousarray(shaped[:, 0]).view("<u8") >> np.uint64(TAP.first)
    first = shaped[:, 1].view(np.int8)
    return np.concatenate([first, last.astype(np.uint8).view(np.int8)], axis=2).astype(np.int64)
