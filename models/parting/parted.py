"""A network cut into what the accelerator runs and what the host runs before, between and after that.

Nodes that are not read, and layers without an integer form, are the host's; of the rest the accelerator runs all but
stretches without a multiplication. What the accelerator needs of the host's tensors becomes a HostStep each, or the
head, if it is the one way from the input; what the outputs need becomes the tail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import onnx

from accel.models.errors import Blocked, Blocker, InputError, printable
from accel.models.exchange import onnx_load, onnx_prepare, onnx_read, onnx_shapes
from accel.models.exchange.onnx_read import Survey
from accel.models.graph import Conv, Layer, Linear, Network, Reshape, Shape, stages
from accel.models.host import Array, Host, HostPart, HostStep
from accel.models.macs import macs
from accel.models.parting import onnx_host
from accel.models.parting.onnx_host import Part
from accel.models.quantisation.quantise import blockers

__all__ = ["of_model", "read"]

TFLITE = ".tflite"


def read(path: str | Path, input_shape: Shape | None = None) -> Network:
    """As `accel.models.exchange.onnx_read.read`, of .tflite files too, and of files with nodes that only the host runs.

    Those are the network's `host`; layers without an integer form are among them. A model may have several outputs.
    Raises InputError; a Blocked for nodes with a fault, and if nothing is left for the accelerator.
    """
    path = Path(path)
    if path.suffix == TFLITE:
        from accel.models.exchange import tflite_read  # a sixth of the time that a verb takes to start

        found = onnx_load.Loaded(*tflite_read.load(path), {})
    else:
        found = onnx_load.load(path)
    name = printable(path.name)
    return _parted(
        lambda left: onnx_read.survey(found.model, found.stored, name, input_shape, found.values, left=left)
    )  # fmt: skip


def of_model(model: onnx.ModelProto, name: str, values: Mapping[str, Array]) -> Network:
    """As `read`, of a model in memory whose weights have shapes only, and their `values` by name."""
    stored = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    return _parted(lambda left: onnx_read.survey(model, stored, name, values=values, left=left))


def _parted(survey: Callable[[Collection[int]], Survey]) -> Network:
    """The network of a model, with what the host runs of it. `survey`: without the nodes at some places."""
    reasons: dict[int, Blocker] = {}
    left: set[int] = set()
    while True:
        found = survey(left)
        reasons |= found.blockers
        if any(blocker.fault for blocker in reasons.values()):
            raise Blocked(f"{found.reading.file}: node", tuple(reasons[place] for place in sorted(reasons)))
        whole = len(found.model.graph.output) == 1 and not found.unread
        why = tuple(reasons[place] for place in sorted(reasons))
        network = onnx_read.network_of(found) if whole else _assembled(found, why)
        owners = _owners(found, network)
        more = {owners[blocker.node]: blocker for blocker in blockers(network)}
        idle = set() if more else {owners[name] for name in _without_products(network)}
        if not more and not idle:
            return network
        reasons |= more
        left |= more.keys() | idle


def _owners(found: Survey, network: Network) -> dict[str, int]:
    """By layer the place of its node."""
    owners = {name: place for place, node in enumerate(found.nodes) for name in node.output}
    places = {}
    for layer in network.layers:
        tensor = layer.output
        while tensor not in owners:  # what one node becomes several layers for is called as its output, and more
            tensor = tensor.rpartition(".")[0]
        places[layer.name] = owners[tensor]
    return places


def _without_products(network: Network) -> set[str]:
    """The layers of stretches that multiply nothing, where others do: their bytes would cross for nothing."""
    stage = stages(network)
    members: dict[int, list[Layer]] = {}
    for layer in network.layers:
        if not isinstance(layer, HostStep):
            members.setdefault(stage[layer.output], []).append(layer)
    busy = {number for number, layers in members.items() if any(isinstance(x, Conv | Linear) for x in layers)}
    return {x.name for number, layers in members.items() if busy and number not in busy for x in layers}


class _Cutter:
    """What of a model's tensors the accelerator makes, and parts of the model that begin at these."""

    def __init__(self, found: Survey) -> None:
        self.found, self.reading = found, found.reading
        self.makers = {name: node for node in found.nodes for name in node.output if name}
        self.constants = found.reading.constants.keys()

    @cached_property
    def kinds(self) -> dict[str, int]:
        """The element types of the model's tensors."""
        return onnx_shapes.kinds(self.found.model, self.reading, self.found.input)

    def is_made(self, name: str) -> bool:
        """Whether a layer makes a tensor that is not only another shape."""
        return not isinstance(self.reading.layers.get(name), Reshape | None)

    def starts(self, ends: Iterable[str]) -> tuple[str, ...]:
        """The tensors that the host needs for `ends`, in the order in which they are made."""
        seen, todo, found = set[str](), list(ends), set[str]()
        while todo:
            name = todo.pop()
            if name in seen or name in self.constants:
                continue
            seen.add(name)
            if name == self.found.input or self.is_made(name):
                found.add(name)
            elif name in self.makers:
                todo += [x for x in onnx_prepare.reads(self.makers[name]) if x]
        order = [self.found.input, *self.makers]
        return tuple(name for name in order if name in found)

    def part(self, starts: tuple[str, ...], ends: tuple[str, ...], where: str) -> tuple[tuple[str, ...], int, Part]:
        """Names, multiplications and function of the part between some tensors."""
        batch = self.reading.batch
        shapes = {name: self.reading.full(self.reading.shapes[name]) for name in starts}
        part = Part(b"", starts, tuple(shapes.values()), ends, f"{self.reading.file}: {where}")
        if not part.made:
            return (), 0, part
        model = onnx_host.part(self.found, shapes, part.made, self.kinds)
        return onnx_host.names(model), onnx_host.macs(model, batch), replace(part, model=model.SerializeToString())


