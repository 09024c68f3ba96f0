"""What is known of a model before its nodes are read: its input, which nodes count, whether it is one-dimensional."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from accel.models.errors import InputError
from accel.models.exchange import onnx_load
from accel.models.exchange.onnx_reading import Reading
from accel.models.graph import Shape, check_input

LARGEST_BATCH = 2**16  # of a file that has a fixed one
WINDOWED = ("AveragePool", "Conv", "MaxPool")  # operators whose attributes count the dimensions
REAL = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, those of its branches included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from reads(inner)
            yield from (value.name for value in graph.output)


def live(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on: exporters leave dead branches behind."""
    wanted = {output.name for output in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(name for name in node.output if name):
            kept.append(node)
            wanted.update(reads(node))
    return kept[::-1]


def one_dimensional(model: onnx.ModelProto, reading: Reading) -> bool:
    """Whether windows slide along one dimension in this network, as some node's attributes or weights say."""
    inputs = [x.type.tensor_type.shape.dim for x in model.graph.input if x.name not in reading.constants]
    if any(len(dimensions) > 3 for dimensions in inputs):
        return False
    for node in model.graph.node:
        if node.op_type not in WINDOWED or node.domain not in onnx_load.STANDARD_DOMAINS:
            continue
        kernel = next((len(a.ints) for a in node.attribute if a.name == "kernel_shape"), 0)
        weights = reading.constants.get(node.input[1]) if node.op_type == "Conv" and len(node.input) > 1 else None
        if kernel == 1 or (weights is not None and weights.ndim == 3):
            return True
    return False


def input_of(model: onnx.ModelProto, reading: Reading, given: Shape | None) -> str:
    """The name of the one input that is not an initialiser; enters its shape and the batch size.

    `given` is the shape that a user says, without the batch. Raises InputError.
    """
    inputs = [x for x in model.graph.input if x.name not in reading.constants]
    if len(inputs) != 1:
        names = ", ".join(repr(x.name) for x in inputs)
        raise InputError(f"{reading.file}: model must have one input, not {len(inputs)} ({names})")
    (value,) = inputs
    where = f"{reading.file}: input {value.name!r}"
    if not value.type.HasField("tensor_type"):
        raise InputError(f"{where} must be a tensor")
    if value.type.tensor_type.elem_type not in REAL:
        number = value.type.tensor_type.elem_type
        known = onnx.TensorProto.DataType.values()
        kind = onnx.TensorProto.DataType.Name(number) if number in known else f"type {number}"
        raise InputError(f"{where} must be float32 or float16, not {kind}")
    dimensions = list(value.type.tensor_type.shape.dim)
    if not 2 <= len(dimensions) <= 4:
        raise InputError(f"{where} must have 2 to 4 dimensions, not {len(dimensions)}")
    shape = _known(where, dimensions[1:], given)
    # Some exporters write -1 for a size that is free.
    free = not dimensions[0].HasField("dim_value") or dimensions[0].dim_value == -1
    reading.batch = 1 if free else dimensions[0].dim_value
    if not 1 <= reading.batch <= LARGEST_BATCH:
        raise InputError(
            f"{reading.file}: batch of input {value.name!r} must be 1..{LARGEST_BATCH}, or free, not {reading.batch}"
        )
    check_input(reading.file, value.name, shape)
    reading.shapes[value.name] = reading.inner((reading.batch, *shape))
    return value.name


def _known(where: str, dimensions: list[onnx.TensorShapeProto.Dimension], given: Shape | None) -> Shape:
    """The sizes of an input, those of the file or where it leaves them open the given ones. Raises InputError."""
    if given is not None and len(given) != len(dimensions):
        raise InputError(f"{where} must have {len(dimensions)} dimensions after the batch, not {len(given)} as given")
    shape = []
    for index, dimension in enumerate(dimensions):
        size = dimension.dim_value
        if given is not None:
            if size > 0 and size != given[index]:
                raise InputError(f"{where} must have size {size} in dimension {index + 1}, not {given[index]} as given")
            size = given[index]
        if size < 1:
            what = dimension.dim_param or "unknown"
            raise InputError(f"{where} must have known dimensions after the batch, not {what!r}: give an input shape")
        shape.append(size)
    return tuple(shape)


def chosen_branch(reading: Reading, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes that an If with a constant condition stands for, its outputs named as the If's. Raises Blocked.

    Exporters write such an If around a Squeeze, when they do not know the shape that they have.
    """
    condition = reading.constants.get(node.input[0]) if node.input else None
    if condition is None or condition.size != 1:
        raise reading.unsupported(node, "condition must be a constant, and depends on the input")
    wanted = "then_branch" if bool(np.asarray(condition).reshape(-1)[0]) else "else_branch"
    graph = next(a.g for a in node.attribute if a.name == wanted)
    for tensor in graph.initializer:
        reading.constants[tensor.name] = onnx_load.array(tensor, reading.file)
    ends = [
        onnx.helper.make_node("Identity", [inner.name], [outer], name=f"{node.name}.{outer}")
        for inner, outer in zip(graph.output, node.output, strict=False)
    ]
    return [*graph.node, *ends]
