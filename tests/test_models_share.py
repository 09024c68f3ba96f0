from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models import zoo
from accel.models.compress.cluster import cluster, share_per_output, share_weights
from accel.models.compress.prune import matrix_layers, to_density
from accel.models.compress.share import share
from accel.models.encode import integer_file
from accel.models.errors import InputError
from accel.models.graph import Linear, build
from accel.models.quantisation.method import Method
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference.int8 import quantise_input, run
from accel.models.zoo.architectures import lenet_300_100


def lloyd(weights, count):
    """The textbook: nearest centroid for every weight, mean of every cluster, until nothing moves."""
    centroids = np.linspace(weights.min(), weights.max(), count)
    former = None
    while True:
        indices = np.abs(weights[:, None] - centroids).argmin(1)
        if former is not None and (indices == former).all():
            return centroids, indices
        former = indices
        for k in range(count):
            if (indices == k).any():
                centroids[k] = weights[indices == k].mean()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 200))
def test_equals_the_textbook(seed, bits, count):
    weights = np.random.default_rng(seed).standard_normal(count).astype(np.float32)
    centroids, indices = cluster(weights, 2**bits)
    expected, expected_indices = lloyd(weights.astype(np.float64), 2**bits)
    np.testing.assert_allclose(centroids, expected, atol=1e-9)
    # Centroids may coincide (a single weight): compare what the indices stand for.
    np.testing.assert_allclose(centroids[indices], expected[expected_indices], atol=1e-9)


def test_a_codebook_of_all_codes_has_those_of_int8():
    """To the last: one of these weights over its scale is so near below a half that float32 has the half."""
    for layer in matrix_layers(zoo.load("lenet-5")):
        found = share_per_output(layer.weights, 8)
        if found is None:
            assert layer.weights.size < 2 * 256
            continue
        largest = np.abs(layer.weights.reshape(len(layer.weights), -1)).max(1).astype(np.float64)
        exact = layer.weights / (largest / 127).reshape(-1, *[1] * (layer.weights.ndim - 1))
        np.testing.assert_array_equal(found[0], np.rint(exact))


@pytest.mark.parametrize("bits", range(1, 9))
def test_codebook_and_weights(bits):
    random = np.random.default_rng(bits)
    weights = random.standard_normal((20, 30)).astype(np.float32)
    network = build(
        "n", "x", (30,), (Linear("l", ("x",), "y", weights, random.standard_normal(20).astype(np.float32)),)
    )
    (layer,) = share(network, random.standard_normal((50, 30)), bits).layers
    shared = layer.shared
    assert (shared.bits, shared.codebook.shape, shared.codebook.dtype) == (bits, (2**bits,), np.int8)
    assert shared.indices.dtype == np.uint8
    np.testing.assert_array_equal(layer.weights, shared.codebook[shared.indices])
    # One scale, or one for each output; the error is below that of the start, but for the rounding of the codebook.
    codes = layer.weights[:, :, 0, 0].astype(np.float64)
    axis = 1 if len(set(layer.requantise.multiplier.tolist())) > 1 else None
    scale = (weights * codes).sum(axis, keepdims=True) / (codes * codes).sum(axis, keepdims=True)
    error = ((codes * scale - weights) ** 2).mean()
    start = np.linspace(weights.min(), weights.max(), 2**bits)
    start_error = (np.abs(weights[:, :, None] - start).min(2) ** 2).mean()
    assert error <= start_error + scale.max() ** 2 / 4
    assert bits > 4 or error < 0.9 * start_error


