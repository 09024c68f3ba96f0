"""The weight memories of the PEs with their pointers: entries in, columns of each PE out."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import ErrorCode, Load, field_bits
from accel.design import Design
from accel.memories import POINTER, WEIGHT
from accel.rtl.ram import Ram
from accel.rtl.sparse.ports import COLUMN_BITS, entry_address_bits, entry_layout, entry_lists_port


class Weights(wiring.Component):
    """C memories of entries, written and read apart, and C of pointers, written apart and read together.

    A PE's entries (`w`) are written to the next words of its memory; where one begins a column, its word is the PE's
    next pointer. When a PE has its columns, what follows fills up and begins none. `error`: a word outside a memory or
    past the limit (not written), or a block that has ended before all columns have.

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
                "w": In(entry_lists_port(design)),
                "r_pointer": In(1), "column": In(POINTER.address_bits + 1), "pointers": Out(cols * self.address_bits),
                "r_en": In(cols), "r_addr": In(cols * self.address_bits), "entries": Out(cols * self.entry_bits),
                "error": Out(4),
                "event_weight_writes": Out(range(cols + 1)), "event_pointer_writes": Out(range(cols + 1)),
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design, w = self.design, self.w
        depth, pointers = WEIGHT.words(design), POINTER.words(design)
        begins, short, outside, too_many = [], [], [], []
        written: list[Value] = []
        first_pointer, columns = Signal.like(w.pointer, name="first_pointer"), Signal(COLUMN_BITS, name="columns")
        end = Signal(max(len(w.addr), len(w.limit)) + 1, name="end")  # word behind the last one of the block
        with m.If(w.start):
            m.d.sync += [first_pointer.eq(w.pointer), columns.eq(w.columns), end.eq(w.addr + w.limit)]
        for pe in range(design.cols):
            entry = data.View(entry_layout(design), w.entries.word_select(pe, self.entry_bits))
            m.submodules[f"entries{pe}"] = cells = Ram(self.entry_bits, depth)
            m.submodules[f"pointers{pe}"] = starts = Ram(self.address_bits, pointers)
            seen, word = Signal(COLUMN_BITS, name=f"seen_{pe}"), Signal(len(w.addr) + 1, name=f"word_{pe}")
            between = Signal(init=1, name=f"between_{pe}")  # the next entry begins a column
            begin, writes = Signal(name=f"begin_{pe}"), Signal(name=f"writes_{pe}")
            target = Signal(field_bits(Load, "dst_pitch") + 1, name=f"target_{pe}")
            m.d.comb += [
                writes.eq(w.en[pe] & (word < depth) & (word < end) & ~self.halt),
                begin.eq(between & (seen != columns)),
                target.eq(first_pointer + seen),
                cells.w_en.eq(writes), cells.w_addr.eq(word), cells.w_data.eq(entry.as_value()),
                starts.w_en.eq(writes & begin & (target < pointers)),
                starts.w_addr.eq(target), starts.w_data.eq(word),
                cells.r_en.eq(self.r_en[pe]), cells.r_addr.eq(self.r_addr.word_select(pe, self.address_bits)),
                self.entries.word_select(pe, self.entry_bits).eq(cells.r_data),
                starts.r_en.eq(self.r_pointer), starts.r_addr.eq(self.column),
                self.pointers.word_select(pe, self.address_bits).eq(starts.r_data),
            ]  # fmt: skip
            with m.If(w.en[pe]):
                m.d.sync += [
                    seen.eq(seen + begin), between.eq((between & ~begin) | entry.last), word.eq(word + 1),
                ]  # fmt: skip
            with m.If(w.start):
                m.d.sync += [seen.eq(0), between.eq(1), word.eq(w.addr)]
            written.append(writes)
            begins.append(starts.w_en)
            outside.append(w.en[pe] & ((word >= depth) | (begin & (target >= pointers))))
            too_many.append(w.en[pe] & (word >= end))
            short.append((seen != columns) | ~between)
        m.d.comb += self.event_weight_writes.eq(sum(written, start=Const(0)))
        m.d.comb += self.event_pointer_writes.eq(sum(begins, start=0))
        wrong_word, wrong_list = Signal(name="wrong_word"), Signal(name="wrong_list")
        m.d.sync += wrong_word.eq(Cat(*outside).any() | (self.r_pointer & (self.column >= pointers)))
        m.d.sync += wrong_list.eq(Cat(*too_many).any())
        missing = w.end & Cat(*short).any()
        m.d.comb += self.error.eq(
            Mux(
                wrong_list, ErrorCode.STREAM,
                Mux(wrong_word, ErrorCode.BUFFER_RANGE, Mux(missing, ErrorCode.WEIGHTS, ErrorCode.NONE)),
            )
        )  # fmt: skip
        return m
