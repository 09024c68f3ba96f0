"""Entries (last, run, value) for the PEs of a sparse engine: EIE's relative indices, made anew in each column.

PE p owns the outputs n = p (mod C), tile n div C. Its list has the columns of a block one after the other, each with
its weights that are not zero in the order of the tiles: `run` zeros before one, fillers (the longest run, value 0)
where there are more, and one entry of value 0 for a column without weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.format import Codes
from accel.entries import Entries, entry_rows, pack_entries, stored_bits

CYCLE_BITS = 4


@dataclass(frozen=True)
class SparseBlock:
    """The entries of a block: `lengths` (columns, C) of them in each column of each PE; `entries` (rows, C)."""

    lengths: NDArray[np.int64]
    entries: Entries
    run_bits: int
    value_bits: int

    @property
    def rows(self) -> int:
        """Entries of the PE that has most."""
        return len(self.entries.last)

    @cached_property
    def words(self) -> int:
        """Words of C bytes in DRAM."""
        return -(-self.rows * stored_bits(self.run_bits, self.value_bits) // 8)

    def written(self, words: int) -> int:
        """Rows that are written when `words` words are loaded: those of whole beats may hold one more."""
        return entry_rows(words, self.run_bits, self.value_bits)

    def pack(self) -> Codes:
        """(words, C) as they lie in DRAM."""
        return pack_entries(self.entries, self.run_bits, self.value_bits)


def by_pe(codes: Codes, present: NDArray[np.bool_], cols: int) -> tuple[Codes, NDArray[np.bool_]]:
    """(tiles * C, columns) codes, and which weights are not zero, as (C, columns, tiles)."""
    shape = (len(codes) // cols, cols, codes.shape[1])
    return tuple(np.ascontiguousarray(a.reshape(shape).transpose(1, 2, 0)) for a in (codes, present))  # type: ignore[return-value]


def encode(
    codes: Codes, present: NDArray[np.bool_], cols: int, run_bits: int, value_bits: int, zero: int
) -> SparseBlock:
    """The entries of (tiles * C, columns) codes where `present`; `zero` is the code of 0."""
    values, there = by_pe(codes, present, cols)
    columns = there.shape[1]
    pe, column, tile = np.nonzero(there)
    key = pe * columns + column
    gaps = _gaps(key, tile)
    each = (gaps >> run_bits) + 1
    counts = np.bincount(key, each, cols * columns).astype(np.int64)
    empty = counts == 0
    counts[empty] = 1
    starts = np.cumsum(counts) - counts
    ends = np.cumsum(each)
    begins = np.searchsorted(key, np.arange(cols * columns))  # the first weight of each column
    before = np.concatenate([[0], ends])[begins]
    place = starts[key] + ends - before[key] - 1
    total = int(counts.sum())
    run, value = np.full(total, (1 << run_bits) - 1, np.uint8), np.full(total, zero, np.uint8)
    last = np.zeros(total, np.uint8)
    run[place], value[place] = gaps & (1 << run_bits) - 1, values[pe, column, tile]
    run[starts[empty]] = 0
    last[starts + counts - 1] = 1
    lengths = counts.reshape(cols, columns)
    sizes = lengths.sum(axis=1)
    owner = np.repeat(np.arange(cols), sizes)
    row = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    made = Entries(*(np.zeros((int(sizes.max()), cols), np.uint8) for _ in range(3)))
    for target, flat in zip(made, (last, run, value), strict=True):
        target[row, owner] = flat
    return SparseBlock(np.ascontiguousarray(lengths.T), made, run_bits, value_bits)


def best_run_bits(codes: Codes, present: NDArray[np.bool_], cols: int, value_bits: int, most: int) -> int:
    """The bits of a run with which all columns cost least; of equal ones, the most.

    An entry costs its bits, and CYCLE_BITS for the cycle that it takes, in the PE and from the memory alike.
    """
    _, there = by_pe(codes, present, cols)
    columns = there.shape[1]
    pe, column, tile = np.nonzero(there)
    gaps = _gaps(pe * columns + column, tile)
    empty = int((~there.any(axis=2)).sum())

    def size(bits: int) -> int:
        return (int((gaps >> bits).sum()) + len(gaps) + empty) * (stored_bits(bits, value_bits) + CYCLE_BITS)

    return min(range(most, 0, -1), key=size)


def _gaps(key: NDArray[np.int64], tile: NDArray[np.int64]) -> NDArray[np.int64]:
    """Zeros before each weight in its column; weights in the order of columns and tiles."""
    same = np.concatenate([[False], key[1:] == key[:-1]])[: len(key)]
    before = np.concatenate([[-1], tile[:-1]])[: len(tile)]
    return tile - np.where(same, before, -1) - 1
