"""A matrix layer's weights as a sparse engine takes them: lists of entries, whose sizes depend on the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats import choose
from accel.compiler.formats.dense import Dense
from accel.compiler.formats.format import Codes
from accel.compiler.formats.sparse import SparseBlock, best_run_bits, encode
from accel.compiler.geometry import Geometry, Range
from accel.compiler.weights import Arrange, LayerWeights
from accel.design import Design
from accel.entries import stored_bits
from accel.memories import run_bits
from accel.models.integers.network import MatrixLayer


@dataclass(frozen=True)
class SparseWeights(LayerWeights):
    """As `LayerWeights`, with `rows` lanes in a channel group. `format` says what a value is: int8, or an index."""

    most_run_bits: int = 1
    _blocks: dict[object, SparseBlock] = field(default_factory=dict, compare=False, repr=False)
    _sizes: dict[int, NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """For reports."""
        return f"sparse{self.format.bits}" if len(self.format.codebook) else "sparse"

    @property
    def lanes_last(self) -> int:
        """Lanes of the last channel group."""
        return self.geometry.channels - (self.groups - 1) * self.rows

    def columns(self, groups: Range) -> list[int]:
        """Columns of each unit (channel group and kernel position) in the order in which they are broadcast."""
        lanes = [self.lanes_last if g == self.groups - 1 else self.rows for g in range(*groups)]
        return [count for count in lanes for _ in range(self.geometry.taps)]

    @cached_property
    def run_bits(self) -> int:
        """Bits of a run in DRAM."""
        codes, present = self._matrix((0, self.tiles), (0, self.groups))
        return best_run_bits(codes, present, self.cols, self.format.bits, self.most_run_bits)

    def entries(self, tiles: Range, groups: Range) -> SparseBlock:
        """The entries of one COMPUTE."""
        key = (tiles, groups)
        if key not in self._blocks:
            codes, present = self._matrix(tiles, groups)
            self._blocks[key] = encode(codes, present, self.cols, self.run_bits, self.format.bits, self.format.pad_code)
        return self._blocks[key]

    def rows_of(self, tiles: int, groups: int) -> int:
        """Rows of entries of any block of so many tiles and groups, at most."""
        if tiles not in self._sizes:
            self._sizes[tiles] = self._group_sizes(tiles)
        sums = np.cumsum(np.pad(self._sizes[tiles], ((0, 0), (1, 0), (0, 0))), axis=1)
        return int((sums[:, groups:] - sums[:, : sums.shape[1] - groups]).max())

    def _group_sizes(self, tiles: int) -> NDArray[np.int64]:
        """(first tile, channel group, C) entries, at most, of each group in a block of so many tiles."""
        _, present = self._matrix((0, self.tiles), (0, self.groups))
        there = present.reshape(self.tiles, self.cols, -1)
        sums = np.cumsum(np.pad(there, ((1, 0), (0, 0), (0, 0))), axis=0, dtype=np.int32)
        weights = sums[tiles:] - sums[: len(sums) - tiles]  # (first tile, C, columns)
        entries = np.where(weights == 0, 1, weights + ((tiles - weights) >> self.run_bits))
        ends = np.cumsum(self.columns((0, self.groups))).reshape(self.groups, -1)[:, -1]
        return np.add.reduceat(entries, np.concatenate([[0], ends[:-1]]), axis=2).transpose(0, 2, 1).astype(np.int64)

    @property
    def stored_bytes(self) -> int:
        """What lies in DRAM: entries of all PEs as long as the longest, and the codebook."""
        rows = 0
        for low, high in dict.fromkeys(self.reach):
            first, last = self.reach.index((low, high)), self.tiles - self.reach[::-1].index((low, high))
            rows += self.entries((first, last), (low, high)).rows
        return rows * self.cols * stored_bits(self.run_bits, self.format.bits) // 8 + len(self.format.codebook)

    def least_bits(self, needed: int) -> int:
        """An entry for each weight of the layer that is not zero."""
        return int(np.count_nonzero(self.layer.weights)) * stored_bits(self.run_bits, self.format.bits)

    def _matrix(self, tiles: Range, groups: Range) -> tuple[Codes, NDArray[np.bool_]]:
        """(outputs of whole tiles, columns) codes, and which are weights that are not zero."""
        codes = self.codes(tiles, groups)
        shaped = codes.reshape(len(codes), groups[1] - groups[0], self.rows, -1).transpose(0, 1, 3, 2)
        if groups[1] == self.groups:
            before = shaped[:, :-1].reshape(len(codes), -1)
            flat = np.concatenate([before, shaped[:, -1, :, : self.lanes_last].reshape(len(codes), -1)], axis=1)
        else:
            flat = shaped.reshape(len(codes), -1)
        book = self.format.codebook
        present = (book != 0)[flat] if len(book) else flat != 0
        present[max(0, self.outputs - tiles[0] * self.cols) :] = False
        return np.ascontiguousarray(flat), present


def sparse_weights(
    layer: MatrixLayer, geometry: Geometry, design: Design, arrange: Arrange | None, as_dense: bool
) -> SparseWeights:
    """The weights of a layer; `as_dense`: as int8 whatever they are. A layer with groups needs weights of 0."""
    made = Dense(layer) if as_dense else choose(layer, needs_zero=layer.groups > 1)
    return SparseWeights(
        layer, made, geometry, design.word_lanes, design.cols, 1, arrange, most_run_bits=run_bits(design)
    )
