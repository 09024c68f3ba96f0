"""Forward pass of an IntegerNetwork, exact to the bit and at the speed of a floating-point BLAS.

Why the floating-point products are exact: every product, every partial sum in any order and every fused
multiply-add is an integer, of magnitude at most B = max over channels of sum(|weight|) * 128. A float
with p bits of significand holds every integer up to 2**p, so nothing is ever rounded when B <= 2**24
(float32) or B <= 2**53 (float64, which covers any sum that fits int32).

Why requantisation in float64 is exact: |acc|, |bias| < 2**31 and multiplier < 2**16, so acc * multiplier,
bias * multiplier, the rounding term (at most 2**46) and their sums stay below 2**53; dividing each by 2**shift
changes only its exponent; and floor of an exact quotient is the arithmetic shift.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.host import HostStep
from accel.models.inside import elements
from accel.models.integers.ends import divided, joined
from accel.models.integers.layers import CODES
from accel.models.integers.network import (
    AnyLayer,
    ChannelLayer,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    TensorSpec,
    VectorLayer,
)
from accel.models.integers.stretches import in_order, read_by, stretches
from accel.models.reference import im2col, recode

__all__ = ["dequantise_output", "quantise_input", "run"]

Array = NDArray[Any]
Int8 = NDArray[np.int8]
Change = Callable[[MatrixLayer, Array], Requantise]
Weights = Callable[[MatrixLayer], Array]
# Images at a time: of small tensors as many as make products wide; of others few, since sums that leave the processor's
# cache, 4 bytes a code, cost a convolution half of its speed (LeNet-5, 256 images: 40 of 80 us, and 10 of 20).
CHUNK, LARGEST_CHUNK, CHUNK_CODES = 64, 256, 2**20
PIECE = 2**15  # sums that are requantised at a time: in float64 they stay in its second level
LARGEST_KEPT = 2**22  # weights of a layer whose real numbers are kept from one chunk to the next


def run(network: IntegerNetwork, inputs: Int8, all_tensors: bool = False) -> dict[str, Int8]:
    """The int8 tensors of `network` by name, each (n, channels, height, width), for int8 `inputs`.

    Only the outputs, or every tensor if `all_tensors`. `inputs` is (n, channels, height, width) in codes; of several
    inputs as `accel.models.integers.ends` has them.

    Raises InputError if the inputs are not int8 or have another shape.
    """
    shapes = [network.tensors[name].shape for name in network.inputs]
    shape = shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)),)
    if inputs.dtype != np.int8 or inputs.ndim != 1 + len(shape) or inputs.shape[1:] != shape or not len(inputs):
        raise InputError(
            f"{network.name}: inputs must be int8 of shape (n, {', '.join(map(str, shape))}) with n > 0, "
            f"not {inputs.dtype} of shape {inputs.shape}"
        )
    wanted = list(network.tensors) if all_tensors else list(network.outputs)
    parts: dict[str, list[Int8]] = {name: [] for name in wanted}
    weights, step = _kept_weights(), _images_at_a_time(network)
    for start in range(0, len(inputs), step):
        # Channels first and batch last, so that the result of one layer's product is the next layer's input.
        entered = divided(inputs[start : start + step], shapes)
        tensors = {name: batch_last(codes) for name, codes in zip(network.inputs, entered, strict=True)}
        forward(network, tensors, pooled={} if all_tensors else _pooled(network), weights=weights)
        for name in wanted:
            parts[name].append(np.moveaxis(tensors[name], -1, 0))
    return {name: np.concatenate(chunks) for name, chunks in parts.items()}


def _images_at_a_time(network: IntegerNetwork) -> int:
    largest = max(math.prod(spec.shape) for spec in network.tensors.values())
    return max(CHUNK, min(LARGEST_CHUNK, CHUNK_CODES // largest // CHUNK * CHUNK))


def batch_last(codes: Array) -> Array:
    """Codes (n, channels, height, width) as `forward` takes them."""
    return np.ascontiguousarray(np.moveaxis(codes, 0, -1))


def forward(
    network: IntegerNetwork, tensors: dict[str, Int8], change: Change = lambda layer, sums: layer.requantise,
    pooled: Mapping[str, VectorLayer] = MappingProxyType({}), weights: Weights = lambda layer: real_weights(layer),
) -> None:  # fmt: skip
    """Add all other tensors to `tensors`, which has the inputs, each (channels, height, width, n).

    `change` says what becomes of a matrix layer's sums, once they are known. Of `pooled` (`_pooled`) only the maximum
    is added, not what it is of. `weights`: as `real_weights`.
    """
    maxima = {id(layer) for layer in pooled.values()}
    for part in in_order(network.inputs, network.layers, network.host_steps):
        if isinstance(part, HostStep):
            tensors[part.output] = _run_step(network, part, tensors)
        elif isinstance(part, MatrixLayer) and part.output in pooled:
            layer = pooled[part.output]
            sums = matrix_sums(part, tensors[part.input], network.tensors[part.input].zero_point, weights)
            largest = recode.largest(sums, layer.window, part.requantise)
            if largest is None:
                largest = requantise(im2col.reduced(np.maximum, im2col.taps(sums, layer.window)), part.requantise)
            tensors[layer.output] = recoded(largest, layer.requantise)
        elif id(part) not in maxima:
            tensors[part.output] = run_layer(network, part, tensors, change, weights)


def _pooled(network: IntegerNetwork) -> dict[str, VectorLayer]:
    """Maxima, by the name of what they are of: sums of a matrix layer, which may be pooled before they are requantised.

    No larger sum has a smaller code. Nothing else reads what they are of, and their windows have no padding.
    """
    read = Counter(name for layer in network.layers for name in read_by(layer))
    read.update(name for step in network.host_steps for name in step.inputs)
    read.update(network.outputs)
    made = {layer.output: layer for layer in network.layers if isinstance(layer, MatrixLayer)}
    return {
        layer.input: layer
        for layer in network.layers
        if isinstance(layer, VectorLayer) and layer.reduce == "max" and layer.residual is None
        and not any(layer.window.pads) and not layer.window.spread
        and layer.input in made and read[layer.input] == 1
        and made[layer.input].residual is None and made[layer.input].requantise.table is None
    }  # fmt: skip


def _run_step(network: IntegerNetwork, step: HostStep, tensors: dict[str, Int8]) -> Int8:
    """The output of a step of the host: real values of codes in, codes of real values out."""
    inputs = [
        real_values(network.tensors[name], np.moveaxis(tensors[name], -1, 0), shape)
        for name, shape in zip(step.inputs, step.shapes, strict=True)
    ]
    (values,) = step.run(inputs)
    values = np.asarray(values, np.float32).reshape(len(values), *step.shape)
    codes = codes_of(network.tensors[step.output], values, f"{network.name}: output of host step {step.name!r}")
    return batch_last(codes)


def stretch_codes(network: IntegerNetwork, inputs: Int8) -> list[tuple[IntegerNetwork, Int8]]:
    """Each stretch of `network` (`accel.models.integers.stretches`) with the codes that it reads, for input codes."""
    parts = stretches(network)
    if len(parts) == 1 and not network.host_steps:
        return [(network, inputs)]
    tensors = run(network, inputs, all_tensors=True)
    return [(part, joined(part, tensors)) for part in parts]


def real_values(spec: TensorSpec, codes: Int8, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What codes (n, channels, height, width) stand for, as a float network's tensor (n, *shape)."""
    values = ((codes.astype(np.float64) - spec.zero_point) * spec.scale).astype(np.float32)
    if len(shape) == 2:  # rows of a matrix lie along the width
        values = values[:, :, 0].swapaxes(1, 2)
    return values.reshape(len(values), *shape)


