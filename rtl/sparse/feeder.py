"""The feeder of the sparse engine: the words of each block of R pixels, position after position of the kernel."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Compute, ConfigCompute
from accel.datapath import OFFSET_BITS
from accel.design import Design
from accel.latency import TRANSPOSERS, transpose_pipeline, until
from accel.memories import ACTIVATION, CODE_BITS
from accel.rtl.layouts import layout
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port
from accel.rtl.sparse.transposer import unit_layout
from accel.rtl.walk import BlockWalk


class Feeder(wiring.Component):
    """From `begin` on, one word a cycle, as long as a slot of the transposer is free.

    for block in blocks of R pixels, in row-major order:  for group, ky, kx:  for pixel in block:  its word (or padding)

    A unit, the pixels of a block under (group, ky, kx), is begun when a slot is free (`freed` says that one has become
    so) and not interrupted. `write`, `row`, `word`, `complete` and `unit` are for the transposer, when a
    word is read; the word has the codes less `pad_value`, the zero point: padding is 0. `head` is the command at
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
        m.submodules.walk = walk = BlockWalk(design, tiles=False)
        within = Signal(name="within")  # a unit has begun
        free = Signal(range(TRANSPOSERS + 1), init=TRANSPOSERS, name="free")
        go = Signal(name="go")
        m.d.comb += [
            walk.begin.eq(self.begin), walk.head.eq(self.head), walk.config.eq(self.config),
            walk.command.eq(self.command), walk.flush.eq(self.flush), walk.step.eq(go),
            go.eq(walk.active & (within | (free != 0)) & ~self.halt),
            self.r_act.en.eq(go & walk.inside),
            self.r_act.addr.eq(Cat(walk.address, bank_of(ACTIVATION, command.act_addr))),
            self.event_act_reads.eq(self.r_act.en), self.event_stream_cycles.eq(go),
        ]  # fmt: skip
        m.d.sync += free.eq(free + self.freed - (go & ~within))
        with m.If(go):
            m.d.sync += within.eq(~walk.end_unit)
        with m.If(self.begin):
            m.d.sync += [within.eq(0), free.eq(TRANSPOSERS)]
        read = until(transpose_pipeline(design), "read")  # the transposer's own register is the last
        now = Signal(unit_layout(design), name="unit_now")
        m.d.comb += [
            now.pixels.eq(walk.row + 1), now.lanes.eq(Mux(walk.end_group, command.rows_last, design.word_lanes)),
            now.begins.eq(walk.start), now.ends.eq(walk.end_tile & walk.end_pixels),
            self.write.eq(later(m, go, read, "write")), self.row.eq(later(m, walk.row, read, "row")),
            self.complete.eq(later(m, walk.end_unit, read, "complete")),
            self.unit.eq(later(m, now.as_value(), read, "unit")),
        ]  # fmt: skip
        inside_then = later(m, walk.inside, read, "inside")
        for k in range(design.word_lanes):
            code, offset = Signal(signed(CODE_BITS), name=f"code_{k}"), Signal(signed(OFFSET_BITS), name=f"offset_{k}")
            m.d.comb += [
                code.eq(self.r_act.data.word_select(k, CODE_BITS)),
                offset.eq(Mux(inside_then, code - config.pad_value, 0)),
                self.word.word_select(k, OFFSET_BITS).eq(offset),
            ]
        m.d.sync += self.outside.eq(self.r_act.en & (walk.address >= design.activation_words))
        return m
