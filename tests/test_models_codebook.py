from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.codebook import LARGEST_CODEBOOK, codebook_of, indices_of, is_shared
from accel.models.compress.cluster import share_weights
from accel.models.compress.prune import to_density
from accel.models.compress.training_step import form_of
from accel.models.encode.encoded import encode
from accel.models.graph import Linear, build
from accel.models.quantisation.shared import quantise_compressed


def drawn(seed, size, values, density):
    random = np.random.default_rng(seed)
    weights = random.choice(random.standard_normal(values), size)
    return np.where(random.random(size) < density, weights, 0).astype(np.float32)


WEIGHTS = st.builds(
    drawn, st.integers(0, 2**32 - 1), st.integers(1, 2000), st.integers(1, 400), st.sampled_from([0, 0.1, 0.5, 0.99, 1])
)


@settings(deadline=None, max_examples=200)
@given(WEIGHTS)
def test_a_codebook_is_the_values_in_order(weights):
    counts = Counter(weights.tolist())
    wanted = sorted(counts, key=lambda value: (value != 0, value))
    codebook = codebook_of(weights)
    assert codebook.tolist() == (wanted if len(wanted) <= LARGEST_CODEBOOK else [])
    if len(codebook):
        np.testing.assert_array_equal(codebook[indices_of(weights, codebook)], weights)
    del counts[0.0]
    assert is_shared(weights) == (len(wanted) <= LARGEST_CODEBOOK and sum(counts.values()) >= 2 * len(counts))


@pytest.mark.parametrize(
    ("values", "times", "zeros", "shared"),
    [
        (256, 2, 0, True), (257, 2, 0, False), (255, 2, 1, True), (256, 2, 1, False),  # what a codebook holds
        (3, 1, 0, False), (3, 2, 0, True), (3, 1, 100, False),  # twice on average, zeros apart
        (0, 0, 9, True),
    ],
)  # fmt: skip
def test_limits(values, times, zeros, shared):
    weights = np.repeat(np.arange(1, values + 1, dtype=np.float32), times)
    assert is_shared(np.concatenate([weights, np.zeros(zeros, np.float32)])) == shared


@pytest.mark.parametrize("make", ["dense", "pruned", "shared", "pruned and shared"])
def test_everybody_asks_the_same_question(make):
    """A layer of 200 weights, which any codebook could hold: training, quantisation and encoder agree what it is."""
    random = np.random.default_rng(0)
    layer = Linear("l", ("x",), "y", random.standard_normal((10, 20)).astype(np.float32), np.zeros(10, np.float32))
    network = build("n", "x", (20,), (layer,))
    network = to_density(network, {"l": 0.4}) if "pruned" in make else network
    network = share_weights(network, 3) if "shared" in make else network
    (integer,) = quantise_compressed(network, random.standard_normal((9, 20)).astype(np.float32)).layers
    assert (integer.shared is not None) == ("shared" in make)
    assert form_of(network) == ("values" if "shared" in make else "zeros")
    (encoded,) = encode(network).layers
    assert (len(encoded.codebook) > 0) == ("shared" in make)