def codes_of(spec: TensorSpec, floats: Array, what: str) -> Int8:
    """Codes (n, channels, height, width) of a float network's tensor; values outside its range saturate.

    Raises InputError, naming `what`, for another shape, or values that are not finite.
    """
    if floats.ndim == 2:
        floats = floats[:, :, None, None]
    elif floats.ndim == 3:
        floats = floats.swapaxes(1, 2)[:, :, None, :]
    if floats.ndim != 4 or floats.shape[1:] != spec.shape:
        raise InputError(f"{what} must be (n, *{spec.shape}), not {floats.shape}")
    codes = np.empty(floats.shape, np.int8)
    for start in range(0, len(floats), CHUNK):  # so few that they stay in the processor's cache
        part = floats[start : start + CHUNK]
        if not np.isfinite(part).all():
            raise InputError(f"{what} must be finite, not NaN or Inf")
        codes[start : start + CHUNK] = np.clip(np.rint(part / spec.scale) + spec.zero_point, -128, 127)
    return codes


def run_layer(
    network: IntegerNetwork, layer: AnyLayer, tensors: dict[str, Int8],
    change: Change = lambda layer, sums: layer.requantise, weights: Weights = lambda layer: real_weights(layer),
) -> Int8:  # fmt: skip
    """The output of one layer, with all tensors as (channels, height, width, n); the others as of `forward`."""
    if isinstance(layer, ChannelLayer):
        joined = np.concatenate([tensors[name] for name in layer.inputs])
        return joined if layer.channels is None else joined[list(layer.channels)]
    x = tensors[layer.input]
    zero_point = network.tensors[layer.input].zero_point
    to = layer.requantise
    if isinstance(layer, MatrixLayer):
        sums = matrix_sums(layer, x, zero_point, weights)
        to = change(layer, sums)
    elif layer.reduce == "max":
        views = im2col.taps(im2col.pad(x, layer.window, -128), layer.window)
        sums = im2col.reduced(np.maximum, views)
        if layer.residual is None:
            return recoded(sums, to)
    else:
        views = im2col.taps(im2col.pad(x, layer.window, zero_point), layer.window)
        sums = im2col.reduced(np.add, views, np.int32)
        if layer.counts:
            which = np.searchsorted(layer.counts, elements(layer.window, *x.shape[1:3]))
            return _by_place(sums, to, which[:, :, None])
    residual = tensors[layer.residual.tensor] if layer.residual else None
    return requantise(sums, to, layer.residual, residual)


