"""Which steps can run strip by strip: what makes a depthwise step's input, that step, and what alone reads it.

An inverted residual expands its channels, filters them and projects them: what lies between is several times as large
as its ends. Run one after the other, these steps send it to DRAM and back; strip by strip it never leaves the chip.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from accel.compiler.lower.filter import is_filter
from accel.compiler.step import Step, one_pixel
from accel.design import Design
from accel.models.integers.network import IntegerNetwork


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


def chains(network: IntegerNetwork, design: Design, steps: Sequence[Step], large: Collection[str]) -> list[range]:
    """Numbers of the steps of each chain that keeps one of the storages `large` on chip, no step in two."""
    found: list[range] = []
    for index in sorted(following(network, design, steps)):
        chain = range(index - 1, index + 1 + _ends(network, design, steps, index))
        inner = [steps[k].target.storage for k in chain[:-1]]
        free = not found or chain.start >= found[-1].stop
        if free and set(inner) & set(large) and all(_between(steps, k) for k in chain[:-1]):
            first = steps[chain.start]
            if first.pool is None and first.added is None:
                found.append(chain)
    return found


def _ends(network: IntegerNetwork, design: Design, steps: Sequence[Step], index: int) -> bool:
    """Whether the step behind a depthwise one can take its rows as they are made."""
    if index + 1 == len(steps):
        return False
    before, step = steps[index : index + 2]
    return (
        step.kind == "matrix"
        and not is_filter(step.layer, design)
        and step.part is None
        and step.geometry.pointwise
        and step.source == before.target
        and _between(steps, index)
        and not one_pixel(step, network)
    )


def _between(steps: Sequence[Step], index: int) -> bool:
    """Whether the step after alone reads what a step makes, which lies in a storage of its own."""
    spot = steps[index].target
    users = [step.index for step in steps if spot.storage in _storages(step)]
    alone = spot.group == 0 and spot.lanes is None and spot.written == spot.channels
    return alone and users == [index, index + 1] and steps[index + 1].residual != steps[index].output


def _storages(step: Step) -> Iterator[str]:
    return (spot.storage for spot in (step.source, step.target, step.added) if spot)
