"""Tensors while their steps are written down: loading what is not on chip yet, storing what must leave it."""

from __future__ import annotations

from typing import NamedTuple

from accel.compiler.geometry import Range
from accel.compiler.ops import Stream
from accel.compiler.parts import Part
from accel.compiler.plan import Place
from accel.compiler.sources import Piece, Source, WordSource
from accel.compiler.strobes import with_strobes
from accel.compiler.transfers import Row, Words, store_rows
from accel.layout import WordTensor
from accel.memories import ACTIVATION
from accel.rows import STORE

BANK = ACTIVATION.bank_words
FEW_WORDS = 4  # of a part's row: a command for them would cost more than the words between them


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


def region_view(view: View, part: Part | None, align: int) -> View:
    """A region of an output's ring in a part's own columns: it begins with the beat, of `align` words, of its first."""
    if part is None:
        return view
    step = part.step[1]
    return view._replace(word=view.word + (part.first[1] + view.col * step) % align, step=step)


def word_source(words: Words, place: Place, flat: bool, skips: int = 1) -> WordSource:
    """The tensor in DRAM, its pixels in one row if `flat`, otherwise every `skips`-th of its rows."""
    assert place.dram is not None
    layout = place.layout
    return WordSource(words, place.dram, layout.plane if flat else layout.row_pitch, layout.plane, skips)


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
        if end <= self.done and self.whole == len(self.items):
            return self.last
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


def stores(
    words: Words, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range,
    part: Part | None = None,
) -> list[Row]:  # fmt: skip
    """STOREs of a rectangle of some groups; `cols` starts on a beat, and its end is rounded up to one.

    Of a `part` of a layer, its own rows and columns from wherever.
    """
    if part:
        return _part_stores(words, place, part, view, groups, rows, cols)
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


def _part_stores(
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
            here += store_rows(words, dram, word, count, rows[1] - rows[0], far, view.pitch, beats.line)
        found += with_strobes(here, words, layout, place.dram)
        if beats.line > 1:
            for store in here:
                column = (store[STORE.dram_addr] - place.dram) // stride % layout.row_pitch
                store[STORE.line_at] = (column - beats.column) % beats.line
                store[STORE.line_words], store[STORE.gap_words] = beats.line, beats.line - 1
    return found


def residual_loads(
    words: Words, place: Place, flat: bool, view: View, groups: Range, rows: Range, cols: Range
) -> list[Row]:
    """LOADs of a residual operand into the place where the sum will be written."""
    source = word_source(words, place, flat)
    at = view.at(groups[0], rows[0], cols[0])
    return source.loads(Piece(groups, rows, source.columns(cols), at, view.plane, view.pitch))
