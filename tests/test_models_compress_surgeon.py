"""Pruning that fits the weights that stay: against least squares over every choice, and the counts that it promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.build import Chain
from accel.models.compress import prune, surgeon
from accel.models.compress.recipe import parse, run
from accel.models.compress.training_step import Context
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.reference import float32
from accel.models.training.images import ImageSet
from accel.models.window import Window

SHAPE = (4, 8, 8)


def network(seed: int = 0) -> Network:
    """Strides and pads that are not alike, a 1 x 1 window, and a vector."""
    chain = Chain(np.random.default_rng(seed), SHAPE)
    chain.conv("a", 8, Window((3, 3), (2, 2), (0, 0, 1, 1)), relu="ra")
    chain.conv("b", 6, Window((1, 1)), relu="rb")
    chain.flatten()
    chain.linear("c", 5)
    return chain.network("small")


def images(seed: int = 1, count: int = 400) -> np.ndarray:
    """Whose channels go together, so that a weight can take another's place."""
    random = np.random.default_rng(seed)
    base = random.standard_normal((count, 1, *SHAPE[1:]))
    return (base + 0.3 * random.standard_normal((count, *SHAPE)) + 0.5).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.integers(1, 3))
def test_the_weight_that_goes_and_those_that_stay_are_the_best(seed: int, inputs: int, outputs: int) -> None:
    random = np.random.default_rng(seed)
    chain = Chain(random, (inputs,))
    chain.linear("fc", outputs)
    net = chain.network("fc")
    x = (random.standard_normal((40, inputs)) @ random.standard_normal((inputs, inputs)) + 1).astype(np.float32)
    # One round that leaves all but one weight of each output.
    found = surgeon.to_density(net, {"fc": 1 - 1 / inputs}, x)
    (before,), (after,) = prune.matrix_layers(net), prune.matrix_layers(found)
    near = np.sqrt(surgeon.NEAR * np.square(x.astype(np.float64)).sum(0).mean())
    for w, got, bias, got_bias in zip(before.weights, after.weights, before.bias, after.bias, strict=True):
        best = None
        for kept in itertools.combinations(range(inputs), inputs - 1):
            columns = np.concatenate([x[:, kept], np.ones((40, 1))], 1).astype(np.float64)
            ridge = np.concatenate([near * np.eye(len(kept)), np.zeros((len(kept), 1))], 1)
            wanted = np.concatenate([x @ w + bias, near * w[list(kept)]])
            solved = np.linalg.lstsq(np.concatenate([columns, ridge]), wanted, rcond=None)[0]
            dropped = near * w[[i for i in range(inputs) if i not in kept]]
            error = np.square(np.concatenate([columns, ridge]) @ solved - wanted).sum() + np.square(dropped).sum()
            if best is None or error < best[0]:
                best = error, kept, solved
        assert best is not None
        full = np.zeros(inputs)
        full[list(best[1])] = best[2][:-1]
        np.testing.assert_allclose(got, full, atol=2e-3 * np.abs(full).max())
        assert got_bias == pytest.approx(best[2][-1], abs=1e-2)


def test_each_output_keeps_as_many_and_less_is_lost() -> None:
    net, x = network(), images()
    wanted = float32.run(net, images(2))
    density = {"a": 0.4, "b": 0.5, "c": 0.25}
    found = surgeon.to_density(net, density, x)
    for layer in prune.matrix_layers(found):
        counts = np.count_nonzero(layer.weights.reshape(len(layer.weights), -1), axis=1)
        assert (counts == round(density[layer.name] * layer.weights[0].size)).all()
    lost = [np.square(float32.run(n, images(2)) - wanted).mean() for n in (found, prune.to_density(net, density))]
    assert lost[0] < 0.5 * lost[1]


def test_a_layer_makes_up_for_those_before_it() -> None:
    net, x = network(), images()
    first = surgeon.to_density(net, {"a": 0.3}, x)
    both = surgeon.to_density(net, {"a": 0.3, "b": 1.0}, x)
    wanted, alone, helped = (float32.run_all(one, images(2))["b"] for one in (net, first, both))
    assert np.square(helped - wanted).mean() < 0.98 * np.square(alone - wanted).mean()


def test_zeros_stay() -> None:
    once = surgeon.to_density(network(), {"b": 0.5}, images())
    twice = surgeon.to_density(once, {"a": 0.5, "b": 0.9}, images())
    before, after = (prune.matrix_layers(one)[1].weights != 0 for one in (once, twice))
    assert not (after & ~before).any()


def test_nothing_dropped_is_nothing_changed() -> None:
    net = network()
    found = surgeon.to_density(net, {"a": 1.0, "b": 1.0, "c": 1.0}, images())
    np.testing.assert_allclose(float32.run(found, images(2)), float32.run(net, images(2)), atol=1e-3)


def test_n_of_m_in_the_layers_named() -> None:
    data = ImageSet(images(), np.zeros(400, np.int64), images(count=4), np.zeros(4, np.int64))
    for by in ("surgeon", "magnitude"):
        recipe = parse(f"name: s\nsteps: [{{prune: {{n: 1, m: 2, layers: [b], by: {by}}}}}]")
        a, b, c = prune.report(run(recipe, network(), Context(data)).network)
        assert (a.density, b.density, c.density) == (1, 0.5, 1)
    with pytest.raises(InputError, match="layers must come with n and m"):
        parse("name: s\nsteps: [{prune: {density: 0.5, layers: [b]}}]")


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3)])
def test_n_of_m_neighbours(n: int, m: int) -> None:
    net, x = network(), images()
    found, plain = surgeon.n_of_m(net, n, m, x), prune.n_of_m(net, n, m)
    for layer, other in zip(prune.matrix_layers(found), prune.matrix_layers(plain), strict=True):
        inputs_last = np.moveaxis(layer.weights, 1, -1)
        for start in range(0, inputs_last.shape[-1], m):
            assert (np.count_nonzero(inputs_last[..., start : start + m], axis=-1) <= n).all()
        assert np.count_nonzero(layer.weights) == np.count_nonzero(other.weights)
    wanted = float32.run(net, images(2))
    lost = [np.square(float32.run(one, images(2)) - wanted).mean() for one in (found, plain)]
    assert lost[0] < 0.7 * lost[1]


def test_a_recipe_calls_the_surgeon() -> None:
    x = images()
    data = ImageSet(x, np.zeros(len(x), np.int64), x[:4], np.zeros(4, np.int64))
    recipe = parse("name: s\nsteps: [{prune: {density: {a: 0.5}, by: surgeon}}]")
    found = prune.matrix_layers(run(recipe, network(), Context(data)).network)
    again = prune.matrix_layers(surgeon.to_density(network(), {"a": 0.5}, x))
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(found, again, strict=True))
    with pytest.raises(InputError, match=r"the surgeon looks at inputs: give what to learn from"):
        run(recipe, network(), Context())
    with pytest.raises(InputError, match="by must be magnitude where a threshold says what stays"):
        parse("name: s\nsteps: [{prune: {threshold: {a: 0.5}, by: surgeon}}]")
    with pytest.raises(InputError, match="the surgeon must be given layers without groups, not 'x'"):
        surgeon.to_density(network(), {"x": 0.5}, x)
