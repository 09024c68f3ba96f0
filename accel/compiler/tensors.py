"""Tensors while their steps are written down: loading what is not on chip yet, storing what must leave it."""

from __future__ import annotations

from dataclasses import dataclass, field

from accel.commands import ACTIVATION_BANK, Store, Target
from accel.compiler.geometry import Range
from accel.compiler.memory_plan import Place
from accel.compiler.ops import Region, Row, Stream
from accel.compiler.sources import LARGEST_ROWS, Piece, Source, WordSource
from accel.design import Design
from accel.layout import stride_bytes, words_per_beat
from accel.rows import row_of

LARGEST_ROW_WORDS = (1 << 16) - 1


@dataclass(frozen=True)
class View:
    """A tensor, or a piece of one, on chip. `row`, `col` and `group` are the coordinates of its first word."""

    bank: int
    word: int
    pitch: int
    plane: int
    group: int = 0
    row: int = 0
    col: int = 0

    def address(self, group: int, row: int, col: int) -> int:
        """Word of a pixel; it may lie before the bank's first."""
        return self.word + (group - self.group) * self.plane + (row - self.row) * self.pitch + col - self.col

    def at(self, group: int, row: int, col: int) -> int:
        """Activation address of a pixel that exists."""
        return self.bank * ACTIVATION_BANK + self.address(group, row, col)


def word_source(design: Design, place: Place, flat: bool) -> WordSource:
    """The tensor in DRAM, its pixels in one row if `flat`."""
    assert place.dram is not None
    layout = place.layout
    pitch = layout.plane if flat else layout.row_pitch
    return WordSource(design, place.dram, pitch, layout.plane, pitch)


