"""The arithmetic code of stored weights: against a reader written from docs/formats.md, damage, and sizes."""

from __future__ import annotations

import math
import struct
import sys
import zlib
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models import zoo
from accel.models.encode import arithmetic, encoded_file, frame, integer_file, whole
from accel.models.encode.accounting import account
from accel.models.encode.arithmetic import LENGTH_TREE_BITS, LENGTHS, Decoder, Encoder, tree_bits_of
from accel.models.encode.bitstream import DamagedStream, Stream
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_layer import FORMATS, decode_layer, encode_layer
from accel.models.errors import InputError
from accel.models.graph import Linear, build
from accel.models.grid import grid_of
from accel.models.quantisation.shared import quantise_compressed


class PageReader:
    """A reader of one stream, written from the page alone."""

    def __init__(self, data: bytes) -> None:
        self.data, self.low, self.high = data, 0, 2**32 - 1
        self.used = 0

    def bit(self, contexts: dict[object, tuple[int, int]], context: object) -> int:
        p, count = contexts.get(context, (2**21, 0))
        held = int.from_bytes((self.data[self.used : self.used + 4] + bytes(4))[:4], "big")
        middle = self.low + (self.high - self.low) * p // 2**22
        bit = int(held <= middle)
        self.low, self.high = (self.low, middle) if bit else (middle + 1, self.high)
        if context is not None:
            p = min(max(p + 2 * (2**22 * bit - p) // (2 * count + 3), 64), 2**22 - 64)
            contexts[context] = p, min(count + 1, 255)
        while self.low >> 24 == self.high >> 24:
            self.low, self.high = self.low % 2**24 << 8, (self.high % 2**24 << 8) + 255
            self.used += 1
        return bit

    def matrix(self, outputs: int, columns: int, t: int, r: int | None) -> np.ndarray:
        """`r` None: magnitudes as a number of bits and the bits."""
        contexts: dict[object, tuple[int, int]] = {}
        found = np.zeros((outputs, columns), np.int64)

        def full(numbers: np.ndarray) -> int:
            ratio = (2 * len(numbers) + 2) // (2 * np.count_nonzero(numbers) + 1)
            return min(15, int(math.log2(ratio)))

        for x in range(columns):
            for y in range(outputs):
                left = int(np.sign(found[y, x - 1])) if x else 0
                if not self.bit(contexts, (full(found[:y, x]), full(found[y, :x]), left != 0)):
                    continue
                sign = -1 if self.bit(contexts, ("sign", left)) else 1
                path = "1"
                for _ in range(t):
                    path += str(self.bit(contexts, path))
                value = int(path, 2) - 2**t
                low = [str(self.bit(contexts, None)) for _ in range(value if r is None else r)]
                found[y, x] = sign * (
                    int("0" + path[1:] + "".join(low), 2) + 1 if r is not None else int("1" + "".join(low), 2)
                )
        return found

    def is_at_the_end(self) -> bool:
        """Whether the stream ends with the fewest bytes that lie in the interval, zeros behind them."""
        for size in range(5):
            value = -(-self.low // 256 ** (4 - size))
            if value * 256 ** (4 - size) <= self.high:
                return self.data[self.used :] == value.to_bytes(size + 1, "big")[1:]
        raise AssertionError


def draw(rng: Random, largest: int) -> np.ndarray:
    shape = rng.choice([(rng.randint(1, 12), rng.randint(1, 20)), (40, 60)])
    generator = np.random.default_rng(rng.getrandbits(32))
    kept = generator.random(shape) < rng.choice([0, 0.05, 0.5, 1])
    kept[:, generator.random(shape[1]) < 0.3] = False
    return np.where(kept, generator.integers(-largest, largest + 1, shape), 0)


@settings(deadline=None, max_examples=40)
@given(st.randoms(use_true_random=False))
def test_the_page_is_enough_to_read_it(rng: Random) -> None:
    """Several matrices in a stream, of every kind of magnitude."""
    encoder, drawn = Encoder(), []
    for _ in range(rng.randint(1, 3)):
        numbers = draw(rng, rng.choice([1, 2, 127, 2**20, 2**31]))
        t = tree_bits_of(numbers)
        widths = rng.choice([(LENGTH_TREE_BITS, LENGTHS)] + ([(t, 0)] if t <= 8 else []) + [(8, max(t - 8, 0))])
        encoder.write(numbers, *widths)
        drawn.append((numbers, widths))
    data = encoder.finish()
    page, decoder = PageReader(data), Decoder(data)
    for numbers, (t, r) in drawn:
        np.testing.assert_array_equal(page.matrix(*numbers.shape, t, None if r == LENGTHS else r), numbers)
        np.testing.assert_array_equal(decoder.read(numbers.shape, t, r), numbers)
    decoder.finish()
    assert page.is_at_the_end()


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False))
def test_a_float_file_is_read_from_the_page(rng: Random) -> None:
    """A layer with a codebook, on a grid of one or more steps, or of floats: header, stream, biases."""
    generator = np.random.default_rng(rng.getrandbits(32))
    kind, codes = rng.choice(["shared", "grid", "grids", "floats"]), draw(rng, rng.choice([1, 7, 100]))
    steps = 2.0 ** -generator.integers(1, 9, (len(codes), 1) if kind == "grids" else (1, 1)) * 257
    values = np.sort(generator.standard_normal(2 * 100 + 1))
    values[100] = 0
    weights = (values[codes + 100] if kind == "shared" else codes * steps if kind != "floats" else
               codes * generator.standard_normal(codes.shape)).astype(np.float32)  # fmt: skip
    bias = generator.standard_normal(len(codes)).astype(np.float32)
    if rng.random() < 0.5:
        bias = bias.view(np.uint32).__and__(np.uint32(0xFFFF0000)).view(np.float32)
    network = build("n", "x", (codes.shape[1],), (Linear("l", ("x",), "y", weights, bias),))
    format = "shared+arithmetic" if kind == "shared" else "dense+arithmetic"
    content = encoded_file.to_bytes(encode(network, format))
    at = 16 + int.from_bytes(content[12:16], "little")
    code, bits, rank, number, lanes, entries, nonzeros, *shape, size = struct.unpack_from("<BBBBHHI3I", content, at)
    assert (code, rank, number, lanes) == (6 if kind == "shared" else 5, 2, 0, 1)
    assert (tuple(shape), nonzeros) == (weights.shape, np.count_nonzero(weights))
    at += 24
    book = np.frombuffer(content, "<f4", entries, at)
    at += 4 * entries
    page = PageReader(content[at : at + size])
    at += size
    if kind == "shared":
        table = {0: np.float32(0)} | dict(enumerate(sorted(book[book > 0]), 1))
        table |= {-i: value for i, value in enumerate(sorted(-book[book < 0]), 1)} | {}
        numbers = page.matrix(*weights.shape, bits, 0)
        found = np.vectorize(lambda x: np.sign(x) * abs(table[x]) if x < 0 else table[x], otypes="f")(numbers)
    elif entries:
        found = page.matrix(*weights.shape, bits, 0).astype(np.float32) * book.reshape(-1, 1)
    else:
        found = floats(page.matrix(*weights.shape, 8, bits), bits)
    np.testing.assert_array_equal(found, weights)
    assert page.is_at_the_end()
    m, length = struct.unpack_from("<BI", content, at)
    page = PageReader(content[at + 5 : at + 5 + length])
    np.testing.assert_array_equal(floats(page.matrix(len(bias), 1, 8, m), m)[:, 0], bias)
    assert page.is_at_the_end()
    assert at + 5 + length + 4 == len(content)
    if kind in ("grid", "grids") and np.count_nonzero(weights) > len(weights):
        assert entries in (1, len(weights))


def floats(numbers: np.ndarray, m: int) -> np.ndarray:
    patterns = np.abs(numbers) * 2 ** (23 - m)
    return np.sign(numbers).astype(np.float32) * patterns.astype(np.uint32).view(np.float32)


def test_records_of_an_int8_file_are_read_from_the_page() -> None:
    generator = np.random.default_rng(3)
    layer = Linear(
        "l", ("x",), "y", generator.standard_normal((7, 9)).astype(np.float32), np.arange(7, dtype=np.float32)
    )
    network = quantise_compressed(build("n", "x", (9,), (layer,)), generator.standard_normal((8, 9)).astype(np.float32))
    content = integer_file.to_bytes(network, ("dense+arithmetic",))
    (found,) = network.layers
    at = 16 + int.from_bytes(content[12:16], "little")
    _, t, _, number, _, entries, _, *_, size = struct.unpack_from("<BBBBHHI5I", content, at)
    assert (number, entries) == (1, 0)
    weights = PageReader(content[at + 32 : at + 32 + size]).matrix(7, 9, t, 0)
    np.testing.assert_array_equal(weights, found.weights.reshape(7, 9))
    at += 32 + size
    page = PageReader(content[at + 4 : -4])
    assert int.from_bytes(content[at : at + 4], "little") == len(content) - at - 8
    bias, multiplier, shift = (page.matrix(7, 1, 5, None)[:, 0] for _ in range(3))
    zero_point = network.tensors[network.input].zero_point
    assert zero_point
    np.testing.assert_array_equal(bias - zero_point * weights.sum(1), found.requantise.bias)
    np.testing.assert_array_equal(np.cumsum(multiplier), found.requantise.multiplier)
    np.testing.assert_array_equal(np.cumsum(shift), found.requantise.shift)
    assert page.is_at_the_end()


def test_python_and_numba_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = draw(Random(1), 100)
    streams = []
    for after in (0, sys.maxsize):
        monkeypatch.setattr(arithmetic, "COMPILE_AFTER", after)
        parts = Encoder()
        for widths in ((7, 0), (8, 4), (LENGTH_TREE_BITS, LENGTHS)):
            parts.write(numbers, *widths)
        streams.append(parts.finish())
        reader = Decoder(streams[0])
        for widths in ((7, 0), (8, 4), (LENGTH_TREE_BITS, LENGTHS)):
            np.testing.assert_array_equal(reader.read(numbers.shape, *widths), numbers)
        reader.finish()
    assert streams[0] == streams[1]
    assert arithmetic._compiled.cache_info().currsize


def read(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    reader = Decoder(data, "fc")
    found = reader.read(shape, 3, 0, -8, 8)
    reader.finish()
    return found


def written(numbers: np.ndarray) -> bytes:
    encoder = Encoder()
    encoder.write(numbers, 3)
    return encoder.finish()


def test_damage_names_layer_and_bit() -> None:
    """Every bit changed, every length: DamagedStream, or what is read is what would be written so."""
    generator = np.random.default_rng(5)
    numbers = generator.integers(-5, 6, (12, 15)) * (generator.random((12, 15)) < 0.3)
    data = written(numbers)
    assert len(data) > 20
    accepted, places = 0, []
    for at in range(len(data)):
        flipped = [data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] for bit in range(8)]
        for wrong in (data[:at], data + bytes(at + 1), *flipped):
            try:
                assert written(read(wrong, numbers.shape)) == wrong
                accepted += 1
            except DamagedStream as error:
                places.append((error.layer, error.lane, error.bit <= 8 * len(wrong)))
    assert set(places) == {("fc", 0, True)}
    assert accepted < len(data)  # of ten times as many
    zeros = written(np.full((4, 30), -8))
    assert not any(zeros)
    for wrong in (zeros[:-1], zeros + b"\0"):
        with pytest.raises(DamagedStream, match="the stream must"):
            read(wrong, (4, 30))
    with pytest.raises(DamagedStream, match="layer 'fc', lane 0, bit 0: the stream must not end here"):
        Decoder(b"", "fc").read((100, 100), 3)
    reader = Decoder(data, "fc")
    with pytest.raises(DamagedStream, match=r"layer 'fc', lane 0, bit \d+: number \d+ must be in -1\.\.1, not"):
        reader.read(numbers.shape, 3, 0, -1, 1)


@pytest.mark.parametrize("values", [0, 5])
def test_a_damaged_file_says_where(values: int) -> None:
    generator = np.random.default_rng(0)
    weights = generator.choice(generator.standard_normal(values or 1000), (10, 40)).astype(np.float32)
    weights[generator.random(weights.shape) < 0.7] = 0
    layer = Linear("l", ("x",), "y", weights, np.arange(10, dtype=np.float32))
    content = encoded_file.to_bytes(encode(build("n", "x", (40,), (layer,)), among=FORMATS))
    assert encoded_file.from_bytes(content, "n").layers[0].arithmetic
    places = set()
    for at in range(len(content)):
        with pytest.raises(InputError, match=r"n .*damaged") as caught:
            encoded_file.from_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :], "n")
        if isinstance(caught.value, DamagedStream):
            places.add(caught.value.layer)
    assert places == {"l"}


