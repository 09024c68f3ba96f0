"""Entries: what a sparse engine's weights are made of, in DRAM and on chip (docs/formats.md, "Sparse weights").

An entry is three numbers: `last` of its column, a `run` of zeros before it in the column, and a value (int8, or the
index of a codebook entry). Each PE has a list of them, column after column, at least one a column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.timing.kernel import part

LEAST_BITS = 8  # of an entry in DRAM: a word brings one row of entries at most


class Entries(NamedTuple):
    """Rows of entries, (n, C) each: `last` 0 or 1, `run`, and the 8 bits of the value."""

    last: NDArray[np.uint8]
    run: NDArray[np.uint8]
    value: NDArray[np.uint8]


@part
def stored_bits(run_bits: int, value_bits: int) -> int:
    """Bits of an entry in DRAM."""
    return max(LEAST_BITS, 1 + run_bits + value_bits)


@part
def entry_rows(words: int, run_bits: int, value_bits: int) -> int:
    """Rows of entries that come of so many words of the LOAD target."""
    return words * 8 // stored_bits(run_bits, value_bits)


def pack_entries(entries: Entries, run_bits: int, value_bits: int) -> NDArray[np.uint8]:
    """(words, C) bytes as they lie in DRAM: each column a bit stream of entries, filled up with zeros."""
    word = entries.last.astype(np.uint32) | entries.run.astype(np.uint32) << 1
    word |= entries.value.astype(np.uint32) << 1 + run_bits
    bits = stored_bits(run_bits, value_bits)
    planes = (word[:, None, :] >> np.arange(bits, dtype=np.uint32)[:, None]) & 1
    return np.packbits(planes.reshape(-1, word.shape[1]).astype(np.uint8), axis=0, bitorder="little")


def unpack_entries(words: NDArray[np.uint8], run_bits: int, value_bits: int) -> Entries:
    """The rows of entries in (words, C) bytes; bits that make no whole entry are dropped."""
    bits, cols = stored_bits(run_bits, value_bits), words.shape[1]
    rows = entry_rows(len(words), run_bits, value_bits)
    stream = np.unpackbits(words, axis=0, bitorder="little")[: rows * bits].reshape(rows, bits, cols)

    def field(first: int, size: int) -> NDArray[np.uint8]:
        weights = (1 << np.arange(size, dtype=np.uint8)).reshape(-1, 1)
        return (stream[:, first : first + size] * weights).sum(axis=1, dtype=np.uint8)

    return Entries(field(0, 1), field(1, run_bits), field(1 + run_bits, value_bits))
