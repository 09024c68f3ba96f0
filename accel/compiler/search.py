"""A search over tilings: estimates choose them, but how long a program takes is known only when it is in order.

Estimates know neither the waits between blocks nor what the bus carries when; of a layer alone that is much of its
time. So for each step in turn the whole program is written and timed with other tilings: first the cheapest by estimate
of each strip and number of output tiles, then from the best of them whatever differs in one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from accel.compiler.lower.matrix_task import Tiling
from accel.compiler.lower.matrix_tiling import alternatives
from accel.compiler.output_storer import ENOUGH
from accel.compiler.patches import Patches
from accel.compiler.plan import StepPlan
from accel.compiler.prepare import Prepared, other_readings
from accel.models.errors import InputError

Cost = Callable[[Prepared], int]
SEEDS = 0.25  # of the tries, those that are made before anything is varied
BEST = 2  # that are varied
PATCHED = 0.5  # of the tries, those that are made with patches that are not alike
REGULAR = 48  # tries that others have at least
ROWS = ((1, 0), (0, 1), (0, 2), (1, 2), (4, 0), (4, 4))  # first and last chunks that are computed by kernel rows
STARTS, CLIMBS = 3, 3  # tilings that patches are made of; of these and of others, those that are varied


def searched(prepared: Prepared, tries: int, cost: Cost) -> Prepared:
    """The fastest of so many programs for each step that `Tiling`s describe, `cost` in cycles.

    `cost` may raise InputError, for a program that the commands cannot express. Steps whose output is filtered piece by
    piece as it is made, those that run by strips, and weights that a decoder makes, are left as they are.
    """
    if any(weights and weights.format.coded for weights in prepared.weights.values()):
        return prepared
    steps = [at for at in range(len(prepared.plan.steps)) if _searchable(prepared, at)]
    if steps and prepared.steps[steps[0]].input == prepared.network.input:
        others = [other for other in other_readings(prepared) if _searchable(other, steps[0])]
        if others:
            every = (_Step(start, steps[0], tries, cost) for start in (prepared, *others))
            prepared, steps = min(every, key=_Step.search).best, steps[1:]
    for at in steps:
        step = _Step(prepared, at, tries, cost)
        step.search()
        prepared = step.best
    return prepared


def _searchable(prepared: Prepared, at: int) -> bool:
    """Whether a step's tiling may be replaced."""
    plan, after = prepared.plan.steps[at], prepared.plan.steps[at + 1 : at + 2]
    apart = not any(at in chain for chain in prepared.chains) and not any(p.follows for p in after)
    return apart and isinstance(plan.tiling, Tiling) and not plan.machine.sparse


