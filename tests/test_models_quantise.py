import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.errors import InputError
from accel.models.graph import Activation, Add, Conv, GlobalPool, Linear, Pool, Reshape, Softmax, build
from accel.models.integers.network import ChannelLayer, HostLayer, MatrixLayer, VectorLayer
from accel.models.quantisation.method import Method
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from accel.models.reference.int8 import dequantise_output, quantise_input, run
from accel.models.window import Window
from tests.benches.model_networks import draw_inputs, draw_network
from tests.benches.quantise_bound import largest_possible_error


def random_conv(name, source, channels=4, bias=0.0):
    random = np.random.default_rng(len(name))
    weights = random.standard_normal((4, channels, 3, 3)).astype(np.float32) / 6
    return Conv(name, (source,), name, weights, np.full(4, bias, np.float32), Window((3, 3), pads=(1, 1, 1, 1)))


def network_of(*layers, shape=(4, 6, 6)):
    return build("n", "x", shape, layers)


def calibration(shape=(4, 6, 6), count=64):
    return np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32)


def largest_error(network, inputs):
    """The largest difference from the float network, in units of the range of its outputs."""
    integer = quantise(network, inputs)
    ours = dequantise_output(integer, run(integer, quantise_input(integer, inputs))[integer.output])
    expected = float32.run(network, inputs).reshape(ours.shape)
    return np.abs(ours - expected).max() / max(np.ptp(expected), 1e-6)


def structure(network):
    return [(x.input, x.output, x.residual and x.residual.tensor, x.source) for x in network.layers]


def test_relu_fuses():
    integer = quantise(network_of(random_conv("c", "x"), Activation("r", ("c",), "r")), calibration())
    assert structure(integer) == [("x", "r", None, ("c", "r"))]
    (layer,) = integer.layers
    assert layer.requantise.low == layer.requantise.zero_point == integer.tensors["r"].zero_point == -128
    assert layer.requantise.high == 127


def test_two_clips_make_one():
    network = network_of(
        random_conv("c", "x"), Activation("a", ("c",), "a", -1.0, 3.0), Activation("b", ("a",), "b", 0.0, 0.5)
    )
    (layer,) = quantise(network, calibration()).layers
    assert layer.source == ("c", "a", "b")
    assert (layer.requantise.low, layer.requantise.high) == (-128, 127)
    # The output has a small part of the range of the sums, so an error of the sums weighs more.
    assert largest_error(network, calibration()) < 0.1


def test_residual_block_fuses():
    """The first convolution cannot take the Add: its other operand comes later."""
    network = network_of(
        random_conv("c1", "x"),
        random_conv("short", "x"),
        Add("add", ("c1", "short"), "sum"),
        Activation("relu", ("sum",), "out"),
    )
    integer = quantise(network, calibration())
    assert structure(integer) == [
        ("x", "c1", None, ("c1",)),
        ("x", "out", "c1", ("short", "add", "relu")),
    ]
    assert largest_error(network, calibration()) < 0.03


def test_add_after_an_activation_stays_alone():
    network = network_of(random_conv("c", "x"), Activation("r", ("c",), "r"), Add("add", ("r", "x"), "sum"))
    integer = quantise(network, calibration())
    assert structure(integer) == [("x", "r", None, ("c", "r")), ("r", "sum", "x", ("add",))]
    assert isinstance(integer.layers[1], VectorLayer)
    assert largest_error(network, calibration()) < 0.03


def test_an_output_that_is_read_elsewhere_stays():
    """The convolution's own output is an operand of two layers, so its ReLU is a layer of its own."""
    network = network_of(random_conv("c", "x"), Activation("r", ("c",), "r"), Add("add", ("r", "c"), "sum"))
    assert [x.source for x in quantise(network, calibration()).layers] == [("c",), ("r",), ("add",)]
    assert largest_error(network, calibration()) < 0.03


def test_flatten_disappears():
    random = np.random.default_rng(0)
    weights = random.standard_normal((5, 144)).astype(np.float32)
    network = network_of(Reshape("f", ("x",), "f", (144,)), Linear("l", ("f",), "l", weights, np.zeros(5, np.float32)))
    (layer,) = quantise(network, calibration()).layers
    assert (layer.weights.shape, layer.window.kernel, layer.input) == ((5, 4, 6, 6), (6, 6), "x")
    assert largest_error(network, calibration()) < 0.02


