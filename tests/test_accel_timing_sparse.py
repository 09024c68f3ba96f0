"""The play of the sparse engine against a machine that is stepped cycle by cycle."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel.design import Design, load
from accel.latency import compute_cycles
from accel.timing.machine import DURATION, ENTRIES, PRODUCTS, SKIPPED, WORKED
from accel.timing.sparse import facts_of_play


def design_of(rows: int, cols: int, queue_depth: int) -> Design:
    values = load("edge-sparse").model_dump()
    values["array"] |= {"rows": rows, "cols": cols}
    values["engine"]["queue_depth"] = queue_depth
    return Design.model_validate(values)


def stepped(
    design: Design, pixels: int, clear: int, columns: list[int], lengths: NDArray[np.int64], zero: NDArray[np.int64]
) -> int:
    """Cycles from the command to its last sum: what every register does in every cycle."""
    rows, depth = design.rows, design.engine.queue_depth  # type: ignore[union-attr]
    units = []  # words, columns that are not zero
    for block in range(-(-pixels // rows)):
        for u, lanes in enumerate(columns):
            first = sum(columns[:u])
            sent = [c for c in range(first, first + lanes) if not zero[block, c]]
            units.append((min(rows, pixels - block * rows), sent))
    queues: list[list[int]] = [[] for _ in range(design.cols)]
    busy = [0] * design.cols  # cycle of the last entry's address
    ready: list[int] = []  # from which cycle on a unit can be broadcast
    pushes: list[tuple[int, int]] = []  # cycle in which the PEs may take it, column
    left, emptied, sent, cycle, last = units[0][0], 0, 0, 0, 0
    while emptied < len(units) or pushes or any(queues):
        cycle += 1
        for when, column in [p for p in pushes if p[0] == cycle]:
            pushes.remove((when, column))
            for queue in queues:
                queue.append(column)
        room = all(len(queue) + len(pushes) < depth for queue in queues)
        for pe, queue in enumerate(queues):
            if queue and busy[pe] < cycle:
                busy[pe] = cycle + int(lengths[queue.pop(0), pe]) - 1
        free = len(ready) < 2 or emptied > len(ready) - 2  # one of two transposers was, before this cycle
        if emptied < len(ready) and ready[emptied] <= cycle and cycle > clear:
            what = units[emptied][1]
            if sent < len(what) and room:
                pushes.append((cycle + 2, what[sent]))
                sent += 1
            elif sent < len(what):
                sent = sent + 0
            if sent == len(what):
                emptied, sent, last = emptied + 1, 0, cycle
        if len(ready) < len(units) and free:
            left -= 1
            if not left:
                ready.append(cycle + 2)
                left = units[len(ready)][0] if len(ready) < len(units) else 0
    return max(last, *busy) + compute_cycles(design)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_play_takes_the_cycles_of_the_machine(rng: Random) -> None:
    design = design_of(rng.choice([1, 2, 4]), rng.randint(1, 4), rng.randint(1, 5))
    generator = np.random.default_rng(rng.getrandbits(32))
    columns = [rng.randint(1, 4) for _ in range(rng.randint(1, 4))]
    lengths = generator.integers(1, rng.choice([2, 5, 9]), (sum(columns), design.cols))
    pixels, clear = rng.randint(1, 40), rng.randint(0, 30)
    blocks = -(-pixels // design.rows)
    zero = (generator.random((blocks, len(lengths))) < rng.choice([0, 0.5, 1])).astype(np.int64)
    found = facts_of_play(design, pixels, clear, columns, lengths, zero)
    assert found[DURATION] == stepped(design, pixels, clear, columns, lengths, zero)
    assert found[ENTRIES] == ((1 - zero) @ lengths).sum()
    assert found[SKIPPED] == zero.sum()
    valid = np.minimum(design.rows, pixels - design.rows * np.arange(blocks))
    assert found[PRODUCTS] == valid @ ((1 - zero) @ lengths.sum(axis=1))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_blocks_that_repeat_are_not_played_and_cost_the_same(rng: Random) -> None:
    design = design_of(rng.choice([1, 2, 4]), rng.randint(1, 4), rng.randint(1, 5))
    generator = np.random.default_rng(rng.getrandbits(32))
    columns = [rng.randint(1, 4) for _ in range(rng.randint(1, 4))]
    lengths = generator.integers(1, 6, (sum(columns), design.cols))
    pixels = rng.randint(1, 200)
    none = np.zeros((-(-pixels // design.rows), len(lengths)), np.int64)
    assert facts_of_play(design, pixels, 3, columns, lengths) == facts_of_play(
        design, pixels, 3, columns, lengths, none
    )


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_entries_that_take_twice_as_long_cost_what_they_are_waited_for(rng: Random) -> None:
    """WORKED is a part of the longest way: it grows by itself if every entry doubles, and no less than that in all.

    With one entry a column nothing of the rest becomes shorter: what is not WORKED stays at least what it is.
    """
    design = design_of(rng.choice([1, 2, 4]), rng.randint(1, 4), rng.randint(1, 5))
    generator = np.random.default_rng(rng.getrandbits(32))
    columns = [rng.randint(1, 4) for _ in range(rng.randint(1, 4))]
    lengths = generator.integers(1, rng.choice([2, 9]), (sum(columns), design.cols))
    pixels, clear = rng.randint(1, 60), rng.randint(0, 30)
    zero = (generator.random((-(-pixels // design.rows), len(lengths))) < rng.choice([0, 0.5, 1])).astype(np.int64)
    once, twice, fewest = (
        facts_of_play(design, pixels, clear, columns, each, zero) for each in (lengths, 2 * lengths, lengths**0)
    )
    assert twice[DURATION] >= once[DURATION] + once[WORKED]
    assert once[DURATION] - fewest[DURATION] <= once[WORKED]


@pytest.mark.parametrize(("density", "worked"), [(8, 0.9), (1, 0.1)])
def test_what_limits_an_engine_is_entries_or_broadcasts(density: int, worked: float) -> None:
    """Eight entries a column: the PEs are what is waited for; one: the next broadcast is."""
    design, lengths = design_of(4, 4, 4), np.full((32, 4), density)
    found = facts_of_play(design, 200, 0, [32], lengths)
    assert (found[WORKED] > worked * found[DURATION]) == (density == 8)
    assert found[WORKED] < found[DURATION]


@pytest.mark.parametrize(("rows", "cols"), [(1, 64), (16, 16)])
def test_one_entry_a_cycle_when_all_is_dense(rows: int, cols: int) -> None:
    """Enough work for every PE, and the time is that of the entries, but for the first and last steps."""
    design, lengths = design_of(rows, cols, 8), np.full((64, cols), 8)
    cycles = facts_of_play(design, 4 * rows, 0, [16] * 4, lengths)[DURATION]
    assert 4 * 64 * 8 < cycles < 4 * 64 * 8 + rows + 20
