"""The stream of operations that a network becomes, before it is put in order with its loads.

Operations (COMPUTE, POST, STORE and their configurations) stand in the order in which they run. What LOADs bring is an
`Item`; an operation names the items that it needs. An item may be loaded once every operation before `earliest` has
been dispatched: those are the ones that still use what its words held before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accel.commands import ACTIVATION_BANK, Command, ConfigCompute, ConfigPost, Load, Target
from accel.compiler.access import Accesses, Marks
from accel.design import Design
from accel.layout import beats, stride_bytes, word_bytes, words_per_beat, words_to_dram

ALIGNMENT = 64  # bytes; every block in DRAM starts on a multiple
LARGEST_ROW_BEATS = (1 << 16) - 1


@dataclass
class Item:
    """What some LOADs bring. `data`: their DRAM addresses count from the data segment, else from the constants."""

    loads: list[Load]
    data: bool
    earliest: int
    layer: int


@dataclass
class Op:
    """A command of compute, post or store, and the number of items that must be loaded before it."""

    command: Command
    layer: int
    items: int


@dataclass(frozen=True)
class Region:
    """Words of an activation bank."""

    bank: int
    word: int
    words: int


@dataclass
class Ring:
    """A buffer that is allocated round and round. What is overwritten is forgotten."""

    base: int
    words: int
    align: int = 1
    bank: int = 0
    at: int = 0
    live: deque[tuple[int, int, Hashable, int]] = field(default_factory=deque)  # start, end, key, item

    @classmethod
    def of(cls, region: Region) -> Ring:
        """A ring in a region of an activation bank."""
        return cls(region.word, region.words, 1, region.bank)

    def find(self, key: Hashable) -> tuple[int, int] | None:
        """Address and item of what is still there."""
        for start, _, other, item in self.live:
            if other == key:
                return self.base + start, item
        return None

    def reserve(self, words: int) -> None:
        """Start from the beginning if `words` fit the whole ring but not the rest of it."""
        if self.at + words > self.words >= words:
            self.at = 0

    def take(self, words: int, key: Hashable, item: int) -> int:
        """Address of a new allocation that will be filled by `item`."""
        words = -(-words // self.align) * self.align
        assert words <= self.words, (words, self.words)
        if self.at + words > self.words:
            self.at = 0
        start, end = self.at, self.at + words
        self.live = deque(e for e in self.live if e[1] <= start or e[0] >= end)
        self.live.append((start, end, key, item))
        self.at = end
        return self.base + start


class Stream:
    """Collects operations, items and constants of a network. `taper`: how fast the last chunks shrink."""

    def __init__(self, design: Design, data_beats: int, taper: float = 1.0) -> None:
        self.design, self.taper = design, taper
        self.ops: list[Op] = []
        self.items: list[Item] = []
        self.constants: list[NDArray[np.uint8]] = []
        self.constant_bytes = 0
        self.layer = 0
        self._accesses = Accesses(design)
        self._touched = Marks(design, data_beats)
        self._config: dict[type[Command], Command] = {}
        self.weights = self._ring(Target.WEIGHT, design.weight_words)
        self.parameters = self._ring(Target.PARAMETER, design.parameter_words)
        self.codebooks = 0
        self.accumulator = 0

    def _ring(self, target: Target, words: int) -> Ring:
        align = words_per_beat(self.design, target)
        return Ring(0, words // align * align, align)

    def constant(self, data: NDArray[np.uint8]) -> int:
        """Put bytes into the image; their offset in the constants."""
        offset = self.constant_bytes
        size = -(-len(data) // ALIGNMENT) * ALIGNMENT
        self.constants.append(np.pad(data, (0, size - len(data))))
        self.constant_bytes += size
        return offset

    def words(self, target: Target, words: NDArray[np.uint8]) -> int:
        """Put buffer words (n, Z) into the image; their offset."""
        return self.constant(words_to_dram(words.view(np.int8), self.design.beat_bytes).view(np.uint8))

    def next_bank(self) -> int:
        """The accumulator bank for the next block."""
        self.accumulator ^= 1
        return self.accumulator

    def item(self, loads: Sequence[Load], data: bool) -> int:
        """Declare what `loads` bring; its number."""
        earliest = 0
        for load in loads:
            for access in self._accesses.of(load, data)[0]:
                earliest = max(earliest, self._touched.latest(access))
        self.items.append(Item(list(loads), data, earliest, self.layer))
        return len(self.items) - 1

    def op(self, command: Command, needs: Sequence[int] = ()) -> None:
        """Append an operation."""
        self.ops.append(Op(command, self.layer, max(needs, default=-1) + 1))
        for access in self._accesses.of(command, True)[0]:
            self._touched.set(access, len(self.ops))

    def configure(self, command: ConfigCompute | ConfigPost) -> None:
        """Append a configuration unless it is in force."""
        if self._config.get(type(command)) != command:
            self._config[type(command)] = command
            self.op(command)

    def new_layer(self, layer: int) -> None:
        """Operations from now on belong to `layer`, and configure the units anew."""
        self.layer = layer
        self._config.clear()


def load_words(design: Design, target: Target, dram: int, dst: int, words: int) -> list[Load]:
    """LOADs of `words` consecutive words."""
    per_beat, size = words_per_beat(design, target), design.beat_bytes
    stride = stride_bytes(word_bytes(design, target), size)
    most = LARGEST_ROW_BEATS * size // max(stride, size) * max(1, per_beat)
    loads = []
    for first in range(0, words, most):
        count = beats(design, target, min(most, words - first))
        loads.append(Load(dram_addr=dram + first * stride, target=target, dst_addr=dst + first, row_beats=count))
    return loads


def activation_address(bank: int, word: int) -> int:
    """Address of a word that may lie before the bank's first (COMPUTE's base modulo the bank)."""
    return bank * ACTIVATION_BANK + word % ACTIVATION_BANK


def moved(load: Load, offset: int) -> Load:
    """The load with `offset` bytes added to its DRAM address."""
    return replace(load, dram_addr=load.dram_addr + offset)
