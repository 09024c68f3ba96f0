"""How codes leave the post-process: looked up in a table if there is one, and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from accel.commands import ErrorCode
from accel.design import Design
from accel.latency import cycles, product_pipeline, table_cycles
from accel.memories import ACTIVATION, CODE_BITS, TABLE, TABLE_WORD_BYTES
from accel.rtl.pipeline import later
from accel.rtl.ports import within, word_of, write_port, write_registered
from accel.rtl.registered_ram import memory

if TYPE_CHECKING:
    from accel.rtl.post.unit import PostUnit


class Tables(wiring.Component):
    """Two tables of 256 int8 entries for every lane: `codes` at `en`, their entries `table_cycles` later.

    A word has four entries; the code's lowest bits say which. Entry 0 is that of the code -128.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        bits = CODE_BITS * design.lanes
        super().__init__(
            {"w": In(write_port(TABLE, design)), "en": In(1), "bank": In(1), "codes": In(bits), "entries": Out(bits)}
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        low, words = (TABLE_WORD_BYTES - 1).bit_length(), TABLE.words(self.design)
        for lane in range(self.design.lanes):
            m.submodules[f"lane{lane}"] = cells = memory(self.design, TABLE.width_bits(self.design), words)
            entry = Signal(CODE_BITS, name=f"entry_{lane}")
            place = later(m, entry[:low], table_cycles(self.design), f"place_{lane}", reset_less=True)
            code = self.codes.word_select(lane, CODE_BITS)
            m.d.comb += [
                entry.eq(Cat(code[:-1], ~code[-1])),
                cells.w_en.eq(self.w.en),
                cells.w_addr.eq(self.w.addr),
                cells.w_data.eq(self.w.data),
                cells.r_en.eq(self.en),
                cells.r_addr.eq(Cat(entry[low:], self.bank)),
                self.entries.word_select(lane, CODE_BITS).eq(cells.r_data.word_select(place, CODE_BITS)),
            ]
        return m


class Output(NamedTuple):
    """What leaves "clip" in a cycle: codes of P lanes, where they go, whether they are one, and the command's last."""

    codes: Value
    address: Value
    chunk: Value
    valid: Value
    last: Value


def later_codes(design: Design, config: data.View) -> list[tuple[Value, int]]:
    """Of what configurations codes come later than out of "clip", and by how many cycles."""
    multiplied = [(config.multiply, cycles(product_pipeline(design)))] if design.operand_products else []
    return multiplied + ([(config.table, table_cycles(design))] if design.tables else [])


def write(
    m: Module, unit: PostUnit, config: data.View, found: Output, outside: Value, placed: Value | None = None
) -> None:
    """The masked write of an output, or of its entries in a table `table_cycles` later. `outside`: a read was.

    Codes that were multiplied come later than `found` says what they are: that is delayed here, but for an address that
    is `placed` so late already, with whether there is such a word above it.
    """
    design = unit.design

    def behind(what: Value, delay: int, value: Value, name: str, made: str) -> Signal:
        """`value`, so many cycles later if `what`; nothing of a configuration before may come out later."""
        signal = Signal(value.shape(), name=name)
        m.d.comb += signal.eq(Mux(what, later(m, Mux(what, value, 0), delay, made), value))
        return signal

    def multiplied(value: Value, name: str) -> Signal:
        return behind(config.multiply, cycles(product_pipeline(design)), value, f"{name}_made", f"{name}_multiplied")

    def chosen(value: Value, name: str) -> Signal:
        return behind(looks_up, table_cycles(design), value, name, f"{name}_looked_up")

    if design.operand_products:
        found = found._replace(
            address=found.address if placed is not None else multiplied(found.address, "to"),
            chunk=multiplied(found.chunk, "to_part"),
            valid=multiplied(found.valid, "written"), last=multiplied(found.last, "ended"),
        )  # fmt: skip
    codes, looks_up = found.codes, config.table & design.tables
    if design.tables:
        m.submodules.tables = tables = Tables(design)
        wiring.connect(m, wiring.flipped(unit.w_table), tables.w)
        m.d.comb += [
            tables.en.eq(found.valid & looks_up),
            tables.bank.eq(config.table_bank),
            tables.codes.eq(found.codes),
            unit.event_table_reads.eq(Mux(tables.en, design.lanes, 0)),
        ]
        codes = Mux(looks_up, tables.entries, found.codes)
    written, chunk = chosen(found.valid, "written"), chosen(found.chunk, "to_part")
    if placed is not None:
        to, fits = placed[:-1], placed[-1]
    else:
        to = chosen(found.address, "to")
        fits = within(word_of(ACTIVATION, to), design.activation_words)
    act = write_registered(m, unit.w_act, "act")
    m.d.comb += [
        act.en.eq(written & fits & ~unit.halt),
        act.addr.eq(to),
        act.data.eq(codes.replicate(design.word_lanes // design.lanes)),
        act.mask.eq(Cat((chunk == k // design.lanes) for k in range(design.word_lanes))),
        unit.event_act_writes.eq(written & fits),
        unit.event_post_outputs.eq(written),
        unit.done.eq(chosen(found.last, "ended")),
        unit.error.eq(Mux((written & ~fits) | outside, ErrorCode.BUFFER_RANGE, 0)),
    ]
