"""The walk of a POST over chunks, output pixels and window elements."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.commands import ConfigPost, Post, most
from accel.design import Design
from accel.memories import ACTIVATION, PARAMETER

# A source row or column as far as any command reaches: it may be taken modulo, but not come back to the tensor.
POSITION_BITS = (
    most(Post, "iy0") + (most(Post, "out_h") - 1) * most(ConfigPost, "stride_y") + most(ConfigPost, "win_h") - 1
).bit_length()

Move = tuple[Value, Value, Value | int]
"""When, from where, how far."""


class Countdown:
    """A counter of `size` passes.

    `end`: it is in the last one, a register's sign; `next_end`: so it is in the next cycle. It counts down from `size`
    - 2. `step`: to the next pass, behind the last to the first; `load`: with the size
    `loaded`.
    """

    def __init__(self, m: Module, name: str, size: Value, step: Value, load: Value, loaded: Value) -> None:
        bits = len(size) + 1
        left, after = Signal(signed(bits), name=f"left_{name}"), Signal(signed(bits), name=f"after_{name}")
        self.end, self.next_end = left[-1], after[-1]
        with m.If(load):
            m.d.comb += after.eq(loaded - 2)
        with m.Elif(step):
            m.d.comb += after.eq(Mux(self.end, size - 2, left - 1))
        with m.Else():
            m.d.comb += after.eq(left)
        m.d.sync += left.eq(after)


def moved(m: Module, name: str, moves: Sequence[Move], shape: Signal) -> Signal:
    """Where the first of `moves` goes that holds; the last one, if none does. One adder for all."""
    base, far = Signal.like(shape, name=f"{name}_from"), Signal.like(shape, name=f"{name}_by")
    *some, (_, from_, by) = moves
    m.d.comb += [base.eq(from_), far.eq(by)]
    for holds, from_, by in reversed(some):
        with m.If(holds):
            m.d.comb += [base.eq(from_), far.eq(by)]
    target = Signal.like(shape, name=f"{name}_to")
    m.d.comb += target.eq(base + far)
    return target


def chunk_of(m: Module, name: str, per_word: Value | int, most_: int, step: Value, load: Value, first: Value) -> tuple:
    """The chunk within a word, and whether the one after it is in the next word; nothing to count if it has one."""
    if most_ == 1:
        return Const(0, 1), Const(1)
    chunk = Signal(range(most_), name=name)
    wraps = chunk == per_word - 1
    with m.If(load):
        m.d.sync += chunk.eq(first)
    with m.Elif(step):
        m.d.sync += chunk.eq(Mux(wraps, 0, chunk + 1))
    return chunk, wraps


def walk(
    m: Module,
    design: Design,
    config: data.View,
    command: data.View,
    head: data.View,
    active: Signal,
    finishing: Signal,
    load: Value,
) -> tuple[dict[str, Value], Value]:
    """Nested counters: chunk, output pixel, window element (and the residual's own cycle).

    Until it is `active` it is loaded with `head`, by `load`; `finishing`: in the last cycle. Returns the element, and
    whether the next cycle is the last one, if it is active then.
    """
    word_bits = ACTIVATION.word_bits
    per_word, per_sums = design.word_lanes // design.lanes, design.cols // design.lanes
    # What ends with the cycle is in registers: a row and the window, or the residual's own cycle after it; the output
    # pixel, its line, the map of a chunk, the command.
    extra, first, window = (Signal(name=n) for n in ("extra", "first", "window"))
    ends = {n: Signal(name=f"ends_{n}") for n in ("output", "line", "map", "command")}
    last, end_line, end_map = (Signal(name=n) for n in ("last", "end_line", "end_map"))
    # Until it is active it is loaded, whatever else: what only moves it need not ask, but where a filter may be active.
    runs = active if design.filter_multipliers else Const(1)
    end_row, in_window = Signal(name="end_row"), runs & ~extra

    def count(name: str, fields: data.View, first_fields: data.View, field: str, step: Value) -> Countdown:
        return Countdown(m, name, getattr(fields, field), step, load, getattr(first_fields, field))

    wx = count("wx", config, config, "win_w", in_window)
    wy = count("wy", config, config, "win_h", in_window & wx.end)
    ox, oy = count("ox", command, head, "out_w", last), count("oy", command, head, "out_h", end_line)
    q = count("q", command, head, "chunks", end_map)
    own_cycle, next_own = command.residual & command.from_activation, Signal(name="next_own")
    next_extra, next_window = Signal(name="next_extra"), Signal(name="next_window")
    m.d.comb += [
        end_row.eq(runs & wx.end), last.eq(runs & ends["output"]), end_line.eq(runs & ends["line"]),
        end_map.eq(runs & ends["map"]), finishing.eq(active & ends["command"]),
        next_own.eq(Mux(load, head.residual & head.from_activation, own_cycle)),
        next_extra.eq(~load & Mux(runs, window & own_cycle, extra)),
        next_window.eq(~next_extra & wx.next_end & wy.next_end),
    ]  # fmt: skip
    following: Value = Mux(next_own, next_extra, next_window)
    m.d.sync += [extra.eq(next_extra), window.eq(next_window), ends["output"].eq(following)]
    for name, counter in (("line", ox), ("map", oy), ("command", q)):
        following = following & counter.next_end
        m.d.sync += ends[name].eq(following)
    with m.If(load):
        m.d.sync += first.eq(1)
    with m.Elif(active):
        m.d.sync += first.eq(last)

    src_chunk, src_wraps = chunk_of(
        m, "src_chunk", Mux(command.from_activation, per_word, per_sums), max(per_word, per_sums), end_map, load,
        head.src_chunk,
    )  # fmt: skip
    dst_chunk, dst_wraps = chunk_of(m, "dst_chunk", per_word, per_word, end_map, load, head.dst_chunk)

    def keep(target: Value, levels: Sequence[tuple[Value, Signal]]) -> None:
        """Each register takes the target at its level and above, and what a command begins with."""
        for level, register in levels:
            with m.If(load | level):
                m.d.sync += register.eq(target)

    # Source addresses of the current element and where its window row, window, output row and chunk began.
    at, at_wy, at_ox, at_oy, at_q = (Signal(word_bits, name=n) for n in ("at", "at_wy", "at_ox", "at_oy", "at_q"))
    target = moved(
        m, "at",
        [
            (load, head.src_addr, 0), (end_map, at_q, Mux(src_wraps, config.src_plane, 0)),
            (end_line, at_oy, config.src_row_step), (last, at_ox, config.stride_x),
            (end_row, at_wy, config.src_row_pitch), (active, at, 1),
        ],
        at,
    )  # fmt: skip
    keep(target, [(active, at), (end_row | last, at_wy), (last, at_ox), (end_line, at_oy), (end_map, at_q)])
    ix, ix_o, iy, iy_o = (Signal(signed(POSITION_BITS), name=n) for n in ("ix", "ix_o", "iy", "iy_o"))
    target = moved(
        m, "ix",
        [
            (load, head.ix0, 0), (end_line, command.ix0, 0), (last, ix_o, config.stride_x), (end_row, ix_o, 0),
            (active, ix, 1),
        ],
        ix,
    )  # fmt: skip
    keep(target, [(active, ix), (last, ix_o)])
    target = moved(
        m, "iy",
        [
            (load, head.iy0, 0), (end_map, command.iy0, 0), (end_line, iy_o, config.stride_y), (last, iy_o, 0),
            (end_row, iy, 1),
        ],
        iy,
    )  # fmt: skip
    keep(target, [(end_row | last, iy), (end_line, iy_o)])
    # Offsets of the destination (and of the residual operand) from the command's addresses.
    to, to_oy, to_q = (Signal(word_bits, name=n) for n in ("to", "to_oy", "to_q"))
    target = moved(
        m, "to",
        [
            (load, Const(0), 0), (end_map, to_q, Mux(dst_wraps, config.dst_plane, 0)),
            (end_line, to_oy, config.dst_row_pitch), (last, to, command.dst_step),
        ],
        to,
    )  # fmt: skip
    keep(target, [(last, to), (end_line, to_oy), (end_map, to_q)])
    one_q = Signal(word_bits, name="one_q")  # the same of a residual operand of one pixel
    param = Signal(PARAMETER.address_bits + 1, name="param")  # a bit more than an address has: it does not wrap around
    with m.If(load):
        m.d.sync += [one_q.eq(0), param.eq(head.param_addr)]
    with m.Elif(end_map):
        m.d.sync += [one_q.eq(one_q + Mux(dst_wraps, command.res_plane, 0)), param.eq(param + 1)]
    # Negative ones are larger than any size as numbers without a sign.
    inside = (iy.as_unsigned() < config.in_h) & (ix.as_unsigned() < config.in_w)
    element = {
        "element": active & in_window, "reads": active & in_window & inside, "first": first, "last": active & last,
        "inside": inside, "at": at,
        "to": to, "src_chunk": src_chunk, "dst_chunk": dst_chunk,
        "operand": Mux(command.res_plane == 0, to, one_q), "record": active & last, "param": param,
        "finishing": finishing,
    }  # fmt: skip
    return element, following
