"""Operations of a chain: strip by strip, what the array makes is filtered round by round, and the last step reads it.

    for each strip of the depthwise output
        for each round of output tiles of the first step: make the rows under the strip; filter them
            behind the first one: the last step of the strip before

The last step is a strip behind, if two strips of the depthwise output have room: the array multiplies it while POST
filters, and POST has sums to requantise while the array begins the next strip.
"""

from __future__ import annotations

from accel.compiler.geometry import Range, split
from accel.compiler.lower.chunks import Round
from accel.compiler.lower.filter_write import FilterWriter
from accel.compiler.lower.matrix_write import MatrixWriter, Strip
from accel.compiler.ops import NO_TABLE
from accel.compiler.plan import Chain, Region
from accel.compiler.tensors import View


class ChainWriter:
    """Writes a chain's steps; `last` None: it ends with the depthwise step."""

    def __init__(self, chain: Chain, first: MatrixWriter, middle: FilterWriter, last: MatrixWriter | None) -> None:
        self.chain, self.first, self.middle, self.last = chain, first, middle, last
        self.stream, self.machine = first.stream, first.machine
        g = middle.geometry
        self.strips = split(g.out_h, chain.rows)
        self.columns = split(g.out_w, middle.task.most_pixels(self.machine, 1), middle.columns_align)
        self.rounds = first.rounds()
        first.by_blocks = True
        self.last_rounds: list[Round] = []

    def write(self) -> None:
        """Append the operations of all steps to the stream."""
        stream, last = self.stream, self.last
        made = self.rounds if last is None else [*self.rounds, *last.rounds()]
        writer_of = [self.first] * len(self.rounds) + [last or self.first] * (len(made) - len(self.rounds))
        words = [w.constants.chunk_words(c) for w, (_, chunks) in zip(writer_of, made, strict=True) for c in chunks]
        stream.weights.reserve(sum(words))  # so that neither step's overwrite the other's
        self._enter(self.first)
        g = self.middle.geometry
        taken = [Strip(g.read(0, rows), (0, g.in_w)) for rows in self.strips]
        self.first.begin(self.rounds, [(strip, *round_) for strip in taken for round_ in self.rounds])
        behind = len(self.chain.kept) > 1
        for at, strip in enumerate(taken):
            for number, (tiles, chunks) in enumerate(self.rounds):
                self._round(at, strip, tiles, chunks)
                if behind and at and number == 0:
                    self._project(at - 1)
            if not behind:
                self._project(at)
        if behind:
            self._project(len(taken) - 1)
        for writer in (self.middle, last):
            if writer and writer.w.storer:
                writer.w.storer.finish()

    def _round(self, at: int, strip: Strip, tiles: Range, chunks: list) -> None:
        """Some output tiles of a strip of the first step, and what the filter makes of them."""
        first, middle, machine = self.first, self.middle, self.machine
        channels = tiles[0] * machine.cols, min(first.weights.outputs, tiles[1] * machine.cols)
        groups = channels[0] // machine.word_lanes, -(-channels[1] // machine.word_lanes)
        made = _view(self.chain.made, strip.rows, middle.geometry.in_w, groups[0])
        self._enter(first)
        first.output_view = made
        first.strip(strip, tiles, chunks)
        self._enter(middle)
        middle.input_view = made
        rows = self.strips[at]
        if self.last:
            middle.output_view = self._kept(at)
        for cols in self.columns:
            middle.piece(groups, rows, cols)

    def _project(self, at: int) -> None:
        """A strip of the last step."""
        last, rows = self.last, self.strips[at]
        if last is None:
            return
        self._enter(last)
        if not self.last_rounds:
            self.last_rounds = last.rounds()
            strips = [Strip(of, (0, last.geometry.out_w)) for of in self.strips]
            last.begin(self.last_rounds, [(strip, *round_) for strip in strips for round_ in self.last_rounds])
        last.input_view = self._kept(at)
        for tiles, chunks in self.last_rounds:
            last.strip(Strip(rows, (0, last.geometry.out_w)), tiles, chunks)

    def _kept(self, at: int) -> View:
        """Where a strip of the depthwise output lies."""
        region = self.chain.kept[at % len(self.chain.kept)]
        return _view(region, self.strips[at], self.middle.geometry.out_w, 0)

    def _enter(self, writer: MatrixWriter | FilterWriter) -> None:
        """Operations are the writer's from now on: it configures the units, which drain, and names its table."""
        self.stream.new_layer(writer.plan.step.index)
        if isinstance(writer, FilterWriter):
            writer.table = self.stream.table_of(writer.requantise)
        else:
            writer.configured = writer.posted = None
            writer.table = NO_TABLE


def _view(region: Region, rows: Range, width: int, group: int) -> View:
    """Whole rows of some channel groups, from `group` on, without gaps."""
    return View(region.bank, region.word, width, (rows[1] - rows[0]) * width, group, rows[0], 0)