def test_outputs_of_different_sizes_have_scales_of_their_own():
    """With 8 bits the codes are those of dense int8; with fewer each output loses a like share of its power."""
    random = np.random.default_rng(0)
    weights = (random.standard_normal((40, 30)) * 10.0 ** random.uniform(-3, 0, (40, 1))).astype(np.float32)
    network = build("n", "x", (30,), (Linear("l", ("x",), "y", weights, np.zeros(40, np.float32)),))
    inputs = random.standard_normal((50, 30)).astype(np.float32)
    (layer,) = share(network, inputs, 8).layers
    (dense,) = quantise(network, inputs).layers
    assert np.abs(layer.weights.astype(int) - dense.weights).max() <= 1
    assert layer.shared.bits == 8
    codes = share(network, inputs, 5).layers[0].weights[:, :, 0, 0].astype(np.float64)
    scales = np.abs(weights).max(1, keepdims=True) / 127
    lost = np.square(codes * scales - weights).sum(1) / np.square(weights).sum(1)
    assert lost.max() < 0.01
    one = share_weights(network, 5).layers[0].weights
    assert (np.square(one - weights).sum(1) / np.square(weights).sum(1)).max() > 0.5
    # Where all outputs are alike and one codebook is enough, it stays one.
    alike = np.broadcast_to(random.choice(np.array([-0.5, 0.1, 0.7], np.float32), 30), (40, 30)).copy()
    alike[0, 0] = 0.8
    same = build("n", "x", (30,), (Linear("l", ("x",), "y", alike, np.zeros(40, np.float32)),))
    assert len(set(share(same, inputs, 2).layers[0].requantise.multiplier.tolist())) == 1


@pytest.mark.parametrize("correct", [True, False])
def test_with_one_scale_it_is_sharing_and_then_quantising(correct):
    """Technique `shared-N`, and recipe `share` without training: bit for bit, but for biases where these are corrected:
    the one by the network's own means, the other by those of the network whose weights are shared already.
    """
    random = np.random.default_rng(1)
    weights = np.broadcast_to(random.choice(np.array([-0.5, 0.1, 0.7], np.float32), 30), (40, 30)).copy()
    weights[0, 0], weights[1, 1] = 0.8, -0.55  # five values for four entries
    network = build("n", "x", (30,), (Linear("l", ("x",), "y", weights, np.zeros(40, np.float32)),))
    inputs, method = random.standard_normal((50, 30)).astype(np.float32), Method(correct=correct)
    shared = share(network, inputs, 2, method)
    apart = quantise_compressed(share_weights(network, 2), inputs, method)
    assert shared.layers[0].shared
    assert len(set(shared.layers[0].requantise.multiplier.tolist())) == 1
    if correct:
        biases = [each.layers[0].requantise.bias for each in (shared, apart)]
        assert (biases[0] != biases[1]).any()
        (layer,), (other,) = shared.layers, apart.layers
        same = replace(layer, requantise=replace(layer.requantise, bias=other.requantise.bias))
        shared = replace(shared, layers=(same,))
    assert integer_file.to_bytes(shared, ("dense",)) == integer_file.to_bytes(apart, ("dense",))


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_bits_out_of_range(bits):
    network = build("n", "x", (1,), (Linear("l", ("x",), "y", np.ones((1, 1), np.float32), np.ones(1, np.float32)),))
    with pytest.raises(InputError, match=rf"bits of weight sharing of l must be 1\.\.8, not {bits}"):
        share(network, np.ones((1, 1)), bits)


def test_equal_weights():
    centroids, indices = cluster(np.full((2, 3), 0.5, np.float32), 16)
    assert (centroids[indices] == 0.5).all()


def test_compressed_networks_keep_what_they_are():
    """A pruned and shared layer has its values in the codebook, 0 as 0; a layer that is neither is dense."""
    random = np.random.default_rng(0)
    network = share_weights(to_density(lenet_300_100(random), {"ip1": 0.1}), {"ip1": 4, "ip3": 3})
    calibration = random.random((20, 1, 28, 28)).astype(np.float32)
    integer = quantise_compressed(network, calibration)
    first, second, third = integer.layers
    assert (first.shared.bits, second.shared, third.shared.bits) == (4, None, 3)
    np.testing.assert_array_equal(second.weights, quantise(network, calibration).layers[1].weights)
    for layer, source in ((first, matrix_layers(network)[0]), (third, matrix_layers(network)[2])):
        flat = layer.weights.reshape(source.weights.shape)
        np.testing.assert_array_equal(layer.weights, layer.shared.codebook[layer.shared.indices])
        assert (flat[source.weights == 0] == 0).all()
        scale = np.abs(source.weights).max() / 127
        np.testing.assert_allclose(flat * scale, source.weights, atol=0.51 * scale)
    codes = quantise_input(integer, calibration)
    assert run(integer, codes)[integer.output].shape == (20, 10, 1, 1)
