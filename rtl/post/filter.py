"""Weighted windows: the line buffer, the window of each lane, and its multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.latency import filter_cycles, post_pipeline, until
from accel.memories import CODE_BITS, LINE, RECORD_BYTES
from accel.records import TAP, TAPS, filter_places
from accel.rtl.multiplier import filter_product
from accel.rtl.pipeline import later
from accel.rtl.post.filter_walk import Slots
from accel.rtl.ram import Ram

if TYPE_CHECKING:
    from accel.rtl.post.unit import PostUnit


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
    lanes, side = design.lanes, design.filter_side
    read = until(post_pipeline(design), "read")
    step1, step2 = later(m, slots.step, read, "filter_step"), later(m, slots.step, read + 1, "filter_passing")
    column1 = later(m, slots.column, read, "filter_column")
    column2 = later(m, slots.column, read + 1, "filter_written")
    m.submodules.line = cells = Ram(LINE.width_bits(design), LINE.words(design))
    code = lanes * CODE_BITS
    newest = Signal(code, name="filter_pixel", reset_less=True)
    m.d.sync += newest.eq(pixel)
    above = [cells.r_data.word_select(k, code) for k in range(side - 1)]  # the row next to it first
    m.d.comb += [
        cells.r_en.eq(step1), cells.r_addr.eq(column1),
        cells.w_en.eq(step2), cells.w_addr.eq(column2), cells.w_data.eq(Cat(newest, *above[:-1])),
    ]  # fmt: skip
    window = [[Signal(code, name=f"window_{y}_{x}", reset_less=True) for x in range(side)] for y in range(side)]
    with m.If(step2):
        for rows, entering in zip(window, (*reversed(above), newest), strict=True):
            m.d.sync += [old.eq(new) for old, new in zip(rows, [*rows[1:], entering], strict=True)]
    taps = [Signal(code, name=f"taps_{k}", reset_less=True) for k in range(side**2)]
    word = [unit.r_param.data.word_select(lane, 8 * RECORD_BYTES) for lane in range(lanes)]
    others = [*taps[: TAPS - 1], *taps[TAPS:]]  # in words behind the records
    for number, asked in enumerate(slots.taps):
        with m.If(later(m, asked, read + 1, f"filter_taps{number or ''}")):
            m.d.sync += [
                tap.eq(Cat(w.word_select(k, CODE_BITS) for w in word))
                for k, tap in enumerate(others[RECORD_BYTES * number : RECORD_BYTES * (number + 1)])
            ]
    with m.If(later(m, slots.record, read + 1, "filter_record")):
        m.d.sync += taps[TAPS - 1].eq(Cat(w[TAP.first : TAP.end] for w in word))
    records = Signal(lanes * TAP.first, name="filter_records", reset_less=True)
    with m.If(later(m, slots.record, read + 1 + filter_cycles(design), "filter_held")):
        m.d.sync += records.eq(Cat(w[: TAP.first] for w in word))
    rows, cols = later(m, slots.rows, read + 2, "filter_rows"), later(m, slots.cols, read + 2, "filter_cols")
    pairs = [(window[y][x], tap, rows[y] & cols[x]) for (y, x), tap in zip(filter_places(side), taps, strict=True)]
    count = design.filter_multipliers
    if len(pairs) > count:  # the last part of a window has fewer elements than multipliers
        part = later(m, slots.part, read + 2, "weighed_part")
        pairs += [(window[0][0], Const(0, code), Const(0))] * (-len(pairs) % count)
        pairs = [tuple(Array(each)[part] for each in zip(*pairs[k::count], strict=True)) for k in range(count)]
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
