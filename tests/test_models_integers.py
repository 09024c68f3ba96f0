"""An integer network that contradicts itself is refused wherever it comes from, with the layer and what is wrong."""

from dataclasses import fields, is_dataclass, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.errors import InputError
from accel.models.integers.ends import joined
from accel.models.integers.network import (
    HostLayer,
    IntegerNetwork,
    MatrixLayer,
    Requantise,
    Residual,
    Shared,
    TensorSpec,
    VectorLayer,
    Window,
)
from accel.models.reference.int8 import run
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_network
from tests.benches.wide import draws


def record(count, zero_point, **changed):
    values = {
        "bias": np.zeros(count, np.int32), "multiplier": np.full(count, 40000, np.uint16),
        "shift": np.full(count, 20, np.uint8), "zero_point": zero_point,
    }  # fmt: skip
    return Requantise(**{**values, **changed})


INDICES = np.arange(4 * 2 * 3 * 3).reshape(4, 2, 3, 3).astype(np.uint8) % 4
CODEBOOK = np.array([-3, 0, 5, 100], np.int8)
SHARED = Shared(2, CODEBOOK, INDICES)
CONV = MatrixLayer(
    "conv", "x", "c", CODEBOOK[INDICES], Window((3, 3), (1, 1), (1, 1, 1, 1)), record(4, 5), 2,
    Residual("x", 1000, 10, -7), SHARED,
)  # fmt: skip
POOL = VectorLayer("pool", "c", "p", "max", Window((2, 2), (2, 2)), record(1, 5))
TENSORS = {
    "x": TensorSpec("x", (4, 6, 6), 0.5, -7), "c": TensorSpec("c", (4, 6, 6), 0.5, 5),
    "p": TensorSpec("p", (4, 3, 3), 0.5, 5),
}  # fmt: skip
HOST = HostLayer("soft", "softmax", "p", "y", 36)


def made(conv=CONV, pool=POOL, host=HOST, tensors=TENSORS, **changed):
    values = {"name": "n", "input": "x", "output": "p", "tensors": tensors, "layers": (conv, pool)}
    return IntegerNetwork(**{**values, "host_layers": (host,), **changed})


def conv(**changed):
    return lambda: made(replace(CONV, **changed))


def pool(**changed):
    return lambda: made(pool=replace(POOL, **changed))


def to(**changed):
    return lambda: made(replace(CONV, requantise=replace(CONV.requantise, **changed)))


def shared(**changed):
    return lambda: made(replace(CONV, shared=replace(SHARED, **changed)))


def residual(**changed):
    return lambda: made(replace(CONV, residual=replace(CONV.residual, **changed)))


def tensor(key, **changed):
    return lambda: made(tensors={**TENSORS, key: replace(TENSORS[key], **changed)})


def large_sums():
    x = TensorSpec("x", (2**17, 1, 1), 1.0, 0)
    layer = MatrixLayer("m", "x", "y", np.full((1, 2**17, 1, 1), -128, np.int8), Window((1, 1)), record(1, 0))
    return IntegerNetwork("n", "x", "y", {"x": x, "y": TensorSpec("y", (1, 1, 1), 1.0, 0)}, (layer,))


