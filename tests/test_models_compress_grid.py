"""Rounding for rate against a search over all multiples, and what becomes of the grid: in files, in int8."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models import zoo
from accel.models.compress import grid
from accel.models.compress.grid import Costs, put_on_grid, round_biases, round_for_rate
from accel.models.compress.prune import matrix_layers
from accel.models.encode.arithmetic import Encoder, tree_bits_of
from accel.models.encode.encoded import decode, encode
from accel.models.encode.encoded_file import from_bytes, to_bytes
from accel.models.encode.encoded_layer import FORMATS
from accel.models.errors import InputError
from accel.models.graph import Float, Linear, build
from accel.models.grid import Grid, grid_of, significant
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import float32
from accel.models.reference.int8 import quantise_input, run
from accel.models.zoo.architectures import lenet_300_100


def pruned(generator: np.random.Generator, shape: tuple[int, ...], density: float) -> Float:
    weights = generator.standard_normal(shape) + 0.5
    return np.where(generator.random(shape) < density, weights, 0).astype(np.float32)


def known(weights: Float) -> Grid:
    found = grid_of(weights)
    assert found is not None
    return found


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 127), st.sampled_from([(9, 7), (4, 3, 2, 2)]))
def test_a_grid_is_found_in_its_weights(seed: int, per_output: bool, largest: int, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(-largest, largest + 1, shape)
    steps = significant(np.exp(20 * generator.standard_normal(len(codes) if per_output else 1)).astype(np.float32))
    weights = (codes * steps.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)
    if np.count_nonzero(codes) <= len(steps):
        return
    found = known(weights)
    np.testing.assert_array_equal(found.weights, weights)
    assert found.weights.dtype == np.float32
    # The largest step: multiples without a common divisor.
    rows = found.codes.reshape(len(found.steps), -1).astype(np.int64)
    assert all(math.gcd(*row.tolist()) in (0, 1) for row in rows)


def test_other_weights_have_no_grid() -> None:
    generator = np.random.default_rng(0)
    for shape in ((5, 8), (4, 3, 2, 2), (6, 1)):
        assert grid_of(generator.standard_normal(shape).astype(np.float32)) is None
    assert grid_of(np.zeros((2, 3), np.float32)) is None
    assert grid_of(np.array([[1, 128]], np.float32)) is None
    assert grid_of(np.array([[np.nan, 1]], np.float32)) is None
    assert grid_of(np.array([[np.inf, 1]], np.float32)) is None
    for name in ("lenet-5-deep", "lenet-5-pruned", "lenet-300-100-deep"):  # shared by k-means is not on a grid
        assert all(grid_of(layer.weights) is None for layer in matrix_layers(zoo.load(name)))


def bits_by_counting(codes: np.ndarray, row: int, column: int, value: int) -> float:
    """What `value` would take at this place, from counts of all others; docs/formats.md has the contexts."""

    def context(y: int, x: int) -> tuple[int, int, int]:
        above, before = codes[:y, x], codes[y, :x]
        full = [
            min(15, int(math.log2((2 * len(part) + 2) // (2 * np.count_nonzero(part) + 1)))) for part in (above, before)
        ]
        return full[0], full[1], int(np.sign(codes[y, x - 1])) if x else 0

    flags: Counter[object] = Counter()
    signs: Counter[object] = Counter()
    sizes: Counter[int] = Counter()
    for y, x in np.ndindex(*codes.shape):
        *full, left = context(y, x)
        flags[*full, left != 0, codes[y, x] != 0] += 1
        if codes[y, x]:
            signs[left, codes[y, x] < 0] += 1
            sizes[abs(int(codes[y, x]))] += 1
    *full, left = context(row, column)
    ones, zeros = flags[*full, left != 0, True], flags[*full, left != 0, False]
    if not value:
        return -math.log2((zeros + 0.5) / (ones + zeros + 1))
    same, other = signs[left, value < 0], signs[left, value >= 0]
    total = sum(sizes.values()) + 127 / 4
    return (
        -math.log2((ones + 0.5) / (ones + zeros + 1))
        - math.log2((same + 0.5) / (same + other + 1))
        - math.log2((sizes[abs(value)] + 0.25) / total)
    )


def test_each_weight_is_at_the_best_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rounding stands still, no multiple next to a weight, nor 0, is better by the counts of the result."""
    settled = 0

    @settings(deadline=None, max_examples=15)
    @given(st.randoms(use_true_random=False))
    def draws(rng: Random) -> None:
        nonlocal settled
        settled += best_points(rng, monkeypatch)

    draws()
    assert settled >= 8  # ten turns are not always enough


