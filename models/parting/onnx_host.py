"""Part of an ONNX model, and how the host runs it: by ONNX Runtime if that is installed, else by onnx's evaluator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange import onnx_prepare
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_read import Survey
from accel.models.host import Array

Full = tuple[int, ...]


def part(found: Survey, starts: Mapping[str, Full], ends: Sequence[str], kinds: Mapping[str, int]) -> onnx.ModelProto:
    """The model from the tensors `starts`, with their shapes, batch included, to the tensors `ends`.

    Constants are values. `kinds`: the types of tensors, where they are known; they are float32 else.
    """
    wanted, nodes = set(ends), list[onnx.NodeProto]()
    values = found.reading.constants.keys() - found.reading.weights.keys()  # codes of weights stay codes
    constants: dict[str, Array] = {}
    for node in reversed(found.nodes):
        makes = [name for name in node.output if name in wanted and name not in starts]
        if all(name in values for name in makes):
            continue
        nodes.append(node)
        wanted.update(name for name in onnx_prepare.reads(node) if name)
    for name in wanted & values:
        constants[name] = found.reading.constants[name]
    (value,) = (x for x in found.model.graph.input if x.name == found.input)
    kinds = {**kinds, found.input: value.type.tensor_type.elem_type}
    graph = helper.make_graph(
        nodes[::-1],
        found.model.graph.name or "part",
        [
            helper.make_tensor_value_info(name, kinds.get(name, onnx.TensorProto.FLOAT), shape)
            for name, shape in starts.items()
        ],
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


@dataclass(frozen=True)
class Part:
    """A part of a network as a function from the tensors `starts` to the tensors `ends`, (n, ...) each.

    `shapes` are those of the starts with the batch that `model`, the part as an ONNX file, has in front: so many inputs
    are run at a time. An end may be a start; there is no model if all are. An end that has no batch in front is given
    for each input, if the batch is 1. `where` names the part in errors: calling raises InputError if it cannot run.
    """

    model: bytes
    starts: tuple[str, ...]
    shapes: tuple[Full, ...]
    ends: tuple[str, ...]
    where: str

    def __getstate__(self) -> dict[str, object]:
        """Without what is open."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def __call__(self, given: Sequence[Array]) -> list[Array]:
        """The ends for starts of any shapes of as many values."""
        known = {
            name: x.reshape(len(x), *shape[1:])
            for name, x, shape in zip(self.starts, given, self.shapes, strict=True)
        }  # fmt: skip
        if self.model:
            known |= zip(self.made, self._run(list(known.values())), strict=True)
        return [known[name] for name in self.ends]

    @property
    def made(self) -> list[str]:
        """The ends that are no starts."""
        return [name for name in self.ends if name not in self.starts]

    def _run(self, inputs: Sequence[Array]) -> list[Array]:
        count, batch = len(inputs[0]), self.shapes[0][0]
        filled = [np.concatenate([x, np.repeat(x[-1:], -count % batch, 0)]) if count % batch else x for x in inputs]
        groups = []
        for first in range(0, len(filled[0]), batch):
            with refused(f"{self.where}: it cannot run"), np.errstate(all="ignore"):
                groups.append([np.asarray(x) for x in self._session([x[first : first + batch] for x in filled])])
        outputs = []
        for parts in zip(*groups, strict=True):
            if parts[0].shape[:1] == (batch,):
                outputs.append(np.concatenate(parts)[:count])
            elif batch == 1 and all(part.shape == parts[0].shape for part in parts):
                outputs.append(np.stack(parts))  # what it gives for one input has no batch in front
            else:
                shape = parts[0].shape
                raise InputError(f"{self.where}: outputs must have the batch of {batch} in front, not {shape}")
        return outputs

    @cached_property
    def _session(self) -> Callable[[Sequence[Array]], list[Array]]:
        with refused(f"{self.where}: it cannot run"):
            model = onnx.load_from_string(self.model)
            kinds = {x.name: helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type) for x in model.graph.input}

            def fed(given: Sequence[Array]) -> dict[str, Array]:
                return {name: x.astype(kind) for (name, kind), x in zip(kinds.items(), given, strict=True)}

            try:
                import onnxruntime
            except ImportError:
                from accel.models.parting.evaluator import evaluator_of

                evaluator = evaluator_of(model)
                return lambda given: list(evaluator.run(None, fed(given)))
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(self.model, options, ["CPUExecutionProvider"])
            return lambda given: session.run(None, fed(given))
