"""Operations of a matrix step: loops over strips, blocks and chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from accel.compiler.geometry import Geometry, Range, split, split_with_ends
from accel.compiler.lower.chunks import Round, patch_chunks, rounds
from accel.compiler.lower.constants import Constants
from accel.compiler.lower.lowering import Writing
from accel.compiler.lower.matrix_commands import (
    Block,
    compute,
    compute_template,
    config_compute,
    config_post,
    post,
    post_template,
)
from accel.compiler.lower.matrix_task import Task, Tiling, piece_words, region_words
from accel.compiler.lower.resident_weights import ResidentWeights
from accel.compiler.lower.taper import Chunk
from accel.compiler.ops import NO_TABLE, Facts
from accel.compiler.ring import Ring
from accel.compiler.sources import Piece
from accel.compiler.tensors import View, part_view, region_view, residual_loads, stores, view_of
from accel.compiler.transfers import Row
from accel.rows import COMPUTE, POST


class Strip(NamedTuple):
    """Output rows and columns whose input is brought in at once."""

    rows: Range
    cols: Range


Visit = tuple[Strip, Range, list[Chunk]]  # of some output tiles of a strip, and the COMPUTEs of each of its blocks


def write(w: Writing) -> None:
    """Append the step's operations to the stream."""
    MatrixWriter(w).write()


