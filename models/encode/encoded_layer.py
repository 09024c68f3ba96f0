"""One layer's weights, encoded and decoded: the formats of `accel.models.encode.encoded`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.codebook import LARGEST_CODEBOOK, codebook_of, indices_of
from accel.models.encode import choose, huffman, relative, whole
from accel.models.encode.bitstream import DamagedStream, Stream, check_lengths, pack_lanes, split, unpack_lanes
from accel.models.encode.choose import FLOAT_BITS, INT8_BITS
from accel.models.encode.relative import Relative
from accel.models.errors import InputError
from accel.models.graph import Conv, Float, Linear
from accel.models.scaled import scaled_of

PLAIN = ("dense", "shared", "sparse")
HUFFMAN = (*PLAIN, "shared+huffman", "sparse+huffman")  # what hardware decodes in lanes
FORMATS = (*HUFFMAN, "dense+arithmetic", "shared+arithmetic")  # in the order of their codes in files
SMALLEST = "smallest"
NUMBERS = {FLOAT_BITS: "<f4", INT8_BITS: "i1"}  # how weights and codebooks are stored, by their width
NO_CODE = np.empty(0, np.uint8)
NO_STREAM = Stream(b"", ())
NO_SCALES = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class EncodedLayer:
    """The weights and the bias of one Conv or Linear.

    `shape` is that of the weights. `format` is one of FORMATS. `index_bits` is the width of a run, 0 unless sparse.
    `codebook` (entries,) float32 is empty if values are numbers themselves; of dense+arithmetic it holds the step of
    the grid that values are multiples of, or each output's. `entries[p]` is the number of values in the lane of
    PE p. `nonzeros` counts the weights that are not 0. `values` and, if sparse, `runs` are the streams,
    `value_lengths` and `run_lengths` their Huffman code lengths, empty for words of fixed width. `number_bits` is the
    width of weights without codebook and of its entries: 32 (float32) or 8 (int8, of quantised networks, and of
    layers whose weights are codes times a scale of each output, `accel.models.scaled`: then `scales` (outputs,) are
    these, else empty). `magnitude_bits` is what `accel.models.encode.whole` calls bits, 0 unless arithmetic.
    """

    name: str
    format: str
    shape: tuple[int, ...]
    bias: Float
    nonzeros: int
    codebook: Float
    entries: tuple[int, ...]
    values: Stream
    value_lengths: NDArray[np.uint8] = field(default_factory=lambda: NO_CODE)
    index_bits: int = 0
    runs: Stream = NO_STREAM
    run_lengths: NDArray[np.uint8] = field(default_factory=lambda: NO_CODE)
    number_bits: int = FLOAT_BITS
    magnitude_bits: int = 0
    scales: Float = field(default_factory=lambda: NO_SCALES)

    @property
    def value_bits(self) -> int:
        """The width of a value without Huffman code: that of an index, or of a number."""
        return choose.index_width(len(self.codebook), self.number_bits)

    @property
    def pes(self) -> int:
        """The number of lanes."""
        return len(self.entries)

    @property
    def sparse(self) -> bool:
        """Whether only non-zero weights are stored, with runs."""
        return self.format.startswith("sparse")

    @property
    def huffman(self) -> bool:
        """Whether runs and indices are in Huffman codes."""
        return self.format.endswith("+huffman")

    @property
    def coded(self) -> bool:
        """Whether weights are in a code of words of different lengths."""
        return "+" in self.format

    @property
    def arithmetic(self) -> bool:
        """Whether weights and bias are in an arithmetic code."""
        return self.format.endswith("+arithmetic")

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Outputs and columns."""
        return self.shape[0], math.prod(self.shape[1:])


