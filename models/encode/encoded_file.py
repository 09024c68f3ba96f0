"""An EncodedNetwork in one file; the layout byte by byte is in docs/formats.md, "Compressed weights"."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models import graph
from accel.models.codebook import LARGEST_CODEBOOK
from accel.models.encode.bitstream import DamagedStream, Stream, lane_bytes
from accel.models.encode.choose import FLOAT_BITS, INT8_BITS
from accel.models.encode.encoded import EncodedNetwork, decode
from accel.models.encode.encoded_layer import FORMATS, NO_CODE, NO_STREAM, NUMBERS, EncodedLayer
from accel.models.errors import InputError
from accel.models.files import write_whole
from accel.models.graph import Conv, Layer, Linear
from accel.models.window import Window

__all__ = ["load", "save"]

MAGIC = b"ACCELWTS"
VERSION = 1
FRAME = struct.Struct("<8sHHI")  # magic, version, layers, bytes of the graph
LAYER = struct.Struct("<BBBBHHI")  # format, index bits, dimensions, number, PEs, entries of codebook, non-zeros
NUMBER_CODES = (FLOAT_BITS, INT8_BITS)  # in the header, by their place
KINDS = {kind.__name__: kind for kind in (*graph.Layer.__args__, Window)}


def save(encoded: EncodedNetwork, path: str | Path) -> None:
    """Write `encoded` to `path`; an existing file is replaced only by a complete one.

    Raises InputError if the file cannot be written.
    """
    write_whole(path, to_bytes(encoded))


def load(path: str | Path) -> EncodedNetwork:
    """What `save` wrote to `path`. Raises InputError if the file is missing, damaged or another."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    return from_bytes(data, str(path))


def to_bytes(encoded: EncodedNetwork) -> bytes:
    """The content of the file."""
    graph = _graph_bytes(encoded)
    parts = [FRAME.pack(MAGIC, VERSION, len(encoded.layers), len(graph)), graph]
    for layer in encoded.layers:
        parts += [
            _header(layer),
            layer.codebook.astype(NUMBERS[layer.number_bits]).tobytes(),
            _nibbles(layer.value_lengths),
            _nibbles(layer.run_lengths),
            layer.values.data,
            layer.runs.data,
            layer.bias.astype("<f4").tobytes(),
        ]
    content = b"".join(parts)
    return content + struct.pack("<I", zlib.crc32(content))


def from_bytes(data: bytes, source: str) -> EncodedNetwork:
    """The inverse of `to_bytes`.

    Raises InputError, with `source` as the file's name, if it is something else, and DamagedStream if its checksum is
    wrong and a stream shows where.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise InputError(f"{source} must be a file of compressed weights, and is damaged or something else")
    if len(data) < FRAME.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        _find_damage(data, source)
        raise InputError(f"{source} is damaged: its checksum must be that of its content")
    version = FRAME.unpack_from(data)[1]
    if version != VERSION:
        raise InputError(f"{source} must have version {VERSION}, not {version}")
    try:
        return _parse(data[:-4])
    except UNREADABLE:
        raise InputError(f"{source} must be a file of compressed weights of this version") from None


UNREADABLE = (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error, zlib.error)


def _parse(content: bytes) -> EncodedNetwork:
    """The network of a whole file but its checksum. Raises one of UNREADABLE for what does not fit together."""
    _, _, count, size = FRAME.unpack_from(content)
    document = json.loads(zlib.decompress(content[FRAME.size : FRAME.size + size]))
    layers = tuple(_from_json(x) for x in document["layers"])
    owners = [x for x in layers if isinstance(x, Conv | Linear)]
    reader = _Reader(content, FRAME.size + size)
    encoded = tuple(_read_layer(reader, owner) for _, owner in zip(range(count), owners, strict=True))
    if reader.at != len(reader.data):
        raise ValueError
    shape = tuple(document["input_shape"])
    return EncodedNetwork(document["name"], document["input"], shape, document["output"], layers, encoded)


def _find_damage(data: bytes, source: str) -> None:
    """Raise DamagedStream if a stream of this damaged file is no longer what an encoder writes."""
    try:
        decode(_parse(data[:-4]))
    except DamagedStream as error:
        problem = f"{error.problem} ({source} is damaged: its checksum must be that of its content)"
        raise DamagedStream(error.layer, error.lane, error.bit, problem) from None
    except (InputError, MemoryError, *UNREADABLE):
        return  # headers are damaged: nothing tells where streams begin


def frame_bytes(encoded: EncodedNetwork) -> int:
    """Bytes of the file that belong to no layer: frame, graph and checksum."""
    return FRAME.size + len(_graph_bytes(encoded)) + 4


def header_bytes(layer: EncodedLayer) -> int:
    """Bytes of a layer's header."""
    return len(_header(layer))


