"""The compute unit whose outputs stay in the array: dispatcher, feeder, turner, weights, array and accumulators."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

from accel.commands import ErrorCode
from accel.design import Design
from accel.memories import CODE_BITS
from accel.rtl.multiplier import hold
from accel.rtl.output_stationary.array import OutputArray
from accel.rtl.output_stationary.columns import Columns
from accel.rtl.output_stationary.feeder import Feeder
from accel.rtl.output_stationary.turner import Turner
from accel.rtl.ports import events_of
from accel.rtl.systolic.accumulators import Accumulators
from accel.rtl.systolic.dispatch import dispatch, systolic_members
from accel.rtl.systolic.segment import WeightSegment


class ComputeUnit(wiring.Component):
    """Units of R pixels are read while the ones before pass the array as columns, each with a row of weights.

    A COMPUTE is popped when its waits hold and the slot is empty or being emptied; commands follow each other without a
    bubble. `done`: its last accumulator word is written. `idle` from the cycle after the last done.
    `accel.timing.outputs` has the cycles.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(systolic_members(design))

    def elaborate(self, platform: object) -> Module:
        """The hardware."""
        m = Module()
        design = self.design
        m.submodules.feeder = feeder = Feeder(design)
        m.submodules.turner = turner = Turner(design)
        m.submodules.columns = columns = Columns(design)
        m.submodules.weights = weights = WeightSegment(design, 0)
        m.submodules.array = array = OutputArray(design)
        m.submodules.accumulators = accumulators = Accumulators(design)
        for ours, theirs in (
            (self.r_act, feeder.r_act),
            (self.w_codebook, weights.w_codebook),
            (self.r_acc, accumulators.r_post),
        ):
            connect(m, flipped(ours), theirs)
        dispatch(m, self, feeder, Const(1))
        m.d.comb += [
            weights.w_en.eq(self.w_weight.en), weights.w_addr.eq(self.w_weight.addr),
            weights.w_data.eq(self.w_weight.data), weights.issue.eq(columns.issue),
            columns.turn.eq(feeder.turn), columns.unit.eq(feeder.unit),
            turner.push.eq(feeder.push), turner.word.eq(feeder.word),
            turner.pull.eq(columns.pull), turner.begin.eq(columns.begin),
            array.first.eq(columns.first), array.last.eq(columns.last),
            array.weights.eq(weights.weights), array.flags.eq(weights.flags),
            accumulators.tag.eq(columns.tag), accumulators.sums.eq(array.sums), accumulators.halt.eq(self.halt),
            self.done.eq(accumulators.done),
            self.error.eq(Mux(feeder.outside | columns.outside | accumulators.outside, ErrorCode.BUFFER_RANGE, 0)),
            *events_of(self, feeder, columns, accumulators),
        ]  # fmt: skip
        self._edge(m, turner, columns, weights, array)
        return m

    def _edge(self, m: Module, turner: Turner, columns: Columns, weights: WeightSegment, array: OutputArray) -> None:
        """The register at the array's edge, and how many products have a zero operand.

        The activation of a pixel that is not valid is the one before it, so that nothing behind it changes, or 0 if
        multipliers do not gate.
        """
        rows = self.design.rows
        acts, valid = Signal(CODE_BITS * rows, name="acts", reset_less=True), Signal(rows, name="valid")
        for p in range(rows):
            act = turner.column.word_select(p, CODE_BITS)
            some = columns.exist[p] & act.any()
            m.d.sync += valid[p].eq(some)
            hold(m, self.design, acts.word_select(p, CODE_BITS), act, some, columns.exist[p])
        m.d.comb += [array.acts.eq(acts), array.valid.eq(valid)]
        # A cycle behind the edge: the weights that are not 0 are counted there.
        others, pixels, existing = (
            Signal.like(columns.pixels, name="others"),
            Signal.like(columns.pixels, name="pixels"),
            Signal.like(columns.cols, name="existing"),
        )
        m.d.sync += [
            others.eq(sum(valid[p] for p in range(rows))), pixels.eq(columns.pixels), existing.eq(columns.cols)
        ]  # fmt: skip
        zero = pixels * existing - others * weights.others[0]
        m.d.sync += self.event_macs_zero.eq(Mux(pixels == 0, 0, zero))  # no weights, no numbers
