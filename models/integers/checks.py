"""What must hold of an integer network, whoever made it: quantisation, a file, a benchmark, a test.

`check` is called by `IntegerNetwork` itself, so that there is no network that it has not seen. It reads each weight
once. What it does not know is what a machine can hold: that is the compiler's to refuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from accel.models.errors import InputError
from accel.models.host import HostStep
from accel.models.inside import elements
from accel.models.integers.layers import (
    CODES,
    LARGEST_MULTIPLIER,
    LARGEST_SHIFT,
    AnyLayer,
    ChannelLayer,
    HostLayer,
    MatrixLayer,
    Operation,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
)
from accel.models.phases import phases
from accel.models.window import Window

SUM_BITS = 32
Ends = tuple[str, tuple[str, ...]]  # the first input or output, and the others
LARGEST_FACTOR = 2**16 - 129  # of 17 bits, with a code added
TABLE_ENTRIES = CODES[1] - CODES[0] + 1


def check(
    name: str, enter: Ends, leave: Ends, tensors: Mapping[str, TensorSpec],
    layers: tuple[AnyLayer, ...], host_layers: tuple[HostLayer, ...],
    host_steps: tuple[HostStep, ...] = (),
) -> None:  # fmt: skip
    """Raise InputError, one line with the layer and what is wrong, unless these are the parts of a network.

    `enter` and `leave` are inputs and outputs. Every tensor is an input or written by one layer, before any layer reads
    it, in the shape that the layer makes of what it reads; numbers are in the ranges that `docs/formats.md`, "Integer
    arithmetic", gives; zero points that stand in two places are equal; shared weights are the codebook's; no sum of
    products can leave 32 bits.
    """
    _is("name", name, str)
    _is(f"{name}: tensors", tensors, dict)
    _is(f"{name}: layers", layers, tuple)
    _is(f"{name}: host layers", host_layers, tuple)
    for key, spec in tensors.items():
        try:
            _check_tensor(key, spec)
        except InputError as error:
            raise InputError(f"{name}: tensor {key!r}: {error}") from None
    inputs = _ends(name, "input", enter, tensors)
    outputs = _ends(name, "output", leave, tensors)
    names: set[str] = set()
    known = {end: tensors[end] for end in inputs}
    steps = list(_host_steps(name, host_steps, tensors))
    for layer in (*layers, None):
        while ready := [step for step in steps if all(tensor in known for tensor in step.inputs)]:
            steps.remove(ready[0])
            if ready[0].output in known:
                raise InputError(f"{name}: host step {ready[0].name!r} must write a tensor that nothing else writes")
            known[ready[0].output] = tensors[ready[0].output]
        if layer is None:
            break
        _is(f"{name}: layer", layer, MatrixLayer, VectorLayer, ChannelLayer)
        try:
            _check_place(layer, names, known, tensors)
            if isinstance(layer, ChannelLayer):
                _check_channels(layer, known, tensors[layer.output])
            else:
                _check_layer(layer, known, tensors[layer.output])
        except InputError as error:
            raise InputError(f"{name}: layer {layer.name!r}: {error}") from None
        names.add(layer.name)
        known[layer.output] = tensors[layer.output]
    unmade = [key for key in tensors if key not in known]
    if unmade:
        raise InputError(f"{name}: tensor {unmade[0]!r} must be an input or written by a layer, and is not")
    _check_host(name, outputs[0], known[outputs[0]], host_layers)


def _host_steps(name: str, steps: Any, tensors: Mapping[str, TensorSpec]) -> tuple[HostStep, ...]:
    """Steps of the host that read and write tensors of the network, as many values as they say."""
    _is(f"{name}: host steps", steps, tuple)
    for step in steps:
        _is(f"{name}: host step", step, HostStep)
        for tensor, shape in (*zip(step.inputs, step.shapes, strict=True), (step.output, step.shape)):
            _one_of(f"{name}: tensor of host step {step.name!r}", tensor, tensors)
            if math.prod(tensors[tensor].shape) != math.prod(shape):
                raise InputError(f"{name}: host step {step.name!r} must have {tensor!r} as {shape}, and has not")
    return tuple(steps)


def _ends(name: str, what: str, given: Ends, tensors: Mapping[str, TensorSpec]) -> tuple[str, ...]:
    """All inputs, or all outputs: different tensors."""
    first, more = given
    _one_of(f"{name}: {what}", first, tensors)
    _is(f"{name}: more {what}s", more, tuple)
    for end in more:
        _one_of(f"{name}: {what}", end, tensors)
    if len({first, *more}) <= len(more):
        raise InputError(f"{name}: {what}s must be different tensors, not {', '.join((first, *more))}")
    return (first, *more)


def _check_tensor(key: str, spec: TensorSpec) -> None:
    _is("it", spec, TensorSpec)
    if not isinstance(spec.name, str) or spec.name != key:
        raise InputError(f"name must be {key!r}, as in the network's table, not {spec.name!r}")
    if not isinstance(spec.shape, tuple) or len(spec.shape) != 3 or not all(_whole(n, 1) for n in spec.shape):
        raise InputError(f"shape must be three positive sizes (channels, height, width), not {spec.shape}")
    if not isinstance(spec.scale, float) or not 0 < spec.scale < math.inf:
        raise InputError(f"scale must be a finite number above 0, not {spec.scale}")
    _in_range("zero point", spec.zero_point, *CODES)


def _check_place(layer: AnyLayer, names: set[str], known: Mapping[str, TensorSpec], tensors: Mapping[str, Any]) -> None:
    """Name, inputs and output."""
    if not isinstance(layer.name, str) or layer.name in names:
        raise InputError("name must be a text of the layer's own, not that of another layer")
    if not isinstance(layer.source, tuple) or not all(isinstance(part, str) for part in layer.source):
        raise InputError(f"source must be names of the network's nodes, not {layer.source!r}")
    if isinstance(layer, ChannelLayer):
        if not isinstance(layer.inputs, tuple) or not layer.inputs:
            raise InputError(f"inputs must be names of tensors, not {layer.inputs!r}")
        for name in layer.inputs:
            _one_of("input", name, known)
    else:
        _one_of("input", layer.input, known)
        if layer.residual is not None:
            _is("residual", layer.residual, Residual)
            _one_of("tensor of the residual", layer.residual.tensor, known)
    _one_of("output", layer.output, tensors)
    if layer.output in known:
        raise InputError(f"output must be a tensor that nothing else writes, not {layer.output!r}")


def _check_layer(layer: MatrixLayer | VectorLayer, known: Mapping[str, TensorSpec], made: TensorSpec) -> None:
    """Everything that does not depend on other layers."""
    read, window = known[layer.input], layer.window
    records: tuple[int, ...] = (1,)
    _check_window(window)
    if isinstance(layer, MatrixLayer):
        _check_weights(layer, read.shape[0])
        channels, records = len(layer.weights), (1, len(layer.weights))
    else:
        if not isinstance(layer.reduce, str) or layer.reduce not in ("max", "sum"):
            raise InputError(f"reduce must be max or sum, not {layer.reduce!r}")
        _is("counts", layer.counts, tuple)
        channels, records = read.shape[0], (max(1, len(layer.counts)),)
    size = window.output_size(*read.shape[1:])
    if min(size) < 1:
        raise InputError(f"kernel {window.kernel} must fit its input {read.shape} with its pads, and does not")
    if made.shape != (channels, *size):
        raise InputError(f"output {made.name!r} must have the shape {(channels, *size)}, not {made.shape}")
    if isinstance(layer, VectorLayer) and layer.counts:
        if not all(_whole(count, 1) for count in layer.counts):
            raise InputError(f"counts must be whole numbers above 0, not {layer.counts}")
        if layer.reduce != "sum" or window.spread or window.dilation != (1, 1):
            raise InputError("counts must be of a sum without dilation")
        found = tuple(np.unique(elements(window, *read.shape[1:])).tolist())
        if layer.counts != found or found[0] < 1:
            raise InputError(f"counts must be those of its windows, {found}, all above 0, not {layer.counts}")
    _check_requantise(layer.requantise, records, made)
    if window.spread:
        _check_spread(layer, read)
    if layer.residual is not None and layer.residual.operation == "multiply":
        if not isinstance(layer, VectorLayer) or layer.reduce != "max":
            raise InputError("operand must be multiplied with activations or their maximum, not with sums")
        _in_range("bias of a product", int(layer.requantise.bias[0]), -LARGEST_FACTOR, LARGEST_FACTOR)
    if layer.residual is not None:
        _check_residual(layer.residual, known[layer.residual.tensor], made)


def _check_channels(layer: ChannelLayer, known: Mapping[str, TensorSpec], made: TensorSpec) -> None:
    """Channels of tensors that differ in nothing but their number."""
    read = [known[name] for name in layer.inputs]
    count = sum(spec.shape[0] for spec in read)
    if layer.channels is not None:
        chosen = layer.channels
        if not isinstance(chosen, tuple) or not chosen or not all(_whole(c, 0) and c < count for c in chosen):
            raise InputError(f"channels must be some of 0..{count - 1}")
        count = len(chosen)
    for spec in read:
        if spec.shape[1:] != made.shape[1:]:
            raise InputError(f"input {spec.name!r} must be of {made.shape[1:]} pixels, not {spec.shape[1:]}")
        if (spec.scale, spec.zero_point) != (made.scale, made.zero_point):
            raise InputError(f"input {spec.name!r} must have scale and zero point of the output {made.name!r}")
    if made.shape[0] != count:
        raise InputError(f"output {made.name!r} must have {count} channels, not {made.shape[0]}")


def _check_window(window: Window) -> None:
    _is("window", window, Window)
    for what, values, count, least in (
        ("kernel", window.kernel, 2, 1), ("stride", window.stride, 2, 1), ("dilation", window.dilation, 2, 1),
        ("base_dilation", window.base_dilation, 2, 1), ("pads", window.pads, 4, 0),
        ("edges", window.edges, 4, 0),
    ):  # fmt: skip
        if what == "pads" and window.kernel == (1, 1):  # of `Window.crops`
            least = -(2**31)
        if not isinstance(values, tuple) or len(values) != count or not all(_whole(n, least) for n in values):
            raise InputError(f"{what} must be {count} whole numbers of at least {least}, not {values}")
    if min(window.pads) < 0 and not window.crops:
        raise InputError(f"pads below 0 must only cut off, without any above, not be {window.pads}")


def _check_spread(layer: MatrixLayer | VectorLayer, read: TensorSpec) -> None:
    """What runs as phases (`accel.models.phases`): a phase's bias has what its sums leave out."""
    if layer.window.stride != (1, 1):
        raise InputError(f"a window over a spread input must have stride 1, not {layer.window.stride}")
    if layer.residual is not None:
        raise InputError("a window over a spread input must have no residual")
    if isinstance(layer, VectorLayer):
        if any(layer.window.edges) and (
            layer.reduce != "max" or layer.window != Window((1, 1), edges=layer.window.edges)
        ):
            raise InputError(f"a pooling over repeated edges must be a copy, not of {layer.window}")
        if any(phase.window is None for phase in phases(layer.window, *read.shape[1:])):
            raise InputError(f"every window over a spread input must meet a pixel, and of {layer.window} some do not")
        return
    if any(layer.window.edges):
        parts = [phase.of(layer.weights) for phase in phases(layer.window, *read.shape[1:])]
        if any(part.size and (part.max() > CODES[1] or part.min() < CODES[0]) for part in parts):
            raise InputError("weights that meet one pixel of a repeated edge must add up to 8 bits, and do not")
    most = int(np.abs(layer.requantise.bias.astype(np.int64)).max()) + layer.largest_sum
    if most >= 2 ** (SUM_BITS - 1):
        raise InputError(f"sums with their bias must fit {SUM_BITS} bits over a spread input, and can reach {most}")


