"""An IntegerNetwork in one file: what the column "stored" of `accel compare` counts; bytes in docs/formats.md.

Reading gives the network back: weights, records, scales and names, and codebooks in the order of the file (the codes
of the hardware's weights follow that order, so they may be other numbers for the same weights).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from accel.models.encode import frame, layer_file, records, whole
from accel.models.encode.choose import INT8_BITS
from accel.models.encode.encoded_layer import FORMATS, EncodedLayer, decode_layer, encode_layer
from accel.models.encode.integer_records import (
    ChannelRecord,
    IntegerRecord,
    MatrixRecord,
    OutRecord,
    Plain,
    SharedRecord,
    VectorRecord,
)
from accel.models.encode.layer_file import Reader
from accel.models.encode.records import Misfit
from accel.models.errors import InputError
from accel.models.files import read_whole, write_whole
from accel.models.graph import LARGEST_TENSOR, Linear
from accel.models.integers.layers import LARGEST_SHIFT
from accel.models.integers.network import (
    AnyLayer,
    ChannelLayer,
    HostLayer,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
)

__all__ = ["load", "save"]

RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<u2"), ("shift", "u1"), ("zero", "u1")])


def save(network: IntegerNetwork, path: str | Path, formats: Sequence[str] = FORMATS) -> None:
    """Write `network` to `path`; an existing file is replaced only by a complete one. Raises as `to_bytes`."""
    write_whole(path, to_bytes(network, formats))


def load(path: str | Path) -> IntegerNetwork:
    """What `save` wrote to `path`. Raises InputError if the file is missing, damaged or another."""
    return from_bytes(read_whole(path, frame.MOST_BYTES), str(path))


def to_bytes(network: IntegerNetwork, formats: Sequence[str] = FORMATS) -> bytes:
    """The content of the file, each layer in that one of `formats` that takes least there.

    Raises InputError for a format that does not exist, when none is given, and for what the file cannot hold.
    """
    if not formats or any(f not in FORMATS for f in formats):
        raise InputError(f"formats must be some of {', '.join(FORMATS)}, not {', '.join(formats) or 'none'}")
    if network.host_steps:
        raise InputError(f"{network.name} cannot be written: the host runs {network.host_steps[0].name!r} inside of it")
    matrices = [layer for layer in network.layers if isinstance(layer, MatrixLayer)]
    zeros = {layer.name: network.tensors[layer.input].zero_point for layer in matrices}
    content = b"".join(smallest(layer, zeros[layer.name], formats)[1] for layer in matrices)
    try:
        graph = records.pack(IntegerRecord.model_validate(_document(network)))
    except ValidationError as error:
        raise InputError(f"{network.name} cannot be written: {records.problem(error)}") from None
    return frame.wrap(frame.INT8_MAGIC, len(matrices), graph, content)


def from_bytes(data: bytes, source: str) -> IntegerNetwork:
    """The inverse of `to_bytes`. Raises InputError, with `source` as the file's name, if it is something else."""
    frame.check_magic(data, frame.INT8_MAGIC, source)
    if not frame.has_checksum(data):
        raise InputError(f"{source} is damaged: its checksum must be that of its content")
    frame.check_version(data, source)
    try:
        count, graph, reader = frame.begin(data[:-4], IntegerRecord)
        if count != sum(isinstance(layer, MatrixRecord) for layer in graph.layers):
            raise Misfit(f"it must have as many layers with weights as its graph, not {count}")
        tensors = {x.name: TensorSpec(x.name, x.shape, x.scale, x.zero_point) for x in graph.tensors}
        _check_tensors(graph, tensors)
        layers = tuple(_layer(record, reader, tensors) for record in graph.layers)
        frame.end(reader)
    except Misfit as error:
        raise InputError(f"{source} must be a file of an int8 network of this version: {error}") from None
    host = tuple(HostLayer(**record.model_dump()) for record in graph.host_layers)
    ends = graph.more_inputs, graph.more_outputs
    return IntegerNetwork(graph.name, graph.input, graph.output, tensors, layers, host, *ends)


def encoded(layer: MatrixLayer, format: str) -> EncodedLayer:
    """The int8 weights of a layer, encoded as (outputs, columns); without a bias, which is in its records.

    Raises InputError for a layer with more than 256 different weights if `format` is shared; int8 has no more.
    """
    flat = layer.weights.astype(np.float32)
    return encode_layer(Linear(layer.name, ("x",), "y", flat, np.empty(0, np.float32)), format, number_bits=INT8_BITS)


