import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import reference_float
from models.errors import InputError
from models.graph import Activation, Add, Conv, GlobalPool, Linear, Pool, Reshape, Softmax, build
from models.integer import HostLayer, MatrixLayer, VectorLayer, Window
from models.quantise import quantise
from models.reference_integer import dequantise_output, quantise_input, run
from tests.model_networks import draw_inputs, draw_network


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
    expected = reference_float.run(network, inputs).reshape(ours.shape)
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
    network = network_of(
        Activation("a", ("x",), "a"), Reshape("f", ("a",), "f", (12,)), Softmax("s", ("f",), "p"), shape=(3, 2, 2)
    )
    inputs = calibration((3, 2, 2))
    integer = quantise(network, inputs)
    codes = run(integer, quantise_input(integer, inputs))[integer.output]
    found = dequantise_output(integer, codes)
    assert found.shape == (len(inputs), 12)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(found, reference_float.run(network, inputs), atol=0.01)