def _by_place(sums: Array, to: Requantise, which: Array) -> Int8:
    """Codes from `sums`, with the record of number `which` (height, width, 1)."""
    found = np.empty(sums.shape, np.int8)
    for number in range(len(to.bias)):
        one = slice(number, number + 1)
        record = replace(to, bias=to.bias[one], multiplier=to.multiplier[one], shift=to.shift[one])
        found = np.where(which == number, requantise(sums, record), found)
    return found


def real_weights(layer: MatrixLayer) -> Array:
    """The weights in the floating point in which all sums of the layer are exact."""
    return layer.weights.astype(np.float32 if layer.largest_sum <= 2**24 else np.float64)


def _kept_weights() -> Weights:
    """`real_weights`, made once of each layer that is not large."""
    known: dict[int, Array] = {}

    def of(layer: MatrixLayer) -> Array:
        if layer.weights.size > LARGEST_KEPT:
            return real_weights(layer)
        if id(layer) not in known:
            known[id(layer)] = real_weights(layer)
        return known[id(layer)]

    return of


def matrix_sums(layer: MatrixLayer, x: Int8, zero_point: int, weights: Weights = real_weights) -> Array:
    """The 32-bit sums of a matrix layer, as exact integers in floating point; padding is the zero point."""
    return im2col.convolution(x, weights(layer), layer.window, layer.groups, zero_point, any_order=True)


