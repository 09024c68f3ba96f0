import heapq
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.encode.bitstream import DamagedStream, Stream, lane_bytes, pack_lanes, unpack_lanes
from accel.models.encode.huffman import check_code, code_lengths, code_words, decode, encode
from accel.models.errors import InputError


def huffman_cost(counts):
    """The textbook: the bits of the best code without a limit are the sums of all merged pairs."""
    heap = [int(c) for c in counts if c]
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    return cost


def best_limited_cost(counts, limit):
    """The cheapest of all codes whose lengths satisfy Kraft's inequality."""
    every = itertools.product(range(1, limit + 1), repeat=len(counts))
    kraft = (lengths for lengths in every if sum(2.0**-n for n in lengths) <= 1)
    return min(sum(c * n for c, n in zip(counts, lengths, strict=True)) for lengths in kraft)


def decode_slowly(stream, lengths, counts):
    """Bit by bit, with a dictionary of the code words."""
    words = code_words(lengths)
    table = {f"{words[s]:0{n}b}": s for s, n in enumerate(lengths.tolist()) if n}
    data = np.unpackbits(np.frombuffer(stream.data, np.uint8), bitorder="little")
    lanes, at = [], 0
    for bits, size in zip(stream.lane_bits, lane_bytes(stream.lane_bits), strict=True):
        lane, word = [], ""
        for bit in data[at : at + bits]:
            word += str(bit)
            if word in table:
                lane.append(table[word])
                word = ""
        assert not word
        lanes.append(lane)
        at += 8 * size
    assert [len(lane) for lane in lanes] == list(counts)
    return lanes


counts_of_symbols = st.lists(st.integers(0, 1000) | st.sampled_from([0, 1, 2**20]), min_size=1, max_size=256)


@settings(deadline=None, max_examples=200)
@given(counts_of_symbols)
def test_lengths_are_optimal_complete_and_near_the_entropy(counts):
    counts = np.array(counts)
    lengths = code_lengths(counts).astype(np.int64)
    assert ((lengths > 0) == (counts > 0)).all()
    check_code(code_lengths(counts))
    used = counts[counts > 0]
    if len(used) < 2:
        return
    assert sum(2.0 ** -lengths[lengths > 0]) == 1
    assert counts @ lengths >= huffman_cost(counts)
    assert lengths.max() <= 15
    entropy = -(used * np.log2(used / used.sum())).sum()
    # The limit is met by no optimal code here, unless counts grow like 2**15.
    if used.sum() < 1.6**14:
        assert counts @ lengths == huffman_cost(counts)
    if counts @ lengths == huffman_cost(counts):
        assert entropy - 1e-6 <= counts @ lengths < entropy + used.sum()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 100) | st.sampled_from([1, 5000]), min_size=2, max_size=6), st.integers(3, 5))
def test_lengths_are_optimal_under_the_limit(counts, limit):
    lengths = code_lengths(np.array(counts), limit)
    assert lengths.max() <= limit
    assert int(np.array(counts) @ lengths.astype(int)) == best_limited_cost(counts, limit)


def test_the_limit_binds():
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for limit in (5, 8, 15):
        lengths = code_lengths(np.array(fibonacci), limit)
        assert lengths.max() == limit
        assert sum(2.0 ** -lengths.astype(float)) == 1


def test_canonical_words():
    """The example of RFC 1951 (DEFLATE), section 3.2.2."""
    lengths = np.array([3, 3, 3, 3, 3, 2, 4, 4], np.uint8)
    words = [f"{w:0{n}b}" for w, n in zip(code_words(lengths), lengths, strict=True)]
    assert words == ["010", "011", "100", "101", "110", "00", "1110", "1111"]
    # First bit of a word first, from the lowest bit of a byte: 1110 00 010 -> 0b01000_111, 0b0.
    assert encode([np.array([6, 5, 0])], lengths) == Stream(bytes([0b10000111, 0b0]), (9,))


