import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.encode.bitstream import DamagedStream
from accel.models.encode.relative import Relative, decode, encode
from accel.models.errors import InputError


def entries_slowly(matrix, index_bits, pe, pes):
    """One PE's entries by walking over its weights one by one."""
    found, run = [], 0
    last = max((k for k, _ in positions(matrix, pe, pes, nonzero=True)), default=-1)
    for k, value in positions(matrix, pe, pes, nonzero=False):
        if k > last:
            break
        if value or run == 2**index_bits - 1:
            found.append((run, value))
            run = 0
        else:
            run += 1
    return found


def positions(matrix, pe, pes, nonzero):
    outputs, columns = matrix.shape
    order = [matrix[n, c] for c in range(columns) for n in range(outputs) if n % pes == pe]
    return [(k, value) for k, value in enumerate(order) if value or not nonzero]


def test_the_example_of_the_paper():
    """Deep Compression, figure 2: 3 bits, weights at 1, 4 and 15; the gap of 11 takes a filler at 12."""
    row = np.zeros((1, 16), np.float32)
    row[0, [1, 4, 15]] = 3.4, 0.9, 1.7
    packed = encode(row, 3)
    # The figure's "diff" counts from entry to entry: 1 (from 0), 3, 8, 3.
    assert np.cumsum(packed.runs[0].astype(int) + 1).tolist() == [1 + 1, 4 + 1, 12 + 1, 15 + 1]
    assert packed.runs[0].tolist() == [1, 2, 7, 2]
    np.testing.assert_array_equal(packed.values[0], np.array([3.4, 0.9, 0, 1.7], np.float32))
    assert (packed.entries, packed.fillers, packed.pes) == (4, 1, 1)
    np.testing.assert_array_equal(decode(packed), row)


def test_the_order_of_eie():
    """EIE, figure 2: PE k holds rows k, k + 4, ... column by column."""
    matrix = np.arange(1, 13, dtype=np.float32).reshape(6, 2)
    lanes = encode(matrix, 4, pes=4).values
    assert [lane.tolist() for lane in lanes] == [[1, 9, 2, 10], [3, 11, 4, 12], [5, 6], [7, 8]]


def draw(seed, density):
    generator = np.random.default_rng(seed)
    shape = generator.integers(1, 40, 2)
    return (generator.integers(1, 100, shape) * (generator.random(shape) < density)).astype(np.float32)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0.003, 0.05, 0.5, 1]), st.integers(1, 8), st.integers(1, 50))
def test_round_trip(seed, density, index_bits, pes):
    matrix = draw(seed, density)
    packed = encode(matrix, index_bits, pes)
    for pe in range(pes):
        found = list(zip(packed.runs[pe].tolist(), packed.values[pe].tolist(), strict=True))
        assert found == entries_slowly(matrix, index_bits, pe, pes)
    assert packed.entries - packed.fillers == np.count_nonzero(matrix)
    decoded = decode(packed)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, matrix)


@pytest.mark.parametrize(("zeros", "fillers"), [(6, 0), (7, 0), (8, 1), (15, 1), (16, 2), (24, 3)])
def test_borders_of_fillers(zeros, fillers):
    row = np.r_[np.zeros(zeros), 5, np.zeros(100)].astype(np.float32)[None]
    packed = encode(row, 3)
    assert packed.fillers == fillers
    np.testing.assert_array_equal(decode(packed), row)


def test_a_column_needs_no_further_filler():
    """What lets a loader find EIE's columns: the first entry of a column is within reach of its top."""
    matrix = draw(3, 0.05)
    packed = encode(matrix, 2)
    places = np.cumsum(packed.runs[0].astype(int) + 1) - 1
    columns, rows = places // len(matrix), places % len(matrix)
    first = np.flatnonzero(np.diff(columns, prepend=-1))
    assert (rows[first] <= packed.runs[0][first]).all()


def test_entries_behind_the_end():
    packed = Relative((4, 3), 3, (np.array([0, 7], np.uint8), np.array([5, 1], np.uint8)), (np.ones(2), np.ones(2)))
    with pytest.raises(DamagedStream, match=r"^layer 'l', lane 0, bit 3: entry 1 must be one of 6 weights, not 8$"):
        decode(packed, "l")
    with pytest.raises(DamagedStream, match=r"^layer 'l', lane 0, bit 1: "):
        decode(packed, "l", np.arange(1, 9, dtype=np.uint8))
    runs = (np.array([0, 4], np.uint8), np.array([5], np.uint8))
    assert decode(Relative((4, 3), 3, runs, (np.ones(2), np.ones(1)))).sum() == 3
    with pytest.raises(DamagedStream, match=r"lane 1, bit 0: entry 0 must be one of 6 weights, not 6$"):
        decode(Relative((4, 3), 3, (runs[0], runs[1] + np.uint8(1)), (np.ones(2), np.ones(1))))


@pytest.mark.parametrize(
    ("index_bits", "pes", "message"),
    [
        (0, 1, r"bits of a relative index must be 1\.\.8, not 0"),
        (9, 1, r"relative index must be 1\.\.8, not 9"),
        (4, 0, r"PEs must be 1\.\.65535, not 0"),
        (4, 65536, r"PEs must be 1\.\.65535, not 65536"),
    ],
)
def test_refusals(index_bits, pes, message):
    with pytest.raises(InputError, match=message):
        encode(np.ones((2, 2), np.float32), index_bits, pes)
