"""Weights that all fit the buffer, for patches that use different parts of them at once: each has a place of its own.

The words of an output tile lie one after the other, channel group after channel group. So a COMPUTE may use any run of
groups of a tile, or whole tiles, whatever was loaded together; a LOAD brings a rectangle of tiles and groups, a row a
tile, when the first COMPUTE asks for some of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from accel.compiler.estimate import Machine
from accel.compiler.geometry import Range
from accel.compiler.lower.constants import Constants
from accel.compiler.ops import Stream
from accel.compiler.transfers import load_rows, load_words
from accel.compiler.weights import Chunk, LayerWeights, parameter_words
from accel.models.integers.network import Requantise


class ResidentWeights(Constants):
    """As `Constants`; chunks must be parts of those that `computes` was given."""

    def __init__(
        self, stream: Stream, machine: Machine, weights: LayerWeights, requantise: Requantise, key: int
    ) -> None:
        super().__init__(stream, machine, weights, requantise, key)
        self.size = weights.words(1, 1)  # words of a tile and group
        self.base: int | None = None
        self.there: dict[tuple[int, int], int] = {}  # by tile and group the item that brings it
        self.records_at: int | None = None
        self.recorded: dict[int, int] = {}  # by tile the item that brings its records
        self.loads: dict[Chunk, Chunk] = {}  # what is loaded for a COMPUTE's weights

    @staticmethod
    def possible(stream: Stream, machine: Machine, weights: LayerWeights) -> bool:
        """Whether all weights fit, and the words of a tile and group are whole beats."""
        bits = weights.code_rows(1, 1) * weights.code_bits
        whole = bits % (weights.lane_bits * machine.weight_align) == 0 and weights.layer.groups == 1
        fits = weights.words(1, 1) * weights.tiles * weights.groups <= stream.weights.words
        return whole and fits and not weights.format.coded

    def computes(self, chunks: list[Chunk]) -> list[Chunk]:
        """A chunk for each COMPUTE that uses these, which are loaded as they are."""
        found = []
        for chunk in chunks:
            (n0, n1), groups = chunk
            whole = groups == (0, self.weights.groups)
            parts = [chunk] if whole else [((n, n + 1), groups) for n in range(n0, n1)]
            self.loads |= dict.fromkeys(parts, chunk)
            found += parts
        return found

    def begin(self, chunks: list[Chunk], visits: Iterable[Chunk] | None = None) -> None:
        """As `Constants.begin`, with room for all weights."""
        super().begin([((0, self.weights.tiles), (0, self.weights.groups))])
        words = self.size * self.weights.tiles * self.weights.groups
        self.base = self.stream.weights.take(words, (self.key, "all"), -1)
        records = self.machine.chunks * self.weights.tiles
        whole = self.machine.chunks % self.machine.parameter_align == 0
        if len(self.requantise.bias) > 1 and whole and 2 * records <= self.machine.parameters:
            self.records_at = self.stream.parameters.take(records, (self.key, "all"), -1)

    def chunk(self, chunk: Chunk) -> tuple[int, int]:
        """Address and item of a COMPUTE's weights."""
        (n0, n1), (g0, g1) = chunk
        parts = [(n, g) for n in range(n0, n1) for g in range(g0, g1)]
        if any(part not in self.there for part in parts):
            self._load(self.loads[chunk])
        return self._address(chunk), max(self.there[part] for part in parts)

    def _address(self, chunk: Chunk) -> int:
        assert self.base is not None
        return self.base + (chunk[0][0] * self.weights.groups + chunk[1][0]) * self.size

    def _load(self, chunk: Chunk) -> None:
        """Bring what is missing of a chunk, and what lies between."""
        (n0, n1), (g0, g1) = chunk
        missing = [(n, g) for n in range(n0, n1) for g in range(g0, g1) if (n, g) not in self.there]
        tiles = min(n for n, _ in missing), max(n for n, _ in missing) + 1
        groups = min(g for _, g in missing), max(g for _, g in missing) + 1
        row, far = self.size * (groups[1] - groups[0]), self.size * self.weights.groups
        offset = self._offset((tiles, groups), row * (tiles[1] - tiles[0]))
        to = self._address((tiles, groups))
        if tiles[1] - tiles[0] == 1 or row == far:
            loads = self.weight_loads((tiles, groups), offset, to, row * (tiles[1] - tiles[0]))
        else:
            loads = load_rows(self.weight_words, offset, to, row, tiles[1] - tiles[0], row, far)
        item = self.stream.item(loads, False)
        self.there |= {(n, g): item for n in range(*tiles) for g in range(*groups)}

    def _offset(self, chunk: Chunk, words: int) -> int:
        return self.stream.words(self.weight_words, words, partial(self.weights.block, *chunk))

    def records(self, tiles: Range) -> tuple[int, int]:
        """As `Constants.records`; those of other tiles come when they are needed, if all fit."""
        chunks = self.machine.chunks
        if self.records_at is None:
            return super().records(tiles)
        missing = [n for n in range(*tiles) if n not in self.recorded]
        if missing:
            first, last = missing[0], missing[-1] + 1
            channels = first * self.machine.cols, min(self.weights.outputs, last * self.machine.cols)
            words = -(-(channels[1] - channels[0]) // self.machine.lanes)
            make = partial(parameter_words, self.requantise, channels, self.machine.lanes)
            offset = self.stream.words(self.parameter_words, words, make)
            loads = load_words(self.parameter_words, offset, self.records_at + first * chunks, words)
            self.recorded |= dict.fromkeys(range(first, last), self.stream.item(loads, False))
        return self.records_at + tiles[0] * chunks, max(self.recorded[n] for n in range(*tiles))

    def kernel_rows(self, chunk: Chunk) -> Iterator[tuple[int, int]] | None:
        """As `Constants.kernel_rows`."""
        count, ((n0, n1), (g0, g1)) = self.weights.geometry.kernel[0], chunk
        if (n1 - n0, g1 - g0) != (1, 1) or count == 1 or self.size % (count * self.machine.weight_align):
            return None
        return None if (n0, g0) in self.there else self._row_items(chunk, count)

    def _row_items(self, chunk: Chunk, count: int) -> Iterator[tuple[int, int]]:
        offset, address, size = self._offset(chunk, self.size), self._address(chunk), self.size // count
        for row in range(count):
            at = offset + row * size * self.weight_words.stride_bytes
            item = self.stream.item(self.weight_loads(chunk, at, address + row * size, size), False)
            self.there[chunk[0][0], chunk[1][0]] = item
            yield address + row * size, item
