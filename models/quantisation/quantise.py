"""Quantisation after training: a float Network and calibration data to an IntegerNetwork.

Weights become int8, symmetric, per output channel (Jacob et al., arXiv 1712.05877, and Krishnamoorthi,
arXiv 1806.08342); activations int8 with the range that the calibration data show. What the hardware does
on the way out is fused: bias, ReLU / ReLU6 / clip, and an Add as residual. Flatten disappears.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.carried import Carried, Codes, Spec
from accel.models.errors import Blocked, Blocker, InputError
from accel.models.functions import useful_range
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Network,
    Pool,
    Reshape,
    Select,
    Softmax,
    Sub,
    Unary,
    operator_of,
    readers,
)
from accel.models.host import HostStep
from accel.models.inside import elements
from accel.models.integers.layers import Operation
from accel.models.integers.network import (
    AnyLayer,
    ChannelLayer,
    HostLayer,
    Int8,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.quantisation import fuse
from accel.models.quantisation.biases import correct_biases
from accel.models.quantisation.exact import exact_codes
from accel.models.quantisation.fuse import Chain
from accel.models.quantisation.joined import joined, together
from accel.models.quantisation.lookup import table_of
from accel.models.quantisation.ranges import ranges_of
from accel.models.quantisation.requantise import activation_spec, clip_codes, multiplier_and_shift
from accel.models.quantisation.weights import Quantised, WeightQuantiser, per_channel_weights, per_layer_weights

__all__ = ["blockers", "quantise", "shapes_alone"]

# The bias keeps two bits below int32, so that the sum of the products has room beside it.
LARGEST_BIAS = 2**29
INT32_MAX = 2**31 - 1
IDENTITY = (32768, 15)  # multiplier and shift whose product is exactly 1


def quantise(
    network: Network, calibration: NDArray[Any], per_channel: bool = True, correct: bool = True
) -> IntegerNetwork:
    """`network` in int8.

    Arguments:
        calibration: float inputs (n, *input shape), a few hundred typical ones; they set the ranges.
        per_channel: a weight scale for each output channel, or one for each layer.
        correct: biases take back what rounded weights shift (`accel.models.quantisation.biases`).

    Raises InputError for a calibration set that is empty, of the wrong shape or not finite, for a layer
    without an integer form, and for a sum that could overflow 32 bits.

    A network from a file that was quantised (`Network.carried`) keeps its scales, and its weights' codes and biases.
    """
    quantiser = per_channel_weights if per_channel else per_layer_weights
    return _quantise(network, calibration, quantiser, correct, keep_codes=True)


def without_scale(network: Network) -> tuple[str, ...]:
    """The tensors whose scale must come from calibration: all, but those that a quantised file gives."""
    specs = network.carried.specs if network.carried else {}
    state = _State(network, dict.fromkeys(network.shapes, (-1.0, 1.0)), readers(network), None, specs)
    _convert_all(state)
    return tuple(state.calibrated)


def blockers(network: Network) -> tuple[Blocker, ...]:
    """Every layer of `network` that has no integer form whatever its calibration, and why."""
    ranges = dict.fromkeys(network.shapes, (-1.0, 1.0))
    return _convert_all(_State(network, ranges, readers(network), None), _NoForm)


def shapes_alone(network: Network) -> IntegerNetwork:
    """`network` in int8 without numbers: every weight is the code 1, one for all in memory, every range is -1..1.

    For what depends on shapes alone: the time of dense weights. Raises InputError as `quantise` does.
    """
    ranges = dict.fromkeys(network.shapes, (-1.0, 1.0))
    return _network_of(_State(network, ranges, readers(network), _ones))


def _ones(weights: NDArray[np.float32], _: NDArray[np.float64]) -> Quantised:
    return np.broadcast_to(np.int8(1), weights.shape), np.full(len(weights), 1 / 127), None


# What the commands hold of a convolution that does not cover its map (accel.compiler.lower.window).
LARGEST_KERNEL, LARGEST_STRIDE = 127, 15


class _NoForm(InputError):
    """A layer that has no integer form, whatever its numbers; `layer` is another one that is to blame."""

    def __init__(self, message: str, layer: Layer | None = None) -> None:
        super().__init__(message)
        self.layer = layer


@dataclass
class _State:
    """What one quantisation has made so far. `alias` maps a float tensor to the int8 tensor that holds it.

    `specs` and `codes` are what a quantised file gives, and ranges and the quantiser then do not say. Without a
    quantiser only the form of the network is made: matrix layers are left out. `joined`: for tensors that have one
    scale with others the one that stands for all (`accel.models.quantisation.joined`).
    """

    network: Network
    ranges: dict[str, tuple[float, float]]
    readers: dict[str, list[Layer]]
    weight_quantiser: WeightQuantiser | None
    specs: Mapping[str, Spec] = field(default_factory=dict)
    codes: Mapping[str, Codes] = field(default_factory=dict)
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    layers: list[AnyLayer] = field(default_factory=list)
    host_layers: list[HostLayer] = field(default_factory=list)
    host_steps: list[HostStep] = field(default_factory=list)
    calibrated: list[str] = field(default_factory=list)
    joined: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.joined = joined(self.network)
        self.ranges = together(self.ranges, self.joined)

    def spec(self, tensor: str) -> TensorSpec:
        """The int8 tensor that holds float tensor `tensor`."""
        return self.tensors[self.alias[tensor]]


def quantise_with(
    network: Network, calibration: NDArray[Any], weight_quantiser: WeightQuantiser, correct: bool = True
) -> IntegerNetwork:
    """`quantise` with the codes and scales of the weights chosen by `weight_quantiser`."""
    return _quantise(network, calibration, weight_quantiser, correct)


def _quantise(
    network: Network, calibration: NDArray[Any], weight_quantiser: WeightQuantiser, correct: bool,
    keep_codes: bool = False,
) -> IntegerNetwork:  # fmt: skip
    carried = network.carried or Carried()
    ranges = ranges_of(network, calibration)
    codes = carried.codes if keep_codes else {}
    found = _network_of(_State(network, ranges, readers(network), weight_quantiser, carried.specs, codes))
    return correct_biases(network, found, calibration) if correct and not codes else found


def _network_of(state: _State) -> IntegerNetwork:
    """What `state` becomes when all of its layers are converted. Raises InputError."""
    network = state.network
    if found := _convert_all(state):
        raise Blocked(f"{network.name}: layer", found)
    if not state.layers:
        raise InputError(f"{network.name}: network must have a layer that the accelerator runs, and has none")
    output = state.host_layers[-1].input if state.host_layers else state.alias[network.output]
    return IntegerNetwork(
        network.name,
        network.input,
        output,
        state.tensors,
        tuple(state.layers),
        tuple(state.host_layers),
        more_outputs=tuple(state.alias[name] for name in network.more_outputs),
        host_steps=tuple(state.host_steps),
    )


def _convert_all(state: _State, what: type[InputError] = InputError) -> tuple[Blocker, ...]:
    """Append the integer form of every layer; those that raise are returned, if it is a `what`, and left out."""
    network, found = state.network, list[Blocker]()
    _declare(state, network.input, _integer_shape(network.shapes[network.input]))
    fused: set[str] = set()
    for layer in network.layers:
        if layer.name in fused:
            continue
        try:
            fused.update(_convert(state, layer))
        except InputError as error:
            if isinstance(error, what):
                culprit = getattr(error, "layer", None) or layer
                found.append(Blocker(culprit.name, operator_of(culprit), str(error)))
            _declare(state, layer.output, _integer_shape(network.shapes[layer.output]))
    return tuple(found)


def _integer_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The (channels, height, width) of a float tensor; rows of a matrix go along the width."""
    match shape:
        case (features,):
            return features, 1, 1
        case (rows, features):
            return features, 1, rows
        case (channels, height, width):
            return channels, height, width
    raise _NoForm(f"tensor must have 1 to 3 dimensions, not {shape}")