def test_headers_that_no_encoder_writes() -> None:
    """With the checksum put right."""
    weights = np.array([[1, 2, 0], [-2, 0, 1]], np.float32) / 3
    network = build("n", "x", (3,), (Linear("l", ("x",), "y", weights, np.zeros(2, np.float32)),))
    wrong: list[tuple[str, int, bytes, str]] = [
        ("dense+arithmetic", 1, b"\x09", "must have one lane, and magnitudes of at most 8 bits, not 1 and 9"),
        ("dense+arithmetic", 1, b"\x18", "must have runs of 1..8 bits if it is sparse"),
        ("dense+arithmetic", 4, b"\x02", "must have one lane, and magnitudes"),
        ("dense+arithmetic", 6, b"\x03", "must have no codebook, since it is dense"),
        ("dense+arithmetic", 24, struct.pack("<f", -1), "must have steps that are finite and above 0"),
        ("dense+arithmetic", 24, struct.pack("<f", math.inf), "must have steps that are finite and above 0"),
        ("shared+arithmetic", 6, b"\x00", "must have sizes of at least 1"),
        ("shared+arithmetic", 20, b"\xff\xff", "it must have 65535 bytes more"),
        ("shared+arithmetic", 0, b"\x07", "must have a format that is known"),
    ]
    for format, place, value, message in wrong:
        content = encoded_file.to_bytes(encode(network, format))
        at = 16 + int.from_bytes(content[12:16], "little") + place
        whole_file = content[:at] + value + content[at + len(value) : -4]
        with pytest.raises(InputError, match=message):
            encoded_file.from_bytes(whole_file + struct.pack("<I", zlib.crc32(whole_file)), "n")
    assert grid_of(weights) is not None
    with pytest.raises(InputError, match=r"layer 'l' must have one lane to be dense\+arithmetic, not 2"):
        encode(network, "dense+arithmetic", pes=2)
    layer = encode_layer(network.layers[0], "dense+arithmetic")  # type: ignore[arg-type]
    with pytest.raises(DamagedStream):
        decode_layer(replace(layer, values=Stream(layer.values.data + b"\0", (8 * len(layer.values.data) + 8,))))


