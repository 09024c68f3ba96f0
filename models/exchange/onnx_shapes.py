"""ONNX's own shape inference, beside ours: what it says of a file, and whether both agree."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from accel.models.errors import InputError
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_reading import Reading
from accel.models.graph import Network, Pool

Full = tuple[int, ...]


def of_all(model: onnx.ModelProto, reading: Reading, input_name: str) -> dict[str, Full]:
    """The shapes, batch included, that ONNX infers; without those that it cannot tell, whatever the reason."""
    try:
        inferred = _inferred(model, reading, input_name, strict=False)
    except InputError:
        return {}
    return {name: shape for name, shape in inferred.items() if shape and min(shape) > 0}


def kinds(model: onnx.ModelProto, reading: Reading, input_name: str) -> dict[str, int]:
    """The element types that ONNX infers, without those that it cannot tell."""
    try:
        found = _values(model, reading, input_name, strict=False)
    except InputError:
        return {}
    return {value.name: value.type.tensor_type.elem_type for value in found if value.type.tensor_type.elem_type}


def strict(model: onnx.ModelProto, reading: Reading, input_name: str) -> dict[str, Full]:
    """The shapes, batch included, that ONNX infers, 0 for a size that it cannot tell.

    Raises InputError if a node does not fit what it reads.
    """
    return _inferred(model, reading, input_name, strict=True)


def compare(inferred: Mapping[str, Full], network: Network, reading: Reading) -> None:
    """Raise InputError if inferred shapes contradict those of `network`."""
    for name, sizes in inferred.items():
        if name not in network.shapes:
            continue
        ours = reading.full(network.shapes[name])
        # Squeeze without axes drops a batch of 1, which is ours to keep.
        agree = any(
            len(sizes) == len(same) and all(a in (0, b) for a, b in zip(sizes, same, strict=True))
            for same in ((ours, ours[1:]) if reading.squeezed and ours[0] == 1 else (ours,))
        )
        if not agree:
            raise InputError(f"{reading.file}: tensor {name!r} must have shape {ours}, not {sizes}")


def _inferred(model: onnx.ModelProto, reading: Reading, input_name: str, strict: bool) -> dict[str, Full]:
    """Shapes by name, 0 for a size that is not known."""
    return {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in _values(model, reading, input_name, strict)
        if value.type.tensor_type.HasField("shape")
    }


def _values(model: onnx.ModelProto, reading: Reading, input_name: str, strict: bool) -> list[onnx.ValueInfoProto]:
    """What ONNX infers of each tensor."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        if value.name == input_name:
            full = reading.full(reading.shapes[input_name])
            for dimension, size in zip(value.type.tensor_type.shape.dim, full, strict=True):
                dimension.dim_value = size
    for node in fixed.graph.node:
        _with_explicit_pads(node, reading)
    with refused(f"{reading.file}: shapes do not fit"):
        # The values of constants that were refused are not to be computed here either.
        inferred = onnx.shape_inference.infer_shapes(fixed, check_type=strict, strict_mode=strict, data_prop=strict)
    return [*inferred.graph.value_info, *inferred.graph.output]


def _with_explicit_pads(node: onnx.NodeProto, reading: Reading) -> None:
    """Write the pads of a pooling that rounds its size up as we understand it.

    Below opset 22 ONNX's inference counts a last window that starts in the padding, which the operator, ONNX Runtime
    and PyTorch leave out.
    """
    layer = reading.layers.get(node.output[0]) if node.output else None
    if isinstance(layer, Pool) and any(a.name == "ceil_mode" and a.i for a in node.attribute):
        kept = [a for a in node.attribute if a.name not in ("ceil_mode", "auto_pad", "pads")]
        pads = layer.window.pads[1::2] if reading.one_dimensional else layer.window.pads
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", list(pads))])
