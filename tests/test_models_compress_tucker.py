import dataclasses
import itertools

import numpy as np
import pytest
import tensorly.decomposition
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models import zoo
from accel.models.build import Chain
from accel.models.compress.recipe import apply
from accel.models.compress.standard import STANDARD
from accel.models.compress.training_step import Context
from accel.models.compress.tucker import Options, decompose, factorise
from accel.models.errors import InputError
from accel.models.exchange import onnx_read, onnx_write
from accel.models.graph import Activation, Add, Conv, Linear, Reshape, build
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from accel.models.reference.int8 import quantise_input
from accel.models.reference.int8 import run as run_integer
from accel.models.window import Window
from tests.benches.model_networks import onnxruntime_output

ONE = Window((1, 1))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv(seed, outputs, inputs, window, groups=1):
    return Conv(
        "c", ("x",), "y", normal(seed, outputs, inputs // groups, *window.kernel), normal(1, outputs), window, groups
    )


def alone(layer, *shape):
    return build("n", "x", shape, (layer,))


def weights_of(parts):
    """The weights of one layer that computes what `parts` compute, by contracting their channels."""
    product = parts[0].weights.astype(np.float64).reshape(*parts[0].weights.shape[:2], -1)
    for part in parts[1:]:
        other = part.weights.astype(np.float64).reshape(*part.weights.shape[:2], -1)
        product = np.einsum("tsk,rtl->rskl", product, other).reshape(len(other), product.shape[1], -1)
    return product


def error_of(layer, parts):
    """The norm of the difference, not the difference of the norms."""
    return np.linalg.norm(layer.weights.reshape(*layer.weights.shape[:2], -1) - weights_of(parts))


def same_outputs(network, changed, seed, tolerance=2e-5):
    """Through the float reference, and through ONNX Runtime once saved."""
    inputs = normal(seed, 3, *network.shapes[network.input])
    expected = float32.run(network, inputs)
    scale = max(np.abs(expected).max(), 1)
    np.testing.assert_allclose(float32.run(changed, inputs), expected, atol=tolerance * scale)
    there = onnxruntime_output(onnx_write.to_model(changed), inputs)
    np.testing.assert_allclose(there, expected, atol=tolerance * scale)


@st.composite
def convolutions(draw):
    """A convolution above 1 x 1 of up to 7 channels, with strides, uneven pads and dilation, and its input shape."""
    kernel = draw(st.sampled_from([(3, 3), (1, 3), (2, 1), (5, 3), (2, 2)]))
    pair = st.tuples(st.integers(1, 2), st.integers(1, 3))
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    window = Window(kernel, draw(pair), pads, draw(pair))
    outputs, inputs = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return conv(draw(st.integers(0, 99)), outputs, inputs, window), (inputs, 9, 10)


@settings(deadline=None, max_examples=60)
@given(convolutions(), st.integers(0, 2))
def test_full_ranks_change_nothing(drawn, iterations):
    layer, shape = drawn
    outputs, inputs = layer.weights.shape[:2]
    for ranks in ((inputs, outputs), (inputs, None), (None, outputs)):
        parts = factorise(layer, ranks, iterations)
        same_outputs(alone(layer, *shape), build("n", "x", shape, parts), 5)


@settings(deadline=None, max_examples=60)
@given(convolutions(), st.data())
def test_parts_of_a_convolution(drawn, data):
    """Any ranks: the network computes what its contracted weights say, with the window in the core."""
    layer, shape = drawn
    outputs, inputs = layer.weights.shape[:2]
    r3 = data.draw(st.none() | st.integers(1, inputs))
    r4 = data.draw(st.integers(1, outputs) if r3 is None else st.none() | st.integers(1, outputs))
    parts = factorise(layer, (r3, r4), 1)
    names = [*["c.in"] * bool(r3), "c.core", *["c.out"] * bool(r4)]
    assert [part.name for part in parts] == names
    assert [part.output for part in parts] == [*names[:-1], "y"]
    core = parts[bool(r3)]
    assert (core.weights.shape, core.window) == ((r4 or outputs, r3 or inputs, *layer.window.kernel), layer.window)
    assert all(part.window == ONE for part in parts if part is not core)
    # The bias is added once, at the end; pads would see an earlier one.
    assert not any(part.bias.any() for part in parts[:-1])
    np.testing.assert_array_equal(parts[-1].bias, layer.bias)
    merged = dataclasses.replace(layer, weights=weights_of(parts).reshape(layer.weights.shape).astype(np.float32))
    same_outputs(alone(merged, *shape), build("n", "x", shape, parts), 6)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.data())
