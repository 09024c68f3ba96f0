"""Pruning: weights that matter least become exact zeros, or whole channels go (Han et al., arXiv 1506.02626).

A pruned Network is one whose weights hold zeros; training with `keep="zeros"` leaves them there. Biases stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Conv, Layer, Linear, Network, with_layers

Float = NDArray[np.float32]


@dataclass(frozen=True)
class PrunedLayer:
    """One layer of a report: weights before, and those that are not zero after."""

    name: str
    weights: int
    kept: int

    @property
    def density(self) -> float:
        """Share of the weights that are not zero."""
        return self.kept / self.weights


def matrix_layers(network: Network) -> tuple[Conv | Linear, ...]:
    """The layers that have weights."""
    return tuple(layer for layer in network.layers if isinstance(layer, Conv | Linear))


def with_weights(network: Network, weights: Mapping[str, Float]) -> Network:
    """`network` with other weights in the layers named."""
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv | Linear) and layer.name in weights:
            layer = replace(layer, weights=weights[layer.name].astype(np.float32))
        layers.append(layer)
    return with_layers(network, layers)


def report(network: Network) -> tuple[PrunedLayer, ...]:
    """What of each layer is left."""
    return tuple(
        PrunedLayer(layer.name, layer.weights.size, int(np.count_nonzero(layer.weights)))
        for layer in matrix_layers(network)
    )


def _check(network: Network, given: Mapping[str, float], what: str, high: float) -> None:
    names = [layer.name for layer in matrix_layers(network)]
    for name, value in given.items():
        if name not in names:
            raise InputError(f"{network.name}: {what} must name one of {', '.join(names)}, not {name!r}")
        if not 0 <= value <= high:
            raise InputError(f"{network.name}: {what} of {name} must be 0..{high:g}, not {value}")


def to_density(network: Network, density: Mapping[str, float]) -> Network:
    """Keep the largest weights by magnitude of the layers named: `density` of all that a layer has.

    Zeros that are there stay. Of weights of one magnitude those that come first are kept.
    Raises InputError for a layer that does not exist and a density outside 0..1.
    """
    _check(network, density, "density", 1.0)
    changed = {}
    for layer in matrix_layers(network):
        if layer.name in density:
            kept = round(density[layer.name] * layer.weights.size)
            flat = layer.weights.ravel()
            order = np.argsort(-np.abs(flat), kind="stable")[:kept]
            out = np.zeros_like(flat)
            out[order] = flat[order]
            changed[layer.name] = out.reshape(layer.weights.shape)
    return with_weights(network, changed)


def to_threshold(network: Network, quality: Mapping[str, float]) -> Network:
    """Drop weights below `quality` standard deviations of their layer (arXiv 1506.02626, section 4).

    Raises InputError for a layer that does not exist and a quality that is negative.
    """
    _check(network, quality, "threshold", np.inf)
    changed = {}
    for layer in matrix_layers(network):
        if layer.name in quality:
            used = layer.weights[layer.weights != 0]
            limit = quality[layer.name] * float(used.std()) if used.size else 0.0
            limit = min(limit, float(np.finfo(np.float32).max))
            changed[layer.name] = np.where(np.abs(layer.weights) < limit, 0, layer.weights)
    return with_weights(network, changed)


def n_of_m(network: Network, n: int, m: int, names: tuple[str, ...] = ()) -> Network:
    """At most `n` weights of every `m` neighbours along the input channels of one output and tap; the largest stay.

    `names`: the layers, all that have `m` input channels or more if empty. Inputs that do not fill a group of `m` form
    a smaller one. Raises InputError unless 1 <= n <= m, and for a layer that does not exist.
    """
    if not 1 <= n <= m:
        raise InputError(f"{network.name}: of n:m, n must be 1..m, not {n}:{m}")
    _check(network, dict.fromkeys(names, 0.0), "n:m", 0.0)
    changed = {}
    for layer in matrix_layers(network):
        if layer.name in names or (not names and layer.weights.shape[1] >= m):
            inputs_last = np.moveaxis(layer.weights, 1, -1)
            count = inputs_last.shape[-1]
            padded = np.zeros((*inputs_last.shape[:-1], -(-count // m) * m), np.float32)
            padded[..., :count] = inputs_last
            groups = padded.reshape(*padded.shape[:-1], -1, m)
            rank = np.argsort(np.argsort(-np.abs(groups), -1, kind="stable"), -1, kind="stable")
            kept = np.where(rank < n, groups, 0).reshape(padded.shape)[..., :count]
            changed[layer.name] = np.ascontiguousarray(np.moveaxis(kept, -1, 1))
    return with_weights(network, changed)


def sensitivity(
    network: Network, quality: Callable[[Network], float], densities: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05)
) -> dict[str, dict[float, float]]:
    """`quality` (an accuracy, say) with one layer at a time pruned to each density; by layer name, then density."""
    return {
        layer.name: {d: quality(to_density(network, {layer.name: d})) for d in densities}
        for layer in matrix_layers(network)
    }


def densities_for(
    network: Network, scan: Mapping[str, Mapping[float, float]], density: float, base: float
) -> dict[str, float]:
    """Densities of the layers that together leave `density` of all weights, chosen from a sensitivity `scan`.

    Layers give up weights where the least quality is lost per weight: starting from whole layers, the step to the next
    scanned density with the smallest (loss of quality) / (weights dropped) is taken until the target is met; the last
    step is taken in part. `base` is the quality of the network as it is.

    Raises InputError for a density that the scan does not reach.
    """
    layers = {layer.name: layer.weights.size for layer in matrix_layers(network)}
    total, chosen = sum(layers.values()), dict.fromkeys(layers, 1.0)
    lost = dict.fromkeys(layers, 0.0)
    left = float(total)
    target = density * total
    while left > target:
        steps = []
        for name, size in layers.items():
            lower = [d for d in scan.get(name, {}) if d < chosen[name]]
            if lower:
                step = max(lower)
                loss = max(0.0, base - scan[name][step])
                steps.append(((loss - lost[name]) / ((chosen[name] - step) * size), name, step, loss))
        if not steps:
            raise InputError(
                f"{network.name}: density must be at least {left / total:.3f} for this scan, not {density}"
            )
        _, name, step, loss = min(steps)
        dropped = (chosen[name] - step) * layers[name]
        share = min(1.0, (left - target) / dropped)
        chosen[name] -= share * (chosen[name] - step)
        left -= share * dropped
        lost[name] = max(lost[name], loss)
    return chosen
