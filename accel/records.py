"""The record of a channel's requantisation, as DRAM, parameter buffer and hardware have it (docs/formats.md).

A word of the parameter buffer holds P of them, `RECORD_BYTES` each, little-endian.
"""

from __future__ import annotations

from itertools import product
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
TAPS = 9  # of a filter's window of 3 x 3


# A filter is a number, the field of `Post`: 1 of 3 x 3, 2 of 5 x 5. (Compiled as well: `accel.timing.post`.)


def filter_side(number: int) -> int:
    """Rows and columns of a window."""
    return 2 * number + 1


def filter_number(side: int) -> int:
    """The filter whose windows have so many rows and columns."""
    return side // 2


def filter_words(number: int) -> int:
    """Parameter words of a chunk: records, then taps."""
    return 2 * number


def filter_parts(number: int) -> int:
    """How many times nine elements a window takes of its multipliers: 3 x 3 one, 5 x 5 (16 more) two more."""
    return 2 * number - 1


def filter_passes(multipliers: int, number: int) -> int:
    """Cycles in which so many multipliers weigh a window."""
    return TAPS // multipliers * filter_parts(number)


def filter_places(side: int) -> list[tuple[int, int]]:
    """(row, column) of the taps of a window in their order: its lower right 3 x 3, then the others, row by row."""
    places = list(product(range(side), range(side)))
    inner = [(y, x) for y, x in places if min(y, x) >= side - 3]
    return inner + [place for place in places if place not in inner]


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
    """(n, P, RECORD_BYTES) records of n chunks and their (n, P, side, side) taps to parameter words (words, bytes)."""
    (chunks, lanes, _), side = records.shape, taps.shape[-1]
    words = np.zeros((chunks, filter_words(filter_number(side)), lanes, RECORD_BYTES), np.uint8)
    rows, cols = zip(*filter_places(side), strict=True)
    ordered = np.ascontiguousarray(taps[:, :, rows, cols]).view(np.uint8)
    last = ordered[:, :, TAPS - 1].astype(np.uint64) << np.uint64(TAP.first)
    first = np.ascontiguousarray(records).view("<u8")[..., 0] | last
    words[:, 0] = first.astype("<u8").view(np.uint8).reshape(chunks, lanes, RECORD_BYTES)
    others = np.delete(ordered, TAPS - 1, axis=2).reshape(chunks, lanes, -1, RECORD_BYTES)
    words[:, 1:] = others.transpose(0, 2, 1, 3)
    return words.reshape(-1, lanes * RECORD_BYTES)


def unpack_taps(words: NDArray[np.uint8], lanes: int, number: int) -> NDArray[np.int64]:
    """Parameter words of filters of this number to the (n, P, side, side) taps of n chunks."""
    shaped = np.ascontiguousarray(words).reshape(-1, filter_words(number), lanes, RECORD_BYTES)
    last = (np.ascontiguousarray(shaped[:, 0]).view("<u8") >> np.uint64(TAP.first)).astype(np.uint8)
    others = shaped[:, 1:].transpose(0, 2, 1, 3).reshape(len(shaped), lanes, -1)
    ordered = np.insert(others, [TAPS - 1], last, axis=2).view(np.int8)
    side = filter_side(number)
    taps = np.zeros((len(shaped), lanes, side, side), np.int64)
    rows, cols = zip(*filter_places(side), strict=True)
    taps[:, :, rows, cols] = ordered
    return taps
