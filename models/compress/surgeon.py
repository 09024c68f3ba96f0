"""Pruning by what the outputs lose: the weights that stay are fitted anew, layer by layer, to make up for the others.

Of a layer's outputs Y on some images, and its inputs X behind the layers that are pruned already, the weights W are
those that make |W X - Y|^2 least, with a part of |W - W0|^2 that keeps them near the ones W0 they were. A weight
w is dropped where w^2 / [H^-1] is least, H = X X^T over those that are left: that is what the error grows by once the
others are fitted again (optimal brain surgeon, Hassibi & Stork, NIPS 1992; layer by layer, with the inputs of the
pruned network: Dong et al., arXiv 1705.07565; Frantar & Alistarh, arXiv 2208.11580).

Each output of a layer keeps as many weights as every other, so that PEs that have outputs of their own are as busy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.models.compress.prune import matrix_layers
from accel.models.errors import InputError
from accel.models.graph import Conv, Layer, Linear, Network, with_layers
from accel.models.reference import float32, im2col

Array = NDArray[Any]
Double = NDArray[np.float64]
Chosen = Callable[[Double, NDArray[np.bool_]], NDArray[np.bool_] | None]

IMAGES = 512
MOST_FLOATS = 2**27  # in all tensors of the images that are used: of a large network they are fewer
POSITIONS = 1 << 15  # outputs of a channel that are fitted
NEAR = 0.01  # weight of |W - W0|^2, of the mean square of an input
ROUNDS = 8  # in which weights are dropped: in each, so many that the same share of them stays


def to_density(network: Network, density: Mapping[str, float], images: Array) -> Network:
    """Keep `density` of the weights of each output in the layers named, fitted on `images` (n, *input shape).

    Raises InputError for a layer that does not exist or has groups, and a density outside 0..1.
    """

    def rule(layer: Conv | Linear) -> Chosen:
        count = layer.weights[0].size
        kept = round(density[layer.name] * count)
        sizes = iter([round(count * (kept / count) ** (r / ROUNDS)) for r in range(1, ROUNDS + 1)] if kept else [0])

        def choose(score: Double, stay: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
            size = next(sizes, None)
            if size is None:
                return None
            order = np.argsort(-np.where(stay, score, -1), axis=1, kind="stable")
            return np.argsort(order, axis=1) < size

        return choose

    return _pruned(network, tuple(density), images, rule)


def n_of_m(network: Network, n: int, m: int, images: Array, names: tuple[str, ...] = ()) -> Network:
    """At most `n` of every `m` neighbours, in the layers that `prune.n_of_m` takes, fitted on `images`.

    Raises InputError unless 1 <= n <= m, and for a layer that does not exist or has groups.
    """
    if not 1 <= n <= m:
        raise InputError(f"{network.name}: of n:m, n must be 1..m, not {n}:{m}")

    def rule(layer: Conv | Linear) -> Chosen:
        outputs, inputs = layer.weights.shape[:2]
        rounds = iter(range(m - 1, n - 1, -1))

        def choose(score: Double, stay: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
            most = next(rounds, None)
            if most is None:
                return None
            groups = np.full((outputs, -(-inputs // m) * m, score[0].size // inputs), -1.0)
            groups[:, :inputs] = np.where(stay, score, -1).reshape(outputs, inputs, -1)
            parted = groups.reshape(outputs, -1, m, groups.shape[2])
            rank = np.argsort(np.argsort(-parted, axis=2, kind="stable"), axis=2, kind="stable")
            found: NDArray[np.bool_] = (rank < most).reshape(groups.shape)[:, :inputs].reshape(stay.shape)
            return found

        return choose

    wide = tuple(layer.name for layer in matrix_layers(network) if layer.weights.shape[1] >= m)
    return _pruned(network, names or wide, images, rule)


def _pruned(
    network: Network, names: tuple[str, ...], images: Array, rule: Callable[[Conv | Linear], Chosen]
) -> Network:
    known = {layer.name: layer for layer in matrix_layers(network)}
    for name in names:
        named = known.get(name)
        if named is None or (isinstance(named, Conv) and (named.groups > 1 or named.window.spread)):
            raise InputError(f"{network.name}: the surgeon must be given layers without groups, not {name!r}")
    each = sum(int(np.prod(shape)) for shape in network.shapes.values())
    images = images[: max(1, min(IMAGES, MOST_FLOATS // each))]
    exact, found, layers = {network.input: images}, {network.input: images}, list[Layer]()
    for layer in network.layers:
        exact[layer.output] = float32.forward(layer, [exact[t] for t in layer.inputs])
        if isinstance(layer, Conv | Linear) and layer.name in names:
            x, y = _samples(layer, found[layer.inputs[0]], exact[layer.output])
            layer = _fitted(layer, x, y, rule(layer))
        layers.append(layer)
        found[layer.output] = float32.forward(layer, [found[t] for t in layer.inputs])
    return with_layers(network, layers)


def _samples(layer: Conv | Linear, inputs: Array, outputs: Array) -> tuple[Double, Double]:
    """What the layer reads (weights of an output, samples) and should give (outputs, samples)."""
    if isinstance(layer, Conv):
        x = np.moveaxis(inputs, 0, -1)
        taps = [view for _, _, view in im2col.taps(im2col.pad(x, layer.window, 0), layer.window)]
        count = taps[0][0].size
        chosen = np.random.default_rng(0).permutation(count)[:POSITIONS]
        columns = np.stack([tap.reshape(len(x), -1)[:, chosen] for tap in taps], 1)
        wanted = np.moveaxis(outputs, 0, -1).reshape(len(layer.weights), -1)[:, chosen]
        return columns.reshape(-1, len(chosen)).astype(np.float64), wanted.astype(np.float64)
    rows = inputs.reshape(-1, inputs.shape[-1])[:POSITIONS]
    return rows.T.astype(np.float64), outputs.reshape(-1, outputs.shape[-1])[: len(rows)].T.astype(np.float64)


def _fitted(layer: Conv | Linear, x: Double, y: Double, choose: Chosen) -> Conv | Linear:
    """The layer with fewer weights and a bias that fit best."""
    before = layer.weights.reshape(len(layer.weights), -1).astype(np.float64)
    x = np.concatenate([x, np.ones((1, x.shape[1]))])  # the last is the bias's
    near = np.append(np.full(len(x) - 1, NEAR * float(np.square(x[:-1]).sum(1).mean())), 1e-9 * x.shape[1])
    square = x @ x.T + np.diag(near)
    wanted = y @ x.T + near * np.concatenate([before, layer.bias[:, None]], 1)
    stay = before != 0
    while True:
        weights, score = np.zeros((len(before), len(x))), np.zeros(before.shape)
        for row, places in enumerate(stay):
            at = np.append(np.flatnonzero(places), len(x) - 1)
            inverse = np.linalg.inv(square[np.ix_(at, at)])
            weights[row, at] = inverse @ wanted[row, at]
            score[row, at[:-1]] = weights[row, at[:-1]] ** 2 / np.diag(inverse)[:-1]
        chosen = choose(score, stay)
        if chosen is None:
            break
        stay = stay & chosen
    fitted = weights[:, :-1].reshape(layer.weights.shape).astype(np.float32)
    return replace(layer, weights=fitted, bias=weights[:, -1].astype(np.float32))
