"""Bias correction: after it each channel's mean is that of the float network, and deep networks gain by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.build import Chain
from accel.models.graph import Network
from accel.models.quantisation.method import Method
from accel.models.quantisation.noise import noise
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.models.window import Window


def network(seed: int, depth: int = 1, relu: str = "relu") -> Network:
    chain = Chain(np.random.default_rng(seed), (4, 6, 6))
    for number in range(depth):
        chain.conv(f"conv{number}", 8, Window((3, 3), pads=(1, 1, 1, 1)), relu=f"{relu}{number}" if relu else "")
    return chain.network("deep")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_means_are_those_of_the_float_network(seed: int) -> None:
    """Of one layer without clipping: as near as half a unit of its sums, and of its output's codes on average."""
    whole = network(seed, relu="")
    inputs = np.random.default_rng(seed).uniform(0, 1, (16, 4, 6, 6)).astype(np.float32)
    plain, corrected = (quantise(whole, inputs, method=Method(correct=correct)) for correct in (False, True))
    wanted = float32.run(whole, inputs).mean((0, 2, 3))

    def means(integer):
        codes = int8.run(integer, int8.quantise_input(integer, inputs))[integer.output]
        spec = integer.tensors[integer.output]
        return (spec.scale * (codes.astype(np.float64) - spec.zero_point)).mean((0, 2, 3)), spec.scale

    found, scale = means(corrected)
    assert np.abs(found - wanted).max() < 0.1 * scale
    assert np.abs(found - wanted).sum() <= np.abs(means(plain)[0] - wanted).sum() + 0.1 * scale
    for before, after in zip(plain.layers, corrected.layers, strict=True):
        np.testing.assert_array_equal(before.weights, after.weights)
        np.testing.assert_array_equal(before.requantise.multiplier, after.requantise.multiplier)
    assert plain.tensors == corrected.tensors


@pytest.mark.parametrize("seed", range(3))
def test_deep_networks_are_nearer_to_float(seed: int) -> None:
    whole = network(seed, depth=12)
    rng = np.random.default_rng(seed)
    inputs, others = (rng.uniform(0, 1, (n, 4, 6, 6)).astype(np.float32) for n in (64, 32))
    plain, corrected = (
        noise(whole, quantise(whole, inputs, method=Method(correct=correct)), others)[-1].ratio_db
        for correct in (False, True)
    )
    assert corrected > plain


def test_what_has_no_namesake_stays() -> None:
    """A network whose layers have other names, and channels that are always zero."""
    whole = network(0)
    inputs = np.zeros((4, 4, 6, 6), np.float32)
    integer = quantise(whole, inputs, method=Method(correct=False))
    assert quantise(whole, inputs).layers[0].requantise.bias.shape == integer.layers[0].requantise.bias.shape