def smallest(layer: MatrixLayer, zero_point: int, formats: Sequence[str]) -> tuple[str, bytes]:
    """That one of `formats` in which weights and records take the fewest bytes, and these bytes.

    `zero_point` is that of the layer's input.
    """
    found = [encoded(layer, format) for format in formats]
    contents = [layer_file.layer_bytes(x) + records_bytes(layer, zero_point, x.arithmetic) for x in found]
    best = min(range(len(contents)), key=lambda index: len(contents[index]))
    return formats[best], contents[best]


def records_bytes(layer: MatrixLayer, zero_point: int, arithmetic: bool) -> bytes:
    """Bias, multiplier and shift of each channel: 8 bytes each, or in an arithmetic code.

    `zero_point` is that of the layer's input.
    """
    if arithmetic:
        to = layer.requantise
        bias = to.bias - _of_zero_point(layer.weights, zero_point, len(to.bias))
        data = whole.encode_records([bias, to.multiplier, to.shift])
        return struct.pack("<I", len(data)) + data
    out = np.zeros(len(layer.requantise.bias), RECORD)
    for name in ("bias", "multiplier", "shift"):
        out[name] = getattr(layer.requantise, name)
    return out.tobytes()


def _document(network: IntegerNetwork) -> Plain:
    return {
        "name": network.name,
        "input": network.input,
        "output": network.output,
        "tensors": tuple(records.plain(spec) for spec in network.tensors.values()),
        "layers": tuple(_plain(layer) for layer in network.layers),
        "host_layers": tuple(records.plain(layer) for layer in network.host_layers),
        "more_inputs": network.more_inputs,
        "more_outputs": network.more_outputs,
    }


def _plain(layer: AnyLayer) -> Plain:
    if isinstance(layer, ChannelLayer):
        return records.plain(layer) | {"type": "Channel"}
    out = layer.requantise
    found: Plain = {
        "name": layer.name,
        "input": layer.input,
        "output": layer.output,
        "window": records.plain(layer.window),
        "out": {"zero_point": out.zero_point, "low": out.low, "high": out.high}
        | ({} if out.table is None else {"table": tuple(out.table.tolist())}),
        "residual": records.plain(layer.residual) if layer.residual else None,
        "source": layer.source,
    }
    if isinstance(layer, VectorLayer):
        record = {name: int(getattr(out, name)[0]) for name in ("bias", "multiplier", "shift")}
        numbers = zip(layer.counts, out.multiplier.tolist(), out.shift.tolist(), strict=False)
        counts = tuple({"count": c, "multiplier": m, "shift": s} for c, m, s in numbers)
        return found | record | {"type": "Vector", "reduce": layer.reduce, "counts": counts}
    shared = None
    if layer.shared:
        used, entries = np.unique(layer.weights), np.unique(layer.shared.codebook)
        more = tuple(int(code) for code in entries if code not in used)
        shared = {"bits": layer.shared.bits, "more": more}
    uniform = len(out.bias) == 1 < len(layer.weights)
    return found | {"type": "Matrix", "groups": layer.groups, "uniform": uniform, "shared": shared}


def _check_tensors(graph: IntegerRecord, tensors: Mapping[str, TensorSpec]) -> None:
    """Raise Misfit unless all tensors have names of their own, exist, and are of a reasonable size."""
    if len(tensors) != len(graph.tensors):
        raise Misfit("tensors must have names of their own")
    for spec in tensors.values():
        channels, height, width = spec.shape
        if channels * height * width > LARGEST_TENSOR:
            raise Misfit(f"tensor {spec.name!r} must have at most {LARGEST_TENSOR} values, not {spec.shape}")
    used = [graph.input, graph.output, *graph.more_inputs, *graph.more_outputs]
    for layer in graph.layers:
        if isinstance(layer, ChannelRecord):
            used += [*layer.inputs, layer.output]
            continue
        used += [layer.input, layer.output, *([layer.residual.tensor] if layer.residual else [])]
    for name in used:
        if name not in tensors:
            raise Misfit(f"tensor {name!r} must be one of the graph's tensors")


