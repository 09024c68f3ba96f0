"""Pruning by magnitude, thresholds, N:M and channels: what is left is what a reader would keep by hand."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.design import load
from accel.flow.compare import compare
from accel.flow.data import Data
from accel.flow.techniques import find
from accel.models import zoo
from accel.models.compress.balance import balanced
from accel.models.compress.channels import drop_channels, droppable, output_channels, strongest
from accel.models.compress.prune import (
    densities_for,
    matrix_layers,
    n_of_m,
    report,
    sensitivity,
    to_density,
    to_threshold,
    with_weights,
)
from accel.models.compress.recipe import apply, parse
from accel.models.compress.training_step import Context
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.functions import IDENTITY, function_of, joined
from accel.models.graph import (
    Activation,
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Mul,
    Network,
    Pool,
    Reshape,
    Unary,
    build,
)
from accel.models.macs import macs
from accel.models.reference import float32
from accel.models.window import Window
from accel.models.zoo.architectures import lenet5, lenet_300_100
from tests.benches.model_networks import draw_inputs, draw_network, onnxruntime_output
from tests.benches.wide import draws

rngs = st.randoms(use_true_random=False)


@settings(deadline=None, max_examples=60)
@given(rngs)
def test_the_largest_weights_stay(rng: Random) -> None:
    network = draw_network(rng)
    density = {layer.name: rng.random() for layer in matrix_layers(network) if rng.random() < 0.7}
    pruned = to_density(network, density)
    for before, after in zip(matrix_layers(network), matrix_layers(pruned), strict=True):
        if before.name not in density:
            np.testing.assert_array_equal(before.weights, after.weights)
            continue
        kept = after.weights != 0
        assert kept.sum() == round(density[before.name] * before.weights.size)
        np.testing.assert_array_equal(after.weights[kept], before.weights[kept])
        np.testing.assert_array_equal(after.bias, before.bias)
        if 0 < kept.sum() < kept.size:
            assert np.abs(before.weights[kept]).min() >= np.abs(before.weights[~kept]).max()


def test_zeros_stay_zeros() -> None:
    network = to_density(lenet_300_100(np.random.default_rng(0)), {"ip1": 0.1})
    again = to_density(network, {"ip1": 0.5})
    assert report(again)[0].kept == report(network)[0].kept == round(0.1 * 784 * 300)


def test_thresholds_are_in_standard_deviations() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    pruned = to_threshold(network, {"ip1": 1.0})
    # A normal distribution has 31.7 % of its mass outside one standard deviation.
    assert report(pruned)[0].density == pytest.approx(0.317, abs=0.005)
    assert report(pruned)[1].density == 1


@settings(deadline=None, max_examples=60)
@given(rngs, st.integers(1, 4), st.integers(0, 3))
def test_n_of_m(rng: Random, n: int, more: int) -> None:
    m = n + more
    network = draw_network(rng)
    names = tuple(layer.name for layer in matrix_layers(network))
    pruned = n_of_m(network, n, m, names)
    for before, after in zip(matrix_layers(network), matrix_layers(pruned), strict=True):
        rows = np.moveaxis(before.weights, 1, -1).reshape(-1, before.weights.shape[1])
        found = np.moveaxis(after.weights, 1, -1).reshape(rows.shape)
        for row, kept in zip(rows, found, strict=True):
            for start in range(0, len(row), m):
                group, left = row[start : start + m], kept[start : start + m]
                assert np.count_nonzero(left) == min(n, len(group))
                assert sorted(np.abs(left[left != 0])) == sorted(np.abs(group))[-min(n, len(group)) :]


def test_n_of_m_leaves_short_layers_alone() -> None:
    pruned = n_of_m(lenet5(np.random.default_rng(0)), 2, 4)
    assert [round(layer.density, 3) for layer in report(pruned)] == [1, 0.5, 0.5, 0.5]


def toy() -> Network:
    """Two layers of which the second is the one that matters."""
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((40, 30)).astype(np.float32)
    return build(
        "toy",
        "x",
        (30,),
        (
            Linear("a", ("x",), "a", weights, np.zeros(40, np.float32)),
            Linear("b", ("a",), "b", weights.T.copy(), np.zeros(30, np.float32)),
        ),
    )


def test_sensitivity_chooses_what_costs_least() -> None:
    network = toy()

    def quality(pruned: Network) -> float:
        a, b = (layer.density for layer in report(pruned))
        return 100 - 1 * (1 - a) - 50 * (1 - b)

    scan = sensitivity(network, quality, (0.5, 0.1))
    assert scan["a"] == {0.5: pytest.approx(99.5), 0.1: pytest.approx(99.1)}
    for target in (0.8, 0.55, 0.4, 0.1):
        chosen = densities_for(network, scan, target, 100.0)
        assert (chosen["a"] + chosen["b"]) / 2 == pytest.approx(target)
        assert chosen["b"] == 1.0 or chosen["a"] == pytest.approx(0.1)
    with pytest.raises(InputError, match=r"density must be at least 0\.100 for this scan, not 0\.05"):
        densities_for(network, scan, 0.05, 100.0)


def channel_network(rng: Random) -> Network:
    """Convolution, pooling, convolution, flatten, two fully connected layers."""
    values = np.random.default_rng(rng.getrandbits(32))

    def weights(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        return values.standard_normal(shape).astype(np.float32), values.standard_normal(shape[0]).astype(np.float32)

    a, b, c = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 9)
    return build(
        "channels",
        "x",
        (2, 8, 8),
        (
            Conv("c1", ("x",), "c1", *weights(a, 2, 3, 3), Window((3, 3), pads=(1, 1, 1, 1))),
            Activation("r1", ("c1",), "r1"),
            Pool("p1", ("r1",), "p1", "max", Window((2, 2), (2, 2))),
            Conv("c2", ("p1",), "c2", *weights(b, a, 3, 3), Window((3, 3))),
            Reshape("f", ("c2",), "f", (b * 4,)),
            Linear("l1", ("f",), "l1", *weights(c, b * 4)),
            Activation("r2", ("l1",), "r2"),
            Linear("l2", ("r2",), "l2", *weights(3, c)),
        ),
    )


@settings(deadline=None, max_examples=40)
@given(rngs)
def test_dropped_channels_are_as_if_they_were_zero(rng: Random) -> None:
    """The smaller network computes what the whole one does with the outputs of the dropped channels set to 0."""
    network = channel_network(rng)
    name, share = rng.choice(["c1", "c2", "l1"]), rng.uniform(0.2, 1)
    smaller = drop_channels(network, {name: share})
    layers = []
    for layer in network.layers:
        if isinstance(layer, Conv | Linear) and layer.name == name:
            mask = np.zeros(len(layer.weights), np.float32)
            mask[strongest(layer, share)] = 1
            weights = layer.weights * mask.reshape(-1, *[1] * (layer.weights.ndim - 1))
            layer = replace(layer, weights=weights, bias=layer.bias * mask)
        layers.append(layer)
    inputs = draw_inputs(rng, network, 3)
    expected = float32.run(build("silent", "x", (2, 8, 8), tuple(layers)), inputs)
    np.testing.assert_allclose(float32.run(smaller, inputs), expected, rtol=1e-3, atol=1e-3)
    model = onnx_write.to_model(smaller)
    np.testing.assert_allclose(onnxruntime_output(model, inputs), expected, rtol=1e-3, atol=1e-3)
    assert len(next(x for x in matrix_layers(smaller) if x.name == name).weights) == len(strongest(
        next(x for x in matrix_layers(network) if x.name == name), share))  # fmt: skip


def residual_network(rng: Random) -> Network:
    """A stem, a depthwise block whose output is added to the stem's and to a projection's, and a classifier."""
    values = np.random.default_rng(rng.getrandbits(32))

    def conv(name: str, source: str, out: int, channels: int, kernel: int, groups: int = 1) -> Conv:
        weights = values.standard_normal((out, channels // groups, kernel, kernel)).astype(np.float32)
        bias, pad = values.standard_normal(out).astype(np.float32), kernel // 2
        return Conv(name, (source,), name, weights, bias, Window((kernel, kernel), pads=(pad,) * 4), groups)

    a, b = rng.randint(2, 6), rng.randint(2, 6)
    pooled = rng.random() < 0.5
    features = a if pooled else 16 * a
    return build(
        "residual", "x", (2, 4, 4),
        (
            conv("stem", "x", a, 2, 3),
            conv("expand", "stem", b, a, 1),
            Activation("r", ("expand",), "r", 0, 6),
            conv("depthwise", "r", b, b, 3, b),
            conv("project", "depthwise", a, b, 1),
            Add("s1", ("project", "stem"), "s1"),
            conv("side", "expand", a, b, 1),
            Add("s2", ("side", "s1"), "s2"),
            *([GlobalPool("p", ("s2",), "p", "average")] if pooled else []),
            Reshape("f", ("p" if pooled else "s2",), "f", (features,)),
            Linear("out", ("f",), "out", values.standard_normal((3, features)).astype(np.float32), np.zeros(3, "f4")),
        ),
    )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(rngs)
def test_channels_that_are_added_go_together(rng: Random) -> None:
    """As if all layers of an addition, and the depthwise ones behind a layer, had zeros in the channels that go."""
    network = residual_network(rng)
    together = rng.choice([("stem", "project", "side"), ("expand", "depthwise")])
    share = rng.uniform(0.2, 1)
    smaller = drop_channels(network, {rng.choice(together[: None if "stem" in together else 1]): share})
    weights = {layer.name: layer.weights for layer in matrix_layers(network)}
    ranked = [weights[name] for name in together if name != "depthwise"]
    strength = sum(np.abs(one).reshape(len(one), -1).sum(1) for one in ranked)
    count = max(1, round(share * len(ranked[0])))
    mask = np.zeros(len(ranked[0]), np.float32)
    mask[np.argsort(-strength, kind="stable")[:count]] = 1
    layers = [
        replace(layer, weights=layer.weights * mask[:, None, None, None], bias=layer.bias * mask)
        if isinstance(layer, Conv) and layer.name in together
        else layer
        for layer in network.layers
    ]
    inputs = draw_inputs(rng, network, 3)
    expected = float32.run(build("silent", "x", (2, 4, 4), tuple(layers)), inputs)
    np.testing.assert_allclose(float32.run(smaller, inputs), expected, rtol=1e-3, atol=1e-3)
    assert {len(layer.weights) for layer in matrix_layers(smaller) if layer.name in together} == {count}
    halves = drop_channels(network, 0.5)
    one_by_one = drop_channels(drop_channels(network, {"stem": 0.5}), {"expand": 0.5})
    np.testing.assert_array_equal(float32.run(halves, inputs), float32.run(one_by_one, inputs))


@settings(deadline=None, max_examples=20)
@given(rngs)
def test_several_layers_at_once_are_one_after_the_other(rng: Random) -> None:
    network = channel_network(rng)
    share = {name: rng.uniform(0.2, 1) for name in ("c1", "c2", "l1")}
    step_by_step = network
    for name, value in share.items():
        step_by_step = drop_channels(step_by_step, {name: value})
    inputs = draw_inputs(rng, network, 2)
    at_once = drop_channels(network, share)
    np.testing.assert_array_equal(float32.run(at_once, inputs), float32.run(step_by_step, inputs))
    assert sum(macs(at_once).values()) <= sum(macs(network).values())


def gated(rng: Random) -> Network:
    """SiLU, squeeze and excite (a gate that multiplies, on either side), HardSwish and LeakyReLU."""
    values = np.random.default_rng(rng.randrange(2**32))
    silu = joined("Mul", IDENTITY, function_of("Sigmoid"))

    def conv(name: str, source: str, inputs: int, outputs: int) -> Conv:
        weights = values.standard_normal((outputs, inputs, 1, 1)).astype(np.float32)
        return Conv(name, (source,), name, weights, values.standard_normal(outputs).astype(np.float32), Window((1, 1)))

    pair = ("act", "gate") if rng.random() < 0.5 else ("gate", "act")
    return build(
        "gated", "x", (2, 4, 4),
        (
            conv("stem", "x", 2, 8),
            Unary("act", ("stem",), "act", silu),
            GlobalPool("squeeze", ("act",), "squeeze", "average"),
            conv("reduce", "squeeze", 8, 4),
            Unary("leaky", ("reduce",), "leaky", function_of("LeakyRelu", 0.1)),
            conv("excite", "leaky", 4, 8),
            Unary("gate", ("excite",), "gate", function_of("HardSigmoid", 0.25, 0.5)),
            Mul("product", pair, "product"),
            conv("last", "product", 8, 3),
        ),
    )  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(rngs)
def test_channels_go_through_functions_and_gates(rng: Random) -> None:
    """As if whatever reads the channels that go did not: f(0) may be anything, since they are not zeros but away."""
    network, share = gated(rng), rng.uniform(0.2, 1)
    assert droppable(network) == ("stem", "reduce")
    smaller = drop_channels(network, {rng.choice(("stem", "excite")): share})
    weights = {layer.name: layer.weights for layer in matrix_layers(network)}
    strength = sum(np.abs(weights[name]).reshape(8, -1).sum(1) for name in ("stem", "excite"))
    count = max(1, round(share * 8))
    mask = np.zeros((1, 8, 1, 1), np.float32)
    mask[0, np.argsort(-strength, kind="stable")[:count]] = 1
    deaf = with_weights(network, {name: weights[name] * mask for name in ("reduce", "last")})
    inputs = draw_inputs(rng, network, 3)
    np.testing.assert_allclose(float32.run(smaller, inputs), float32.run(deaf, inputs), rtol=1e-4, atol=1e-4)
    assert [len(layer.weights) for layer in matrix_layers(smaller)] == [count, 4, count, 3]
    assert output_channels(network) == 20
    # What is scaled in front of a function is not scaled behind it.
    np.testing.assert_allclose(float32.run(balanced(network), inputs), float32.run(network, inputs), 1e-4, 1e-4)


def branches(rng: Random) -> Network:
    """A fire module (SqueezeNet), a concatenation of concatenations, one that is pooled and flattened, and a sum."""
    values = np.random.default_rng(rng.randrange(2**32))

    def conv(name: str, source: str, inputs: int, outputs: int, size: int = 1, groups: int = 1) -> Conv:
        weights = values.standard_normal((outputs, inputs // groups, size, size)).astype(np.float32) / inputs**0.5
        bias = values.standard_normal(outputs).astype(np.float32)
        return Conv(name, (source,), name, weights, bias, Window((size, size), pads=(size // 2,) * 4), groups)

    a, b, c, d = (rng.randint(2, 7) for _ in range(4))
    return build(
        "branches", "x", (2, 4, 4),
        (
            conv("squeeze", "x", 2, a), Activation("relu", ("squeeze",), "relu"),
            conv("left", "relu", a, b), conv("right", "relu", a, c, 3), Concat("both", ("left", "right"), "both"),
            conv("depth", "both", b + c, b + c, 3, b + c), conv("other", "relu", a, d),
            Concat("three", ("depth", "other", "left"), "three"),
            conv("mix", "three", 2 * b + c + d, b), conv("mix2", "three", 2 * b + c + d, c, 3),
            Concat("mixed", ("mix", "mix2"), "mixed"), Add("sum", ("both", "mixed"), "sum"),
            Pool("pool", ("sum",), "pool", "max", Window((2, 2), (2, 2))),
            Reshape("flat", ("pool",), "flat", (4 * (b + c),)),
            Linear("fc", ("flat",), "fc", values.standard_normal((3, 4 * (b + c))).astype(np.float32),
                   values.standard_normal(3).astype(np.float32)),
        ),
    )  # fmt: skip


@settings(deadline=None, max_examples=draws(60))
@given(rngs)
def test_channels_go_through_concatenations(rng: Random) -> None:
    """Against the network cut by hand: of each tensor the channels that stay, by names that nothing else knows."""
    network, share = branches(rng), rng.uniform(0.2, 1)
    assert droppable(network) == ("squeeze", "left", "right", "other")
    name = rng.choice(("squeeze", "left", "right", "other", "mix", "mix2"))
    smaller = drop_channels(network, {name: share})
    weights = {layer.name: layer.weights for layer in matrix_layers(network)}
    # Channels by name: what is added has the names of both, which are those of the first.
    own = {n: [f"{n}{k}" for k in range(len(weights[n]))] for n in ("squeeze", "left", "right", "other")}
    named = {"x": ["x0", "x1"], "relu": own["squeeze"], "both": own["left"] + own["right"], "mix": own["left"]}
    named |= {"mix2": own["right"], "depth": named["both"], "three": named["both"] + own["other"] + own["left"]}
    named |= own | {"flat": [n for n in named["both"] for _ in range(4)], "fc": ["y0", "y1", "y2"]}
    alike = {"left": ("left", "mix"), "mix": ("left", "mix"), "right": ("right", "mix2"), "mix2": ("right", "mix2")}
    makers = alike.get(name, (name,))
    strength = sum(np.abs(weights[maker]).reshape(len(weights[maker]), -1).sum(1) for maker in makers)
    count = max(1, round(share * len(strength)))
    gone = {named[makers[0]][k] for k in np.argsort(-strength, kind="stable")[count:]}
    stay = {tensor: [k for k, n in enumerate(names) if n not in gone] for tensor, names in named.items()}
    cut: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Conv | Linear):
            rows = layer.weights[stay[layer.output]]
            rows = rows if layer.name == "depth" else rows[:, stay[layer.inputs[0]]]
            layer = replace(layer, weights=rows, bias=layer.bias[stay[layer.output]])
            layer = replace(layer, groups=len(rows)) if layer.name == "depth" else layer
        elif isinstance(layer, Reshape):
            layer = replace(layer, shape=(len(stay["flat"]),))
        cut.append(layer)
    by_hand = build("branches", "x", (2, 4, 4), tuple(cut))
    for layer, wanted in zip(matrix_layers(smaller), matrix_layers(by_hand), strict=True):
        np.testing.assert_array_equal(layer.weights, wanted.weights)
        np.testing.assert_array_equal(layer.bias, wanted.bias)
    inputs = draw_inputs(rng, network, 3)
    expected = float32.run(by_hand, inputs)
    np.testing.assert_array_equal(float32.run(smaller, inputs), expected)
    theirs = onnxruntime_output(onnx_write.to_model(smaller), inputs)
    np.testing.assert_allclose(theirs, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(float32.run(balanced(network), inputs), float32.run(network, inputs), 1e-3, 1e-3)


def test_concatenations_that_do_not_lie_alike_stay() -> None:
    """A sum of two concatenations whose borders differ, and what a group reads."""
    values = np.random.default_rng(0)

    def conv(name: str, source: str, inputs: int, outputs: int, groups: int = 1) -> Conv:
        weights = values.standard_normal((outputs, inputs // groups, 1, 1)).astype(np.float32)
        return Conv(name, (source,), name, weights, np.zeros(outputs, np.float32), Window((1, 1)), groups)

    network = build(
        "crossed", "x", (2, 4, 4),
        (
            conv("a", "x", 2, 3), conv("b", "x", 2, 5), conv("c", "x", 2, 4), conv("d", "x", 2, 4),
            Concat("ab", ("a", "b"), "ab"), Concat("cd", ("c", "d"), "cd"), Add("sum", ("ab", "cd"), "sum"),
            conv("free", "sum", 8, 6), conv("e", "free", 6, 2), Concat("ex", ("e", "x"), "ex"),
            conv("f", "ex", 4, 4), Concat("fx", ("f", "x"), "fx"), conv("g", "fx", 6, 4, 2), conv("h", "g", 4, 2),
        ),
    )  # fmt: skip
    assert droppable(network) == ("free", "e")
    for name, why in (("a", "'sum' reads them"), ("d", "'sum' reads them"), ("f", "layer 'g' has groups")):
        with pytest.raises(InputError, match=f"channels of layer '{name}' cannot be dropped: {why}"):
            drop_channels(network, {name: 0.5})


@pytest.mark.parametrize("name", ["squeezenet-1.1", "googlenet"])
def test_networks_of_concatenations_lose_channels_everywhere(name: str) -> None:
    network = zoo.architecture(name, seed=None)
    made = [layer.name for layer in matrix_layers(network)]
    assert set(droppable(network)) == set(made[:-1])


def test_a_share_that_hardly_went_is_said() -> None:
    values = np.random.default_rng(0)

    def conv(name: str, source: str, inputs: int, outputs: int) -> Conv:
        weights = values.standard_normal((outputs, inputs, 1, 1)).astype(np.float32)
        return Conv(name, (source,), name, weights, np.zeros(outputs, np.float32), Window((1, 1)))

    network = build(
        "branches", "x", (2, 4, 4),
        (
            conv("a", "x", 2, 18), conv("b", "x", 2, 18), Concat("c", ("a", "b"), "c"),
            replace(conv("d", "c", 18, 4), groups=2), conv("e", "d", 4, 4), conv("out", "e", 4, 3),
        ),
    )  # fmt: skip
    reports = apply(parse("name: r\nsteps: [{channels: {keep: 0.5}}]"), network, Context())[1]
    note = "5 % of the channels went, not 50 %: the others reach an operator that fixes them"
    assert reports[0][1]["note"] == note
    data = Data(values.uniform(0, 1, (4, 2, 4, 4)).astype(np.float32), None, None, "")
    found = compare(network, data, [load("nano")], (find("dense"), find("channels")))
    (said,) = [note for note in found.notes if "of the channels went" in note]
    assert said.startswith("70 % of channels, not retrained: 2 % of the channels went, not 30 %: ")
    plain = apply(parse("name: r\nsteps: [{channels: {keep: 0.5}}]"), gated(Random(0)), Context())[1]
    assert "note" not in plain[0][1]


def test_channels_that_cannot_go() -> None:
    generator = np.random.default_rng(0)
    conv = generator.standard_normal((2, 2, 1, 1)).astype(np.float32)
    bias = np.zeros(2, np.float32)
    network = build(
        "n",
        "x",
        (2, 4, 4),
        (
            Conv("a", ("x",), "a", conv, bias, Window((1, 1))),
            Add("s", ("a", "x"), "s"),
            Conv("b", ("s",), "b", np.tile(conv, (2, 1, 1, 1)), np.tile(bias, 2), Window((1, 1))),
            Conv("g", ("b",), "g", np.tile(conv, (2, 1, 1, 1)), np.tile(bias, 2), Window((1, 1)), 2),
            Conv("o", ("g",), "o", np.tile(conv, (1, 2, 1, 1)), bias, Window((1, 1))),
        ),
    )
    with pytest.raises(InputError, match="channels of layer 'a' cannot be dropped: they are those of the input 'x'"):
        drop_channels(network, {"a": 0.5})
    for name in ("b", "g"):
        with pytest.raises(InputError, match=f"channels of layer '{name}' cannot be dropped: layer 'g' has groups"):
            drop_channels(network, {name: 0.5})
    with pytest.raises(InputError, match="channels must be of a network with a layer that can lose some"):
        drop_channels(network, 0.5)
    with pytest.raises(InputError, match="layer 'o' makes the network's output"):
        drop_channels(network, {"o": 0.5})
    with pytest.raises(InputError, match="channels must name one of a, b, g, o, not 'z'"):
        drop_channels(network, {"z": 0.5})
    with pytest.raises(InputError, match="share of channels of a must be above 0 and at most 1, not 0"):
        drop_channels(network, {"a": 0})


def test_bad_arguments() -> None:
    network = toy()
    with pytest.raises(InputError, match="density must name one of a, b, not 'c'"):
        to_density(network, {"c": 0.5})
    with pytest.raises(InputError, match=r"density of a must be 0\.\.1, not 1\.5"):
        to_density(network, {"a": 1.5})
    with pytest.raises(InputError, match=r"n must be 1\.\.m, not 5:4"):
        n_of_m(network, 5, 4)
    with pytest.raises(InputError, match="weights"):
        with_weights(network, {"a": np.zeros((2, 2), np.float32)})


def test_macs() -> None:
    assert macs(lenet5(np.random.default_rng(0))) == {
        "conv1": 288_000, "conv2": 1_600_000, "ip1": 400_000, "ip2": 5_000,
    }  # fmt: skip