WRONG = {
    # tensors
    "a tensor of another name": (
        tensor("c", name="d"),
        "n: tensor 'c': name must be 'c', as in the network's table, not 'd'",
    ),
    "a shape of two sizes": (tensor("c", shape=(4, 6)), "tensor 'c': shape must be three positive sizes"),
    "a size of 0": (tensor("x", shape=(4, 0, 6)), r"shape must be three positive sizes .* not \(4, 0, 6\)"),
    "a scale of 0": (tensor("x", scale=0.0), "scale must be a finite number above 0, not 0.0"),
    "an endless scale": (tensor("x", scale=float("inf")), "scale must be a finite number above 0, not inf"),
    "no scale": (tensor("x", scale=float("nan")), "scale must be a finite number above 0, not nan"),
    "a zero point that is no code": (tensor("x", zero_point=128), r"tensor 'x': zero point must be -128..127, not 128"),
    "half a zero point": (tensor("x", zero_point=0.5), r"zero point must be -128..127, not 0.5"),
    "no tensor": (lambda: made(tensors={**TENSORS, "c": None}), "it must be a TensorSpec, not a NoneType"),
    "a tensor that nobody writes": (
        lambda: made(tensors={**TENSORS, "z": TensorSpec("z", (1, 1, 1), 1.0, 0)}),
        "tensor 'z' must be an input or written by a layer, and is not",
    ),
    # the network
    "an unknown input": (lambda: made(input="z"), "n: input must be one of 'x', 'c', 'p', not 'z'"),
    "an unknown output": (lambda: made(output="z"), "n: output must be one of 'x', 'c', 'p', not 'z'"),
    "two layers of one name": (pool(name="conv"), "n: layer 'conv': name must be a text of the layer's own"),
    "no name": (pool(name=3), "layer 3: name must be a text of the layer's own"),
    "a table of 255 codes": (to(table=np.zeros(255, np.int8)), "table must have 256 codes, not 255"),
    "a table of words": (to(table=np.zeros(256, np.int16)), "table must be a filled array of int8 of 1 dimensions"),
    "a zero point before a table": (to(table=np.zeros(256, np.int8), zero_point=200), "zero point must be -128..127"),
    "no layer": (
        lambda: made(pool=HOST),
        "n: layer must be a MatrixLayer or .* or ChannelLayer, not a HostLayer",
    ),
    "an unknown tensor": (conv(input="z"), "n: layer 'conv': input must be one of 'x', not 'z'"),
    "a tensor before it is written": (conv(input="p"), "layer 'conv': input must be one of 'x', not 'p'"),
    "an output without a tensor": (conv(output="z"), "output must be one of 'x', 'c', 'p', not 'z'"),
    "a tensor written twice": (
        pool(output="c"),
        "layer 'pool': output must be a tensor that nothing else writes, not 'c'",
    ),
    "a layer that writes the input": (pool(output="x"), "output must be a tensor that nothing else writes, not 'x'"),
    "a host layer of another tensor": (
        lambda: made(host=replace(HOST, input="c")),
        "n: host layer 'soft': input must be 'p', not 'c'",
    ),
    "bytes that do not cross": (
        lambda: made(host=replace(HOST, bytes=35)),
        "host layer 'soft': bytes must be 36, not 35",
    ),
    "bytes in words": (lambda: made(host=replace(HOST, bytes="36")), "bytes must be 36, not '36'"),
    "sources that are no names": (pool(source=("a", 3)), "source must be names of the network's nodes, not"),
    "a list of layers": (lambda: made(layers=[CONV, POOL]), "n: layers must be a tuple, not a list"),
    "no host layer": (lambda: made(host=POOL), "host layer must be a HostLayer, not a VectorLayer"),
    # windows and shapes
    "no window": (conv(window=None), "window must be a Window, not a NoneType"),
    "a kernel that is not the weights'": (
        conv(window=Window((3, 1), (1, 1), (1, 1, 1, 1))),
        r"kernel must be that of the weights, \(3, 3\), not \(3, 1\)",
    ),
    "a stride of 0": (
        pool(window=Window((2, 2), (0, 2))),
        r"stride must be 2 whole numbers of at least 1, not \(0, 2\)",
    ),
    "a dilation of 0": (pool(window=Window((2, 2), dilation=(0, 1))), "dilation must be 2 whole numbers of at least 1"),
    "negative pads": (pool(window=Window((2, 2), pads=(0, 0, 0, -1))), "pads must be 4 whole numbers of at least 0"),
    "pads that cut, beside others": (
        pool(window=Window((1, 1), pads=(0, 1, 0, -1))),
        r"pads below 0 must only cut off, without any above",
    ),
    "two pads": (pool(window=Window((2, 2), pads=(0, 0))), r"pads must be 4 whole numbers of at least 0, not \(0, 0\)"),
    "half a kernel": (pool(window=Window((2, 1.5))), r"kernel must be 2 whole numbers of at least 1, not \(2, 1.5\)"),
    "a truth value": (pool(window=Window((2, True))), r"kernel must be 2 whole numbers of at least 1, not \(2, True\)"),
    "a kernel beyond its input": (pool(window=Window((7, 7))), r"kernel \(7, 7\) must fit its input \(4, 6, 6\)"),
    "a wrong height": (tensor("p", shape=(4, 2, 3)), r"output 'p' must have the shape \(4, 3, 3\), not \(4, 2, 3\)"),
    "wrong channels": (tensor("c", shape=(5, 6, 6)), r"output 'c' must have the shape \(4, 6, 6\), not \(5, 6, 6\)"),
    "another reduction": (pool(reduce="min"), "reduce must be max or sum, not 'min'"),
    # weights
    "weights of floats": (conv(weights=CONV.weights.astype(np.float32)), "weights must be a filled array of int8"),
    "weights of three dimensions": (
        conv(weights=CONV.weights[0]),
        r"weights must be .* of 4 dimensions, not int8 of shape",
    ),
    "no weights": (conv(weights=CONV.weights[:0]), "weights must be a filled array of int8"),
    "weights of a list": (conv(weights=[1]), "weights must be a filled array of int8 of 4 dimensions, not list"),
    "groups that do not divide": (conv(groups=3), "groups must divide the outputs and give 4 input channels, not 3"),
    "a wrong number of inputs": (conv(groups=1), "groups must divide the outputs and give 4 input channels, not 1"),
    "no groups": (conv(groups=0), "groups must divide the outputs"),
    "a sum beyond 32 bits": (large_sums, "layer 'm': sums of products must fit 32 bits, and can reach 2147483648"),
    # sharing
    "0 bits": (shared(bits=0), r"bits of shared weights must be 1..8, not 0"),
    "9 bits": (shared(bits=9), r"bits of shared weights must be 1..8, not 9"),
    "a short codebook": (shared(codebook=CODEBOOK[:3]), r"codebook must have 4 entries, 2\*\*bits, not 3"),
    "a codebook of int16": (shared(codebook=CODEBOOK.astype(np.int16)), "codebook must be a filled array of int8"),
    "an index beyond the codebook": (
        shared(indices=np.where(INDICES == 3, 4, INDICES).astype(np.uint8)),
        r"indices must be 0..3, not 4",
    ),
    "indices of another shape": (shared(indices=INDICES[:2]), "indices must have the weights' shape"),
    "signed indices": (shared(indices=INDICES.astype(np.int8)), "indices must be a filled array of uint8"),
    "one other weight": (
        conv(weights=np.where(np.arange(72).reshape(4, 2, 3, 3) == 71, 99, CONV.weights).astype(np.int8)),
        r"weights must be codebook\[indices\], and are not",
    ),
    "an entry that is another": (shared(codebook=CODEBOOK[::-1]), r"weights must be codebook\[indices\], and are not"),
    "no sharing": (conv(shared=4), "shared must be a Shared, not a int"),
    # requantisation
    "a bias of 64 bits": (to(bias=np.zeros(4, np.int64)), "bias must be a filled array of int32 of 1 dimensions"),
    "a signed multiplier": (to(multiplier=np.zeros(4, np.int32)), "multiplier must be a filled array of uint16"),
    "a shift of floats": (to(shift=np.zeros(4)), "shift must be a filled array of uint8"),
    "three biases": (to(bias=np.zeros(3, np.int32)), "must have 1 or 4 values each, not 3 of bias"),
    "one bias, four multipliers": (to(bias=np.zeros(1, np.int32)), "must have 1 or 4 values each, not 4 of multiplier"),
    "a record for each channel of a pooling": (pool(requantise=record(4, 5)), "must have 1 values each, not 4 of bias"),
    "a shift of 48": (to(shift=np.array([1, 2, 48, 3], np.uint8)), r"shift must be 0..47, not 48"),
    "another zero point": (to(zero_point=4), "layer 'conv': zero point must be that of 'c', 5, not 4"),
    "low above high": (to(low=6, high=5), "low must be at most high, not 6 and 5"),
    "low that is no code": (to(low=-129), r"low must be -128..127, not -129"),
    "high that is no code": (to(high=128), r"high must be -128..127, not 128"),
    "no record": (conv(requantise=None), "requantise must be a Requantise, not a NoneType"),
    # residuals
    "an unknown residual": (residual(tensor="z"), "tensor of the residual must be one of 'x', not 'z'"),
    "a residual of itself": (residual(tensor="c"), "tensor of the residual must be one of 'x', not 'c'"),
    "a residual of another shape": (
        pool(residual=Residual("x", 1, 1, -7)),
        r"residual 'x' must have the shape of the output, \(4, 3, 3\), or one pixel of it, not \(4, 6, 6\)",
    ),
    "an unknown operation": (
        residual(operation="divide"),
        "operation must be one of add, subtract, multiply, not 'divide'",
    ),
    "a product with sums": (residual(operation="multiply"), "must be multiplied with activations or their maximum"),
    "a residual's other zero point": (
        residual(zero_point=5),
        "zero point of the residual must be that of 'x', -7, not 5",
    ),
    "a residual's large multiplier": (
        residual(multiplier=65536),
        r"multiplier of the residual must be 0..65535, not 65536",
    ),
    "a residual's negative multiplier": (
        residual(multiplier=-1),
        r"multiplier of the residual must be 0..65535, not -1",
    ),
    "a residual's large shift": (residual(shift=48), r"shift of the residual must be 0..47, not 48"),
    "an input twice": (partial(made, more_inputs=("x",)), "inputs must be different tensors, not x, x"),
    "another output of nobody": (partial(made, more_outputs=("z",)), "output must be one of 'x', 'c', .*, not 'z'"),
    "no residual": (conv(residual="x"), "residual must be a Residual, not a str"),
}