def _declare(state: _State, tensor: str, shape: tuple[int, int, int], like: TensorSpec | None = None) -> TensorSpec:
    """Add the int8 tensor for float tensor `tensor`, with the calibrated range or the coding of `like`."""
    if like:
        spec = TensorSpec(tensor, shape, like.scale, like.zero_point)
    elif tensor in state.specs:
        spec = TensorSpec(tensor, shape, *state.specs[tensor])
    else:
        spec = activation_spec(tensor, shape, *state.ranges[state.joined.get(tensor, tensor)])
        state.calibrated.append(tensor)
    state.tensors[tensor] = spec
    state.alias[tensor] = tensor
    return spec


def _convert(state: _State, layer: Layer) -> set[str]:
    """Append the integer form of `layer`; the names of the layers that it took in."""
    match layer:
        case Reshape():
            _reshape(state, layer)
            return {layer.name}
        case Softmax():
            _softmax(state, layer)
            return {layer.name}
        case HostStep():
            _declare(state, layer.output, _integer_shape(layer.shape))
            state.host_steps.append(replace(layer, inputs=tuple(state.alias[name] for name in layer.inputs)))
            return {layer.name}
        case Concat() | Select():
            _channels(state, layer)
            return {layer.name}

    def addable(operand: str, output: str) -> bool:
        shape = _integer_shape(state.network.shapes[output])
        on_array = isinstance(layer, Linear) or (isinstance(layer, Conv) and not layer.window.spread)
        if not on_array or operand not in state.alias or _integer_shape(state.network.shapes[layer.output]) != shape:
            return False
        return state.spec(operand).shape in (shape, (shape[0], 1, 1))

    chain = fuse.chain_of(state.network, state.readers, layer, addable)
    match layer:
        case Conv() | Linear():
            _matrix(state, layer, chain)
        case Pool() | GlobalPool():
            _pool(state, layer, chain)
        case Add() | Sub() | Mul():
            _two(state, layer, chain)
        case Activation() | Unary():
            _elementwise(state, layer.inputs[0], chain)
    return set(chain.source)


