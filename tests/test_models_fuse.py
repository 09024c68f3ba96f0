import math

import numpy as np
import pytest

from accel.models.graph import Activation, Add, Linear, build, readers
from accel.models.quantisation.fuse import Chain, chain_of


def linear(name, source):
    return Linear(name, (source,), name, np.ones((2, 2), np.float32), np.zeros(2, np.float32))


def chain(layers, addable=lambda operand, output: True):
    network = build("n", "x", (2,), layers)
    return chain_of(network, readers(network), layers[0], addable)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, math.inf), (-math.inf, 6), (0, 6)),
        ((-1, 1), (-2, 2), (-1, 1)),
        ((0, 1), (2, 3), (2, 2)),
        ((4, 5), (2, 3), (3, 3)),
    ],
)
def test_clips_compose(first, second, expected):
    found = chain((linear("l", "x"), Activation("a", ("l",), "a", *first), Activation("b", ("a",), "b", *second)))
    assert found == Chain("b", ("l", "a", "b"), None, *expected)
    for value in np.linspace(-10, 10, 81):
        assert np.clip(np.clip(value, *first), *second) == np.clip(value, *expected)


def test_one_add_then_activations():
    layers = (linear("l", "x"), Add("add", ("x", "l"), "s"), Activation("a", ("s",), "a"), Add("b", ("a", "x"), "b"))
    assert chain(layers) == Chain("a", ("l", "add", "a"), "x", 0.0, math.inf)
    assert chain(layers, lambda operand, output: False) == Chain("l", ("l",))


def test_a_tensor_with_two_readers_stays():
    doubled = (linear("l", "x"), Add("add", ("l", "l"), "s"))
    assert chain(doubled) == Chain("l", ("l",))
    branched = (linear("l", "x"), Activation("a", ("l",), "a"), Add("add", ("a", "l"), "s"))
    assert chain(branched) == Chain("l", ("l",))
    as_output = (linear("l", "x"), Activation("a", ("l",), "a"))
    network = build("n", "x", (2,), as_output, output="l")
    assert chain_of(network, readers(network), as_output[0], lambda operand, output: True) == Chain("l", ("l",))
