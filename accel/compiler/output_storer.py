"""What leaves while it is made: the network's output, in STOREs that are worth a command."""

from __future__ import annotations

from accel.compiler.geometry import Geometry, Range
from accel.compiler.ops import Stream
from accel.compiler.parts import Part
from accel.compiler.plan import Place
from accel.compiler.strobes import with_strobes
from accel.compiler.tensors import stores, view_of
from accel.compiler.transfers import STORE_RUN, Row, Words, store_words

ENOUGH = 8  # latencies of the memory: so many words are worth a STORE


class OutputStorer:
    """Stores the network's output from its place on chip while it is made, in runs of `enough` words or more.

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
                found = store_words(self.words, dram, at + first, min(STORE_RUN, words - first))
                self._store(with_strobes(found, self.words, self.place.layout, self.place.dram))
