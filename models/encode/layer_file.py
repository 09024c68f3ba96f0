"""One layer's weights as bytes: header, codebook, code tables, streams; for files of float and of integer networks."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import LARGEST_CODEBOOK
from accel.models.encode import whole
from accel.models.encode.bitstream import Stream, lane_bytes
from accel.models.encode.choose import FLOAT_BITS, INT8_BITS
from accel.models.encode.encoded_layer import FORMATS, HUFFMAN, NO_CODE, NO_SCALES, NO_STREAM, NUMBERS, EncodedLayer
from accel.models.encode.records import Misfit

# Format, index or magnitude bits, dimensions, number, PEs, entries of codebook, non-zeros.
LAYER = struct.Struct("<BBBBHHI")
NUMBER_CODES = (FLOAT_BITS, INT8_BITS)  # in the header, by their place
SCALED_CODE = 2  # there: int8, and a scale for each output
# Layers of zeros take no bytes: a file may have so many weights, and so many more for each of its bytes.
MOST_WEIGHTS, WEIGHTS_PER_BYTE = 2**24, 1024
MOST_LANES, LANES_PER_BYTE = 2**16, 1


def layer_bytes(layer: EncodedLayer) -> bytes:
    """Everything of a layer but its bias."""
    parts = (
        header(layer),
        layer.scales.astype("<f4").tobytes(),
        layer.codebook.astype(NUMBERS[layer.number_bits]).tobytes(),
        _nibbles(layer.value_lengths),
        _nibbles(layer.run_lengths),
        layer.values.data,
        layer.runs.data,
    )
    return b"".join(parts)


def header(layer: EncodedLayer) -> bytes:
    """Fixed part, shape, and of each lane what cannot be inferred: entries if sparse, bits of coded streams."""
    words = [*layer.shape]
    if layer.arithmetic:
        words.append(len(layer.values.data))
    if layer.sparse:
        words += layer.entries
    for stream, lengths in ((layer.values, layer.value_lengths), (layer.runs, layer.run_lengths)):
        words += stream.lane_bits if len(lengths) else ()
    code = FORMATS.index(layer.format)
    number = SCALED_CODE if len(layer.scales) else NUMBER_CODES.index(layer.number_bits)
    fixed = (
        code,
        layer.index_bits or layer.magnitude_bits,
        len(layer.shape),
        number,
        layer.pes,
        len(layer.codebook),
        layer.nonzeros,
    )
    return LAYER.pack(*fixed) + struct.pack(f"<{len(words)}I", *words)


def _nibbles(lengths: NDArray[np.uint8]) -> bytes:
    """Two code lengths a byte, the first in the low half."""
    return (lengths[::2] | lengths[1::2] << 4).astype(np.uint8).tobytes()


class Reader:
    """Takes arrays from bytes, one after the other, and never more than there are. All methods raise Misfit."""

    def __init__(self, data: bytes, at: int, formats: Sequence[str] = FORMATS, scaled: bool = True) -> None:
        self.data = data
        self.at = at
        self.formats = formats
        self.scaled = scaled
        self.weights = self.lanes = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > len(self.data) - self.at:
            raise Misfit(f"it must have {size} bytes more at byte {self.at}, and has {len(self.data) - self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def words(self, count: int) -> tuple[int, ...]:
        """32-bit words."""
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def numbers(self, count: int, number_bits: int = FLOAT_BITS) -> NDArray[np.float32]:
        """Numbers of 8 or 32 bits."""
        return np.frombuffer(self.take(number_bits // 8 * count), NUMBERS[number_bits]).astype(np.float32)

    def lengths(self, width_bits: int) -> NDArray[np.uint8]:
        """Code lengths of all words of a width."""
        pairs = np.frombuffer(self.take(2**width_bits // 2), np.uint8)
        return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)

    def stream(self, lane_bits: Sequence[int]) -> Stream:
        """A stream of lanes of these lengths."""
        return Stream(self.take(sum(lane_bytes(lane_bits))), tuple(lane_bits))

    def count(self, weights: int, lanes: int) -> None:
        """Bound what the layers of a file ask for together, before any of it is made."""
        self.weights += weights
        self.lanes += lanes
        for what, count, most in (
            ("weights", self.weights, MOST_WEIGHTS + WEIGHTS_PER_BYTE * len(self.data)),
            ("lanes", self.lanes, MOST_LANES + LANES_PER_BYTE * len(self.data)),
        ):
            if count > most:
                raise Misfit(f"a file of {len(self.data)} bytes must have at most {most} {what}, not {count}")


def read_layer(reader: Reader, name: str, dimensions: int, number_bits: int) -> EncodedLayer:
    """The layer that `layer_bytes` wrote, without bias; its weights have `dimensions` and `number_bits`.

    Raises Misfit for what no encoder writes. Whether the streams fit the header is seen when they are decoded.
    """
    code, index_bits, rank, number, pes, book, nonzeros = LAYER.unpack(reader.take(LAYER.size))
    where = f"layer {name!r}"
    scaled = reader.scaled and number_bits == FLOAT_BITS and number == SCALED_CODE
    if scaled:
        number_bits = INT8_BITS
    if code >= len(reader.formats) or not (scaled or number == NUMBER_CODES.index(number_bits)) or rank != dimensions:
        raise Misfit(f"{where} must have a format that is known, {dimensions} dimensions and {number_bits}-bit numbers")
    arithmetic = FORMATS[code] not in HUFFMAN
    if index_bits not in (range(1, 9) if FORMATS[code].startswith("sparse") else range(24) if arithmetic else (0,)):
        raise Misfit(f"{where} must have runs of 1..8 bits if it is sparse, else none, not {index_bits}")
    shape = reader.words(dimensions)
    on_grid = FORMATS[code] == "dense+arithmetic" and number_bits == FLOAT_BITS and book in (1, shape[0])
    most = book if on_grid else LARGEST_CODEBOOK
    if min(shape) < 1 or pes < 1 or book > most or (FORMATS[code].startswith("shared") and not book):
        raise Misfit(f"{where} must have sizes of at least 1 and at most {LARGEST_CODEBOOK} codes, not {shape}, {book}")
    reader.count(math.prod(shape), pes)
    fixed = EncodedLayer(
        name, FORMATS[code], shape, np.empty(0, np.float32), nonzeros, np.empty(book, np.float32), (), NO_STREAM,
        number_bits=number_bits,
    )  # fmt: skip
    if fixed.format.startswith("dense") and book and not on_grid:
        raise Misfit(f"{where} must have no codebook, since it is dense")
    if arithmetic:
        return _read_arithmetic(reader, fixed, pes, index_bits, on_grid, scaled)
    columns = math.prod(shape[1:])
    entries = reader.words(pes) if fixed.sparse else tuple(len(range(p, shape[0], pes)) * columns for p in range(pes))
    value_bits = tuple(fixed.value_bits * n for n in entries)
    run_bits = tuple(index_bits * n for n in entries) if fixed.sparse else ()
    coded_values, coded_runs = fixed.huffman and book > 0, fixed.huffman and fixed.sparse
    if coded_values:
        value_bits = reader.words(pes)
    if coded_runs:
        run_bits = reader.words(pes)
    scales = _scales(reader, fixed) if scaled else NO_SCALES
    codebook = reader.numbers(book, number_bits)
    _check_codebook(codebook, where)
    return EncodedLayer(
        name,
        fixed.format,
        shape,
        bias=np.empty(0, np.float32),
        nonzeros=nonzeros,
        entries=entries,
        index_bits=index_bits,
        codebook=codebook,
        value_lengths=reader.lengths(fixed.value_bits) if coded_values else NO_CODE,
        run_lengths=reader.lengths(index_bits) if coded_runs else NO_CODE,
        values=reader.stream(value_bits),
        runs=reader.stream(run_bits),
        number_bits=number_bits,
        scales=scales,
    )


def _scales(reader: Reader, fixed: EncodedLayer) -> NDArray[np.float32]:
    """A scale for each output."""
    scales = reader.numbers(fixed.shape[0])
    if not np.isfinite(scales).all() or (scales <= 0).any():
        raise Misfit(f"layer {fixed.name!r} must have scales that are finite and above 0")
    return scales


def _read_arithmetic(
    reader: Reader, fixed: EncodedLayer, pes: int, bits: int, on_grid: bool, scaled: bool
) -> EncodedLayer:
    """The rest of a layer in an arithmetic code: bytes of its stream, codebook or steps, stream."""
    where, book = f"layer {fixed.name!r}", len(fixed.codebook)
    floats = not book and fixed.number_bits == FLOAT_BITS
    if pes != 1 or (bits > 8 and not floats):
        raise Misfit(f"{where} must have one lane, and magnitudes of at most 8 bits, not {pes} and {bits}")
    (size,) = reader.words(1)
    scales = _scales(reader, fixed) if scaled else NO_SCALES
    codebook = reader.numbers(book, fixed.number_bits)
    if not on_grid:
        _check_codebook(codebook, where)
    elif not np.isfinite(codebook).all() or (codebook <= 0).any():
        raise Misfit(f"{where} must have steps that are finite and above 0")
    values = reader.stream((8 * size,))
    count = math.prod(fixed.shape)
    return replace(fixed, codebook=codebook, entries=(count,), values=values, magnitude_bits=bits, scales=scales)


def read_bias(reader: Reader, layer: EncodedLayer) -> NDArray[np.float32]:
    """The bias of `layer`, which has none. Raises Misfit, and DamagedStream."""
    if not layer.arithmetic:
        return reader.numbers(layer.shape[0])
    bits, size = struct.unpack("<BI", reader.take(5))
    if bits > whole.MANTISSA_BITS:
        raise Misfit(f"layer {layer.name!r} must have biases of at most {whole.MANTISSA_BITS} bits, not {bits}")
    return whole.decode_bias(reader.take(size), layer.shape[0], bits, layer.name)


def _check_codebook(codebook: NDArray[np.float32], where: str) -> None:
    """Raise Misfit unless the entries are finite and ascend, but for a zero in front."""
    rest = codebook[1:] if len(codebook) and codebook[0] == 0 else codebook
    if not np.isfinite(codebook).all() or (np.diff(rest) <= 0).any() or (rest == 0).any():
        raise Misfit(f"{where} must have a codebook of finite numbers that ascend, 0 in front")
