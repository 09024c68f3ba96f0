"""The weight memories of the PEs with their pointers: rows of entries in, columns of each PE out."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import ErrorCode, Load, field_bits
from accel.design import Design
from accel.memories import POINTER, WEIGHT
from accel.rtl.ram import Ram
from accel.rtl.sparse.ports import COLUMN_BITS, entry_address_bits, entry_layout, entry_rows_port


class Weights(wiring.Component):
    """C memories of entries, written together and read apart, and C of pointers, written apart and read together.

    A row of entries (`w`) is written to its word; where an entry begins a column, that word is the PE's next pointer.
    When a PE has its columns, what follows fills up and begins none. `error`: a word outside a memory (not written), or
    a block that has ended before all columns have.

    `r_pointer`: the pointers of all PEs to `column`, in the next cycle. `r_en`, `r_addr`: of each PE, its entry in the
    next cycle.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.address_bits, self.entry_bits = entry_address_bits(design), entry_layout(design).size
        cols = design.cols
        super().__init__(
            {
                "halt": In(1),
                "w": In(entry_rows_port(design)),
                "r_pointer": In(1), "column": In(POINTER.address_bits + 1), "pointers": Out(cols * self.address_bits),
                "r_en": In(cols), "r_addr": In(cols * self.address_bits), "entries": Out(cols * self.entry_bits),
                "error": Out(4), "event_weight_writes": Out(1), "event_pointer_writes": Out(range(cols + 1)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design, w = self.design, self.w
        depth, pointers = WEIGHT.words(design), POINTER.words(design)
        writes = Signal(name="writes")
        m.d.comb += [writes.eq(w.en & (w.addr < depth) & ~self.halt), self.event_weight_writes.eq(writes)]
        begins, short, outside = [], [], []
        expected = Signal(COLUMN_BITS, name="expected")  # columns of the block whose row came last
        with m.If(w.en):
            m.d.sync += expected.eq(w.columns)
        for pe in range(design.cols):
            entry = data.View(entry_layout(design), w.entries.word_select(pe, self.entry_bits))
            m.submodules[f"entries{pe}"] = cells = Ram(self.entry_bits, depth)
            m.submodules[f"pointers{pe}"] = starts = Ram(self.address_bits, pointers)
            seen, count = Signal(COLUMN_BITS, name=f"seen_{pe}"), Signal(COLUMN_BITS, name=f"count_{pe}")
            between = Signal(init=1, name=f"between_{pe}")  # the next entry begins a column
            begin = Signal(name=f"begin_{pe}")
            target = Signal(field_bits(Load, "dst_pitch") + 1, name=f"target_{pe}")
            m.d.comb += [
                count.eq(Mux(w.first, 0, seen)), begin.eq((w.first | between) & (count != w.columns)),
                target.eq(w.pointer + count),
                cells.w_en.eq(writes), cells.w_addr.eq(w.addr), cells.w_data.eq(entry.as_value()),
                starts.w_en.eq(writes & begin & (target < pointers)),
                starts.w_addr.eq(target), starts.w_data.eq(w.addr),
                cells.r_en.eq(self.r_en[pe]), cells.r_addr.eq(self.r_addr.word_select(pe, self.address_bits)),
                self.entries.word_select(pe, self.entry_bits).eq(cells.r_data),
                starts.r_en.eq(self.r_pointer), starts.r_addr.eq(self.column),
                self.pointers.word_select(pe, self.address_bits).eq(starts.r_data),
            ]  # fmt: skip
            with m.If(w.en):
                in_column = begin | ~(w.first | between)
                m.d.sync += [seen.eq(count + begin), between.eq(~in_column | entry.last)]
            begins.append(starts.w_en)
            outside.append(w.en & begin & (target >= pointers))
            short.append((seen != expected) | ~between)
        m.d.comb += self.event_pointer_writes.eq(sum(begins, start=0))
        wrong_word = Signal(name="wrong_word")
        m.d.sync += wrong_word.eq(
            (w.en & (w.addr >= depth)) | Cat(*outside).any() | (self.r_pointer & (self.column >= pointers))
        )
        missing = w.end & Cat(*short).any()
        m.d.comb += self.error.eq(Mux(wrong_word, ErrorCode.BUFFER_RANGE, Mux(missing, ErrorCode.WEIGHTS, 0)))
        return m
