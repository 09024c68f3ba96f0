"""From the network's layers to the steps that run: fused pooling, who reads which tensor, and what no step can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from accel.compiler.lower.filter import is_filter
from accel.compiler.lower.table import lowering
from accel.compiler.parts import Part, counted_parts, parts_of
from accel.compiler.placement import Spot, place
from accel.compiler.step import OnArray, Step
from accel.design import Design, OnChip
from accel.models.errors import InputError
from accel.models.integers.network import (
    AnyLayer,
    ChannelLayer,
    IntegerNetwork,
    Layer,
    Requantise,
    VectorLayer,
)
from accel.models.integers.stretches import read_by


def steps(
    network: IntegerNetwork, design: Design, apart: Collection[str] = (), spots: Mapping[str, Spot] | None = None
) -> list[Step]:
    """The steps of a network; the layers named in `apart` take no pooling with them. Channel layers are no steps.

    `spots` of the tensors, if they have been placed already.

    A pooling that is fused stands in the step of the layer before it:

        conv1 (x -> a), pool1 (a -> b, max 2 x 2), fc (b -> y)    becomes
        0 matrix conv1 + pool1: x -> b
        1 matrix fc: b -> y

    A layer over a spread input has a step for each of its parts (`accel.compiler.parts`). Raises InputError for a layer
    that no command can express.
    """
    if spots is None:
        check_graph(network, design)
        placed = place(network, design.word_lanes)
        network, spots = placed.network, placed.spots
    readers: dict[str, list[AnyLayer]] = {name: [] for name in network.tensors}
    for layer in network.layers:
        for tensor in dict.fromkeys(read_by(layer)):
            readers[tensor].append(layer)
    fused: set[str] = set()
    made: list[Step] = []
    for layer in network.layers:
        if isinstance(layer, ChannelLayer):
            continue
        source, added = spots[layer.input], spots[layer.residual.tensor] if layer.residual else None
        layer = _where(layer, source, design)
        row = lowering(layer, design)
        try:
            parts: Sequence[tuple[Layer, Part | None]] = [(layer, None)]
            if layer.window.spread:
                parts = [(_where(one, source, design), part) for one, part in parts_of(layer, network)]
            elif isinstance(layer, VectorLayer) and layer.counts:
                parts = counted_parts(layer, network)
            for one, _ in parts:
                lowering(one, design).check(one, network, design)
        except InputError as error:
            raise InputError(f"{described(layer, design)}: {error}") from None
        shape = (source.channels, *network.tensors[layer.input].shape[1:])
        if parts[0][1] is not None:
            for each, part in parts:
                geometry, target = lowering(each, design).geometry(each, shape, None), spots[layer.output]
                step = Step(len(made), each, None, geometry, each.requantise, layer.output, source, target, added, part)
                made.append(step)
            continue
        if layer.name in fused:
            continue
        pool = None if layer.name in apart else row.fused(layer, readers[layer.output], network, design)
        geometry = row.geometry(layer, shape, pool.window if pool else None)
        output, requantise = layer.output, layer.requantise
        if pool:
            fused.add(pool.name)
            output, requantise = pool.output, _clipped(requantise, pool.requantise)
        made.append(Step(len(made), layer, pool, geometry, requantise, output, source, spots[output], added))
    return made


def _where(layer: Layer, source: Spot, design: Design) -> Layer:
    """The layer, on the array if the filter would leave its channels in the lanes of what it reads."""
    return OnArray.of(layer) if source.lanes is not None and is_filter(layer, design) else layer


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


def _has_table(layer: AnyLayer) -> bool:
    """Whether its outputs are looked up."""
    return isinstance(layer, Layer) and layer.requantise.table is not None


def check_graph(network: IntegerNetwork, design: Design) -> None:
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
    looked_up = [] if design.tables else [each for each in network.layers if _has_table(each)]
    if looked_up:
        raise InputError(
            f"layer {looked_up[0].name!r}: a function of one activation must have a design with tables, and "
            f"{design.name} has none"
        )
    if isinstance(design.memory, OnChip) and (network.more_inputs or network.more_outputs):
        raise InputError(
            f"a core without DRAM must have one input and one output, not {len(network.inputs)} and "
            f"{len(network.outputs)}"
        )
