"""The integer form of what the post-process unit does alone: poolings, elementwise layers, channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from accel.models.graph import Add, Concat, GlobalPool, Mul, Pool, Select, Sub
from accel.models.inside import elements
from accel.models.integers.layers import Operation
from accel.models.integers.network import (
    ChannelLayer,
    Int8,
    Requantise,
    Residual,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.quantisation.conversion import (
    Conversion,
    NoForm,
    coding,
    declare,
    integer_shape,
    residual_of,
    same_layout,
)
from accel.models.quantisation.fuse import Chain
from accel.models.quantisation.requantise import clip_codes, multiplier_and_shift

IDENTITY = (32768, 15)  # multiplier and shift whose product is exactly 1


def convert_pool(state: Conversion, layer: Pool | GlobalPool, chain: Chain) -> None:
    """A maximum keeps the coding of its input, so that it is exact; an average is a sum with a divisor."""
    operand = state.spec(layer.inputs[0])
    same_layout(state, layer.inputs[0])
    window = layer.window if isinstance(layer, Pool) else Window((operand.shape[1], operand.shape[2]))
    shape = integer_shape(state.network.shapes[layer.output])
    reduce: Literal["max", "sum"]
    counts: tuple[int, ...] = ()
    if layer.kind == "max":
        same = not chain.function and chain.output not in state.joined
        spec = declare(state, chain.output, shape, like=operand if same else None)
        to, table = coding(state, chain, spec, like=operand)
        requantise = _vector_requantise(operand, to, chain, 1, [_from_to(operand, to)], table)
        reduce = "max"
    else:
        size = math.prod(window.kernel)
        if isinstance(layer, Pool) and any(window.pads) and not layer.count_include_pad:
            counts = _counts(window, operand)
        spec = declare(state, chain.output, shape)
        to, table = coding(state, chain, spec)
        pairs = [multiplier_and_shift(operand.scale / (count * to.scale)) for count in counts or (size,)]
        requantise = _vector_requantise(operand, to, chain, size, pairs, table)
        reduce = "sum"
    state.layers.append(
        VectorLayer(layer.name, operand.name, spec.name, reduce, window, requantise, None, chain.source, counts)
    )


def _counts(window: Window, operand: TensorSpec) -> tuple[int, ...]:
    """Of an average that leaves pads out: the numbers of elements inside of a window, a divisor each."""
    if window.dilation != (1, 1):
        raise NoForm(f"average pooling that leaves pads out must have dilation 1, not {window.dilation}")
    return tuple(np.unique(elements(window, *operand.shape[1:])).tolist())


def convert_elementwise(
    state: Conversion, tensor: str, chain: Chain, residual: str | None = None, operation: Operation = "add",
    times: int = 1,
) -> None:  # fmt: skip
    """An activation or an Add of its own: a maximum over a 1 x 1 window, then requantisation, `times` as large."""
    operand = state.spec(tensor)
    spec = declare(state, chain.output, operand.shape)
    alone = chain.looked_up == tensor
    to, table = coding(state, chain, spec, like=operand if alone else None)
    pair = IDENTITY if alone else multiplier_and_shift(times * operand.scale / to.scale)
    requantise = _vector_requantise(operand, to, chain, 1, [pair], table)
    other = replace(residual_of(state, residual, to), operation=operation) if residual else None
    window = Window((1, 1))
    state.layers.append(
        VectorLayer(chain.source[0], operand.name, spec.name, "max", window, requantise, other, chain.source)
    )


def convert_channels(state: Conversion, layer: Concat | Select) -> None:
    """Channels under another name; what has another scale than the result is requantised before, or behind."""
    shape = integer_shape(state.network.shapes[layer.output])
    if isinstance(layer, Concat):
        spec = declare(state, layer.output, shape)
        parts = tuple(_in_scale(state, tensor, spec, layer.name) for tensor in layer.inputs)
        state.layers.append(ChannelLayer(layer.name, parts, spec.name, None, (layer.name,)))
        return
    operand = state.spec(layer.inputs[0])
    wanted = state.specs.get(layer.output, (operand.scale, operand.zero_point))
    same = wanted == (operand.scale, operand.zero_point)
    chosen = declare(state, layer.output if same else f"{layer.output}.chosen", shape, like=operand)
    state.layers.append(ChannelLayer(layer.name, (operand.name,), chosen.name, layer.channels, (layer.name,)))
    if not same:
        _copy(state, chosen, declare(state, layer.output, shape), f"{layer.name}.scale", layer.name)


def _in_scale(state: Conversion, tensor: str, spec: TensorSpec, name: str) -> str:
    """The int8 tensor that holds float tensor `tensor` in the scale of `spec`: a copy if that is another one."""
    operand = state.spec(tensor)
    if (operand.scale, operand.zero_point) == (spec.scale, spec.zero_point):
        return operand.name
    copy = f"{operand.name}.for.{name}"
    if copy not in state.tensors:
        _copy(state, operand, declare(state, copy, operand.shape, like=spec), copy, name)
    return copy


def _copy(state: Conversion, operand: TensorSpec, spec: TensorSpec, name: str, source: str) -> None:
    """A layer that requantises `operand` to `spec`."""
    requantise = _vector_requantise(operand, spec, Chain(spec.name, ()), 1, [_from_to(operand, spec)])
    state.layers.append(VectorLayer(name, operand.name, spec.name, "max", Window((1, 1)), requantise, None, (source,)))


def convert_two(state: Conversion, layer: Add | Sub | Mul, chain: Chain) -> None:
    """Two operands, of which a pixel for a whole map can be the second alone."""
    tensors = layer.inputs
    first, second = (state.spec(t) for t in tensors)
    if first.shape != second.shape and math.prod(first.shape) < math.prod(second.shape):
        if isinstance(layer, Sub):
            raise NoForm(f"a map {second.shape} must not be subtracted from a pixel {first.shape}")
        first, second, tensors = second, first, (tensors[1], tensors[0])
    if second.shape not in (first.shape, (first.shape[0], 1, 1)):
        raise NoForm(f"operands must have one layout, not {first.shape} and {second.shape}")
    if isinstance(layer, Add) and tensors[0] == tensors[1]:  # the halves of a sum would be rounded apart
        convert_elementwise(state, tensors[0], chain, times=2)
        return
    if not isinstance(layer, Mul):
        convert_elementwise(state, tensors[0], chain, tensors[1], "subtract" if isinstance(layer, Sub) else "add")
        return
    spec = declare(state, chain.output, first.shape)
    to, table = coding(state, chain, spec)
    pair = multiplier_and_shift(first.scale * second.scale / to.scale)
    requantise = _vector_requantise(first, to, chain, 1, [pair], table)
    other = Residual(second.name, 0, 0, second.zero_point, "multiply")
    state.layers.append(
        VectorLayer(layer.name, first.name, spec.name, "max", Window((1, 1)), requantise, other, chain.source)
    )


def _vector_requantise(
    operand: TensorSpec, to: TensorSpec, chain: Chain, count: int, pairs: Sequence[tuple[int, int]],
    table: Int8 | None = None,
) -> Requantise:  # fmt: skip
    """Requantisation of the sum of `count` codes (1 for a maximum) of `operand` to the coding `to`: a record a pair."""
    return Requantise(
        np.full(len(pairs), -operand.zero_point * count, np.int32),
        np.array([m for m, _ in pairs], np.uint16),
        np.array([s for _, s in pairs], np.uint8),
        to.zero_point,
        *clip_codes(to, chain.low, chain.high),
        table,
    )


def _from_to(operand: TensorSpec, spec: TensorSpec) -> tuple[int, int]:
    """Multiplier and shift from one scale to another; exact if they are equal."""
    return IDENTITY if operand.scale == spec.scale else multiplier_and_shift(operand.scale / spec.scale)