def _check_weights(layer: MatrixLayer, channels: int) -> None:
    weights = layer.weights
    _array("weights", weights, np.int8, 4)
    if not _whole(layer.groups, 1) or len(weights) % layer.groups or weights.shape[1] * layer.groups != channels:
        raise InputError(
            f"groups must divide the outputs and give {channels} input channels, not {layer.groups} with weights of "
            f"shape {weights.shape}"
        )
    if weights.shape[2:] != layer.window.kernel:
        raise InputError(f"kernel must be that of the weights, {weights.shape[2:]}, not {layer.window.kernel}")
    if layer.largest_sum >= 2 ** (SUM_BITS - 1):
        raise InputError(f"sums of products must fit {SUM_BITS} bits, and can reach {layer.largest_sum}")
    if layer.shared is not None:
        _check_shared(layer.shared, layer)


def _check_shared(shared: Shared, layer: MatrixLayer) -> None:
    _is("shared", shared, Shared)
    _in_range("bits of shared weights", shared.bits, 1, 8)
    _array("codebook", shared.codebook, np.int8, 1)
    if len(shared.codebook) != 2**shared.bits:
        raise InputError(f"codebook must have {2**shared.bits} entries, 2**bits, not {len(shared.codebook)}")
    _array("indices", shared.indices, np.uint8, 4)
    if shared.indices.shape != layer.weights.shape:
        raise InputError(f"indices must have the weights' shape {layer.weights.shape}, not {shared.indices.shape}")
    if shared.indices.max() >= len(shared.codebook):
        raise InputError(f"indices must be 0..{len(shared.codebook) - 1}, not {shared.indices.max()}")
    if not np.array_equal(shared.codebook[shared.indices], layer.weights):
        raise InputError("weights must be codebook[indices], and are not")


