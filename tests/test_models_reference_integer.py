"""The integer reference against the arithmetic of docs/formats.md, written out one number at a time."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from accel.models import compiled, zoo
from accel.models.errors import InputError
from accel.models.integers.network import (
    ChannelLayer,
    HostLayer,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.quantisation.quantise import quantise
from accel.models.reference import im2col, int8, recode
from accel.models.reference.im2col import convolve_rows
from accel.models.reference.int8 import dequantise_output, quantise_input, run
from accel.timing import kernel
from tests.benches.model_networks import draw_inputs, draw_network
from tests.benches.wide import draws


def round_shift(value, shift):
    return (value + (1 << (shift - 1))) >> shift if shift else value


def oracle_value(layer, x, zero_point, channel, row, column, residual):
    """One output code from input codes `x` (channels, height, width), in Python's own integers."""
    window, to = layer.window, layer.requantise
    terms = []
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            y = row * window.stride[0] + i * window.dilation[0] - window.pads[0]
            z = column * window.stride[1] + j * window.dilation[1] - window.pads[1]
            by_y, by_x = window.base_dilation
            inside = y % by_y == z % by_x == 0  # positions between the pixels of a spread input are padding
            y, z, (top, left, bottom, right) = y // by_y, z // by_x, window.edges
            inside = inside and 0 <= y < x.shape[1] + top + bottom and 0 <= z < x.shape[2] + left + right
            y, z = (min(max(at, 0), size - 1) for at, size in ((y - top, x.shape[1]), (z - left, x.shape[2])))
            if isinstance(layer, VectorLayer):
                padding = -128 if layer.reduce == "max" else zero_point
                terms.append(int(x[channel, y, z]) if inside else padding)
                continue
            depth = layer.weights.shape[1]
            group = channel // (len(layer.weights) // layer.groups)
            for c in range(depth):
                q = int(x[group * depth + c, y, z]) if inside else zero_point
                terms.append(int(layer.weights[channel, c, i, j]) * q)
    total = max(terms) if isinstance(layer, VectorLayer) and layer.reduce == "max" else sum(terms)
    number = channel
    if isinstance(layer, VectorLayer) and layer.counts:
        ends = [
            [at * s + k - p for k in range(kernel) if 0 <= at * s + k - p < size]
            for at, s, p, kernel, size in zip(
                (row, column), window.stride, window.pads[:2], window.kernel, x.shape[1:], strict=True
            )
        ]
        number = layer.counts.index(len(ends[0]) * len(ends[1]))
    bias, multiplier, shift = (int(a[number if len(a) > 1 else 0]) for a in (to.bias, to.multiplier, to.shift))
    value = round_shift((total + bias) * multiplier, shift) + to.zero_point
    if layer.residual:
        other = layer.residual
        place = (row, column) if residual.shape[1:] != (1, 1) else (0, 0)
        r = int(residual[channel, *place]) - other.zero_point
        if other.operation == "multiply":
            value = round_shift((total + bias) * r * multiplier, shift) + to.zero_point
        else:
            value += round_shift((-r if other.operation == "subtract" else r) * other.multiplier, other.shift)
    code = min(max(value, to.low), to.high)
    return code if to.table is None else int(to.table[code + 128])


def oracle(network, image):
    """Every tensor (channels, height, width) for one image of codes."""
    tensors = {network.input: image}
    for layer in network.layers:
        shape = network.tensors[layer.output].shape
        if isinstance(layer, ChannelLayer):
            planes = [plane for name in layer.inputs for plane in tensors[name]]
            tensors[layer.output] = np.array(planes if layer.channels is None else [planes[c] for c in layer.channels])
            continue
        residual = tensors[layer.residual.tensor] if layer.residual else None
        tensors[layer.output] = np.array(
            [
                oracle_value(layer, tensors[layer.input], network.tensors[layer.input].zero_point, *index, residual)
                for index in np.ndindex(*shape)
            ]
        ).reshape(shape)
    return tensors


