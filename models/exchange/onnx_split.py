"""An ONNX file read with its large weights apart: as arrays, and the rest of the message without them.

Protobuf, ONNX's checker and its shape inference each copy what they are given: weights in the message would be in
memory up to seven times. What stands here walks the wire format (protobuf.dev, "Encoding") down to the initialisers of
the main graph, reads the raw values of large ones straight into arrays, and leaves one byte in the message for each.
"""

from __future__ import annotations

import math
import os
from io import BufferedReader

import numpy as np

from accel.models.exchange.onnx_reading import Array

LEAST_BYTES = 1 << 16  # of values that are worth it; shapes and indices, which inference reads, are shorter
GRAPH, INITIALIZER = 7, 5  # fields of ModelProto, GraphProto
DIMS, DATA_TYPE, RAW_DATA = 1, 2, 9  # of TensorProto
# By TensorProto.DataType: types whose values may be set apart.
TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 10: np.float16, 11: np.float64}
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FILLER = b"\0"


class OddMessage(Exception):
    """What this walk does not follow; protobuf itself may."""


def split(file: BufferedReader, most_bytes: int) -> tuple[bytes, dict[int, Array]]:
    """The message in a file without its large initialisers, and their values by their number among the initialisers.

    Raises OddMessage for a file that is larger, or does not have the form that is expected.
    """
    size = os.fstat(file.fileno()).st_size
    if size > most_bytes:
        raise OddMessage
    walk = _Walk(file, size)
    message = walk.message(size, (GRAPH, INITIALIZER))
    if file.read(1):
        raise OddMessage
    return message, walk.arrays


class _Walk:
    def __init__(self, file: BufferedReader, size: int) -> None:
        self.file, self.at = file, 0
        self.arrays: dict[int, Array] = {}
        self.initializers = 0

    def message(self, end: int, path: tuple[int, ...]) -> bytes:
        """The fields up to byte `end`; those that `path` begins with are walked, at its end they are tensors."""
        made = bytearray()
        while self.at < end:
            key = self._varint(end)
            made += _encoded(key)
            number, kind = key >> 3, key & 7
            if kind == LENGTH:
                size = self._varint(end)
                if self.at + size > end:
                    raise OddMessage
                if path and number == path[0]:
                    inside = self.message(self.at + size, path[1:]) if path[1:] else self._tensor(size)
                    made += _encoded(len(inside)) + inside
                else:
                    made += _encoded(size) + self._read(size)
            else:
                made += self._short(kind, end)
        if self.at != end:
            raise OddMessage
        return bytes(made)

    def _tensor(self, size: int) -> bytes:
        """A tensor of so many bytes; raw values that fill its shape are set apart."""
        number, end = self.initializers, self.at + size
        self.initializers += 1
        if size < LEAST_BYTES:
            return self._read(size)
        made, dims, kind, raw = bytearray(), list[int](), 0, None
        while self.at < end:
            key = self._varint(end)
            field, wire = key >> 3, key & 7
            if field == RAW_DATA and wire == LENGTH and raw is None:
                length = self._varint(end)
                if self.at + length > end:
                    raise OddMessage
                raw = np.empty(length, np.uint8)
                if self.file.readinto(raw.data) != length:
                    raise OddMessage
                self.at += length
                continue
            made += _encoded(key)
            if field == RAW_DATA:
                raise OddMessage
            if wire == LENGTH:
                length = self._varint(end)
                if self.at + length > end:
                    raise OddMessage
                content = self._read(length)
                made += _encoded(length) + content
                if field == DIMS:
                    dims += _varints(content)
            else:
                content = self._short(wire, end)
                made += content
                if field in (DIMS, DATA_TYPE):
                    (value,) = _varints(content)
                    dims, kind = ([*dims, value], kind) if field == DIMS else (dims, value)
        if self.at != end:
            raise OddMessage
        if raw is not None:
            wanted = math.prod(dims) * np.dtype(TYPES[kind]).itemsize if kind in TYPES else -1
            if raw.size == wanted:
                found = raw.view(TYPES[kind]).reshape(dims)
                found.flags.writeable = False
                self.arrays[number] = found
                content = FILLER
            else:  # for others to judge
                content = raw.tobytes()
            made += _encoded(RAW_DATA << 3 | LENGTH) + _encoded(len(content)) + content
        return bytes(made)

    def _read(self, size: int) -> bytes:
        content = self.file.read(size)
        if len(content) != size:
            raise OddMessage
        self.at += size
        return content

    def _short(self, kind: int, end: int) -> bytes:
        """The bytes of a field without a length."""
        if kind == VARINT:
            return _encoded(self._varint(end))
        if kind not in (FIXED32, FIXED64):
            raise OddMessage
        return self._read(4 if kind == FIXED32 else 8)

    def _varint(self, end: int) -> int:
        value = 0
        for shift in range(0, 70, 7):
            if self.at >= end:
                break
            (byte,) = self._read(1)
            value |= (byte & 127) << shift
            if byte < 128:
                if value < 1 << 64:
                    return value
                break
        raise OddMessage


def _varints(content: bytes) -> list[int]:
    """The numbers in a packed field that was read already."""
    found, value, shift = [], 0, 0
    for byte in content:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def _encoded(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