def _residual(state: _State, tensor: str, spec: TensorSpec) -> Residual:
    operand = state.spec(tensor)
    multiplier, shift = multiplier_and_shift(operand.scale / spec.scale)
    return Residual(operand.name, multiplier, shift, operand.zero_point)


def _check_commands(window: Window, shape: tuple[int, int, int]) -> None:
    """Raise what leaves a convolution to the host that no command holds, on any design: it has an integer form."""
    if max(window.kernel) > LARGEST_KERNEL and window.kernel != shape[1:]:
        height, width = window.kernel
        raise _NoForm(f"kernel must be at most {LARGEST_KERNEL} x {LARGEST_KERNEL}, not {height} x {width}")
    if max(window.stride) > LARGEST_STRIDE:
        raise _NoForm(f"stride must be at most {LARGEST_STRIDE}, not {max(window.stride)}")


def _matrix(state: _State, layer: Conv | Linear, chain: Chain) -> None:
    """Convolution or fully connected layer on the array."""
    operand = state.spec(layer.inputs[0])
    shape = state.network.shapes[layer.inputs[0]]
    if isinstance(layer, Conv):
        _same_layout(state, layer.inputs[0])
        weights, window, groups = layer.weights, layer.window, layer.groups
        if state.weight_quantiser is None:
            _check_commands(window, operand.shape)
    elif len(shape) == 2:
        weights, window, groups = layer.weights[:, :, None, None], Window((1, 1)), 1
    else:
        # The flattened order is (channel, y, x): the weights of one output are a kernel as large as the map.
        weights = layer.weights.reshape(len(layer.weights), *operand.shape)
        window, groups = Window((operand.shape[1], operand.shape[2])), 1
    spec = _declare(state, chain.output, _integer_shape(state.network.shapes[chain.output]))
    if state.weight_quantiser is None:
        return
    to, table = _coding(state, chain, spec)
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
    residual = _residual(state, chain.residual, to) if chain.residual else None
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


def _coding(
    state: _State, chain: Chain, made: TensorSpec, like: TensorSpec | None = None
) -> tuple[TensorSpec, Int8 | None]:
    """The coding to which a layer requantises, and the table in which its codes are looked up.

    Without a function that is the coding of the tensor that it makes. `like`: the coding of the argument, if it is one
    that the layer keeps; else it is the file's, or covers what of the argument matters.
    """
    if chain.function is None:
        return made, None
    name = chain.looked_up
    if like:
        to = like
    elif name in state.specs:
        to = TensorSpec(name, made.shape, *state.specs[name])
    else:
        to = activation_spec(name, made.shape, *useful_range(chain.function, *state.ranges[name], made.scale))
        state.calibrated.append(name)
    return to, table_of(chain.function, to, made, *clip_codes(to, chain.low, chain.high))