@settings(deadline=None, max_examples=150)
@given(st.randoms(use_true_random=False))
def test_equals_the_oracle_on_drawn_networks(rng):
    float_network = draw_network(rng, quantisable=True)
    inputs = draw_inputs(rng, float_network, 3)
    network = quantise(float_network, inputs, per_channel=rng.random() < 0.7)
    codes = quantise_input(network, inputs)
    ours = run(network, codes[:1], all_tensors=True)
    expected = oracle(network, codes[0])
    assert ours.keys() == expected.keys() == network.tensors.keys()
    for name in expected:
        np.testing.assert_array_equal(ours[name][0], expected[name], err_msg=name)
    for name, output in run(network, codes).items():  # without what lies between, where maxima come before codes
        np.testing.assert_array_equal(output[0], expected[name], err_msg=name)


def one_layer(layer, shape, zero_point=0):
    """A network of one layer from "x" (and "x" as the residual) to "y"."""
    size = layer.window.output_size(*shape[1:])
    channels = len(layer.weights) if isinstance(layer, MatrixLayer) else shape[0]
    made = TensorSpec("y", (channels, *size), 0.5, layer.requantise.zero_point)
    tensors = {"x": TensorSpec("x", shape, 1.0, zero_point), "y": made}
    return IntegerNetwork("n", "x", "y", tensors, (layer,))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 65535),
    st.integers(0, 47),
    st.integers(0, 65535),
    st.integers(0, 47),
)
def test_requantisation_at_the_limits(bias, multiplier, shift, r_multiplier, r_shift):
    to = Requantise(*(np.array([v], t) for v, t in ((bias, np.int32), (multiplier, np.uint16), (shift, np.uint8))), 5)
    layer = VectorLayer("v", "x", "y", "max", Window((1, 1)), to, Residual("x", r_multiplier, r_shift, -7))
    network = one_layer(layer, (1, 16, 16), -7)
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(run(network, codes)["y"][0], oracle(network, codes[0])["y"])


def test_every_code_of_a_table():
    to = Requantise(np.array([3], np.int32), np.array([40000], np.uint16), np.array([15], np.uint8), 9, -120, 100)
    to = replace(to, table=np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8))
    network = one_layer(VectorLayer("v", "x", "y", "max", Window((1, 1)), to), (1, 16, 16))
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(run(network, codes)["y"][0], oracle(network, codes[0])["y"])


@pytest.mark.parametrize("shift", range(48))
def test_every_shift(shift):
    multiplier = min(max(1, 2**shift - 1), 65535)  # not so large that every code saturates
    to = Requantise(*(np.array([v], t) for v, t in ((0, np.int32), (multiplier, np.uint16), (shift, np.uint8))), 0)
    network = one_layer(VectorLayer("v", "x", "y", "max", Window((1, 1)), to), (1, 16, 16))
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(run(network, codes)["y"][0], oracle(network, codes[0])["y"])


@pytest.mark.parametrize("depth", [1032, 1033, 4096])
def test_sums_beyond_the_precision_of_float32(depth):
    """Every second weight is odd, so a float32 sum above 2**24 would lose its last bit."""
    weights = np.full((1, depth, 1, 1), 127, np.int8)
    weights[0, 0] = 126
    codes = np.full((1, depth, 1, 1), -128, np.int8)
    codes[0, 1] = -127
    total = int((weights[0].astype(int) * codes[0].astype(int)).sum())
    one, none = np.array([1], np.uint16), np.array([0], np.uint8)
    layer = MatrixLayer("m", "x", "y", weights, Window((1, 1)), Requantise(np.array([-total], np.int32), one, none, 3))
    assert run(one_layer(layer, (depth, 1, 1)), codes)["y"].item() == 3


def test_more_images_than_one_chunk():
    to = Requantise(np.array([0], np.int32), np.array([32768], np.uint16), np.array([15], np.uint8), 0)
    network = one_layer(VectorLayer("v", "x", "y", "max", Window((1, 1)), to), (2, 1, 1))
    codes = np.random.default_rng(0).integers(-128, 128, (300, 2, 1, 1)).astype(np.int8)
    np.testing.assert_array_equal(run(network, codes)["y"], codes)


