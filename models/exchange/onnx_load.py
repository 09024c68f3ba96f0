"""An ONNX file as a checked ModelProto: what `onnx` cannot read is found here, before anything is computed."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange import onnx_split
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_reading import Array
from accel.models.files import open_regular, read_whole

MOST_BYTES = 2**31 - 1  # of a message: protobuf's own limit
MOST_ELEMENTS = 2**30  # of all tensors together: four times what DRAM of 32-bit addresses holds as int8
STANDARD_DOMAINS = ("", "ai.onnx")


class Loaded(NamedTuple):
    """A model after ONNX's own checks, the number of all values in it, and the values of large initialisers by name.

    Those have a shape, and one byte for their values, in the model.
    """

    model: onnx.ModelProto
    stored: int
    values: dict[str, Array]


def load(path: Path) -> Loaded:
    """The model in a file, with its weights. Raises InputError."""
    content, arrays = _content(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception:  # protobuf's own, and protobuf is not a dependency of ours
        raise InputError(f"{path} must be an ONNX file, and is not") from None
    del content
    tensors = [message for message in _messages(model, path) if isinstance(message, TensorProto)]
    stored = _check_tensors(tensors, path)
    initializers = model.graph.initializer
    values = {initializers[number].name: value for number, value in arrays.items()}
    if len(values) != len(arrays):
        raise InputError(f"{path} must be a valid ONNX file: two initialisers have one name")
    with refused(f"{path}: weights that are kept in another file cannot be read"):
        values |= _external(model, path.parent)
        onnx.load_external_data_for_model(model, str(path.parent))
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    _as_inputs(checked.graph, values)
    for value in checked.graph.output:
        # The checker asks for the shape of every output, which some exporters leave out: any will do.
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    # A few bytes of anything can parse as an empty message, which the checker then refuses.
    with refused(f"{path} must be a valid ONNX file"):
        onnx.checker.check_model(checked)
    return Loaded(model, stored, values)


def _as_inputs(graph: onnx.GraphProto, values: Mapping[str, Array]) -> None:
    """Write initialisers without their values as inputs of their shapes: the checker compares sizes."""
    kept = [tensor for tensor in graph.initializer if tensor.name not in values]
    given = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.name in values and tensor.name not in given:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _content(path: Path) -> tuple[bytes, dict[int, Array]]:
    """The message in a file, and large initialisers apart from it, by their number. Raises InputError."""
    try:
        with open_regular(path) as file:
            return onnx_split.split(file, MOST_BYTES)
    except (OSError, MemoryError, onnx_split.OddMessage):
        return read_whole(path, MOST_BYTES), {}


def _external(model: onnx.ModelProto, folder: Path) -> dict[str, Array]:
    """Large initialisers that are kept in another file, by name; they are then in the model by shape only."""
    found = {}
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL or math.prod(tensor.dims) < onnx_split.LEAST_BYTES:
            continue
        whole = TensorProto()  # of its own, since a message keeps the memory of what it held
        whole.CopyFrom(tensor)
        onnx.external_data_helper.load_external_data_for_tensor(whole, str(folder))
        found[tensor.name] = numpy_helper.to_array(whole)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = onnx_split.FILLER
    return found


def opset(model: onnx.ModelProto, file: str) -> int:
    """The version of the standard operators. Raises InputError for one that `onnx` does not know, or several."""
    versions = {entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS}
    latest = onnx.defs.onnx_opset_version()
    if len(versions) != 1 or not 1 <= min(versions) <= latest:
        found = ", ".join(map(str, sorted(versions))) or "none"
        raise InputError(f"{file}: model must import one opset in 1..{latest}, not {found}")
    if any(function.domain in STANDARD_DOMAINS for function in model.functions):
        raise InputError(f"{file}: model must not define standard operators anew, and does")
    return versions.pop()


def array(tensor: TensorProto, file: str) -> Array:
    """The values of a tensor. Raises InputError if they are not what its shape and type say."""
    with refused(f"{file}: tensor {tensor.name!r} cannot be read"):
        return numpy_helper.to_array(tensor)


def _messages(model: onnx.ModelProto, path: Path) -> Iterator[Any]:
    """Every message in `model`. Raises InputError for a text that is not UTF-8."""
    found: list[Any] = [model]
    while found:
        message = found.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                found += [value] if hasattr(value, "ListFields") else value
            elif field.type == field.TYPE_STRING:
                _check_text([value] if isinstance(value, str | bytes) else value, path)


def _check_text(texts: Iterable[object], path: Path) -> None:
    """Raise InputError for one that is not UTF-8: protobuf gives its bytes, or raises, according to its version."""
    try:
        if all(isinstance(text, str) for text in texts):
            return
    except UnicodeDecodeError:
        pass
    raise InputError(f"{path} must be a valid ONNX file: a text in it is not UTF-8")


def _check_tensors(tensors: list[TensorProto], path: Path) -> int:
    """The number of their values.

    Raises InputError for shapes that are too large together, and for weights that are kept in what is no file.
    """
    total = 0
    for tensor in tensors:
        where = f"{path.name}: tensor {tensor.name!r}"
        if any(size < 0 for size in tensor.dims):
            raise InputError(f"{where} must have sizes of at least 0, not {list(tensor.dims)}")
        elements = math.prod(tensor.dims)
        total += elements
        if total > MOST_ELEMENTS or any(size > MOST_ELEMENTS for size in tensor.dims):
            raise InputError(f"{where} of shape {list(tensor.dims)} makes more than {MOST_ELEMENTS} values in the file")
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_external(tensor, elements, path, where)
    return total


def _is_inside(other: Path, path: Path) -> bool:
    """Whether a file that the model `path` names lies in its folder, links followed, or below it.

    Where the model is a link itself, as in caches of model hubs, what it points to has a folder too.
    """
    real = other.resolve()
    return any(real.is_relative_to(folder) for folder in (path.parent.resolve(), path.resolve().parent))


def _check_external(tensor: TensorProto, elements: int, path: Path, where: str) -> None:
    """Raise InputError unless the other file is a regular one and gives as many bytes as the tensor's shape."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    missing = f"{path}: weights that are kept in another file cannot be read"
    with refused(missing):
        other = path.parent / given["location"]
        inside = _is_inside(other, path)
    if not inside:
        raise InputError(f"{where} must lie beside the model, in its folder or below it, and {other.name!r} does not")
    with refused(missing):
        found = other.stat()
        size = found.st_size - int(given.get("offset", 0))
        length = int(given.get("length", size))
        wanted = elements * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{missing}: {other} must be a regular file, and is a folder, a pipe or a device")
    if not wanted <= length <= min(size, wanted + 8):  # types of less than a byte are stored packed
        raise InputError(f"{where} must have {wanted} bytes in {given['location']}, not {min(length, size)}")
