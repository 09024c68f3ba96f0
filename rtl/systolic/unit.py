"""The compute unit: dispatcher, weight issue, feeder, array and accumulators."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from accel.commands import ErrorCode
from accel.design import Design
from accel.latency import ACC_READ, array_pipeline, cycles
from accel.rtl.ports import events_of
from accel.rtl.systolic.accumulators import Accumulators
from accel.rtl.systolic.array import SystolicArray
from accel.rtl.systolic.dispatch import dispatch, systolic_members
from accel.rtl.systolic.feeder import Feeder, tags
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
        super().__init__(systolic_members(design))

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
        begun = dispatch(m, self, feeder, weights.free)
        m.d.comb += [
            weights.take.eq(begun),
            weights.command.eq(self.i.payload),
            weights.last_kx.eq(feeder.last_kx),
            weights.last_ky.eq(feeder.last_ky),
            weights.tile_start.eq(feeder.tile_start),
            feeder.loads.eq(weights.loads),
            array.acts.eq(feeder.acts),
            array.valid.eq(feeder.valid),
            array.swap.eq(feeder.swap),
            array.weights.eq(weights.weights),
            array.flags.eq(weights.flags),
            array.capture.eq(weights.capture),
            accumulators.sums.eq(array.sums),
            accumulators.halt.eq(self.halt),
        ]
        # The tag is as long under way as the sums, less the cycles in which the old word is read.
        behind = cycles(array_pipeline(design)) - cycles(ACC_READ)
        m.d.comb += [
            accumulators.tag.eq(tags(m, design, feeder.tag, behind)),
            self.done.eq(accumulators.done),
            self.error.eq(Mux(weights.outside | feeder.outside | accumulators.outside, ErrorCode.BUFFER_RANGE, 0)),
        ]
        m.d.comb += events_of(self, weights, feeder, accumulators)
        return m
