"""Methods of quantisation: ranges by percentile and by error, equalised channels, the nearest of all."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.build import Chain
from accel.models.codebook import is_shared
from accel.models.compress.cluster import share_weights
from accel.models.compress.share import share
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Conv, Linear, Network, Reshape, Softmax, Unary, build
from accel.models.integers.network import MatrixLayer
from accel.models.quantisation import equalise
from accel.models.quantisation.equalise import MOST_GAIN, SUFFIX, equalised, pairs_of
from accel.models.quantisation.method import RANGES, Method, parse
from accel.models.quantisation.noise import noise
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.ranges import BINS, ranges_of
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import float32, int8
from accel.models.window import Window
from tests.benches import published
from tests.benches.model_networks import draw_inputs, draw_network
from tests.benchmarks import quantisation as benchmark


def one_function(values: np.ndarray) -> tuple[Network, np.ndarray]:
    """A network with the tensor "t", which holds `values`."""
    layers = Activation("clip", ("x",), "t", -math.inf), Activation("end", ("t",), "y")
    return build("n", "x", (len(values),), layers), values[None].astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.floats(60, 100), st.sampled_from(["normal", "relu", "heavy"]))
@settings(deadline=None, max_examples=60)
def test_a_percentile_leaves_out_so_many_values(seed: int, percentile: float, kind: str) -> None:
    """To the width of a bin; a tensor's own outputs keep all."""
    values = np.random.default_rng(seed).standard_normal(3000)
    values = np.maximum(values, 0) if kind == "relu" else values**3 if kind == "heavy" else values
    network, inputs = one_function(values)
    found = ranges_of(network, inputs, Method("percentile", percentile))
    out = int((100 - percentile) / 100 * values.size + 1e-6)
    low, high = np.sort(inputs[0])[[out, -1 - out]]
    width = 1.01 * (inputs.max() - inputs.min()) / BINS
    assert abs(found["t"][0] - low) <= width
    assert abs(found["t"][1] - high) <= width
    assert found["y"] == (np.maximum(inputs, 0).min(), inputs.max())


def square_error(values: np.ndarray, low: float, high: float) -> float:
    """Of rounding to 256 codes, saturation included."""
    scale = (high - low) / 255
    codes = np.clip(np.rint(values / scale), round(low / scale), round(low / scale) + 255)
    return float(np.square(codes * scale - values).sum())


@given(st.integers(0, 2**32 - 1), st.floats(1, 30), st.sampled_from([-1, 0, 1]))
@settings(deadline=None, max_examples=25)
def test_least_error_is_no_more_than_that_of_any_ends_tried(seed: int, outlier: float, side: int) -> None:
    values = np.random.default_rng(seed).laplace(size=4000)
    values[0] = outlier * 10
    values = values if side == 0 else side * np.abs(values)
    network, inputs = one_function(values)
    low, high = ranges_of(network, inputs, Method("mse"))["t"]
    assert min(inputs.min(), 0) - 1e-6 <= low <= 0 <= high <= max(inputs.max(), 0) + 1e-6
    found = square_error(inputs, low, high)
    for part in (1, 0.9, 0.7, 0.5, 0.35, 0.2):
        assert found <= 1.1 * square_error(inputs, part * min(inputs.min(), 0), part * max(inputs.max(), 0))


def test_what_leaves_the_network_keeps_its_largest_value() -> None:
    """In front of a softmax too: the largest value is the answer."""
    rng = np.random.default_rng(0)
    chain = Chain(rng, (3, 4, 4))
    chain.conv("conv", 4, Window((3, 3)), relu="relu")
    chain.flatten()
    chain.linear("fc", 5, tensor="logits")
    whole = chain.network("n")
    whole = build("n", whole.input, (3, 4, 4), (*whole.layers, Softmax("softmax", ("logits",), "classes")))
    inputs = rng.standard_normal((64, 3, 4, 4)).astype(np.float32)
    plain, *others = (ranges_of(whole, inputs, Method(ranges, 90)) for ranges in RANGES)
    for found in others:
        assert found["logits"] == plain["logits"]
        assert found["classes"] == plain["classes"]
        assert found["relu"][1] <= plain["relu"][1]
    assert others[0]["relu"][1] < plain["relu"][1]
    assert others[0][whole.input] != plain[whole.input]