def _vector_requantise(
    operand: TensorSpec, to: TensorSpec, chain: Chain, count: int, pair: tuple[int, int], table: Int8 | None = None
) -> Requantise:
    """Requantisation of the sum of `count` codes (1 for a maximum) of `operand` to the coding `to`."""
    return Requantise(
        np.array([-operand.zero_point * count], np.int32),
        np.array([pair[0]], np.uint16),
        np.array([pair[1]], np.uint8),
        to.zero_point,
        *clip_codes(to, chain.low, chain.high),
        table,
    )


def _pool(state: _State, layer: Pool | GlobalPool, chain: Chain) -> None:
    """A maximum keeps the coding of its input, so that it is exact; an average is a sum with a divisor."""
    operand = state.spec(layer.inputs[0])
    _same_layout(state, layer.inputs[0])
    window = layer.window if isinstance(layer, Pool) else Window((operand.shape[1], operand.shape[2]))
    shape = _integer_shape(state.network.shapes[layer.output])
    reduce: Literal["max", "sum"]
    if layer.kind == "max":
        same = not chain.function and chain.output not in state.joined
        spec = _declare(state, chain.output, shape, like=operand if same else None)
        to, table = _coding(state, chain, spec, like=operand)
        requantise = _vector_requantise(operand, to, chain, 1, _from_to(operand, to), table)
        reduce = "max"
    else:
        if isinstance(layer, Pool) and any(window.pads) and not layer.count_include_pad:
            _uncounted(state, layer, chain)
            return
        spec = _declare(state, chain.output, shape)
        to, table = _coding(state, chain, spec)
        count = math.prod(window.kernel)
        pair = multiplier_and_shift(operand.scale / (count * to.scale))
        requantise = _vector_requantise(operand, to, chain, count, pair, table)
        reduce = "sum"
    state.layers.append(
        VectorLayer(layer.name, operand.name, spec.name, reduce, window, requantise, None, chain.source)
    )


def _uncounted(state: _State, layer: Pool, chain: Chain) -> None:
    """An average that leaves pads out: a divisor for each number of elements inside."""
    operand, window = state.spec(layer.inputs[0]), layer.window
    if window.dilation != (1, 1):
        raise _NoForm(f"average pooling that leaves pads out must have dilation 1, not {window.dilation}")
    spec = _declare(state, chain.output, _integer_shape(state.network.shapes[layer.output]))
    to, table = _coding(state, chain, spec)
    counts = tuple(np.unique(elements(window, *operand.shape[1:])).tolist())
    pairs = [multiplier_and_shift(operand.scale / (count * to.scale)) for count in counts]
    record = _vector_requantise(operand, to, chain, math.prod(window.kernel), pairs[0], table)
    requantise = replace(
        record,
        bias=np.repeat(record.bias, len(counts)),
        multiplier=np.array([m for m, _ in pairs], np.uint16),
        shift=np.array([s for _, s in pairs], np.uint8),
    )
    state.layers.append(
        VectorLayer(layer.name, operand.name, spec.name, "sum", window, requantise, None, chain.source, counts)
    )


def _elementwise(
    state: _State, tensor: str, chain: Chain, residual: str | None = None, operation: Operation = "add"
) -> None:
    """An activation or an Add of its own: a maximum over a 1 x 1 window, then requantisation."""
    operand = state.spec(tensor)
    spec = _declare(state, chain.output, operand.shape)
    alone = chain.looked_up == tensor
    to, table = _coding(state, chain, spec, like=operand if alone else None)
    pair = IDENTITY if alone else multiplier_and_shift(operand.scale / to.scale)
    requantise = _vector_requantise(operand, to, chain, 1, pair, table)
    other = replace(_residual(state, residual, to), operation=operation) if residual else None
    window = Window((1, 1))
    state.layers.append(
        VectorLayer(chain.source[0], operand.name, spec.name, "max", window, requantise, other, chain.source)
    )


def _from_to(operand: TensorSpec, spec: TensorSpec) -> tuple[int, int]:
    """Multiplier and shift from one scale to another; exact if they are equal."""
    return IDENTITY if operand.scale == spec.scale else multiplier_and_shift(operand.scale / spec.scale)