def test_this_network_is_right():
    assert made().layers == (CONV, POOL)
    # One weight less than in `large_sums` is the largest sum that fits.
    x = TensorSpec("x", (2**17 - 1, 1, 1), 1.0, 0)
    layer = MatrixLayer("m", "x", "y", np.full((1, 2**17 - 1, 1, 1), -128, np.int8), Window((1, 1)), record(1, 0))
    IntegerNetwork("n", "x", "y", {"x": x, "y": TensorSpec("y", (1, 1, 1), 1.0, 0)}, (layer,))


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused(what):
    wrong, message = WRONG[what]
    with pytest.raises(InputError, match=message) as caught:
        wrong()
    assert str(caught.value).startswith("n: ")
    assert "\n" not in str(caught.value)


def test_replacing_a_part_is_checked_too():
    with pytest.raises(InputError, match="zero point must be that of 'c', 9, not 5"):
        replace(made(), tensors={**TENSORS, "c": replace(TENSORS["c"], zero_point=9)})


@settings(deadline=None, max_examples=draws(50))
@given(st.randoms(use_true_random=False))
def test_one_wrong_weight_of_a_drawn_network_is_seen(rng):
    network = draw_network(rng)
    for number, layer in enumerate(network.layers):
        if getattr(layer, "shared", None):
            indices = layer.shared.indices.copy()
            place = tuple(rng.randrange(n) for n in indices.shape)
            other = [k for k, v in enumerate(layer.shared.codebook) if v != layer.weights[place]]
            if other:
                indices[place] = rng.choice(other)
                changed = replace(layer, shared=replace(layer.shared, indices=indices))
                layers = (*network.layers[:number], changed, *network.layers[number + 1 :])
                with pytest.raises(InputError, match="weights must be codebook"):
                    replace(network, layers=layers)