def _check_requantise(to: Requantise, records: tuple[int, ...], made: TensorSpec) -> None:
    _is("requantise", to, Requantise)
    for what, values, kind in (("bias", to.bias, np.int32), ("multiplier", to.multiplier, np.uint16),
                               ("shift", to.shift, np.uint8)):  # fmt: skip
        _array(what, values, kind, 1)
        if len(values) not in records or len(values) != len(to.bias):
            wanted = " or ".join(str(n) for n in dict.fromkeys(records))
            raise InputError(f"bias, multiplier and shift must have {wanted} values each, not {len(values)} of {what}")
    if to.shift.max() > LARGEST_SHIFT:
        raise InputError(f"shift must be 0..{LARGEST_SHIFT}, not {to.shift.max()}")
    if to.table is None:
        _same_zero_point("zero point", to.zero_point, made)
    else:
        _in_range("zero point", to.zero_point, *CODES)
        _array("table", to.table, np.int8, 1)
        if len(to.table) != TABLE_ENTRIES:
            raise InputError(f"table must have {TABLE_ENTRIES} codes, not {len(to.table)}")
    _in_range("low", to.low, *CODES)
    _in_range("high", to.high, *CODES)
    if to.low > to.high:
        raise InputError(f"low must be at most high, not {to.low} and {to.high}")