@dataclass
class InputLoader:
    """Brings the network's input on chip, from its first word to its last, as far as it has been asked for.

    Progress counts words of a plane, the same for all channel groups.
    """

    stream: Stream
    source: Source
    place: Place
    region: Region
    by_rows: bool
    done: int = 0
    item: int = -1

    def need(self, end: int) -> int:
        """The item after which words 0..end of every plane are there."""
        layout, align = self.place.layout, words_per_beat(self.stream.design, Target.ACTIVATION)
        unit = layout.row_pitch if self.by_rows else align
        if not self.by_rows and layout.plane % align:
            end = layout.plane
        end = min(layout.plane, -(-end // unit) * unit)
        if end > self.done:
            groups = (0, layout.groups(self.stream.design.rows))
            bank, word, first = self.region.bank, self.region.word, self.done
            if self.by_rows:
                rows = (first // unit, end // unit)
                piece = Piece(groups, rows, (0, layout.width), bank, word + first, layout.plane, unit)
            else:
                piece = Piece(groups, (0, 1), (first, end), bank, word + first, layout.plane, layout.plane)
            self.item = self.stream.item(self.source.loads(piece), True)
            self.done = end
        return self.item


def stores(design: Design, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range) -> list[Row]:
    """STOREs of a rectangle of some groups; `cols` starts on a beat, and its end is rounded up to one."""
    assert place.dram is not None
    layout, align = place.layout, words_per_beat(design, Target.ACTIVATION)
    pitch = layout.plane if flat else layout.row_pitch
    stride = stride_bytes(design.rows, design.beat_bytes)
    x0, x1 = cols[0], min(pitch, -(-cols[1] // align) * align)
    (g0, g1), (y0, y1) = groups, rows
    if x0 == 0 and x1 == pitch == view.pitch:
        runs = [(g0, (y1 - y0) * pitch, g1 - g0, layout.plane, view.plane)]
    elif y1 - y0 == 1:
        runs = [(g0, x1 - x0, g1 - g0, layout.plane, view.plane)]
    else:
        runs = [(g, x1 - x0, y1 - y0, pitch, view.pitch) for g in range(g0, g1)]
    found: list[Row] = []
    for g, words, count, far, near in runs:
        target = place.dram + (g * layout.plane + y0 * pitch + x0) * stride
        origin = view.at(g, y0, x0)
        if count > 1 and far == near == words:
            words, count = words * count, 1
        if words > LARGEST_ROW_WORDS:
            parts = [(row, first) for row in range(count) for first in range(0, words, 1 << 15)]
            for row, first in parts:
                found.append(
                    row_of(
                        Store,
                        dram_addr=target + (row * far + first) * stride,
                        src_addr=origin + row * near + first,
                        row_words=min(1 << 15, words - first),
                    )
                )
            continue
        for first in range(0, count, LARGEST_ROWS):
            found.append(
                row_of(
                    Store,
                    dram_addr=target + first * far * stride,
                    src_addr=origin + first * near,
                    row_words=words,
                    rows=min(LARGEST_ROWS, count - first),
                    dram_pitch=far * stride if count > 1 else 0,
                    src_pitch=near if count > 1 else 0,
                )
            )
    return found


@dataclass
class OutputStorer:
    """Stores the network's output from its place on chip while it is made, in runs that are worth a command."""

    stream: Stream
    place: Place
    region: Region
    flat: bool
    pending: list[tuple[int, int, int, int]] = field(default_factory=list)  # groups and words of the planes

    def __post_init__(self) -> None:
        layout = self.place.layout
        align = words_per_beat(self.stream.design, Target.ACTIVATION)
        self.by_pieces = layout.row_pitch % align == 0
        pitch = layout.plane if self.flat else layout.row_pitch
        self.view = View(self.region.bank, self.region.word, pitch, layout.plane)
        self.enough = 8 * self.stream.design.memory.latency_cycles

    def done(self, groups: Range, rows: Range, cols: Range) -> None:
        """These pixels of these groups are complete."""
        if not self.by_pieces or groups[0] >= groups[1]:
            return
        layout = self.place.layout
        pitch = self.view.pitch
        if not self.flat and cols[1] - cols[0] < layout.width:
            for store in stores(self.stream.design, self.place, self.flat, self.view, groups, rows, cols):
                self.stream.op(store)
            return
        first, last = cols if self.flat else (rows[0] * pitch, rows[1] * pitch)
        self._merge((groups[0], groups[1], first, last))
        words = sum((g1 - g0) * (b - a) for g0, g1, a, b in self.pending)
        if words >= self.enough:
            self.flush()

    def _merge(self, new: tuple[int, int, int, int]) -> None:
        if self.pending:
            g0, g1, first, last = self.pending[-1]
            if (g0, g1) == new[:2] and last == new[2]:
                self.pending[-1] = (g0, g1, first, new[3])
                return
            if (first, last) == new[2:] and g1 == new[0]:
                self.pending[-1] = (g0, new[1], first, last)
                return
        self.pending.append(new)

    def flush(self) -> None:
        """Store what is pending."""
        view, plane = self.view, self.place.layout.plane
        whole = View(view.bank, view.word, plane, plane)
        for g0, g1, first, last in self.pending:
            for store in stores(self.stream.design, self.place, True, whole, (g0, g1), (0, 1), (first, last)):
                self.stream.op(store)
        self.pending.clear()

    def finish(self) -> None:
        """Store the rest."""
        self.flush()
        if not self.by_pieces:
            design, layout = self.stream.design, self.place.layout
            words = layout.words(design.rows)
            stride = stride_bytes(design.rows, design.beat_bytes)
            assert self.place.dram is not None
            for first in range(0, words, 1 << 15):
                self.stream.op(
                    row_of(
                        Store,
                        dram_addr=self.place.dram + first * stride,
                        src_addr=self.view.at(0, 0, 0) + first,
                        row_words=min(1 << 15, words - first),
                    )
                )


def residual_loads(
    design: Design, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range
) -> list[Row]:
    """LOADs of a residual operand into the place where the sum will be written."""
    source = word_source(design, place, flat)
    piece = Piece(
        groups, rows, source.columns(cols), view.bank, view.address(groups[0], rows[0], cols[0]), view.plane, view.pitch
    )
    return source.loads(piece)
