"""ONNX to Network: the walk over the nodes.

`onnx_load` gives a checked file, `onnx_prepare` the nodes that the output depends on, `onnx_attributes` checked
attributes, `onnx_fold` the constants that constants make; what each operator becomes is in `onnx_ops`. ONNX's shape
inference runs beside ours, and both must agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from accel.models.carried import Carried
from accel.models.errors import Blocked, Blocker, InputError, printable
from accel.models.exchange import (
    onnx_fold,
    onnx_load,
    onnx_merge,
    onnx_ops,
    onnx_prepare,
    onnx_quantised,
    onnx_shapes,
    onnx_transpose,
)
from accel.models.exchange.onnx_attributes import attributes
from accel.models.exchange.onnx_on_codes import write_out
from accel.models.exchange.onnx_reading import Array, Reading
from accel.models.graph import Layer, Network, Shape, build

__all__ = ["read"]


def read(path: str | Path, input_shape: Shape | None = None) -> Network:
    """The network in the ONNX file `path`.

    The first dimension of the input and of every activation is the batch, whatever its size, and is dropped.
    `input_shape`, without the batch, says what the file leaves open. A one-dimensional network, of convolutions along
    (channels, length), becomes one of feature maps (channels, 1, length).

    Raises InputError, naming file, node and operator, for: a file that cannot be read or is not ONNX, an
    operator, attribute or shape without a counterpart in `accel.models.graph`, weights that are NaN or Inf,
    unknown dimensions other than the batch, several inputs or outputs. All nodes that cannot run are in one exception,
    a Blocked; what the output does not depend on is not judged.
    """
    path = Path(path)
    model, stored, values = onnx_load.load(path)
    found = survey(model, stored, printable(path.name), input_shape, values)
    if len(model.graph.output) != 1:
        raise InputError(f"{found.reading.file}: model must have one output, not {len(model.graph.output)}")
    if found.blockers:
        raise Blocked(f"{found.reading.file}: node", tuple(found.blockers.values()))
    return network_of(found)


@dataclass(frozen=True)
class Survey:
    """A model whose nodes have been read, as far as they can be.

    `nodes` are those that the outputs depend on; `blockers` what keeps some from running, by their place in `nodes`;
    `unread` the places of those and of all whose inputs are not known for that reason.
    """

    model: onnx.ModelProto
    reading: Reading
    nodes: tuple[onnx.NodeProto, ...]
    input: str
    blockers: dict[int, Blocker]
    unread: frozenset[int]


def survey(
    model: onnx.ModelProto,
    stored: int,
    file: str,
    input_shape: Shape | None = None,
    values: Mapping[str, Array] | None = None,
    left: Collection[int] = (),
) -> Survey:
    """Read the nodes of a checked model with `stored` constant values. Raises InputError for what is no node's fault.

    `values` are those of initialisers that have a shape only; `left` places of nodes that are not to be read. The model
    is changed: nodes without effect are dropped.
    """
    reading = Reading(file, onnx_load.opset(model, file), stored=stored)
    known = values or {}
    for tensor in model.graph.initializer:
        reading.constants[tensor.name] = (
            known[tensor.name] if tensor.name in known else onnx_load.array(tensor, file)
        )  # fmt: skip
    if model.graph.sparse_initializer:
        raise InputError(f"{file}: sparse initialisers are not supported")
    write_out(reading, model)
    nodes = onnx_prepare.live(model)
    del model.graph.node[:]  # of dead branches ONNX's inference need not know either
    model.graph.node.extend(nodes)
    reading.one_dimensional = onnx_prepare.one_dimensional(model, reading)
    input_name = onnx_prepare.input_of(model, reading, input_shape)
    onnx_transpose.move(model, reading, input_name)
    nodes = onnx_prepare.live(model)
    reading.uses = Counter(name for node in nodes for name in onnx_prepare.reads(node))
    reading.uses.update(output.name for output in model.graph.output)
    blockers, unread = _walk(reading, model, nodes, input_name, left)
    return Survey(model, reading, tuple(nodes), input_name, blockers, unread)


def network_of(found: Survey) -> Network:
    """The network of a model with one output, all of whose nodes could be read. Raises InputError."""
    reading = found.reading
    output = reading.resolve(found.model.graph.output[0].name)
    if output not in reading.shapes:
        raise InputError(f"{reading.file}: output {output!r} must depend on the input, and is constant")
    network = assembled(found, found.input, _needed(reading.layers, output), (output,))
    onnx_shapes.compare(onnx_shapes.strict(found.model, reading, found.input), network, reading)
    return network


def assembled(found: Survey, start: str, layers: tuple[Layer, ...], outputs: tuple[str, ...]) -> Network:
    """The network of layers from tensor `start` on, with what a quantised file says. Raises InputError."""
    reading = found.reading
    layers = onnx_merge.merged(layers, outputs, reading.shapes)
    network = build(Path(reading.file).stem, start, reading.shapes[start], layers, outputs[0], outputs[1:])
    if reading.specs or reading.codes:
        network = replace(network, carried=Carried(onnx_quantised.spread(reading.specs, network), dict(reading.codes)))
    return network


def _walk(
    reading: Reading, model: onnx.ModelProto, nodes: list[onnx.NodeProto], input_name: str, left: Collection[int]
) -> tuple[dict[int, Blocker], frozenset[int]]:
    """Read all nodes; blockers and places as in Survey. Behind a node that cannot run, shapes are ONNX's own."""
    blockers: dict[int, Blocker] = {}
    unread: set[int] = set()
    inferred: dict[str, tuple[int, ...]] | None = None
    for place, node in enumerate(nodes):
        behind = any(reading.resolve(name) in reading.unknown for name in node.input)
        try:
            if place in left:
                pass
            elif behind:
                _check_operator(reading, node)
            else:
                _node(reading, node)
                continue
        except Blocked as error:
            (blockers[place],) = error.blockers
        unread.add(place)
        if inferred is None:
            inferred = onnx_shapes.of_all(model, reading, input_name)
        for name in node.output:
            reading.enter_unread(name, inferred.get(name, ()))
    return blockers, frozenset(unread)


