"""From the network's layers to the steps that run: fused pooling, who reads which tensor, and what no step can be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from accel.compiler.lower.table import lowering
from accel.compiler.step import KIND_OF, Step, inputs
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, Layer, Requantise, VectorLayer


def steps(network: IntegerNetwork, design: Design, apart: Collection[str] = ()) -> list[Step]:
    """The steps of a network; the layers named in `apart` take no pooling with them.

    A pooling that is fused stands in the step of the layer before it:

        conv1 (x -> a), pool1 (a -> b, max 2 x 2), fc (b -> y)    becomes
        0 matrix conv1 + pool1: x -> b
        1 matrix fc: b -> y

    Raises InputError for a layer that no command can express.
    """
    _check_graph(network)
    readers: dict[str, list[Layer]] = {name: [] for name in network.tensors}
    for layer in network.layers:
        for tensor in inputs(layer):
            readers[tensor].append(layer)
    fused: set[str] = set()
    made: list[Step] = []
    for layer in network.layers:
        row = lowering(layer, design)
        try:
            row.check(layer, network, design)
        except InputError as error:
            raise InputError(f"{described(layer, design)}: {error}") from None
        if layer.name in fused:
            continue
        pool = None if layer.name in apart else _pool(layer, readers[layer.output], network, design)
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


def _pool(layer: Layer, readers: list[Layer], network: IntegerNetwork, design: Design) -> VectorLayer | None:
    """The max pooling that alone reads a matrix layer's output, if it can run over the accumulators.

    Windows that overlap would make the rows that blocks share twice: only if all fit the accumulators at once.
    """
    if KIND_OF[type(layer)] != "matrix" or layer.residual or layer.output == network.output or len(readers) != 1:
        return None
    pool = readers[0]
    if not isinstance(pool, VectorLayer) or pool.reduce != "max" or pool.residual:
        return None
    height, width = network.tensors[layer.output].shape[1:]
    window, words = pool.window, design.accumulator_words
    if window.dilation != (1, 1) or not _identity(pool.requantise):
        return None
    if window.kernel == (1, 1) or window.kernel[0] * window.kernel[1] > words:
        return None
    apart = window.stride[0] >= window.kernel[0] and window.stride[1] >= window.kernel[1]
    return pool if apart or height * width <= words else None


def _identity(r: Requantise) -> bool:
    """Whether codes pass unchanged but for the clip limits."""
    if len(r.bias) != 1 or int(r.bias[0]) != -r.zero_point:
        return False
    return int(r.multiplier[0]) == 1 << int(r.shift[0])


def _clipped(first: Requantise, second: Requantise) -> Requantise:
    """`first` followed by the clipping of `second`."""
    low = min(max(first.low, second.low), second.high)
    high = min(max(first.high, second.low), second.high)
    return replace(first, low=low, high=high)


def _check_graph(network: IntegerNetwork) -> None:
    """Something is computed; all else that a network must be, `IntegerNetwork` has checked."""
    if not network.layers:
        raise InputError("network must have a layer that the accelerator runs, and has none")
    if network.output == network.input:
        raise InputError(f"output {network.output!r} must be made by a layer, and is not")
