"""Tensors while their steps are written down: loading what is not on chip yet, storing what must leave it."""

from __future__ import annotations

from typing import NamedTuple

from accel.compiler.geometry import Geometry, Range
from accel.compiler.ops import Stream
from accel.compiler.parts import Part
from accel.compiler.plan import Place
from accel.compiler.sources import Piece, Source, WordSource
from accel.compiler.strobes import with_strobes
from accel.compiler.transfers import STORE_RUN, Row, Words, store_rows, store_words
from accel.layout import WordTensor
from accel.memories import ACTIVATION
from accel.rows import STORE

BANK = ACTIVATION.bank_words
FEW_WORDS = 4  # of a part's row: a command for them would cost more than the words between them
ENOUGH = 8  # latencies of the memory: so many words are worth a STORE


class View(NamedTuple):
    """A tensor, or a piece of one, on chip. `row`, `col` and `group` are the coordinates of its first word.

    Columns are `step` words apart: those of a part of a layer, which has its own rows and columns.
    """

    bank: int
    word: int
    pitch: int
    plane: int
    group: int = 0
    row: int = 0
    col: int = 0
    step: int = 1

    def address(self, group: int, row: int, col: int) -> int:
        """Word of a pixel; it may lie before the bank's first."""
        row_at = self.word + (group - self.group) * self.plane + (row - self.row) * self.pitch
        return row_at + (col - self.col) * self.step

    def at(self, group: int, row: int, col: int) -> int:
        """Activation address of a pixel that exists."""
        return self.bank * BANK + self.address(group, row, col)

    def around(self, group: int, row: int, col: int) -> int:
        """Activation address of a pixel that may lie before the bank's first: addresses are modulo the bank."""
        return self.bank * BANK + self.address(group, row, col) % BANK


def view_of(place: Place, flat: bool) -> View:
    """A tensor on chip, its pixels in one row if `flat`."""
    assert place.region
    layout = place.layout
    pitch = layout.plane if flat else layout.row_pitch
    return View(place.region.bank, place.region.word, pitch, layout.plane)


def part_view(place: Place, part: Part | None, flat: bool) -> View:
    """The rows and columns of a tensor on chip that a part of its layer writes, in the part's own coordinates."""
    whole = view_of(place, flat)
    if part is None:
        return whole
    first = whole.word + part.first[0] * whole.pitch + part.first[1]
    return whole._replace(word=first, pitch=part.step[0] * whole.pitch, step=part.step[1])


def word_source(words: Words, place: Place, flat: bool) -> WordSource:
    """The tensor in DRAM, its pixels in one row if `flat`."""
    assert place.dram is not None
    layout = place.layout
    return WordSource(words, place.dram, layout.plane if flat else layout.row_pitch, layout.plane)


