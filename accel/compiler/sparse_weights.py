"""A matrix layer's weights as a sparse engine takes them: lists of entries, whose sizes depend on the weights."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.compiler.formats.format import Codes
from accel.compiler.formats.sparse import SparseBlock, best_run_bits, by_pe, encode
from accel.compiler.geometry import Geometry, Range
from accel.compiler.weights import Arrange, Chunk, LayerWeights, layer_weights
from accel.design import Design
from accel.entries import stored_bits
from accel.entropy.encode import Encoded
from accel.entropy.encode_lists import Lists, encode_lists
from accel.entropy.lists import CodedLists
from accel.memories import run_bits
from accel.models.integers.network import MatrixLayer

LITERAL_DENSITY = 0.9  # of coded weights, from which on runs say values, zeros among them


@dataclass(frozen=True)
class SparseWeights(LayerWeights):
    """As `LayerWeights`, with `rows` lanes in a channel group. `format` says what a value is: int8, or an index."""

    most_run_bits: int = 1
    _blocks: dict[object, SparseBlock] = field(default_factory=dict, compare=False, repr=False)
    _sizes: dict[int, NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """For reports."""
        plain = f"sparse{self.format.bits}" if len(self.format.codebook) else "sparse"
        return f"{plain}+huffman" if self.format.coded else plain

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
        """Bits of a run in DRAM; of coded weights on chip, where they cost nothing."""
        if self.format.coded:
            return self.most_run_bits
        codes, present = self._matrix((0, self.tiles), (0, self.groups))
        return best_run_bits(codes, present, self.cols, self.format.bits, self.most_run_bits)

    def entries(self, tiles: Range, groups: Range) -> SparseBlock:
        """The entries of one COMPUTE."""
        key = (tiles, groups)
        if key not in self._blocks:
            codes, present = self._matrix(tiles, groups)
            self._blocks[key] = encode(codes, present, self.cols, self.run_bits, self.format.bits, self.format.pad_code)
        return self._blocks[key]

    @cached_property
    def literal(self) -> bool:
        """Whether runs of coded weights say values: then zeros have entries as well."""
        dense = np.count_nonzero(self.layer.weights) > LITERAL_DENSITY * self.layer.weights.size
        return self.format.coded and self.layer.groups == 1 and bool(dense)

    def encoded(self, streams: tuple[tuple[Chunk, ...], ...], lanes: int, beat_bytes: int) -> Encoded | None:
        """Streams of blocks, each the entries of one COMPUTE, as the decoder reads them; None if that cannot be."""
        key = streams, lanes, beat_bytes
        if key not in self._encoded:
            first = CodedLists(
                lanes, self.cols, beat_bytes, 1, 1, self.run_bits, 1, self.literal, self.format.pad_code,
                self.format.bits, (b"", b""),
            )  # fmt: skip
            lists = [[self._lists(*chunk) for chunk in chunks] for chunks in streams]
            self._encoded[key] = encode_lists(lists, first)
        return self._encoded[key]

    def coded_fields(self, tiles: Range, groups: Range) -> dict[str, int]:
        """Fields of a coded LOAD of a block, but for where its pointers lie."""
        return {
            "run": self.run_bits, "step": tiles[1] - tiles[0], "row_words": sum(self.columns(groups)),
            "dram_pitch": self.entries(tiles, groups).rows,
        }  # fmt: skip

    def _lists(self, tiles: Range, groups: Range) -> Lists:
        return Lists(*by_pe(*self._matrix(tiles, groups), self.cols), self.entries(tiles, groups).rows)

    def rows_of(self, tiles: int, groups: int) -> int:
        """Rows of entries of any block of so many tiles and groups, at most."""
        if tiles not in self._sizes:
            self._sizes[tiles] = np.cumsum(np.pad(self._group_sizes(tiles), ((0, 0), (1, 0), (0, 0))), axis=1)
        sums = self._sizes[tiles]
        return int((sums[:, groups:] - sums[:, : sums.shape[1] - groups]).max())

    def _group_sizes(self, tiles: int) -> NDArray[np.int64]:
        """(first tile, channel group, C) entries, at most, of each group in a block of so many tiles."""
        sums = self._present_before
        weights = sums[tiles:] - sums[: len(sums) - tiles]  # (first tile, C, columns)
        entries = np.where(weights == 0, 1, weights + ((tiles - weights) >> self.run_bits))
        ends = np.cumsum(self.columns((0, self.groups))).reshape(self.groups, -1)[:, -1]
        return np.add.reduceat(entries, np.concatenate([[0], ends[:-1]]), axis=2, dtype=np.int64).transpose(0, 2, 1)

    @cached_property
    def _present_before(self) -> NDArray[np.unsignedinteger]:
        """(tiles + 1, C, columns) weights that need an entry in the tiles before each: as many as tiles at most."""
        _, present = self._matrix((0, self.tiles), (0, self.groups))
        there = present.reshape(self.tiles, self.cols, -1)
        return np.cumsum(np.pad(there, ((1, 0), (0, 0), (0, 0))), axis=0, dtype=np.min_scalar_type(self.tiles))

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
        """(outputs of whole tiles, columns) codes, and which are weights that need an entry."""
        codes = self.codes(tiles, groups)
        shaped = codes.reshape(len(codes), groups[1] - groups[0], self.rows, -1).transpose(0, 1, 3, 2)
        if groups[1] == self.groups:
            before = shaped[:, :-1].reshape(len(codes), -1)
            flat = np.concatenate([before, shaped[:, -1, :, : self.lanes_last].reshape(len(codes), -1)], axis=1)
        else:
            flat = shaped.reshape(len(codes), -1)
        book = self.format.codebook
        present = (book != 0)[flat] if len(book) else flat != 0
        present |= self.literal
        present[max(0, self.outputs - tiles[0] * self.cols) :] = False
        return np.ascontiguousarray(flat), present


def sparse_weights(
    layer: MatrixLayer, geometry: Geometry, design: Design, arrange: Arrange | None, as_dense: bool,
    lanes: tuple[int, ...] | None = None, made: int = 0,
) -> SparseWeights:  # fmt: skip
    """The weights of a layer, as `accel.compiler.weights.layer_weights`."""
    usual = layer_weights(layer, geometry, design.word_lanes, design.cols, 1, arrange, as_dense, lanes=lanes, made=made)
    values = {f.name: getattr(usual, f.name) for f in fields(usual)}
    return SparseWeights(**values, most_run_bits=run_bits(design))
