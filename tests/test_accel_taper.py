"""Tapered chunks: a partition of tiles by groups in an order that sums up, within limits, shrinking at the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.compiler.lower.taper import tapered


@given(
    st.integers(2, 70),
    st.integers(1, 130),
    st.floats(0.1, 1.0),
    st.floats(1, 100),
    st.integers(1, 60),
    st.integers(1, 9),
)
def test_chunks_are_a_partition(tiles: int, groups: int, ratio: float, extra: float, most: int, height: int) -> None:
    chunks = tapered(tiles, groups, 8.0, 8.0 * ratio, extra, most, height, 1.0)
    seen: set[tuple[int, int]] = set()
    for (n0, n1), (g0, g1) in chunks:
        cells = {(n, g) for n in range(n0, n1) for g in range(g0, g1)}
        assert cells
        assert not cells & seen
        assert len(cells) <= most
        assert n1 - n0 <= height
        # sums of a tile start with its first groups
        assert all((n, g) in seen for n in range(n0, n1) for g in range(g0))
        seen |= cells
    assert len(seen) == tiles * groups
    assert chunks[-1][0] == (tiles - 1, tiles)


@given(st.integers(2, 40), st.integers(1, 60), st.floats(0.1, 1.0), st.floats(1, 100), st.integers(1, 60))
def test_a_chunk_is_used_up_when_what_follows_has_come(
    tiles: int, groups: int, ratio: float, extra: float, most: int
) -> None:
    """The rule of the module, from the last chunk backwards; a single tile may be cut no further than the last."""
    chunks = tapered(tiles, groups, 8.0, 8.0 * ratio, extra, most, 9, 1.0)
    last = max(g1 - g0 for (n0, _), (g0, g1) in chunks if n0 == tiles - 1)
    allowed = float(last)
    for (n0, n1), (g0, g1) in reversed(chunks):
        size = (n1 - n0) * (g1 - g0)
        assert size <= allowed * (1 + 1e-9) or (n1 - n0 == 1 and size <= last)
        allowed += (size * (1 - ratio) + extra / 8.0) / ratio


def test_the_last_chunk_is_the_smallest() -> None:
    chunks = tapered(16, 16, 8.0, 8.0, 9.0, 64, 16, 1.0)
    sizes = [(n[1] - n[0]) * (g[1] - g[0]) for n, g in chunks]
    assert min(sizes) == sizes[-1] < max(sizes) / 3


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_few_groups_cannot_be_cut_further(groups: int) -> None:
    chunks = tapered(5, groups, 8.0, 8.0, 9.0, 64, 5, 1.0)
    assert all(g[1] - g[0] >= 1 for _, g in chunks)