def _header(layer: EncodedLayer) -> bytes:
    """Fixed part, shape, and of each lane what cannot be inferred: entries if sparse, bits of Huffman-coded streams."""
    words = [*layer.shape]
    if layer.sparse:
        words += layer.entries
    for stream, lengths in ((layer.values, layer.value_lengths), (layer.runs, layer.run_lengths)):
        words += stream.lane_bits if len(lengths) else ()
    code = FORMATS.index(layer.format)
    number = NUMBER_CODES.index(layer.number_bits)
    fixed = (code, layer.index_bits, len(layer.shape), number, layer.pes, len(layer.codebook), layer.nonzeros)
    return LAYER.pack(*fixed) + struct.pack(f"<{len(words)}I", *words)


class _Reader:
    """Takes arrays from bytes, one after the other; `at` is behind the end if there were too few."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def words(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def numbers(self, count: int, number_bits: int = FLOAT_BITS) -> NDArray[np.float32]:
        return np.frombuffer(self.take(number_bits // 8 * count), NUMBERS[number_bits]).astype(np.float32)

    def lengths(self, width_bits: int) -> NDArray[np.uint8]:
        pairs = np.frombuffer(self.take(2**width_bits // 2), np.uint8)
        return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)

    def stream(self, lane_bits: Sequence[int]) -> Stream:
        return Stream(self.take(sum(lane_bytes(lane_bits))), tuple(lane_bits))


def _read_layer(reader: _Reader, owner: Conv | Linear) -> EncodedLayer:
    code, index_bits, dimensions, number, pes, book, nonzeros = LAYER.unpack(reader.take(LAYER.size))
    format = FORMATS[code]
    if index_bits not in (range(1, 9) if format.startswith("sparse") else (0,)):
        raise ValueError
    if dimensions != (4 if isinstance(owner, Conv) else 2) or pes < 1 or book > LARGEST_CODEBOOK:
        raise ValueError
    shape = reader.words(dimensions)
    columns = math.prod(shape[1:])
    number_bits = NUMBER_CODES[number]
    fixed = EncodedLayer(
        owner.name, format, shape, np.empty(0, np.float32), nonzeros, np.empty(book, np.float32), (), NO_STREAM,
        number_bits=number_bits,
    )  # fmt: skip
    entries = tuple(len(range(pe, shape[0], pes)) * columns for pe in range(pes))
    if fixed.sparse:
        entries = reader.words(pes)
    value_bits = tuple(fixed.value_bits * n for n in entries)
    run_bits = tuple(index_bits * n for n in entries) if fixed.sparse else ()
    coded_values, coded_runs = fixed.huffman and book > 0, fixed.huffman and fixed.sparse
    if coded_values:
        value_bits = reader.words(pes)
    if coded_runs:
        run_bits = reader.words(pes)
    return EncodedLayer(
        owner.name,
        format,
        shape,
        nonzeros=nonzeros,
        entries=entries,
        index_bits=index_bits,
        codebook=reader.numbers(book, number_bits),
        value_lengths=reader.lengths(fixed.value_bits) if coded_values else NO_CODE,
        run_lengths=reader.lengths(index_bits) if coded_runs else NO_CODE,
        values=reader.stream(value_bits),
        runs=reader.stream(run_bits),
        bias=reader.numbers(shape[0]),
        number_bits=number_bits,
    )


def _nibbles(lengths: NDArray[np.uint8]) -> bytes:
    """Two code lengths a byte, the first in the low half."""
    return (lengths[::2] | lengths[1::2] << 4).astype(np.uint8).tobytes()


def _graph_bytes(encoded: EncodedNetwork) -> bytes:
    document = {
        "name": encoded.name,
        "input": encoded.input,
        "input_shape": encoded.input_shape,
        "output": encoded.output,
        "layers": [_to_json(x) for x in encoded.graph],
    }
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)


def _to_json(value: Layer | Window) -> dict[str, Any]:
    """A layer without its arrays: its type under "type", its fields, a window likewise."""
    out: dict[str, Any] = {"type": type(value).__name__}
    for f in fields(value):
        part = getattr(value, f.name)
        if not isinstance(part, np.ndarray):
            out[f.name] = _to_json(part) if isinstance(part, Window) else part
    return out


def _from_json(value: dict[str, Any]) -> Any:
    """The inverse of `_to_json`; weights and bias are empty."""
    kind = KINDS[value["type"]]
    parts = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k != "type"}
    parts = {k: _from_json(v) if isinstance(v, dict) else v for k, v in parts.items()}
    if kind in (Conv, Linear):
        parts |= {"weights": np.empty(0, np.float32), "bias": np.empty(0, np.float32)}
    return kind(**parts)
