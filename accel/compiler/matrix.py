"""Operations of a matrix layer: loops over strips, blocks and chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accel.commands import ACCUMULATOR_BANK, Compute, ConfigCompute, ConfigPost, Post
from accel.compiler.constants import Constants
from accel.compiler.geometry import Range, split
from accel.compiler.memory_plan import Place, StepPlan
from accel.compiler.ops import Ring, Row, Stream, activation_address
from accel.compiler.sources import Piece, Source
from accel.compiler.taper import Chunk, tapered
from accel.compiler.tensors import InputLoader, OutputStorer, View, residual_loads, stores
from accel.compiler.tiling import LARGEST_GROUPS, Task, Tiling, most_tiles, piece_words, region_words
from accel.compiler.weights import LayerWeights
from accel.models.integers.network import MatrixLayer
from accel.rows import row_of

UNBOUNDED = 4095  # in_h and in_w of an input that no window leaves


@dataclass(frozen=True)
class Block:
    """Output rows and columns of a block, and those of the convolution under them."""

    rows: Range
    cols: Range
    made_rows: Range
    made_cols: Range

    @property
    def height(self) -> int:
        """Rows of the convolution."""
        return self.made_rows[1] - self.made_rows[0]

    @property
    def width(self) -> int:
        """Columns of the convolution."""
        return self.made_cols[1] - self.made_cols[0]

    @property
    def pixels(self) -> int:
        """Accumulator words for one output tile."""
        return self.height * self.width


@dataclass(frozen=True)
class Strip:
    """Output rows and columns whose input is brought in at once."""

    rows: Range
    cols: Range


@dataclass
class MatrixWriter:
    """Writes one matrix step. `source` is the input in DRAM if it is streamed, `loader` if it is loaded whole."""

    stream: Stream
    plan: StepPlan
    weights: LayerWeights
    places: dict[str, Place]
    pad_value: int
    residual_zero_point: int
    source: Source | None
    loader: InputLoader | None
    storer: OutputStorer | None

    def __post_init__(self) -> None:
        plan = self.plan
        assert isinstance(plan.tiling, Tiling)
        assert isinstance(plan.task, Task)
        assert isinstance(plan.step.layer, MatrixLayer)
        self.design, self.machine = self.stream.design, plan.machine
        self.tiling, self.task, self.layer = plan.tiling, plan.task, plan.step.layer
        self.geometry, self.requantise = plan.geometry, plan.step.requantise
        self.in_ring = Ring.of(plan.in_ring) if plan.in_ring else None
        self.out_ring = Ring.of(plan.out_ring) if plan.out_ring else None
        self.constants = Constants(
            self.stream, self.machine, self.weights, self.requantise, self.geometry.taps, plan.step.index
        )

    def write(self) -> None:
        """Append the step's operations to the stream."""
        height, width = self.geometry.pooled
        strips = [
            Strip(rows, cols)
            for rows in split(height, self.tiling.strip[0])
            for cols in split(width, self.tiling.strip[1], self.task.out_align)
        ]
        rounds = self._rounds()
        self.constants.begin([chunk for _, chunks in rounds for chunk in chunks])
        if self.tiling.strips_outside:
            order = [(strip, tiles, chunks) for strip in strips for tiles, chunks in rounds]
        else:
            order = [(strip, tiles, chunks) for tiles, chunks in rounds for strip in strips]
        for strip, tiles, chunks in order:
            if self.storer and tiles[1] - tiles[0] == 1:
                self.storer.flush()  # so that little is left to store at the end
            self._strip(strip, tiles, chunks)
        if self.storer:
            self.storer.finish()

    def _rounds(self) -> list[tuple[Range, list[Chunk]]]:
        """Blocks of output tiles, and their chunks. At the end of a program that waits for weights, chunks shrink."""
        tiles, size, g = self.weights.tiles, self.tiling.block_tiles, self.geometry
        load = g.taps * self.design.rows * self.weights.bits / 8 * self.machine.weight_cycles
        compute = g.taps * self.machine.tile_cycles(g.out_h * g.out_w)
        once = (g.out_h, g.out_w) == self.tiling.block and self.layer.groups == 1 and tiles > 1
        resident = self.storer and not self.in_ring and not self.layer.residual
        if compute > load or not once or not resident:
            return [(block, self._chunks(block)) for block in split(tiles, size)]
        extra = 2 * self.machine.command_cycles + 1
        largest = max(1, self.machine.weights // 4 // self.machine.chunk_words(g.taps, self.weights.bits, 1, 1))
        largest = min(largest, LARGEST_GROUPS)
        size = most_tiles(self.machine, self.task, g.out_h * g.out_w)
        chunks = tapered(tiles, self.weights.groups, load, compute, extra, largest, size, self.stream.taper)
        rounds: list[tuple[Range, list[Chunk]]] = []
        for n, groups in chunks:
            first = rounds[-1][0][0] if rounds else 0
            if rounds and (n[0] < rounds[-1][0][1] or (n[0] < tiles - 1 and n[1] - first <= size)):
                rounds[-1] = ((first, n[1]), [*rounds[-1][1], (n, groups)])
            else:
                rounds.append((n, [(n, groups)]))
        return rounds

    def _chunks(self, tiles: Range) -> list[Chunk]:
        """Tiles and channel groups of the COMPUTEs of a block, channel groups outermost."""
        low, high = self.weights.reach(tiles[0])
        found = []
        for g in split(high - low, self.tiling.chunk_groups):
            for n in split(tiles[1] - tiles[0], self.tiling.chunk_tiles):
                found.append(((tiles[0] + n[0], tiles[0] + n[1]), (low + g[0], low + g[1])))
        return found

    def _blocks(self, strip: Strip) -> Iterator[Block]:
        (y0, y1), (x0, x1) = strip.rows, strip.cols
        for rows in split(y1 - y0, self.tiling.block[0]):
            for cols in split(x1 - x0, self.tiling.block[1], self.task.out_align):
                out_rows, out_cols = (y0 + rows[0], y0 + rows[1]), (x0 + cols[0], x0 + cols[1])
                yield Block(out_rows, out_cols, self.geometry.made(0, out_rows), self.geometry.made(1, out_cols))

    def _strip(self, strip: Strip, tiles: Range, chunks: list[Chunk]) -> None:
        region: View | None = None
        if self.out_ring and not self.tiling.output_by_block:
            region = self._strip_region(self.out_ring, strip, tiles)
        for block in self._blocks(strip):
            bank = self.stream.next_bank()
            for chunk in chunks:
                self._compute(strip, block, chunk, tiles, bank)
            self._post(block, tiles, bank, region)
        if region and tiles[1] == self.weights.tiles:
            self._store(region, (0, self._out_groups()), strip.rows, strip.cols)

    def _out_groups(self) -> int:
        return self.machine.out_groups(self.weights.tiles, self.weights.outputs)

    def _strip_region(self, ring: Ring, strip: Strip, tiles: Range) -> View:
        """The output region of a strip with all channel groups: taken with its first tiles."""
        size = (strip.rows[1] - strip.rows[0], strip.cols[1] - strip.cols[0])
        words, pitch = region_words(self.task, size, self._out_groups())
        found = ring.find(strip) if tiles[0] else None
        word = found[0] if found else ring.take(words, strip, -1)
        return View(ring.bank, word, pitch, size[0] * pitch, 0, strip.rows[0], strip.cols[0])

    def _input(self, strip: Strip, block: Block, groups: Range) -> tuple[View, int]:
        """The view that holds the block's input, and the item that brings it."""
        g, plan = self.geometry, self.plan
        if self.in_ring is None:
            place = self.places[plan.step.input]
            assert place.region
            layout = place.layout
            pitch = layout.plane if plan.flat else layout.row_pitch
            item = -1
            if self.loader:
                last_row, last_col = g.read(0, block.made_rows)[1], g.read(1, block.made_cols)[1]
                item = self.loader.need(last_col if plan.flat else last_row * pitch)
            return View(place.region.bank, place.region.word, pitch, layout.plane), item
        assert self.source
        taken = groups if self.tiling.split_input else self._strip_groups(groups)
        rows = g.read(0, (g.made(0, strip.rows)))
        cols = self.source.columns(g.read(1, g.made(1, strip.cols)))
        words, height, pitch = piece_words(self.machine, self.task, self.tiling.strip, taken[1] - taken[0])
        key = (strip, taken)
        found = self.in_ring.find(key)
        item = found[1] if found else self.stream.item_count
        word = found[0] if found else self.in_ring.take(words, key, item)
        view = View(self.in_ring.bank, word, pitch, height * pitch, taken[0], rows[0], cols[0])
        if not found:
            piece = Piece(taken, rows, cols, view.bank, word, view.plane, pitch)
            self.stream.item(self.source.loads(piece), True)
        return view, item

    def _strip_groups(self, groups: Range) -> Range:
        """All channel groups that a strip's input has; only the tile's own when the layer is grouped."""
        return (0, self.weights.groups) if self.layer.groups == 1 else self._reach_of(groups)

    def _reach_of(self, groups: Range) -> Range:
        """The reach of the tile that a grouped layer's chunk belongs to."""
        for tile in range(self.weights.tiles):
            low, high = self.weights.reach(tile)
            if low <= groups[0] and groups[1] <= high:
                return low, high
        raise AssertionError(groups)

    def _compute(self, strip: Strip, block: Block, chunk: Chunk, block_tiles: Range, bank: int) -> None:
        tiles, groups = chunk
        weight_address, weight_item = self.constants.chunk(chunk)
        view, input_item = self._input(strip, block, groups)
        g, rows = self.geometry, self.design.rows
        iy0 = block.made_rows[0] * g.stride[0] - g.pads[0]
        ix0 = block.made_cols[0] * g.stride[1] - g.pads[1]
        self.stream.configure(
            row_of(
                ConfigCompute,
                plane=view.plane,
                row_step=0 if self.plan.flat else g.stride[0] * view.pitch,
                tap_row_step=0 if self.plan.flat else g.dilation[0] * view.pitch,
                stride_x=g.stride[1],
                stride_y=g.stride[0],
                dilation_x=g.dilation[1],
                dilation_y=g.dilation[0],
                kernel_h=g.kernel[0],
                kernel_w=g.kernel[1],
                in_h=g.in_h if g.padded else UNBOUNDED,
                in_w=g.in_w if g.padded else UNBOUNDED,
                pad_value=self.pad_value,
            )
        )
        weights = self.weights
        last_tile, last_group = tiles[1] == weights.tiles, groups[1] == weights.groups
        self.stream.op(
            row_of(
                Compute,
                act_addr=activation_address(view.bank, view.address(groups[0], iy0, ix0)),
                iy0=iy0 if g.padded else 0,
                ix0=ix0 if g.padded else 0,
                out_h=block.height,
                out_w=block.width,
                groups=groups[1] - groups[0],
                n_tiles=tiles[1] - tiles[0],
                weight_addr=weight_address,
                weight_bits=weights.bits,
                use_codebook=int(weights.shared),
                codebook_bank=self.constants.codebook,
                acc_addr=bank * ACCUMULATOR_BANK + (tiles[0] - block_tiles[0]) * block.pixels,
                accumulate=int(groups[0] > weights.reach(tiles[0])[0]),
                rows_last=g.channels - (weights.groups - 1) * rows if last_group else rows,
                cols_last=weights.outputs - (weights.tiles - 1) * self.design.cols if last_tile else self.design.cols,
            ),
            (weight_item, input_item, self.constants.codebook_item),
        )

    def _post(self, block: Block, tiles: Range, bank: int, region: View | None) -> None:
        design, g, lanes = self.design, self.geometry, self.design.lanes
        outputs = (tiles[0] * design.cols, min(self.weights.outputs, tiles[1] * design.cols))
        per = design.rows // lanes
        first = outputs[0] // lanes
        groups = (first // per, -(-outputs[1] // design.rows))
        view, owned = self._output(block, groups, region)
        param_address, item = (0, -1) if self.task.uniform else self.constants.records(tiles)
        needs = [item]
        residual = self.places[self.plan.step.residual] if self.plan.step.residual else None
        res_address = 0
        if residual and residual.region:
            pitch = residual.layout.plane if self.plan.flat else residual.layout.row_pitch
            other = View(residual.region.bank, residual.region.word, pitch, residual.layout.plane)
            res_address = other.at(groups[0], block.rows[0], block.cols[0])
        elif residual:
            res_address = view.at(groups[0], block.rows[0], block.cols[0])
            if self._aligned() or tiles[0] == 0:
                reach = groups if self._aligned() else (0, self._out_groups())
                loads = residual_loads(design, residual, self.plan.flat, view, reach, block.rows, block.cols)
                needs.append(self.stream.item(loads, True))
        self.stream.configure(self._config(block, view))
        pool = g.pool
        iy0 = block.rows[0] * pool.stride[0] - pool.pads[0] - block.made_rows[0] if pool else 0
        ix0 = block.cols[0] * pool.stride[1] - pool.pads[1] - block.made_cols[0] if pool else 0
        self.stream.op(
            row_of(
                Post,
                src_addr=bank * ACCUMULATOR_BANK + (iy0 * block.width + ix0) % ACCUMULATOR_BANK,
                residual=int(residual is not None),
                uniform=int(self.task.uniform),
                iy0=iy0,
                ix0=ix0,
                out_h=block.rows[1] - block.rows[0],
                out_w=block.cols[1] - block.cols[0],
                dst_addr=view.at(groups[0], block.rows[0], block.cols[0]),
                dst_chunk=first % per,
                chunks=-(-(outputs[1] - outputs[0]) // lanes),
                param_addr=param_address,
                res_addr=res_address,
            ),
            needs,
        )
        if owned:
            self._store(view, groups, block.rows, block.cols)
        if self.storer:
            last = self._out_groups() if tiles[1] == self.weights.tiles else outputs[1] // design.rows
            self.storer.done((groups[0], last), block.rows, block.cols)

    def _aligned(self) -> bool:
        """Whether every block of tiles starts on a channel group of the output."""
        tiles = self.tiling.block_tiles
        return tiles >= self.weights.tiles or tiles * self.design.cols % self.design.rows == 0

    def _output(self, block: Block, groups: Range, region: View | None) -> tuple[View, bool]:
        """Where the block's output goes; whether it is the block's own region, to be stored at once."""
        place = self.places[self.plan.step.output]
        if place.region:
            pitch = place.layout.plane if self.plan.flat else place.layout.row_pitch
            return View(place.region.bank, place.region.word, pitch, place.layout.plane), False
        if region:
            return region, False
        assert self.out_ring
        size = (block.rows[1] - block.rows[0], block.cols[1] - block.cols[0])
        words, pitch = region_words(self.task, size, groups[1] - groups[0])
        word = self.out_ring.take(words, None, -1)
        view = View(self.out_ring.bank, word, pitch, size[0] * pitch, groups[0], block.rows[0], block.cols[0])
        return view, True

    def _store(self, view: View, groups: Range, rows: Range, cols: Range) -> None:
        place = self.places[self.plan.step.output]
        for store in stores(self.design, place, self.plan.flat, view, groups, rows, cols):
            self.stream.op(store)

    def _config(self, block: Block, view: View) -> Row:
        r, pool, residual = self.requantise, self.geometry.pool, self.layer.residual
        return row_of(
            ConfigPost,
            src_row_step=(pool.stride[0] if pool else 1) * block.width,
            src_row_pitch=block.width,
            src_plane=block.pixels,
            win_h=pool.kernel[0] if pool else 1,
            win_w=pool.kernel[1] if pool else 1,
            stride_y=pool.stride[0] if pool else 1,
            stride_x=pool.stride[1] if pool else 1,
            dst_row_pitch=0 if self.plan.flat else view.pitch,
            dst_plane=view.plane,
            in_h=block.height,
            in_w=block.width,
            zero_point=r.zero_point,
            low=r.low,
            high=r.high,
            res_multiplier=residual.multiplier if residual else 0,
            res_shift=residual.shift if residual else 0,
            res_zero_point=self.residual_zero_point,
            uniform_bias=int(r.bias[0]) if self.task.uniform else 0,
            uniform_multiplier=int(r.multiplier[0]) if self.task.uniform else 0,
            uniform_shift=int(r.shift[0]) if self.task.uniform else 0,
        )