class InputLoader:
    """Brings the network's input on chip, from its first word to its last, as far as it has been asked for.

    Progress counts words of a plane, the same for all channel groups.
    """

    def __init__(self, stream: Stream, source: Source, place: Place, rows: int, align: int, by_rows: bool) -> None:
        self.stream, self.source, self.place, self.by_rows = stream, source, place, by_rows
        self.view = view_of(place, not by_rows)
        self.groups = (0, place.layout.groups(rows))
        self.unit = place.layout.row_pitch if by_rows else align
        self.at_once = not by_rows and place.layout.plane % align != 0
        self.done = 0
        self.items: list[tuple[int, int, dict[int, int]]] = []  # words of a plane, and by group the item with them
        self.whole, self.last = 0, -1  # pieces of which all groups are there, and the last item of these

    def need(self, end: int, groups: Range | None = None) -> int:
        """The item after which words 0..end of the planes of some channel groups (None: of all) are there.

        They are loaded as they are asked for: what reads the first groups begins before the last ones come.
        """
        layout = self.place.layout
        groups = self.groups if groups is None or self.at_once else groups
        end = layout.plane if self.at_once else min(layout.plane, -(-end // self.unit) * self.unit)
        if end > self.done:
            self.items.append((self.done, end, {}))
            self.done = end
        item = self.last
        for first, last, there in self.items[self.whole :]:
            if first >= end:
                break
            missing = [g for g in range(*groups) if g not in there]
            if missing:
                taken = (missing[0], missing[-1] + 1)
                there |= dict.fromkeys(range(*taken), self._load(first, last, taken))
            item = max([item, *(there[g] for g in range(*groups))])
        while self.whole < len(self.items) and len(self.items[self.whole][2]) == self.groups[1]:
            self.last = max([self.last, *self.items[self.whole][2].values()])
            self.whole += 1
        return item

    def _load(self, first: int, last: int, groups: Range) -> int:
        """The item of some words of the planes of some groups."""
        rows, cols = (0, 1), (first, last)
        if self.by_rows:
            rows, cols = (first // self.unit, last // self.unit), (0, self.place.layout.width)
        word = self.view.at(groups[0], 0, 0) + first
        piece = Piece(groups, rows, cols, word, self.place.layout.plane, self.view.pitch)
        return self.stream.item(self.source.loads(piece), True)

    def need_all(self) -> int:
        """The item after which all of it is there."""
        return self.need(self.place.layout.plane)


def stores(words: Words, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range) -> list[Row]:
    """STOREs of a rectangle of some groups; `cols` starts on a beat, and its end is rounded up to one."""
    assert place.dram is not None
    layout, align, stride = place.layout, words.per_beat, words.stride_bytes
    pitch = layout.plane if flat else layout.row_pitch
    x0, x1 = cols[0], min(pitch, -(-cols[1] // align) * align)
    (g0, g1), (y0, y1) = groups, rows
    dram, word = place.dram + (g0 * layout.plane + y0 * pitch + x0) * stride, view.at(g0, y0, x0)
    whole_rows = x0 == 0 and x1 == pitch == view.pitch
    found = []
    if whole_rows or y1 - y0 == 1:
        count = (y1 - y0) * pitch if whole_rows else x1 - x0
        found = store_rows(words, dram, word, count, g1 - g0, layout.plane, view.plane)
    else:
        for g in range(g1 - g0):
            at = dram + g * layout.plane * stride
            found += store_rows(words, at, word + g * view.plane, x1 - x0, y1 - y0, pitch, view.pitch)
    return with_strobes(found, words, layout, place.dram)


class Beats(NamedTuple):
    """Columns from `begin` up to `end` of a row, whole beats: of every `line` words the one at `column` is written."""

    begin: int
    end: int
    line: int
    column: int


def part_beats(layout: WordTensor, align: int, step: int, first: int, last: int) -> list[Beats]:
    """The beats in which columns `first`, `first` + `step`, ... `last` of a row lie; beats have `align` words.

    The first and the last beat may have words before or behind these that `line` would take for columns, also behind
    the row's last: there each column is written alone.
    """
    begin, end = first // align * align, min(layout.row_pitch, (last // align + 1) * align)
    whole_row = step == 1 and last == layout.width - 1  # what is behind has no strobes, as in every STORE
    alone: list[int] = []
    if first - step >= begin:
        begin += align
        alone += range(first, min(begin, last + 1), step)
    if end > begin and last + step < end and not whole_row:
        end -= align
        alone += range(first + max(0, -((first - end) // step)) * step, last + 1, step)
    found = [Beats(begin, end, step, first)] if begin < end else []
    return found + [Beats(at // align * align, (at // align + 1) * align, align, at) for at in alone]


def part_stores(
    words: Words, place: Place, part: Part, view: View, groups: Range, rows: Range, cols: Range
) -> list[Row]:
    """STOREs of a rectangle of some groups of a part: whole beats, of which only the part's own words are written.

    Where a word is a beat or more, words that are far apart are rows of their own: a burst costs a cycle more than its
    beats.
    """
    assert place.dram is not None
    layout, stride, (step_y, step_x) = place.layout, words.stride_bytes, part.step
    first, last = part.first[1] + cols[0] * step_x, part.first[1] + (cols[1] - 1) * step_x
    found = []
    if words.per_beat == 1 and step_x * words.beats > words.beats + 1 and cols[1] - cols[0] >= FEW_WORDS:
        for g in range(*groups):
            for row in range(*rows):
                at = g * layout.plane + (part.first[0] + row * step_y) * layout.row_pitch + first
                dram, word = place.dram + at * stride, view.at(g, row, cols[0])
                found += store_rows(words, dram, word, 1, cols[1] - cols[0], step_x, view.step)
        return with_strobes(found, words, layout, place.dram)
    for beats in part_beats(layout, words.per_beat, step_x, first, last):
        here = []
        for g in range(*groups):
            at = g * layout.plane + (part.first[0] + rows[0] * step_y) * layout.row_pitch + beats.begin
            word, dram = view.at(g, rows[0], cols[0]) - (first - beats.begin), place.dram + at * stride
            count, far = beats.end - beats.begin, step_y * layout.row_pitch
            here += store_rows(words, dram, word, count, rows[1] - rows[0], far, view.pitch)
        found += with_strobes(here, words, layout, place.dram)
        if beats.line > 1:
            for store in here:
                column = (store[STORE.dram_addr] - place.dram) // stride % layout.row_pitch
                store[STORE.line_at] = (column - beats.column) % beats.line
                store[STORE.line_words], store[STORE.gap_words] = beats.line, beats.line - 1
    return found


class OutputStorer:
    """Stores the network's output from its place on chip while it is made, in runs that are worth a command.

    If rows do not start on beats, all is stored at the end. Of a layer in parts the last one has the storer: with its
    rows those of the others are complete. `geometry` is the step's.
    """

    def __init__(
        self, stream: Stream, words: Words, place: Place, flat: bool, rows: int, part: Part | None, geometry: Geometry
    ) -> None:
        self.part, self.geometry = part, geometry
        self.stream, self.words, self.place, self.flat, self.rows = stream, words, place, flat, rows
        self.by_pieces = place.layout.row_pitch % words.per_beat == 0
        self.view = view_of(place, flat)
        self.enough = ENOUGH * stream.design.memory.latency_cycles
        self.pending: list[tuple[int, int, int, int]] = []  # groups and words of the planes

    def done(self, groups: Range, rows: Range, cols: Range) -> None:
        """These pixels of the step are complete, of these groups."""
        if not self.by_pieces or groups[0] >= groups[1]:
            return
        if self.part:
            layout, align = self.place.layout, self.words.per_beat
            rows = self._complete(0, rows, self.geometry.out_h, layout.height, 1)
            cols = self._complete(1, cols, self.geometry.out_w, layout.width, align)
        pitch = self.view.pitch
        if not self.flat and cols[1] - cols[0] < self.place.layout.width:
            self._store(stores(self.words, self.place, self.flat, self.view, groups, rows, cols))
            return
        first, last = cols if self.flat else (rows[0] * pitch, rows[1] * pitch)
        self._merge((groups[0], groups[1], first, last))
        if sum((g1 - g0) * (b - a) for g0, g1, a, b in self.pending) >= self.enough:
            self.flush()

    def _complete(self, axis: int, done: Range, of: int, size: int, align: int) -> Range:
        """Rows or columns of the tensor that are complete with `done`, of the `of` that its last part has."""
        assert self.part
        first, step = self.part.first[axis], self.part.step[axis]
        low, high = ((first + at * step) // align * align for at in done)
        return low if done[0] else 0, high if done[1] < of else size

    def _merge(self, new: tuple[int, int, int, int]) -> None:
        """Put what is complete to what is pending, or to its end."""
        if self.pending:
            g0, g1, first, last = self.pending[-1]
            if (g0, g1) == new[:2] and last == new[2]:
                self.pending[-1] = (g0, g1, first, new[3])
                return
            if (first, last) == new[2:] and g1 == new[0]:
                self.pending[-1] = (g0, new[1], first, last)
                return
        self.pending.append(new)

    def _store(self, rows: list[Row]) -> None:
        for row in rows:
            self.stream.op(row)

    def flush(self) -> None:
        """Store what is pending."""
        plane = self.place.layout.plane
        whole = self.view._replace(pitch=plane)
        for g0, g1, first, last in self.pending:
            self._store(stores(self.words, self.place, True, whole, (g0, g1), (0, 1), (first, last)))
        self.pending.clear()

    def finish(self) -> None:
        """Store the rest."""
        self.flush()
        if not self.by_pieces:
            assert self.place.dram is not None
            words, at = self.place.layout.words(self.rows), self.view.at(0, 0, 0)
            for first in range(0, words, STORE_RUN):
                dram = self.place.dram + first * self.words.stride_bytes
                stores = store_words(self.words, dram, at + first, min(STORE_RUN, words - first))
                self._store(with_strobes(stores, self.words, self.place.layout, self.place.dram))


def residual_loads(
    words: Words, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range
) -> list[Row]:
    """LOADs of a residual operand into the place where the sum will be written."""
    source = word_source(words, place, flat)
    at = view.at(groups[0], rows[0], cols[0])
    return source.loads(Piece(groups, rows, source.columns(cols), at, view.plane, view.pitch))
