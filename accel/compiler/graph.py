"""From the network's layers to the steps that run: fused pooling, who reads which tensor, and what no step can be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from accel.compiler.lower.table import lowering
from accel.compiler.parts import Part, parts_of
from accel.compiler.step import Step, inputs
from accel.design import Design, OnChip
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, Layer, Requantise


def steps(network: IntegerNetwork, design: Design, apart: Collection[str] = ()) -> list[Step]:
    """The steps of a network; the layers named in `apart` take no pooling with them.

    A pooling that is fused stands in the step of the layer before it:

        conv1 (x -> a), pool1 (a -> b, max 2 x 2), fc (b -> y)    becomes
        0 matrix conv1 + pool1: x -> b
        1 matrix fc: b -> y

    A layer over a spread input has a step for each of its parts (`accel.compiler.parts`). Raises InputError for a layer
    that no command can express.
    """
    _check_graph(network, design)
    readers: dict[str, list[Layer]] = {name: [] for name in network.tensors}
    for layer in network.layers:
        for tensor in inputs(layer):
            readers[tensor].append(layer)
    fused: set[str] = set()
    made: list[Step] = []
    for layer in network.layers:
        row = lowering(layer, design)
        try:
            parts: Sequence[tuple[Layer, Part | None]] = [(layer, None)]
            if layer.window.spread:
                parts = parts_of(layer, network)
            for part, _ in parts:
                row.check(part, network, design)
        except InputError as error:
            raise InputError(f"{described(layer, design)}: {error}") from None
        if layer.window.spread:
            shape = network.tensors[layer.input].shape
            made += [
                Step(len(made) + k, each, None, row.geometry(each, shape, None), each.requantise, layer.output, part)
                for k, (each, part) in enumerate(parts)
            ]
            continue
        if layer.name in fused:
            continue
        pool = None if layer.name in apart else row.fused(layer, readers[layer.output], network, design)
        geometry = row.geometry(layer, network.tensors[layer.input].shape, pool.window if pool else None)
        output, requantise = layer.output, layer.requantise
        if pool:
            fused.add(pool.name)
            output, requantise = pool.output, _clipped(requantise, pool.requantise)
        made.append(Step(len(made), layer, pool, geometry, requantise, output))
    return made


def described(layer: Layer, design: Design) -> str:
    """A layer in errors: its name, and the ONNX operators that become such a layer."""
    return f"layer {layer.name!r} ({lowering(layer, design).operator(layer)})"


def _clipped(first: Requantise, second: Requantise) -> Requantise:
    """`first` followed by the clipping of `second`."""
    if first.table is not None:
        return replace(first, table=np.clip(first.table, second.low, second.high))
    low = min(max(first.low, second.low), second.high)
    high = min(max(first.high, second.low), second.high)
    return replace(first, low=low, high=high)


def _check_graph(network: IntegerNetwork, design: Design) -> None:
    """Something is computed; all else that a network must be, `IntegerNetwork` has checked."""
    if network.host_steps:
        raise InputError(
            "a program must be of a stretch (accel.models.integers.stretches), not of a network with steps of "
            f"the host: {network.host_steps[0].name!r}"
        )
    if not network.layers:
        raise InputError("network must have a layer that the accelerator runs, and has none")
    for name in network.outputs:
        if name in network.inputs:
            raise InputError(f"output {name!r} must be made by a layer, and is not")
    if isinstance(design.memory, OnChip) and (network.more_inputs or network.more_outputs):
        raise InputError(
            f"a core without DRAM must have one input and one output, not {len(network.inputs)} and "
            f"{len(network.outputs)}"
        )