def _channels(state: _State, layer: Concat | Select) -> None:
    """Channels under another name; what has another scale than the result is requantised before, or behind."""
    shape = _integer_shape(state.network.shapes[layer.output])
    if isinstance(layer, Concat):
        spec = _declare(state, layer.output, shape)
        parts = tuple(_in_scale(state, tensor, spec, layer.name) for tensor in layer.inputs)
        state.layers.append(ChannelLayer(layer.name, parts, spec.name, None, (layer.name,)))
        return
    operand = state.spec(layer.inputs[0])
    wanted = state.specs.get(layer.output, (operand.scale, operand.zero_point))
    same = wanted == (operand.scale, operand.zero_point)
    chosen = _declare(state, layer.output if same else f"{layer.output}.chosen", shape, like=operand)
    state.layers.append(ChannelLayer(layer.name, (operand.name,), chosen.name, layer.channels, (layer.name,)))
    if not same:
        _copy(state, chosen, _declare(state, layer.output, shape), f"{layer.name}.scale", layer.name)


def _in_scale(state: _State, tensor: str, spec: TensorSpec, name: str) -> str:
    """The int8 tensor that holds float tensor `tensor` in the scale of `spec`: a copy if that is another one."""
    operand = state.spec(tensor)
    if (operand.scale, operand.zero_point) == (spec.scale, spec.zero_point):
        return operand.name
    copy = f"{operand.name}.for.{name}"
    if copy not in state.tensors:
        _copy(state, operand, _declare(state, copy, operand.shape, like=spec), copy, name)
    return copy


def _copy(state: _State, operand: TensorSpec, spec: TensorSpec, name: str, source: str) -> None:
    """A layer that requantises `operand` to `spec`."""
    requantise = _vector_requantise(operand, spec, Chain(spec.name, ()), 1, _from_to(operand, spec))
    state.layers.append(VectorLayer(name, operand.name, spec.name, "max", Window((1, 1)), requantise, None, (source,)))


def _two(state: _State, layer: Add | Sub | Mul, chain: Chain) -> None:
    """Two operands, of which a pixel for a whole map can be the second alone."""
    tensors = layer.inputs
    first, second = (state.spec(t) for t in tensors)
    if first.shape != second.shape and math.prod(first.shape) < math.prod(second.shape):
        if isinstance(layer, Sub):
            raise _NoForm(f"a map {second.shape} must not be subtracted from a pixel {first.shape}")
        first, second, tensors = second, first, (tensors[1], tensors[0])
    if second.shape not in (first.shape, (first.shape[0], 1, 1)):
        raise _NoForm(f"operands must have one layout, not {first.shape} and {second.shape}")
    if not isinstance(layer, Mul):
        _elementwise(state, tensors[0], chain, tensors[1], "subtract" if isinstance(layer, Sub) else "add")
        return
    spec = _declare(state, chain.output, first.shape)
    to, table = _coding(state, chain, spec)
    pair = multiplier_and_shift(first.scale * second.scale / to.scale)
    requantise = _vector_requantise(first, to, chain, 1, pair, table)
    other = Residual(second.name, 0, 0, second.zero_point, "multiply")
    state.layers.append(
        VectorLayer(layer.name, first.name, spec.name, "max", Window((1, 1)), requantise, other, chain.source)
    )


def _reshape(state: _State, layer: Reshape) -> None:
    """The same codes under another name: what reads them knows their layout."""
    before = state.network.shapes[layer.inputs[0]]
    # Rows of a matrix lie along the width, so a matrix is not in row-major order.
    if before != layer.shape and any(len(s) == 2 and min(s) > 1 for s in (before, layer.shape)):
        raise _NoForm(f"reshape {before} to {layer.shape} must keep the order of the values, and does not")
    state.alias[layer.output] = state.alias[layer.inputs[0]]


def _same_layout(state: _State, tensor: str) -> None:
    """Raise _NoForm, of the Reshape that made it, for a tensor that is not held in its own shape."""
    operand, shape = state.spec(tensor), state.network.shapes[tensor]
    if operand.shape != shape:
        maker = next((x for x in state.network.layers if x.output == tensor and isinstance(x, Reshape)), None)
        raise _NoForm(f"input must be held as {shape}, not {operand.shape}: only flattening needs no copy", maker)


def _softmax(state: _State, layer: Softmax) -> None:
    if state.network.outputs != (layer.output,):
        raise _NoForm("softmax runs on the host: it must be the last layer, and is not")
    operand = state.spec(layer.inputs[0])
    size_bytes = math.prod(operand.shape)
    flattened = len(state.network.shapes[layer.output]) == 1
    state.host_layers.append(HostLayer(layer.name, "softmax", operand.name, layer.output, size_bytes, flattened))
