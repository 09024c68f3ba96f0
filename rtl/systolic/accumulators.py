"""The accumulators: two banks of C sums a word, added to as pixels leave the array, read by the post-process."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.datapath import array_sum_bits
from accel.design import Design
from accel.latency import ACC_READ, ACCUMULATE, Pipeline, cycles
from accel.memories import ACCUMULATOR
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, read_port, within, word_of
from accel.rtl.registered_ram import memory
from accel.rtl.systolic.feeder import TAG


class Accumulators(wiring.Component):
    """`tag` comes `ACC_READ` before its `sums`: the old word is read meanwhile; the new one is written after the sums.

    A word is written `ACCUMULATE` after its sums came and can be read from the next cycle on, REUSE_CYCLES after its
    tag: MIN_TILE_CYCLES sees to it as long as pixels repeat in the same order. A COMPUTE that accumulates onto words
    which the command before wrote last must not read them first; the compiler does not make such a command.

    With `memory_stages` 2 the register of "select" is one behind each bank, and chooses between the banks behind it;
    the post-process has its word, as it is then, in the second cycle after `en`.

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

        def after(pipeline: Pipeline, name: str) -> data.View:
            signal = Signal(TAG, name=name)
            m.d.comb += signal.eq(later(m, Value.cast(self.tag), cycles(pipeline), f"{name}_of"))
            return signal

        read, adding = after(ACC_READ[:1], "read"), after(ACC_READ, "adding")
        written = after((*ACC_READ, *ACCUMULATE), "written")
        fits = Signal(name="fits")  # of what is added: it is within the depth
        m.d.comb += fits.eq(within(word_of(ACCUMULATOR, adding.address), depth))
        write_ok = later(m, adding.valid & fits, 1, "write_ok")
        total = Signal(bits * cols, reset_less=True, name="total")
        registered = design.memory_stages > 1
        outputs = []
        for bank in range(ACCUMULATOR.banks):
            width = ACCUMULATOR.width_bits(design)
            m.submodules[f"bank{bank}"] = cells = memory(design, width, depth)
            outputs.append(cells.r_data)
            with m.If(self.r_post.en & (bank_of(ACCUMULATOR, self.r_post.addr) == bank)):
                m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(self.r_post.addr)]
            with m.If(reads & (bank_of(ACCUMULATOR, self.tag.address) == bank)):
                m.d.comb += [cells.r_en.eq(1), cells.r_addr.eq(self.tag.address)]
            m.d.comb += [
                cells.w_en.eq(write_ok & (bank_of(ACCUMULATOR, written.address) == bank) & ~self.halt),
                cells.w_addr.eq(written.address),
                cells.w_data.eq(total),
            ]
        # "select": the word in a register, 0 if there is none, which meets the sums.
        of = adding if registered else read
        found = Mux(of.overwrite, 0, Mux(bank_of(ACCUMULATOR, of.address), outputs[1], outputs[0]))
        old = Signal(bits * cols, name="old", reset_less=True)
        m.d["comb" if registered else "sync"] += old.eq(found)
        for c in range(cols):
            fresh = Signal(signed(array_sum_bits(design)), name=f"fresh_{c}")
            before = Signal(signed(bits), name=f"before_{c}")
            m.d.comb += [
                fresh.eq(self.sums.word_select(c, array_sum_bits(design))), before.eq(old.word_select(c, bits))
            ]  # fmt: skip
            m.d.sync += total.word_select(c, bits).eq(fresh + before)
        chosen = Signal(name="chosen")
        with m.If(self.r_post.en):
            m.d.sync += chosen.eq(bank_of(ACCUMULATOR, self.r_post.addr))
        m.d.comb += [
            self.r_post.data.eq(Mux(later(m, chosen, int(registered), "chosen"), outputs[1], outputs[0])),
            self.done.eq(written.valid & written.last),
            self.outside.eq(written.valid & ~write_ok),
            self.event_acc_reads.eq(reads),
            self.event_acc_writes.eq(write_ok),
        ]
        return m