def _layer(
    record: MatrixRecord | VectorRecord | ChannelRecord, reader: Reader, tensors: Mapping[str, TensorSpec]
) -> AnyLayer:
    """The layer of a record, with its weights from the reader if it has any. Raises Misfit or InputError."""
    if isinstance(record, ChannelRecord):
        return ChannelLayer(record.name, record.inputs, record.output, record.channels, record.source)
    window, out = records.window_of(record.window), record.out
    residual = Residual(**record.residual.model_dump()) if record.residual else None
    place = record.name, record.input, record.output
    if isinstance(record, VectorRecord):
        rows = np.array([(record.bias, record.multiplier, record.shift, 0)], RECORD)
        counts = tuple(each.count for each in record.counts)
        if counts:
            rows = np.array([(record.bias, each.multiplier, each.shift, 0) for each in record.counts], RECORD)
        return VectorLayer(*place, record.reduce, window, _requantise(rows, out), residual, record.source, counts)
    stored = layer_file.read_layer(reader, record.name, 4, INT8_BITS)
    channels = tensors[record.input].shape[0]
    wanted = (tensors[record.output].shape[0], channels // record.groups, *window.kernel)
    if stored.shape != wanted or channels % record.groups:
        raise Misfit(f"layer {record.name!r} must have weights of {wanted}, not {stored.shape}")
    count = 1 if record.uniform else wanted[0]
    weights = decode_layer(stored).astype(np.int8)
    inside = _of_zero_point(weights, tensors[record.input].zero_point, count)
    requantise = _requantise(_read_records(reader, stored, inside), out)
    shared = _shared(record.shared, weights, record.name) if record.shared else None
    return MatrixLayer(*place, weights, window, requantise, record.groups, residual, shared, record.source)


def _of_zero_point(weights: NDArray[np.int8], zero_point: int, records: int) -> NDArray[np.int64]:
    """What the input's zero point adds to the bias of each record; nothing to one that all channels share."""
    sums = weights.reshape(len(weights), -1).sum(1, dtype=np.int64)
    return -zero_point * sums if records == len(weights) else np.zeros(records, np.int64)


def _read_records(reader: Reader, stored: EncodedLayer, inside: NDArray[np.int64]) -> NDArray[np.void]:
    """Records of so many channels, of whose biases `inside` is not stored. Raises Misfit, and DamagedStream."""
    count = len(inside)
    if not stored.arithmetic:
        return np.frombuffer(reader.take(RECORD.itemsize * count), RECORD)
    columns = whole.decode_records(reader.take(*reader.words(1)), count, 3, stored.name)
    columns[0] += inside
    rows = np.zeros(count, RECORD)
    for name, column in zip(RECORD.names or (), columns, strict=False):
        limits = np.iinfo(RECORD[name])
        if not ((column >= limits.min) & (column <= limits.max)).all():
            raise Misfit(f"layer {stored.name!r} must have a {name} in {limits.min}..{limits.max}")
        rows[name] = column
    return rows


def _requantise(rows: NDArray[np.void], out: OutRecord) -> Requantise:
    bias, multiplier, shift = (np.ascontiguousarray(rows[name]) for name in ("bias", "multiplier", "shift"))
    if rows["zero"].any() or (shift > LARGEST_SHIFT).any():
        raise Misfit(f"requantisation records must have shifts of 0..{LARGEST_SHIFT} and end in a byte of zeros")
    arrays = bias.astype(np.int32), multiplier.astype(np.uint16), shift.astype(np.uint8)
    table = None if out.table is None else np.array(out.table, np.int8)
    return Requantise(*arrays, out.zero_point, out.low, out.high, table)


def _shared(record: SharedRecord, weights: NDArray[np.int8], name: str) -> Shared:
    """The codebook (different weights, 0 first, then what is unused) and the index of each weight."""
    used = np.unique(weights)
    used = np.concatenate([used[used == 0], used[used != 0]])
    entries = np.concatenate([used, np.array(record.more, np.int8)])
    if len(np.unique(entries)) != len(entries) or len(entries) > 2**record.bits:
        raise Misfit(f"layer {name!r} must have at most {2**record.bits} different codes, not {len(entries)}")
    codebook = np.concatenate([entries, np.full(2**record.bits - len(entries), entries[-1])]).astype(np.int8)
    index_of = np.zeros(256, np.uint8)
    index_of[entries.astype(np.int64) + 128] = np.arange(len(entries))
    return Shared(record.bits, codebook, index_of[weights.astype(np.int64) + 128])
