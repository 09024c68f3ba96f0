"""The plan: tensors are placed, then each step is tiled in the room that is left; a step that cannot run spills more.

A step that reads a spilled tensor, or makes one, streams it through a ring: the largest gap that the living leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from accel.compiler.chain_plan import ChainPlan, Rooms, chain_plans
from accel.compiler.chains import following
from accel.compiler.estimate import Machine
from accel.compiler.graph import described
from accel.compiler.lower.filter_tiling import filter_cycles
from accel.compiler.lower.lowering import Setting, Shortage
from accel.compiler.lower.table import lowering
from accel.compiler.ops import ALIGNMENT
from accel.compiler.plan import Chain, Place, Plan, Region, Span, StepPlan
from accel.compiler.residency import Regions, Residency
from accel.compiler.step import Step, one_pixel
from accel.compiler.unfolded import Unfolded
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.layout import stride_bytes
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork

WORTH = 0.9995  # of the cycles without, those of a plan with sums over operands: estimates are not finer
FAR = 1.1  # so many times the cycles of a chain whose ends are streamed are too many for one whose ends stay
TRIED_COMMANDS = 8000  # ways to run a chain are timed as long as they have no more
SAME_BANK = 1.3  # cost of streaming through the bank that the step writes otherwise


class TooSmallError(InputError):
    """A tile of `step` does not fit `buffer`, a field of the design's, or needs more of what else that names."""

    def __init__(self, step: Step, design: Design, buffer: str, message: str) -> None:
        super().__init__(f"{described(step.layer, design)}: {message}")
        self.step, self.buffer = step, buffer


class NoRoomError(Exception):
    """A chain that does not fit, and what would have to be spilled is no end of it."""

    def __init__(self, chain: range) -> None:
        self.chain = chain


