"""Operations of a vector layer: POST commands from activations to activations."""

from __future__ import annotations

from dataclasses import dataclass

from accel.commands import ConfigPost, Post
from accel.compiler.geometry import Range, split
from accel.compiler.memory_plan import Place, StepPlan
from accel.compiler.ops import Ring, Row, Stream, activation_address
from accel.compiler.sources import Piece, Source
from accel.compiler.tensors import InputLoader, OutputStorer, View, residual_loads, stores
from accel.compiler.vector_tiling import VectorTask, VectorTiling, vector_piece
from accel.models.integers.network import VectorLayer
from accel.rows import row_of


@dataclass
class VectorWriter:
    """Writes one vector step. Arguments as in `accel.compiler.matrix.MatrixWriter`."""

    stream: Stream
    plan: StepPlan
    channels: int
    places: dict[str, Place]
    zero_point: int
    residual_zero_point: int
    source: Source | None
    loader: InputLoader | None
    storer: OutputStorer | None

    def __post_init__(self) -> None:
        assert isinstance(self.plan.tiling, VectorTiling)
        assert isinstance(self.plan.task, VectorTask)
        assert isinstance(self.plan.step.layer, VectorLayer)
        self.tiling, self.task, self.layer = self.plan.tiling, self.plan.task, self.plan.step.layer
        self.design, self.geometry = self.stream.design, self.plan.geometry
        self.in_ring = Ring.of(self.plan.in_ring) if self.plan.in_ring else None
        self.out_ring = Ring.of(self.plan.out_ring) if self.plan.out_ring else None

    def write(self) -> None:
        """Append the step's operations to the stream."""
        g, align = self.geometry, self.task.align if self.task.cut_columns else 1
        for groups in split(self.task.groups, self.tiling.groups):
            for rows in split(g.out_h, self.tiling.strip[0]):
                for cols in split(g.out_w, self.tiling.strip[1], align):
                    self._piece(groups, rows, cols)
        if self.storer:
            self.storer.finish()

    def _piece(self, groups: Range, rows: Range, cols: Range) -> None:
        g, design = self.geometry, self.design
        source, size, needs = self._input(groups, g.read(0, rows), g.read(1, cols))
        target = self._output(groups, rows, cols)
        residual = self.places[self.plan.step.residual] if self.plan.step.residual else None
        res_address = 0
        if residual and residual.region:
            pitch = residual.layout.plane if self.plan.flat else residual.layout.row_pitch
            other = View(residual.region.bank, residual.region.word, pitch, residual.layout.plane)
            res_address = other.at(groups[0], rows[0], cols[0])
        elif residual:
            res_address = target.at(groups[0], rows[0], cols[0])
            loads = residual_loads(design, residual, self.plan.flat, target, groups, rows, cols)
            needs.append(self.stream.item(loads, True))
        per = design.rows // design.lanes
        chunks = -(-min(self.channels - groups[0] * design.rows, (groups[1] - groups[0]) * design.rows) // design.lanes)
        self.stream.configure(self._config(source, target, size))
        iy0, ix0 = rows[0] * g.stride[0] - g.pads[0], cols[0] * g.stride[1] - g.pads[1]
        self.stream.op(
            row_of(
                Post,
                from_activation=1,
                src_addr=activation_address(source.bank, source.address(groups[0], iy0, ix0)),
                reduce_sum=int(self.layer.reduce == "sum"),
                residual=int(residual is not None),
                uniform=1,
                iy0=iy0 - source.row,
                ix0=ix0 - source.col,
                out_h=rows[1] - rows[0],
                out_w=cols[1] - cols[0],
                dst_addr=target.at(groups[0], rows[0], cols[0]),
                chunks=min(chunks, per * (groups[1] - groups[0])),
                res_addr=res_address,
            ),
            needs,
        )
        if self.out_ring:
            place = self.places[self.plan.step.output]
            for store in stores(design, place, self.plan.flat, target, groups, rows, cols):
                self.stream.op(store)
        if self.storer:
            self.storer.done(groups, rows, cols)

    def _input(self, groups: Range, rows: Range, cols: Range) -> tuple[View, tuple[int, int], list[int]]:
        """View, height and width of the source, and the items that bring it."""
        g = self.geometry
        if self.in_ring is None:
            place = self.places[self.plan.step.input]
            assert place.region
            layout = place.layout
            pitch = layout.plane if self.plan.flat else layout.row_pitch
            view = View(place.region.bank, place.region.word, pitch, layout.plane)
            if g.padded:
                size = (g.in_h, g.in_w)
            else:  # coordinates count from the piece
                view = View(view.bank, view.address(0, rows[0], cols[0]), pitch, layout.plane, 0, rows[0], cols[0])
                size = (rows[1] - rows[0], cols[1] - cols[0])
            needs = [self.loader.need(cols[1] if self.plan.flat else rows[1] * pitch)] if self.loader else []
            return view, size, needs
        assert self.source
        height, pitch, _, _ = vector_piece(self.task, self.tiling.strip)
        taken = self.source.columns(cols)
        word = self.in_ring.take((groups[1] - groups[0]) * height * pitch, None, -1)
        view = View(self.in_ring.bank, word, pitch, height * pitch, groups[0], rows[0], taken[0])
        piece = Piece(groups, rows, taken, view.bank, word, view.plane, pitch)
        item = self.stream.item(self.source.loads(piece), True)
        return view, (rows[1] - rows[0], min(cols[1], g.in_w) - taken[0]), [item]

    def _output(self, groups: Range, rows: Range, cols: Range) -> View:
        place = self.places[self.plan.step.output]
        if place.region:
            pitch = place.layout.plane if self.plan.flat else place.layout.row_pitch
            return View(place.region.bank, place.region.word, pitch, place.layout.plane)
        assert self.out_ring
        _, _, _, pitch = vector_piece(self.task, (rows[1] - rows[0], cols[1] - cols[0]))
        height = rows[1] - rows[0]
        word = self.out_ring.take((groups[1] - groups[0]) * height * pitch, None, -1)
        return View(self.out_ring.bank, word, pitch, height * pitch, groups[0], rows[0], cols[0])

    def _config(self, source: View, target: View, size: tuple[int, int]) -> Row:
        g, r, residual = self.geometry, self.layer.requantise, self.layer.residual
        return row_of(
            ConfigPost,
            src_row_step=0 if self.plan.flat else g.stride[0] * source.pitch,
            src_row_pitch=0 if self.plan.flat else source.pitch,
            src_plane=source.plane,
            win_h=g.kernel[0],
            win_w=g.kernel[1],
            stride_y=g.stride[0],
            stride_x=g.stride[1],
            dst_row_pitch=0 if self.plan.flat else target.pitch,
            dst_plane=target.plane,
            in_h=size[0],
            in_w=size[1],
            zero_point=r.zero_point,
            low=r.low,
            high=r.high,
            res_multiplier=residual.multiplier if residual else 0,
            res_shift=residual.shift if residual else 0,
            res_zero_point=self.residual_zero_point if residual else self.zero_point,
            uniform_bias=int(r.bias[0]),
            uniform_multiplier=int(r.multiplier[0]),
            uniform_shift=int(r.shift[0]),
        )
