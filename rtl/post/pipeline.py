"""What follows the walk of a POST: reads, reduction and requantisation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.datapath import RESIDUAL_BITS, SUM_BITS
from accel.design import Design
from accel.latency import filter_cycles, post_pipeline, until
from accel.memories import ACCUMULATOR, ACTIVATION, PARAMETER
from accel.records import BIAS, MULTIPLIER, SHIFT
from accel.rtl.modules import shared
from accel.rtl.pipeline import delayed_by, in_luts, later
from accel.rtl.ports import bank_of, within, word_of
from accel.rtl.post.filter import weigh
from accel.rtl.post.filter_walk import Slots
from accel.rtl.post.output import Output, later_codes, write
from accel.rtl.requantise import Requantise

if TYPE_CHECKING:
    from accel.rtl.post.unit import PostUnit


def _moved(address: Value, words: Value) -> Value:
    """An activation address `words` further on in its bank."""
    return Cat(word_of(ACTIVATION, address + words), bank_of(ACTIVATION, address))


def with_filter(
    m: Module, design: Design, element: dict[str, Value], slots: Slots, filtering: Value
) -> tuple[dict[str, Value], Value]:
    """Elements of either walk: a weighted window is an element, F cycles later. And whether the next cycle is the last
    one of a filter's.
    """
    cycles = filter_cycles(design)

    def at_sum(name: str) -> Value:
        return later(m, getattr(slots, name), cycles, f"sum_{name}")

    window, last = at_sum("window"), at_sum("last")
    ends = later(m, slots.end, cycles - 1, "sum_end")
    ended = later(m, ends, 1, "sum_ended")
    either = element | {
        "element": element["element"] | window,
        "reads": element["reads"] | slots.reads,
        "first": Mux(filtering, at_sum("first"), element["first"]),
        "last": element["last"] | last,
        "inside": element["inside"] | filtering,
        "at": Mux(filtering, slots.at, element["at"]),
        "src_chunk": Mux(filtering, slots.src_chunk, element["src_chunk"]),
        "to": Mux(filtering, at_sum("to"), element["to"]),
        "dst_chunk": Mux(filtering, at_sum("dst_chunk"), element["dst_chunk"]),
        "finishing": element["finishing"] | ended,
        "filtering": filtering,
    }
    return either, ends


def pipeline(
    m: Module, unit: PostUnit, config: data.View, command: data.View, e: dict[str, Value], slots: Slots | None
) -> None:
    """Reads, reduction and requantisation, then the write; `slots` of the filter's walk, if there is one."""
    design = unit.design
    lanes, bits = design.lanes, design.widths.accumulator

    stages = post_pipeline(design)

    def after(stage: str, value: Value, name: str, begun: str | None = None) -> Value:
        """`value` of the cycle of the reads (or that leaves the stage `begun`) when the data leave `stage`."""
        cycles = until(stages, stage) - (until(stages, begun) if begun else 0)
        return later(m, value, cycles, name)

    # "address": what is read, and where the output goes.
    from_act = Signal(name="from_act")
    res_reads = Signal(name="res_reads")
    m.d.comb += [from_act.eq(command.from_activation), res_reads.eq(e["last"] & command.residual)]
    source = Cat(e["at"], bank_of(ACTIVATION, command.src_addr))
    sum_source = Cat(word_of(ACCUMULATOR, e["at"]), bank_of(ACCUMULATOR, command.src_addr))
    act_at = Mux(res_reads, _moved(command.res_addr, e["operand"]), source)
    m.d.comb += [
        unit.r_acc.en.eq(after("address", e["reads"] & ~from_act, "reads_sums")),
        unit.r_acc.addr.eq(after("address", sum_source, "sum_at")),
        unit.r_act.en.eq(after("address", (e["reads"] & from_act) | res_reads, "reads")),
        unit.r_act.addr.eq(after("address", act_at, "at")),
        unit.event_acc_reads.eq(unit.r_acc.en),
        unit.event_act_reads.eq(unit.r_act.en),
    ]
    # "read": the words are there.
    sums_read = unit.r_acc.data  # the registers behind memories are their own
    act_read = unit.r_act.data
    act1, src1 = after("read", from_act, "from_act"), after("read", e["src_chunk"], "src_chunk")
    dst1 = after("read", e["dst_chunk"], "dst_chunk")
    acc_chunk, act_chunk, res_chunk = (Signal(lanes * w, name=n) for w, n in (
        (bits, "acc_chunk"), (8, "act_chunk"), (8, "res_chunk")))  # fmt: skip
    m.d.comb += [
        acc_chunk.eq(sums_read.word_select(src1, lanes * bits)),
        act_chunk.eq(act_read.word_select(src1, lanes * 8)),
        res_chunk.eq(act_read.word_select(dst1, lanes * 8)),
    ]
    # The record is read then, so that it can be chosen in "reduce".
    uniform1 = after("read", command.uniform, "uniform")
    param1, record1 = after("read", e["param"], "param"), after("read", e["record"], "record") & ~uniform1
    filtered = None
    if slots:
        asked = after("read", Cat(*slots.taps, slots.record).any(), "filter_asks")
        record1, param1 = record1 | asked, Mux(asked, after("read", slots.param, "filter_param"), param1)
        filtered = weigh(m, unit, config, slots, act_chunk)
    m.d.comb += [
        unit.r_param.en.eq(record1),
        unit.r_param.addr.eq(param1),
        unit.event_param_reads.eq(unit.r_param.en),
    ]
    # A read beyond a memory is an error two cycles later, long before the write that it would spoil.
    reads = (
        (unit.r_act.en, word_of(ACTIVATION, unit.r_act.addr), design.activation_words),
        (unit.r_acc.en, word_of(ACCUMULATOR, unit.r_acc.addr), design.accumulator_words),
        (unit.r_param.en, param1, design.parameter_words),
    )
    outside = Signal(name="outside")
    beyond = [later(m, en & ~within(at, depth), 1, f"beyond_{k}") for k, (en, at, depth) in enumerate(reads)]
    m.d.sync += outside.eq(Cat(beyond).any())
    # "select": reduction. "reduce": requantisation starts, with the record.
    element2, inside2 = after("select", e["element"], "element"), after("select", e["inside"], "inside")
    first2, res2 = after("select", e["first"], "first"), after("select", res_reads, "res_read")
    sum2 = after("select", command.reduce_sum, "sum")
    uniform2 = after("select", uniform1, "uniform1", begun="read") | (config.multiply & design.operand_products)
    filter1, filter2 = (
        (after(stage, e["filtering"], f"by_filter_{stage}") for stage in ("read", "select")) if slots else (None, None)
    )
    # What an element outside counts as, for sums and for maxima.
    outer = Mux(sum2, config.res_zero_point, -(1 << (SUM_BITS - 1)))
    codes = []
    for lane in range(lanes):
        selected: Value = Mux(
            act1, act_chunk.word_select(lane, 8).as_signed(), acc_chunk.word_select(lane, bits).as_signed()
        )
        uniform = Cat(config.uniform_bias, config.uniform_multiplier, config.uniform_shift)
        record2: Value = unit.r_param.data.word_select(lane, PARAMETER.lane_bits(design))[: SHIFT.end]
        if filtered:
            selected = Mux(filter1, filtered.sums[lane], selected)
            record2 = Mux(filter2, filtered.records.word_select(lane, SHIFT.end), record2)
        x2 = Signal(signed(SUM_BITS), name=f"x_{lane}", reset_less=True)
        r2 = Signal(signed(8), name=f"r_{lane}", reset_less=True)
        value3 = Signal(signed(SUM_BITS), name=f"value_{lane}", reset_less=True)
        record3 = Signal(SHIFT.end, name=f"record_{lane}", reset_less=True)
        m.d.sync += [
            x2.eq(selected), r2.eq(res_chunk.word_select(lane, 8)), record3.eq(Mux(uniform2, uniform, record2)),
        ]  # fmt: skip
        # One adder makes sums, and the differences that say which is the larger.
        turned, added = (
            Signal(signed(SUM_BITS), name=f"turned_{lane}"),
            Signal(signed(SUM_BITS + 1), name=f"sum_{lane}"),
        )
        m.d.comb += [
            turned.eq(Mux(inside2, x2, outer) ^ (~sum2).replicate(SUM_BITS).as_signed()),
            added.eq((Cat(~sum2, value3).as_signed() + Cat(~sum2, turned).as_signed()) >> 1),
        ]
        with m.If(element2 & (first2 | sum2 | added[-1])):
            adds = sum2 & ~first2
            m.d.sync += value3.eq(Mux(adds, added, turned ^ (~sum2).replicate(SUM_BITS).as_signed()))
        lane_unit = shared(m, partial(Requantise, design), f"requantise_{lane}", "requantise")
        m.d.comb += [
            lane_unit.value.eq(value3),
            lane_unit.bias.eq(record3[BIAS.first : BIAS.end]),
            lane_unit.multiplier.eq(record3[MULTIPLIER.first : MULTIPLIER.end]),
            lane_unit.shift.eq(record3[SHIFT.first : SHIFT.end]),
            lane_unit.residual.eq(_difference(m, config, r2, res2, lane)),
            lane_unit.multiply.eq(config.multiply),
            lane_unit.res_multiplier.eq(config.res_multiplier),
            lane_unit.res_shift.eq(config.res_shift),
            lane_unit.zero_point.eq(config.zero_point),
            lane_unit.low.eq(config.low),
            lane_unit.high.eq(config.high),
        ]
        codes.append(lane_unit.code)
    address = after("address", _moved(command.dst_addr, e["to"]), "to_address")
    behind = until(stages, "clip") - until(stages, "address")
    placed = None
    if in_luts(design, behind):  # with what comes behind "clip", and whether there is such a word
        fits = within(word_of(ACTIVATION, address), design.activation_words)
        placed = delayed_by(m, Cat(address, fits), behind, later_codes(design, config), "address")
        to_address = placed[:-1]
    else:
        to_address = after("clip", address, "address", "address")
    to_chunk = after("clip", e["dst_chunk"], "to_chunk")
    output, finished = after("clip", e["last"], "output"), after("clip", e["finishing"], "finish")
    write(m, unit, config, Output(Cat(*codes), to_address, to_chunk, output, finished), outside, placed)


def _difference(m: Module, config: data.View, operand: Value, there: Value, lane: int) -> Signal:
    """A residual operand less its zero point, or with `subtract` the other way round, a cycle later; 0 if none is."""
    first, second = (Signal(signed(RESIDUAL_BITS), name=f"{n}_{lane}") for n in ("operand", "zero"))
    found = Signal(signed(RESIDUAL_BITS), name=f"residual_{lane}")
    m.d.comb += [
        first.eq(operand ^ config.subtract.replicate(RESIDUAL_BITS).as_signed()),
        second.eq(config.res_zero_point ^ (~config.subtract).replicate(RESIDUAL_BITS).as_signed()),
    ]
    m.d.sync += found.eq(Mux(there, (Cat(Const(1), first).as_signed() + Cat(Const(1), second).as_signed()) >> 1, 0))
    return found
