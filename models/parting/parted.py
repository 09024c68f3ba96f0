"""A network cut into what the accelerator runs and what the host runs before and after it.

Every node lies between two places at which one activation alone is alive: the input, and the places at which all
branches have come together. Of the stretches between such places that the accelerator can run in one piece, the one
with the most multiplications is taken; what stands before and behind it is the host's. Further stretches, behind a
host's step in the middle, are the host's too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from accel.models.errors import Blocked, Blocker, printable
from accel.models.exchange import onnx_load, onnx_prepare, onnx_read
from accel.models.exchange.onnx_read import Survey
from accel.models.graph import Conv, Linear, Network, Shape
from accel.models.host import Array, Host, HostPart
from accel.models.macs import layer_macs, macs, positions
from accel.models.parting import onnx_host
from accel.models.quantisation.quantise import blockers

__all__ = ["of_model", "read"]

TFLITE = ".tflite"
Cut = tuple[int, str]  # nodes before it, and the one activation that is alive there


def read(path: str | Path, input_shape: Shape | None = None) -> Network:
    """As `accel.models.exchange.onnx_read.read`, of .tflite files too, and of files with nodes that only the host runs.

    Those are the network's `host`; layers without an integer form are among them. A model may have several outputs.
    Raises InputError; a Blocked for nodes with a fault, and if nothing is left for the accelerator.
    """
    path = Path(path)
    if path.suffix == TFLITE:
        from accel.models.exchange import tflite_read  # a sixth of the time that a verb takes to start

        model, stored = tflite_read.load(path)
    else:
        model, stored = onnx_load.load(path)
    return _parted(onnx_read.survey(model, stored, printable(path.name), input_shape))


def of_model(model: onnx.ModelProto, name: str, values: Mapping[str, Array]) -> Network:
    """As `read`, of a model in memory whose weights have shapes only, and their `values` by name."""
    stored = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    return _parted(onnx_read.survey(model, stored, name, values=values))


def _parted(found: Survey) -> Network:
    """The network of a model, with what the host runs of it. Raises InputError."""
    stored = found.reading.stored
    reasons, unread = dict(found.blockers), found.unread
    if any(blocker.fault for blocker in reasons.values()):
        raise Blocked(f"{found.reading.file}: node", tuple(reasons.values()))
    if len(found.model.graph.output) == 1 and not unread:
        network = onnx_read.network_of(found)
        more = _without_integers(found, network)
        if not more:
            return network
        reasons |= more
    while True:
        begin, end = _stretch(found, unread | reasons.keys(), tuple(reasons.values()))
        network = _between(found, begin, end, stored)
        more = _without_integers(found, network)
        if not more:
            return replace(network, host=_host(found, begin, end, network, tuple(reasons.values())))
        reasons |= more


def _without_integers(found: Survey, network: Network) -> dict[int, Blocker]:
    """What has no integer form, by the place of its node."""
    owners = {name: place for place, node in enumerate(found.nodes) for name in node.output}
    tensors = {layer.name: layer.output for layer in network.layers}
    places = {}
    for blocker in blockers(network):
        tensor = tensors[blocker.node]
        while tensor not in owners:  # what one node becomes several layers for is called as its output, and more
            tensor = tensor.rpartition(".")[0]
        places[owners[tensor]] = blocker
    return places


def _cuts(found: Survey) -> list[Cut]:
    """All places at which one activation alone is alive, in order."""
    constants = found.reading.constants
    steps = [
        (place, set(onnx_prepare.reads(node)), [name for name in node.output if name])
        for place, node in enumerate(found.nodes)
        if not all(name in constants for name in node.output if name)
    ]
    readers = Counter(name for _, read, _ in steps for name in read)
    readers.update(output.name for output in found.model.graph.output)
    alive = {found.input}
    cuts = [(0, found.input)]
    for place, read, made in steps:
        for name in read & alive:
            readers[name] -= 1
        alive = {name for name in alive.union(made) if readers[name] > 0}
        if len(alive) == 1:
            cuts.append((place + 1, next(iter(alive))))
    return cuts


def _stretch(found: Survey, unread: Collection[int], reasons: tuple[Blocker, ...]) -> tuple[Cut, Cut]:
    """The ends of the stretch that the accelerator runs. Raises Blocked if there is none."""
    layers = found.reading.layers
    weights = {
        layer.output: layer_macs(layer.weights.size, positions(layer, found.reading.shapes[layer.output]))
        for layer in layers.values()
        if isinstance(layer, Conv | Linear)
    }
    cuts = _cuts(found)
    best, most, first, total = None, (-1, -1), 0, 0
    count = 0
    for index in range(1, len(cuts)):
        places = range(cuts[index - 1][0], cuts[index][0])
        if any(place in unread for place in places):
            first, total, count = index, 0, 0
            continue
        made = [name for place in places for name in found.nodes[place].output]
        total += sum(weights.get(name, 0) for name in made)
        count += sum(name in layers for name in made)
        if count and (total, count) > most:
            best, most = (cuts[first], cuts[index]), (total, count)
    if best is None:
        raise Blocked(f"{found.reading.file}: node", reasons)
    return best


def _full(found: Survey, tensor: str) -> Shape:
    """The shape of an activation as ONNX has it, batch included."""
    return found.reading.full(found.reading.shapes[found.reading.resolve(tensor)])


def _between(found: Survey, begin: Cut, end: Cut, stored: int) -> Network:
    """The network from one cut to another. Raises InputError."""
    model = onnx_host.part(found, begin[1], _full(found, begin[1]), (end[1],))
    return onnx_read.network_of(onnx_read.survey(model, stored, found.reading.file))


def _host(found: Survey, begin: Cut, end: Cut, network: Network, reasons: tuple[Blocker, ...]) -> Host:
    """The parts before and behind `network`, which lies between two cuts."""
    file, batch = found.reading.file, found.reading.batch
    head = tail = None
    full = _full(found, found.input)
    if any(found.nodes[place].op_type != "Identity" for place in range(begin[0])) and begin[1] != found.input:
        model = onnx_host.part(found, found.input, full, (begin[1],))
        shape = network.shapes[network.input]
        before = onnx_host.runner(model, f"{file}: head", batch)
        head = HostPart(
            onnx_host.names(model), onnx_host.macs(model, batch), math.prod(shape),
            lambda x: [y.reshape(-1, *shape) for y in before(x)],
        )  # fmt: skip
    outputs = tuple(output.name for output in found.model.graph.output)
    if outputs != (end[1],):
        entered = _full(found, end[1])
        model = onnx_host.part(found, end[1], entered, outputs)
        behind = onnx_host.runner(model, f"{file}: tail", batch)
        tail = HostPart(
            onnx_host.names(model), onnx_host.macs(model, batch), math.prod(entered[1:]),
            lambda x: behind(x.reshape(-1, *entered[1:])),
        )  # fmt: skip
    total = sum(macs(network).values()) + sum(part.macs for part in (head, tail) if part)
    return Host(head, tail, reasons, full[1:], total)
