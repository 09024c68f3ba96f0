"""The plan: tensors are placed, then each step is tiled in the room that is left; a step that cannot run spills more.

A step that reads a spilled tensor, or makes one, streams it through a ring: the largest gap that the living leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pydantic import ValidationError

from accel.compiler.estimate import Machine
from accel.compiler.first_layer import Unfolded
from accel.compiler.graph import described
from accel.compiler.lower.filter import is_filter
from accel.compiler.lower.filter_tiling import filter_cycles
from accel.compiler.lower.lowering import Setting, Shortage
from accel.compiler.lower.table import lowering
from accel.compiler.ops import ALIGNMENT
from accel.compiler.plan import Place, Plan, Region, Span, StepPlan
from accel.compiler.residency import Regions, Residency
from accel.compiler.step import Step, one_pixel
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.layout import stride_bytes
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork

WORTH = 0.9995  # of the cycles without, those of a plan with sums over operands: estimates are not finer
SAME_BANK = 1.3  # cost of streaming through the bank that the step writes otherwise


def following(network: IntegerNetwork, design: Design, steps: Sequence[Step]) -> frozenset[int]:
    """Numbers of the depthwise steps that alone could be written behind the step before, which the array computes."""
    return frozenset(
        after.index
        for before, after in pairwise(steps)
        if is_filter(after.layer, design)
        and before.kind == "matrix"
        and not is_filter(before.layer, design)
        and before.part is after.part is None
        and after.input == before.output
        and after.source == before.target
        and not {before.output, after.output} & set(network.outputs)
    )


class TooSmallError(InputError):
    """A tile of `step` does not fit `buffer`, a field of the design's, or needs more of what else that names."""

    def __init__(self, step: Step, design: Design, buffer: str, message: str) -> None:
        super().__init__(f"{described(step.layer, design)}: {message}")
        self.step, self.buffer = step, buffer


