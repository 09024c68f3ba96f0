"""Coded streams: what is encoded is decoded, in the cycles that the encoder says, and damage is found where it is."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel.entropy.decode import Coded, Decoded, decode
from accel.entropy.encode import Encoded, encode
from accel.entropy.stream import Position
from accel.entropy.tables import make_code
from accel.models.encode.bitstream import DamagedStream
from tests.benches.coded import draw_codes, tables_of
from tests.benches.unit_designs import divisor
from tests.benches.wide import draws


def draw(rng: Random) -> tuple[Encoded, list[NDArray[np.uint8]], Coded, bool]:
    """One stream of several blocks, or a stream a block; the blocks; the first LOAD; whether it is one stream."""
    columns, bits, beat = rng.randint(1, 8), rng.randint(1, 8), rng.choice([4, 4, 4, 8, 16, 32, 64])
    lanes, zero = divisor(rng, columns), rng.randrange(1 << bits)
    sizes = [rng.choice([1, 3, rng.randint(1, 300)]) for _ in range(rng.randint(1, 4))]
    if rng.random() < 0.6:  # many boundaries, where readers want nothing
        sizes = [rng.randint(20, 60) for _ in range(25)]
    blocks = [draw_codes(rng, size, columns, bits, zero) for size in sizes]
    encoded = encode([blocks], lanes, beat, zero) if rng.random() < 0.7 else None
    together = encoded is not None
    encoded = encoded or encode([[block] for block in blocks], lanes, beat, zero)
    assert encoded
    first = Coded(lanes, columns, beat, len(blocks[0]), True, encoded.literal, zero, bits, tables_of(encoded))
    return encoded, blocks, first, together


def played(encoded: Encoded, blocks: list[NDArray[np.uint8]], first: Coded, together: bool) -> list[Decoded]:
    """Every block as the decoder makes it."""
    made, position, found = (
        [b for blocks in encoded.streams for b in blocks],
        Position.start(first.lanes),
        list[Decoded](),
    )
    for number, (codes, block) in enumerate(zip(blocks, made, strict=True)):
        goes_on = together and number > 0
        coded = first._replace(rows=len(codes), fresh=not goes_on)
        found.append(decode(coded, block.data.tobytes(), position if goes_on else Position.start(first.lanes)))
        position = found[-1].position
    return found


@settings(max_examples=draws(150), deadline=None)
@given(st.integers(0, 1 << 32))  # a seed: what matters are codes as random as can be
def test_what_is_encoded_is_decoded_in_the_cycles_that_the_encoder_says(seed: int) -> None:
    encoded, blocks, first, together = draw(Random(seed))
    made = [block for blocks in encoded.streams for block in blocks]
    for codes, block, found in zip(blocks, made, played(encoded, blocks, first, together), strict=True):
        np.testing.assert_array_equal(found.codes, codes)
        np.testing.assert_array_equal(found.gaps, block.gaps)
        assert (found.tail, found.runs, found.values) == (block.tail, block.runs, block.values)


@settings(max_examples=draws(60), deadline=None)
@given(st.randoms(use_true_random=False))
def test_damage_ends_in_codes_or_an_exception(rng: Random) -> None:
    encoded, blocks, first, _ = draw(rng)
    data = bytearray(encoded.streams[0][0].data.tobytes())
    tables = [bytearray(table) for table in first.tables]
    for _ in range(rng.randint(1, 3)):
        target = rng.choice([data, *tables])
        target[rng.randrange(min(len(target), 24))] ^= 1 << rng.randrange(8)
    coded = first._replace(tables=tuple(map(bytes, tables)))
    found = outcome(coded, bytes(data))
    if isinstance(found, DamagedStream):
        assert found.layer == "layer"
        assert 0 <= found.lane < first.lanes
        assert found.bit >= 0
    else:
        assert found.codes.shape == blocks[0].shape
        assert found.codes.max(initial=0) < 1 << first.code_bits


def outcome(coded: Coded, data: bytes) -> Decoded | DamagedStream:
    """What becomes of a stream."""
    try:
        return decode(coded, data, Position.start(coded.lanes), "layer")
    except DamagedStream as error:
        return error


@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_beats_too_few_and_too_many(rng: Random) -> None:
    encoded, _, first, _ = draw(rng)
    data = encoded.streams[0][0].data.tobytes()
    longer = data + bytes(3 * first.beat_bytes)
    with pytest.raises(DamagedStream, match="must end with its last code"):
        decode(first, longer, Position.start(first.lanes))
    if len(data) > first.beat_bytes:
        with pytest.raises(DamagedStream, match="must not end before its last code"):
            decode(first, data[: -first.beat_bytes], Position.start(first.lanes))


def hand(byte_runs: list[int], values: list[int], **change: object) -> tuple[Coded, bytes]:
    """A stream of one lane with code words of one bit, two runs and two values, written down bit by bit."""
    tables = tuple(bytes([0, 2, *[0] * 14, *symbols]).ljust(64, b"\0") for symbols in ((1, 130), (5, 6)))
    runs = sum((1 if byte == 130 else 0) << k for k, byte in enumerate(byte_runs))
    codes = sum((1 if value == 6 else 0) << k for k, value in enumerate(values))
    coded = Coded(1, 1, 4, 7, True, False, 0, 3, tables)  # type: ignore[arg-type]
    return coded._replace(**change), runs.to_bytes(2, "little") + codes.to_bytes(2, "little")


def test_a_stream_by_hand() -> None:
    """A zero and a value, two zeros, a zero and a value, a zero (and its value is cut)."""
    coded, data = hand([1, 130, 1, 1], [6, 5])
    found = decode(coded, data, Position.start(1))
    assert found.codes.ravel().tolist() == [0, 6, 0, 0, 0, 5, 0]
    assert (found.runs, found.values) == (4, 2)
    # The fill turn and the dropped one take a chunk each, both from the one beat; then seven steps.
    assert found.tail == 9


def test_what_is_wrong_is_named() -> None:
    coded, data = hand([1, 130, 1, 1], [6, 5], code_bits=2)
    with pytest.raises(DamagedStream, match="lane 0, bit 0: a value must have at most the bits of its code"):
        decode(coded, data, Position.start(1), "conv")
    tables = (coded.tables[0].replace(b"\x82", b"\x80", 1), coded.tables[1])
    with pytest.raises(DamagedStream, match="lane 0, bit 1: a run must not be empty"):
        decode(coded._replace(tables=tables, code_bits=3), data, Position.start(1), "conv")
    for header in ([0, 1], [0, 3], [0, 1, 1], [0, 0, 4, 1]):
        bad = bytes(header).ljust(64, b"\0")
        for broken in ((bad, coded.tables[1]), (coded.tables[0], bad)):
            with pytest.raises(DamagedStream, match="must be complete"):
                decode(coded._replace(tables=broken), data, Position.start(1), "conv")


def test_tables_fit() -> None:
    """No symbol, one, all equally often (a byte counts no 256 code words), and Fibonacci's numbers."""
    some = np.zeros(256, np.int64)
    assert make_code(some).table == bytes([0, 2, *[0] * 14, 0, 0])
    some[9] = 5
    assert make_code(some).table == bytes([0, 2, *[0] * 14, 9, 9])
    every = make_code(np.full(256, 7))
    assert max(every.table[:16]) <= 255
    assert sum(every.table[1:16]) == 256
    some[:20] = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765]
    assert make_code(some).longest == 15
