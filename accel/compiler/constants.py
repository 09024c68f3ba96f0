"""A matrix layer's constants on their way on chip: items for weights, parameter records and the codebook."""

from __future__ import annotations

from dataclasses import dataclass, field

from accel.commands import Target
from accel.compiler.estimate import Machine
from accel.compiler.geometry import Range
from accel.compiler.ops import Stream, load_words
from accel.compiler.taper import Chunk
from accel.compiler.weights import LayerWeights, parameter_words
from accel.models.integers.network import Requantise

ENTRIES = 256  # of a codebook bank


@dataclass
class Constants:
    """Loads what a layer needs unless it is there already. `key` is the layer's own; blocks in the image are shared."""

    stream: Stream
    machine: Machine
    weights: LayerWeights
    requantise: Requantise
    taps: int
    key: int
    codebook: int = 0  # bank
    codebook_item: int = -1
    offsets: dict[object, int] = field(default_factory=dict)  # in the image

    def begin(self, chunks: list[Chunk]) -> None:
        """Load the codebook; if the weights of all chunks fit together, let them lie together."""
        total = sum(self.chunk_words(chunk) for chunk in chunks)
        self.stream.weights.reserve(total)
        if not self.weights.shared:
            return
        self.codebook = self.stream.codebooks % 2
        self.stream.codebooks += 1
        words = self.weights.codebook.view("uint8").reshape(-1, 1)
        offset = self.stream.words(Target.CODEBOOK, len(words), lambda: words)
        loads = load_words(self.stream.design, Target.CODEBOOK, offset, ENTRIES * self.codebook, len(words))
        self.codebook_item = self.stream.item(loads, False)

    def chunk_words(self, chunk: Chunk) -> int:
        """Words of a chunk's weights."""
        (n0, n1), (g0, g1) = chunk
        return self.machine.chunk_words(self.taps, self.weights.bits, n1 - n0, g1 - g0)

    def _used_words(self, chunk: Chunk) -> int:
        """Words of a chunk's weights in the image."""
        (n0, n1), (g0, g1) = chunk
        return -(-(n1 - n0) * (g1 - g0) * self.taps * self.machine.rows * self.weights.bits // 8)

    def chunk(self, chunk: Chunk) -> tuple[int, int]:
        """Address and item of a chunk's weights."""
        key = (self.key, chunk)
        found = self.stream.weights.find(key)
        if found:
            return found
        size = self.chunk_words(chunk)
        if key not in self.offsets:
            used = self._used_words(chunk)
            self.offsets[key] = self.stream.words(Target.WEIGHT, used, lambda: self.weights.block(*chunk))
        address = self.stream.weights.take(size, key, self.stream.item_count)
        loads = load_words(self.stream.design, Target.WEIGHT, self.offsets[key], address, size)
        return address, self.stream.item(loads, False)

    def records(self, tiles: Range) -> tuple[int, int]:
        """Address and item of some tiles' records, loaded with the whole layer's if that leaves room for the next."""
        lanes, cols = self.stream.design.lanes, self.machine.cols
        size = -(-self.weights.outputs // lanes)
        taken = (0, self.weights.tiles) if 2 * size <= self.machine.parameters else tiles
        key, first = (self.key, taken), taken[0] * cols
        offset = (tiles[0] * cols - first) // lanes
        found = self.stream.parameters.find(key)
        if found:
            return found[0] + offset, found[1]
        channels = (first, min(self.weights.outputs, taken[1] * cols))
        words = -(-(channels[1] - channels[0]) // lanes)
        if key not in self.offsets:
            self.offsets[key] = self.stream.words(
                Target.PARAMETER, words, lambda: parameter_words(self.requantise, channels, lanes)
            )
        address = self.stream.parameters.take(words, key, self.stream.item_count)
        loads = load_words(self.stream.design, Target.PARAMETER, self.offsets[key], address, words)
        return address + offset, self.stream.item(loads, False)
