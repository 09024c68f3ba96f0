"""Accesses share a word exactly when their words, written out, do; and the newest that does so is found."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ConfigPost, Post
from accel.compiler.access import (
    ACCESSES,
    DRAM,
    END,
    PARAMETERS,
    PLACE,
    SIZE,
    START,
    TABLE,
    accesses_of,
    overlap,
    put,
)
from accel.compiler.hazards import BOX, LARGEST, Logs, newest
from accel.rows import rows_of
from accel.timing.machine import Machine
from tests.benches.unit_designs import post_design

rectangles = st.tuples(st.integers(0, 60), st.integers(1, 9), st.integers(1, 6), st.integers(0, 14))


def words(start: int, length: int, rows: int, pitch: int) -> set[int]:
    return {start + row * pitch + k for row in range(rows) for k in range(length)}


@settings(max_examples=1000, deadline=None)
@given(rectangles, rectangles)
def test_overlap_is_a_common_word(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    table = [0] * (2 * SIZE)
    assert put(table, put(table, 0, DRAM, 0, *one), DRAM, 1, *other) == 2 * SIZE
    assert (table[START], table[END]) == (min(words(*one)), max(words(*one)) + 1)
    shared = bool(words(*one) & words(*other))
    assert overlap(table, 0, SIZE) == overlap(table, SIZE, 0) == shared


@pytest.mark.parametrize(("number", "uniform", "count"), [(0, 0, 3), (0, 1, 0), (1, 0, 6), (1, 1, 6), (2, 0, 12)])
def test_parameter_words_of_a_post(number: int, uniform: int, count: int) -> None:
    """Of three chunks: their records; with a filter also their taps, of which a record of all channels saves none."""
    design = post_design(1, 1, 1, filter_multipliers=9, filter_side=5)
    command = Post(from_activation=1, reduce_sum=1, filter=number, uniform=uniform, chunks=3, param_addr=5, stream_h=1)
    rows, table = rows_of([command, ConfigPost()]).ravel().tolist(), [0] * TABLE
    accesses_of(Machine.of(design), rows, 0, len(rows) // 2, 0, table, 0)
    found = [table[a + START : a + END + 1] for a in range(0, ACCESSES * SIZE, SIZE) if table[a + PLACE] == PARAMETERS]
    assert found == ([[5, 5 + count]] if count else [])


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_newest_that_shares_a_word_is_found(rng: Random) -> None:
    """In a log of many boxes, of which a part is placed, behind a number that has been waited for already."""
    count = rng.randint(1, 5 * BOX)

    def draw() -> tuple[int, int, int, int]:
        return rng.randint(0, 300), rng.randint(1, 9), rng.randint(1, 3), rng.randint(0, 20)

    drawn = [draw() for _ in range(count + 1)]
    table, boxes = [0] * (TABLE * (count + 1)), [LARGEST, -1] * (count // BOX + 1)
    for k, rectangle in enumerate(drawn):
        put(table, k * TABLE, DRAM, 0, *rectangle)
    for k in range(count):
        box = 2 * (k // BOX)
        boxes[box] = min(boxes[box], table[k * TABLE + START])
        boxes[box + 1] = max(boxes[box + 1], table[k * TABLE + END])
    logs = Logs(table, [0, count], [k * ACCESSES for k in range(count)], boxes)
    numbers = [2 * k + 1 for k in range(count)]
    placed, after = rng.randint(0, count), rng.randint(0, 2 * count)
    sharing = [n for n, other in zip(numbers[:placed], drawn, strict=False) if words(*other) & words(*drawn[count])]
    assert newest(logs, 0, placed, numbers, after, count * TABLE) == max([after, *sharing])