class MatrixWriter:
    """Writes one matrix step."""

    def __init__(self, w: Writing) -> None:
        assert w.weights
        plan, step = w.plan, w.plan.step
        self.w, self.stream, self.plan, self.weights = w, w.stream, plan, w.weights
        self.tiling: Tiling = plan.tiling
        self.task: Task = plan.task
        self.machine, self.geometry, self.requantise = plan.machine, plan.geometry, step.requantise
        self.residual, self.source, self.loader, self.storer = step.layer.residual, w.source, w.loader, w.storer
        self.in_ring, self.out_ring = Ring.of(plan.in_ring), Ring.of(plan.out_ring)
        self.words = w.stream.activation_words
        self.constants = self.constants_of(step.index)
        self.constants.trimmed = self.tiling.trimmed
        self.input_place, self.output_place = w.places[step.input], w.places[step.output]
        self.added = w.places[step.residual] if step.residual else None
        self.out_groups = self.machine.out_groups(self.weights.tiles, self.weights.outputs)
        self.input_view = view_of(self.input_place, plan.flat) if self.in_ring is None else None
        if self.input_view and self.geometry.deep:
            self.input_view = self.input_view._replace(pitch=1, plane=1)
        self.part = step.part
        self.output_view = part_view(self.output_place, step.part, plan.flat) if self.output_place.region else None
        self.added_view = view_of(self.added, plan.flat) if self.added and self.added.region else None
        tiles, machine = self.tiling.block_tiles, self.machine
        self.aligned = tiles >= self.weights.tiles or tiles * machine.cols % machine.word_lanes == 0
        self.by_groups = self.task.by_groups(machine)
        self.table = NO_TABLE
        self.written, self.left = 0, 0  # chunks that are written, and those that are still to be
        self.templates: dict[Chunk, Row] = {}
        self.post_templates: dict[Range, tuple[Range, Row]] = {}
        self.blocks: dict[Strip, list[Block]] = {}
        self.configured: tuple[int, int, int] | None = None  # plane and pitch of the input, kernel rows
        self.by_blocks = False  # rows of a strip's input come as blocks need them, not all at once
        self.loaded = 0, -1  # rows of the last piece that are declared, the item with the last of them
        self.posted: tuple[int, int, int, int] | None = None  # height and width of the block, plane and pitch

    def constants_of(self, key: int) -> Constants:
        """What brings the layer's constants on chip."""
        if self.tiling.patches and ResidentWeights.possible(self.stream, self.machine, self.weights):
            return ResidentWeights(self.stream, self.machine, self.weights, self.requantise, key)
        return Constants(self.stream, self.machine, self.weights, self.requantise, key)

    def write(self) -> None:
        """Append the step's operations to the stream."""
        tiling = self.tiling
        if self.storer:
            self.storer.enough = tiling.run * self.stream.design.memory.latency_cycles
        order = self._patches() if tiling.patches else self._strips()
        for at, (strip, tiles, chunks) in enumerate(order):
            last = at == len(order) - 1 or not tiling.patches
            if self.storer and tiles[1] - tiles[0] == 1 and last:
                self.storer.flush()  # so that little is left to store at the end
            self.strip(strip, tiles, chunks)
        if self.storer:
            self.storer.finish()

    def _strips(self) -> list[Visit]:
        """Strips and rounds that are alike, but perhaps for the ends, in order."""
        height, width = self.geometry.pooled
        tiling, align = self.tiling, self.task.out_align
        ends = tiling.first, tiling.last
        rows_ends, cols_ends = ((0, 0), ends) if height == 1 else (ends, (0, 0))
        strips = [
            Strip(rows, cols)
            for rows in split_with_ends(height, tiling.strip[0], *rows_ends)
            for cols in split_with_ends(width, tiling.strip[1], *cols_ends, align)
        ]
        last = self.storer is not None and self.in_ring is None and self.residual is None
        made = self.rounds(last)
        if self.tiling.strips_outside:
            order = [(strip, tiles, chunks) for strip in strips for tiles, chunks in made]
        else:
            order = [(strip, tiles, chunks) for tiles, chunks in made for strip in strips]
        self.begin(made, order)
        return order

    def _patches(self) -> list[Visit]:
        """The patches in order, each a strip of one block."""
        order = []
        for patch in self.tiling.patches:
            chunks = patch_chunks(patch, self.weights)
            if isinstance(self.constants, ResidentWeights):
                chunks = self.constants.computes(chunks)
            strip = Strip(patch.rows, patch.cols)
            self.blocks[strip] = [Block.of(self.geometry, patch.rows, patch.cols)]
            order.append((strip, patch.tiles, chunks))
        distinct = dict.fromkeys(chunk for _, _, chunks in order for chunk in chunks)
        self.begin([((0, self.weights.tiles), list(distinct))], order)
        return order

    def rounds(self, last: bool = False) -> list[Round]:
        """The order in which weights are used; `last` as of `accel.compiler.lower.chunks.rounds`."""
        return rounds(self.machine, self.task, self.tiling, self.weights, self.stream.taper, last)

    def begin(self, made: list[Round], order: Sequence[Visit]) -> None:
        """Declare what comes before the rounds `made`, which are to be written in this order."""
        self.left = sum(len(chunks) * len(self._blocks(strip)) for strip, _, chunks in order)
        visits = (chunk for strip, _, chunks in order for _ in self._blocks(strip) for chunk in chunks)
        self.constants.begin([chunk for _, chunks in made for chunk in chunks], visits)
        for _, chunks in made:
            for chunk in chunks:
                self.templates[chunk] = compute_template(self.weights, chunk, self.constants.codebook)

    def _blocks(self, strip: Strip) -> list[Block]:
        found = self.blocks.get(strip)
        if found is None:
            (y0, y1), (x0, x1) = strip
            found = self.blocks[strip] = [
                Block.of(self.geometry, (y0 + rows[0], y0 + rows[1]), (x0 + cols[0], x0 + cols[1]))
                for rows in split(y1 - y0, self.tiling.block[0])
                for cols in split(x1 - x0, self.tiling.block[1], self.task.out_align)
            ]
        return found

    def strip(self, strip: Strip, tiles: Range, chunks: list[Chunk]) -> None:
        """All blocks of a strip, for some output tiles."""
        region: View | None = None
        if self.out_ring and not self.tiling.output_by_block:
            region = self._strip_region(self.out_ring, strip, tiles)
        for block in self._blocks(strip):
            bank = self.stream.next_bank()
            self._computes(strip, block, chunks, tiles[0], bank)
            self._post(block, tiles, bank, region)
        if region and tiles[1] == self.weights.tiles:
            self._store(region, (0, self.out_groups), strip.rows, strip.cols)

    def _computes(self, strip: Strip, block: Block, chunks: list[Chunk], first_tile: int, bank: int) -> None:
        """A COMPUTE for each chunk; the sums of `first_tile` lie at the beginning of the bank."""
        padded, codebook_item, append = self.geometry.padded, self.constants.codebook_item, self.stream.append
        plane, end = self.machine.plane(block.height * block.width), self._end(block)
        for chunk in chunks:
            (n0, _), groups = chunk
            by_rows = self.written < self.tiling.by_rows or 0 < self.left <= self.tiling.ends_by_rows
            self.written, self.left = self.written + 1, self.left - 1
            first_sum = (n0 - first_tile) * plane if n0 > first_tile else 0
            if by_rows and self._kernel_rows(strip, block, chunk, bank, first_sum):
                continue
            weight_addr, item = self.constants.chunk(chunk)
            if self.geometry.places:
                self._by_planes(strip, block, chunk, weight_addr, item, bank, first_sum)
                continue
            view, input_item = self._input(strip, block, groups, end)
            self._configure(self.geometry, view)
            act_addr = view.around(groups[0], block.iy0, block.ix0)
            made = compute(self.templates[chunk], block, padded, act_addr, weight_addr, bank, first_sum)
            # `max` takes longer.
            item = input_item if input_item > item else item
            append(made, codebook_item if codebook_item > item else item, self.finish(made, chunk, block))

    def _by_planes(
        self, strip: Strip, block: Block, chunk: Chunk, weight_addr: int, item: int, bank: int, first_sum: int
    ) -> None:
        """A COMPUTE for each tile and channel group of a chunk: what groups read is not a plane apart."""
        (n0, n1), (g0, g1) = chunk
        size, plane = self.weights.words(1, 1), self.machine.plane(block.height * block.width)
        for g in range(g0, g1):
            at, row = self.geometry.places[g]
            view, input_item = self._input(strip, block, (at, at + 1), self._end(block, row))
            self._configure(self.geometry, view)
            act_addr = view.around(at, block.iy0 + row, block.ix0)
            for n in range(n0, n1):
                one = (n, n + 1), (g, g + 1)
                if one not in self.templates:
                    self.templates[one] = compute_template(self.weights, one, self.constants.codebook)
                weights_at = weight_addr + ((n - n0) * (g1 - g0) + g - g0) * size
                sums_at = first_sum + (n - n0) * plane
                made = compute(self.templates[one], block, False, act_addr, weights_at, bank, sums_at)
                self.stream.op(made, (item, input_item, self.constants.codebook_item))

    def _configure(self, g: Geometry, view: View) -> None:
        """For COMPUTEs that read an input that lies as `view` says."""
        if self.configured != (view.plane, view.pitch, g.kernel[0]):
            self.configured = view.plane, view.pitch, g.kernel[0]
            self.stream.configure(config_compute(g, view, self.plan.flat, self.w.input.zero_point))

    def _input(self, strip: Strip, block: Block, groups: Range, end: int) -> tuple[View, int]:
        """What a block reads of some channel groups, and the item that brings it; `end` as `_end` gives it."""
        return self._resident(groups, end) if self.in_ring is None else self._piece(self.in_ring, strip, block, groups)

    def _kernel_rows(self, strip: Strip, block: Block, chunk: Chunk, bank: int, first_sum: int) -> bool:
        """A COMPUTE for each kernel row of a chunk, which begins when that row is there; whether it can be."""
        rows = self.constants.kernel_rows(chunk)
        if rows is None:
            return False
        g, groups, view, input_item = self.geometry, chunk[1], None, -1
        one = replace(g, kernel=(1, g.kernel[1]))
        for row, (weight_addr, weight_item) in enumerate(rows):
            if view is None:
                view, input_item = self._input(strip, block, groups, self._end(block))
                self._configure(one, view)
            here = block._replace(iy0=block.iy0 + row * g.dilation[0])
            act_addr = view.around(groups[0], here.iy0, here.ix0)
            made = compute(self.templates[chunk], here, g.padded, act_addr, weight_addr, bank, first_sum)
            made[COMPUTE.accumulate] |= int(row > 0)
            self.stream.op(made, (weight_item, input_item, self.constants.codebook_item))
        return True

    def finish(self, made: Row, chunk: Chunk, block: Block) -> Facts | None:
        """What else an engine says in a COMPUTE, and what its time depends on besides."""
        return None

    def _end(self, block: Block, lower: int = 0) -> int:
        """Words of each plane that must have been loaded for a block, `lower` rows more; 0: none are loaded so."""
        if self.loader is None or self.input_view is None or self.geometry.deep:
            return 0
        last_row = self.geometry.read(0, block.made_rows)[1] + lower
        last_col = self.geometry.read(1, block.made_cols)[1]
        return last_col if self.plan.flat else last_row * self.input_view.pitch

    def _resident(self, groups: Range, end: int) -> tuple[View, int]:
        """The whole input on chip, and the item that brings the first words, to `end`, of some channel groups."""
        view = self.input_view
        assert view
        if self.loader is None:
            return view, -1
        if self.geometry.deep:
            return view, self.loader.need_all()
        first = self.plan.step.source.group
        taken = (first + groups[0], first + groups[1]) if self.by_groups else None
        return view, self.loader.need(end, taken)

    def _piece(self, ring: Ring, strip: Strip, block: Block, groups: Range) -> tuple[View, int]:
        """The piece of the input that holds what the strip reads, and the item that brings that or the block's part."""
        assert self.source
        g = self.geometry
        taken = groups if self.tiling.split_input else self._strip_groups(groups)
        rows = g.read(0, g.made(0, strip.rows))
        cols = self.source.columns(g.read(1, g.made(1, strip.cols)))
        words, height, pitch = piece_words(self.machine, self.task, self.tiling.strip, taken[1] - taken[0])
        key = (strip, taken)
        found = ring.find(key)
        word, item = found or (ring.take(words, key, self.stream.item_count), self.stream.item_count)
        view = View(ring.bank, word, pitch, height * pitch, taken[0], rows[0], cols[0])
        if not found:
            self.loaded = rows[0], item
        if self.by_blocks:
            rows = self.loaded[0], g.read(0, block.made_rows)[1]
            item = self.loaded[1] if rows[1] <= rows[0] else self.stream.item_count
        if rows[0] < rows[1] and item == self.stream.item_count:
            at = view.at(taken[0], rows[0], cols[0])
            if g.places:
                self.stream.item(self._planes(view, taken, rows, cols, self.loaded[0] > view.row), True)
            else:
                self.stream.item(self.source.loads(Piece(taken, rows, cols, at, view.plane, pitch)), True)
            self.loaded = rows[1], item
        return view, item

    def _planes(self, view: View, planes: Range, rows: Range, cols: Range, more: bool) -> list[Row]:
        """The LOADs of rows of planes; `more`: of those that this piece has already, the lower rows are there too."""
        assert self.source
        found = []
        for plane in range(*planes):
            lower = self.geometry.lower_rows[plane]
            first, last = rows[0] + (lower if more else 0), rows[1] + lower
            at = view.at(plane, first, cols[0])
            found += self.source.loads(Piece((plane, plane + 1), (first, last), cols, at, view.plane, view.pitch))
        return found

    def _strip_groups(self, groups: Range) -> Range:
        """All channel groups that a strip's input has; only those of a tile that reads `groups` in a grouped layer."""
        if self.geometry.places:
            return 0, len(self.geometry.lower_rows)
        if not self.task.grouped:
            return 0, self.weights.groups
        return next((low, high) for low, high in self.weights.reach if low <= groups[0] and groups[1] <= high)

    def _strip_region(self, ring: Ring, strip: Strip, tiles: Range) -> View:
        """The output region of a strip with all channel groups: taken with its first tiles."""
        size = (strip.rows[1] - strip.rows[0], strip.cols[1] - strip.cols[0])
        words, pitch = region_words(self.task, size, self.out_groups)
        found = ring.find(strip) if tiles[0] else None
        word = found[0] if found else ring.take(words, strip, -1)
        view = View(ring.bank, word, pitch, size[0] * pitch, 0, strip.rows[0], strip.cols[0])
        return region_view(view, self.part, self.task.out_align)

    def _post(self, block: Block, tiles: Range, bank: int, region: View | None) -> None:
        """Requantise the sums of a block, and store them if they do not stay."""
        uniform = self.task.uniform
        if tiles not in self.post_templates:
            self.post_templates[tiles] = post_template(self.machine, self.weights.outputs, tiles, uniform)
        groups, template = self.post_templates[tiles]
        view, owned = self._output(block, groups, region)
        at = view.at(groups[0], block.rows[0], block.cols[0])
        param_addr, item = (0, -1) if uniform else self.constants.records(tiles)
        needs, res_addr = [item], None
        if self.added_view:
            at_pixel = (0, 0) if self.w.one_pixel else (block.rows[0], block.cols[0])
            res_addr = self.added_view.at(groups[0], *at_pixel)
        elif self.added:
            res_addr = at
            if self.aligned or tiles[0] == 0:
                reach = groups if self.aligned else (0, self.out_groups)
                loads = residual_loads(self.words, self.added, self.plan.flat, view, reach, block.rows, block.cols)
                needs.append(self.stream.item(loads, True))
        if self.table is NO_TABLE:
            self.table = self.stream.table_of(self.requantise)
        posted = (block.height, block.width, view.plane, view.pitch)
        if self.posted != posted:
            self.posted, zero, flat = posted, self.w.residual_zero_point, self.plan.flat
            plane = self.machine.plane(block.height * block.width)
            self.stream.configure(
                config_post(self.geometry, self.requantise, self.residual, zero, block, view, flat, plane, self.table)
            )
        made = post(template, self.geometry, block, bank, at, param_addr, res_addr, view.step)
        if self.added_view and self.w.one_pixel:
            made[POST.res_plane] = self.added_view.plane
        self.stream.post(made, [*needs, *self.table.needs])
        if owned:
            self._store(view, groups, block.rows, block.cols)
        if self.storer:
            made_groups = min(self.weights.outputs, tiles[1] * self.machine.cols) // self.machine.word_lanes
            last = self.out_groups if tiles[1] == self.weights.tiles else made_groups
            self.storer.done((groups[0], last), block.rows, block.cols)
        if self.w.done and self.w.done(tiles, block.rows, block.cols):
            self.posted = self.configured = None

    def _output(self, block: Block, groups: Range, region: View | None) -> tuple[View, bool]:
        """Where the block's output goes; whether it is the block's own region, to be stored at once."""
        if self.output_view:
            return self.output_view, False
        if region:
            return region, False
        assert self.out_ring
        size = (block.rows[1] - block.rows[0], block.cols[1] - block.cols[0])
        words, pitch = region_words(self.task, size, groups[1] - groups[0])
        word = self.out_ring.take(words, None, -1)
        view = View(self.out_ring.bank, word, pitch, size[0] * pitch, groups[0], block.rows[0], block.cols[0])
        return region_view(view, self.part, self.task.out_align), True

    def _store(self, view: View, groups: Range, rows: Range, cols: Range) -> None:
        for row in stores(self.words, self.output_place, self.plan.flat, view, groups, rows, cols, self.part):
            self.stream.op(row)
