"""Part of an ONNX model, and how the host runs it: by ONNX Runtime if that is installed, else by onnx's evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange import onnx_prepare
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_read import Survey
from accel.models.host import Array

Full = tuple[int, ...]


def part(found: Survey, start: str, shape: Full, ends: Sequence[str]) -> onnx.ModelProto:
    """The model from tensor `start`, of `shape` with its batch, to the tensors `ends`; constants are values."""
    wanted, nodes = set(ends), list[onnx.NodeProto]()
    values = found.reading.constants.keys() - found.reading.weights.keys()  # codes of weights stay codes
    constants: dict[str, Array] = {}
    for node in reversed(found.nodes):
        makes = [name for name in node.output if name in wanted and name != start]
        if all(name in values for name in makes):
            continue
        nodes.append(node)
        wanted.update(name for name in onnx_prepare.reads(node) if name)
    for name in wanted & values:
        constants[name] = found.reading.constants[name]
    (value,) = (x for x in found.model.graph.input if x.name == found.input)
    kind = value.type.tensor_type.elem_type
    graph = helper.make_graph(
        nodes[::-1],
        found.model.graph.name or "part",
        [helper.make_tensor_value_info(start, kind, shape)],
        [helper.make_empty_tensor_value_info(name) for name in ends],
        [numpy_helper.from_array(value, name) for name, value in sorted(constants.items())],
    )
    model = helper.make_model(graph, opset_imports=found.model.opset_import, functions=found.model.functions)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    with refused(f"{found.reading.file}: a part for the host cannot be inferred"):
        return onnx.shape_inference.infer_shapes(model)


NEWEST_IR = 10  # onnx writes newer ones than ONNX Runtime reads


def names(model: onnx.ModelProto) -> tuple[str, ...]:
    """What stands in a part, for reports."""
    return tuple(f"{node.name or node.output[0]} ({node.op_type})" for node in model.graph.node)


def macs(model: onnx.ModelProto, batch: int) -> int:
    """Multiplications of convolutions and matrix products in a part, for one input; what has no known shape is 0."""
    shapes: dict[str, Full] = {x.name: tuple(x.dims) for x in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return sum(_macs(node, shapes) for node in model.graph.node) // batch


def _macs(node: onnx.NodeProto, shapes: Mapping[str, Full]) -> int:
    of = [shapes.get(name, ()) for name in node.input]
    output = math.prod(shapes.get(node.output[0], (0,)))
    match node.op_type:
        case "Conv":
            return output * math.prod(of[1][1:])
        case "ConvTranspose":
            return math.prod(of[0]) * math.prod(of[1][1:])
        case "Gemm" | "MatMul":
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            return output * (of[0][0 if transposed else -1] if of[0] else 0)
    return 0


def runner(model: onnx.ModelProto, where: str, batch: int) -> Callable[[Array], list[Array]]:
    """A function from an array (n, ...) to the outputs of a part, (n, ...) each: `batch` inputs at a time.

    It raises InputError, naming `where`, if the part cannot run or does not keep the batch in front.
    """
    session = _session(model, where)

    def run(inputs: Array) -> list[Array]:
        count = len(inputs)
        filled = np.concatenate([inputs, np.repeat(inputs[-1:], -count % batch, 0)]) if count % batch else inputs
        groups = []
        for first in range(0, len(filled), batch):
            with refused(f"{where}: it cannot run"), np.errstate(all="ignore"):
                groups.append([np.asarray(x) for x in session(filled[first : first + batch])])
        for found in groups[0]:
            if found.shape[:1] != (batch,):
                raise InputError(f"{where}: outputs must have the batch of {batch} in front, not {found.shape}")
        return [np.concatenate(parts)[:count] for parts in zip(*groups, strict=True)]

    return run


def _session(model: onnx.ModelProto, where: str) -> Callable[[Array], list[Array]]:
    (value,) = model.graph.input
    kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    with refused(f"{where}: it cannot run"):
        try:
            import onnxruntime
        except ImportError:
            from onnx.reference import ReferenceEvaluator

            evaluator = ReferenceEvaluator(model)
            return lambda x: list(evaluator.run(None, {value.name: x.astype(kind)}))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return lambda x: session.run(None, {value.name: x.astype(kind)})
