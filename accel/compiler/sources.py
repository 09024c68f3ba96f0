"""Where a layer's input comes from in DRAM: each source knows the LOADs that bring a piece of it into a bank.

A piece is channel groups g0..g1, rows y0..y1 and columns x0..x1 of the tensor that the array sees, put at activation
address `word` with `plane` words from group to group and `pitch` from row to row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from accel.commands import Load, Target, most
from accel.compiler.geometry import Range
from accel.compiler.transfers import LARGEST_LOAD_ROWS, LARGEST_ROW_BEATS, Row, Words, load_rows, load_words
from accel.rows import row_of

LARGEST_WINDOW_WORDS = most(Load, "row_words")
LARGEST_STEP = most(Load, "step")


class Piece(NamedTuple):
    """What to load, and where to."""

    groups: Range
    rows: Range
    cols: Range
    word: int
    plane: int
    pitch: int


class Source(Protocol):
    """What brings pieces of a tensor. `align`: whole beats of columns; `columns` rounds a range to them."""

    @property
    def align(self) -> int:
        """Columns that pieces must start at multiples of."""

    def columns(self, cols: Range) -> Range:
        """The columns that are loaded for `cols`."""

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, whose columns come from `columns`."""


@dataclass(frozen=True)
class WordSource:
    """A tensor in activation words at `offset` of the data segment, `pitch` and `plane` in words.

    Only every `skips`-th of its rows is a row of the tensor that the array sees.
    """

    words: Words
    offset: int
    pitch: int
    plane: int
    skips: int = 1

    @property
    def align(self) -> int:
        """Columns that pieces must start at multiples of."""
        return self.words.per_beat

    def columns(self, cols: Range) -> Range:
        """The columns that are loaded for `cols`: whole beats."""
        low = cols[0] // self.align * self.align
        high = -(-cols[1] // self.align) * self.align
        return low, min(high, self.pitch)

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, whose columns come from `columns`."""
        (g0, g1), (y0, y1), (x0, x1) = piece.groups, piece.rows, piece.cols
        far = self.skips * self.pitch
        dram = self.offset + (g0 * self.plane + y0 * far + x0) * self.words.stride_bytes
        whole_rows = x1 - x0 == far == piece.pitch
        if whole_rows or y1 - y0 == 1:
            count = (y1 - y0) * self.pitch if whole_rows else x1 - x0
            return load_rows(self.words, dram, piece.word, count, g1 - g0, self.plane, piece.plane)
        found = []
        for g in range(g1 - g0):
            at, word = dram + g * self.plane * self.words.stride_bytes, piece.word + g * piece.plane
            found += load_rows(self.words, at, word, x1 - x0, y1 - y0, far, piece.pitch)
        return found


@dataclass(frozen=True)
class RowSource:
    """A tensor in byte rows at `offset` of the data segment, unfolded by window loads (see `first_layer`).

    Row y of the unfolded tensor has the byte rows `y * apart` and the `tall` - 1 ones `dilation` rows apart below it
    side by side; its word i the `run` bytes from `first + i // parts * step + i % parts * run` on, of a channel group
    behind those of the one before.
    """

    beat_bytes: int
    offset: int
    pitch_bytes: int
    tall: int
    apart: int
    dilation: int
    run: int
    step: int
    parts: int
    align: int = 1
    first: int = 0

    def columns(self, cols: Range) -> Range:
        """Whole pixels."""
        return cols[0] // self.parts * self.parts, -(-cols[1] // self.parts) * self.parts

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, group by group."""
        return [load for group in range(*piece.groups) for load in self._loads(piece, group)]

    def _loads(self, piece: Piece, group: int) -> list[Row]:
        """Of one group: one, or one for each of the rows side by side if none of them is in two windows."""
        (y0, y1), (x0, x1) = piece.rows, piece.cols
        beat, pitch = self.beat_bytes, self.pitch_bytes
        first = self.first + x0 // self.parts * self.step + group * self.parts * self.run
        skip = first % beat
        size = skip + ((x1 - x0) // self.parts - 1) * self.step + self.parts * self.run
        together = self.dilation == 1 and self.apart <= self.tall
        found = []
        for row in (0,) if together else range(self.tall):
            tall, apart = (self.tall, self.apart) if together else (1, 1)
            most_windows = (LARGEST_LOAD_ROWS - tall) // apart + 1
            for y in range(y0, y1, most_windows):
                found.append(
                    row_of(
                        Load,
                        dram_addr=self.offset + (y * self.apart + row * self.dilation) * pitch + first - skip,
                        target=Target.ACTIVATION,
                        dst_addr=piece.word + (group - piece.groups[0]) * piece.plane + (y - y0) * piece.pitch,
                        row_beats=-(-size // beat),
                        rows=(min(most_windows, y1 - y) - 1) * apart + tall,
                        dram_pitch=pitch if together else self.apart * pitch,
                        dst_pitch=piece.pitch,
                        window=1,
                        run=self.run,
                        step=self.step,
                        lane=row * self.run,
                        row_words=x1 - x0,
                        skip_bytes=skip,
                        zero_code=tall,
                        code_bits=apart,
                        parts=self.parts - 1,
                    )
                )
        return found


@dataclass(frozen=True)
class PlaneSource:
    """Planes of words that are cut out of the same byte rows each in its own way, by a source of one group."""

    planes: tuple[RowSource, ...]
    align: int = 1

    def columns(self, cols: Range) -> Range:
        """There is a word a pixel."""
        return cols

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, plane by plane."""
        first, last = piece.groups
        return [
            load
            for plane in range(first, last)
            for load in self.planes[plane].loads(
                piece._replace(groups=(0, 1), word=piece.word + (plane - first) * piece.plane)
            )
        ]


@dataclass(frozen=True)
class FlatSource:
    """The bytes of a map in a row, cut into words of R = `rows` bytes: channel group g is word g."""

    words: Words
    rows: int
    beat_bytes: int
    offset: int
    align: int = 1

    def columns(self, cols: Range) -> Range:
        """There is one column."""
        return cols

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece: its groups lie one after the other."""
        rows, beat = self.rows, self.beat_bytes
        first, last = piece.groups
        if self.words.stride_bytes == rows and first * rows % beat == 0:
            return load_words(self.words, self.offset + first * rows, piece.word, last - first)
        most_words = min(LARGEST_WINDOW_WORDS, (LARGEST_ROW_BEATS - 1) * beat // rows)
        found = []
        for word in range(first, last, most_words):
            count = min(most_words, last - word)
            skip = word * rows % beat
            found.append(
                row_of(
                    Load,
                    dram_addr=self.offset + word * rows - skip,
                    target=Target.ACTIVATION,
                    dst_addr=piece.word + word - first,
                    row_beats=-(-(skip + count * rows) // beat),
                    window=1,
                    run=rows,
                    step=rows,
                    row_words=count,
                    skip_bytes=skip,
                    zero_code=1,
                    code_bits=1,
                )
            )
        return found