@settings(deadline=None, max_examples=draws(120))
@given(st.randoms(use_true_random=False), st.booleans())
def test_rows_of_windows_that_share_their_columns(rng, alone):
    kernel, stride = (rng.randint(1, 5), rng.randint(1, 4)), (rng.randint(1, 5), rng.randint(1, 3))
    dilation = 1, rng.randint(1, 2)
    size = [rng.randint((k - 1) * d + 1, 14) for k, d in zip(kernel, dilation, strict=True)]
    generator = np.random.default_rng(rng.getrandbits(32))
    x = generator.integers(-128, 128, (rng.randint(1, 4), *size, rng.randint(1, 5))).astype(np.int8)
    weights = generator.integers(-128, 128, (rng.randint(1, 4), len(x), *kernel))
    windows = sliding_window_view(x, ((kernel[0] - 1) + 1, (kernel[1] - 1) * dilation[1] + 1), axis=(1, 2))
    expected = np.einsum("cyxnij,ocij->oyxn", windows[:, :: stride[0], :: stride[1], ..., :: dilation[1]], weights)
    with patch.object(im2col, "ROWS_BYTES", 1 if alone else im2col.ROWS_BYTES):  # `alone`: a few rows at a time
        found = im2col.convolve_rows(x, weights.astype(np.float32), Window(kernel, stride, (0,) * 4, dilation))
    np.testing.assert_array_equal(found, expected)


def test_lenet_5_is_computed_by_rows():
    network, seen = zoo.integer_network("lenet-5"), []
    codes = np.zeros((int8.CHUNK, *network.tensors[network.input].shape), np.int8)
    with patch.object(im2col, "convolve_rows", lambda *given: seen.append(1) or convolve_rows(*given)):
        int8.run(network, codes)
    assert len(seen) == 2


@settings(deadline=None, max_examples=draws(120))
@given(st.randoms(use_true_random=False))
def test_codes_in_one_pass_are_those_of_several(rng):
    """The text that is compiled, in Python."""
    generator = np.random.default_rng(rng.getrandbits(32))
    channels, batch, kernel_size = rng.randint(1, 3), rng.randint(1, 4), (rng.randint(1, 3), rng.randint(1, 3))
    window = Window(kernel_size, (rng.randint(1, 3), rng.randint(1, 3)), (0,) * 4, (rng.randint(1, 2), 1))
    size = [rng.randint((k - 1) * d + 1, 9) for k, d in zip(kernel_size, window.dilation, strict=True)]
    most = 2 ** rng.choice((7, 15, 24))
    sums = generator.integers(-most, most + 1, (channels, *size, batch)).astype(rng.choice((np.float32, np.float64)))
    records = rng.choice((1, channels))
    to = Requantise(
        generator.integers(-(2**31), 2**31, records).astype(np.int32) >> rng.choice((0, 12, 31)),
        generator.integers(0, 2**16, records).astype(np.uint16),
        generator.integers(0, rng.choice((3, 24, 48)), records).astype(np.uint8),
        rng.randint(-128, 127), rng.randint(-128, 0), rng.randint(0, 127),
    )  # fmt: skip
    expected = int8.requantise(im2col.reduced(np.maximum, im2col.taps(sums, window)), to)
    with patch.object(recode, "_form", lambda count: recode.recode):
        np.testing.assert_array_equal(recode.largest(sums, window, to), expected)
        np.testing.assert_array_equal(recode.codes(sums, to), int8.requantise(sums, to))