@dataclass
class Planner:
    """Searches for a plan. `weights` by name of step; `unfolded` is set if the input is read by window loads;
    `patient` as in `Task`; without `tries` a refusal says the least that the step could need, not what is enough.
    """

    network: IntegerNetwork
    design: Design
    machine: Machine
    steps: Sequence[Step]
    weights: Mapping[str, LayerWeights | None]
    unfolded: Unfolded | None
    patient: bool = False
    tries: bool = True

    def plan(self) -> Plan:
        """A plan; raises TooSmallError if some step cannot run even with everything else in DRAM.

        What sums that are written over their operands keep on chip takes room from the rings of other tensors: that is
        done if it is estimated to be worth it.
        """
        over = self._planned(over=True)
        if not self.residency.sums:
            return over
        apart = self._planned(over=False)
        return over if over.cost() < WORTH * apart.cost() else apart

    def _planned(self, over: bool) -> Plan:
        """A plan; `over` as in `Residency`."""
        self.align = self.machine.activation_align
        self.following = following(self.network, self.design, self.steps)
        plan = self._plan(over)
        if not self.following or not self.residency.spilled - set(self.network.more_inputs):
            return plan
        before, self.following = self.residency.spilled, frozenset()
        other = self._plan(over)
        return other if len(self.residency.spilled) < len(before) else plan

    def _plan(self, over: bool) -> Plan:
        self.residency = Residency(
            self.network, self.design, self.steps, self.unfolded, self.align, self.following, over=over
        )
        while True:
            regions = self.residency.place()
            plans = self._tile(regions)
            if plans is not None:
                return self._finish(regions, plans)

    def _tile(self, regions: Regions) -> list[StepPlan] | None:
        """Tilings of all steps, or None after spilling one more tensor."""
        plans = []
        for step in self.steps:
            best = self._step(step, regions)
            if isinstance(best, StepPlan):
                plans.append(best)
                continue
            if not self.residency.live(step.index) or best.buffer != "activation_bytes":
                raise self._too_small(step, best)
            self.residency.spill(step.index)
            return None
        return plans

    def _too_small(self, step: Step, short: Shortage) -> TooSmallError:
        """What the step lacks, and how much of it."""
        if short.has is None:
            what, has = f"bytes of {short.buffer}", getattr(self.design.buffers, short.buffer)
            needs = max(short.needs, has + 2 * self.design.word_lanes)
            if self.residency.pinned and self.tries:
                needs = self._enough(step, short.buffer, needs)
        else:
            what, has, needs = short.buffer, short.has, short.needs
        message = f"one tile needs {needs:,} {what}, the design has {has:,}: short by {needs - has:,}"
        return TooSmallError(step, self.design, short.buffer, message)

    def _enough(self, step: Step, buffer: str, needs: int) -> int:
        """`needs` bytes of a buffer, or as many more as the step takes beside operands of a pixel, which must stay.

        What else stays on chip depends on the size, so larger ones are tried, up to the largest that a design may have.
        """
        buffers, more = self.design.buffers, 2 * self.design.word_lanes
        while True:
            try:
                design = self.design.model_copy(
                    update={"buffers": type(buffers).model_validate(buffers.model_dump() | {buffer: needs})}
                )
                replace(self, design=design, machine=Machine.of(design), tries=False).plan()
            except ValidationError:
                pass
            except TooSmallError as error:
                if (error.step.index, error.buffer) == (step.index, buffer):
                    needs, more = needs + more, 2 * more
                    continue
            return needs

    def _step(self, step: Step, regions: Regions) -> StepPlan | Shortage:
        """The cheapest way to run a step with the rings that it needs."""
        best: StepPlan | None = None
        cost, shortage = 0.0, None
        for in_ring, out_ring, factor in self._rings(step, regions):
            made = self._choose(step, in_ring, out_ring, regions)
            if isinstance(made, Shortage):
                shortage = made if shortage is None or made.needs < shortage.needs else shortage
            elif best is None or made.tiling.cost * factor < cost:
                best, cost = made, made.tiling.cost * factor
        if best:
            return best
        assert shortage is not None
        return shortage

    def _rings(self, step: Step, regions: Regions) -> list[tuple[Region | None, Region | None, float]]:
        """Pairs of rings for what the step streams in and out, and a factor for what that costs."""
        needs_in, needs_out = step.source.storage not in regions, step.target.storage not in regions
        if not needs_in and not needs_out:
            return [(None, None, 1.0)]
        largest = [self.residency.largest_gap(bank, step.index, regions) for bank in (0, 1)]
        if not needs_out:
            used = regions[step.target.storage].bank
            return [(gap, None, SAME_BANK if gap.bank == used else 1.0) for gap in largest]
        if not needs_in:
            used = regions[step.source.storage].bank
            return [(None, gap, SAME_BANK if gap.bank == used else 1.0) for gap in largest]
        apart: list[tuple[Region | None, Region | None, float]] = [
            (largest[bank], largest[1 - bank], 1.0) for bank in (0, 1)
        ]
        for gap in largest:
            half = gap.words // 2 // self.align * self.align
            first = Region(gap.bank, gap.word, half)
            apart.append((first, Region(gap.bank, gap.word + half, gap.words - half), SAME_BANK))
        return apart

    def _choose(
        self, step: Step, in_ring: Region | None, out_ring: Region | None, regions: Regions
    ) -> StepPlan | Shortage:
        """The step with these rings."""
        residency, align = self.residency, self.align
        source, target = residency.layout(step.input), residency.layout(step.output)
        geometry, of_input = step.geometry, step.source.storage == self.network.input
        unfolded = self.unfolded if of_input else None
        if unfolded:
            geometry = replace(unfolded.geometry, pool=geometry.pool)
        elif (weights := self.weights[step.name]) and (weights.geometry.beside or weights.geometry.deep):
            geometry = weights.geometry
        in_pitch = 1 if geometry.deep else source.plane // geometry.in_h
        if in_ring and geometry.skips > 1:
            geometry = geometry.without_skipped()
        flat = (
            geometry.pointwise
            and not unfolded
            and step.part is None
            and source.row_pitch == source.width
            and target.row_pitch == target.width
            and (align == 1 or (source.plane % align == 0 and target.plane % align == 0))
        )
        if flat:
            geometry = geometry.flat()
        loaded = of_input and in_ring is None
        stored = (step.output in self.network.outputs and step.completes) or out_ring is not None
        residual_loads = step.added is not None and step.added.storage in residency.spilled
        if residual_loads and one_pixel(step, self.network):
            return Shortage("activation_bytes", 2 * self.design.word_lanes * source.groups(self.design.word_lanes))
        setting = Setting(
            step=step,
            machine=self.machine,
            geometry=geometry,
            weights=self.weights[step.name],
            in_groups=source.groups(self.design.word_lanes),
            in_ring=in_ring.words if in_ring else None,
            out_ring=out_ring.words if out_ring else None,
            in_pitch=source.plane if flat else in_pitch,
            out_pitch=target.row_pitch if step.part else target.plane // geometry.pooled[0],
            in_align=align if (in_ring or loaded) and not unfolded else 1,
            out_align=align if stored or residual_loads else 1,
            loaded=loaded,
            stored=stored,
            residual_loads=residual_loads,
            in_cycles=unfolded.word_cycles if unfolded else self.machine.activation_cycles,
            zero_point=self.network.tensors[step.input].zero_point,
            beside=self._beside(step, regions),
            patient=self.patient,
        )
        row = lowering(step.layer, self.design)
        task = row.task(setting)
        tiling = row.choose(self.machine, task)
        if isinstance(tiling, Shortage):
            return tiling
        follows = self._follows(step.index, regions)
        return StepPlan(self.machine, step, geometry, flat, task, tiling, in_ring, out_ring, follows)

    def _follows(self, index: int, regions: Regions) -> bool:
        """Whether a step is written behind the one before: both outputs are on chip."""
        return index in self.following and all(self.steps[k].output in regions for k in (index - 1, index))

    def _beside(self, step: Step, regions: Regions) -> float:
        """Cycles in which the post-process unit filters what a step makes while it makes it."""
        if not self._follows(step.index + 1, regions):
            return 0.0
        g = self.steps[step.index + 1].geometry
        groups = self.residency.layouts[step.output].groups(self.design.word_lanes)
        return filter_cycles(self.machine, g, groups, (g.out_h, g.out_w))

    def _finish(self, regions: Regions, plans: list[StepPlan]) -> Plan:
        """DRAM offsets of what crosses: the inputs, the spilled tensors, the outputs."""
        at, firsts, residency = 0, dict[str, int](), self.residency
        inputs, outputs = (
            {residency.spots[name].storage for name in names} for names in (self.network.inputs, self.network.outputs)
        )
        ends: list[Span] = []
        stride = stride_bytes(self.design.word_lanes, self.design.beat_bytes)
        for name in residency.layouts:
            if name not in residency.spilled and name not in (self.network.input, *self.network.outputs):
                continue
            firsts[name] = at
            size = residency.words(name) * stride
            if name == self.network.input and self.unfolded:
                size = self.unfolded.layout.bytes + 2 * ALIGNMENT
            if name in inputs | outputs:
                ends.append(Span(at, size, name in inputs))
            at += -(-size // ALIGNMENT) * ALIGNMENT
        places = {}
        for name, spot in residency.spots.items():
            layout, dram = residency.layout(name), firsts.get(spot.storage)
            dram = None if dram is None else dram + spot.group * layout.plane * stride
            places[name] = Place(layout, residency.region(name, regions), dram)
        return Plan(places, plans, at, tuple(ends), bool(inputs & outputs))