def test_version_2_is_still_read() -> None:
    """Of which there are all that shipped with 0.2; it has no arithmetic code."""
    content = (zoo.DATA / "lenet-5-deep.weights").read_bytes()
    assert int.from_bytes(content[8:10], "little") == 2
    network = decode(encoded_file.from_bytes(content, "n"))
    again = encoded_file.to_bytes(encode(network, among=FORMATS))
    assert int.from_bytes(again[8:10], "little") == frame.VERSION == 3
    old = again[:8] + b"\2\0" + again[10:-4]
    with pytest.raises(InputError, match="must have a format that is known"):
        encoded_file.from_bytes(old + struct.pack("<I", zlib.crc32(old)), "n")


# Bytes of weights (streams and code tables), and of the whole int8 file.
SIZES = {
    "lenet-300-100-deep": (17_500, 18_500),
    "lenet-5-deep": (30_500, 32_200),
    "lenet-5-tucker-deep": (14_700, 16_500),
    "lenet-5-pruned": (96_000, 42_500),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_the_zoo(name: str) -> None:
    """And nothing is lost; the parts add up to the file."""
    network = zoo.load(name)
    encoded = encode(network, among=FORMATS)
    content = encoded_file.to_bytes(encoded)
    total = account(encoded).total
    assert total.total_bits == 8 * len(content)
    assert (total.values_bits + total.runs_bits + total.code_tables_bits) // 8 <= SIZES[name][0]
    for ours, theirs in zip(network.layers, decode(encoded_file.from_bytes(content, "n")).layers, strict=True):
        if isinstance(ours, Linear):
            assert isinstance(theirs, Linear)
            np.testing.assert_array_equal(ours.weights, theirs.weights)
            np.testing.assert_array_equal(ours.bias, theirs.bias)
    integer = quantise_compressed(network, zoo.preprocess(zoo.mnist_calibration()))
    assert len(integer_file.to_bytes(integer)) <= SIZES[name][1]


def test_whole_numbers_of_a_codebook_without_zero() -> None:
    book = np.array([-3, -1, 2], np.float32)
    matrix = np.array([[-3, -1], [2, -1]], np.float32)
    found = whole.of_codebook(matrix, book)
    assert found.numbers.tolist() == [[-2, -1], [1, -1]]