def _assembled(found: Survey, reasons: tuple[Blocker, ...]) -> Network:
    """The network of all that could be read, with its host. Raises Blocked if there is nothing for the accelerator."""
    cutter, reading = _Cutter(found), found.reading
    ends = tuple(output.name for output in found.model.graph.output)
    for name in ends:
        if not cutter.starts([name]):
            raise InputError(f"{reading.file}: output {name!r} must depend on the input, and is constant")
    resolved = tuple(reading.resolve(name) for name in ends)
    direct = len(ends) == 1 and resolved[0] in reading.layers
    direct |= len(set(resolved)) == len(ends) and all(map(cutter.is_made, resolved))
    outputs = resolved if direct else cutter.starts(ends)
    layers = _layers(cutter, outputs)
    if not any(not isinstance(layer, HostStep | Reshape) for layer in layers):
        raise Blocked(f"{reading.file}: node", reasons)
    reads_input = found.input in outputs
    outputs = tuple(name for name in outputs if name != found.input)
    head, start = None, found.input
    first = [layer for layer in layers if found.input in layer.inputs and not reads_input]
    if len(first) == 1 and isinstance(first[0], HostStep) and first[0].inputs == (found.input,):
        step, start = first[0], first[0].output
        layers = tuple(layer for layer in layers if layer is not step)
        head = HostPart(step.nodes, step.macs, math.prod(step.shape), step.run)
    network = onnx_read.assembled(found, start, layers, outputs)
    onnx_shapes.compare(onnx_shapes.of_all(found.model, reading, found.input), network, reading)
    tail = None
    if not direct:
        names, count, run = cutter.part((*outputs, *[found.input] * reads_input), ends, "tail")
        tail = HostPart(names, count, sum(math.prod(network.shapes[name]) for name in outputs), run, reads_input)
    between = tuple(layer for layer in layers if isinstance(layer, HostStep))
    if not head and not tail and not between:
        return network
    total = sum(macs(network).values()) + sum(part.macs for part in (head, tail, *between) if part)
    shape = reading.full(reading.shapes[found.input])[1:]
    return replace(network, host=Host(head, tail, reasons, shape, total, between))


def _layers(cutter: _Cutter, outputs: tuple[str, ...]) -> tuple[Layer, ...]:
    """The layers that the outputs depend on, each step of the host in front of the first layer that reads it."""
    reading, found = cutter.reading, cutter.found
    steps: dict[str, HostStep] = {}
    wanted, todo = set[str](), list(outputs)
    while todo:
        name = todo.pop()
        if name in wanted or name == found.input:
            continue
        wanted.add(name)
        if name in reading.layers:
            todo += reading.layers[name].inputs
        else:
            steps[name] = _step(cutter, name)
            todo += steps[name].inputs
    ordered: list[Layer] = []
    for layer in reading.layers.values():
        if layer.output in wanted:
            for name in layer.inputs:
                if name in steps:
                    ordered.append(steps.pop(name))
            ordered.append(layer)
    return tuple(ordered)


def _step(cutter: _Cutter, name: str) -> HostStep:
    """What the host runs for one tensor that the accelerator reads."""
    starts, shapes = cutter.starts([name]), cutter.reading.shapes
    title = printable(name)
    nodes, count, run = cutter.part(starts, (name,), f"host step {title!r}")
    return HostStep(f"{title}.host", starts, name, tuple(shapes[x] for x in starts), shapes[name], nodes, count, run)
