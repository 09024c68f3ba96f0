"""Sparse weights as runs of zeros: relative indices with filler entries.

From Han et al., arXiv 1510.00149, section 2 and figure 2, in the arrangement of EIE (arXiv 1602.01528, section III).

An entry is (run, value): `run` zeros, then `value`. A run has `index_bits` bits; a gap of 2**index_bits zeros or
more takes filler entries, each of which stands for 2**index_bits zeros: a run of 2**index_bits - 1 and the value 0.
(The figure's "diff" is run + 1.) The zeros after the last non-zero weight take no entry.

Scan order. The weights are a matrix (outputs, columns); a convolution's columns are (in_channel, y, x). PE p owns the
outputs n = p (mod PEs) and stores them in one sequence: column by column, and in a column by ascending output:

    position = column * outputs_of(p) + n // PEs

EIE takes one activation (a column) at a time to all PEs, so a column's entries must lie together in each PE. Unlike
EIE's, a run may cross the end of a column, which saves the pointers to columns in the stream. A loader finds them by
adding up runs, and never has to add an entry: the run of the first entry in a column is at least as long as the
gap from the top of the column. With one PE the order is the whole matrix column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.encode.bitstream import DamagedStream
from accel.models.errors import InputError


@dataclass(frozen=True, eq=False)
class Relative:
    """A matrix of `shape` (outputs, columns) in `pes` lanes of entries.

    `runs[p]` (entries,) uint8: the zeros before each entry of PE p; `values[p]` (entries,): 0 in a filler.
    """

    shape: tuple[int, int]
    index_bits: int
    runs: tuple[NDArray[np.uint8], ...]
    values: tuple[NDArray[Any], ...]

    @property
    def pes(self) -> int:
        """The number of lanes."""
        return len(self.runs)

    @property
    def entries(self) -> int:
        """The number of entries with fillers, over all lanes."""
        return sum(len(runs) for runs in self.runs)

    @property
    def fillers(self) -> int:
        """The number of filler entries."""
        return sum(int((values == 0).sum()) for values in self.values)


def scan(matrix: NDArray[Any], pes: int = 1) -> list[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Of each PE, the ascending positions of its non-zero weights in scan order, and the weights."""
    check(1, pes)
    lanes = []
    for pe in range(pes):
        own = matrix[pe::pes].T
        kept = np.ascontiguousarray(own != 0)
        lanes.append((np.flatnonzero(kept), own[kept]))
    return lanes


def gaps(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """The zeros before each of the ascending `positions`."""
    return np.diff(positions, prepend=-1) - 1


def expand(positions: NDArray[np.int64], index_bits: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Runs of all entries, fillers included, and which entries hold the weights at `positions` (ascending).

    Raises InputError if `index_bits` is not 1..8.
    """
    check(index_bits, 1)
    before = gaps(positions)
    slots = np.arange(len(positions)) + np.cumsum(before >> index_bits)
    runs = np.full(int(slots[-1]) + 1 if len(slots) else 0, 2**index_bits - 1, np.uint8)
    runs[slots] = before & (2**index_bits - 1)
    return runs, slots


def encode(matrix: NDArray[Any], index_bits: int, pes: int = 1) -> Relative:
    """The non-zero values of `matrix` (outputs, columns), of any type, as entries in `pes` lanes.

    Raises InputError if `index_bits` is not 1..8 or `pes` not 1..65535.
    """
    return pack(scan(matrix, pes), (matrix.shape[0], matrix.shape[1]), index_bits)


def pack(lanes: Sequence[tuple[NDArray[np.int64], NDArray[Any]]], shape: tuple[int, int], index_bits: int) -> Relative:
    """What `scan` found, or something else at its positions, as entries. Raises InputError as `expand` does."""
    runs, values = [], []
    for positions, weights in lanes:
        lane, slots = expand(positions, index_bits)
        filled = np.zeros(len(lane), weights.dtype)
        filled[slots] = weights
        runs.append(lane)
        values.append(filled)
    return Relative(shape, index_bits, tuple(runs), tuple(values))


def decode(relative: Relative, layer: str = "", lengths_bits: NDArray[np.uint8] | None = None) -> NDArray[Any]:
    """The matrix. The inverse of `encode`.

    `lengths_bits` (2**index_bits,) gives the bits of each run in the stream, for the place of an error; by default
    they are `index_bits`. Raises DamagedStream for entries behind the end of the matrix.
    """
    outputs, columns = relative.shape
    dtype = relative.values[0].dtype if relative.values else np.dtype(np.float32)
    matrix = np.zeros((outputs, columns), dtype)
    for pe, (runs, values) in enumerate(zip(relative.runs, relative.values, strict=True)):
        positions = np.cumsum(runs, dtype=np.int64) + np.arange(len(runs))
        rows = len(range(pe, outputs, relative.pes))
        if len(positions) and positions[-1] >= rows * columns:
            bad = int(np.searchsorted(positions, rows * columns))
            bit = bad * relative.index_bits if lengths_bits is None else int(lengths_bits[runs[:bad]].sum(dtype=int))
            problem = f"entry {bad} must be one of {rows * columns} weights, not {positions[bad]}"
            raise DamagedStream(layer, pe, bit, problem)
        column, row = np.divmod(positions, max(rows, 1))
        matrix.reshape(-1)[(row * relative.pes + pe) * columns + column] = values
    return matrix


def check(index_bits: int, pes: int) -> None:
    """Raise InputError unless `index_bits` is 1..8 and `pes` 1..65535."""
    if index_bits not in range(1, 9):
        raise InputError(f"bits of a relative index must be 1..8, not {index_bits}")
    if pes not in range(1, 65536):
        raise InputError(f"PEs must be 1..65535, not {pes}")
