"""A matrix layer's constants on their way on chip: items for weights, parameter records and the codebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from accel.commands import Target
from accel.compiler.estimate import Machine
from accel.compiler.geometry import Range
from accel.compiler.lower.coded_chunks import CodedChunks
from accel.compiler.ops import Stream
from accel.compiler.ring import Ring
from accel.compiler.transfers import Row, load_rows, load_words, words_of
from accel.compiler.weights import Chunk, LayerWeights, parameter_words
from accel.memories import CODEBOOK_ENTRIES, CODEBOOKS
from accel.models.integers.network import Requantise


class Constants:
    """Loads what a layer needs unless it is there already. `key` is the layer's own; blocks in the image are shared."""

    def __init__(
        self, stream: Stream, machine: Machine, weights: LayerWeights, requantise: Requantise, key: int
    ) -> None:
        self.stream, self.machine, self.weights, self.requantise, self.key = stream, machine, weights, requantise, key
        self.weight_words, self.parameter_words = stream.weight_words, stream.parameter_words
        self.codebook, self.codebook_item = 0, -1  # bank, item
        self.coded: CodedChunks | None = None
        self.offsets: dict[object, int] = {}  # in the image
        self._words: dict[tuple[int, int], tuple[int, int]] = {}
        self.trimmed = False  # rows of weights for lanes that no channel has stay in DRAM

    def begin(self, chunks: list[Chunk], visits: Iterable[Chunk] | None = None) -> None:
        """Load codebook and code tables; if the weights of all chunks fit together, let them lie together.

        `visits`: the chunks in the order in which COMPUTEs use them, if that is another.
        """
        self.stream.weights.reserve(sum(map(self.chunk_words, chunks)))
        entries = self.weights.format.codebook
        if len(entries):
            self.codebook = self.stream.codebooks % CODEBOOKS
            self.stream.codebooks += 1
            words = words_of(self.stream.design, Target.CODEBOOK)
            offset = self.stream.words(words, len(entries), lambda: entries.view(np.uint8).reshape(-1, 1))
            loads = load_words(words, offset, CODEBOOK_ENTRIES * self.codebook, len(entries))
            self.codebook_item = self.stream.item(loads, False)
        if self.weights.format.coded:
            self.coded = CodedChunks(self.stream, self.weights, self._once(chunks if visits is None else visits))

    def _once(self, visits: Iterable[Chunk]) -> list[list[Chunk]]:
        """The chunks in the order in which they are loaded first, in one stream; each in its own if one comes again."""
        rings, loads = [(ring.copied(), words) for ring, words in self._rings()], dict[Chunk, int]()
        for chunk in visits:
            key = (self.key, chunk, loads.get(chunk, 0))
            if not all(ring.find(key) for ring, _ in rings):
                loads[chunk] = key[2] + 1
                for ring, words in rings:
                    ring.take(words(chunk), (self.key, chunk, loads[chunk]), 0)
        return [list(loads)] if max(loads.values()) == 1 else [[chunk] for chunk in loads]

    def _rings(self) -> list[tuple[Ring, Callable[[Chunk], int]]]:
        """Where a chunk must be for a COMPUTE, and how many words it takes there."""
        return [(self.stream.weights, self.chunk_words)]

    def chunk_words(self, chunk: Chunk) -> int:
        """Words of a chunk's weights in the buffer, whole beats."""
        return self._sizes(chunk)[1]

    def _sizes(self, chunk: Chunk) -> tuple[int, int]:
        """Words of a chunk's weights, and those that they take in the buffer."""
        (n0, n1), (g0, g1) = chunk
        size = n1 - n0, g1 - g0
        found = self._words.get(size)
        if found is None:
            words, align = self.weights.words(*size), self.machine.weight_align
            found = self._words[size] = words, -(-words // align) * align
        return found

    def chunk(self, chunk: Chunk) -> tuple[int, int]:
        """Address and item of a chunk's weights."""
        key = (self.key, chunk)
        found = self.stream.weights.find(key)
        if found:
            return found
        if self.coded:
            address = self.stream.weights.take(self.chunk_words(chunk), key, self.stream.item_count)
            return address, self.coded.item(chunk, address)
        address, offset, size = self._taken(chunk)
        return address, self.stream.item(self.weight_loads(chunk, offset, address, size), False)

    def weight_loads(self, chunk: Chunk, offset: int, address: int, size: int) -> list[Row]:
        """LOADs of `size` words of a chunk's weights; `trimmed`, only those that lanes with a channel have."""
        weights = self.weights
        if not self.trimmed or chunk[1] != (weights.groups - 1, weights.groups) or not weights.trims:
            return load_words(self.weight_words, offset, address, size)
        rows = weights.rows
        return load_rows(self.weight_words, offset, address, weights.last_rows, size // rows, rows, rows)

    def _taken(self, chunk: Chunk) -> tuple[int, int, int]:
        """Address of room for a chunk's weights, their offset in the image, and how many words they are."""
        key, (words, size) = (self.key, chunk), self._sizes(chunk)
        if key not in self.offsets:
            self.offsets[key] = self.stream.words(self.weight_words, words, partial(self.weights.block, *chunk))
        return self.stream.weights.take(size, key, self.stream.item_count), self.offsets[key], size

    def kernel_rows(self, chunk: Chunk) -> Iterator[tuple[int, int]] | None:
        """Address and item of each kernel row of a chunk that is not on chip; an item is declared when it is asked for.

        None if the rows do not lie one after the other in whole words and beats. All must be asked for.
        """
        count, ((n0, n1), (g0, g1)) = self.weights.geometry.kernel[0], chunk
        alone = (n1 - n0, g1 - g0) == (1, 1) and count > 1 and not self.coded
        if not alone or self.stream.weights.find((self.key, chunk)):
            return None
        bits = self.weights.code_rows(1, 1) * self.weights.code_bits
        beat = self.weights.lane_bits * self.machine.weight_align
        return None if bits % (count * beat) else self._row_items(chunk, count)

    def _row_items(self, chunk: Chunk, count: int) -> Iterator[tuple[int, int]]:
        address, offset, size = self._taken(chunk)
        size //= count
        for row in range(count):
            at = offset + row * size * self.weight_words.stride_bytes
            item = self.stream.item(self.weight_loads(chunk, at, address + row * size, size), False)
            self.stream.weights.complete((self.key, chunk), item)
            yield address + row * size, item

    def records(self, tiles: Range) -> tuple[int, int]:
        """Address and item of some tiles' records, loaded with the whole layer's if that leaves room for the next."""
        lanes, cols = self.machine.lanes, self.machine.cols
        whole = -(-self.weights.outputs // lanes)
        taken = (0, self.weights.tiles) if 2 * whole <= self.machine.parameters else tiles
        first = taken[0] * cols
        offset = (tiles[0] * cols - first) // lanes
        key = (self.key, taken)
        found = self.stream.parameters.find(key)
        if found:
            return found[0] + offset, found[1]
        channels = (first, min(self.weights.outputs, taken[1] * cols))
        words = -(-(channels[1] - channels[0]) // lanes)
        if key not in self.offsets:
            make = partial(parameter_words, self.requantise, channels, lanes)
            self.offsets[key] = self.stream.words(self.parameter_words, words, make)
        address = self.stream.parameters.take(words, key, self.stream.item_count)
        loads = load_words(self.parameter_words, self.offsets[key], address, words)
        return address + offset, self.stream.item(loads, False)