ODD = (
    None,
    -1,
    0,
    1,
    2**40,
    0.5,
    float("nan"),
    True,
    "x",
    "",
    (),
    (1,),
    (1, 1),
    (-1, 2**40),
    [],
    {},
    np.zeros(0),
    np.ones(3),
)


def odd_part(rng, value):
    """`value` with one field somewhere inside replaced by something that does not belong there."""
    if is_dataclass(value) and rng.random() < 0.9:
        name = rng.choice([f.name for f in fields(value)])
        return copied(value, name, odd_part(rng, getattr(value, name)))
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        at = rng.randrange(len(value))
        return (*value[:at], odd_part(rng, value[at]), *value[at + 1 :])
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        return {**value, key: odd_part(rng, value[key])}
    return rng.choice(ODD)


def copied(value, name, part):
    """A dataclass with another field; a network is made last, by its constructor, like any other."""
    return type(value)(**{f.name: part if f.name == name else getattr(value, f.name) for f in fields(value)})


@counted(draws(20))
@settings(deadline=None, max_examples=draws(200))
@given(st.randoms(use_true_random=False))
def test_odd_parts_are_refused_or_run(rng):
    """No other exception than InputError, and what is accepted computes."""
    network = accepted(odd_part, rng, draw_network(rng))
    if isinstance(network, IntegerNetwork):
        zeros = {name: np.zeros((1, *network.tensors[name].shape), np.int8) for name in network.inputs}
        assert run(network, joined(network, zeros))[network.output].dtype == np.int8
