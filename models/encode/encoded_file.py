"""An EncodedNetwork in one file; the layout byte by byte is in docs/formats.md, "Compressed weights"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from accel.models.encode import frame, layer_file, records, whole
from accel.models.encode.bitstream import DamagedStream
from accel.models.encode.choose import FLOAT_BITS
from accel.models.encode.encoded import EncodedNetwork, decode
from accel.models.encode.encoded_layer import EncodedLayer
from accel.models.encode.records import GraphRecord, Misfit
from accel.models.errors import InputError
from accel.models.files import read_whole, write_whole
from accel.models.graph import Conv, Linear

__all__ = ["load", "save"]


def save(encoded: EncodedNetwork, path: str | Path) -> None:
    """Write `encoded` to `path`; an existing file is replaced only by a complete one.

    Raises InputError if the file cannot be written.
    """
    write_whole(path, to_bytes(encoded))


def load(path: str | Path) -> EncodedNetwork:
    """What `save` wrote to `path`. Raises InputError if the file is missing, damaged or another."""
    return from_bytes(read_whole(path, frame.MOST_BYTES), str(path))


def to_bytes(encoded: EncodedNetwork) -> bytes:
    """The content of the file. Raises InputError for a graph that the format cannot hold: names of 1,000 characters."""
    parts = [layer_file.layer_bytes(layer) + whole.bias_bytes(layer.bias, layer.arithmetic) for layer in encoded.layers]
    version = frame.SCALED_VERSION if any(len(layer.scales) for layer in encoded.layers) else frame.VERSION
    return frame.wrap(frame.FLOAT_MAGIC, len(encoded.layers), _graph_bytes(encoded), b"".join(parts), version)


def from_bytes(data: bytes, source: str) -> EncodedNetwork:
    """The inverse of `to_bytes`.

    Raises InputError, with `source` as the file's name, if it is something else, and DamagedStream if its checksum is
    wrong and a stream shows where.
    """
    frame.check_magic(data, frame.FLOAT_MAGIC, source)
    if not frame.has_checksum(data):
        _find_damage(data, source)
        raise InputError(f"{source} is damaged: its checksum must be that of its content")
    frame.check_version(data, source)
    try:
        return _parse(data[:-4])
    except Misfit as error:
        raise InputError(f"{source} must be a file of compressed weights of this version: {error}") from None


def _parse(content: bytes) -> EncodedNetwork:
    """The network of a whole file but its checksum. Raises Misfit for what does not fit together."""
    count, graph, reader = frame.begin(content, GraphRecord)
    layers = tuple(records.layer_of(record) for record in graph.layers)
    owners = [layer for layer in layers if isinstance(layer, Conv | Linear)]
    if count != len(owners):
        raise Misfit(f"it must have {len(owners)} layers with weights, as its graph has, not {count}")
    encoded = []
    for owner in owners:
        layer = layer_file.read_layer(reader, owner.name, 4 if isinstance(owner, Conv) else 2, FLOAT_BITS)
        encoded.append(replace(layer, bias=layer_file.read_bias(reader, layer)))
    frame.end(reader)
    return EncodedNetwork(graph.name, graph.input, graph.input_shape, graph.output, layers, tuple(encoded))


def _find_damage(data: bytes, source: str) -> None:
    """Raise DamagedStream if a stream of this damaged file is no longer what an encoder writes."""
    try:
        decode(_parse(data[:-4]))
    except DamagedStream as error:
        problem = f"{error.problem} ({source} is damaged: its checksum must be that of its content)"
        raise DamagedStream(error.layer, error.lane, error.bit, problem) from None
    except (InputError, Misfit):
        return  # headers are damaged: nothing tells where streams begin


def frame_bytes(encoded: EncodedNetwork) -> int:
    """Bytes of the file that belong to no layer: frame, graph and checksum."""
    return frame.FRAME.size + len(_graph_bytes(encoded)) + 4


def header_bytes(layer: EncodedLayer) -> int:
    """Bytes of a layer's header."""
    return len(layer_file.header(layer))


def _graph_bytes(encoded: EncodedNetwork) -> bytes:
    parts = encoded.name, encoded.input, encoded.input_shape, encoded.output, encoded.graph
    try:
        return records.pack(records.graph_of(*parts))
    except ValidationError as error:
        raise InputError(f"{encoded.name} cannot be written as encoded weights: {records.problem(error)}") from None
