"""Records of requantisation against `struct`, and their widths against the commands that carry one."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.records import BIAS, MULTIPLIER, SHIFT, pack_filters, pack_records, unpack_records, unpack_taps

RECORD = st.tuples(st.integers(-(1 << 31), (1 << 31) - 1), st.integers(0, 65535), st.integers(0, 63))


@given(st.lists(RECORD, max_size=9))
def test_records_are_those_of_the_format(records: list[tuple[int, int, int]]) -> None:
    columns = [np.array([r[k] for r in records], t) for k, t in enumerate((np.int32, np.uint16, np.uint8))]
    packed = pack_records(*columns)
    assert packed.tobytes() == b"".join(struct.pack("<iHBx", *record) for record in records)
    found = unpack_records(packed.reshape(1, -1))
    assert list(zip(*(values[0].tolist() for values in found), strict=True)) == records


def test_the_places_of_the_fields() -> None:
    """As docs/formats.md has them: bias in bits 31..0, multiplier in 47..32, shift in 53..48."""
    assert [(f.first, f.end) for f in (BIAS, MULTIPLIER, SHIFT)] == [(0, 32), (32, 48), (48, 54)]


@pytest.mark.parametrize("side", [3, 5])
def test_words_of_a_filter(side: int) -> None:
    """As docs/formats.md has them, by hand: the last tap beside the record, the others of the lower right 3 x 3, and
    what is left of a larger window, row by row.
    """
    taps = np.random.default_rng(side).integers(-128, 128, (3, 2, side, side)).astype(np.int8)
    records = pack_records(np.arange(-3, 3), np.arange(6), np.arange(6)).reshape(3, 2, 8)
    words = pack_filters(records, taps)
    np.testing.assert_array_equal(unpack_taps(words, 2, side // 2), taps)
    for chunk, lane in np.ndindex(3, 2):
        own, inner = taps[chunk, lane], taps[chunk, lane, -3:, -3:].ravel()
        rest = [] if side == 3 else [*own[:2].ravel(), *own[2:, :2].ravel()]
        (bias, multiplier, shift), first = (v[0] for v in unpack_records(records[chunk, lane])), chunk * (side - 1)
        assert bias == multiplier - 3
        found = [words[first + k, 8 * lane : 8 * lane + 8].tobytes() for k in range(side - 1)]
        (record,) = struct.unpack("<Q", found[0])
        assert record == bias % (1 << 32) | multiplier << 32 | shift << 48 | int(inner[8]) % 256 << 54
        assert b"".join(found[1:]) == np.array([*inner[:8], *rest], np.int8).tobytes()


@pytest.mark.parametrize(("field", "value"), [(0, 1 << 31), (0, -(1 << 31) - 1), (1, 1 << 16), (1, -1), (2, 64)])
def test_what_is_too_wide_is_refused(field: int, value: int) -> None:
    columns = [np.zeros(1, np.int64) for _ in range(3)]
    columns[field][0] = value
    with pytest.raises(ValueError, match="bits must be"):
        pack_records(*columns)
