"""Residency: which tensors stay on chip, in which bank and where; which are spilled to DRAM and streamed.

A tensor lives from the step that makes it to the last that reads it. Its bank is the one that its maker does not read.
If something does not fit, the live tensor whose next use is farthest is spilled (Belady), and the plan is made anew. A
step that reads a spilled tensor, or makes one, streams it through a ring: the largest gap that the living leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from accel.compiler.estimate import Machine
from accel.compiler.first_layer import Unfolded
from accel.compiler.geometry import Geometry
from accel.compiler.graph import Step, described
from accel.compiler.ops import ALIGNMENT, Region
from accel.compiler.tiling import Shortage, Task, Tiling, choose
from accel.compiler.vector_tiling import VectorTask, VectorTiling, choose_vector
from accel.compiler.weights import LayerWeights
from accel.design import Design
from accel.layout import WordTensor, stride_bytes
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, VectorLayer

SAME_BANK = 1.3  # cost of streaming through the bank that the step writes otherwise


class TooSmallError(InputError):
    """A tile of `step` does not fit a buffer."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(f"{described(step.layer)}: {message}")
        self.step = step


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its layout, its words on chip (None if spilled), its offset in the data segment."""

    layout: WordTensor
    region: Region | None
    dram: int | None


@dataclass(frozen=True)
class StepPlan:
    """How a step runs. `flat`: pixels are taken as one row (`geometry` already is)."""

    machine: Machine
    step: Step
    geometry: Geometry
    flat: bool
    task: Task | VectorTask
    tiling: Tiling | VectorTiling
    in_ring: Region | None
    out_ring: Region | None


@dataclass(frozen=True)
class Plan:
    """Places of all tensors, plans of all steps, and the size of the data segment."""

    places: dict[str, Place]
    steps: list[StepPlan]
    data_bytes: int


@dataclass
class Planner:
    """Searches for a plan. `unfolded` is set if the first step reads the input by window loads."""

    network: IntegerNetwork
    design: Design
    steps: list[Step]
    weights: dict[str, LayerWeights]
    unfolded: Unfolded | None
    spilled: set[str] = field(default_factory=set)
    cache: dict[object, Tiling | VectorTiling | Shortage] = field(default_factory=dict)

    def plan(self) -> Plan:
        """A plan; raises TooSmallError if some step cannot run even with everything else in DRAM."""
        self.machine = Machine.of(self.design)
        self.align = self.machine.activation_align
        self.born = {self.network.input: -1} | {s.output: s.index for s in self.steps}
        self.uses: dict[str, list[int]] = {name: [] for name in self.born}
        for step in self.steps:
            for name in {step.input, step.residual} - {None}:
                self.uses[name].append(step.index)  # type: ignore[index]
        for name in self.born:
            if self._words(name, self._layout(name, False)) > self._bank_words():
                self.spilled.add(name)
        while True:
            self._close()
            regions = self._allocate()
            plans = self._tile(regions) if regions is not None else None
            if regions is not None and plans is not None:
                return self._finish(regions, plans)

    def _bank_words(self) -> int:
        return self.design.activation_words // self.align * self.align

    def _close(self) -> None:
        """What is streamed out cannot be added to from a tensor with other pitches: stream that as well."""
        changed = True
        while changed:
            changed = False
            for step in self.steps:
                if step.residual and step.output in self.spilled and step.residual not in self.spilled:
                    self.spilled.add(step.residual)
                    changed = True

    def _linked(self, name: str) -> set[str]:
        """Tensors that must have the same layout, since they are added."""
        found, grown = {name}, True
        while grown:
            grown = False
            for step in self.steps:
                pair = {step.output, step.residual}
                if step.residual and pair & found and not pair <= found:
                    found |= pair  # type: ignore[arg-type]
                    grown = True
        return found

    def _layout(self, name: str, spilled: bool) -> WordTensor:
        """Rows start on beats if the tensor crosses to DRAM in pieces, or may do so cheaply."""
        channels, height, width = self.network.tensors[name].shape
        if name == self.network.input and self.unfolded:
            g = self.unfolded.geometry
            return WordTensor(g.channels, g.in_h, g.in_w, g.in_w, g.in_h * g.in_w)
        pitch = -(-width // self.align) * self.align
        if not spilled and pitch * 4 > width * 5:
            pitch = width
        return WordTensor(channels, height, width, pitch, height * pitch)

    def _words(self, name: str, layout: WordTensor) -> int:
        words = layout.words(self.design.rows)
        return -(-words // self.align) * self.align

    def _layouts(self) -> dict[str, WordTensor]:
        return {name: self._layout(name, bool(self._linked(name) & self.spilled)) for name in self.born}

    def _life(self, name: str) -> tuple[int, int]:
        return max(0, self.born[name]), max([self.born[name], *self.uses[name]])

    def _allocate(self) -> dict[str, Region] | None:
        """Regions of the tensors on chip, or None after spilling one more."""
        self.layouts = self._layouts()
        regions: dict[str, Region] = {}
        for name in self.born:
            if name in self.spilled:
                continue
            words = self._words(name, self.layouts[name])
            region = self._place(name, words, regions)
            if region is None:
                self._spill(max(0, self.born[name]), [name])
                return None
            regions[name] = region
        return regions

    def _place(self, name: str, words: int, regions: dict[str, Region]) -> Region | None:
        life = self._life(name)
        prefer = 0
        if self.born[name] >= 0:
            source = regions.get(self.steps[self.born[name]].input)
            prefer = 1 - source.bank if source else 1
        for bank in (prefer, 1 - prefer):
            for gap in self._gaps(bank, life, regions):
                if gap.words >= words:
                    return Region(bank, gap.word, words)
        return None

    def _gaps(self, bank: int, life: tuple[int, int], regions: dict[str, Region]) -> list[Region]:
        """Free runs of a bank during `life`."""
        taken = []
        for name, region in regions.items():
            first, last = self._life(name)
            if region.bank == bank and first <= life[1] and life[0] <= last:
                taken.append((region.word, region.word + region.words))
        gaps, at = [], 0
        for start, end in [*sorted(taken), (self._bank_words(), 0)]:
            if start > at:
                gaps.append(Region(bank, at, start - at))
            at = max(at, end)
        return gaps

    def _spill(self, index: int, needed: list[str]) -> None:
        """Spill the tensor on chip during step `index` whose next use is farthest (the largest of these)."""
        live = [n for n in self.born if n not in self.spilled and self._life(n)[0] <= index <= self._life(n)[1]]
        candidates = set(live) | (set(needed) - self.spilled)

        def distance(name: str) -> tuple[int, int]:
            later = [u for u in self.uses[name] if u > index]
            used_now = index in self.uses[name] or self.born[name] == index
            away = min(later, default=index) if not used_now or later else index
            return away, self._words(name, self.layouts[name])

        self.spilled.add(max(sorted(candidates), key=distance))

    def _tile(self, regions: dict[str, Region]) -> list[StepPlan] | None:
        """Tilings of all steps, or None after spilling one more tensor."""
        plans = []
        for step in self.steps:
            best = self._step(step, regions)
            if isinstance(best, StepPlan):
                plans.append(best)
                continue
            live = [n for n in regions if self._life(n)[0] <= step.index <= self._life(n)[1]]
            if not live or best.buffer != "activation_bytes":
                has = getattr(self.design.buffers, best.buffer)
                needs = max(best.needs, has + 2 * self.design.rows)
                raise TooSmallError(
                    step,
                    f"one tile needs {needs:,} bytes of {best.buffer}, the design has {has:,}: "
                    f"short by {needs - has:,}",
                )
            self._spill(step.index, [])
            return None
        return plans

    def _step(self, step: Step, regions: dict[str, Region]) -> StepPlan | Shortage:
        """The cheapest way to run a step with the rings that it needs."""
        now = (step.index, step.index)
        largest = [max(self._gaps(b, now, regions), key=lambda r: r.words, default=Region(b, 0, 0)) for b in (0, 1)]
        needs_in, needs_out = step.input not in regions, step.output not in regions
        choices: list[tuple[Region | None, Region | None, float]] = []
        if needs_in and needs_out:
            for bank in (0, 1):
                choices.append((largest[bank], largest[1 - bank], 1.0))
            for gap in largest:
                half = gap.words // 2 // self.align * self.align
                first = Region(gap.bank, gap.word, half)
                choices.append((first, Region(gap.bank, gap.word + half, gap.words - half), SAME_BANK))
        elif needs_in:
            used = regions[step.output].bank
            choices = [(gap, None, SAME_BANK if gap.bank == used else 1.0) for gap in largest]
        elif needs_out:
            used = regions[step.input].bank
            choices = [(None, gap, SAME_BANK if gap.bank == used else 1.0) for gap in largest]
        else:
            choices = [(None, None, 1.0)]
        best: StepPlan | None = None
        cost, shortage = 0.0, None
        for in_ring, out_ring, factor in choices:
            made = self._choose(step, in_ring, out_ring, regions)
            if isinstance(made, Shortage):
                shortage = made if shortage is None or made.needs < shortage.needs else shortage
            elif best is None or made.tiling.cost * factor < cost:
                best, cost = made, made.tiling.cost * factor
        if best:
            return best
        assert shortage is not None
        return shortage

    def _choose(
        self, step: Step, in_ring: Region | None, out_ring: Region | None, regions: dict[str, Region]
    ) -> StepPlan | Shortage:
        source, target = self.layouts[step.input], self.layouts[step.output]
        geometry = step.geometry
        unfolded = self.unfolded if step.input == self.network.input else None
        if unfolded:
            geometry = replace(unfolded.geometry, pool=geometry.pool)
        flat = (
            geometry.pointwise
            and not unfolded
            and source.row_pitch == source.width
            and target.row_pitch == target.width
            and (self.align == 1 or (source.plane % self.align == 0 and target.plane % self.align == 0))
        )
        if flat:
            geometry = geometry.flat()
        in_words = in_ring.words if in_ring else None
        out_words = out_ring.words if out_ring else None
        loaded = step.input == self.network.input and in_ring is None
        stored = step.output == self.network.output or out_ring is not None
        residual_loads = step.residual is not None and step.residual in self.spilled
        in_align = self.align if (in_ring or loaded) and not unfolded else 1
        task: Task | VectorTask
        if isinstance(step.layer, VectorLayer):
            task = VectorTask(
                geometry, source.groups(self.design.rows), in_words, out_words,
                source.plane // geometry.in_h, target.plane // geometry.pooled[0], self.align, stored or residual_loads,
            )  # fmt: skip
        else:
            weights = self.weights[step.name]
            reach = tuple(b - a for a, b in map(weights.reach, range(weights.tiles)))
            task = Task(
                step.name, geometry, reach, weights.outputs, weights.bits, len(step.requantise.bias) == 1,
                in_words, out_words, source.plane // geometry.in_h, target.plane // geometry.pooled[0],
                in_align, self.align if stored or residual_loads else 1,
                loaded, stored, step.layer.groups > 1, residual_loads,
                unfolded.word_cycles if unfolded else self.machine.activation_cycles,
            )  # fmt: skip
        if task not in self.cache:
            made = choose_vector(self.design, task) if isinstance(task, VectorTask) else choose(self.machine, task)
            self.cache[task] = made
        made = self.cache[task]
        if isinstance(made, Shortage):
            return made
        return StepPlan(self.machine, step, geometry, flat, task, made, in_ring, out_ring)

    def _finish(self, regions: dict[str, Region], plans: list[StepPlan]) -> Plan:
        """DRAM offsets of what crosses: the input, the spilled tensors, the output."""
        at, places = 0, {}
        stride = stride_bytes(self.design.rows, self.design.beat_bytes)
        for name in self.born:
            crosses = name in self.spilled or name in (self.network.input, self.network.output)
            layout = self.layouts[name]
            places[name] = Place(layout, regions.get(name), at if crosses else None)
            if crosses:
                size = self._words(name, layout) * stride
                if name == self.network.input and self.unfolded:
                    size = self.unfolded.layout.bytes + 2 * ALIGNMENT
                at += -(-size // ALIGNMENT) * ALIGNMENT
        return Plan(places, plans, at)
