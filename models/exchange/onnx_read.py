"""ONNX to Network: the walk over the nodes.

`onnx_load` gives a checked file, `onnx_attributes` checked attributes, `onnx_fold` the constants that constants make;
what each operator becomes is in `onnx_ops`. ONNX's shape inference runs beside ours, and both must agree.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx

from accel.models.errors import InputError, printable
from accel.models.exchange import onnx_fold, onnx_load, onnx_ops
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_attributes import attributes
from accel.models.exchange.onnx_reading import Reading
from accel.models.graph import Layer, Network, Pool, build

__all__ = ["read"]

LARGEST_BATCH = 2**16  # of a file that has a fixed one


def read(path: str | Path) -> Network:
    """The network in the ONNX file `path`.

    The first dimension of the input and of every activation is the batch, whatever its size, and is dropped.

    Raises InputError, naming file, node and operator, for: a file that cannot be read or is not ONNX, an
    operator, attribute or shape without a counterpart in `accel.models.graph`, weights that are NaN or Inf,
    unknown dimensions other than the batch, several inputs or outputs.
    """
    path = Path(path)
    model, stored = onnx_load.load(path)
    file = printable(path.name)
    reading = Reading(file, onnx_load.opset(model, file), stored=stored)
    for tensor in model.graph.initializer:
        reading.constants[tensor.name] = onnx_load.array(tensor, file)
    if model.graph.sparse_initializer:
        raise InputError(f"{file}: sparse initialisers are not supported")
    input_name = _input(model, reading)
    reading.uses = Counter(name for node in model.graph.node for name in node.input)
    if len(model.graph.output) != 1:
        raise InputError(f"{file}: model must have one output, not {len(model.graph.output)}")
    reading.uses[model.graph.output[0].name] += 1
    for node in model.graph.node:
        _node(reading, node)
    output = reading.resolve(model.graph.output[0].name)
    if output not in reading.shapes:
        raise InputError(f"{file}: output {output!r} must depend on the input, and is constant")
    layers = _needed(reading.layers, output)
    network = build(Path(file).stem, input_name, reading.shapes[input_name], layers, output)
    _compare_shapes(model, network, reading)
    return network


def _input(model: onnx.ModelProto, reading: Reading) -> str:
    """The name of the one input that is not an initialiser; enters its shape and the batch size."""
    inputs = [x for x in model.graph.input if x.name not in reading.constants]
    if len(inputs) != 1:
        names = ", ".join(repr(x.name) for x in inputs)
        raise InputError(f"{reading.file}: model must have one input, not {len(inputs)} ({names})")
    (value,) = inputs
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{reading.file}: input {value.name!r} must be a tensor")
    if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        number = value.type.tensor_type.elem_type
        known = onnx.TensorProto.DataType.values()
        kind = onnx.TensorProto.DataType.Name(number) if number in known else f"type {number}"
        raise InputError(f"{reading.file}: input {value.name!r} must be float32, not {kind}")
    dimensions = list(value.type.tensor_type.shape.dim)
    if not 2 <= len(dimensions) <= 4:
        raise InputError(f"{reading.file}: input {value.name!r} must have 2 to 4 dimensions, not {len(dimensions)}")
    shape = []
    for dimension in dimensions[1:]:
        if dimension.dim_value < 1:
            what = dimension.dim_param or "unknown"
            raise InputError(
                f"{reading.file}: input {value.name!r} must have known dimensions after the batch, not {what!r}"
            )
        shape.append(dimension.dim_value)
    reading.batch = dimensions[0].dim_value if dimensions[0].HasField("dim_value") else 1
    if not 1 <= reading.batch <= LARGEST_BATCH:
        raise InputError(
            f"{reading.file}: batch of input {value.name!r} must be 1..{LARGEST_BATCH}, or free, not {reading.batch}"
        )
    reading.shapes[value.name] = tuple(shape)
    return value.name


def _node(reading: Reading, node: onnx.NodeProto) -> None:
    """Fold `node` into a constant, or append the layer that it becomes."""
    if node.domain not in onnx_load.STANDARD_DOMAINS:
        raise reading.error(node, f"operator of domain {node.domain!r} is not supported")
    known = all(name in reading.constants for name in node.input if name)
    if node.op_type == "Shape" and not known:
        onnx_fold.shape_of(reading, node)
    elif known and node.op_type in onnx_fold.FOLDABLE:
        onnx_fold.fold(reading, node)
    elif node.op_type in onnx_ops.OPERATORS:
        with np.errstate(all="ignore"):  # what is too large for float32 is refused where it is used
            onnx_ops.OPERATORS[node.op_type](reading, node, attributes(reading, node))
    else:
        supported = ", ".join(sorted(onnx_ops.OPERATORS))
        raise reading.error(node, f"operator is not supported (supported: {supported})")


def _needed(layers: dict[str, Layer], output: str) -> tuple[Layer, ...]:
    """The layers that `output` depends on: exporters leave dead branches behind."""
    wanted = {output}
    kept: list[Layer] = []
    for layer in reversed(layers.values()):
        if layer.output in wanted:
            kept.append(layer)
            wanted.update(layer.inputs)
    return tuple(reversed(kept))


def _compare_shapes(model: onnx.ModelProto, network: Network, reading: Reading) -> None:
    """Raise InputError if ONNX's shape inference contradicts the shapes of `network`."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        if value.name == network.input:
            value.type.tensor_type.shape.dim[0].dim_value = reading.batch
    for node in fixed.graph.node:
        _with_explicit_pads(node, reading)
    with refused(f"{reading.file}: shapes do not fit"):
        inferred = onnx.shape_inference.infer_shapes(fixed, check_type=True, strict_mode=True, data_prop=True)
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        if value.name not in network.shapes or not value.type.tensor_type.HasField("shape"):
            continue
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        ours = (reading.batch, *network.shapes[value.name])
        agree = len(sizes) == len(ours) and all(a in (0, b) for a, b in zip(sizes, ours, strict=True))
        if not agree:
            raise InputError(f"{reading.file}: tensor {value.name!r} must have shape {ours}, not {tuple(sizes)}")


def _with_explicit_pads(node: onnx.NodeProto, reading: Reading) -> None:
    """Write the pads of a pooling that rounds its size up as we understand it.

    Below opset 22 ONNX's inference counts a last window that starts in the padding, which the operator, ONNX Runtime
    and PyTorch leave out.
    """
    layer = reading.layers.get(node.output[0])
    if isinstance(layer, Pool) and any(a.name == "ceil_mode" and a.i for a in node.attribute):
        kept = [a for a in node.attribute if a.name not in ("ceil_mode", "auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute("pads", list(layer.window.pads))])