def encode_layer(
    layer: Conv | Linear,
    format: str = SMALLEST,
    *,
    index_bits: int | None = None,
    pes: int = 1,
    limit_bits: int = huffman.LONGEST_BITS,
    among: Sequence[str] = HUFFMAN,
    number_bits: int = FLOAT_BITS,
) -> EncodedLayer:
    """Encode one layer; see `accel.models.encode.encoded.encode`. With `number_bits` 8, weights must be int8 codes."""
    scaled = scaled_of(layer.weights) if number_bits == FLOAT_BITS else None
    if scaled is not None:
        codes = replace(layer, weights=scaled.codes.astype(np.float32))
        encoded = encode_layer(
            codes, format, index_bits=index_bits, pes=pes, limit_bits=limit_bits, among=among, number_bits=INT8_BITS
        )
        return replace(encoded, scales=scaled.steps)
    if format == SMALLEST and set(among) - set(HUFFMAN):
        # How long an arithmetic code is shows only when it is written.
        every = [SMALLEST, *(x for x in among if x not in HUFFMAN)]
        if not len(codebook_of(layer.weights)):
            every.remove("shared+arithmetic")
        options: dict[str, Any] = {"index_bits": index_bits, "pes": pes, "limit_bits": limit_bits}
        found = [encode_layer(layer, x, number_bits=number_bits, **options) for x in every]
        return min(found, key=_content_bits)
    if format not in (*FORMATS, SMALLEST):
        raise InputError(f"format of layer {layer.name!r} must be one of {', '.join(FORMATS)}, not {format!r}")
    relative.check(1 if index_bits is None else index_bits, pes)
    matrix = layer.weights.astype(np.float32, copy=False).reshape(len(layer.weights), -1)
    if number_bits == INT8_BITS and not np.array_equal(matrix, matrix.astype(np.int8)):
        raise InputError(f"layer {layer.name!r} must have weights that are int8 codes to be stored in 8 bits")
    codebook = codebook_of(matrix)
    if format.startswith("shared") and not len(codebook):
        raise InputError(f"layer {layer.name!r} must have at most {LARGEST_CODEBOOK} distinct values to be {format}")
    nonzeros = int(np.count_nonzero(matrix))
    fixed = EncodedLayer(
        layer.name, format, layer.weights.shape, layer.bias, nonzeros, codebook, (), NO_STREAM, number_bits=number_bits
    )  # fmt: skip
    if fixed.arithmetic:
        if pes != 1:
            raise InputError(f"layer {layer.name!r} must have one lane to be {format}, not {pes}")
        return _encode_arithmetic(fixed, matrix)
    lanes: list[tuple[NDArray[np.int64], NDArray[Any]]] = []
    gaps = None
    widths = [1, 1]
    if fixed.sparse or (format == SMALLEST and nonzeros < matrix.size):
        lanes = relative.scan(matrix, pes)
        if len(codebook):
            lanes = [(positions, indices_of(weights, codebook)) for positions, weights in lanes]
        gaps = choose.gaps_of([positions for positions, _ in lanes])
        paying = choose.codebook_pays(len(codebook), nonzeros, number_bits)
        width = choose.index_width(len(codebook) if paying else 0, number_bits)
        widths = [index_bits or choose.best_index_bits(gaps, width, coded) for coded in (False, True)]
    if format == SMALLEST:
        indices = [indices for _, indices in lanes] if gaps else [indices_of(matrix.reshape(-1), codebook)]
        counts = _counts(indices, len(codebook)) if len(codebook) else np.empty(0, np.int64)
        counts[:1] += matrix.size - sum(len(lane) for lane in indices)
        sizes = choose.sizes_bits(counts, matrix.size, nonzeros, gaps, widths, limit_bits, number_bits)
        allowed = [f for f in sizes if f in among]
        fixed = replace(fixed, format=min(allowed, key=lambda f: sizes[f]))
    if fixed.sparse:
        return _encode_sparse(fixed, lanes, widths[fixed.huffman], limit_bits)
    return _encode_full(fixed, matrix, pes, limit_bits)


def decode_layer(layer: EncodedLayer) -> Float:
    """The weights, float32 of the layer's shape.

    Raises DamagedStream for streams that no encoder wrote, and InputError for another number of non-zero weights than
    the layer says.
    """
    shape = layer.matrix_shape
    if layer.arithmetic:
        matrix = _decode_arithmetic(layer)
    elif layer.sparse:
        runs = _decode_stream(layer, layer.runs, layer.run_lengths, layer.index_bits)
        narrow = tuple(lane.astype(np.uint8) for lane in runs)
        packed = Relative(shape, layer.index_bits, narrow, tuple(_decode_values(layer)))
        lengths = layer.run_lengths if layer.huffman else None
        matrix = relative.decode(packed, layer.name, lengths)
    else:
        matrix = np.empty(shape, np.float32)
        for pe, values in enumerate(_decode_values(layer)):
            matrix[pe :: layer.pes] = values.reshape(-1, shape[1])
    nonzeros = int(np.count_nonzero(matrix))
    if nonzeros != layer.nonzeros:
        raise InputError(f"layer {layer.name!r} must have {layer.nonzeros} non-zero weights, and has {nonzeros}")
    if len(layer.scales):
        matrix = matrix * layer.scales[:, None]
    return matrix.reshape(layer.shape)


def _encode_full(fixed: EncodedLayer, matrix: Float, pes: int, limit_bits: int) -> EncodedLayer:
    """Every weight: PE by PE, output by output (the tiles of a systolic array, one column a PE), column by column."""
    lanes = [matrix[pe::pes].reshape(-1) for pe in range(pes)]
    fixed = replace(fixed, entries=tuple(len(lane) for lane in lanes))
    if fixed.format == "dense":
        return _with_numbers(fixed, lanes)
    return _with_indices(fixed, [indices_of(lane, fixed.codebook) for lane in lanes], limit_bits)


def _encode_sparse(
    fixed: EncodedLayer, lanes: list[tuple[NDArray[np.int64], NDArray[Any]]], index_bits: int, limit_bits: int
) -> EncodedLayer:
    """Every non-zero weight with its run; `lanes` are positions and values or, with a codebook, indices."""
    packed = relative.pack(lanes, fixed.matrix_shape, index_bits)
    runs, lengths = _encode_stream(packed.runs, index_bits, fixed.huffman, limit_bits)
    entries = tuple(len(lane) for lane in packed.runs)
    fixed = replace(fixed, index_bits=index_bits, runs=runs, run_lengths=lengths, entries=entries)
    if choose.codebook_pays(len(fixed.codebook), packed.entries, fixed.number_bits):
        return _with_indices(fixed, packed.values, limit_bits)
    book = fixed.codebook
    return _with_numbers(fixed, [book[lane] if len(book) else lane for lane in packed.values])