def best_points(rng: Random, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether one drawn layer stands still; if so, it is checked."""
    generator = np.random.default_rng(rng.getrandbits(32))
    weights = pruned(generator, (8, 12), rng.choice([0.2, 0.6, 1]))
    levels, rate = rng.randint(2, 9), rng.choice([0.01, 0.1, 0.4])
    found = round_for_rate(weights, levels, rate)
    step = float(significant(np.abs(weights).max() / np.float32(levels)))
    codes = np.rint(found / step).astype(np.int64)
    np.testing.assert_array_equal((codes * step).astype(np.float32), found)
    assert np.abs(codes).max() <= levels
    again = round_for_rate(found, int(np.abs(codes).max()), 0) if codes.any() else found
    np.testing.assert_array_equal(again, found)
    monkeypatch.setattr(grid, "TIMES", grid.TIMES + 1)
    settled = np.array_equal(round_for_rate(weights, levels, rate), found)
    monkeypatch.undo()
    for row, column in np.ndindex(*weights.shape):
        scaled = float(weights[row, column]) / step

        def cost(value: int, row: int = row, column: int = column, scaled: float = scaled) -> float:
            return (scaled - value) ** 2 + rate * bits_by_counting(codes, row, column, value)

        if scaled == 0:
            assert codes[row, column] == 0
            continue
        near = {0, math.floor(scaled), math.ceil(scaled)}
        assert codes[row, column] in near
        if settled:
            best = min(cost(value) for value in near if abs(value) <= levels)
            assert cost(int(codes[row, column])) <= best + 1e-9
    return settled


def test_rate_0_is_the_nearest() -> None:
    weights = pruned(np.random.default_rng(1), (20, 30), 0.5)
    found = round_for_rate(weights, 10, 0)
    step = float(significant(np.abs(weights).max() / np.float32(10)))
    assert np.abs(found - weights).max() <= step / 2
    each = round_for_rate(weights, 10, 0, per_output=True)
    assert (np.abs(each - weights).max(1) <= significant(np.abs(weights).max(1) / np.float32(10)) / 2 * 1.0001).all()
    assert len(known(each).steps) == 20
    np.testing.assert_array_equal(round_for_rate(np.zeros((2, 3), np.float32), 5, 0.2), np.zeros((2, 3)))


def test_bits_are_those_of_the_code() -> None:
    """Of the pruned LeNet-5's largest layer: the sum that is weighed, and the stream that is written."""
    weights = matrix_layers(zoo.load("lenet-5-pruned"))[2].weights
    sizes = []
    for rate in (0, 0.3):
        codes = known(round_for_rate(weights, 9, rate)).codes.astype(np.int64)
        encoder = Encoder()
        encoder.write(codes, tree_bits_of(codes))
        sizes.append(8 * len(encoder.finish()))
        assert Costs(codes).bits(codes).sum() == pytest.approx(sizes[-1], rel=0.02)
    assert sizes[0] > 1.1 * sizes[1]


@pytest.mark.parametrize("per_output", [False, True])
def test_a_grid_in_files_and_in_int8(per_output: bool) -> None:
    """Files hold steps and multiples; int8 codes are the multiples, so that an entropy coder sees few symbols."""
    generator = np.random.default_rng(0)
    network = lenet_300_100(generator)
    rates = {"ip1": 0.1, "ip2": 0.2}
    network = round_biases(put_on_grid(network, {"ip1": 5, "ip2": 100, "ip3": 7}, rates, per_output), 8)
    content = to_bytes(encode(network, among=FORMATS))
    back = from_bytes(content, "n")
    for layer, theirs, source in zip(back.layers, matrix_layers(decode(back)), matrix_layers(network), strict=True):
        assert layer.format == "dense+arithmetic"
        assert len(layer.codebook) == (source.weights.shape[0] if per_output else 1)
        np.testing.assert_array_equal(theirs.weights, source.weights)
        np.testing.assert_array_equal(theirs.bias, source.bias)
    calibration = generator.random((50, 1, 28, 28)).astype(np.float32)
    integer = quantise_compressed(network, calibration)
    for layer, source in zip(integer.layers, matrix_layers(network), strict=True):
        held = known(source.weights)
        np.testing.assert_array_equal(layer.weights.reshape(held.codes.shape), held.codes)
        assert len(np.unique(layer.weights)) <= {"ip1": 11, "ip2": 201, "ip3": 15}[layer.name]
        if layer.shared:
            np.testing.assert_array_equal(layer.shared.codebook[layer.shared.indices], layer.weights)
    assert integer.layers[0].shared.bits == 4
    ours = float32.run(network, calibration)
    output = integer.tensors[integer.output]
    codes = run(integer, quantise_input(integer, calibration))[integer.output].reshape(ours.shape)
    assert np.abs((codes.astype(float) - output.zero_point) * output.scale - ours).max() < 12 * output.scale


def test_a_step_below_what_a_bias_needs_is_left() -> None:
    """The bias of a layer must fit 30 bits in units of weight and input: then the scale is another."""
    weights = np.array([[1, 2, 3], [3, 2, 1]], np.float32) * np.float32(2**-40)
    layer = Linear("l", ("x",), "y", weights, np.array([1e6, 0], np.float32))
    network = build("n", "x", (3,), (layer,))
    assert grid_of(weights) is not None
    (found,) = quantise_compressed(network, np.ones((2, 3), np.float32)).layers
    assert (found.weights == 0).all() or len(np.unique(found.weights)) <= 7


def test_biases_keep_their_highest_bits() -> None:
    network = round_biases(lenet_300_100(np.random.default_rng(0)), 3)
    layer = Linear("l", ("x",), "y", np.ones((4, 1), np.float32), np.array([0.3, -5.5, 0, 1e30], np.float32))
    found = matrix_layers(round_biases(build("n", "x", (1,), (layer,)), 3))[0].bias
    np.testing.assert_allclose(found, [0.3125, -6, 0, 1e30], rtol=0.07)
    assert found[:3].tolist() == [0.3125, -6, 0]
    assert [x.weights.shape for x in matrix_layers(network)] == [(300, 784), (100, 300), (10, 100)]


def test_names_that_no_layer_has() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    with pytest.raises(InputError, match="levels must name one of ip1, ip2, ip3, not 'a'"):
        put_on_grid(network, {"a": 5}, {})
    with pytest.raises(InputError, match="rate must name one of ip1, ip2, ip3, not 'b'"):
        put_on_grid(network, {"ip1": 5}, {"b": 0.1})
