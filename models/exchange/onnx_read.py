"""ONNX to Network: loading, constant folding, and the walk over the nodes.

What each operator becomes is in `onnx_ops`. Nodes whose inputs are all constant are evaluated with
ONNX's own reference evaluator; a Shape of an activation counts as constant, so that the idiom Shape ->
Gather -> Concat -> Reshape folds away. ONNX's shape inference runs beside ours, and both must agree.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from accel.models.errors import InputError
from accel.models.exchange import onnx_ops
from accel.models.exchange.onnx_reading import Reading, attribute, evaluate
from accel.models.graph import Layer, Network, build

# What exporters write between constants, and shapes, and what reads them.
FOLDABLE = frozenset(
    {"Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor"}
    | {"Gather", "Identity", "Mul", "Neg", "Pow", "Reciprocal", "ReduceProd", "Reshape", "Shape", "Slice"}
    | {"Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"}
)
STANDARD_DOMAINS = ("", "ai.onnx")


def read(path: str | Path) -> Network:
    """The network in the ONNX file `path`.

    The first dimension of the input and of every activation is the batch, whatever its size, and is dropped.

    Raises InputError, naming file, node and operator, for: a file that cannot be read or is not ONNX, an
    operator, attribute or shape without a counterpart in `accel.models.graph`, weights that are NaN or Inf,
    unknown dimensions other than the batch, several inputs or outputs.
    """
    path = Path(path)
    model = _load(path)
    reading = Reading(path.name, {x.domain: x.version for x in model.opset_import}.get("", 1))
    for array in model.graph.initializer:
        reading.constants[array.name] = numpy_helper.to_array(array)
    if model.graph.sparse_initializer:
        raise InputError(f"{path.name}: sparse initialisers are not supported")
    input_name = _input(model, reading)
    reading.uses = Counter(name for node in model.graph.node for name in node.input)
    if len(model.graph.output) != 1:
        raise InputError(f"{path.name}: model must have one output, not {len(model.graph.output)}")
    reading.uses[model.graph.output[0].name] += 1
    for node in model.graph.node:
        _node(reading, node)
    output = reading.resolve(model.graph.output[0].name)
    if output not in reading.shapes:
        raise InputError(f"{path.name}: output {output!r} must depend on the input, and is constant")
    layers = _needed(reading.layers, output)
    network = build(path.stem.encode(errors="replace").decode(), input_name, reading.shapes[input_name], layers, output)
    _compare_shapes(model, network, reading)
    return network


def _load(path: Path) -> onnx.ModelProto:
    """The model in the file, checked and with its initialisers."""
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception:  # protobuf's own, and protobuf is not a dependency of ours
        raise InputError(f"{path} must be an ONNX file, and is not") from None
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # of several kinds, by version of onnx
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: weights that are kept in another file cannot be read: {reason}") from None
    try:
        checked = onnx.ModelProto()
        checked.CopyFrom(model)
        for value in checked.graph.output:
            # The checker asks for the shape of every output, which some exporters leave out: any will do.
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.shape.SetInParent()
        onnx.checker.check_model(checked)
    except onnx.checker.ValidationError as error:
        # A few bytes of anything can parse as an empty message, which the checker then refuses.
        raise InputError(f"{path} must be a valid ONNX file: {' '.join(str(error).split())}") from None
    return model


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
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
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
    reading.batch = max(1, dimensions[0].dim_value)
    reading.shapes[value.name] = tuple(shape)
    return value.name


def _node(reading: Reading, node: onnx.NodeProto) -> None:
    """Fold `node` into a constant, or append the layer that it becomes."""
    if node.domain not in STANDARD_DOMAINS:
        raise reading.error(node, f"operator of domain {node.domain!r} is not supported")
    inputs = [name for name in node.input if name]
    known = all(name in reading.constants for name in inputs)
    if node.op_type == "Shape" and not known:
        shape = np.array([reading.batch, *reading.shape(node, node.input[0])], np.int64)
        first = attribute(node, "start", 0)
        last = attribute(node, "end", len(shape))
        reading.constants[node.output[0]] = shape[first:last]
    elif known and node.op_type in FOLDABLE:
        values = evaluate(reading, node, [reading.constants[name] for name in inputs])
        reading.constants.update(zip(node.output, values, strict=False))
    elif node.op_type in onnx_ops.OPERATORS:
        with np.errstate(all="ignore"):  # what is too large for float32 is refused where it is used
            onnx_ops.OPERATORS[node.op_type](reading, node)
    else:
        supported = ", ".join(sorted(onnx_ops.OPERATORS))
        raise reading.error(node, f"operator is not supported (supported: {supported})")


def _needed(layers: list[Layer], output: str) -> tuple[Layer, ...]:
    """The layers that `output` depends on: exporters leave dead branches behind."""
    wanted = {output}
    kept: list[Layer] = []
    for layer in reversed(layers):
        if layer.output in wanted:
            kept.insert(0, layer)
            wanted.update(layer.inputs)
    return tuple(kept)


def _compare_shapes(model: onnx.ModelProto, network: Network, reading: Reading) -> None:
    """Raise InputError if ONNX's shape inference contradicts the shapes of `network`."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        if value.name == network.input:
            value.type.tensor_type.shape.dim[0].dim_value = reading.batch
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise InputError(f"{reading.file}: shapes do not fit: {' '.join(str(error).split())}") from None
    for value in [*inferred.graph.value_info, *inferred.graph.output]:
        if value.name not in network.shapes or not value.type.tensor_type.HasField("shape"):
            continue
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        ours = (reading.batch, *network.shapes[value.name])
        agree = len(sizes) == len(ours) and all(a in (0, b) for a, b in zip(sizes, ours, strict=True))
        if not agree:
            raise InputError(f"{reading.file}: tensor {value.name!r} must have shape {ours}, not {tuple(sizes)}")
