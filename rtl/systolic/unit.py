"""The compute unit: dispatcher, weight issue, feeder, array and accumulators."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from accel.commands import COMMAND_BYTES, Compute, ErrorCode, Opcode
from accel.design import Design
from accel.latency import array_pipeline, cycles
from accel.memories import ACCUMULATOR, ACTIVATION, CODEBOOK, WEIGHT
from accel.rtl.layouts import layout
from accel.rtl.ports import read_port, unit_members, waits_hold, write_port
from accel.rtl.systolic.accumulators import Accumulators
from accel.rtl.systolic.array import SystolicArray
from accel.rtl.systolic.feeder import Feeder
from accel.rtl.systolic.weights import WeightIssue
from accel.rtl.systolic.zeros import ZeroProducts


class ComputeUnit(wiring.Component):
    """Dispatch of commands to weight issue and feeder.

    A command is popped into the feeder's slot when that is empty or being emptied; a COMPUTE also needs its waits and
    a weight issue that is free or issues its last row. So commands follow each other without a bubble.

    `done`: a COMPUTE's last accumulator word is written. `idle` from the cycle after the last done. An address outside
    a memory is an error long before what was read there could be written: the array is longer than the way to `halt`.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        rows, cols = design.rows, design.cols
        super().__init__(
            {
                **unit_members(),
                "r_act": Out(read_port(ACTIVATION, design)),
                "w_weight": In(write_port(WEIGHT, design)),
                "w_codebook": In(write_port(CODEBOOK, design)),
                "r_acc": In(read_port(ACCUMULATOR, design)),
                "event_act_reads": Out(1),
                "event_weight_reads": Out(1),
                "event_codebook_reads": Out(range(WEIGHT.lanes(design) + 1)),
                "event_acc_reads": Out(1),
                "event_acc_writes": Out(1),
                "event_macs": Out(range(rows * cols + 1)),
                "event_macs_gated": Out(range(rows * cols + 1)),
                "event_macs_zero": Out(range(rows * cols + 1)),
                "event_stream_cycles": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        m.submodules.weights = weights = WeightIssue(design)
        m.submodules.feeder = feeder = Feeder(design)
        m.submodules.array = array = SystolicArray(design)
        m.submodules.accumulators = accumulators = Accumulators(design)
        for ours, theirs in (
            (self.r_act, feeder.r_act),
            (self.w_weight, weights.w_weight),
            (self.w_codebook, weights.w_codebook),
            (self.r_acc, accumulators.r_post),
        ):
            connect(m, flipped(ours), theirs)
        m.submodules.zeros = zeros = ZeroProducts(design)
        m.d.comb += [
            getattr(zeros, name).eq(getattr(feeder, name)) for name in ("exist", "valid", "swap", "existing_cols")
        ]
        m.d.comb += [zeros.row.eq(weights.row), self.event_macs_zero.eq(zeros.count)]
        for there, here in zip(zeros.others, weights.others, strict=True):
            m.d.comb += [theirs.eq(ours) for theirs, ours in zip(there, here, strict=True)]
        slot, slot_valid = Signal(8 * COMMAND_BYTES, reset_less=True, name="slot"), Signal(name="slot_valid")
        head = data.View(layout(Compute), self.i.payload)
        is_compute = head.opcode == Opcode.COMPUTE
        waits = waits_hold(self, head)
        pop, begun = Signal(name="pop"), Signal(name="begun")
        under_way = Signal(8, name="under_way")  # COMPUTE commands popped and not done
        m.d.comb += [
            pop.eq(
                self.i.valid & (~slot_valid | feeder.slot_taken) & ~self.halt & (~is_compute | (waits & weights.free))
            ),
            self.i.ready.eq(pop),
            begun.eq(pop & is_compute),
            weights.take.eq(begun),
            weights.command.eq(self.i.payload),
            weights.config.eq(feeder.config),
            weights.tile_start.eq(feeder.tile_start),
            feeder.loaded.eq(weights.loaded),
            feeder.slot.eq(slot),
            feeder.slot_valid.eq(slot_valid),
            feeder.halt.eq(self.halt),
            array.acts.eq(feeder.acts),
            array.valid.eq(feeder.valid),
            array.swap.eq(feeder.swap),
            array.weights.eq(weights.weights),
            array.flags.eq(weights.flags),
            array.capture.eq(weights.capture),
            accumulators.sums.eq(array.sums),
            accumulators.halt.eq(self.halt),
        ]
        m.d.sync += under_way.eq(under_way + begun - self.done)
        with m.If(feeder.slot_taken):
            m.d.sync += slot_valid.eq(0)
        with m.If(pop):
            m.d.sync += [slot.eq(self.i.payload), slot_valid.eq(1)]
        # The tag is as long under way as the sums, less the cycle in which the old word is read.
        bits = len(Value.cast(feeder.tag))
        tags = Signal(bits * (cycles(array_pipeline(design)) - 1), name="tags")
        m.d.sync += tags.eq(Cat(feeder.tag, tags))
        m.d.comb += [
            accumulators.tag.eq(tags[-bits:]),
            self.done.eq(accumulators.done),
            self.idle.eq((under_way == 0) & ~slot_valid),
            self.error.eq(Mux(weights.outside | feeder.outside | accumulators.outside, ErrorCode.BUFFER_RANGE, 0)),
        ]
        for source in (weights, feeder, accumulators):
            for name in source.signature.members:
                if name.startswith("event_"):
                    m.d.comb += getattr(self, name).eq(getattr(source, name))
        return m