def test_lenet_5_by_the_compiled_pass(monkeypatch):
    network = zoo.integer_network("lenet-5")
    shape = network.tensors[network.input].shape
    codes = np.random.default_rng(0).integers(-128, 128, (int8.CHUNK + 1, *shape)).astype(np.int8)
    expected = run(network, codes, all_tensors=True) | run(network, codes)
    monkeypatch.setattr(compiled, "_keep", kernel.kept)
    monkeypatch.setenv("ACCEL_COMPILED", "1")
    monkeypatch.delenv("ACCEL_PURE_PYTHON", raising=False)
    before = recode._spent
    found = run(network, codes, all_tensors=True) | run(network, codes)
    assert recode._spent > before
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


class Left:
    """Instead of what is kept on disk: left there by another process, or not."""

    def __init__(self, is_compiled):
        self.is_compiled = is_compiled


@pytest.mark.parametrize("left", [False, True])
def test_the_pass_is_loaded_or_compiled_where_that_pays(left, monkeypatch):
    kept = Left(left)
    monkeypatch.setattr(recode, "_spent", 0)
    monkeypatch.setattr(compiled, "_keep", None)
    monkeypatch.setattr(recode, "_compiled", lambda keep: kept)
    for name in ("ACCEL_COMPILED", "ACCEL_PURE_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    assert recode._form(2 * recode.COMPILE_AFTER) is None  # nobody keeps anything
    monkeypatch.setattr(compiled, "_keep", kernel.kept)
    assert recode._form(recode.LOAD_AFTER // compiled.SOONER - 1) is None
    assert recode._form(recode.LOAD_AFTER) is (kept if left else None)
    assert recode._form(recode.COMPILE_AFTER) is kept
    monkeypatch.setenv("ACCEL_PURE_PYTHON", "1")
    assert recode._form(1) is None


def test_softmax_of_the_host():
    tensors = {"x": TensorSpec("x", (3, 1, 1), 0.5, 1)}
    network = IntegerNetwork("n", "x", "x", tensors, (), (HostLayer("s", "softmax", "x", "y", 3),))
    out = dequantise_output(network, np.array([[1, 3, 5]], np.int8).reshape(1, 3, 1, 1))
    expected = np.exp([0.0, 1.0, 2.0])
    np.testing.assert_allclose(out, [expected / expected.sum()], rtol=1e-6)


def test_inputs_saturate_and_take_the_layout():
    tensors = {"x": TensorSpec("x", (2, 1, 3), 0.5, -1)}
    network = IntegerNetwork("n", "x", "x", tensors, ())
    rows = np.array([[[0, 1], [-1000, 1000], [0.74, -0.76]]])
    assert quantise_input(network, rows).tolist() == [[[[-1, -128, 0]], [[1, 127, -3]]]]
    with pytest.raises(InputError, match="inputs must be finite, not NaN or Inf"):
        quantise_input(network, rows * np.nan)
    with pytest.raises(InputError, match=r"inputs must be \(n, \*\(2, 1, 3\)\), not \(1, 2, 1, 1\)"):
        quantise_input(network, np.zeros((1, 2)))


@pytest.mark.parametrize(
    "codes", [np.zeros((1, 2, 1, 1), np.int8), np.zeros((1, 2, 1, 3), np.uint8), np.zeros((0, 2, 1, 3), np.int8)]
)
def test_codes_that_do_not_fit(codes):
    network = IntegerNetwork("n", "x", "x", {"x": TensorSpec("x", (2, 1, 3), 0.5, -1)}, ())
    with pytest.raises(InputError, match=r"inputs must be int8 of shape \(n, 2, 1, 3\) with n > 0, not"):
        run(network, codes)


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5"])
def test_as_many_images_at_a_time_as_are_fast_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = zoo.integer_network(name)
    monkeypatch.setattr(int8, "CHUNK_CODES", 2**22)  # of convolutions as of small tensors
    codes = np.random.default_rng(0).integers(-128, 128, (300, 1, 28, 28)).astype(np.int8)
    whole = run(network, codes)[network.output]
    assert len(whole) > int8._images_at_a_time(network) > int8.CHUNK
    with patch.object(int8, "LARGEST_CHUNK", int8.CHUNK):
        np.testing.assert_array_equal(run(network, codes)[network.output], whole)
