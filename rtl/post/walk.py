"""The walk of a POST over chunks, output pixels and window elements."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

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


def moved(m: Module, name: str, load: Value, first: Value, moves: Sequence[Move], shape: Signal) -> Signal:
    """Where that one of `moves` goes that holds (at most one); `first` with `load`. One adder for all."""
    base, far = Signal.like(shape, name=f"{name}_from"), Signal.like(shape, name=f"{name}_by")

    def chosen(values: Sequence[tuple[Value, Value | int]]) -> Value:
        """The value of what holds; those of what holds together are joined in LUTs two by two, not one by one."""
        found = []
        for k, (holds, value) in enumerate(values):
            sized = Signal.like(shape, name=f"{name}_part_{k}")
            m.d.comb += sized.eq(value)
            found.append(Mux(holds, sized.as_unsigned(), 0))
        return reduce(or_, found)

    m.d.comb += [
        base.eq(Mux(load, first, chosen([(holds, from_) for holds, from_, _ in moves]))),
        far.eq(Mux(load, 0, chosen([(holds, by) for holds, _, by in moves if not isinstance(by, int) or by]))),
    ]
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
    # And which of these is the outermost that ends, as what moves asks for it: at most one.
    ends_most = {n: Signal(name=f"ends_{n}_most") for n in ("row", "output", "line")}
    steps = Signal(name="steps")  # none ends
    m.d.sync += [extra.eq(next_extra), window.eq(next_window), ends["output"].eq(following)]
    m.d.sync += [ends_most["row"].eq(wx.next_end & ~following), steps.eq(~wx.next_end & ~following)]
    for inner, name, counter in (("output", "line", ox), ("line", "map", oy), ("map", "command", q)):
        if inner in ends_most:
            m.d.sync += ends_most[inner].eq(following & ~counter.next_end)
        following = following & counter.next_end
        m.d.sync += ends[name].eq(following)
    most_row, most_output, most_line, most_map = *ends_most.values(), ends["map"]
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
        m, "at", load, head.src_addr,
        [
            (most_map, at_q, Mux(src_wraps, config.src_plane, 0)), (most_line, at_oy, config.src_row_step),
            (most_output, at_ox, config.stride_x), (most_row, at_wy, config.src_row_pitch), (steps, at, 1),
        ],
        at,
    )  # fmt: skip
    keep(target, [(active, at), (end_row | last, at_wy), (last, at_ox), (end_line, at_oy), (end_map, at_q)])
    ix, ix_o, iy, iy_o = (Signal(signed(POSITION_BITS), name=n) for n in ("ix", "ix_o", "iy", "iy_o"))
    target = moved(
        m, "ix", load, head.ix0,
        [
            (ends["line"], command.ix0, 0), (most_output, ix_o, config.stride_x), (most_row, ix_o, 0), (steps, ix, 1),
        ],
        ix,
    )  # fmt: skip
    keep(target, [(active, ix), (last, ix_o)])
    target = moved(
        m, "iy", load, head.iy0,
        [
            (most_map, command.iy0, 0), (most_line, iy_o, config.stride_y), (most_output, iy_o, 0), (most_row, iy, 1),
        ],
        iy,
    )  # fmt: skip
    keep(target, [(end_row | last, iy), (end_line, iy_o)])
    # Offsets of the destination (and of the residual operand) from the command's addresses.
    to, to_oy, to_q = (Signal(word_bits, name=n) for n in ("to", "to_oy", "to_q"))
    target = moved(
        m, "to", load, Const(0),
        [
            (most_map, to_q, Mux(dst_wraps, config.dst_plane, 0)), (most_line, to_oy, config.dst_row_pitch),
            (most_output, to, command.dst_step),
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