def _encode_arithmetic(fixed: EncodedLayer, matrix: Float) -> EncodedLayer:
    """Every weight in one adaptive stream."""
    shared = fixed.format == "shared+arithmetic"
    found = whole.of_codebook(matrix, fixed.codebook) if shared else whole.of_numbers(matrix, fixed.number_bits)
    data = whole.encode(found, floats=not len(found.table) and fixed.number_bits == FLOAT_BITS)
    stream = Stream(data, (8 * len(data),))
    return replace(fixed, codebook=found.table, entries=(matrix.size,), values=stream, magnitude_bits=found.bits)


def _decode_arithmetic(layer: EncodedLayer) -> Float:
    """The matrix (outputs, columns)."""
    check_lengths(layer.values, layer.name)
    data, shape, book, bits = layer.values.data, layer.matrix_shape, layer.codebook, layer.magnitude_bits
    if layer.format == "shared+arithmetic":
        return whole.decode_codebook(data, shape, book, bits, layer.name)
    return whole.decode_numbers(data, shape, book, bits, layer.number_bits, layer.name)


def _content_bits(layer: EncodedLayer) -> int:
    """Codebook, code tables, streams without filling, and bias."""
    tables = choose.LENGTH_BITS * (len(layer.value_lengths) + len(layer.run_lengths))
    streams = sum(layer.values.lane_bits) + sum(layer.runs.lane_bits)
    bias = 8 * len(whole.bias_bytes(layer.bias, layer.arithmetic))
    return streams + layer.number_bits * len(layer.codebook) + tables + bias


def _with_numbers(fixed: EncodedLayer, lanes: Sequence[Float]) -> EncodedLayer:
    data = b"".join(lane.astype(NUMBERS[fixed.number_bits], copy=False).tobytes() for lane in lanes)
    values = Stream(data, tuple(fixed.number_bits * len(lane) for lane in lanes))
    return replace(fixed, codebook=np.empty(0, np.float32), values=values)


def _with_indices(fixed: EncodedLayer, lanes: Sequence[NDArray[np.uint8]], limit_bits: int) -> EncodedLayer:
    values, lengths = _encode_stream(lanes, fixed.value_bits, fixed.huffman, limit_bits)
    return replace(fixed, values=values, value_lengths=lengths)


def _encode_stream(
    lanes: Sequence[NDArray[np.uint8]], width_bits: int, coded: bool, limit_bits: int
) -> tuple[Stream, NDArray[np.uint8]]:
    """The stream of symbols below 2**width_bits, and the code lengths if it is coded."""
    if not coded:
        return pack_lanes(lanes, width_bits), NO_CODE
    lengths = huffman.code_lengths(_counts(lanes, 2**width_bits), limit_bits)
    return huffman.encode(lanes, lengths), lengths


def _counts(lanes: Sequence[NDArray[np.uint8]], symbols: int) -> NDArray[np.int64]:
    """How often each symbol occurs."""
    return sum((np.bincount(lane, minlength=symbols) for lane in lanes), np.zeros(symbols, np.int64))


def _decode_stream(
    layer: EncodedLayer, stream: Stream, lengths: NDArray[np.uint8], width_bits: int
) -> list[NDArray[np.uint16]]:
    if layer.huffman:
        return huffman.decode(stream, lengths, layer.entries, layer.name)
    return unpack_lanes(stream, width_bits, layer.entries, layer.name)


def _decode_values(layer: EncodedLayer) -> list[Float]:
    """The values of each lane."""
    if not len(layer.codebook):
        check_lengths(layer.values, layer.name)
        for lane, (bits, count) in enumerate(zip(layer.values.lane_bits, layer.entries, strict=True)):
            if bits != layer.number_bits * count:
                problem = f"must hold {count} values of {layer.number_bits} bits, not {bits} bits"
                raise DamagedStream(layer.name, lane, min(bits, layer.number_bits * count), problem)
        return [data.view(NUMBERS[layer.number_bits]).astype(np.float32) for data in split(layer.values)]
    lanes = []
    for lane, indices in enumerate(_decode_stream(layer, layer.values, layer.value_lengths, layer.value_bits)):
        wrong = indices >= len(layer.codebook)
        if wrong.any():
            bad = int(np.argmax(wrong))
            lengths = layer.value_lengths if layer.huffman else np.full(2**layer.value_bits, layer.value_bits)
            bit = int(lengths[indices[:bad]].sum(dtype=np.int64))
            problem = f"index must be below {len(layer.codebook)}, the entries of the codebook, not {indices[bad]}"
            raise DamagedStream(layer.name, lane, bit, problem)
        lanes.append(layer.codebook[indices])
    return lanes
