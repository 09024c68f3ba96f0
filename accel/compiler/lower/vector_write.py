"""Operations of a vector step: POST commands from activations to activations."""

from __future__ import annotations

from accel.commands import ConfigPost, Post
from accel.compiler.geometry import Range, split
from accel.compiler.lower.lowering import Writing
from accel.compiler.lower.vector_tiling import VectorTask, VectorTiling, vector_piece
from accel.compiler.ring import Ring
from accel.compiler.sources import Piece
from accel.compiler.tensors import View, part_view, region_view, residual_loads, stores, view_of
from accel.compiler.transfers import Row
from accel.models.integers.network import Layer, VectorLayer
from accel.rows import row_of


def write(w: Writing) -> None:
    """Append the step's operations to the stream."""
    VectorWriter(w).write()


class VectorWriter:
    """Writes one vector step."""

    layer: Layer

    def __init__(self, w: Writing) -> None:
        plan, step = w.plan, w.plan.step
        self.w, self.stream, self.plan, self.layer = w, w.stream, plan, step.layer
        self.part = step.part
        self.requantise = step.requantise
        self.tiling: VectorTiling = plan.tiling
        self.task: VectorTask = plan.task
        self.machine, self.geometry, self.channels = plan.machine, plan.geometry, step.target.written
        self.in_ring, self.out_ring = Ring.of(plan.in_ring), Ring.of(plan.out_ring)
        self.words = w.stream.activation_words
        self.input_place, self.output_place = w.places[step.input], w.places[step.output]
        self.added = w.places[step.residual] if step.residual else None
        self.table = self.stream.table_of(self.layer.requantise)
        self.output_view = part_view(self.output_place, self.part, plan.flat) if self.output_place.region else None

    def write(self) -> None:
        """Append the step's operations to the stream."""
        g, align = self.geometry, self.task.align if self.task.cut_columns else 1
        for groups in split(self.task.groups, self.tiling.groups):
            for rows in split(g.out_h, self.tiling.strip[0]):
                for cols in split(g.out_w, self.tiling.strip[1], align):
                    self._piece(groups, rows, cols)
        if self.w.storer:
            self.w.storer.finish()

    def _piece(self, groups: Range, rows: Range, cols: Range) -> None:
        """One POST."""
        assert isinstance(self.layer, VectorLayer)
        g, flat = self.geometry, self.plan.flat
        source, size, needs = self._input(groups, g.read(0, rows), g.read(1, cols))
        target = self._output(groups, rows, cols)
        at = target.at(groups[0], rows[0], cols[0])
        res_addr = res_plane = 0
        if self.added and self.added.region:
            view = view_of(self.added, flat)
            res_addr = view.at(groups[0], 0, 0) if self.w.one_pixel else view.at(groups[0], rows[0], cols[0])
            res_plane = view.plane if self.w.one_pixel else 0
        elif self.added:
            res_addr = at
            loads = residual_loads(self.words, self.added, flat, target, groups, rows, cols)
            needs.append(self.stream.item(loads, True))
        lanes = min(
            self.channels - groups[0] * self.machine.word_lanes, (groups[1] - groups[0]) * self.machine.word_lanes
        )
        chunks = -(-lanes // self.machine.lanes)
        if g.in_h == 1:  # the row may be longer than a pitch can say
            source = source._replace(pitch=0)
        self.stream.configure(self._config(source, target, size))
        needs += self.table.needs
        iy0, ix0 = rows[0] * g.stride[0] - g.pads[0], cols[0] * g.stride[1] - g.pads[1]
        self.stream.post(
            row_of(
                Post,
                from_activation=1,
                src_addr=source.around(groups[0], iy0, ix0),
                reduce_sum=int(self.layer.reduce == "sum"),
                residual=int(self.added is not None),
                uniform=1,
                iy0=iy0 - source.row,
                ix0=ix0 - source.col,
                out_h=rows[1] - rows[0],
                out_w=cols[1] - cols[0],
                dst_addr=at,
                chunks=min(chunks, self.machine.row_chunks * (groups[1] - groups[0])),
                res_addr=res_addr,
                res_plane=res_plane,
                dst_step=target.step,
            ),
            needs,
        )
        self.leave(target, groups, rows, cols)

    def leave(self, target: View, groups: Range, rows: Range, cols: Range) -> None:
        """Store what was made, if it does not stay."""
        if self.out_ring:
            for row in stores(self.words, self.output_place, self.plan.flat, target, groups, rows, cols, self.part):
                self.stream.op(row)
        if self.w.storer:
            self.w.storer.done(groups, rows, cols)

    def _input(self, groups: Range, rows: Range, cols: Range) -> tuple[View, tuple[int, int], list[int]]:
        """View, height and width of the source, and the items that bring it."""
        g, flat = self.geometry, self.plan.flat
        if self.in_ring is None:
            view = view_of(self.input_place, flat)
            loader = self.w.loader
            needs = [loader.need(cols[1] if flat else rows[1] * view.pitch)] if loader else []
            if g.padded:
                return view, (g.in_h, g.in_w), needs
            # coordinates count from the piece
            view = view._replace(word=view.address(0, rows[0], cols[0]), row=rows[0], col=cols[0])
            return view, (rows[1] - rows[0], cols[1] - cols[0]), needs
        assert self.w.source
        height, pitch, _, _ = vector_piece(self.task, self.tiling.strip)
        taken = self.w.source.columns(cols)
        word = self.in_ring.take((groups[1] - groups[0]) * height * pitch, None, -1)
        view = View(self.in_ring.bank, word, pitch, height * pitch, groups[0], rows[0], taken[0])
        piece = Piece(groups, rows, taken, view.at(groups[0], rows[0], taken[0]), view.plane, pitch)
        item = self.stream.item(self.w.source.loads(piece), True)
        return view, (rows[1] - rows[0], min(cols[1], g.in_w) - taken[0]), [item]

    def _output(self, groups: Range, rows: Range, cols: Range) -> View:
        """Where the piece's output goes."""
        if self.output_view:
            return self.output_view
        assert self.out_ring
        height = rows[1] - rows[0]
        _, _, _, pitch = vector_piece(self.task, (height, cols[1] - cols[0]))
        word = self.out_ring.take((groups[1] - groups[0]) * height * pitch, None, -1)
        view = View(self.out_ring.bank, word, pitch, height * pitch, groups[0], rows[0], cols[0])
        return region_view(view, self.part, self.task.align)

    def _config(self, source: View, target: View, size: tuple[int, int]) -> Row:
        g, r, residual, flat = self.geometry, self.requantise, self.layer.residual, self.plan.flat
        return row_of(
            ConfigPost,
            src_row_step=0 if flat else g.stride[0] * source.pitch,
            src_row_pitch=0 if flat else source.pitch,
            src_plane=source.plane,
            win_h=g.kernel[0],
            win_w=g.kernel[1],
            stride_y=g.stride[0],
            stride_x=g.stride[1],
            dst_row_pitch=0 if flat or g.out_h == 1 else target.pitch,
            dst_plane=target.plane,
            in_h=size[0],
            in_w=size[1],
            zero_point=r.zero_point,
            low=r.low,
            high=r.high,
            res_multiplier=residual.multiplier if residual else 0,
            res_shift=residual.shift if residual else 0,
            res_zero_point=self.w.residual_zero_point if residual else self.w.input.zero_point,
            uniform_bias=int(r.bias[0]),
            uniform_multiplier=int(r.multiplier[0]),
            uniform_shift=int(r.shift[0]),
            multiply=int(residual is not None and residual.operation == "multiply"),
            subtract=int(residual is not None and residual.operation == "subtract"),
            table=self.table.used,
            table_bank=self.table.bank,
        )
