"""The walk of a POST over chunks, output pixels and window elements."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.commands import ConfigPost, Post, field_bits, most
from accel.design import Design
from accel.memories import ACTIVATION
from accel.rtl.layouts import field_signal

# A source row or column as far as any command reaches: it may be taken modulo, but not come back to the tensor.
POSITION_BITS = (
    most(Post, "iy0") + (most(Post, "out_h") - 1) * most(ConfigPost, "stride_y") + most(ConfigPost, "win_h") - 1
).bit_length()


def walk(
    m: Module,
    design: Design,
    config: data.View,
    command: data.View,
    head: data.View,
    active: Signal,
    finishing: Signal,
    begin: Value,
) -> dict[str, Value]:
    """Nested counters: chunk, output pixel, window element (and the residual's own cycle)."""
    oy, ox, wy, wx = (field_signal(Post, "out_h", n) for n in ("oy", "ox", "wy", "wx"))
    chunk = field_signal(Post, "chunks", "chunk")
    word_bits = ACTIVATION.word_bits
    # Source addresses of the current element and where its window row, window, output row and chunk began.
    at, at_wy, at_ox, at_oy, at_q = (Signal(word_bits, name=n) for n in ("at", "at_wy", "at_ox", "at_oy", "at_q"))
    iy, ix, iy_o, ix_o = (Signal(signed(POSITION_BITS), name=n) for n in ("iy", "ix", "iy_o", "ix_o"))
    # Offsets of the destination (and of the residual operand) from the command's addresses.
    to, to_oy, to_q = (Signal(word_bits, name=n) for n in ("to", "to_oy", "to_q"))
    one_q = Signal(word_bits, name="one_q")  # the same of a residual operand of one pixel
    per_source = Mux(command.from_activation, design.word_lanes // design.lanes, design.cols // design.lanes)
    chunk_bits = field_bits(Post, "src_chunk") + 1
    src_chunk, dst_chunk = Signal(chunk_bits, name="src_chunk"), Signal(chunk_bits, name="dst_chunk")
    extra = Signal(name="extra")  # the residual's own cycle
    end_wx, end_wy = wx == config.win_w - 1, wy == config.win_h - 1
    end_window = end_wx & end_wy
    own_cycle = command.residual & command.from_activation
    last = Signal(name="last")
    m.d.comb += last.eq(active & Mux(own_cycle, extra, end_window))
    end_ox, end_oy = ox == command.out_w - 1, oy == command.out_h - 1
    end_q = chunk == command.chunks - 1
    m.d.comb += finishing.eq(last & end_ox & end_oy & end_q)
    next_q = Signal(word_bits, name="next_q")
    src_wraps, dst_wraps = src_chunk == per_source - 1, dst_chunk == design.word_lanes // design.lanes - 1
    next_to_q = Signal(word_bits, name="next_to_q")
    m.d.comb += [
        next_q.eq(at_q + Mux(src_wraps, config.src_plane, 0)),
        next_to_q.eq(to_q + Mux(dst_wraps, config.dst_plane, 0)),
    ]

    def go_to(address: Value, *signals: Signal) -> list:
        return [signal.eq(address) for signal in signals]

    with m.If(active):
        m.d.sync += [wx.eq(wx + 1), at.eq(at + 1), ix.eq(ix + 1)]
        with m.If(end_wx):
            m.d.sync += [wx.eq(0), wy.eq(wy + 1), ix.eq(ix_o), iy.eq(iy + 1)]
            m.d.sync += go_to(at_wy + config.src_row_pitch, at, at_wy)
        with m.If(end_window & own_cycle & ~extra):
            m.d.sync += [extra.eq(1), wx.eq(wx), wy.eq(wy)]
        with m.If(last):
            m.d.sync += [extra.eq(0), wx.eq(0), wy.eq(0), ox.eq(ox + 1), to.eq(to + command.dst_step)]
            m.d.sync += go_to(at_ox + config.stride_x, at, at_wy, at_ox)
            m.d.sync += [*go_to(ix_o + config.stride_x, ix, ix_o), iy.eq(iy_o)]
            with m.If(end_ox):
                m.d.sync += [ox.eq(0), oy.eq(oy + 1), *go_to(command.ix0, ix, ix_o)]
                m.d.sync += go_to(at_oy + config.src_row_step, at, at_wy, at_ox, at_oy)
                m.d.sync += go_to(to_oy + config.dst_row_pitch, to, to_oy)
                m.d.sync += go_to(iy_o + config.stride_y, iy, iy_o)
                with m.If(end_oy):
                    m.d.sync += [oy.eq(0), chunk.eq(chunk + 1), *go_to(command.iy0, iy, iy_o)]
                    m.d.sync += [
                        src_chunk.eq(Mux(src_wraps, 0, src_chunk + 1)),
                        dst_chunk.eq(Mux(dst_wraps, 0, dst_chunk + 1)),
                    ]
                    m.d.sync += go_to(next_q, at, at_wy, at_ox, at_oy, at_q)
                    m.d.sync += [
                        *go_to(next_to_q, to, to_oy, to_q),
                        one_q.eq(one_q + Mux(dst_wraps, command.res_plane, 0)),
                    ]
    with m.If(begin):
        m.d.sync += [*go_to(head.src_addr, at, at_wy, at_ox, at_oy, at_q), *go_to(Const(0), to, to_oy, to_q, one_q)]
        m.d.sync += [*go_to(head.iy0, iy, iy_o), *go_to(head.ix0, ix, ix_o), extra.eq(0)]
        m.d.sync += [*go_to(Const(0), ox, oy, wx, wy, chunk), dst_chunk.eq(head.dst_chunk)]
        m.d.sync += src_chunk.eq(Mux(head.from_activation, head.src_chunk, 0))
    inside = (iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)
    return {
        "element": active & ~extra, "reads": active & ~extra & inside, "first": (wx == 0) & (wy == 0) & ~extra,
        "last": last, "inside": inside, "at": at, "to": to, "src_chunk": src_chunk, "dst_chunk": dst_chunk,
        "operand": Mux(command.res_plane == 0, to, one_q), "record": last, "param": command.param_addr + chunk,
        "finishing": finishing,
    }  # fmt: skip
