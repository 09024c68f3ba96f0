"""The post-process unit: windows from accumulators or activation banks, requantised, into the activation banks."""

from __future__ import annotations

from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from accel.commands import COMMAND_BYTES, ConfigPost, ErrorCode, Opcode, Post, field_bits, most
from accel.design import Design
from accel.latency import post_cycles, post_pipeline, until
from accel.memories import ACCUMULATOR, ACTIVATION, PARAMETER
from accel.records import BIAS, MULTIPLIER, SHIFT
from accel.rtl.layouts import field_signal, layout
from accel.rtl.modules import shared
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, unit_members, waits_hold, word_of, write_port
from accel.rtl.requantise import Requantise

# A source row or column as far as any command reaches: it may be taken modulo, but not come back to the tensor.
POSITION_BITS = (
    most(Post, "iy0") + (most(Post, "out_h") - 1) * most(ConfigPost, "stride_y") + most(ConfigPost, "win_h") - 1
).bit_length()


def _moved(address: Value, words: Value) -> Value:
    """An activation address `words` further on in its bank."""
    return Cat(word_of(ACTIVATION, address + words), bank_of(ACTIVATION, address))


class PostUnit(wiring.Component):
    """One window element a cycle, P channels wide.

    The pipeline after the cycle in which an element is read is `accel.latency.post_pipeline`: data read | chunk
    selected | reduced | requantised (`Requantise`), and written. Elements outside take their cycle, but are not read. A
    record is read for each output. A residual operand is read with the window's last element, or in a cycle of its own
    after it when the source is the activation banks (they have one read port). A maximum over a window that is all
    outside is -2**31. Sums have 32 bits and wrap around.

    A POST is popped in the last element's cycle of the one before, or later; CONFIG_POST when the pipeline is empty. So
    a POST does not see what the one before wrote in its last `post_cycles`, unless there is a CONFIG_POST between them.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                **unit_members(),
                "r_acc": Out(read_port(ACCUMULATOR, design)),
                "r_act": Out(read_port(ACTIVATION, design)),
                "w_act": Out(write_port(ACTIVATION, design)),
                "r_param": Out(read_port(PARAMETER, design)),
                "event_act_reads": Out(1),
                "event_acc_reads": Out(1),
                "event_act_writes": Out(1),
                "event_param_reads": Out(1),
                "event_post_outputs": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        config = data.View(layout(ConfigPost), Signal(8 * COMMAND_BYTES, name="config", reset_less=True))
        command = data.View(layout(Post), Signal(8 * COMMAND_BYTES, name="running", reset_less=True))
        head = data.View(layout(Post), self.i.payload)
        is_post = head.opcode == Opcode.POST
        active, finishing, take = Signal(name="active"), Signal(name="finishing"), Signal(name="take")
        draining = Signal(range(post_cycles(self.design) + 1), name="draining")
        waits = waits_hold(self, head)
        m.d.comb += [
            take.eq(self.i.valid & ~self.halt & Mux(is_post, waits & (~active | finishing), ~active & (draining == 0))),
            self.i.ready.eq(take),
            self.idle.eq(~active & (draining == 0)),
        ]
        with m.If(active):
            m.d.sync += draining.eq(post_cycles(self.design))
        with m.Elif(draining != 0):
            m.d.sync += draining.eq(draining - 1)
        with m.If(finishing):
            m.d.sync += active.eq(0)
        with m.If(take):
            with m.If(is_post):
                m.d.sync += [command.eq(head), active.eq(1)]
            with m.Else():
                m.d.sync += config.eq(self.i.payload)
        element = self._walk(m, config, command, head, active, finishing, take & is_post)
        self._pipeline(m, config, command, element)
        return m

    def _walk(
        self,
        m: Module,
        config: data.View,
        command: data.View,
        head: data.View,
        active: Signal,
        finishing: Signal,
        begin: Value,
    ) -> dict[str, Value]:
        """Nested counters: chunk, output pixel, window element (and the residual's own cycle)."""
        design = self.design
        oy, ox, wy, wx = (field_signal(Post, "out_h", n) for n in ("oy", "ox", "wy", "wx"))
        chunk = field_signal(Post, "chunks", "chunk")
        word_bits = ACTIVATION.word_bits
        # Source addresses of the current element and where its window row, window, output row and chunk began.
        at, at_wy, at_ox, at_oy, at_q = (Signal(word_bits, name=n) for n in ("at", "at_wy", "at_ox", "at_oy", "at_q"))
        iy, ix, iy_o, ix_o = (Signal(signed(POSITION_BITS), name=n) for n in ("iy", "ix", "iy_o", "ix_o"))
        # Offsets of the destination (and of the residual operand) from the command's addresses.
        to, to_oy, to_q = (Signal(word_bits, name=n) for n in ("to", "to_oy", "to_q"))
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
                m.d.sync += [extra.eq(0), wx.eq(0), wy.eq(0), ox.eq(ox + 1), to.eq(to + 1)]
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
                        m.d.sync += go_to(next_to_q, to, to_oy, to_q)
        with m.If(begin):
            m.d.sync += [*go_to(head.src_addr, at, at_wy, at_ox, at_oy, at_q), *go_to(Const(0), to, to_oy, to_q)]
            m.d.sync += [*go_to(head.iy0, iy, iy_o), *go_to(head.ix0, ix, ix_o), extra.eq(0)]
            m.d.sync += [*go_to(Const(0), ox, oy, wx, wy, chunk), dst_chunk.eq(head.dst_chunk)]
            m.d.sync += src_chunk.eq(Mux(head.from_activation, head.src_chunk, 0))
        inside = (iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)
        return {
            "active": active, "element": active & ~extra, "first": (wx == 0) & (wy == 0) & ~extra, "last": last,
            "inside": inside, "at": at, "to": to, "chunk": chunk, "src_chunk": src_chunk, "dst_chunk": dst_chunk,
            "finishing": finishing,
        }  # fmt: skip

    def _pipeline(self, m: Module, config: data.View, command: data.View, e: dict[str, Value]) -> None:
        """Reads, reduction, requantisation and the write."""
        design = self.design
        lanes, bits = design.lanes, design.widths.accumulator

        stages = post_pipeline(design)

        def after(stage: str, value: Value, name: str, begun: str | None = None) -> Value:
            """`value` of the cycle of the reads (or that leaves the stage `begun`) when the data leave `stage`."""
            cycles = until(stages, stage) - (until(stages, begun) if begun else 0)
            return later(m, value, cycles, name)

        src_reads = Signal(name="src_reads")
        res_reads = Signal(name="res_reads")
        m.d.comb += [src_reads.eq(e["element"] & e["inside"]), res_reads.eq(e["last"] & command.residual)]
        from_act = Signal(name="from_act")
        m.d.comb += from_act.eq(command.from_activation)
        bank = bank_of(ACTIVATION, command.src_addr)
        m.d.comb += [
            self.r_acc.en.eq(src_reads & ~from_act),
            self.r_acc.addr.eq(Cat(word_of(ACCUMULATOR, e["at"]), bank_of(ACCUMULATOR, command.src_addr))),
            self.r_act.en.eq((src_reads & from_act) | res_reads),
            self.r_act.addr.eq(
                Mux(
                    res_reads,
                    _moved(command.res_addr, e["to"]),
                    Cat(e["at"], bank),
                )
            ),
            self.event_acc_reads.eq(self.r_acc.en),
            self.event_act_reads.eq(self.r_act.en),
        ]
        # "read": the words are there.
        element1, inside1 = after("read", e["element"], "element"), after("read", e["inside"], "inside")
        act1, src1 = after("read", from_act, "from_act"), after("read", e["src_chunk"], "src_chunk")
        dst1, res1 = after("read", e["dst_chunk"], "dst_chunk"), after("read", res_reads, "res_read")
        acc_chunk, act_chunk, res_chunk = (Signal(lanes * w, name=n) for w, n in (
            (bits, "acc_chunk"), (8, "act_chunk"), (8, "res_chunk")))  # fmt: skip
        m.d.comb += [
            acc_chunk.eq(self.r_acc.data.word_select(src1, lanes * bits)),
            act_chunk.eq(self.r_act.data.word_select(src1, lanes * 8)),
            res_chunk.eq(self.r_act.data.word_select(dst1, lanes * 8)),
        ]
        # "select": reduction. "reduce": requantisation starts, and the record is there.
        element2 = after("select", element1, "element1", begun="read")
        inside2 = after("select", inside1, "inside1", begun="read")
        first2, last2 = after("select", e["first"], "first"), after("select", e["last"], "last")
        res2 = after("select", res1, "res_read1", begun="read")
        address = _moved(command.dst_addr, e["to"])
        to_address, to_chunk = after("clip", address, "address"), after("clip", e["dst_chunk"], "to_chunk")
        output, finished = after("clip", e["last"], "output"), after("clip", e["finishing"], "finish")
        uniform2, sum2 = after("select", command.uniform, "uniform"), after("select", command.reduce_sum, "sum")
        # One bit more than an address has: it does not wrap around.
        param2 = after("select", (command.param_addr + e["chunk"])[: PARAMETER.address_bits + 1], "param")
        m.d.comb += [
            self.r_param.en.eq(last2 & ~uniform2),
            self.r_param.addr.eq(param2),
            self.event_param_reads.eq(self.r_param.en),
        ]
        # A read beyond a memory is an error two cycles later, long before the write that it would spoil.
        reads = (
            (self.r_act.en, word_of(ACTIVATION, self.r_act.addr), 1, design.activation_words),
            (self.r_acc.en, word_of(ACCUMULATOR, self.r_acc.addr), 1, design.accumulator_words),
            (self.r_param.en, param2, 0, design.parameter_words),
        )
        outside = Signal(name="outside")
        m.d.sync += outside.eq(
            Cat(
                later(m, en, cycles, f"read_{k}") & (later(m, at, cycles, f"read_at_{k}") >= depth)
                for k, (en, at, cycles, depth) in enumerate(reads)
            ).any()
        )
        uniform3 = after("reduce", uniform2, "uniform2", begun="select")
        codes = []
        for lane in range(lanes):
            x2 = Signal(signed(32), name=f"x_{lane}", reset_less=True)
            r2 = Signal(signed(8), name=f"r_{lane}", reset_less=True)
            reduced, so_far = Signal(signed(32), name=f"reduced_{lane}"), Signal(signed(32), name=f"so_far_{lane}")
            element = Signal(signed(32), name=f"element_{lane}")
            value3 = Signal(signed(32), name=f"value_{lane}", reset_less=True)
            residual3 = Signal(signed(9), name=f"residual_{lane}")
            m.d.sync += [
                x2.eq(
                    Mux(
                        act1,
                        act_chunk.word_select(lane, 8).as_signed(),
                        acc_chunk.word_select(lane, bits).as_signed(),
                    )
                ),
                r2.eq(res_chunk.word_select(lane, 8)),
                residual3.eq(Mux(res2, r2 - config.res_zero_point, 0)),
            ]
            m.d.comb += [
                element.eq(Mux(inside2, x2, Mux(sum2, config.res_zero_point, -(1 << 31)))),
                reduced.eq(so_far),
            ]
            with m.If(element2):
                with m.If(first2):
                    m.d.comb += reduced.eq(element)
                with m.Elif(sum2):
                    m.d.comb += reduced.eq(so_far + element)
                with m.Elif(element > so_far):
                    m.d.comb += reduced.eq(element)
            m.d.sync += [so_far.eq(reduced), value3.eq(reduced)]
            record = self.r_param.data.word_select(lane, PARAMETER.lane_bits(design))
            unit = shared(m, partial(Requantise, design), f"requantise_{lane}", "requantise")
            m.d.comb += [
                unit.value.eq(value3),
                unit.bias.eq(Mux(uniform3, config.uniform_bias, record[BIAS.first : BIAS.end].as_signed())),
                unit.multiplier.eq(Mux(uniform3, config.uniform_multiplier, record[MULTIPLIER.first : MULTIPLIER.end])),
                unit.shift.eq(Mux(uniform3, config.uniform_shift, record[SHIFT.first : SHIFT.end])),
                unit.residual.eq(residual3),
                unit.res_multiplier.eq(config.res_multiplier),
                unit.res_shift.eq(config.res_shift),
                unit.zero_point.eq(config.zero_point),
                unit.low.eq(config.low),
                unit.high.eq(config.high),
            ]
            codes.append(unit.code)
        # "clip": the masked write.
        per_word = design.word_lanes // lanes
        fits = word_of(ACTIVATION, to_address) < design.activation_words
        m.d.comb += [
            self.w_act.en.eq(output & fits & ~self.halt),
            self.w_act.addr.eq(to_address),
            self.w_act.data.eq(Cat(*codes * per_word)),
            self.w_act.mask.eq(Cat((to_chunk == k // lanes) for k in range(design.word_lanes))),
            self.event_act_writes.eq(output & fits),
            self.event_post_outputs.eq(output),
            self.done.eq(finished),
            self.error.eq(Mux((output & ~fits) | outside, ErrorCode.BUFFER_RANGE, 0)),
        ]
