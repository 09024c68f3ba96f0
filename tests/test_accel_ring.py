"""Rings against a list of allocations: what is found was not overwritten, and what was not overwritten is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accel.compiler.plan import Region
from accel.compiler.ring import Ring


@given(st.integers(1, 40), st.integers(1, 4), st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12)), max_size=60))
def test_live_items_never_overlap(words: int, align: int, wanted: list[tuple[int, int]]) -> None:
    ring = Ring(100, words, align)
    live: dict[int, tuple[int, int, int]] = {}  # key -> first and last word, item
    for item, (size, key) in enumerate(wanted):
        whole = -(-size // align) * align
        if whole > words:
            continue
        if key == 12:
            ring.reserve(size)
            continue
        found = ring.find(key)
        assert (found is not None) == (key in live)
        if found:
            assert found == (live[key][0], live[key][2])
            continue
        first = ring.take(size, key if key else None, item)
        last = first + whole - 1
        assert 100 <= first <= last < 100 + words
        live = {k: span for k, span in live.items() if span[1] < first or span[0] > last}
        if key:
            live[key] = (first, last, item)
    assert all(ring.find(key) == (first, item) for key, (first, _, item) in live.items())


def test_allocations_go_round() -> None:
    ring = Ring(0, 10, 2)
    assert [ring.take(size, key, key) for key, size in enumerate((3, 4, 3, 2))] == [0, 4, 0, 4]
    assert [ring.find(key) for key in range(4)] == [None, None, (0, 2), (4, 3)]
    assert ring.take(4, 4, 4) == 6  # up to the very last word


def test_reserve_begins_anew_only_if_that_helps() -> None:
    ring = Ring(0, 10)
    assert ring.take(4, "a", 0) == 0
    ring.reserve(6)  # fits behind
    assert ring.take(1, "b", 1) == 4
    ring.reserve(11)  # fits nowhere
    assert ring.take(1, "c", 2) == 5
    ring.reserve(10)
    assert ring.take(1, "d", 3) == 0


def test_a_ring_in_a_bank() -> None:
    ring = Ring.of(Region(1, 30, 8))
    assert ring is not None
    assert (ring.bank, ring.take(8, "a", 0), ring.take(1, "b", 0)) == (1, 30, 30)
    assert Ring.of(None) is None
