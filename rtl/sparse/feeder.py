"""The feeder of the sparse engine: the words of each block of R pixels, position after position of the kernel."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute
from accel.datapath import OFFSET_BITS
from accel.design import Design
from accel.latency import TRANSPOSE_CYCLES, TRANSPOSERS
from accel.memories import ACTIVATION, CODE_BITS
from accel.rtl.layouts import field_signal, layout
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, word_of
from accel.rtl.sparse.transposer import unit_layout
from accel.rtl.systolic.feeder import POSITION_BITS


class Feeder(wiring.Component):
    """From `begin` on, one word a cycle, as long as a slot of the transposer is free.

    for block in blocks of R pixels, in row-major order:  for group, ky, kx:  for pixel in block:  its word (or padding)

    A unit, the pixels of a block under (group, ky, kx), is begun when a slot is free (`freed` says that one has become
    so) and not interrupted. `write`, `row`, `word`, `complete` and `unit` are for the transposer, a cycle after a
    word's address; the word has the codes less `pad_value`, the zero point: padding is 0. `head` is the command at
    `begin`, `command` it from then on; `config` holds while it runs. `outside`: a word beyond the bank was read in the
    cycle before.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "begin": In(1), "head": In(8 * COMMAND_BYTES),
                "config": In(8 * COMMAND_BYTES), "command": In(8 * COMMAND_BYTES), "freed": In(1),
                "halt": In(1), "flush": In(1),
                "r_act": Out(read_port(ACTIVATION, design)),
                "write": Out(1), "row": Out(range(max(2, design.rows))), "word": Out(OFFSET_BITS * design.word_lanes),
                "complete": Out(1), "unit": Out(unit_layout(design)),
                "outside": Out(1), "event_act_reads": Out(1), "event_stream_cycles": Out(1),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        config, command = data.View(layout(ConfigCompute), self.config), data.View(layout(Compute), self.command)
        word_bits = ACTIVATION.word_bits
        active, within = Signal(name="active"), Signal(name="within")  # a unit has begun
        free = Signal(range(TRANSPOSERS + 1), init=TRANSPOSERS, name="free")
        row = Signal(range(max(2, design.rows)), name="pixel_row")
        # The pixel, without what the kernel position adds: row and column of the output, word, and coordinates; and
        # the same of the first pixel of the block, and of the one behind this pixel.
        kinds = (
            ("oy", field_signal(Compute, "out_h").shape()), ("ox", field_signal(Compute, "out_w").shape()),
            ("line", word_bits), ("at", word_bits), ("iy", signed(POSITION_BITS)), ("ix", signed(POSITION_BITS)),
        )  # fmt: skip
        here, first, after = (
            {name: Signal(shape, name=f"{which}_{name}") for name, shape in kinds}
            for which in ("here", "first", "after")
        )
        kx, ky = field_signal(ConfigCompute, "kernel_w", "kx"), field_signal(ConfigCompute, "kernel_h", "ky")
        group = field_signal(Compute, "groups", "group")
        tap, at_ky, at_group = (Signal(word_bits, name=n) for n in ("tap", "at_ky", "at_group"))
        dy, dx = Signal(POSITION_BITS - 1, name="dy"), Signal(POSITION_BITS - 1, name="dx")
        go, end_unit, end_block, end_pixels = (Signal(name=n) for n in ("go", "end_unit", "end_block", "end_pixels"))
        end_x = here["ox"] == command.out_w - 1
        end_kx, end_ky = kx == config.kernel_w - 1, ky == config.kernel_h - 1
        end_group = group == command.groups - 1
        m.d.comb += [
            go.eq(active & (within | (free != 0)) & ~self.halt),
            end_pixels.eq(end_x & (here["oy"] == command.out_h - 1)),
            end_unit.eq((row == design.rows - 1) | end_pixels),
            end_block.eq(end_kx & end_ky & end_group),
            after["ox"].eq(Mux(end_x, 0, here["ox"] + 1)), after["oy"].eq(here["oy"] + end_x),
            after["line"].eq(here["line"] + Mux(end_x, config.row_step, 0)),
            after["at"].eq(Mux(end_x, here["line"] + config.row_step, here["at"] + config.stride_x)),
            after["ix"].eq(Mux(end_x, command.ix0, here["ix"] + config.stride_x)),
            after["iy"].eq(here["iy"] + Mux(end_x, config.stride_y, 0)),
        ]  # fmt: skip
        m.d.sync += free.eq(free + self.freed - (go & ~within))

        def move(target: dict, source: dict) -> list:
            return [target[name].eq(source[name]) for name in source]

        with m.If(go):
            m.d.sync += [row.eq(Mux(end_unit, 0, row + 1)), within.eq(~end_unit), *move(here, after)]
            with m.If(end_unit):
                m.d.sync += [
                    *move(here, first),
                    kx.eq(kx + 1),
                    tap.eq(tap + config.dilation_x),
                    dx.eq(dx + config.dilation_x),
                ]
                with m.If(end_kx):
                    next_ky = word_of(ACTIVATION, at_ky + config.tap_row_step)
                    m.d.sync += [
                        kx.eq(0),
                        dx.eq(0),
                        ky.eq(ky + 1),
                        dy.eq(dy + config.dilation_y),
                        tap.eq(next_ky),
                        at_ky.eq(next_ky),
                    ]
                    with m.If(end_ky):
                        next_group = word_of(ACTIVATION, at_group + config.plane)
                        m.d.sync += [ky.eq(0), dy.eq(0), group.eq(group + 1)]
                        m.d.sync += [signal.eq(next_group) for signal in (tap, at_ky, at_group)]
                with m.If(end_block):
                    m.d.sync += [group.eq(0), *(signal.eq(0) for signal in (tap, at_ky, at_group))]
                    m.d.sync += [*move(here, after), *move(first, after)]
                    with m.If(end_pixels):
                        m.d.sync += active.eq(0)
        with m.If(self.begin):
            m.d.sync += [active.eq(1), within.eq(0), free.eq(TRANSPOSERS), row.eq(0)]
            m.d.sync += [signal.eq(0) for signal in (kx, ky, group, tap, at_ky, at_group, dy, dx)]
            head = data.View(layout(Compute), self.head)
            for place in (here, first):
                m.d.sync += [place["oy"].eq(0), place["ox"].eq(0), place["iy"].eq(head.iy0), place["ix"].eq(head.ix0)]
                m.d.sync += [place["line"].eq(head.act_addr), place["at"].eq(head.act_addr)]
        with m.If(self.flush & ~self.begin):
            m.d.sync += active.eq(0)
        address, iy, ix = Signal(word_bits, name="address"), here["iy"] + dy, here["ix"] + dx
        inside = Signal(name="inside")
        m.d.comb += [
            address.eq(here["at"] + tap),
            inside.eq((iy >= 0) & (iy < config.in_h) & (ix >= 0) & (ix < config.in_w)),
            self.r_act.en.eq(go & inside),
            self.r_act.addr.eq(Cat(address, bank_of(ACTIVATION, command.act_addr))),
            self.event_act_reads.eq(self.r_act.en), self.event_stream_cycles.eq(go),
        ]  # fmt: skip
        read = TRANSPOSE_CYCLES - 1  # the transposer's own register is the last
        now = Signal(unit_layout(design), name="unit_now")
        start = (group == 0) & (ky == 0) & (kx == 0)
        m.d.comb += [
            now.pixels.eq(row + 1), now.lanes.eq(Mux(end_group, command.rows_last, design.word_lanes)),
            now.begins.eq(start), now.ends.eq(end_block & end_pixels),
            self.write.eq(later(m, go, read, "write")), self.row.eq(later(m, row, read, "row")),
            self.complete.eq(later(m, end_unit, read, "complete")),
            self.unit.eq(later(m, now.as_value(), read, "unit")),
        ]  # fmt: skip
        inside_then = later(m, inside, read, "inside")
        for k in range(design.word_lanes):
            code, offset = Signal(signed(CODE_BITS), name=f"code_{k}"), Signal(signed(OFFSET_BITS), name=f"offset_{k}")
            m.d.comb += [
                code.eq(self.r_act.data.word_select(k, CODE_BITS)),
                offset.eq(Mux(inside_then, code - config.pad_value, 0)),
                self.word.word_select(k, OFFSET_BITS).eq(offset),
            ]
        m.d.sync += self.outside.eq(self.r_act.en & (address >= design.activation_words))
        return m
