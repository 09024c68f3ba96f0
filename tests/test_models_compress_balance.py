"""Balanced channels: the same outputs, and as much weight where a channel is made as where it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accel.models import zoo
from accel.models.build import Chain
from accel.models.compress.balance import balanced
from accel.models.compress.prune import matrix_layers, with_weights
from accel.models.experiments.resnet8 import resnet8
from accel.models.graph import Activation, Network, with_layers
from accel.models.reference import float32
from accel.models.window import Window


def uneven(network: Network) -> Network:
    """Magnitudes of each output and input over two orders."""
    random = np.random.default_rng(0)
    changed = {}
    for layer in matrix_layers(network):
        out, into = (10 ** random.uniform(-1, 1, n) for n in layer.weights.shape[:2])
        rest = [1] * (layer.weights.ndim - 2)
        changed[layer.name] = layer.weights * out.reshape(-1, 1, *rest) * into.reshape(1, -1, *rest)
    return with_weights(network, changed)


def chain() -> Network:
    found = Chain(np.random.default_rng(1), (3, 8, 8))
    found.conv("a", 6, Window((3, 3)), relu="ra")
    found.pool("p", Window((2, 2), (2, 2)))
    found.conv("b", 8, Window((2, 2)), relu="rb")
    found.flatten()
    found.linear("c", 5, relu="rc")
    found.linear("d", 4)
    return found.network("chain")


@pytest.mark.parametrize("network", [uneven(chain()), uneven(resnet8()), zoo.load("lenet-5")], ids=lambda n: n.name)
def test_the_outputs_are_the_same(network: Network) -> None:
    images = np.random.default_rng(2).random((4, *network.shapes[network.input])).astype(np.float32)
    wanted = float32.run(network, images)
    np.testing.assert_allclose(float32.run(balanced(network), images), wanted, atol=2e-4 * np.abs(wanted).max())


def test_a_channel_weighs_as_much_where_it_is_made_as_where_it_is_read() -> None:
    a, b, c, d = (layer.weights.astype(np.float64) for layer in matrix_layers(balanced(uneven(chain()))))
    for made, read in ((a, b), (b, c.reshape(5, 8, -1)), (c, d)):
        before = np.square(made).reshape(len(made), -1).sum(1)
        np.testing.assert_allclose(before, np.square(np.moveaxis(read, 1, 0)).reshape(len(made), -1).sum(1), rtol=0.02)


def test_channels_that_are_added_are_scaled_alike() -> None:
    layers = {layer.name: layer.weights.astype(np.float64) for layer in matrix_layers(balanced(uneven(resnet8())))}
    made = sum(np.square(layers[name]).sum((1, 2, 3)) for name in ("conv", "block1_2"))
    read = sum(np.square(layers[name]).sum((0, 2, 3)) for name in ("block1_1", "block2_1", "block2_skip"))
    np.testing.assert_allclose(made, read, rtol=0.02)


def test_what_does_not_scale_stays() -> None:
    """Through ReLU6 and depthwise layers nothing is moved; zeros stay zeros, and a channel without weights stays."""
    net = uneven(chain())
    clipped = with_layers(net, [replace(x, high=6.0) if isinstance(x, Activation) else x for x in net.layers])
    deep = Chain(np.random.default_rng(0), (4, 6, 6))
    deep.conv("in", 4, Window((1, 1)), relu="r")
    deep.conv("depthwise", 4, Window((3, 3)), groups=4, relu="s")
    deep.conv("out", 3, Window((1, 1)))
    for other in (clipped, uneven(deep.network("deep"))):
        same = zip(matrix_layers(other), matrix_layers(balanced(other)), strict=True)
        assert all(np.array_equal(a.weights, b.weights) for a, b in same)
    net = chain()
    weights = {layer.name: layer.weights.copy() for layer in matrix_layers(net)}
    weights["a"][2] = 0
    weights["b"][0, 0] = 0
    net = with_weights(net, weights)
    for before, after in zip(matrix_layers(net), matrix_layers(balanced(net)), strict=True):
        assert ((before.weights == 0) == (after.weights == 0)).all()
        assert np.isfinite(after.weights).all()
