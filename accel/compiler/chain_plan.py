"""Plans of the steps of a chain: where in the banks what lies that is there only for a strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from accel.compiler.estimate import Machine, up
from accel.compiler.lower.chain_tiling import ChainTask, ChainTiling, Share, choose_chain
from accel.compiler.lower.filter_tiling import FilterTask
from accel.compiler.lower.lowering import Setting
from accel.compiler.lower.matrix_task import Task
from accel.compiler.lower.table import lowering
from accel.compiler.lower.vector_tiling import VectorTiling
from accel.compiler.plan import Chain, Region, StepPlan
from accel.design import Design


class Rooms(NamedTuple):
    """The largest gap of each bank, and where the chain's ends lie (None: in DRAM)."""

    gaps: tuple[Region, Region]
    ends: tuple[Region | None, Region | None]


ChainPlan = tuple[Chain, list[StepPlan]]


def chain_plans(design: Design, settings: Sequence[Setting], rooms: Rooms) -> list[ChainPlan]:
    """The best plans of a chain of two or three steps, the lowest estimate first, which stands with the first step."""
    machine, last = settings[0].machine, settings[2] if len(settings) > 2 else None
    tasks = [lowering(s.step.layer, design).task(_inside(s, k, len(settings))) for k, s in enumerate(settings)]
    first, middle = tasks[:2]
    assert isinstance(first, Task)
    assert isinstance(middle, FilterTask)
    if first.grouped or (any(s.weights and s.weights.format.coded for s in settings) and not _stay(machine, tasks)):
        return []
    banks = [region.bank if region else None for region in rooms.ends]
    align = machine.activation_align
    gaps = rooms.gaps[0].words // align * align, rooms.gaps[1].words // align * align
    task = ChainTask(first, middle, tasks[2] if last else None, gaps, banks[0], banks[1])
    found = [_plan(settings, tasks, rooms, tiling) for tiling in choose_chain(machine, task)]
    return [plan for plan in found if plan]


def _stay(machine: Machine, tasks: Sequence[Any]) -> bool:
    """Whether all weights lie on chip at once, so that each is loaded once, as a coded one must be."""
    words = (task.total_words(machine) + sum(task.reach) * machine.weight_align for task in tasks[::2])
    return sum(words) <= machine.weights


def _plan(settings: Sequence[Setting], tasks: Sequence[Any], rooms: Rooms, tiling: ChainTiling) -> ChainPlan | None:
    """The plan of a tiling; None if its beats do not fit where the gaps begin."""
    machine = settings[0].machine
    align = machine.activation_align
    taken = [up(gap.word, align) - gap.word for gap in rooms.gaps]
    made, kept, source, target = (
        _regions(rooms, taken, share) for share in (tiling.made, tiling.kept, tiling.source, tiling.target)
    )
    if any(at > gap.words for at, gap in zip(taken, rooms.gaps, strict=True)):
        return None
    between = [None] * (len(settings) - 1)
    tiles = _tilings(tiling, tasks[1], len(settings) > 2)
    rows = zip(settings, tasks, tiles, [_whole(source), *between], [*between, _whole(target)], strict=True)
    plans = [
        StepPlan(machine, s.step, s.geometry, False, own, tile, ring_in, ring_out)
        for s, own, tile, ring_in, ring_out in rows
    ]
    return Chain(settings[0].step.index, len(settings), tiling.rows, made[0], tuple(kept)), plans


def _inside(setting: Setting, at: int, count: int) -> Setting:
    """What a step finds around it in a chain: nothing crosses to DRAM between the steps, and rows have no gaps."""
    changes: dict[str, Any] = {"beside": 0.0}
    if at > 0:
        changes |= {"loaded": False, "in_ring": None, "in_pitch": setting.geometry.in_w, "in_align": 1}
    if at < count - 1:
        changes |= {"stored": False, "out_ring": None, "out_pitch": setting.geometry.out_w, "out_align": 1}
    return replace(setting, **changes)


def _tilings(tiling: ChainTiling, middle: FilterTask, three: bool) -> list[object]:
    """Of the steps; the estimate stands with the first."""
    piece = VectorTiling(middle.groups, (tiling.rows, middle.geometry.out_w), 0.0)
    return [replace(tiling.first, cost=tiling.cost), piece, *([tiling.last] if three else [])]


def _regions(rooms: Rooms, taken: list[int], share: Share | None) -> list[Region]:
    """The next words of a gap, once or twice."""
    found = []
    for _ in range(share.times if share else 0):
        assert share
        found.append(Region(share.bank, rooms.gaps[share.bank].word + taken[share.bank], share.words))
        taken[share.bank] += share.words
    return found


def _whole(regions: list[Region]) -> Region | None:
    """Neighbouring regions as one."""
    return replace(regions[0], words=sum(region.words for region in regions)) if regions else None
