"""Quantised files: QuantizeLinear and DequantizeLinear around float operators (QDQ).

Operators on codes are written in this form first (`accel.models.exchange.onnx_on_codes`).

What is read is the float network that the file approximates; the scales and zero points of its activations and the
codes of its weights go along (`accel.models.carried`), so that the int8 network is the file's own. uint8 codes are int8
codes less 128. Weights must have zero point 0, as ours have; others are quantised again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from accel.models.carried import Spec, along
from accel.models.exchange.onnx_reading import Array, Given, Reading, Weights
from accel.models.graph import GlobalPool, Layer, Network, Pool, Reshape, Select

ZERO = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}  # what is taken from a code of this type


def quantise_linear(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """An activation keeps its values; its scale is noted."""
    spec = spec_of(reading, node, 1)
    enter_spec(reading, node, node.input[0], spec)
    reading.copy(node, node.input[0])


def dequantise_linear(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """Of codes that an activation became: the activation."""
    spec = spec_of(reading, node, 1)
    reading.shape(node, node.input[0])
    if _spec_made(reading, reading.resolve(node.input[0])) != spec:
        raise reading.unsupported(node, "scale and zero point must be those of the QuantizeLinear before, and are not")
    reading.copy(node, node.input[0])


def _keeps_codes(layer: Layer | None) -> bool:
    """Whether a layer chooses among codes, or moves them: both sides then have one scale."""
    return isinstance(layer, Reshape | Select) or (isinstance(layer, Pool | GlobalPool) and layer.kind == "max")


def _spec_made(reading: Reading, tensor: str) -> Spec | None:
    """The scale of a tensor of codes."""
    if tensor in reading.specs:
        return reading.specs[tensor]
    layer = reading.layers.get(tensor)
    return _spec_made(reading, layer.inputs[0]) if layer and _keeps_codes(layer) else None


def spread(specs: Mapping[str, Spec], network: Network) -> dict[str, Spec]:
    """`specs` with those of the other sides of layers that keep codes: files say the scale of one side, or of both."""
    found = dict(specs)
    keeping = [(layer.inputs[0], layer.output) for layer in network.layers if _keeps_codes(layer)]
    for before, after in reversed(keeping):
        if after in found:
            found.setdefault(before, found[after])
    for before, after in keeping:
        if before in found:
            found.setdefault(after, found[before])
    return found


def constant(reading: Reading, node: onnx.NodeProto, given: Given) -> None:
    """DequantizeLinear of a constant: its values; of int8 weights with zero points of 0 the codes are noted."""
    codes, scale = reading.constants[node.input[0]], _floats(reading, node, 1)
    zero = reading.constants[node.input[2]] if reading.given(node, 2) else np.zeros(scale.shape, codes.dtype)
    axis = given["axis"]
    if scale.size == 1 and zero.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    if not -codes.ndim <= axis < max(codes.ndim, 1) and scale.ndim:
        raise reading.error(node, f"axis must be one of {codes.ndim} dimensions, not {axis}")
    if scale.ndim > 1 or zero.shape != scale.shape or (scale.ndim == 1 and scale.size != codes.shape[axis]):
        raise reading.unsupported(node, f"scale must be one number, or one for each of axis {axis}, not {scale.shape}")
    shifted = codes.astype(np.int64) - along(zero.astype(np.int64), axis, codes.ndim)
    values = shifted * along(scale.astype(np.float64), axis, codes.ndim)
    reading.constants[node.output[0]] = values.astype(np.float32)
    if codes.dtype in ZERO and shifted.min(initial=0) >= -128 and shifted.max(initial=0) <= 127:
        reading.weights[node.output[0]] = Weights(shifted.astype(np.int8), scale.astype(np.float64), axis)


def spec_of(reading: Reading, node: onnx.NodeProto, index: int) -> Spec:
    """Scale and int8 zero point of an activation, from inputs `index` and the one behind it. Raises Blocked."""
    scale = _floats(reading, node, index)
    zero = np.zeros((), np.uint8)
    if reading.given(node, index + 1):
        name = node.input[index + 1]
        if name not in reading.constants:
            raise reading.unsupported(node, f"zero point {name!r} must be a constant, and depends on the input")
        zero = reading.constants[name]
    if scale.size != 1 or zero.size != 1:
        raise reading.unsupported(node, f"scale of an activation must be one number, not of shape {scale.shape}")
    if zero.dtype not in ZERO:
        raise reading.unsupported(node, f"codes of an activation must be int8 or uint8, not {zero.dtype}")
    return float(scale.reshape(())), int(zero.reshape(())) - ZERO[zero.dtype]


def enter_spec(reading: Reading, node: onnx.NodeProto, tensor: str, spec: Spec) -> None:
    """Note the scale of an activation, which has one."""
    reading.shape(node, tensor)
    tensor = reading.resolve(tensor)
    if reading.specs.setdefault(tensor, spec) != spec:
        raise reading.unsupported(node, f"{tensor!r} must be quantised with one scale, not with several")


def _floats(reading: Reading, node: onnx.NodeProto, index: int) -> Array:
    scale = reading.constant(node, index, "scale")
    if not (scale > 0).all():
        raise reading.error(node, f"scale must be above 0, not {scale.min():g}")
    return scale
