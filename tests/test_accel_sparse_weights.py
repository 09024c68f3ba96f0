"""Entries of the sparse engine: decoded as a PE does they are the weights, in as many rows as were foreseen."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.formats.sparse import SparseBlock, encode
from accel.compiler.geometry import matrix_geometry
from accel.compiler.sparse_weights import sparse_weights
from accel.entries import Entries, pack_entries, unpack_entries
from accel.models.integers.network import MatrixLayer
from tests.benches.draw import draw_network, draw_sparse_design


def decoded(block: SparseBlock, tiles: int, cols: int) -> np.ndarray:
    """(tiles * C, columns) values: every PE follows its list, entry after entry."""
    columns = len(block.lengths)
    found = np.zeros((tiles * cols, columns), np.uint8)
    for pe in range(cols):
        at = 0
        for column in range(columns):
            n, size = -1, 0
            while True:
                n += 1 + int(block.entries.run[at, pe])
                found[n * cols + pe, column] = block.entries.value[at, pe]
                at, size = at + 1, size + 1
                if block.entries.last[at - 1, pe]:
                    break
            assert size == block.lengths[column, pe]
        assert not block.entries.last[at:, pe].any()  # what fills up ends no column
    return found


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_entries_are_the_weights(rng: Random) -> None:
    generator = np.random.default_rng(rng.getrandbits(32))
    cols, tiles, columns, run_bits = rng.randint(1, 5), rng.randint(1, 20), rng.randint(1, 9), rng.randint(1, 4)
    codes = generator.integers(1, 256, (tiles * cols, columns)).astype(np.uint8)
    present = generator.random(codes.shape) < rng.choice([0, 0.05, 0.3, 1])
    block = encode(codes, present, cols, run_bits, 8, zero=0)
    np.testing.assert_array_equal(decoded(block, tiles, cols), np.where(present, codes, 0))
    assert int(block.lengths.sum(axis=0).max()) == block.rows
    assert (block.lengths >= 1).all()
    back = unpack_entries(block.pack(), run_bits, 8)
    for kept, wanted in zip(back, block.entries, strict=True):
        np.testing.assert_array_equal(kept[: block.rows], wanted)


def test_bits_by_hand() -> None:
    """last 1, run 2 of 3 bits, value 5 of 4 bits: 1 | 2 << 1 | 5 << 4; and 8 bits at least."""
    one = Entries(*(np.array([[value]], np.uint8) for value in (1, 2, 5)))
    assert pack_entries(one, 3, 4).tolist() == [[1 | 2 << 1 | 5 << 4]]
    assert pack_entries(one, 4, 4).tolist() == [[1 | 2 << 1 | (5 << 5) & 255], [5 >> 3]]
    two = Entries(*(np.array([[value], [value]], np.uint8) for value in (1, 1, 2)))
    assert pack_entries(two, 1, 2).tolist() == [[0b1011], [0b1011]]
    assert unpack_entries(np.array([[0b0000_1011]], np.uint8), 1, 2) == (1, 1, 2)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_no_block_has_more_rows_than_were_foreseen(rng: Random) -> None:
    network, design = draw_network(rng, layers=1, joining=False), draw_sparse_design(rng)
    layer = network.layers[0]
    assert isinstance(layer, MatrixLayer)
    shape = network.tensors[layer.input].shape
    weights = sparse_weights(layer, matrix_geometry(layer, shape, None), design, None, False)
    n0, g0 = rng.randrange(weights.tiles), rng.randrange(weights.groups)
    n1, g1 = rng.randint(n0 + 1, weights.tiles), rng.randint(g0 + 1, weights.groups)
    assert weights.entries((n0, n1), (g0, g1)).rows <= weights.rows_of(n1 - n0, g1 - g0)