def test_svd(outputs, inputs, linear, data):
    """Eckart-Young: the error is the tail of the singular values."""
    rank = data.draw(st.integers(1, min(outputs, inputs)))
    if linear:
        layer = Linear("c", ("x",), "y", normal(rank, outputs, inputs), normal(1, outputs))
        shape = data.draw(st.sampled_from([(inputs,), (4, inputs)]))
    else:
        layer = conv(rank, outputs, inputs, Window((1, 1), (2, 1), (1, 0, 2, 0)))
        shape = (inputs, 5, 6)
    parts = factorise(layer, rank)
    tail = np.linalg.svd(layer.weights.reshape(outputs, inputs), compute_uv=False)[rank:]
    assert error_of(layer, parts) == pytest.approx(np.linalg.norm(tail), rel=1e-4, abs=1e-5)
    assert [(part.name, type(part), len(part.weights)) for part in parts] == [
        ("c.in", type(layer), rank),
        ("c.out", type(layer), outputs),
    ]
    merged = dataclasses.replace(layer, weights=weights_of(parts).reshape(layer.weights.shape).astype(np.float32))
    same_outputs(alone(merged, *shape), build("n", "x", shape, parts), 7)
    if rank == min(outputs, inputs):
        same_outputs(alone(layer, *shape), build("n", "x", shape, parts), 7)


@pytest.mark.parametrize("ranks", [(2, 3), (5, 2), (1, 1), (7, 9), (8, 4)])
def test_against_tensorly(ranks):
    layer = conv(ranks[0], 12, 8, Window((3, 3)))
    errors = [error_of(layer, factorise(layer, ranks, sweeps)) for sweeps in (0, 1, 5, 200)]
    # HOSVD, then never worse.
    assert all(later <= earlier + 1e-6 for earlier, later in itertools.pairwise(errors))
    # Up to sqrt(2) of the optimum: De Lathauwer et al. 2000.
    assert errors[0] <= np.sqrt(2) * errors[-1]
    weights = layer.weights.astype(np.float64)
    (core, (outer, inner)), _ = tensorly.decomposition.partial_tucker(
        weights, rank=[ranks[1], ranks[0]], modes=[0, 1], init="svd", n_iter_max=200, tol=1e-12
    )
    theirs = np.linalg.norm(weights - np.einsum("rskl,tr,us->tukl", core, outer, inner))
    assert errors[-1] == pytest.approx(theirs, rel=1e-4)


def test_tucker_1_is_the_tail_of_its_unfolding():
    layer = conv(3, 12, 8, Window((3, 3)))
    for ranks, mode in (((3, None), 1), ((None, 5), 0)):
        rank = max(r for r in ranks if r)
        unfolded = np.moveaxis(layer.weights, mode, 0).reshape(layer.weights.shape[mode], -1)
        tail = np.linalg.svd(unfolded, compute_uv=False)[rank:]
        assert error_of(layer, factorise(layer, ranks, 3)) == pytest.approx(np.linalg.norm(tail), rel=1e-5)


def planted(seed, outputs, inputs, r4, r3, kernel, noise):
    """Weights of Tucker ranks (r3, r4), of entries about 1, with noise."""
    random = np.random.default_rng(seed)
    core = random.standard_normal((r4, r3, kernel, kernel))
    outer, inner = random.standard_normal((outputs, r4)), random.standard_normal((inputs, r3))
    weights = np.einsum("tr,rskl,us->tukl", outer, core, inner) / np.sqrt(r3 * r4)
    return (weights + noise * random.standard_normal(weights.shape)).astype(np.float32)


