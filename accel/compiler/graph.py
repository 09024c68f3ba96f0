"""From the network's layers to the steps that run: fused pooling, who reads which tensor, and what no step can be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from accel.compiler.geometry import Geometry, matrix_geometry, vector_geometry
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork, MatrixLayer, Requantise, VectorLayer


@dataclass(frozen=True)
class Step:
    """A layer, with the pooling layer that is fused into it. `requantise` has both layers' clip limits."""

    index: int
    layer: MatrixLayer | VectorLayer
    pool: VectorLayer | None
    geometry: Geometry
    requantise: Requantise
    output: str

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    @property
    def input(self) -> str:
        """The tensor that it reads."""
        return self.layer.input

    @property
    def residual(self) -> str | None:
        """The tensor that it adds."""
        return self.layer.residual.tensor if self.layer.residual else None


def steps(network: IntegerNetwork, design: Design, apart: Collection[str] = ()) -> list[Step]:
    """The steps of a network; the layers named in `apart` take no pooling with them.

    Raises InputError for a layer that no command can express.
    """
    _check_graph(network)
    readers: dict[str, list[MatrixLayer | VectorLayer]] = {name: [] for name in network.tensors}
    for layer in network.layers:
        for tensor in _inputs(layer):
            readers[tensor].append(layer)
    fused: set[str] = set()
    made: list[Step] = []
    for layer in network.layers:
        try:
            _check_layer(layer, network)
            if isinstance(layer, MatrixLayer):
                _check_sums(layer, design)
        except InputError as error:
            raise InputError(f"{described(layer)}: {error}") from None
        if layer.name in fused:
            continue
        shape = network.tensors[layer.input].shape
        if isinstance(layer, VectorLayer):
            geometry = vector_geometry(layer, shape)
            made.append(Step(len(made), layer, None, geometry, layer.requantise, layer.output))
            continue
        pool = None if layer.name in apart else _pool(layer, readers[layer.output], network, design)
        geometry = matrix_geometry(layer, shape, pool.window if pool else None)
        if pool:
            fused.add(pool.name)
            requantise = _clipped(layer.requantise, pool.requantise)
            made.append(Step(len(made), layer, pool, geometry, requantise, pool.output))
        else:
            made.append(Step(len(made), layer, None, geometry, layer.requantise, layer.output))
    return made


def described(layer: MatrixLayer | VectorLayer) -> str:
    """A layer in errors: its name, and the ONNX operators that become such a layer."""
    if isinstance(layer, MatrixLayer):
        operator = "Conv or Gemm"
    elif layer.reduce == "sum":
        operator = "AveragePool"
    elif layer.window.kernel != (1, 1):
        operator = "MaxPool"
    else:
        operator = "Add" if layer.residual else "Relu or Clip"
    return f"layer {layer.name!r} ({operator})"


def _inputs(layer: MatrixLayer | VectorLayer) -> list[str]:
    return [layer.input] + ([layer.residual.tensor] if layer.residual else [])


def _pool(
    layer: MatrixLayer, readers: list[MatrixLayer | VectorLayer], network: IntegerNetwork, design: Design
) -> VectorLayer | None:
    """The max pooling that alone reads the layer's output, if it can run over the accumulators.

    Windows that overlap would make the rows that blocks share twice: only if all fit the accumulators at once.
    """
    if layer.residual or layer.output == network.output or len(readers) != 1:
        return None
    pool = readers[0]
    if not isinstance(pool, VectorLayer) or pool.reduce != "max" or pool.residual:
        return None
    height, width = network.tensors[layer.output].shape[1:]
    window, words = pool.window, design.accumulator_words
    if pool.input != layer.output or window.dilation != (1, 1) or not _identity(pool.requantise):
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
    """Layers come after what they read, and something is computed."""
    if not network.layers:
        raise InputError("network must have a layer that the accelerator runs, and has none")
    known = {network.input}
    for layer in network.layers:
        for tensor in _inputs(layer):
            if tensor not in known:
                raise InputError(f"{described(layer)}: input {tensor!r} must be made by an earlier layer, and is not")
        known.add(layer.output)
    if network.output not in known or network.output == network.input:
        raise InputError(f"output {network.output!r} must be made by a layer, and is not")


def _check_layer(layer: MatrixLayer | VectorLayer, network: IntegerNetwork) -> None:
    """Fields of the commands that depend on the layer alone."""
    window = layer.window
    stride_limit = 15 if isinstance(layer, MatrixLayer) else 31
    if max(window.kernel) > 127:
        raise InputError(f"kernel must be at most 127 x 127, not {window.kernel[0]} x {window.kernel[1]}")
    if max(window.stride) > stride_limit:
        raise InputError(f"stride must be at most {stride_limit}, not {max(window.stride)}")
    if max(window.dilation) > 63:
        raise InputError(f"dilation must be at most 63, not {max(window.dilation)}")
    _, height, width = network.tensors[layer.input].shape
    if any(window.pads) and max(height, width) > 4095:
        raise InputError(f"a padded input must be at most 4095 x 4095, not {height} x {width}")
    for axis, size in enumerate(window.output_size(height, width)):
        span = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        if span > 4095:
            raise InputError(f"a kernel must reach over at most 4095 pixels, not {span}")
        first = -window.pads[axis]
        last = first + (size - 1) * window.stride[axis]
        if any(window.pads) and (first < -4096 or last > 4095):
            raise InputError(f"windows must start at -4096..4095 of a padded input, not {first}..{last}")
    if isinstance(layer, VectorLayer):
        if window.dilation != (1, 1):
            raise InputError(f"pooling must have dilation 1, not {window.dilation}")
        if layer.reduce == "max" and any(p >= k for p, k in zip(window.pads, window.kernel * 2, strict=True)):
            raise InputError(f"max pooling must have pads below its kernel, not {window.pads}")
        if layer.reduce == "sum" and layer.residual:
            raise InputError("a sum must have no residual")
        if len(layer.requantise.bias) != 1:
            raise InputError("a vector layer must have one requantisation record")
    if layer.residual and network.tensors[layer.residual.tensor].shape != network.tensors[layer.output].shape:
        raise InputError(f"residual {layer.residual.tensor!r} must have the shape of the output")


def _check_sums(layer: MatrixLayer, design: Design) -> None:
    """Sums must fit the accumulators, whatever the activations."""
    limit = 1 << design.widths.accumulator - 1
    terms = int(np.prod(layer.weights.shape[1:]))
    if terms << 14 < limit:
        return
    largest = int(np.abs(layer.weights.reshape(len(layer.weights), -1), dtype=np.int16).sum(1, dtype=np.int64).max())
    if largest * 128 >= limit:
        raise InputError(
            f"sums can reach {largest * 128:,}, accumulators of {design.widths.accumulator} bits hold {limit - 1:,}"
        )
