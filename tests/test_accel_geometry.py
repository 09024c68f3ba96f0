"""Splitting of ranges and the rows under a block."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from accel.compiler.geometry import Geometry, pieces, split
from accel.models.window import Window


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 9))
def test_split_is_a_partition_into_equal_parts(size: int, most: int, align: int) -> None:
    parts = split(size, most, align)
    assert parts[0][0] == 0
    assert parts[-1][1] == size
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert len(parts) == pieces(size, most, align)
    if len(parts) > 1:
        assert all(first % align == 0 for first, _ in parts)
        assert all(last - first <= max(most, align) for first, last in parts)
        assert len({last - first for first, last in parts[:-1]}) <= 1


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3),
    st.integers(0, 1), st.data(),
)  # fmt: skip
def test_rows_under_a_block_are_those_that_its_windows_touch(
    kernel: int, stride: int, dilation: int, pad: int, pool: int, pool_stride: int, pool_pad: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers((kernel - 1) * dilation + 1, 30))
    window = Window((1, kernel), (1, stride), (0, pad, 0, pad), (1, dilation))
    made = window.output_size(1, size)[1]
    pooling = Window((1, pool), (1, pool_stride), (0, min(pool_pad, pool - 1), 0, 0))
    if made < pool:
        return
    geometry = Geometry(
        8, window.kernel, window.stride, window.dilation, (0, pad), bool(pad), 1, size, 1, made, pooling
    )
    out = geometry.pooled[1]
    first = data.draw(st.integers(0, out - 1))
    last = data.draw(st.integers(first + 1, out))
    columns = {
        column
        for o in range(first, last)
        for p in range(pool)
        if 0 <= (column := o * pool_stride - pooling.pads[1] + p) < made
    }
    low, high = geometry.made(1, (first, last))
    assert (low, high) == (min(columns), max(columns) + 1)
    touched = {
        column
        for made_column in range(low, high)
        for k in range(kernel)
        if 0 <= (column := made_column * stride - pad + k * dilation) < size
    }
    read = geometry.read(1, (low, high))
    if touched:
        assert read[0] <= min(touched)
        assert read[1] >= max(touched) + 1
    assert 0 <= read[0] < read[1] <= size