def draw_lanes(seed, symbols, lanes, longest):
    generator = np.random.default_rng(seed)
    skew = generator.choice([0.1, 1, 10])
    chances = np.exp(-np.arange(symbols) / symbols * skew * 5)
    sizes = generator.integers(0, longest + 1, lanes)
    return [generator.choice(symbols, n, p=chances / chances.sum()) for n in sizes]


def counts_over(lanes, symbols):
    return sum((np.bincount(lane, minlength=symbols) for lane in lanes), np.zeros(symbols, int))


def assert_round_trip(lanes, symbols, limit=15):
    lengths = code_lengths(counts_over(lanes, symbols), limit)
    stream = encode(lanes, lengths)
    assert len(stream.data) == sum(lane_bytes(stream.lane_bits))
    decoded = decode(stream, lengths, [len(lane) for lane in lanes])
    assert len(decoded) == len(lanes)
    for a, b in zip(lanes, decoded, strict=True):
        np.testing.assert_array_equal(a, b)
    return stream, lengths


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 256), st.integers(1, 9), st.sampled_from([0, 1, 5, 300, 3000]))
def test_round_trip(seed, symbols, lanes, longest):
    drawn = draw_lanes(seed, symbols, lanes, longest)
    stream, lengths = assert_round_trip(drawn, symbols, random.Random(seed).randint(8, 15))
    slow = decode_slowly(stream, lengths, [len(lane) for lane in drawn])
    assert [lane.tolist() for lane in drawn] == slow


@pytest.mark.parametrize(
    "lanes",
    [
        [np.zeros(1000, int)],
        [np.full(7, 3), np.zeros(0, int), np.full(9, 3)],
        [np.zeros(0, int)],
        [np.zeros(0, int)] * 3,
        [np.r_[np.zeros(5000, int), 1]],
        [np.array([k for k in range(25) for _ in range(min(2**k, 3000))])],
    ],
    ids=["one symbol", "one symbol, an empty lane", "empty", "empty lanes", "skewed", "geometric"],
)
def test_corner_cases(lanes):
    stream, lengths = assert_round_trip(lanes, 32)
    if lengths.astype(bool).sum() < 2:
        assert sum(stream.lane_bits) == sum(len(lane) for lane in lanes)


@pytest.mark.parametrize("lanes", [1, 7])
def test_a_million_symbols(lanes):
    """Several chunks of the encoder and of the decoder; cut in uneven lanes."""
    generator = np.random.default_rng(lanes)
    symbols = np.clip(np.rint(generator.standard_normal(5 << 18) * 12 + 128), 0, 255).astype(np.uint8)
    cuts = np.sort(generator.integers(0, len(symbols), lanes - 1))
    assert_round_trip(np.split(symbols, cuts), 256)


def decodes_or_is_damaged(stream, lengths, counts):
    """Decode; what comes is of the right length, or a DamagedStream that names a place in the stream."""
    try:
        decoded = decode(stream, lengths, counts, "fc1")
    except DamagedStream as error:
        damage = error
    else:
        assert [len(lane) for lane in decoded] == list(counts)
        return True
    assert damage.layer == "fc1"
    assert 0 <= damage.lane < len(counts)
    assert 0 <= damage.bit <= stream.lane_bits[damage.lane]
    assert str(damage).startswith(f"layer 'fc1', lane {damage.lane}, bit {damage.bit}: ")
    return False