def mixed_network():
    """One layer for each thing that can happen, on a map of 24 x 10 x 10."""
    weights = planted(0, 32, 24, 5, 4, 3, 0.1)
    random = normal(1, 32, 16, 3, 3)
    matrix = normal(2, 40, 3) @ normal(3, 3, 800) + 0.01 * normal(4, 40, 800)
    point = normal(5, 32, 2) @ normal(6, 2, 32) + 0.01 * normal(7, 32, 32)
    zeros = np.zeros(32, np.float32)
    padded = Window((3, 3), (1, 1), (1, 1, 1, 1))
    return build(
        "mixed",
        "x",
        (24, 10, 10),
        (
            Conv("low", ("x",), "a", weights, normal(8, 32), padded),
            Activation("relu", ("a",), "b"),
            Conv("grouped", ("b",), "c", random, zeros, padded, 2),
            Add("add", ("b", "c"), "d"),
            Conv("point", ("d",), "e", point[:, :, None, None], zeros, Window((1, 1), (2, 2))),
            Conv("noise", ("e",), "f", normal(9, 32, 32, 3, 3), zeros, padded),
            Reshape("flat", ("f",), "g", (800,)),
            Linear("fc", ("g",), "h", matrix, normal(10, 40)),
        ),
    )


def test_evbmf_finds_the_ranks(tmp_path):
    network = mixed_network()
    before = {layer.name: layer.weights.copy() for layer in network.layers if isinstance(layer, Conv | Linear)}
    result, report = decompose(network)
    rows = {row.name: row for row in report.layers}
    assert list(rows) == ["low", "grouped", "point", "noise", "fc"]
    assert (rows["low"].method, rows["low"].ranks) == ("tucker-2", (4, 5))
    assert (rows["point"].method, rows["point"].ranks) == ("svd", (2,))
    assert (rows["fc"].method, rows["fc"].ranks) == ("svd", (3,))
    assert (rows["grouped"].method, rows["grouped"].reason) == ("none", "groups must be 1, not 2")
    assert [layer.name for layer in result.layers] == [
        *("low.in", "low.core", "low.out", "relu", "grouped", "add", "point.in", "point.out"),
        *(layer.name for layer in result.layers if layer.name.startswith("noise")),
        *("flat", "fc.in", "fc.out"),
    ]
    # Counted by hand: output positions x weights.
    assert rows["low"].macs_before == 100 * 32 * 24 * 9
    assert rows["low"].macs_after == 100 * (24 * 4 + 4 * 5 * 9 + 5 * 32)
    assert rows["low"].weights_after == 24 * 4 + 4 * 5 * 9 + 5 * 32
    assert rows["point"].macs_after == 25 * (32 * 2 + 2 * 32)
    assert rows["fc"].macs_after == rows["fc"].weights_after == 3 * (800 + 40)
    assert report.weights_after == sum(x.weights.size for x in result.layers if isinstance(x, Conv | Linear))
    assert report.macs_after == sum(row.macs_after for row in report.layers) < report.macs_before
    # Noise of a tenth of the weights is what is lost.
    assert rows["low"].relative_error == pytest.approx(0.1, rel=0.2)
    for name in ("low", "point", "fc"):
        layer = next(x for x in network.layers if x.name == name)
        parts = [x for x in result.layers if x.name.startswith(name + ".")]
        expected = error_of(layer, parts) / np.linalg.norm(layer.weights)
        assert rows[name].relative_error == pytest.approx(expected, rel=1e-5)
    # The input is as it was, and the result can be saved.
    for layer in network.layers:
        if layer.name in before:
            np.testing.assert_array_equal(layer.weights, before[layer.name])
    onnx_write.write(result, tmp_path / "decomposed.onnx")
    same_outputs(result, onnx_read.read(tmp_path / "decomposed.onnx"), 11)


def test_given_ranks_and_selection():
    network = mixed_network()
    options = Options({"low": (None, 6), "fc": 2}, layers=("low", "fc", "noise"))
    _, report = decompose(network, options)
    rows = {row.name: row for row in report.layers}
    assert (rows["low"].method, rows["low"].ranks) == ("tucker-1 output", (6,))
    assert (rows["fc"].method, rows["fc"].ranks) == ("svd", (2,))
    assert (rows["point"].method, rows["point"].reason) == ("none", "not selected")
    _, report = decompose(network, Options({"low": (3, None)}, layers=("low",)))
    assert (report.layers[0].method, report.layers[0].ranks) == ("tucker-1 input", (3,))


