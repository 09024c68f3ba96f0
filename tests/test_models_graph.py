import numpy as np
import pytest

from accel.models.errors import InputError
from accel.models.graph import Activation, Add, Conv, GlobalPool, Linear, Pool, Reshape, build, output_shape
from accel.models.window import Window


def zeros(*shape):
    return np.zeros(shape, np.float32)


CONV = Conv("conv", ("x",), "y", zeros(4, 2, 3, 3), zeros(4), Window((3, 3), (2, 1), (1, 0, 1, 2)), 1)


def test_shapes_of_a_network():
    network = build(
        "n",
        "x",
        (2, 8, 8),
        (
            CONV,
            Activation("relu", ("y",), "r"),
            Reshape("flat", ("r",), "f", (128,)),
            Linear("fc", ("f",), "z", zeros(5, 128), zeros(5)),
        ),
    )
    assert network.shapes == {"x": (2, 8, 8), "y": (4, 4, 8), "r": (4, 4, 8), "f": (128,), "z": (5,)}
    assert network.output == "z"
    assert network.parameters == 4 * 18 + 4 + 5 * 128 + 5


def test_global_pool_and_matrix_shapes():
    assert output_shape(GlobalPool("g", ("x",), "y", "max"), [(3, 4, 5)]) == (3, 1, 1)
    assert output_shape(Linear("l", ("x",), "y", zeros(6, 3), zeros(6)), [(7, 3)]) == (7, 6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Activation("a", ("nowhere",), "y"), "layer 'a' reads 'nowhere', which no earlier layer writes"),
        (Activation("a", ("x",), "x"), "writes 'x', which exists already"),
        (Activation("a", ("x",), "y", 2.0, 1.0), "low must be below high, not 2.0 and 1.0"),
        (Conv("c", ("x",), "y", zeros(4, 3, 1, 1), zeros(4), Window((1, 1))), "do not fit 2 input channels"),
        (Conv("c", ("x",), "y", zeros(4, 2, 9, 9), zeros(4), Window((9, 9))), r"kernel \(9, 9\) does not fit .* 8 x 8"),
        (Conv("c", ("x",), "y", zeros(4, 2, 1, 1), zeros(3), Window((1, 1))), r"bias \(3,\) do not fit"),
        (
            Conv("c", ("x",), "y", zeros(4, 2, 1, 1), zeros(4), Window((1, 1), (0, 1))),
            "stride and dilation of at least 1",
        ),
        (Linear("l", ("x",), "y", zeros(4, 2), zeros(4)), r"do not fit an input of shape \(2, 8, 8\)"),
        (
            Pool("p", ("x",), "y", "max", Window((2, 2), (1, 1), (2, 0, 0, 0))),
            "pads .* must be smaller than the kernel",
        ),
        (Add("a", ("x", "x2"), "y"), "reads 'x2'"),
        (Reshape("r", ("x",), "y", (127,)), r"shape \(127,\) does not hold the values of \(2, 8, 8\)"),
    ],
)
def test_layer_that_does_not_fit(layer, message):
    with pytest.raises(InputError, match=message):
        build("n", "x", (2, 8, 8), (layer,))


def test_two_layers_of_one_name():
    with pytest.raises(InputError, match="layer 'a' must have a name of its own"):
        build("n", "x", (2, 8, 8), (Activation("a", ("x",), "y"), Activation("a", ("y",), "z")))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value):
    with pytest.raises(InputError, match=r"layer 'l' \(Gemm\): weights must be finite"):
        build("n", "x", (2,), (Linear("l", ("x",), "y", np.array([[1, value]], np.float32), zeros(1)),))


def test_add_of_two_shapes():
    layers = (Pool("g", ("x",), "g", "max", Window((2, 2))), Add("a", ("x", "g"), "y"))
    with pytest.raises(InputError, match="both inputs must have one shape"):
        build("n", "x", (2, 8, 8), layers)
