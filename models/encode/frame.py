"""The frame of a file of compressed weights: magic, version, number of layers, graph, and a checksum at the end."""

from __future__ import annotations

import struct
import zlib

from accel.models.encode.encoded_layer import FORMATS, HUFFMAN
from accel.models.encode.layer_file import Reader
from accel.models.encode.records import AnyRecord, Misfit, unpack
from accel.models.errors import InputError

FLOAT_MAGIC, INT8_MAGIC = b"ACCELWTS", b"ACCELINT"
VERSION, SCALED_VERSION = 3, 4  # of a file with layers that have a scale for each output; only such a one needs it
READABLE = {2: HUFFMAN, VERSION: FORMATS, SCALED_VERSION: FORMATS}  # the formats that files of a version may have
MOST_BYTES = 2**31 - 1
FRAME = struct.Struct("<8sHHI")  # magic, version, layers with weights, bytes of the graph
KINDS = {FLOAT_MAGIC: "file of compressed weights", INT8_MAGIC: "file of an int8 network"}


def wrap(magic: bytes, layers: int, graph: bytes, content: bytes, version: int = VERSION) -> bytes:
    """A whole file. Raises InputError for more layers than it can count."""
    if layers > 2**16 - 1:
        raise InputError(f"a {KINDS[magic]} must have at most {2**16 - 1} layers with weights, not {layers}")
    whole = FRAME.pack(magic, version, layers, len(graph)) + graph + content
    return whole + struct.pack("<I", zlib.crc32(whole))


def check_magic(data: bytes, magic: bytes, source: str) -> None:
    """Raise InputError if `data` is something else than a file of this kind and version."""
    if data[: len(magic)] != magic:
        raise InputError(f"{source} must be a {KINDS[magic]}, and is damaged or something else")


def has_checksum(data: bytes) -> bool:
    """Whether the checksum at the end is that of what stands before it."""
    return len(data) >= FRAME.size + 4 and zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")


def check_version(data: bytes, source: str) -> None:
    """Raise InputError for another version of the format."""
    version = FRAME.unpack_from(data)[1]
    if version not in READABLE:
        raise InputError(f"{source} must have version {' or '.join(map(str, READABLE))}, not {version}")


def begin(content: bytes, kind: type[AnyRecord]) -> tuple[int, AnyRecord, Reader]:
    """The number of layers, the graph, and what reads on behind it, of a file without its checksum. Raises Misfit."""
    if len(content) < FRAME.size:
        raise Misfit(f"it must have at least {FRAME.size} bytes")
    _, version, layers, size = FRAME.unpack_from(content)
    reader = Reader(content, FRAME.size, READABLE.get(version, FORMATS), version == SCALED_VERSION)
    return layers, unpack(reader.take(size), kind), reader


def end(reader: Reader) -> None:
    """Raise Misfit unless everything is read."""
    if reader.at != len(reader.data):
        raise Misfit(f"it must end at byte {reader.at}, and has {len(reader.data)}")
