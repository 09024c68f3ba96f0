"""The accumulators: two banks of C sums a word, added to as pixels leave the array, read by the post-process."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import array_sum_bits
from accel.design import Design
from accel.latency import ACC_CYCLES
from accel.memories import ACCUMULATOR
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, word_of
from accel.rtl.ram import Ram
from accel.rtl.systolic.feeder import TAG


class Accumulators(wiring.Component):
    """`tag` comes one cycle before its `sums`: the old word is read meanwhile; the new one is written after the sums.

    A word is written ACC_CYCLES after its sums came and can be read from the next cycle on, REUSE_CYCLES after its tag:
    MIN_TILE_CYCLES sees to it as long as pixels repeat in the same order. A COMPUTE that accumulates onto words which
    the command before wrote last must not read them first; the compiler does not make such a command.

    `done`: the last word of a command is written. `outside`: a write beyond the depth was suppressed.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "tag": In(TAG),
                "sums": In(array_sum_bits(design) * design.cols),
                "halt": In(1),
                "r_post": In(read_port(ACCUMULATOR, design)),
                "done": Out(1),
                "outside": Out(1),
                "event_acc_reads": Out(1),
                "event_acc_writes": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        bits, cols, depth = design.widths.accumulator, design.cols, ACCUMULATOR.words(design)
        reads = self.tag.valid & ~self.tag.overwrite
        tag1, tag2 = Signal(TAG, name="tag1"), Signal(TAG, name="tag2")
        m.d.sync += tag1.eq(self.tag)
        m.d.comb += tag2.eq(later(m, Value.cast(tag1), ACC_CYCLES, "tag1"))
        total = Signal(bits * cols, reset_less=True, name="total")
        write_ok = tag2.valid & (word_of(ACCUMULATOR, tag2.address) < depth)
        outputs = []
        for bank in range(ACCUMULATOR.banks):
            m.submodules[f"bank{bank}"] = cells = Ram(ACCUMULATOR.width_bits(design), depth)
            outputs.append(cells.r_data)
            with m.If(self.r_post.en & (bank_of(ACCUMULATOR, self.r_post.addr) == bank)):
                m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(self.r_post.addr)]
            with m.If(reads & (bank_of(ACCUMULATOR, self.tag.address) == bank)):
                m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(self.tag.address)]
            m.d.comb += [
                cells.w_en.eq(write_ok & (bank_of(ACCUMULATOR, tag2.address) == bank) & ~self.halt),
                cells.w_addr.eq(tag2.address),
                cells.w_data.eq(later(m, total, ACC_CYCLES - 1, f"total_{bank}", reset_less=True)),
            ]
        old = Mux(bank_of(ACCUMULATOR, tag1.address), outputs[1], outputs[0])
        parts = []
        for c in range(cols):
            fresh = Signal(signed(array_sum_bits(design)), name=f"fresh_{c}")
            before = Signal(signed(bits), name=f"before_{c}")
            m.d.comb += [
                fresh.eq(self.sums.word_select(c, array_sum_bits(design))),
                before.eq(Mux(tag1.overwrite, 0, old.word_select(c, bits))),
            ]
            parts.append((fresh + before)[:bits])
        m.d.sync += total.eq(Cat(*parts))
        chosen = Signal(name="chosen")
        with m.If(self.r_post.en):
            m.d.sync += chosen.eq(bank_of(ACCUMULATOR, self.r_post.addr))
        m.d.comb += [
            self.r_post.data.eq(Mux(chosen, outputs[1], outputs[0])),
            self.done.eq(tag2.valid & tag2.last),
            self.outside.eq(tag2.valid & ~write_ok),
            self.event_acc_reads.eq(reads),
            self.event_acc_writes.eq(write_ok),
        ]
        return m
