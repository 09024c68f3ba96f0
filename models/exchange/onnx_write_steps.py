"""What the host runs between stretches, put back where it was in an ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper, version_converter

from accel.models.exchange import onnx_prepare
from accel.models.exchange.foreign import refused
from accel.models.exchange.onnx_load import opset
from accel.models.graph import Network
from accel.models.host import HostStep


def with_steps(network: Network, rest: onnx.ModelProto, steps: Sequence[HostStep]) -> onnx.ModelProto:
    """`rest`, which has all layers but `steps`, with these: all of the newest operator set that one of them has.

    `rest` has the batch in front of its tensors that the steps were read for. Raises InputError if ONNX does not
    convert one of the parts.
    """
    ends = {x.name: copy.copy(x) for x in (*rest.graph.input, *rest.graph.output)}
    parts = [onnx.load_from_string(step.run.model) for step in steps]
    version = max(opset(x, network.name) for x in (rest, *parts))
    model = _converted(rest, version, network.name)
    nodes, known = list(model.graph.node), {x.domain: x for x in model.opset_import}
    for step, part in zip(steps, parts, strict=True):
        part = compose.add_prefix(_converted(part, version, step.name), f"{step.name}/")
        nodes += [*_edges(network, step, part, model), *part.graph.node]
        model.graph.initializer.extend(part.graph.initializer)
        model.functions.extend(part.functions)
        known = {x.domain: x for x in part.opset_import} | known
        model.ir_version = max(model.ir_version, part.ir_version)
    del model.graph.node[:], model.graph.output[:], model.graph.input[:], model.opset_import[:]
    model.graph.node.extend(_in_order(nodes))
    model.opset_import.extend(known.values())
    model.graph.input.append(ends[network.input])
    model.graph.output.extend(ends[name] for name in network.outputs)
    return model


def _converted(model: onnx.ModelProto, version: int, where: str) -> onnx.ModelProto:
    if opset(model, where) == version:
        return model
    with refused(f"{where}: ONNX does not convert it to operator set {version}"):
        return version_converter.convert_version(model, version)


def _edges(network: Network, step: HostStep, part: onnx.ModelProto, model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Nodes that give the step's inputs the shapes that it was read with, and its output the network's."""
    for inside, outside, shape in zip(part.graph.input, step.inputs, step.run.shapes, strict=True):
        yield _reshape(model, outside, inside.name, shape, network.shapes[outside] == shape[1:])
    (output,) = part.graph.output
    shape = (step.run.shapes[0][0], *step.shape)
    made = tuple(d.dim_value for d in output.type.tensor_type.shape.dim)
    yield _reshape(model, output.name, step.output, shape, made == shape)


def _reshape(
    model: onnx.ModelProto, source: str, made: str, shape: Sequence[int], alike: bool,
) -> onnx.NodeProto:  # fmt: skip
    if alike:
        return helper.make_node("Identity", [source], [made], f"{made}.same")
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{made}.shape"))
    return helper.make_node("Reshape", [source, f"{made}.shape"], [made], f"{made}.reshape")


def _in_order(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes, each behind those whose outputs it reads."""
    makers = {name: k for k, node in enumerate(nodes) for name in node.output if name}
    after = {
        k: {makers[name] for name in onnx_prepare.reads(node) if name in makers} - {k} for k, node in enumerate(nodes)
    }
    return [nodes[k] for k in TopologicalSorter(after).static_order()]
