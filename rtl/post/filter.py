"""Weighted windows: the line buffer, the window of each lane, and its multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.latency import filter_cycles, post_pipeline, until
from accel.memories import CODE_BITS, LINE, RECORD_BYTES
from accel.records import TAP, TAPS
from accel.rtl.multiplier import filter_product
from accel.rtl.pipeline import later
from accel.rtl.post.filter_walk import REACH, Slots
from accel.rtl.ram import Ram

if TYPE_CHECKING:
    from accel.rtl.post.unit import PostUnit

SIDE = REACH + 1  # of a window
ROW_OF_PARTS = SIDE  # multipliers that take a row of it at a time


class Filter(NamedTuple):
    """`sums` of the lanes, P of 32 bits, one cycle before the select stage of the output; `records` of the chunk."""

    sums: list[Value]
    records: Value


def weigh(m: Module, unit: PostUnit, config: data.View, slots: Slots, pixel: Value) -> Filter:
    """Hardware behind the walk's cycle: read | select, line | window | multiply | add.

    `pixel`: the chunk that was read for a slot, behind "read". A chunk's taps take effect a cycle later, its records
    when the first output is requantised, so that those of the chunk before have passed.
    """
    design = unit.design
    lanes = design.lanes
    read = until(post_pipeline(design), "read")
    step1, step2 = later(m, slots.step, read, "filter_step"), later(m, slots.step, read + 1, "filter_passing")
    column1 = later(m, slots.column, read, "filter_column")
    column2 = later(m, slots.column, read + 1, "filter_written")
    m.submodules.line = cells = Ram(LINE.width_bits(design), LINE.words(design))
    code = lanes * CODE_BITS
    newest = Signal(code, name="filter_pixel", reset_less=True)
    m.d.sync += newest.eq(pixel)
    above, highest = cells.r_data[:code], cells.r_data[code:]
    m.d.comb += [
        cells.r_en.eq(step1), cells.r_addr.eq(column1),
        cells.w_en.eq(step2), cells.w_addr.eq(column2), cells.w_data.eq(Cat(newest, above)),
    ]  # fmt: skip
    window = [[Signal(code, name=f"window_{y}_{x}", reset_less=True) for x in range(SIDE)] for y in range(SIDE)]
    with m.If(step2):
        for rows, entering in zip(window, (highest, above, newest), strict=True):
            m.d.sync += [old.eq(new) for old, new in zip(rows, [*rows[1:], entering], strict=True)]
    taps = [Signal(code, name=f"taps_{k}", reset_less=True) for k in range(TAPS)]
    word = [unit.r_param.data.word_select(lane, 8 * RECORD_BYTES) for lane in range(lanes)]
    with m.If(later(m, slots.taps, read + 1, "filter_taps")):
        m.d.sync += [taps[k].eq(Cat(w.word_select(k, CODE_BITS) for w in word)) for k in range(TAPS - 1)]
    with m.If(later(m, slots.record, read + 1, "filter_record")):
        m.d.sync += taps[TAPS - 1].eq(Cat(w[TAP.first : TAP.end] for w in word))
    records = Signal(lanes * TAP.first, name="filter_records", reset_less=True)
    with m.If(later(m, slots.record, read + 1 + filter_cycles(design), "filter_held")):
        m.d.sync += records.eq(Cat(w[: TAP.first] for w in word))
    rows, cols = later(m, slots.rows, read + 2, "filter_rows"), later(m, slots.cols, read + 2, "filter_cols")
    pairs = [(window[y][x], taps[SIDE * y + x], rows[y] & cols[x]) for y in range(SIDE) for x in range(SIDE)]
    if design.filter_multipliers == ROW_OF_PARTS:
        row = later(m, slots.row, read + 2, "filter_row")
        pairs = [tuple(Array(part)[row] for part in zip(*pairs[x::SIDE], strict=True)) for x in range(SIDE)]
    sums = []
    for lane in range(lanes):
        products = [
            filter_product(
                m, design,
                Mux(inside, values.word_select(lane, CODE_BITS).as_signed(), config.res_zero_point),
                weights.word_select(lane, CODE_BITS).as_signed(),
                signed(2 * CODE_BITS), f"product_{lane}_{k}",
            )
            for k, (values, weights, inside) in enumerate(pairs)
        ]  # fmt: skip
        total = products[0]
        for product in products[1:]:
            total = total + product
        sums.append(total)
    return Filter(sums, records)
