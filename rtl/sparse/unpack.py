"""Weights on their way in: words of C bytes are unpacked to rows of entries."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import COMMAND_BYTES, Load, field_bits
from accel.design import Design
from accel.entries import LEAST_BITS
from accel.memories import CODE_BITS, WEIGHT, run_bits
from accel.rtl.layouts import layout
from accel.rtl.pipeline import later
from accel.rtl.ports import write_port
from accel.rtl.sparse.ports import LIMIT_BITS, entry_lists_port


class Unpack(wiring.Component):
    """Each PE's byte of a word goes on its bit stream; where that has a whole entry, a row leaves a cycle later.

    `block`: the loader begins `command`, a LOAD of entries; `block_end`: it has written the last word. An entry has 8
    bits at least, so a word gives one row at most. Of a coded LOAD no words come, but blocks begin and end as well.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "block": In(1), "command": In(8 * COMMAND_BYTES), "block_end": In(1),
                "w_weight": In(write_port(WEIGHT, design)), "o": Out(entry_lists_port(design)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        most_bits = run_bits(self.design)
        command = data.View(layout(Load), self.command)
        run, value = Signal(range(most_bits + 1), name="run_bits"), Signal(range(CODE_BITS + 1), name="value_bits")
        size = Signal(range(1 + most_bits + CODE_BITS + 1), name="entry_bits")
        rest_bits = most_bits + CODE_BITS  # of a row: an entry has one more
        left = Signal(range(rest_bits + 1), name="left")
        address, limit = Signal(field_bits(Load, "dst_addr"), name="address"), Signal(LIMIT_BITS, name="limit")
        pointer, columns = Signal.like(self.o.pointer, name="pointer"), Signal.like(self.o.columns, name="columns")
        whole = Signal(name="whole")
        together = 1 + command.run + command.step
        m.d.comb += whole.eq(self.w_weight.en & (left + 8 >= size))
        m.d.sync += self.o.en.eq(whole.replicate(self.design.cols))
        # Behind the row that the last word of the block before brought.
        m.d.comb += [
            self.o.start.eq(later(m, self.block, 2, "start")),
            self.o.end.eq(later(m, self.block_end, 2, "end")),
        ]
        m.d.comb += [
            self.o.addr.eq(address), self.o.pointer.eq(pointer), self.o.columns.eq(columns), self.o.limit.eq(limit)
        ]  # fmt: skip
        with m.If(self.w_weight.en):
            m.d.sync += left.eq(left + 8 - Mux(whole, size, 0))
        with m.If(self.block):
            m.d.sync += [
                run.eq(command.run), value.eq(command.step), size.eq(Mux(together < LEAST_BITS, LEAST_BITS, together)),
                left.eq(0), address.eq(command.dst_addr), limit.eq(Mux(command.coded, command.dram_pitch, -1)),
                pointer.eq(command.dst_pitch), columns.eq(command.row_words),
            ]  # fmt: skip
        run_mask, value_mask = Signal(most_bits, name="run_mask"), Signal(CODE_BITS, name="value_mask")
        m.d.comb += [run_mask.eq((1 << run) - 1), value_mask.eq((1 << value) - 1)]
        rows = []
        # An entry ends in the last byte, so it begins so far behind the first one of those that are kept.
        history = -(-rest_bits // 8)
        skipped = Signal(range(8 * history + 1), name="skipped")
        m.d.comb += skipped.eq(8 * history - left)
        for pe in range(self.design.cols):
            before = Signal(8 * history, name=f"before_{pe}", reset_less=True)
            whole_bytes = Cat(before, self.w_weight.data.word_select(pe, 8))
            joined = Signal(1 + rest_bits, name=f"joined_{pe}")
            entry = Signal(1 + most_bits + CODE_BITS, name=f"entry_{pe}")
            m.d.comb += joined.eq(whole_bytes >> skipped)
            with m.If(self.w_weight.en):
                m.d.sync += before.eq(whole_bytes[8:])
                values = (joined >> (1 + run)) & value_mask
                m.d.sync += entry.eq(
                    Cat(joined[0], (joined[1 : 1 + most_bits] & run_mask)[:most_bits], values[:CODE_BITS])
                )
            rows.append(entry)
        m.d.comb += self.o.entries.eq(Cat(*rows))
        return m