class _Step:
    """The search for one step's tiling."""

    def __init__(self, prepared: Prepared, at: int, tries: int, cost: Cost) -> None:
        self.prepared, self.at, self.left, self.cost = prepared, at, tries, cost
        self.plan: StepPlan = prepared.plan.steps[at]
        self.all = alternatives(self.plan.machine, self.plan.task)
        self.cycles: dict[Tiling, int] = {}

    def search(self) -> int:
        """Cycles of the best of the tilings that are tried."""
        kept = max(0, min(int(PATCHED * self.left), self.left - REGULAR))
        self.left -= kept
        seeds = int(SEEDS * self.left)
        self._try([self.plan.tiling])
        self._try(self._of_each_strip(), seeds)
        for start in sorted(self.cycles, key=self.cycles.__getitem__)[:BEST]:
            found = start
            while True:
                for near in (self._beginnings, self._trims, self._ends, self._strips, self._chunks):
                    self._try(near(found))
                    found = min([found, *(t for t in near(found) if t in self.cycles)], key=self.cycles.__getitem__)
                if found == start or self.left <= 0:
                    break
                start = found
        self.left += kept
        self._patches()
        return min(self.cycles.values())

    def _patches(self) -> None:
        """From the best tilings on, patches that are not alike, as long as a change of one cut gains."""
        machine, task, best = self.plan.machine, self.plan.task, sorted(self.cycles, key=self.cycles.__getitem__)
        if task.grouped:
            return
        starts = [found for tiling in best[:STARTS] if (found := Patches.of(machine, task, tiling))]
        starts += Patches(machine, task, replace(best[0], split_input=False), True, ()).seeds()
        reached = [(cycles, at) for at, start in enumerate(starts) if (cycles := self._patched(start))]
        for least, at in sorted(reached)[:CLIMBS]:
            better: tuple[int, Patches] | None = least, starts[at]
            while better:
                better = self._better(*better)
        least_of_all = min(self.cycles, key=self.cycles.__getitem__)
        self._try([replace(least_of_all, run=run) for run in (ENOUGH, 3)] if least_of_all.patches else [])

    def _patched(self, patches: Patches) -> int | None:
        """Cycles of patches; None if they do not fit, or when no try is left."""
        tiling = patches.made
        self._try([tiling] if tiling else [])
        return self.cycles.get(tiling) if tiling else None

    def _better(self, least: int, patches: Patches) -> tuple[int, Patches] | None:
        """The first change that takes fewer cycles."""
        for move in patches.moves():
            if self.left <= 0:
                break
            cycles = self._patched(move)
            if cycles is not None and cycles < least:
                return cycles, move
        return None

    @property
    def best(self) -> Prepared:
        """The program with the best tiling of those tried."""
        return self._with(min(self.cycles, key=self.cycles.__getitem__))

    def _with(self, tiling: Tiling) -> Prepared:
        plan = self.prepared.plan
        steps = [*plan.steps]
        steps[self.at] = replace(self.plan, tiling=tiling)
        return replace(self.prepared, plan=replace(plan, steps=steps))

    def _try(self, tilings: Iterable[Tiling], most: int | None = None) -> None:
        left = self.left if most is None else min(most, self.left)
        for tiling in tilings:
            if tiling in self.cycles:
                continue
            if left <= 0 and self.cycles:
                return
            left, self.left = left - 1, self.left - 1
            try:
                self.cycles[tiling] = self.cost(self._with(tiling))
            except InputError:
                if not self.cycles:
                    raise

    def _of_each_strip(self) -> list[Tiling]:
        """The cheapest tiling of each strip and number of output tiles."""
        found: dict[object, Tiling] = {}
        for tiling in self.all:
            found.setdefault((tiling.strip, tiling.block_tiles), tiling)
        return [*found.values()]

    def _like(self, of: Tiling, tilings: Iterable[Tiling]) -> list[Tiling]:
        """Tilings with the ends and stores of another one, where strips are large enough for the ends."""
        ends = max(of.first, of.last)
        return [
            replace(
                t,
                first=of.first,
                last=of.last,
                run=of.run,
                by_rows=of.by_rows,
                ends_by_rows=of.ends_by_rows,
                trimmed=of.trimmed,
            )
            for t in tilings
            if not ends or ends < self._size(t)
        ]

    def _size(self, of: Tiling) -> int:
        """Rows of a strip, or columns of a map of one row."""
        return of.strip[1] if self.plan.geometry.pooled[0] == 1 else of.strip[0]

    def _beginnings(self, of: Tiling) -> list[Tiling]:
        """The first chunk and some of the last ones as their kernel rows come."""
        if self.plan.geometry.kernel[0] == 1:
            return []
        return [replace(of, by_rows=first, ends_by_rows=last) for first, last in ROWS]

    def _trims(self, of: Tiling) -> list[Tiling]:
        """Without the weights of lanes that have no channel."""
        weights, align = self.prepared.weights[self.plan.step.name], self.plan.machine.weight_align
        trims = weights and weights.trims and weights.last_rows % align == weights.rows % align == 0
        return [replace(of, trimmed=True)] if trims else []

    def _strips(self, of: Tiling) -> list[Tiling]:
        """Other strips and orders, the same chunks."""
        same = (
            t
            for t in self.all
            if (t.block_tiles, t.chunk_tiles, t.chunk_groups, t.split_input)
            == (of.block_tiles, of.chunk_tiles, of.chunk_groups, of.split_input)
        )
        return self._like(of, same)

    def _chunks(self, of: Tiling) -> list[Tiling]:
        """Other chunks, the same strips."""
        where = of.strip, of.block, of.strips_outside
        return self._like(of, (t for t in self.all if (t.strip, t.block, t.strips_outside) == where))

    def _ends(self, of: Tiling) -> Iterator[Tiling]:
        """Smaller strips at the beginning and at the end, sooner stores; the same strips and chunks otherwise."""
        height, width = self.plan.geometry.pooled
        size, unit = self._size(of), 1 if height == 1 else width
        least = self.plan.machine.contract.fill_cycles
        sizes = [0, *sorted({-(-pixels // unit) for pixels in (least, 2 * least, 3 * least)})]
        for first in sizes:
            for last in sizes:
                for run in (ENOUGH, 1):
                    if max(first, last) < size:
                        yield replace(of, first=first, last=last, run=run)