def test_rows_of_a_matrix_lie_along_the_width():
    weights = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    network = build("n", "x", (3, 4), (Linear("l", ("x",), "y", weights, np.zeros(5, np.float32)),))
    inputs = calibration((3, 4))
    integer = quantise(network, inputs)
    assert [integer.tensors[t].shape for t in "xy"] == [(4, 1, 3), (5, 1, 3)]
    ours = dequantise_output(integer, run(integer, quantise_input(integer, inputs))["y"])
    expected = float32.run(network, inputs).swapaxes(1, 2)[:, :, None]
    assert np.abs(ours - expected).max() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 0, 1)])
def test_max_pooling_is_exact(pads):
    network = network_of(Pool("p", ("x",), "y", "max", Window((2, 2), (2, 2), pads)))
    integer = quantise(network, calibration())
    spec = integer.tensors["y"]
    assert (spec.scale, spec.zero_point) == (integer.tensors["x"].scale, integer.tensors["x"].zero_point)
    codes = np.random.default_rng(2).integers(-128, 128, (50, 4, 6, 6)).astype(np.int8)
    padded = np.pad(codes, ((0, 0), (0, 0), pads[::2], pads[1::2]), constant_values=-128)
    blocks = padded[:, :, : padded.shape[2] // 2 * 2, : padded.shape[3] // 2 * 2]
    blocks = blocks.reshape(50, 4, padded.shape[2] // 2, 2, padded.shape[3] // 2, 2)
    np.testing.assert_array_equal(run(integer, codes)["y"], blocks.max((3, 5)))


@pytest.mark.parametrize(
    "layer",
    [
        GlobalPool("g", ("x",), "y", "average"),
        GlobalPool("g", ("x",), "y", "max"),
        Pool("p", ("x",), "y", "average", Window((3, 2), (2, 1))),
        Pool("p", ("x",), "y", "average", Window((3, 3), (2, 2), (1, 1, 1, 1)), True),
        Activation("a", ("x",), "y", -0.5, 1.0),
        Add("a", ("x", "x"), "y"),
    ],
)
def test_vector_layers_approximate(layer):
    network = network_of(layer)
    assert isinstance(quantise(network, calibration()).layers[0], VectorLayer)
    assert largest_error(network, calibration()) < 0.03


def test_softmax_runs_on_the_host():
    weights = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    network = network_of(
        Linear("l", ("x",), "l", weights, np.zeros(5, np.float32)), Softmax("s", ("l",), "p"), shape=(4,)
    )
    integer = quantise(network, calibration((4,)))
    assert integer.host_layers == (HostLayer("s", "softmax", "l", "p", 5, True),)
    assert integer.output == "l"
    assert largest_error(network, calibration((4,))) < 0.05


@settings(deadline=None, max_examples=150)
@given(st.randoms(use_true_random=False))
def test_drawn_networks_stay_near_the_float_ones(rng):
    network = draw_network(rng, quantisable=True)
    inputs = draw_inputs(rng, network, 32)
    integer = quantise(network, inputs)
    for layer in integer.layers:
        if isinstance(layer, ChannelLayer):
            continue
        assert layer.requantise.bias.dtype == np.int32
        if isinstance(layer, MatrixLayer):
            assert np.abs(layer.weights.astype(int)).max() <= 127
    outputs = dequantise_output(integer, run(integer, quantise_input(integer, inputs))[integer.output])
    expected = float32.run(network, inputs).reshape(outputs.shape)
    # Not a share of the spread of the outputs: clipped ones can all be equal, and a code apart from the limit.
    bound = largest_possible_error(network, integer, inputs)
    assert np.abs(outputs - expected).max() <= bound + 1e-5 * (1 + np.abs(expected).max())


def test_dead_and_biased_channels():
    """A channel of zeros, one of zeros with a bias, and one whose bias dwarfs its weights."""
    conv = random_conv("c", "x")
    conv.weights[:3] = 0
    conv.weights[2] = 1e-12
    conv.bias[1:3] = 3.0
    network = network_of(conv)
    assert largest_error(network, calibration()) < 0.02
    (layer,) = quantise(network, calibration()).layers
    assert np.abs(layer.requantise.bias.astype(int)).max() <= 2**30


def test_calibration_of_zeros():
    network = network_of(random_conv("c", "x"), Activation("r", ("c",), "r"))
    integer = quantise(network, np.zeros((1, 4, 6, 6), np.float32))
    assert all(np.isfinite(t.scale) and t.scale > 0 for t in integer.tensors.values())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((0, 4, 6, 6)), "calibration set must hold at least one input, not none"),
        (np.zeros(0), "calibration set must hold at least one input, not none"),
        (np.full((1, 4, 6, 6), np.nan), "calibration set must be finite, not NaN or Inf"),
        (np.zeros((1, 4, 6, 5)), r"must have shape \(n, 4, 6, 6\), not \(1, 4, 6, 5\)"),
    ],
)
def test_bad_calibration(inputs, message):
    with pytest.raises(InputError, match=message):
        quantise(network_of(random_conv("c", "x")), inputs)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        (
            [Pool("p", ("x",), "y", "average", Window((2, 2), pads=(1, 0, 0, 0), dilation=(2, 2)))],
            (4, 6, 6),
            "that leaves pads out must have dilation 1",
        ),
        (
            [Softmax("s", ("x",), "s"), Activation("a", ("s",), "y")],
            (4,),
            r"layer 's' \(Softmax\): softmax .* must be the last layer",
        ),
        ([Reshape("r", ("x",), "r", (12,)), Activation("a", ("r",), "y")], (3, 4), "must keep the order of the values"),
        (
            [Reshape("r", ("x",), "r", (4, 3, 3)), Pool("p", ("r",), "y", "max", Window((2, 2)))],
            (36,),
            r"input must be held as \(4, 3, 3\), not \(36, 1, 1\)",
        ),
        ([Reshape("r", ("x",), "r", (36,))], (4, 3, 3), "must have a layer that the accelerator runs"),
        (
            [Linear("l", ("x",), "y", np.ones((1, 2**18), np.float32), np.zeros(1, np.float32))],
            (2**18,),
            r"layer 'l' \(Gemm\): sum of 262144 products and the bias must fit 32 bits",
        ),
    ],
)
def test_network_without_an_integer_form(layers, shape, message):
    with pytest.raises(InputError, match=message):
        quantise(network_of(*layers, shape=shape), np.ones((1, *shape), np.float32))