def test_what_saves_nothing_is_left_alone():
    network = mixed_network()
    result, report = decompose(network, Options({"low": (24, 32)}, layers=("low",)))
    row = report.layers[0]
    assert (row.method, row.ranks, row.macs_after, row.relative_error) == ("none", (), row.macs_before, 0)
    macs = 100 * (24 * 24 + 24 * 32 * 9 + 32 * 32)
    assert row.reason == f"tucker-2 with ranks (24, 32) takes {macs:,} MACs, which must be fewer than 691,200"
    assert result.layers == network.layers


def test_strides_make_the_inner_layer_dear():
    """The 1 x 1 in front of a stride runs on every pixel: EVBMF's ranks come as Tucker-1 where that is cheaper."""
    layer = Conv("c", ("x",), "y", planted(1, 64, 8, 4, 6, 3, 0.05), normal(1, 64), Window((3, 3), (4, 4)))
    _, report = decompose(alone(layer, 8, 35, 35))
    (row,) = report.layers
    assert (row.method, row.ranks) == ("tucker-1 output", (4,))
    assert row.macs_after == 81 * (4 * 8 * 9 + 64 * 4) < 35 * 35 * 8 * 6 + 81 * (4 * 6 * 9 + 64 * 4)


def test_weakening():
    network = mixed_network()
    ranks = {}
    for weakening in (0.0, 0.25, 0.5, 1.0):
        _, report = decompose(network, Options(weakening=weakening, layers=("low", "fc")))
        rows = {row.name: row for row in report.layers}
        ranks[weakening] = rows["low"].ranks + rows["fc"].ranks
    assert ranks[0.0] == (4, 5, 3)
    assert ranks[0.25] == (4 + 5, 5 + 7, 3 + 9)
    assert ranks[0.5] == (4 + 10, 5 + 14, 3 + 18)
    assert ranks[1.0] == ()


def test_iterations_lower_the_error():
    layer = conv(4, 16, 16, Window((3, 3)))
    errors = [
        decompose(alone(layer, 16, 8, 8), Options({"c": (5, 5)}, iterations=n))[1].layers[0].relative_error
        for n in (0, 10)
    ]
    assert errors[1] < errors[0] - 1e-4


def test_zero_weights():
    layer = Conv("c", ("x",), "y", np.zeros((8, 8, 3, 3), np.float32), normal(1, 8), Window((3, 3)))
    result, report = decompose(alone(layer, 8, 6, 6))
    assert (report.layers[0].ranks, report.layers[0].relative_error) == ((1, 1), 0)
    same_outputs(alone(layer, 8, 6, 6), result, 1)


def test_twice():
    """Parts are layers like any other."""
    layer = Conv("c", ("x",), "y", planted(1, 32, 32, 6, 6, 3, 0.1), normal(1, 32), Window((3, 3)))
    once, _ = decompose(alone(layer, 32, 8, 8), Options({"c": (16, 16)}))
    twice, _ = decompose(once, Options({"c.core": (6, 6)}, layers=("c.core",)))
    assert [x.name for x in twice.layers] == ["c.in", "c.core.in", "c.core.core", "c.core.out", "c.out"]


