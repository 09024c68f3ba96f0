"""Coded entries: what is encoded is decoded to the lists of the plain format, and damage is found where it is."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.formats.sparse import SparseBlock, by_pe
from accel.compiler.formats.sparse import encode as plain_entries
from accel.entropy.encode import Encoded
from accel.entropy.encode_lists import Lists, encode_lists
from accel.entropy.lists import RUN_AT, VALUE_AT, CodedLists, DecodedLists, decode_lists
from accel.entropy.stream import Position
from accel.models.encode.bitstream import DamagedStream
from tests.benches.coded import draw_codes, tables_of
from tests.benches.unit_designs import divisor
from tests.benches.wide import draws


def draw(rng: Random) -> tuple[Encoded, list[SparseBlock], list[CodedLists], bool]:
    """One stream of several blocks, or a stream a block; the plain lists; the LOADs; whether it is one stream."""
    cols, bits, beat = rng.randint(1, 6), rng.randint(1, 8), rng.choice([4, 4, 8, 16, 64])
    lanes, zero, run_bits, literal = divisor(rng, cols), rng.randrange(1 << bits), rng.randint(1, 5), rng.random() < 0.3
    plain, lists, coded = [], [], []
    for _ in range(rng.randint(1, 6)):
        tiles, columns = rng.choice([1, 2, rng.randint(1, 60)]), rng.randint(1, 12)
        codes = draw_codes(rng, tiles * cols, columns, bits, zero)
        present = np.ones(codes.shape, np.bool_) if literal else codes != zero
        present[tiles * cols - rng.randrange(cols) :] = False  # outputs that do not exist
        made = plain_entries(codes, present, cols, run_bits, bits, zero)
        plain.append(made)
        lists.append(Lists(*by_pe(codes, present, cols), made.rows))
        coded.append(
            CodedLists(lanes, cols, beat, columns, tiles, run_bits, made.rows, literal, zero, bits, (b"", b""))
        )
    encoded = encode_lists([lists], coded[0]) if rng.random() < 0.7 else None
    together = encoded is not None
    encoded = encoded or encode_lists([[block] for block in lists], coded[0])
    assert encoded
    return encoded, plain, [c._replace(tables=tables_of(encoded)) for c in coded], together


@settings(max_examples=draws(120), deadline=None)
@given(st.integers(0, 1 << 32))  # a seed: what matters are codes as random as can be
def test_what_is_encoded_is_decoded_to_the_plain_lists(seed: int) -> None:
    encoded, plain, loads, together = draw(Random(seed))
    position = start = Position.start(loads[0].lanes, 0)
    made = [block for blocks in encoded.streams for block in blocks]
    for wanted, coded, block in zip(plain, loads, made, strict=True):
        found = decode_lists(coded, block.data.tobytes(), position if together else start)
        position = found.position
        np.testing.assert_array_equal(found.sizes, wanted.lengths.sum(axis=0))
        last, run, value = (part.T.astype(np.int64) for part in wanted.entries)
        numbers = last | run << RUN_AT | value << VALUE_AT
        for pe, size in enumerate(found.sizes):
            np.testing.assert_array_equal(found.numbers[pe, :size], numbers[pe, :size])
        assert (found.tail, found.runs, found.values) == (block.tail, block.runs, block.values)
        np.testing.assert_array_equal(found.gaps, block.gaps)


@settings(max_examples=draws(60), deadline=None)
@given(st.randoms(use_true_random=False))
def test_damage_ends_in_lists_or_an_exception(rng: Random) -> None:
    encoded, _, loads, _ = draw(rng)
    data = bytearray(encoded.streams[0][0].data.tobytes())
    tables = [bytearray(table) for table in loads[0].tables]
    for _ in range(rng.randint(1, 3)):
        target = rng.choice([data, *tables])
        target[rng.randrange(min(len(target), 24))] ^= 1 << rng.randrange(8)
    coded = loads[0]._replace(tables=tuple(map(bytes, tables)))
    found = outcome(coded, bytes(data))
    if isinstance(found, DamagedStream):
        assert 0 <= found.lane < coded.lanes
        assert found.bit >= 0
        return
    for numbers, size in zip(found.numbers, found.sizes, strict=True):
        last, run = numbers[:size] & 1, numbers[:size] >> RUN_AT & (1 << coded.run_bits) - 1
        assert last.sum() == coded.columns  # each has its end,
        column = np.cumsum(last) - last
        assert np.bincount(column, run + 1).max() <= coded.tiles  # and nothing is behind it


def outcome(coded: CodedLists, data: bytes) -> DecodedLists | DamagedStream:
    """What becomes of a stream."""
    try:
        return decode_lists(coded, data, Position.start(coded.lanes, 0), "layer")
    except DamagedStream as error:
        return error


@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_is_too_little_or_too_much(rng: Random) -> None:
    encoded, plain, loads, _ = draw(rng)
    data, start = encoded.streams[0][0].data.tobytes(), Position.start(loads[0].lanes, 0)
    with pytest.raises(DamagedStream, match="must end with its last code"):
        decode_lists(loads[0], data + bytes(3 * loads[0].beat_bytes), start)
    if len(data) > loads[0].beat_bytes:
        with pytest.raises(DamagedStream, match="must not end before its last code"):
            decode_lists(loads[0], data[: -loads[0].beat_bytes], start)
    if plain[0].rows > 1:
        with pytest.raises(DamagedStream, match="must have at most the entries of its block"):
            decode_lists(loads[0]._replace(words=plain[0].rows - 1), data, start)


def test_a_stream_by_hand() -> None:
    """Two columns of three: a zero and a 6; then, behind four zeros and a last column without weights, the end.

    Code words of one bit: runs 1 (a zero, a value) and 130 (two zeros), values 5 and 6.
    """
    tables = tuple(bytes([0, 2, *[0] * 14, *symbols]).ljust(64, b"\0") for symbols in ((1, 130), (5, 6)))
    runs, values = 0b110, 0b1  # 1, 130, 130; 6
    coded = CodedLists(1, 1, 4, 2, 3, 2, 2, False, 0, 3, tables)  # type: ignore[arg-type]
    found = decode_lists(coded, runs.to_bytes(2, "little") + values.to_bytes(2, "little"), Position.start(1, 0))
    assert found.numbers.tolist() == [[1 | 1 << RUN_AT | 6 << VALUE_AT, 1]]
    assert (found.runs, found.values) == (3, 1)
    # A turn that fills; steps: the first run, its value, the end of the column, a zero more, the last column's end.
    assert found.tail == 5


@pytest.mark.slow
def test_compiled_and_python_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same streams, and in them the same lists and cycles, of random codes."""
    for seed in range(20):
        made = []
        for name in ("ACCEL_PURE_PYTHON", "ACCEL_COMPILED"):
            monkeypatch.setenv(name, "1")
            made.append([block for blocks in draw(Random(seed))[0].streams for block in blocks])
            monkeypatch.delenv(name)
        for python, compiled in zip(*made, strict=True):
            np.testing.assert_array_equal(python.data, compiled.data)
            np.testing.assert_array_equal(python.gaps, compiled.gaps)
            assert (python.tail, python.entries) == (compiled.tail, compiled.entries)