def _check_residual(residual: Residual, read: TensorSpec, made: TensorSpec) -> None:
    if read.shape not in (made.shape, (made.shape[0], 1, 1)):
        raise InputError(
            f"residual {read.name!r} must have the shape of the output, {made.shape}, or one pixel of it, "
            f"not {read.shape}"
        )
    if residual.operation not in get_args(Operation):
        raise InputError(f"operation must be one of {', '.join(get_args(Operation))}, not {residual.operation!r}")
    _in_range("multiplier of the residual", residual.multiplier, 0, LARGEST_MULTIPLIER)
    _in_range("shift of the residual", residual.shift, 0, LARGEST_SHIFT)
    _same_zero_point("zero point of the residual", residual.zero_point, read)


def _check_host(name: str, output: str, spec: TensorSpec, host_layers: tuple[HostLayer, ...]) -> None:
    """Host layers form a chain from the output on, of names of their own."""
    for layer in host_layers:
        _is(f"{name}: host layer", layer, HostLayer)
        where = f"{name}: host layer {layer.name!r}"
        for what in ("name", "kind", "input", "output"):
            _is(f"{where}: {what}", getattr(layer, what), str)
        _is(f"{where}: flattened", layer.flattened, bool)
        if layer.input != output:
            raise InputError(f"{where}: input must be {output!r}, not {layer.input!r}")
        size_bytes = math.prod(spec.shape)
        if not _whole(layer.bytes, 0) or layer.bytes != size_bytes:
            raise InputError(f"{where}: bytes must be {size_bytes}, not {layer.bytes!r}")
        output = layer.output


def _same_zero_point(what: str, value: int, spec: TensorSpec) -> None:
    _in_range(what, value, *CODES)
    if value != spec.zero_point:
        raise InputError(f"{what} must be that of {spec.name!r}, {spec.zero_point}, not {value}")


def _is(what: str, value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds):
        raise InputError(f"{what} must be a {' or '.join(k.__name__ for k in kinds)}, not a {type(value).__name__}")


def _one_of(what: str, key: Any, table: Mapping[str, Any]) -> None:
    if not isinstance(key, str) or key not in table:
        raise InputError(f"{what} must be one of {', '.join(map(repr, table))}, not {key!r}")


def _array(what: str, value: Any, kind: type, rank: int) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != kind or value.ndim != rank or not value.size:
        found = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise InputError(f"{what} must be a filled array of {np.dtype(kind)} of {rank} dimensions, not {found}")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _in_range(what: str, value: Any, low: int, high: int) -> None:
    if not _whole(value, low) or value > high:
        raise InputError(f"{what} must be {low}..{high}, not {value!r}")