def test_lenet_5_in_integers():
    """A decomposed network goes through quantisation like any other; accuracies in percent of 10,000 images."""
    images, labels = zoo.mnist_test()
    images, labels = zoo.preprocess(images[:2000]), labels[:2000]
    result, report = decompose(zoo.load("lenet-5"), Options({"conv2": (12, 25), "ip1": 60}, layers=("conv2", "ip1")))
    assert report.macs_after < 0.6 * report.macs_before
    assert report.weights_after < 0.3 * report.weights_before
    accuracy = (float32.run(result, images).argmax(1) == labels).mean() * 100
    integer = quantise(result, zoo.preprocess(zoo.mnist_calibration()))
    codes = run_integer(integer, quantise_input(integer, images))[integer.output]
    assert accuracy >= 98
    assert abs((codes[:, :, 0, 0].argmax(1) == labels).mean() * 100 - accuracy) <= 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options({"conv9": 3}), "layer to decompose must be one of low, grouped, point, noise, fc, not 'conv9'"),
        (Options(layers=("relu",)), "layer to decompose must be one of low, grouped, point, noise, fc, not 'relu'"),
        (Options(weakening=1.5), r"weakening must be 0\.\.1, not 1\.5"),
        (Options(iterations=-1), "iterations must be at least 0, not -1"),
        (Options({"low": 3}), r"ranks of layer 'low' must be \(1\.\.24 or None, 1\.\.32 or None\), not 3"),
        (Options({"low": (25, 3)}), r"ranks of layer 'low' must be .*, not \(25, 3\)"),
        (Options({"low": (4, 0)}), r"ranks of layer 'low' must be .*, not \(4, 0\)"),
        (Options({"low": (None, None)}), r"ranks of layer 'low' must be .*, not \(None, None\)"),
        (Options({"fc": (1, 2)}), r"ranks of layer 'fc' must be one number in 1\.\.40, not \(1, 2\)"),
        (Options({"point": 33}), r"ranks of layer 'point' must be one number in 1\.\.32, not 33"),
    ],
)
def test_errors(options, message):
    with pytest.raises(InputError, match=message):
        decompose(mixed_network(), options)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**16), st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.sampled_from([1, 3]), st.data()
)
def test_groups_are_factorised_one_by_one(seed, groups, each_in, each_out, kernel, data):
    """Each group's outputs are those of that group's own factorisation on its own channels."""
    window = Window((kernel, kernel), pads=(kernel // 2,) * 4)
    layer = conv(seed, groups * each_out, groups * each_in, window, groups)
    if kernel == 1:
        ranks = data.draw(st.integers(1, min(each_in, each_out)))
    else:
        ranks = (data.draw(st.integers(1, each_in)), data.draw(st.integers(1, each_out)))
    parts = factorise(layer, ranks, 2)
    assert {part.groups for part in parts} == {groups}
    together = build("n", "x", (groups * each_in, 5, 5), parts)
    images = normal(seed + 1, 2, groups * each_in, 5, 5)
    found = float32.run(together, images)
    for group in range(groups):
        own = slice(group * each_out, (group + 1) * each_out)
        single = Conv("c", ("x",), "y", layer.weights[own], layer.bias[own], window)
        network = build("n", "x", (each_in, 5, 5), factorise(single, ranks, 2))
        expected = float32.run(network, images[:, group * each_in : (group + 1) * each_in])
        np.testing.assert_allclose(found[:, own], expected, rtol=1e-4, atol=1e-5)


def test_ranks_of_a_group():
    layer = conv(0, 6, 4, Window((3, 3)), 2)
    assert [part.weights.shape for part in factorise(layer, (1, 2))] == [(2, 2, 1, 1), (4, 1, 3, 3), (6, 2, 1, 1)]
    same_outputs(alone(layer, 4, 6, 6), build("n", "x", (4, 6, 6), factorise(layer, (2, 3))), 5)
    with pytest.raises(InputError, match=r"must be \(1\.\.2 or None, 1\.\.3 or None\), not \(3, 1\)"):
        factorise(layer, (3, 1))


def test_a_convolution_of_few_channels_can_stay() -> None:
    """EVBMF finds rank 1 in the 3 colours that the first layer of most networks reads."""
    chain = Chain(np.random.default_rng(0), (3, 8, 8))
    chain.conv("first", 24, Window((3, 3)))
    chain.conv("second", 24, Window((3, 3)))
    network = chain.network("colours")
    reports = {layer.name: layer for layer in decompose(network)[1].layers}
    assert reports["first"].method != "none"
    reports = {layer.name: layer for layer in decompose(network, Options(least_inputs=4))[1].layers}
    assert (reports["first"].method, reports["first"].reason) == ("none", "input channels must be at least 4, not 3")
    assert reports["second"].method != "none"
    assert decompose(network, Options({"first": (1, 4)}, least_inputs=4))[1].layers[0].ranks == (1, 4)
    (standard,) = (one for one in STANDARD if one.name == "tucker")
    layers = apply(standard.recipe(), network, Context())[1][0][1]["layers"]
    assert [layers[name]["method"] == "none" for name in ("first", "second")] == [True, False]