@dataclass
class Planner:
    """Searches for a plan. `weights` by name of step; `unfolded` is set if the input is read by window loads;
    `patient` as in `Task`; without `tries` a refusal says the least that the step could need, not what is enough.
    `chains`: numbers of steps that are to run strip by strip, where there is room for that; `judge`: cycles and
    commands of a plan that has the steps of a chain alone.
    """

    network: IntegerNetwork
    design: Design
    machine: Machine
    steps: Sequence[Step]
    weights: Mapping[str, LayerWeights | None]
    unfolded: Unfolded | None
    patient: bool = False
    tries: bool = True
    chains: tuple[range, ...] = ()
    judge: Callable[[Plan], tuple[int, int]] | None = None

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
        """A plan; `over` as in `Residency`. Chains for which there is no room are given up."""
        try:
            return self._chained(over)
        except NoRoomError as error:
            self.chains = tuple(chain for chain in self.chains if chain != error.chain)
            return self._planned(over)

    def _chained(self, over: bool) -> Plan:
        self.align = self.machine.activation_align
        chained = {k for chain in self.chains for k in chain}
        alone = following(self.network, self.design, self.steps)
        self.following = frozenset(k for k in alone if not {k - 1, k} & chained)
        plan = self._plan(over)
        if not self.following or not self.residency.spilled - set(self.network.more_inputs):
            return plan
        before, self.following = self.residency.spilled, frozenset()
        other = self._plan(over)
        return other if len(self.residency.spilled) < len(before) else plan

    def _plan(self, over: bool) -> Plan:
        self.residency = Residency(
            self.network, self.design, self.steps, self.unfolded, self.align, self.following, self.chains, over=over
        )
        while True:
            regions = self.residency.place()
            made: list[Chain] = []
            plans = self._tile(regions, made)
            if plans is not None:
                return self._finish(regions, plans, tuple(made))

    def _tile(self, regions: Regions, made: list[Chain]) -> list[StepPlan] | None:
        """Tilings of all steps, with the chains `made`, or None after spilling one more tensor."""
        plans: list[StepPlan] = []
        for step in self.steps:
            if chain := self.residency.chained.get(step.index):
                if step.index == chain.start:
                    found = self._chain(chain, regions)
                    if found is None:
                        return None
                    made.append(found[0])
                    plans += found[1]
                continue
            best = self._step(step, regions)
            if isinstance(best, StepPlan):
                plans.append(best)
                continue
            if not self.residency.live(step.index) or best.buffer != "activation_bytes":
                raise self._too_small(step, best)
            self.residency.spill(step.index)
            return None
        return plans

    def _chain(self, chain: range, regions: Regions) -> ChainPlan | None:
        """The fastest of the cheapest ways to run a chain, or None after spilling a tensor.

        What lies on chip all along may leave so little room that streaming it costs less. Raises NoRoomError.
        """
        residency, steps = self.residency, [self.steps[k] for k in chain]
        streams = {spot.storage for spot in (steps[0].source, steps[-1].target)} - residency.pinned
        found = self._in_rooms(steps, regions)
        if streams & set(regions):
            free = self._in_rooms(steps, {name: at for name, at in regions.items() if name not in streams})
            if free and (not found or free[0][1][0].tiling.cost * FAR < found[0][1][0].tiling.cost):
                self.residency.spilled.add(max(sorted(streams & set(regions)), key=residency.words))
                return None
        if not found:
            raise NoRoomError(chain)
        if self.judge is None:
            return found[0]
        places = self._finish(regions, [], ())
        left, timed = TRIED_COMMANDS, list[tuple[int, Chain, list[StepPlan]]]()
        for one, plans in found:
            if left > 0:
                cycles, commands = self.judge(replace(places, steps=plans, chains=(one,)))
                timed.append((cycles, one, plans))
                left -= commands
        cycles, best, plans = min(timed, key=lambda found: found[0])
        first = replace(plans[0], tiling=replace(plans[0].tiling, cost=float(cycles)))
        return best, [first, *plans[1:]]

    def _in_rooms(self, steps: Sequence[Step], regions: Regions) -> list[ChainPlan]:
        """Ways to run a chain in the gaps that the tensors of `regions` leave."""
        life = steps[0].index, steps[-1].index
        gaps = [
            max(self.residency.gaps(bank, life, regions), key=lambda r: r.words, default=Region(bank, 0, 0))
            for bank in (0, 1)
        ]
        places = [regions.get(spot.storage) for spot in (steps[0].source, steps[-1].target)]
        settings = []
        for step in steps:
            first, last = step is steps[0], step is steps[-1]
            in_ring = gaps[0] if first and places[0] is None else None
            out_ring = gaps[0] if last and places[1] is None else None
            setting = self._setting(step, in_ring, out_ring, regions, False)
            if setting is None:
                return []
            settings.append(setting)
        return chain_plans(self.design, settings, Rooms((gaps[0], gaps[1]), (places[0], places[1])))

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
        setting = self._setting(step, in_ring, out_ring, regions, True)
        if setting is None:
            source = self.residency.layout(step.input)
            return Shortage("activation_bytes", 2 * self.design.word_lanes * source.groups(self.design.word_lanes))
        row = lowering(step.layer, self.design)
        task = row.task(setting)
        tiling = row.choose(self.machine, task)
        if isinstance(tiling, Shortage):
            return tiling
        follows = self._follows(step.index, regions)
        g = setting.geometry
        return StepPlan(self.machine, step, g, setting.flat, task, tiling, in_ring, out_ring, follows)

    def _setting(
        self, step: Step, in_ring: Region | None, out_ring: Region | None, regions: Regions, may_be_flat: bool
    ) -> Setting | None:
        """What a step finds around it with these rings; None if its operand of one pixel is not on chip."""
        residency, align = self.residency, self.align
        source, target = residency.layout(step.input), residency.layout(step.output)
        geometry, of_input = step.geometry, step.source.storage == self.network.input
        unfolded = self.unfolded if of_input else None
        if unfolded:
            geometry = replace(unfolded.geometry, pool=geometry.pool)
        elif (weights := self.weights[step.name]) and (weights.geometry.beside or weights.geometry.deep):
            geometry = weights.geometry
        skipped = step.skips(in_ring is not None) > 1 and not unfolded
        flat = (
            may_be_flat
            and not skipped
            and geometry.pointwise
            and not unfolded
            and step.part is None
            and source.row_pitch == source.width
            and target.row_pitch == target.width
            and (align == 1 or (source.plane % align == 0 and target.plane % align == 0))
        )
        if flat:
            geometry = geometry.flat()
        in_pitch = 1 if geometry.deep else source.plane // geometry.in_h
        if skipped:
            geometry = geometry.without_skipped()
        loaded = of_input and in_ring is None
        stored = (step.output in self.network.outputs and step.completes) or out_ring is not None
        residual_loads = step.added is not None and step.added.storage in residency.spilled
        if residual_loads and one_pixel(step, self.network):
            return None
        return Setting(
            step=step,
            machine=self.machine,
            geometry=geometry,
            weights=self.weights[step.name],
            in_groups=source.groups(self.design.word_lanes),
            in_ring=in_ring.words if in_ring else None,
            out_ring=out_ring.words if out_ring else None,
            in_pitch=in_pitch,
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
            flat=flat,
        )

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

    def _finish(self, regions: Regions, plans: list[StepPlan], chains: tuple[Chain, ...]) -> Plan:
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
        return Plan(places, plans, at, tuple(ends), bool(inputs & outputs), chains)
