"""The integer form of what runs on the array: convolutions and fully connected layers."""

from __future__ import annotations

import numpy as np

from accel.models.errors import InputError
from accel.models.graph import Conv, Linear
from accel.models.integers.network import MatrixLayer, Requantise, Window
from accel.models.quantisation.conversion import (
    Conversion,
    NoForm,
    coding,
    declare,
    integer_shape,
    residual_of,
    same_layout,
)
from accel.models.quantisation.exact import exact_codes
from accel.models.quantisation.fuse import Chain
from accel.models.quantisation.requantise import clip_codes, multiplier_and_shift

# The bias keeps two bits below int32, so that the sum of the products has room beside it.
LARGEST_BIAS = 2**29
INT32_MAX = 2**31 - 1
# What the commands hold of a convolution that does not cover its map (accel.compiler.lower.window).
LARGEST_KERNEL, LARGEST_STRIDE = 127, 15


def check_commands(window: Window, shape: tuple[int, int, int]) -> None:
    """Raise what leaves a convolution to the host that no command holds, on any design: it has an integer form."""
    if max(window.kernel) > LARGEST_KERNEL and window.kernel != shape[1:]:
        height, width = window.kernel
        raise NoForm(f"kernel must be at most {LARGEST_KERNEL} x {LARGEST_KERNEL}, not {height} x {width}")
    if max(window.stride) > LARGEST_STRIDE:
        raise NoForm(f"stride must be at most {LARGEST_STRIDE}, not {max(window.stride)}")


def convert_matrix(state: Conversion, layer: Conv | Linear, chain: Chain) -> None:
    """Convolution or fully connected layer on the array."""
    operand = state.spec(layer.inputs[0])
    shape = state.network.shapes[layer.inputs[0]]
    if isinstance(layer, Conv):
        same_layout(state, layer.inputs[0])
        weights, window, groups = layer.weights, layer.window, layer.groups
        if state.weight_quantiser is None:
            check_commands(window, operand.shape)
    elif len(shape) == 2:
        weights, window, groups = layer.weights[:, :, None, None], Window((1, 1)), 1
    else:
        # The flattened order is (channel, y, x): the weights of one output are a kernel as large as the map.
        weights = layer.weights.reshape(len(layer.weights), *operand.shape)
        window, groups = Window((operand.shape[1], operand.shape[2])), 1
    spec = declare(state, chain.output, integer_shape(state.network.shapes[chain.output]))
    if state.weight_quantiser is None:
        return
    to, table = coding(state, chain, spec)
    bias = layer.bias.astype(np.float64)
    if layer.name in state.codes:
        own, scale = state.codes[layer.name]
        codes, shared = own.reshape(weights.shape), None
    elif isinstance(layer, Conv) and any(window.edges) and (exact := exact_codes(weights)):
        (codes, scale), shared = exact, None
    else:
        codes, scale, shared = state.weight_quantiser(weights, np.abs(bias) / (operand.scale * LARGEST_BIAS))
    flat = codes.reshape(len(codes), -1)
    sums, magnitudes = flat.sum(1, dtype=np.int64), np.abs(flat, dtype=np.int16).sum(1, dtype=np.int64)
    bias_codes = np.rint(bias / (scale * operand.scale)).astype(np.int64) - operand.zero_point * sums
    if (magnitudes * 128 + np.abs(bias_codes)).max() > INT32_MAX:
        raise InputError(f"sum of {flat.shape[1]} products and the bias must fit 32 bits, and can overflow")
    pairs = [multiplier_and_shift(operand.scale * s / to.scale) for s in scale]
    requantise = Requantise(
        bias_codes.astype(np.int32),
        np.array([m for m, _ in pairs], np.uint16),
        np.array([s for _, s in pairs], np.uint8),
        to.zero_point,
        *clip_codes(to, chain.low, chain.high),
        table,
    )
    residual = residual_of(state, chain.residual, to) if chain.residual else None
    state.layers.append(
        MatrixLayer(
            layer.name,
            operand.name,
            spec.name,
            codes,
            window,
            requantise,
            groups,
            residual,
            shared,
            chain.source,
        )
    )