def test_largest_sum():
    """Every product can reach 127 * 128, and the zero point -128 puts as much again into the bias."""
    for depth, fits in ((66_052, True), (66_053, False)):
        linear = Linear("l", ("x",), "y", np.ones((1, depth), np.float32), np.zeros(1, np.float32))
        network, inputs = network_of(linear, shape=(depth,)), np.ones((1, depth), np.float32)
        if fits:
            found = quantise(network, inputs, method=Method(correct=False))
            assert found.layers[0].requantise.bias.item() == depth * 127 * 128
            quantise(network, inputs)  # a corrected bias leaves as much room
        else:
            with pytest.raises(InputError, match="must fit 32 bits"):
                quantise(network, inputs)


def test_one_scale_a_layer():
    conv = random_conv("c", "x")
    conv.weights[0] *= 100
    network = network_of(conv)
    one = quantise(network, calibration(), per_channel=False).layers[0]
    each = quantise(network, calibration()).layers[0]
    assert np.abs(one.weights[1:].astype(int)).max() < 5
    assert (np.abs(each.weights.astype(int)).max((1, 2, 3)) == 127).all()
    assert len(set(one.requantise.multiplier.tolist())) == 1


def test_softmax_over_a_flattened_map():
    """Over all values of the map, not over the channels of each pixel."""
    network = network_of(
        Activation("a", ("x",), "a"), Reshape("f", ("a",), "f", (12,)), Softmax("s", ("f",), "p"), shape=(3, 2, 2)
    )
    inputs = calibration((3, 2, 2))
    integer = quantise(network, inputs)
    codes = run(integer, quantise_input(integer, inputs))[integer.output]
    found = dequantise_output(integer, codes)
    assert found.shape == (len(inputs), 12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, float32.run(network, inputs), atol=0.01)


def test_an_interpolation_has_whole_numbers_as_weights():
    """Twice as large, linear: 1 3 3 1 both ways; within half a code, since nothing is rounded but the output."""
    line = np.float32([1, 3, 3, 1]) / 4
    weights = np.broadcast_to(np.outer(line, line), (4, 1, 4, 4)) * np.float32([1, -0.3, 2, 5])[:, None, None, None]
    window = Window((4, 4), base_dilation=(2, 2), edges=(1, 1, 1, 1))
    network = network_of(Conv("up", ("x",), "up", weights, np.zeros(4, np.float32), window, 4))
    inputs = calibration()
    integer = quantise(network, inputs)
    (layer,) = integer.layers
    assert np.array_equal(np.abs(layer.weights), np.broadcast_to(np.outer([1, 3, 3, 1], [1, 3, 3, 1]), (4, 1, 4, 4)))
    codes = quantise_input(integer, inputs)
    real = (codes.astype(np.float32) - integer.tensors["x"].zero_point) * np.float32(integer.tensors["x"].scale)
    ours = dequantise_output(integer, run(integer, codes)["up"])
    scale = integer.tensors["up"].scale
    assert np.abs(ours - float32.run(network, real)).max() < 0.51 * scale
