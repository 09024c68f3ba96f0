"""Where a layer's input comes from in DRAM: each source knows the LOADs that bring a piece of it into a bank.

A piece is channel groups g0..g1, rows y0..y1 and columns x0..x1 of the tensor that the array sees, put at `word` of
`bank` with `plane` words from group to group and `pitch` from row to row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from accel.commands import ACTIVATION_BANK, Load, Target
from accel.compiler.geometry import Range
from accel.compiler.ops import LARGEST_ROW_BEATS, Row, load_words
from accel.design import Design
from accel.layout import beats_per_word, stride_bytes, words_per_beat
from accel.rows import row_of

LARGEST_ROWS = (1 << 12) - 1


@dataclass(frozen=True)
class Piece:
    """What to load, and where to."""

    groups: Range
    rows: Range
    cols: Range
    bank: int
    word: int
    plane: int
    pitch: int


@dataclass(frozen=True)
class WordSource:
    """A tensor in activation words at `offset` of the data segment, `pitch` and `plane` in words."""

    design: Design
    offset: int
    pitch: int
    plane: int
    width: int

    @property
    def align(self) -> int:
        """Columns that pieces must start at multiples of."""
        return words_per_beat(self.design, Target.ACTIVATION)

    def columns(self, cols: Range) -> Range:
        """The columns that are loaded for `cols`: whole beats."""
        low = cols[0] // self.align * self.align
        high = -(-cols[1] // self.align) * self.align
        return low, min(high, self.pitch)

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, whose columns come from `columns`."""
        (g0, g1), (y0, y1), (x0, x1) = piece.groups, piece.rows, piece.cols
        stride = stride_bytes(self.design.rows, self.design.beat_bytes)
        found: list[Row] = []
        if x1 - x0 == self.pitch == piece.pitch:
            runs = [(g0, y0, (y1 - y0) * self.pitch, g1 - g0, self.plane, piece.plane)]
        elif y1 - y0 == 1:
            runs = [(g0, y0, x1 - x0, g1 - g0, self.plane, piece.plane)]
        else:
            runs = [(g, y0, x1 - x0, y1 - y0, self.pitch, piece.pitch) for g in range(g0, g1)]
        for g, y, words, rows, far, near in runs:
            source = self.offset + (g * self.plane + y * self.pitch + x0) * stride
            target = piece.word + (g - g0) * piece.plane
            if rows > 1 and far == near == words:
                words, rows = words * rows, 1
            if rows == 1:
                found += load_words(self.design, Target.ACTIVATION, source, _at(piece.bank, target), words)
                continue
            beats = -(-words // self.align) * beats_per_word(self.design, Target.ACTIVATION)
            limit = LARGEST_ROWS if beats <= LARGEST_ROW_BEATS else 1
            for first in range(0, rows, limit):
                found.append(
                    row_of(
                        Load,
                        dram_addr=source + first * far * stride,
                        target=Target.ACTIVATION,
                        dst_addr=_at(piece.bank, target + first * near),
                        row_beats=beats,
                        rows=min(limit, rows - first),
                        dram_pitch=far * stride,
                        dst_pitch=near,
                    )
                )
        return found


@dataclass(frozen=True)
class Lanes:
    """Bytes that one LOAD puts into lanes `lane`..`lane + run` of channel group `group`.

    The window's first byte is `start` bytes into the row, `row` rows below the first.
    """

    group: int
    lane: int
    run: int
    start: int
    row: int


@dataclass(frozen=True)
class RowSource:
    """A tensor in byte rows at `offset` of the data segment, unfolded by window loads (see `first_layer`).

    Row y of the unfolded tensor reads byte rows `y * row_step + lanes.row`, its column x the bytes from
    `x * step + lanes.start`.
    """

    design: Design
    offset: int
    pitch_bytes: int
    row_step: int
    step: int
    lanes: tuple[Lanes, ...]
    align: int = 1

    def columns(self, cols: Range) -> Range:
        """Any columns can be loaded."""
        return cols

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece."""
        (g0, g1), (y0, y1), (x0, x1) = piece.groups, piece.rows, piece.cols
        beat = self.design.beat_bytes
        found: list[Row] = []
        for lanes in self.lanes:
            if not g0 <= lanes.group < g1:
                continue
            first = x0 * self.step + lanes.start
            skip = first % beat
            size = skip + (x1 - x0 - 1) * self.step + lanes.run
            for y in range(y0, y1, LARGEST_ROWS):
                found.append(
                    row_of(
                        Load,
                        dram_addr=self.offset + (y * self.row_step + lanes.row) * self.pitch_bytes + first - skip,
                        target=Target.ACTIVATION,
                        dst_addr=_at(
                            piece.bank, piece.word + (lanes.group - g0) * piece.plane + (y - y0) * piece.pitch
                        ),
                        row_beats=-(-size // beat),
                        rows=min(LARGEST_ROWS, y1 - y),
                        dram_pitch=self.row_step * self.pitch_bytes,
                        dst_pitch=piece.pitch,
                        window=1,
                        run=lanes.run,
                        step=self.step,
                        lane=lanes.lane,
                        row_words=x1 - x0,
                        skip_bytes=skip,
                    )
                )
        return found


class Source(Protocol):
    """What brings pieces of a tensor. `align`: whole beats of columns; `columns` rounds a range to them."""

    @property
    def align(self) -> int:
        """Columns that pieces must start at multiples of."""

    def columns(self, cols: Range) -> Range:
        """The columns that are loaded for `cols`."""

    def loads(self, piece: Piece) -> list[Row]:
        """The LOADs of a piece, whose columns come from `columns`."""


def _at(bank: int, word: int) -> int:
    return bank * ACTIVATION_BANK + word
