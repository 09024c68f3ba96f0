"""The stream of operations that a network becomes, before it is put in order with its loads.

Operations (COMPUTE, POST, STORE and their configurations) stand in the order in which they run. What LOADs bring is an
*item*; an operation says which items it needs. Both are declared in one order, an item at the latest before the first
operation that needs it: what an item overwrites is whatever the operations declared before it still use.

Everything is rows of numbers (`accel.rows`); nothing is checked before `Stream.finish`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from accel import memories
from accel.commands import Command, Opcode, Target
from accel.compiler.ring import Ring
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.layout import stride_bytes, word_bytes, words_per_beat, words_to_dram
from accel.rows import LOAD, OPCODE, WIDTH, Rows, check_fields, rows_of
from accel.timing.coded import Stream as CodedStream

ALIGNMENT = 64  # bytes; every block in DRAM starts on a multiple

Row = Sequence[int]
Facts = Mapping[int, int]  # what a command's time depends on besides: columns of `accel.timing.machine`, values


class Segment(IntEnum):
    """What a command's DRAM address counts from."""

    NONE = 0
    CONSTANTS = 1
    DATA = 2
    PROGRAM = 3


@dataclass(frozen=True)
class Log:
    """What was declared, in order: n rows, and for each its layer, the segment of its DRAM address, and `items`.

    `items[i]` is the number of the item of a LOAD; for an operation, how many items must be loaded before it. `facts`
    by row, of commands whose time depends on more than their fields; `streams`: those of coded LOADs, by row.
    """

    rows: Rows
    layers: NDArray[np.int64]
    segments: NDArray[np.int64]
    items: NDArray[np.int64]
    facts: Mapping[int, Facts] = field(default_factory=dict)
    streams: tuple[tuple[int, CodedStream], ...] = ()

    @property
    def beats(self) -> int:
        """Beats that all LOADs read."""
        return int((self.rows[:, LOAD.row_beats] * self.rows[:, LOAD.rows])[self.loads].sum())

    @property
    def loads(self) -> NDArray[np.bool_]:
        """Which rows are LOADs."""
        return self.rows[:, OPCODE] == Opcode.LOAD


@dataclass(frozen=True)
class Block:
    """`size` bytes of the image, made only when an image is wanted."""

    size: int
    make: Callable[[], NDArray[np.uint8]]


class Stream:
    """Collects operations, items and constants of a network. `taper`: how fast the last chunks shrink."""

    def __init__(self, design: Design, data_beats: int, taper: float = 1.0) -> None:
        self.design, self.data_beats, self.taper = design, data_beats, taper
        self.constants: list[Block] = []
        self.constant_bytes = 0
        self.layer = 0
        self.item_count = 0
        self._rows, self._layers, self._segments, self._items = array("q"), array("q"), array("q"), array("q")
        self._config: dict[int, Row] = {}
        entries = Ring(0, design.weight_words) if design.is_sparse else None
        self.weights = entries or self._ring(Target.WEIGHT, design.weight_words)
        self.pointers = Ring(0, memories.POINTER.words(design))
        self._facts: dict[int, Facts] = {}
        self._streams: list[tuple[int, CodedStream]] = []
        self.encoded: dict[int, Encoded] = {}  # by layer
        self.parameters = self._ring(Target.PARAMETER, design.parameter_words)
        self.codebooks = 0
        self.accumulator = 0

    def _ring(self, target: Target, words: int) -> Ring:
        align = words_per_beat(self.design, target)
        return Ring(0, words // align * align, align)

    def constant(self, size: int, make: Callable[[], NDArray[np.uint8]]) -> int:
        """Put `size` bytes into the image, which `make` gives when it is written; their offset in the constants."""
        offset = self.constant_bytes
        self.constants.append(Block(size, make))
        self.constant_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        return offset

    def words(self, target: Target, count: int, make: Callable[[], NDArray[np.uint8]]) -> int:
        """Put `count` buffer words into the image, which `make` gives as (count, Z); their offset."""
        beat_bytes = self.design.beat_bytes
        size = count * stride_bytes(word_bytes(self.design, target), beat_bytes)
        return self.constant(size, lambda: words_to_dram(make().view(np.int8), beat_bytes).view(np.uint8))

    def next_bank(self) -> int:
        """The accumulator bank for the next block."""
        self.accumulator ^= 1
        return self.accumulator

    def item(self, loads: Sequence[Row | Command], data: bool) -> int:
        """Declare what LOADs bring; its number. `data`: their addresses count from the data segment."""
        number = self.item_count
        for load in loads:
            self._append(load, Segment.DATA if data else Segment.CONSTANTS, number)
        self.item_count += 1
        return number

    def coded_item(self, load: Row, stream: CodedStream) -> int:
        """Declare what a coded LOAD brings; its number."""
        self._streams.append((len(self._layers), stream))
        return self.item([load], False)

    def op(self, command: Row | Command, needs: Sequence[int] = (), facts: Facts | None = None) -> None:
        """Append an operation that needs these items (-1 is none)."""
        if facts:
            self._facts[len(self._layers)] = facts
        opcode = command.OPCODE if isinstance(command, Command) else command[OPCODE]
        self._append(command, Segment.DATA if opcode == Opcode.STORE else Segment.NONE, max(needs, default=-1) + 1)

    def _append(self, command: Row | Command, segment: Segment, items: int) -> None:
        values = rows_of([command])[0].tolist() if isinstance(command, Command) else command
        self._rows.extend(values)
        self._layers.append(self.layer)
        self._segments.append(segment)
        self._items.append(items)

    def extend(self, rows: Rows, segments: NDArray[np.int64], items: NDArray[np.int64], new_items: int) -> None:
        """Append many rows, operations and LOADs mixed, as `Log` has them.

        LOADs belong to items `item_count`, `item_count` + 1, ..., `new_items` of them, without gaps.
        """
        self._rows.frombytes(np.ascontiguousarray(rows, np.int64).tobytes())
        self._layers.extend([self.layer] * len(rows))
        self._segments.frombytes(np.ascontiguousarray(segments, np.int64).tobytes())
        self._items.frombytes(np.ascontiguousarray(items, np.int64).tobytes())
        self.item_count += new_items

    def configure(self, command: Row | Command) -> None:
        """Append a configuration unless it is in force."""
        values = rows_of([command])[0].tolist() if isinstance(command, Command) else list(command)
        if self._config.get(values[OPCODE]) != values:
            self._config[values[OPCODE]] = values
            self.op(values)

    def new_layer(self, layer: int) -> None:
        """Operations from now on belong to `layer`, and configure the units anew."""
        self.layer = layer
        self._config.clear()

    def layer_of(self, index: int) -> int:
        """The layer of a row."""
        return self._layers[index]

    def finish(self) -> Log:
        """What was declared. Raises FieldRangeError for a field that is out of range."""
        log = Log(
            np.array(self._rows, np.int64).reshape(-1, WIDTH),
            np.array(self._layers, np.int64),
            np.array(self._segments, np.int64),
            np.array(self._items, np.int64),
            self._facts,
            tuple(self._streams),
        )
        check_fields(log.rows)
        return log

    def image(self, size: int) -> NDArray[np.uint8]:
        """`size` bytes that begin with the constants."""
        image = np.zeros(size, np.uint8)
        at = 0
        for block in self.constants:
            data = block.make()
            assert len(data) == block.size, (len(data), block.size)
            image[at : at + block.size] = data
            at += -(-block.size // ALIGNMENT) * ALIGNMENT
        return image
