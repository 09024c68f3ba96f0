"""Accesses share a word exactly when their words, written out, do; and the newest that does so is found."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.access import ACCESSES, DRAM, END, SIZE, START, TABLE, overlap, put
from accel.compiler.hazards import BOX, LARGEST, Logs, newest

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
