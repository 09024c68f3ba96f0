"""Operations of a depthwise step: POST commands with `filter`, whole or piece by piece behind the step before."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel.commands import Post
from accel.compiler.geometry import Range, split
from accel.compiler.lower.lowering import Writing
from accel.compiler.lower.vector_write import VectorWriter
from accel.compiler.parts import with_biases
from accel.compiler.tensors import View, view_of
from accel.compiler.transfers import load_words
from accel.compiler.weights import parameter_words
from accel.latency import least_line
from accel.memories import RECORD_BYTES
from accel.models.integers.network import MatrixLayer, Requantise
from accel.records import filter_number, filter_words, pack_filters
from accel.rows import row_of


def write(w: Writing) -> None:
    """Append the step's operations to the stream."""
    FilterWriter(w).write()


def _packed(layer: MatrixLayer, requantise: Requantise, channels: Range, lanes: int, side: int) -> NDArray[np.uint8]:
    """Parameter words of the chunks of P channels that `channels` are, windows of side x side: (words, bytes)."""
    (first, last), count = channels, len(layer.weights)
    whole = with_biases(requantise, np.broadcast_to(requantise.bias, count))
    records = parameter_words(whole, channels, lanes).reshape(-1, lanes, RECORD_BYTES)
    height, width = layer.window.kernel
    taps = np.zeros((records.shape[0] * lanes, side, side), np.int8)
    taps[: min(last, count) - first, side - height :, side - width :] = layer.weights[first:last, 0]
    return pack_filters(records, taps.reshape(-1, lanes, side, side))


class FilterWriter(VectorWriter):
    """Writes one depthwise step."""

    layer: MatrixLayer

    def __init__(self, w: Writing) -> None:
        super().__init__(w)
        self.parameter_words = w.stream.parameter_words
        self.number = filter_number(self.geometry.kernel[0])
        self.per_chunk = filter_words(self.number)
        self.whole = self.per_chunk * -(-self.channels // self.machine.lanes)
        self.offsets: dict[Range, int] = {}
        self.by_groups = False
        self.columns_align = self.task.align if self.task.cut_columns else 1
        self.input_view = view_of(self.input_place, self.plan.flat) if self.input_place.region else None

    def write(self) -> None:
        """Append the step's operations to the stream.

        Row by row, all channels of a row one after the other, so that the next step can begin; but what comes from DRAM
        comes group by group, none of it twice.
        """
        g = self.geometry
        rows_of = split(g.out_h, self.tiling.strip[0])
        cols_of = split(g.out_w, self.tiling.strip[1], self.columns_align)
        groups_of = split(self.task.groups, self.tiling.groups)
        if self.w.loader or self.in_ring:
            loader = self.w.loader  # groups that do not begin with a beat come all at once
            self.by_groups = loader is not None and loader.done == 0 and not loader.at_once
            order = [(groups, rows, cols) for groups in groups_of for rows in rows_of for cols in cols_of]
        else:
            order = [(groups, rows, cols) for rows in rows_of for cols in cols_of for groups in groups_of]
        for groups, rows, cols in order:
            self.piece(groups, rows, cols)
        if self.w.storer:
            self.w.storer.finish()

    def piece(self, groups: Range, rows: Range, cols: Range) -> None:
        """One POST, or several if the parameters of all groups do not fit at once."""
        machine = self.machine
        most = max(1, machine.parameters // (self.per_chunk * machine.row_chunks))
        for first in range(groups[0], groups[1], most):
            self._piece((first, min(groups[1], first + most)), rows, cols)

    def _parameters(self, groups: Range) -> tuple[int, int]:
        """Address and item of the parameters of some groups; the whole layer's if that leaves room for the next."""
        machine = self.machine
        taken = (0, self.task.groups) if 2 * self.whole <= machine.parameters else groups
        key = (self.plan.step.index, "filter", taken)
        found = self.stream.parameters.find(key)
        if not found:
            channels = (taken[0] * machine.word_lanes, min(self.channels, taken[1] * machine.word_lanes))
            count = self.per_chunk * -(-(channels[1] - channels[0]) // machine.lanes)
            if taken not in self.offsets:
                make = partial(_packed, self.layer, self.requantise, channels, machine.lanes, self.geometry.kernel[0])
                self.offsets[taken] = self.stream.words(self.parameter_words, count, make)
            address = self.stream.parameters.take(count, key, self.stream.item_count)
            item = self.stream.item(load_words(self.parameter_words, self.offsets[taken], address, count), False)
            found = address, item
        return found[0] + (groups[0] - taken[0]) * machine.row_chunks * self.per_chunk, found[1]

    def _piece(self, groups: Range, rows: Range, cols: Range) -> None:
        """One POST. Its coordinates count from the first pixel that passes."""
        g, machine = self.geometry, self.machine
        read_rows, read_cols = g.read(0, rows), g.read(1, cols)
        source, needs = self._brought(groups, read_rows, read_cols)
        target = self._output(groups, rows, cols)
        param_addr, item = self._parameters(groups)
        size = read_rows[1] - read_rows[0], read_cols[1] - read_cols[0]
        out_h, out_w = rows[1] - rows[0], cols[1] - cols[0]
        lanes = min(self.channels, groups[1] * machine.word_lanes) - groups[0] * machine.word_lanes
        self.stream.configure(self._config(source, target, size))
        self.stream.post(
            row_of(
                Post,
                from_activation=1,
                src_addr=source.at(groups[0], read_rows[0], read_cols[0]),
                reduce_sum=1,
                iy0=rows[0] * g.stride[0] - g.pads[0] - read_rows[0],
                ix0=cols[0] * g.stride[1] - g.pads[1] - read_cols[0],
                out_h=out_h,
                out_w=out_w,
                dst_addr=target.at(groups[0], rows[0], cols[0]),
                chunks=-(-lanes // machine.lanes),
                param_addr=param_addr,
                dst_step=target.step,
                filter=self.number,
                stream_h=max(size[0], (out_h - 1) * g.stride[0] + 1),
                stream_w=max(size[1], (out_w - 1) * g.stride[1] + 1, least_line(self.stream.design)),
            ),
            [*needs, item, *self.table.needs],
        )
        self.leave(target, groups, rows, cols)

    def _brought(self, groups: Range, rows: Range, cols: Range) -> tuple[View, list[int]]:
        """View of the source, and the items that bring it."""
        if self.in_ring is not None:
            view, _, needs = self._input(groups, rows, cols)
            return view, needs
        assert self.input_view
        view, loader = self.input_view, self.w.loader
        if not loader:
            return view, []
        if self.by_groups:
            return view, [loader.need(rows[1] * view.pitch, groups)]
        return view, [loader.need(rows[1] * view.pitch)]
