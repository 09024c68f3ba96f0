"""What follows the walk of a POST: reads, reduction and requantisation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from accel.design import Design
from accel.latency import filter_cycles, post_pipeline, until
from accel.memories import ACCUMULATOR, ACTIVATION, PARAMETER
from accel.records import BIAS, MULTIPLIER, SHIFT
from accel.rtl.modules import shared
from accel.rtl.pipeline import later
from accel.rtl.ports import bank_of, word_of
from accel.rtl.post.filter import weigh
from accel.rtl.post.filter_walk import Slots
from accel.rtl.post.output import Output, write
from accel.rtl.requantise import Requantise

if TYPE_CHECKING:
    from accel.rtl.post.unit import PostUnit


def _moved(address: Value, words: Value) -> Value:
    """An activation address `words` further on in its bank."""
    return Cat(word_of(ACTIVATION, address + words), bank_of(ACTIVATION, address))


def with_filter(
    m: Module, design: Design, element: dict[str, Value], slots: Slots, filtering: Value
) -> tuple[dict[str, Value], Value]:
    """Elements of either walk, and the last cycle of a filter's: a weighted window is an element, F cycles later."""
    cycles = filter_cycles(design)

    def at_sum(name: str) -> Value:
        return later(m, getattr(slots, name), cycles, f"sum_{name}")

    window, last, ended = at_sum("window"), at_sum("last"), at_sum("end")
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
    return either, ended


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

    src_reads = Signal(name="src_reads")
    res_reads = Signal(name="res_reads")
    m.d.comb += [src_reads.eq(e["reads"]), res_reads.eq(e["last"] & command.residual)]
    from_act = Signal(name="from_act")
    m.d.comb += from_act.eq(command.from_activation)
    bank = bank_of(ACTIVATION, command.src_addr)
    m.d.comb += [
        unit.r_acc.en.eq(src_reads & ~from_act),
        unit.r_acc.addr.eq(Cat(word_of(ACCUMULATOR, e["at"]), bank_of(ACCUMULATOR, command.src_addr))),
        unit.r_act.en.eq((src_reads & from_act) | res_reads),
        unit.r_act.addr.eq(
            Mux(
                res_reads,
                _moved(command.res_addr, e["operand"]),
                Cat(e["at"], bank),
            )
        ),
        unit.event_acc_reads.eq(unit.r_acc.en),
        unit.event_act_reads.eq(unit.r_act.en),
    ]
    # "read": the words are there.
    element1, inside1 = after("read", e["element"], "element"), after("read", e["inside"], "inside")
    act1, src1 = after("read", from_act, "from_act"), after("read", e["src_chunk"], "src_chunk")
    dst1, res1 = after("read", e["dst_chunk"], "dst_chunk"), after("read", res_reads, "res_read")
    acc_chunk, act_chunk, res_chunk = (Signal(lanes * w, name=n) for w, n in (
        (bits, "acc_chunk"), (8, "act_chunk"), (8, "res_chunk")))  # fmt: skip
    m.d.comb += [
        acc_chunk.eq(unit.r_acc.data.word_select(src1, lanes * bits)),
        act_chunk.eq(unit.r_act.data.word_select(src1, lanes * 8)),
        res_chunk.eq(unit.r_act.data.word_select(dst1, lanes * 8)),
    ]
    # "select": reduction. "reduce": requantisation starts, and the record is there.
    element2 = after("select", element1, "element1", begun="read")
    inside2 = after("select", inside1, "inside1", begun="read")
    first2 = after("select", e["first"], "first")
    res2 = after("select", res1, "res_read1", begun="read")
    address = _moved(command.dst_addr, e["to"])
    to_address, to_chunk = after("clip", address, "address"), after("clip", e["dst_chunk"], "to_chunk")
    output, finished = after("clip", e["last"], "output"), after("clip", e["finishing"], "finish")
    uniform2, sum2 = after("select", command.uniform, "uniform"), after("select", command.reduce_sum, "sum")
    # One bit more than an address has: it does not wrap around.
    param2 = after("select", e["param"][: PARAMETER.address_bits + 1], "param")
    record2 = after("select", e["record"], "record") & ~uniform2
    filtered = None
    if slots:
        asked = after("select", slots.taps | slots.record, "filter_asks")
        record2, param2 = record2 | asked, Mux(asked, after("select", slots.param, "filter_param"), param2)
        filtered = weigh(m, unit, config, slots, act_chunk)
    filter1, filter3 = (
        (after(stage, e["filtering"], f"by_filter_{stage}") for stage in ("read", "reduce")) if slots else (None, None)
    )
    m.d.comb += [
        unit.r_param.en.eq(record2),
        unit.r_param.addr.eq(param2),
        unit.event_param_reads.eq(unit.r_param.en),
    ]
    # A read beyond a memory is an error two cycles later, long before the write that it would spoil.
    reads = (
        (unit.r_act.en, word_of(ACTIVATION, unit.r_act.addr), 1, design.activation_words),
        (unit.r_acc.en, word_of(ACCUMULATOR, unit.r_acc.addr), 1, design.accumulator_words),
        (unit.r_param.en, param2, 0, design.parameter_words),
    )
    outside = Signal(name="outside")
    m.d.sync += outside.eq(
        Cat(
            later(m, en, cycles, f"read_{k}") & (later(m, at, cycles, f"read_at_{k}") >= depth)
            for k, (en, at, cycles, depth) in enumerate(reads)
        ).any()
    )
    uniform3 = after("reduce", uniform2, "uniform2", begun="select") | config.multiply
    codes = []
    for lane in range(lanes):
        x2 = Signal(signed(32), name=f"x_{lane}", reset_less=True)
        r2 = Signal(signed(8), name=f"r_{lane}", reset_less=True)
        reduced, so_far = Signal(signed(32), name=f"reduced_{lane}"), Signal(signed(32), name=f"so_far_{lane}")
        element = Signal(signed(32), name=f"element_{lane}")
        value3 = Signal(signed(32), name=f"value_{lane}", reset_less=True)
        residual3 = Signal(signed(9), name=f"residual_{lane}")
        selected: Value = Mux(
            act1, act_chunk.word_select(lane, 8).as_signed(), acc_chunk.word_select(lane, bits).as_signed()
        )
        record = unit.r_param.data.word_select(lane, PARAMETER.lane_bits(design))[: SHIFT.end]
        if filtered:
            selected = Mux(filter1, filtered.sums[lane], selected)
            record = Mux(filter3, filtered.records.word_select(lane, SHIFT.end), record)
        m.d.sync += [
            x2.eq(selected),
            r2.eq(res_chunk.word_select(lane, 8)),
            residual3.eq(Mux(res2, Mux(config.subtract, config.res_zero_point - r2, r2 - config.res_zero_point), 0)),
        ]
        m.d.comb += [
            element.eq(Mux(inside2, x2, Mux(sum2, config.res_zero_point, -(1 << 31)))),
            reduced.eq(so_far),
        ]
        with m.If(element2):
            with m.If(first2):
                m.d.comb += reduced.eq(element)
            with m.Elif(sum2):
                m.d.comb += reduced.eq(so_far + element)
            with m.Elif(element > so_far):
                m.d.comb += reduced.eq(element)
        m.d.sync += [so_far.eq(reduced), value3.eq(reduced)]
        lane_unit = shared(m, partial(Requantise, design), f"requantise_{lane}", "requantise")
        m.d.comb += [
            lane_unit.value.eq(value3),
            lane_unit.bias.eq(Mux(uniform3, config.uniform_bias, record[BIAS.first : BIAS.end].as_signed())),
            lane_unit.multiplier.eq(
                Mux(uniform3, config.uniform_multiplier, record[MULTIPLIER.first : MULTIPLIER.end])
            ),
            lane_unit.shift.eq(Mux(uniform3, config.uniform_shift, record[SHIFT.first : SHIFT.end])),
            lane_unit.residual.eq(residual3),
            lane_unit.multiply.eq(config.multiply),
            lane_unit.res_multiplier.eq(config.res_multiplier),
            lane_unit.res_shift.eq(config.res_shift),
            lane_unit.zero_point.eq(config.zero_point),
            lane_unit.low.eq(config.low),
            lane_unit.high.eq(config.high),
        ]
        codes.append(lane_unit.code)
    write(m, unit, config, Output(Cat(*codes), to_address, to_chunk, output, finished), outside)
