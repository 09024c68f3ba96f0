import tracemalloc

import numpy as np
import pytest

from accel.models.build import Chain, initial
from accel.models.errors import InputError
from accel.models.window import Window
from accel.models.zoo.architectures import lenet5


@pytest.mark.parametrize("variance", [1.0, 2.0])
@pytest.mark.parametrize("shape", [(500, 50, 3, 3), (3, 7), (1, 1)])
def test_first_weights_are_normal_numbers_in_their_order(shape, variance):
    weights, bias = initial(np.random.default_rng(7), *shape, variance=variance)
    fan_in = np.prod(shape[1:])
    wanted = np.random.default_rng(7).standard_normal(shape) * np.sqrt(variance / fan_in)
    np.testing.assert_array_equal(weights, wanted.astype(np.float32))
    assert weights.dtype == bias.dtype == np.float32
    assert bias.shape == shape[:1]
    assert not bias.any()


def test_shapes_alone_take_no_memory():
    tracemalloc.start()
    weights, _ = initial(None, 4096, 25088)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    assert weights.shape == (4096, 25088)
    assert not weights[::1000, ::1000].any()


def test_a_chain_knows_its_shapes_and_names():
    chain = Chain(np.random.default_rng(0), (4, 9, 9))
    chain.conv("c", 6, Window((3, 3)), groups=2, relu="r")
    chain.pool("p", Window((2, 2), (2, 2)))
    chain.flatten()
    chain.linear("l", 5, tensor="out", gain=0.0)
    network = chain.network("n")
    assert [(x.name, x.inputs, x.output) for x in network.layers] == [
        ("c", ("image",), "c"), ("r", ("c",), "r"), ("p", ("r",), "p"), ("flatten", ("p",), "flatten"),
        ("l", ("flatten",), "out"),
    ]  # fmt: skip
    assert network.shapes["flatten"] == (6 * 3 * 3,)
    assert network.layers[0].weights.shape == (6, 2, 3, 3)
    assert not network.layers[-1].weights.any()
    chain = Chain(np.random.default_rng(0), (4, 2, 2))
    with pytest.raises(InputError, match="kernel"):
        chain.conv("c", 6, Window((3, 3)))


@pytest.mark.parametrize(("he", "wanted"), [(True, 2), (False, 1)])
def test_twice_the_variance_in_front_of_a_relu(he, wanted):
    chain = Chain(np.random.default_rng(0), (1, 20, 20), he)
    chain.flatten()
    chain.linear("a", 500, relu="r")
    chain.linear("b", 500)
    first, second = (layer.weights.var() * layer.weights.shape[1] for layer in chain.layers[1::2])
    assert first == pytest.approx(wanted, rel=0.02)
    assert second == pytest.approx(1, rel=0.02)


def test_the_lenets_begin_as_when_they_were_trained():
    """The zoo's checkpoints come from seed 0 and weights of standard deviation fan-in ** -0.5."""
    random = np.random.default_rng(0)
    for layer in (x for x in lenet5(np.random.default_rng(0)).layers if hasattr(x, "weights")):
        shape = layer.weights.shape
        wanted = (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        np.testing.assert_array_equal(layer.weights, wanted)
