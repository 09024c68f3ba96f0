"""The walk of a POST with `filter`: pixels that pass the line buffer, and the windows that they complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.commands import ConfigPost, Post, field_bits
from accel.design import Design
from accel.memories import ACTIVATION, PARAMETER
from accel.records import filter_number, filter_passes, filter_side, filter_words
from accel.rtl.layouts import field_signal
from accel.rtl.post.walk import POSITION_BITS


class Slots(NamedTuple):
    """What a cycle of the walk is. `taps`: of each parameter word behind the records, whether it is read, and `record`:
    whether those are; at `param`. `step`: a pixel passes.

    The pixel is in `column` of the line, and read at word `at`, `src_chunk`, if `reads`. `window`: a part of a weighted
    window, number `part`, `first` or `last`; of the window's elements those in rows `rows` and columns `cols` are
    inside. The output goes `to` words behind the command's address, to `dst_chunk`. `end`: of the command.
    """

    taps: list[Value]
    record: Value
    param: Value
    step: Value
    column: Value
    reads: Value
    at: Value
    src_chunk: Value
    window: Value
    first: Value
    last: Value
    part: Value
    rows: Value
    cols: Value
    to: Value
    dst_chunk: Value
    end: Value


def filter_walk(
    m: Module, design: Design, config: data.View, command: data.View, head: data.View, load: Value, begin: Value
) -> Slots:
    """Two walks in step: pixels that pass, and windows, which are complete two rows and columns later (5 x 5: four).

    The second has the same rows and columns, so windows that reach behind the tensor are complete while the first
    pixels of the next row, or chunk, pass. Before each chunk's windows both stand still while its parameters are read.
    """
    word_bits, largest = ACTIVATION.word_bits, filter_number(design.filter_side)

    def by_number(command: data.View, of: Callable[[int], int]) -> Value | int:
        """What `of` says of the filter of a command."""
        return Mux(command.filter[1], of(2), of(1)) if largest > 1 else of(1)

    def passes(number: int) -> int:
        return filter_passes(design.filter_multipliers, number)

    walking = Signal(name="filter_walking")
    setting = Signal(name="filter_setting")
    number = Signal(range(filter_words(largest)), name="filter_word")  # of the chunk's parameter words, from the last
    words, last_word = by_number(command, filter_words), by_number(command, lambda n: filter_words(n) - 1)
    last_part = by_number(command, lambda n: passes(n) - 1)
    # Pixels that pass.
    column, line = field_signal(Post, "stream_w", "filter_column"), field_signal(Post, "stream_h", "filter_line")
    ix, iy = (Signal(POSITION_BITS, name=n) for n in ("filter_ix", "filter_iy"))
    at, at_row, at_q = (Signal(word_bits, name=n) for n in ("filter_at", "filter_at_row", "filter_at_q"))
    chunk_bits, per_word = field_bits(Post, "src_chunk"), design.word_lanes // design.lanes
    passed = field_signal(Post, "chunks", "filter_passed")
    src_chunk, dst_chunk = Signal(chunk_bits, name="filter_src"), Signal(chunk_bits, name="filter_dst")
    # Windows.
    col, row, next_col, next_row = (
        Signal(signed(field_bits(Post, "stream_w") + field_bits(ConfigPost, "stride_x") + 1), name=f"filter_{n}")
        for n in ("col", "row", "next_col", "next_row")
    )
    ox, oy = field_signal(Post, "out_w", "filter_ox"), field_signal(Post, "out_h", "filter_oy")
    chunk = field_signal(Post, "chunks", "filter_chunk")
    to, to_oy, to_q = (Signal(word_bits, name=n) for n in ("filter_to", "filter_to_oy", "filter_to_q"))
    param = Signal(PARAMETER.address_bits + 1, name="filter_param")
    part = Signal(range(max(2, passes(largest))), name="filter_part")

    moving, window, through = Signal(name="filter_moving"), Signal(name="filter_window"), Signal(name="filter_through")
    row_end, chunk_end, end = (Signal(name=f"filter_{n}_end") for n in ("row", "chunk", "command"))
    in_row = (row == next_row) & (oy < command.out_h)
    m.d.comb += [
        moving.eq(walking & ~setting),
        window.eq(moving & in_row & (col == next_col) & (ox < command.out_w)),
        through.eq(moving & (~window | (part == last_part))),
        row_end.eq(col == (command.stream_w - 1).as_signed()),
        chunk_end.eq(row_end & (row == (command.stream_h - 1).as_signed())),
        end.eq(
            through & (chunk == command.chunks - 1)
            & (chunk_end | (window & (ox == command.out_w - 1) & (oy == command.out_h - 1)))
        ),
    ]  # fmt: skip

    first_ix, first_iy = _inside(command.ix0), _inside(command.iy0)
    line_end = column == command.stream_w - 1
    wraps = src_chunk == per_word - 1
    dst_wraps = dst_chunk == per_word - 1
    next_q, next_to = Signal(word_bits, name="filter_next_q"), Signal(word_bits, name="filter_next_to")
    m.d.comb += [
        next_q.eq(at_q + Mux(wraps, config.src_plane, 0)),
        next_to.eq(to_q + Mux(dst_wraps, config.dst_plane, 0)),
    ]
    with m.If(walking & setting):
        m.d.sync += [number.eq(number + 1), setting.eq(number != last_word)]
    with m.If(moving):
        m.d.sync += part.eq(Mux(through, 0, part + 1))
    with m.If(through):
        m.d.sync += [column.eq(column + 1), ix.eq(ix + 1), at.eq(at + 1), col.eq(col + 1)]
        with m.If(line_end):
            m.d.sync += [column.eq(0), ix.eq(first_ix), line.eq(line + 1), iy.eq(iy + 1)]
            m.d.sync += [at.eq(at_row + config.src_row_pitch), at_row.eq(at_row + config.src_row_pitch)]
            with m.If(line == command.stream_h - 1):
                m.d.sync += [
                    line.eq(0),
                    iy.eq(first_iy),
                    passed.eq(passed + 1),
                    src_chunk.eq(Mux(wraps, 0, src_chunk + 1)),
                ]
                m.d.sync += [at.eq(next_q), at_row.eq(next_q), at_q.eq(next_q)]
        with m.If(window):
            m.d.sync += [ox.eq(ox + 1), to.eq(to + command.dst_step), next_col.eq(next_col + config.stride_x)]
        with m.If(row_end):
            m.d.sync += [col.eq(0), row.eq(row + 1), next_col.eq(0), ox.eq(0)]
            with m.If(in_row):
                m.d.sync += [next_row.eq(next_row + config.stride_y), oy.eq(oy + 1)]
                m.d.sync += [to.eq(to_oy + config.dst_row_pitch), to_oy.eq(to_oy + config.dst_row_pitch)]
        with m.If(chunk_end):
            m.d.sync += [row.eq(0), next_row.eq(0), oy.eq(0), chunk.eq(chunk + 1), param.eq(param + words)]
            m.d.sync += [
                to.eq(next_to),
                to_oy.eq(next_to),
                to_q.eq(next_to),
                dst_chunk.eq(Mux(dst_wraps, 0, dst_chunk + 1)),
            ]
            m.d.sync += [setting.eq(1), number.eq(0)]
        with m.If(end):
            m.d.sync += walking.eq(0)
    with m.If(begin):
        m.d.sync += walking.eq(1)
    with m.If(load):
        m.d.sync += [setting.eq(1), number.eq(0), part.eq(0)]
        m.d.sync += [
            signal.eq(0) for signal in (column, line, passed, ox, oy, chunk, to, to_oy, to_q, next_col, next_row)
        ]
        m.d.sync += [signal.eq(head.src_addr) for signal in (at, at_row, at_q)]
        m.d.sync += [ix.eq(_inside(head.ix0)), iy.eq(_inside(head.iy0)), param.eq(head.param_addr)]
        reach = by_number(head, _reach)
        m.d.sync += [col.eq(_before(head.ix0, reach)), row.eq(_before(head.iy0, reach))]
        m.d.sync += [src_chunk.eq(head.src_chunk), dst_chunk.eq(head.dst_chunk)]
    behind = number ^ last_word  # the word, counted from the records
    # A window of 3 x 3 is the lower right part of a larger one.
    above, side = by_number(command, lambda n: _reach(largest) - _reach(n)), filter_side(largest)
    return Slots(
        taps=[walking & setting & (behind == k) for k in range(1, filter_words(largest))],
        record=walking & setting & (behind == 0),
        param=(param + behind)[: PARAMETER.address_bits + 1],
        step=moving & (part == 0),
        column=column,
        reads=moving & (part == 0) & (passed < command.chunks) & (ix < config.in_w) & (iy < config.in_h),
        at=at,
        src_chunk=src_chunk,
        window=window,
        first=window & (part == 0),
        last=window & (part == last_part),
        part=part,
        rows=_reached(command.iy0 + row, config.in_h, above, side),
        cols=_reached(command.ix0 + col, config.in_w, above, side),
        to=to,
        dst_chunk=dst_chunk,
        end=end,
    )  # fmt: skip


def _reach(number: int) -> int:
    """Pixels of a window before its last, down and to the right."""
    return filter_side(number) - 1


def _inside(first: Value) -> Value:
    """The first position that is no padding."""
    return Mux(first < 0, 0, first).as_unsigned()


def _before(first: Value, reach: Value | int) -> Value:
    """Where windows are counted from: so many places before the first is complete, less its padding."""
    return Mux(first < 0, -reach - first, -reach)


def _reached(first: Value, size: Value, before: Value | int, side: int) -> Value:
    """A bit for each of `side` positions, from `before` places before `first` on: whether it is inside."""
    places = [first + (k - before) for k in range(side)]
    return Cat((place >= 0) & (place < size) for place in places)
