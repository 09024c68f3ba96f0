"""The stream of operations that a network becomes, before it is put in order with its loads.

Operations (COMPUTE, POST, STORE and their configurations) stand in the order in which they run. What LOADs bring is an
*item*; an operation says which items it needs. Both are declared in one order, an item at the latest before the first
operation that needs it: what an item overwrites is whatever the operations declared before it still use.

Everything is rows of numbers (`accel.rows`); nothing is checked before `Stream.finish`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel import memories
from accel.commands import Command, Opcode, Target
from accel.compiler.in_place import is_over_operand, pieces
from accel.compiler.ring import KeepingRing, Ring
from accel.compiler.transfers import Words, load_words, words_of
from accel.design import Design
from accel.entropy.encode import Encoded
from accel.layout import words_to_dram
from accel.memories import TABLE_WORDS, TABLES
from accel.models.integers.network import Requantise
from accel.rows import LOAD, OPCODE, POST, WIDTH, Rows, check_fields, rows_of
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


# Comparing members is slow.
_NONE, _CONSTANTS, _DATA = int(Segment.NONE), int(Segment.CONSTANTS), int(Segment.DATA)
_LOAD, _STORE, _CONFIG_POST = int(Opcode.LOAD), int(Opcode.STORE), int(Opcode.CONFIG_POST)


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
        return self.rows[:, OPCODE] == _LOAD


class Block(NamedTuple):
    """`size` bytes of the image, made only when an image is wanted; in `words`, they are buffer words, (count, Z)."""

    size: int
    make: Callable[[], NDArray[np.uint8]]
    words: bool


def _row(command: Row | Command) -> Row:
    """The command as a row."""
    return rows_of([command])[0].tolist() if isinstance(command, Command) else command


def _numbers(values: list[int]) -> NDArray[np.int64]:
    """An array of them; numpy takes half as long again to look at each."""
    return np.frombuffer(bytearray(struct.pack(f"={len(values)}q", *values)), np.int64)


class Table(NamedTuple):
    """What POSTs with a table say and need: `used` 0 or 1, the bank, and the item that brings it."""

    used: int
    bank: int
    needs: tuple[int, ...]


NO_TABLE = Table(0, 0, ())


def _ring(words: Words, count: int) -> Ring:
    """A ring of so many words of a memory, whole beats."""
    return Ring(0, count // words.per_beat * words.per_beat, words.per_beat)


class Stream:
    """Collects operations, items and constants of a network. `taper`: how fast the last chunks shrink. `ring_words`: of
    the weight buffer, what is allocated round and round; weights that come first stay in the rest (None: no rest).
    """

    def __init__(self, design: Design, data_beats: int, taper: float = 1.0, ring_words: int | None = None) -> None:
        self.design, self.data_beats, self.taper = design, data_beats, taper
        self.constants: list[Block] = []
        self.constant_bytes = 0
        self.layer = 0
        self.item_count = 0
        # Lists, made arrays in the end: appending to them is faster.
        self._rows: list[int] = []
        self._layers: list[int] = []
        self._segments: list[int] = []
        self._items: list[int] = []
        self._config: dict[int, Row] = {}
        self._drained = False  # no POST has come since the last configuration
        targets = (Target.ACTIVATION, Target.WEIGHT, Target.PARAMETER)
        self.activation_words, self.weight_words, self.parameter_words = (words_of(design, each) for each in targets)
        entries = Ring(0, design.weight_words) if design.is_sparse else None
        self.weights = entries or _ring(self.weight_words, design.weight_words)
        if ring_words is not None:
            ring = _ring(self.weight_words, ring_words)
            self.weights = KeepingRing(ring.words, self.weights.words, ring.align)
        self.pointers = Ring(0, memories.POINTER.words(design))
        self._facts: dict[int, Facts] = {}
        self._streams: list[tuple[int, CodedStream]] = []
        self.encoded: dict[int, Encoded] = {}  # by layer
        self.parameters = _ring(self.parameter_words, design.parameter_words)
        self.codebooks = 0
        self.accumulator = 0
        self._tables: dict[bytes, Table] = {}  # those on chip, by contents
        self._table = 0  # the bank that was used last

    def constant(self, size: int, make: Callable[[], NDArray[np.uint8]]) -> int:
        """Put `size` bytes into the image, which `make` gives when it is written; their offset in the constants."""
        return self._constant(size, make, False)

    def _constant(self, size: int, make: Callable[[], NDArray[np.uint8]], words: bool) -> int:
        offset = self.constant_bytes
        self.constants.append(Block(size, make, words))
        self.constant_bytes = offset - -size // ALIGNMENT * ALIGNMENT
        return offset

    def words(self, words: Words, count: int, make: Callable[[], NDArray[np.uint8]]) -> int:
        """Put `count` buffer words into the image, which `make` gives as (count, Z); their offset."""
        return self._constant(count * words.stride_bytes, make, True)

    def next_bank(self) -> int:
        """The accumulator bank for the next block."""
        self.accumulator ^= 1
        return self.accumulator

    def table_of(self, requantise: Requantise) -> Table:
        """The table of a requantisation if it has one, loaded unless it is on chip."""
        if requantise.table is None:
            return NO_TABLE
        entries = requantise.table
        contents = entries.tobytes()
        if contents not in self._tables:
            self._table = (self._table + 1) % TABLES
            words = words_of(self.design, Target.TABLE)
            offset = self.words(words, TABLE_WORDS, lambda: entries.view(np.uint8).reshape(TABLE_WORDS, -1))
            loads = load_words(words, offset, TABLE_WORDS * self._table, TABLE_WORDS)
            self._tables = {c: t for c, t in self._tables.items() if t.bank != self._table}
            self._tables[contents] = Table(1, self._table, (self.item(loads, False),))
        self._table = self._tables[contents].bank
        return self._tables[contents]

    def item(self, loads: Sequence[Row | Command], data: bool) -> int:
        """Declare what LOADs bring; its number. `data`: their addresses count from the data segment."""
        number, segment = self.item_count, _DATA if data else _CONSTANTS
        for load in loads:
            self._append(load if type(load) is list else _row(load), segment, number)
        self.item_count = number + 1
        return number

    def coded_item(self, load: Row, stream: CodedStream) -> int:
        """Declare what a coded LOAD brings; its number."""
        self._streams.append((len(self._layers), stream))
        return self.item([load], False)

    def op(self, command: Row | Command, needs: Sequence[int] = (), facts: Facts | None = None) -> None:
        """Append an operation that needs these items (-1 is none)."""
        if facts:
            self._facts[len(self._layers)] = facts
        row = _row(command)
        self._append(row, _DATA if row[OPCODE] == _STORE else _NONE, max(needs) + 1 if needs else 0)

    def append(self, row: Row, item: int, facts: Facts | None = None) -> None:
        """As `op`, of a row that is no STORE and needs no item behind `item`."""
        if facts:
            self._facts[len(self._layers)] = facts
        self._append(row, _NONE, item + 1)

    def post(self, row: Row, needs: Sequence[int]) -> None:
        """Append a POST that needs these items, in pieces where it writes over its operand."""
        if not row[POST.residual]:
            self.append(row, max(needs, default=-1))
            self._drained = False
            return
        config = self._config[_CONFIG_POST]
        # The POST before may still write other chunks of the word.
        drain = not self._drained and is_over_operand(self.design, row) and row[POST.dst_chunk] > 0
        for piece in pieces(self.design, config, row):
            if drain:
                self.op(config)
            self.op(piece, needs)
            self._drained, drain = False, True

    def _append(self, row: Row, segment: int, items: int) -> None:
        self._rows += row
        self._layers.append(self.layer)
        self._segments.append(segment)
        self._items.append(items)

    def configure(self, command: Row | Command) -> None:
        """Append a configuration unless it is in force."""
        values = list(_row(command))
        if self._config.get(values[OPCODE]) != values:
            self._config[values[OPCODE]] = values
            self._drained |= values[OPCODE] == _CONFIG_POST
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
            _numbers(self._rows).reshape(-1, WIDTH),
            _numbers(self._layers),
            _numbers(self._segments),
            _numbers(self._items),
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
            if block.words:
                data = words_to_dram(data.view(np.int8), self.design.beat_bytes).view(np.uint8)
            assert len(data) == block.size, (len(data), block.size)
            image[at : at + block.size] = data
            at += -(-block.size // ALIGNMENT) * ALIGNMENT
        return image