def _check_operator(reading: Reading, node: onnx.NodeProto) -> None:
    """Raise Blocked for an operator that is not supported."""
    if node.domain not in onnx_load.STANDARD_DOMAINS:
        raise reading.error(node, f"operator of domain {node.domain!r} is not supported")
    if node.op_type not in onnx_ops.OPERATORS and node.op_type not in ("Shape", "If"):
        supported = ", ".join(sorted(onnx_ops.OPERATORS))
        raise reading.unsupported(node, f"operator is not supported (supported: {supported})")


def _node(reading: Reading, node: onnx.NodeProto) -> None:
    """Fold `node` into a constant, or append the layer that it becomes."""
    known = all(name in reading.constants for name in node.input if name)
    if node.op_type == "Shape" and not known:
        onnx_fold.shape_of(reading, node)
    elif node.op_type == "If":
        for inner in onnx_prepare.chosen_branch(reading, node):
            _node(reading, inner)
    elif known and node.op_type == "DequantizeLinear" and node.domain in onnx_load.STANDARD_DOMAINS:
        onnx_quantised.constant(reading, node, attributes(reading, node))
    elif known and node.domain in onnx_load.STANDARD_DOMAINS and onnx_fold.foldable(node):
        onnx_fold.fold(reading, node)
    else:
        _check_operator(reading, node)
        with np.errstate(all="ignore"):  # what is too large for float32 is refused where it is used
            onnx_ops.OPERATORS[node.op_type].read(reading, node, attributes(reading, node))


def _needed(layers: dict[str, Layer], output: str) -> tuple[Layer, ...]:
    """The layers that `output` depends on: reading leaves some behind, a Reshape that the next one undoes."""
    wanted = {output}
    kept: list[Layer] = []
    for layer in reversed(layers.values()):
        if layer.output in wanted:
            kept.append(layer)
            wanted.update(layer.inputs)
    return tuple(reversed(kept))