def uneven(seed: int, depthwise: bool = False, clip: float = math.inf, spread: float = 6.0) -> Network:
    """A convolution whose channels differ by powers of two, for which the next layer's weights make up."""
    chain = Chain(np.random.default_rng(seed), (3, 8, 8))
    chain.conv("first", 8, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu")
    chain.conv("second", 8, Window((3, 3), pads=(1, 1, 1, 1)), groups=8 if depthwise else 1, relu="relu2")
    chain.conv("last", 4, Window((1, 1)))
    whole = chain.network("uneven")
    factors = np.ldexp(1.0, -np.linspace(0, spread, 8).round().astype(int)).astype(np.float32)
    layers = []
    for layer in whole.layers:
        if isinstance(layer, Conv) and layer.name == "first":
            weights = layer.weights * factors[:, None, None, None]
            layer = replace(layer, weights=weights, bias=layer.bias * factors)
        elif isinstance(layer, Conv) and layer.name == "second":
            columns = factors[:, None, None, None] if depthwise else factors[None, :, None, None]
            layer = replace(layer, weights=layer.weights / columns)
        elif isinstance(layer, Activation) and layer.name == "relu":
            layer = replace(layer, high=clip)
        layers.append(layer)
    return build("uneven", whole.input, (3, 8, 8), tuple(layers))


def random_inputs(seed: int, count: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, 3, 8, 8)).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_an_equalised_network_computes_the_same(seed: int) -> None:
    """On inputs that calibration did not show, too."""
    whole = draw_network(Random(seed), quantisable=True)
    inputs = draw_inputs(Random(seed), whole, 6)
    found = equalised(whole, inputs)
    wanted, computed = float32.run(whole, inputs), float32.run(found, inputs)
    np.testing.assert_allclose(computed, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    assert [layer.name for layer in found.layers] == [layer.name for layer in whole.layers]
    more = draw_inputs(Random(seed + 1), whole, 6) * 3
    wanted = float32.run(whole, more)
    np.testing.assert_allclose(float32.run(found, more), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("depthwise", [False, True])
def test_channels_become_alike(depthwise: bool) -> None:
    """Half of the way in front of depthwise layers, in powers of two; outputs come nearer to float."""
    whole, inputs, others = uneven(1, depthwise), random_inputs(1), random_inputs(2)
    ratios = []
    for network in (whole, found := equalised(whole, inputs)):
        tensor = next(layer.output for layer in network.layers if layer.name == "relu")
        largest = float32.run_all(network, inputs)[tensor].max((0, 2, 3))
        ratios.append(largest.max() / largest.min())
    assert ratios[1] < 0.7 * ratios[0]
    if depthwise:
        reached = min(ratios[0], MOST_GAIN**2)
        assert ratios[1] == pytest.approx(ratios[0] / reached**0.5, rel=0.01)
    plain, better = (
        noise(whole, quantise(whole, inputs, method=Method(equalise=on, correct=False)), others)[-1].ratio_db
        for on in (False, True)
    )
    assert better > plain + 1
    assert "relu" + SUFFIX in found.shapes


def test_what_is_between_may_be_pooled_leaky_and_flat() -> None:
    rng = np.random.default_rng(0)
    chain = Chain(rng, (3, 8, 8))
    chain.conv("conv", 6, Window((3, 3)))
    chain.pool("pool", Window((2, 2), (2, 2)))
    chain.flatten()
    chain.linear("fc", 4)
    whole = chain.network("n")
    (pair,) = pairs_of(whole)
    assert (pair.first.name, pair.second.name) == ("conv", "fc")
    assert any(isinstance(layer, Reshape) for layer in pair.between)
    inputs = rng.standard_normal((8, 3, 8, 8)).astype(np.float32)
    changed = equalised(whole, inputs)
    np.testing.assert_allclose(float32.run(changed, inputs), float32.run(whole, inputs), rtol=1e-4, atol=1e-5)
    weights = [layer.weights for layer in changed.layers if isinstance(layer, Conv | Linear)]
    assert not np.allclose(weights[1], next(x.weights for x in whole.layers if isinstance(x, Linear)))


def test_what_is_shared_keeps_its_codebook_where_weights_are_taken_as_they_are() -> None:
    whole, inputs = share_weights(uneven(3), {"first": 3}), random_inputs(3)
    first, second, last = (
        layer
        for layer in quantise_compressed(whole, inputs, Method(equalise=True)).layers
        if isinstance(layer, MatrixLayer)
    )
    assert first.shared is not None
    assert is_shared(first.weights.astype(np.float32))
    assert "relu" in (first.output, second.input)  # nothing was scaled there, but behind the second layer
    assert (second.output, last.input) == ("relu2" + SUFFIX,) * 2


def test_other_methods_of_shared_weights() -> None:
    """Equalised channels help them as well; without corrected biases sums keep theirs."""
    whole, inputs, others = uneven(5, True), random_inputs(5), random_inputs(6)
    ratio = {}
    for text in ("min-max", "equalise", "equalise,plain-biases", "best"):
        integer = share(whole, inputs, 6, parse(text))
        ratio[text] = noise(whole, integer, others)[-1].ratio_db
        assert all(one.shared for one in integer.layers if isinstance(one, MatrixLayer) and one.weights.size > 200)
    assert ratio["equalise"] > ratio["min-max"]
    assert ratio["best"] > ratio["min-max"]


@pytest.mark.parametrize("seed", range(2))
def test_the_best_is_nearest_on_inputs_that_set_no_range(seed: int) -> None:
    whole, inputs = uneven(seed, bool(seed % 2)), random_inputs(seed)
    inputs[2 * seed] *= 20  # something that a percentile can leave out
    ratio = {
        method: noise(whole, quantise(whole, inputs[::2], method=method), inputs[1::2])[-1].ratio_db
        for method in Method(best=True).tried
    }
    assert len(ratio) == 6
    best = max(ratio, key=lambda method: ratio[method])
    assert ratio[best] > min(ratio.values()) + 1
    wanted, found = (quantise(whole, inputs, method=method) for method in (best, Method(best=True)))
    assert wanted.tensors == found.tensors
    single = quantise(whole, inputs[2:3], method=Method(best=True))  # of one input there are no others
    assert single.layers[0].name == "first"


@pytest.mark.parametrize("depthwise", [False, True])
def test_nearer_to_float_than_onnxruntime(depthwise: bool, tmp_path: Path) -> None:
    """Its static quantisation has weights by channel too, and is calibrated on the same inputs."""
    whole, inputs, others = uneven(2, depthwise), random_inputs(2), random_inputs(3)
    onnx_write.write(whole, tmp_path / "n.onnx")
    wanted = float32.run(whole, others)
    (theirs,) = published.theirs_in_int8(tmp_path / "n.onnx", inputs, others)
    integer = quantise(whole, inputs, method=Method(best=True))
    codes = int8.run(integer, int8.quantise_input(integer, others))[integer.output]
    ours = int8.dequantise_output(integer, codes)
    assert np.square(ours.reshape(wanted.shape) - wanted).sum() < np.square(theirs - wanted).sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", benchmark.TINY)
def test_mlperf_tiny_by_the_best_method_is_no_worse_than_onnxruntimes(name: str, pytestconfig: pytest.Config) -> None:
    """In agreement with float: accuracy is chance at this distance, and of some int8 above that of float."""
    if not (given := pytestconfig.getoption("--mlperf-tiny")):
        pytest.skip("give --mlperf-tiny, the folder with MLPerf Tiny's models and samples")
    _, theirs, ours = benchmark.rows(benchmark.tiny_case(Path(given), name), ["best"], [])
    assert ours[1] >= theirs[1]


@pytest.mark.slow
def test_efficientnet_lite0_agrees_with_float(tmp_path: Path) -> None:
    """Published weights on crops of photographs: dense, and with weights shared with 8 and 6 bits."""
    _, theirs, dense, eight, six = benchmark.rows(benchmark.lite0_case(tmp_path), ["min-max"], [8, 6])
    assert dense[1] >= max(95, theirs[1])
    assert eight[1] >= 90
    assert six[1] >= 60


def test_what_meets_at_a_clip_stays() -> None:
    """A channel that grew would be cut off by inputs that calibration did not show."""
    whole, inputs = uneven(0, clip=0.5), random_inputs(0)
    assert [pair.first.name for pair in pairs_of(whole)] == ["second"]
    found = equalised(whole, inputs)
    np.testing.assert_allclose(float32.run(found, 9 * inputs), float32.run(whole, 9 * inputs), rtol=1e-4, atol=1e-4)


def test_a_quantised_file_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    from accel.models.carried import Carried

    whole = uneven(0)
    kept = Network(whole.name, whole.input, whole.output, whole.layers, whole.shapes, carried=Carried())
    assert equalised(kept, random_inputs(0)) is kept
    monkeypatch.setattr(equalise, "pairs_of", lambda *_: ())
    assert equalised(whole, random_inputs(0)) is whole


def test_dead_channels_and_constant_tensors() -> None:
    """Nothing is divided by zero, and what is never seen is not blown up."""
    whole = uneven(0)
    inputs = np.zeros((4, 3, 8, 8), np.float32)
    for text in ("mse,equalise", "percentile=99,equalise", "best"):
        integer = quantise(whole, inputs, method=parse(text))
        codes = int8.run(integer, int8.quantise_input(integer, inputs))[integer.output]
        assert np.isfinite(int8.dequantise_output(integer, codes)).all()
    changed = equalised(whole, inputs)
    np.testing.assert_allclose(float32.run(changed, random_inputs(1)), float32.run(whole, random_inputs(1)), rtol=1e-4)
    assert not any(isinstance(layer, Unary) for layer in changed.layers)


@given(
    st.sampled_from(RANGES), st.floats(51, 100), st.booleans(), st.booleans(), st.booleans()
)  # fmt: skip
def test_words_are_read_as_they_are_written(
    ranges: str, percentile: float, equalise: bool, correct: bool, best: bool
) -> None:
    percentile = float(f"{percentile:g}")
    method = Method(ranges, percentile if ranges == "percentile" else 99.99, equalise, correct)  # type: ignore[arg-type]
    method = Method(best=True, correct=correct) if best else method
    assert parse(str(method)) == method
    assert parse(", ".join(reversed(str(method).split(",")))) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "quantisation must be words of min-max, percentile, mse, percentile=P, best, equalise, plain-biases with ",
        ),
        ("magic", "not 'magic'"),
        ("mse=3", "not 'mse=3'"),
        ("percentile=x", "percentile must be a number, not 'x'"),
        ("percentile=nan", "percentile must be above 50 and at most 100, not nan"),
        ("percentile=50", "percentile must be above 50 and at most 100, not 50"),
        ("percentile=101", "percentile must be above 50 and at most 100, not 101"),
        ("mse,min-max", "quantisation must say ranges once, not twice: 'mse,min-max'"),
        ("equalise,equalise", "quantisation must say equalise once, not twice"),
        ("best,mse", "quantisation must be best or name ranges and equalise, not both: 'best,mse'"),
    ],
)
def test_words_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text)
    assert message in str(error.value)


def test_ranges_that_do_not_exist() -> None:
    with pytest.raises(InputError, match="ranges must be one of min-max, percentile, mse, not 'entropy'"):
        Method("entropy")  # type: ignore[arg-type]
