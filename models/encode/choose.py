"""Which format and which width of runs take the fewest bits: exact sizes from counts, without encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel.models.encode import huffman, relative

FLOAT_BITS = 32
INT8_BITS = 8
# Stored bits of a code length.
LENGTH_BITS = 4


@dataclass(frozen=True, eq=False)
class Gaps:
    """`counts[i]` weights have `zeros[i]` zeros before them."""

    zeros: NDArray[np.int64]
    counts: NDArray[np.int64]


def gaps_of(lanes: Sequence[NDArray[np.int64]]) -> Gaps:
    """The gaps between ascending positions of non-zero weights, over all lanes."""
    every = [relative.gaps(positions) for positions in lanes]
    return Gaps(*np.unique(np.concatenate(every) if every else np.empty(0, np.int64), return_counts=True))


def index_width(entries: int, number_bits: int = FLOAT_BITS) -> int:
    """Bits of an index into a codebook of so many entries: at least 1; `number_bits` without a codebook."""
    return max((entries - 1).bit_length(), 1) if entries else number_bits


def codebook_pays(entries: int, values: int, number_bits: int = FLOAT_BITS) -> bool:
    """Whether a codebook of so many `entries` takes fewer bits than it saves on so many `values`."""
    return entries > 0 and number_bits * entries + index_width(entries) * values < number_bits * values


def coded_bits(counts: NDArray[np.int64], limit_bits: int) -> int:
    """Bits of a Huffman-coded stream of symbols that occur `counts` times, with its code table."""
    return int(counts @ huffman.code_lengths(counts, limit_bits).astype(np.int64)) + LENGTH_BITS * len(counts)


def run_counts(gaps: Gaps, index_bits: int) -> NDArray[np.int64]:
    """How often each run (2**index_bits,) occurs, those of fillers included."""
    counts = np.zeros(2**index_bits, np.int64)
    np.add.at(counts, gaps.zeros & (2**index_bits - 1), gaps.counts)
    counts[-1] += int(gaps.counts @ (gaps.zeros >> index_bits))
    return counts


def best_index_bits(gaps: Gaps, value_bits: int, coded: bool) -> int:
    """The width of runs, 1..8, with the fewest bits, for values of `value_bits` and runs `coded` by Huffman or not."""
    sizes = []
    for bits in range(1, 9):
        counts = run_counts(gaps, bits)
        entries = int(counts.sum())
        runs = coded_bits(counts, huffman.LONGEST_BITS) if coded else bits * entries
        sizes.append(runs + value_bits * entries)
    return 1 + int(np.argmin(sizes))


def sizes_bits(
    values: NDArray[np.int64],
    weights: int,
    nonzeros: int,
    gaps: Gaps | None,
    widths: Sequence[int],
    limit_bits: int,
    number_bits: int = FLOAT_BITS,
) -> dict[str, int]:
    """The bits of each format that a layer of so many `weights` can have, without headers and filling of bytes.

    `values` (codebook entries,) counts each value among all weights, entry 0 the zeros if there are zeros; empty if
    there is no codebook. `widths` are the bits of runs for "sparse" and "sparse+huffman"; without `gaps` these two
    are left out. `number_bits` is the width of weights and entries of the codebook.
    """
    width = index_width(len(values))
    book = number_bits * len(values)
    sizes = {"dense": number_bits * weights}
    if len(values):
        sizes["shared"] = book + width * weights
        sizes["shared+huffman"] = book + coded_bits(_padded(values), limit_bits)
    if gaps is None:
        return sizes
    for name, bits in zip(("sparse", "sparse+huffman"), widths, strict=True):
        runs = run_counts(gaps, bits)
        entries = int(runs.sum())
        stored = values.copy()
        if nonzeros < weights and len(values):
            stored[0] = entries - nonzeros
        coded = name.endswith("+huffman")
        size = coded_bits(runs, limit_bits) if coded else bits * entries
        if not codebook_pays(len(values), entries, number_bits):
            size += number_bits * entries
        else:
            size += book + (coded_bits(_padded(stored), limit_bits) if coded else width * entries)
        sizes[name] = size
    return sizes


def _padded(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of all 2**b indices."""
    return np.pad(counts, (0, 2 ** index_width(len(counts)) - len(counts)))