def requantise(sums: Array, to: Requantise, residual: Residual | None = None, operand: Int8 | None = None) -> Int8:
    """Codes from `sums` (channels, height, width, n); `operand` of the residual has that shape, or one pixel."""
    if residual is None and (found := recode.codes(sums, to)) is not None:
        return found if to.table is None else to.table[found.astype(np.int16) - CODES[0]]
    codes = np.empty(sums.shape, np.int8)
    step = max(1, PIECE // (sums.size // sums.shape[1]))
    for top in range(0, sums.shape[1], step):
        rows = slice(top, top + step)
        other = operand[:, rows] if operand is not None and operand.shape[1] == sums.shape[1] else operand
        y = _scaled_sum(sums[:, rows], to, residual, other)
        y += to.zero_point
        codes[:, rows] = np.clip(y, to.low, to.high, out=y)
    return codes if to.table is None else to.table[codes.astype(np.int16) - CODES[0]]


def recoded(codes: Int8, to: Requantise) -> Int8:
    """`requantise` of codes: with one record for all channels each code that there is is computed once.

    Most poolings leave them as they are.
    """
    if len(to.bias) > 1:
        return requantise(codes, to)
    if (int(to.multiplier[0]), int(to.bias[0])) == (1 << int(to.shift[0]), -to.zero_point) and _unlimited(to):
        return codes
    every = np.arange(CODES[0], CODES[1] + 1).astype(np.int8)
    table = requantise(every.reshape(1, 1, 1, -1), to).ravel()
    return codes if (table == every).all() else table[codes.astype(np.int16) - CODES[0]]


def _unlimited(to: Requantise) -> bool:
    """Whether every code can come out of a requantisation."""
    return (to.low, to.high) == CODES and to.table is None


def _scaled_sum(sums: Array, to: Requantise, residual: Residual | None, operand: Int8 | None) -> Array:
    channels = (-1, 1, 1, 1)
    bias, multiplier, shift = (part.reshape(channels) for part in (to.bias, to.multiplier, to.shift))
    if residual is None or operand is None:
        return _scaled(sums, bias, multiplier, shift)
    if residual.operation == "multiply":
        factor = operand.astype(np.float64) - residual.zero_point
        return _scaled((sums.astype(np.float64) + bias) * factor, np.zeros(1), multiplier, shift)
    y = _scaled(sums, bias, multiplier, shift)
    sign = -1 if residual.operation == "subtract" else 1
    terms = sign * (operand.astype(np.float64) - residual.zero_point)
    y += _scaled(terms, *(np.array(v) for v in (0, residual.multiplier, residual.shift)))
    return y


def _scaled(sums: Array, bias: Array, multiplier: Array, shift: Array) -> Array:
    """round_shift((sums + bias) * multiplier, shift) in float64; the rounding term is 0 for shift 0."""
    factor = multiplier * np.exp2(-shift.astype(np.float64))
    y = sums.astype(np.float64)
    y *= factor
    y += bias * factor + 0.5 * (shift > 0)
    return np.floor(y, out=y)


def quantise_input(network: IntegerNetwork, floats: Array) -> Int8:
    """Codes (n, channels, height, width) of real inputs.

    `floats` is (n, channels, height, width), (n, rows, features) or (n, features). Values outside the
    calibrated range saturate.

    Raises InputError for another shape, or values that are not finite.
    """
    return codes_of(network.tensors[network.input], np.asarray(floats), f"{network.name}: inputs")


def dequantise_output(network: IntegerNetwork, codes: Int8) -> NDArray[np.float32]:
    """Real values of output codes (n, channels, height, width), after the host layers (softmax).

    A vector, and what a softmax over a flattened map gives, come back as (n, features), anything else in the shape of
    `codes`. Raises InputError for another host layer.
    """
    spec = network.tensors[network.output]
    values = ((codes.astype(np.float64) - spec.zero_point) * spec.scale).astype(np.float32)
    for layer in network.host_layers:
        if layer.kind != "softmax":
            raise InputError(f"{network.name}: host layer {layer.name!r} must be softmax, not {layer.kind}")
        values = values.reshape(len(values), -1) if layer.flattened else values
        e = np.exp(values - values.max(1, keepdims=True))
        values = e / e.sum(1, keepdims=True)
    return values.reshape(len(values), -1) if spec.shape[1:] == (1, 1) else values