@pytest.mark.parametrize("symbols", [1, 2, 5, 40])
def test_every_flipped_bit_and_every_cut(symbols):
    lanes = draw_lanes(symbols, symbols, 3, 60)
    counts = [len(lane) for lane in lanes]
    lengths = code_lengths(counts_over(lanes, symbols))
    stream = encode(lanes, lengths)
    assert decodes_or_is_damaged(stream, lengths, counts)
    outcomes = set()
    for bit in range(8 * len(stream.data)):
        damaged = bytearray(stream.data)
        damaged[bit // 8] ^= 1 << bit % 8
        outcomes.add(decodes_or_is_damaged(Stream(bytes(damaged), stream.lane_bits), lengths, counts))
    assert False in outcomes
    for size in range(len(stream.data)):
        assert not decodes_or_is_damaged(Stream(stream.data[:size], stream.lane_bits), lengths, counts)
    assert not decodes_or_is_damaged(Stream(stream.data + b"\0", stream.lane_bits), lengths, counts)
    for lane in range(3):
        for change in (-1, 1):
            bits = [b + change * (i == lane) for i, b in enumerate(stream.lane_bits)]
            assert not decodes_or_is_damaged(Stream(stream.data, tuple(bits)), lengths, counts)
            wrong = [c + change * (i == lane) for i, c in enumerate(counts)]
            assert not decodes_or_is_damaged(stream, lengths, wrong)


def test_every_damaged_code_length():
    lanes = draw_lanes(1, 16, 2, 100)
    lengths = code_lengths(counts_over(lanes, 16))
    stream = encode(lanes, lengths)
    for symbol, length in itertools.product(range(16), range(16)):
        damaged = lengths.copy()
        damaged[symbol] = length
        assert decodes_or_is_damaged(stream, damaged, [len(x) for x in lanes]) == (damaged == lengths).all()


def test_the_place_of_the_damage():
    """Words 0, 10, 11 of symbols 0, 1, 2."""
    lengths = np.array([1, 2, 2], np.uint8)
    with pytest.raises(DamagedStream, match=r"^layer 'a', lane 1, bit 3: the code word must end within the lane$"):
        decode(Stream(bytes([0b0, 0b1000]), (1, 4)), lengths, [1, 4], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 2: must end after 2 symbols$"):
        decode(Stream(bytes([0b0, 0b0000]), (1, 4)), lengths, [1, 2], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 4: must hold 5 symbols, not 4$"):
        decode(Stream(bytes([0b0, 0b0000]), (1, 4)), lengths, [1, 5], "a")
    with pytest.raises(DamagedStream, match=r"lane 0, bit 1: no code word starts here$"):
        decode(Stream(bytes([0b010]), (3,)), np.array([0, 1], np.uint8), [3], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 8: the lane must have 9 bits$"):
        decode(Stream(bytes(2), (1, 9)), lengths, [1, 9], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 3: the bits after the end must be zero$"):
        decode(Stream(bytes([0b0, 0b1000]), (1, 3)), lengths, [1, 3], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 3: 1 bytes too many$"):
        decode(Stream(bytes(3), (1, 3)), lengths, [1, 3], "a")
    with pytest.raises(DamagedStream, match=r"lane 1, bit 0: the code table must have code words$"):
        decode(Stream(b"", (0, 0)), np.zeros(4, np.uint8), [0, 3], "a")
    with pytest.raises(DamagedStream, match=r"lane 0, bit 0: the code table must be a complete prefix code$"):
        decode(Stream(bytes(1), (1,)), np.array([1, 2], np.uint8), [1], "a")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16), st.integers(1, 5))
def test_words_of_one_width(seed, width, lanes):
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(0, 2**width, generator.integers(0, 100)) for _ in range(lanes)]
    counts = [len(lane) for lane in drawn]
    stream = pack_lanes(drawn, width)
    bits = [[f"{w:0{width}b}"[::-1] for w in lane] for lane in drawn]
    filled = ["".join(lane) + "0" * (-width * len(lane) % 8) for lane in bits]
    assert stream.data == bytes(int(text[i : i + 8][::-1], 2) for text in filled for i in range(0, len(text), 8))
    for a, b in zip(drawn, unpack_lanes(stream, width, counts), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(DamagedStream, match="lane 0"):
        unpack_lanes(stream, width, [counts[0] + 1, *counts[1:]])


def test_refusals():
    with pytest.raises(InputError, match=r"limit of code lengths must be 1\.\.15 bits, not 16"):
        code_lengths(np.ones(4, int), 16)
    with pytest.raises(InputError, match="limit of code lengths must be at least 3 bits, not 2"):
        code_lengths(np.ones(5, int), 2)
    with pytest.raises(InputError, match="symbols must have a code word, not 2"):
        encode([np.array([0, 1, 2])], np.array([1, 1, 0], np.uint8))
