"""Tucker decomposition of a network's layers, with ranks that are given or found by EVBMF.

Source: Kim et al., "Compression of deep convolutional neural networks for fast and low power mobile applications",
arXiv 1511.06530, section 3. What becomes of a layer:

    Conv, kernel above 1 x 1   Tucker-2: 1 x 1 `in` (S -> R3), `core` with the layer's window (R3 -> R4),
                               1 x 1 `out` (R4 -> T); Tucker-1: without `in`, or without `out`
    Conv 1 x 1, Linear         truncated SVD: `in` (S -> R) with the layer's window, `out` (R -> T)

The last part has the bias. The others have none, so that padding of zeros stays zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import numpy as np

from accel.models.compress import factors
from accel.models.compress.evbmf import from_singular_values
from accel.models.compress.factors import Factors, Spectrum
from accel.models.compress.prune import matrix_layers
from accel.models.errors import InputError
from accel.models.graph import Conv, Layer, Linear, Network, with_layers
from accel.models.macs import layer_macs, macs, positions
from accel.models.window import Window

Method = Literal["none", "tucker-2", "tucker-1 input", "tucker-1 output", "svd"]
Ranks = int | tuple[int | None, int | None]
FLOAT32_EPSILON = 2.0**-23


@dataclass(frozen=True)
class Options:
    """What to decompose, and how far.

    `ranks` by layer name: for a kernel above 1 x 1 a pair (R3 of the input channels, R4 of the output channels),
    where None leaves that side as it is; for a 1 x 1 convolution or a Linear one number. Layers without given ranks
    get those of EVBMF, moved towards the full rank by the fraction `weakening` (0: EVBMF's, 1: full), and of Tucker-2
    and the two Tucker-1 the one with the fewest MACs. `iterations` sweeps of HOOI follow HOSVD. `layers` are the names
    of the layers to decompose; None means all. Of those, convolutions without given ranks that read fewer than
    `least_inputs` channels stay: with 3 colours EVBMF finds rank 1, which spoils all that follows and saves little.
    """

    ranks: Mapping[str, Ranks] = field(default_factory=dict)
    weakening: float = 0.0
    iterations: int = 0
    layers: tuple[str, ...] | None = None
    least_inputs: int = 1


@dataclass(frozen=True)
class LayerReport:
    """What was done to one layer; counts are for one input, weights without biases.

    `ranks` are (R3, R4), (R3,), (R4,) or (R,), in the order of `method`; `relative_error` is ||W - W'|| / ||W||.
    A layer that stayed as it was has method "none" and says why in `reason`.
    """

    name: str
    method: Method
    ranks: tuple[int, ...]
    macs_before: int
    macs_after: int
    weights_before: int
    weights_after: int
    relative_error: float
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """One entry for each convolution and Linear of the network, in its order."""

    layers: tuple[LayerReport, ...]

    @property
    def macs_before(self) -> int:
        """Multiply-accumulates of the network for one input."""
        return sum(layer.macs_before for layer in self.layers)

    @property
    def macs_after(self) -> int:
        """Multiply-accumulates of the decomposed network for one input."""
        return sum(layer.macs_after for layer in self.layers)

    @property
    def weights_before(self) -> int:
        """Weights of the network."""
        return sum(layer.weights_before for layer in self.layers)

    @property
    def weights_after(self) -> int:
        """Weights of the decomposed network."""
        return sum(layer.weights_after for layer in self.layers)


def decompose(network: Network, options: Options = Options()) -> tuple[Network, Report]:
    """`network` with its layers decomposed, and the report; the parts of a layer x are x.in, x.core and x.out.

    A layer stays as it is when it has groups, or when the parts would not take fewer MACs than the layer.

    Raises InputError for a layer that does not exist, ranks that do not suit the layer, a weakening outside 0..1 and
    iterations below 0.
    """
    _check(network, options)
    layers: list[Layer] = []
    reports = []
    before = macs(network)
    parts: tuple[Conv | Linear, ...]
    for layer in network.layers:
        if not isinstance(layer, Conv | Linear):
            layers.append(layer)
            continue
        size = layer.weights.size
        kept = LayerReport(layer.name, "none", (), before[layer.name], before[layer.name], size, size, 0.0)
        if options.layers is not None and layer.name not in options.layers:
            parts, report = (layer,), replace(kept, reason="not selected")
        elif isinstance(layer, Conv) and layer.groups > 1:
            parts, report = (layer,), replace(kept, reason=f"groups must be 1, not {layer.groups}")
        elif layer.name not in options.ranks and isinstance(layer, Conv) and _reads(layer) < options.least_inputs:
            reason = f"input channels must be at least {options.least_inputs}, not {_reads(layer)}"
            parts, report = (layer,), replace(kept, reason=reason)
        else:
            parts, report = _decompose(network, layer, options, kept)
        layers += parts
        reports.append(report)
    result = with_layers(network, layers)
    return result, Report(tuple(reports))


def _reads(layer: Conv) -> int:
    return layer.weights.shape[1]


def factorise(layer: Conv | Linear, ranks: Ranks, iterations: int = 0) -> tuple[Conv | Linear, ...]:
    """The parts of one layer at the given ranks (as in `Options`), whatever they cost.

    A convolution with groups is one for each group, side by side: each is factorised on its own at these ranks, and the
    parts have the groups. Raises InputError for ranks that do not suit the layer, or one group of it.
    """
    groups = layer.groups if isinstance(layer, Conv) else 1
    alone = [_group(layer, number, groups) for number in range(groups)]
    for one in alone:
        _check_ranks(one, ranks)
    parts = [_factorise(one, _sides(one, ranks), _spectra(one), iterations)[0] for one in alone]
    return tuple(map(_beside, zip(*parts, strict=True)))


def _group(layer: Conv | Linear, number: int, groups: int) -> Conv | Linear:
    """One group of a layer as a layer of its own."""
    if not isinstance(layer, Conv) or groups == 1:
        return layer
    each = len(layer.weights) // groups
    own = slice(number * each, (number + 1) * each)
    return replace(layer, weights=layer.weights[own], bias=layer.bias[own], groups=1)


def _beside(parts: Sequence[Conv | Linear]) -> Conv | Linear:
    """The same part of each group as one layer."""
    first = parts[0]
    if not isinstance(first, Conv) or len(parts) == 1:
        return first
    weights, bias = (np.concatenate([getattr(part, name) for part in parts]) for name in ("weights", "bias"))
    return replace(first, weights=weights, bias=bias, groups=len(parts))


Sides = tuple[int | None, int | None]  # R3 and R4; None leaves the side as it is


def _decompose(
    network: Network, layer: Conv | Linear, options: Options, kept: LayerReport
) -> tuple[tuple[Conv | Linear, ...], LayerReport]:
    spectra = _spectra(layer)
    if layer.name in options.ranks:
        choices = [_sides(layer, options.ranks[layer.name])]
    else:
        r3, r4 = (_evbmf_rank(side, options.weakening) if side else None for side in spectra)
        choices = [(r3, r4)] if None in (r3, r4) else [(r3, r4), (r3, None), (None, r4)]
    cost, sides = min(((_macs(network, layer, sides), sides) for sides in choices), key=lambda choice: choice[0])
    ranks = tuple(rank for rank in sides if rank is not None)
    method = _method(layer, sides)
    if cost >= kept.macs_before:
        reason = f"{method} with ranks {ranks} takes {cost:,} MACs, which must be fewer than {kept.macs_before:,}"
        return (layer,), replace(kept, reason=reason)
    parts, error = _factorise(layer, sides, spectra, options.iterations)
    weights = sum(part.weights.size for part in parts)
    report = replace(kept, method=method, ranks=ranks, macs_after=cost, weights_after=weights, relative_error=error)
    return parts, report


def _is_matrix(layer: Conv | Linear) -> bool:
    return isinstance(layer, Linear) or layer.window.kernel == (1, 1)


def _tensor(layer: Conv | Linear) -> factors.Array:
    return layer.weights if isinstance(layer, Conv) else layer.weights[:, :, None, None]


def _spectra(layer: Conv | Linear) -> tuple[Spectrum | None, Spectrum | None]:
    """Of the unfoldings along the input and the output channels; of a matrix, only along its shorter side."""
    tensor = _tensor(layer)
    outputs, inputs = tensor.shape[:2]
    along_inputs = not _is_matrix(layer) or inputs <= outputs
    along_outputs = not _is_matrix(layer) or inputs > outputs
    return (
        factors.spectrum(factors.unfold(tensor, 1)) if along_inputs else None,
        factors.spectrum(factors.unfold(tensor, 0)) if along_outputs else None,
    )


def _sides(layer: Conv | Linear, ranks: Ranks) -> Sides:
    if not isinstance(ranks, int):
        return ranks
    return (ranks, None) if layer.weights.shape[1] <= layer.weights.shape[0] else (None, ranks)


def _method(layer: Conv | Linear, sides: Sides) -> Method:
    if _is_matrix(layer):
        return "svd"
    return "tucker-1 output" if sides[0] is None else "tucker-1 input" if sides[1] is None else "tucker-2"


def _evbmf_rank(side: Spectrum, weakening: float) -> int:
    """EVBMF's rank of an unfolding (Kim et al., section 3.2), at least 1, moved towards the full rank."""
    rank = max(1, from_singular_values(side.values, side.shape, epsilon=FLOAT32_EPSILON).rank)
    return rank + round(weakening * (len(side.values) - rank))


def _macs(network: Network, layer: Conv | Linear, sides: Sides) -> int:
    """MACs of the parts."""
    outputs, inputs = layer.weights.shape[:2]
    after = positions(layer, network.shapes[layer.output])
    if _is_matrix(layer):
        return layer_macs((inputs + outputs) * max(rank or 0 for rank in sides), after)
    before = positions(layer, network.shapes[layer.inputs[0]])
    r3, r4 = sides
    core = (r3 or inputs) * (r4 or outputs) * prod(layer.weights.shape[2:])
    return layer_macs(inputs * (r3 or 0), before) + layer_macs(core + outputs * (r4 or 0), after)


def _factorise(
    layer: Conv | Linear, sides: Sides, spectra: tuple[Spectrum | None, Spectrum | None], iterations: int
) -> tuple[tuple[Conv | Linear, ...], float]:
    """The parts of `layer`, and their relative error in float32."""
    tensor = _tensor(layer)
    inner, outer = (
        side.vectors[:, :rank] if side and rank is not None else None for side, rank in zip(spectra, sides, strict=True)
    )
    if inner is not None and outer is not None:
        inner, outer = factors.hooi(tensor, inner, outer, iterations)
    found = factors.to_float32(factors.project(tensor, inner, outer))
    return _parts(layer, found), factors.relative_error(tensor, found)


def _parts(layer: Conv | Linear, found: Factors) -> tuple[Conv | Linear, ...]:
    names = ("in", "out") if _is_matrix(layer) else ("in", "core", "out")
    arrays = [found.inner, found.core, found.outer]
    if _is_matrix(layer):
        arrays = [array for array in arrays if array is not None]
    parts: list[Conv | Linear] = []
    tensor = layer.inputs[0]
    given = [(name, array) for name, array in zip(names, arrays, strict=True) if array is not None]
    windowed = "in" if _is_matrix(layer) else "core"
    for name, array in given:
        last = name == given[-1][0]
        full = f"{layer.name}.{name}"
        bias = layer.bias if last else np.zeros(len(array), np.float32)
        shared = (full, (tensor,), layer.output if last else full)
        if isinstance(layer, Linear):
            parts.append(Linear(*shared, np.ascontiguousarray(array.reshape(array.shape[:2])), bias))
        else:
            window = layer.window if name == windowed else Window((1, 1))
            weights = np.ascontiguousarray(array.reshape(*array.shape[:2], *window.kernel))
            parts.append(Conv(*shared, weights, bias, window))
        tensor = full
    return tuple(parts)


def _check(network: Network, options: Options) -> None:
    layers = {layer.name: layer for layer in matrix_layers(network)}
    for name in (*options.ranks, *(options.layers or ())):
        if name not in layers:
            raise InputError(f"layer to decompose must be one of {', '.join(layers)}, not {name!r}")
    if not 0 <= options.weakening <= 1:
        raise InputError(f"weakening must be 0..1, not {options.weakening}")
    if options.iterations < 0:
        raise InputError(f"iterations must be at least 0, not {options.iterations}")
    for name, ranks in options.ranks.items():
        _check_ranks(layers[name], ranks)


def _check_ranks(layer: Conv | Linear, ranks: Ranks) -> None:
    outputs, inputs = layer.weights.shape[:2]
    where = f"ranks of layer {layer.name!r} must be"
    if _is_matrix(layer):
        if not isinstance(ranks, int) or not 1 <= ranks <= min(inputs, outputs):
            raise InputError(f"{where} one number in 1..{min(inputs, outputs)}, not {ranks}")
        return
    pair = ranks if isinstance(ranks, tuple) and len(ranks) == 2 else (None, None)
    in_range = all(rank is None or 1 <= rank <= most for rank, most in zip(pair, (inputs, outputs), strict=True))
    if pair == (None, None) or not in_range:
        raise InputError(f"{where} (1..{inputs} or None, 1..{outputs} or None), not {ranks}")
