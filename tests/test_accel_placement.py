"""Where channels lie: what is joined without a copy, and what is copied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.compile import compile_network
from accel.compiler.placement import Spot, place
from accel.compiler.pooled_parts import pooled_parts
from accel.compiler.prepare import prepare
from accel.models.integers.network import ChannelLayer, IntegerNetwork, MatrixLayer, TensorSpec
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise, shapes_alone
from accel.models.reference import float32
from accel.models.reference.int8 import dequantise_output, quantise_input, run
from accel.models.window import Window
from accel.sim.execute import execute
from tests.benches.blocks import BLOCKS
from tests.benches.layers import design_of, matrix, max_pool

CONV = Window((3, 3), pads=(1, 1, 1, 1))


def network_of(*parts: tuple, shape: tuple[int, int, int] = (4, 6, 6)) -> IntegerNetwork:
    """Layers by (output, maker, input), channel layers by (output, inputs, channels)."""
    tensors = {"x": TensorSpec("x", shape, 1.0, 3)}
    layers = []
    for name, made, of in parts:
        if isinstance(made, tuple):
            count = sum(tensors[t].shape[0] for t in made) if of is None else len(of)
            layers.append(ChannelLayer(name, made, name, of))
            tensors[name] = TensorSpec(name, (count, *tensors[made[0]].shape[1:]), 1.0, 3)
        else:
            layer, spec = made(name, tensors[of])
            if layer.residual:
                layer = replace(layer, residual=replace(layer.residual, zero_point=3))
            layers.append(layer)
            tensors[spec.name] = spec
    return IntegerNetwork("n", "x", layers[-1].output, tensors, tuple(layers))


A, B, C = (matrix(n, CONV) for n in (10, 5, 8))


def test_parts_lie_in_whole_words_behind_each_other() -> None:
    """Words of 8 lanes: a in words 0 and 1, of which it has 10 lanes, b in word 2; a later part behind both."""
    found = place(
        network_of(
            ("a", A, "x"), ("b", B, "a:out"), ("ab", ("b:out", "a:out"), None), ("c", C, "ab"),
            ("all", ("ab", "c:out"), None), ("d", C, "all"),
        ),
        8,
    )  # fmt: skip
    assert not found.copies
    assert found.spots["a:out"] == Spot("a:out", 0, 10, 16)
    assert found.spots["b:out"] == Spot("a:out", 2, 5, 8)
    assert found.spots["c:out"] == Spot("a:out", 3, 8, 8)
    assert found.spots["ab"] == Spot("a:out", 0, 21, 21, (*range(16, 21), *range(10)))
    assert found.spots["all"].lanes == (*range(16, 21), *range(10), *range(24, 32))
    assert found.spots["d:out"] == Spot("d:out", 0, 8, 8)


def test_a_slice_begins_at_its_word_and_what_the_vector_unit_makes_of_it_too() -> None:
    pool = max_pool(Window((2, 2), (2, 2)))
    found = place(
        network_of(("a", matrix(30, CONV), "x"), ("s", ("a:out",), (*range(18, 22),)), ("p", pool, "s"),
                   ("d", C, "p:out")), 8,
    )  # fmt: skip
    assert not found.copies
    assert found.spots["s"] == Spot("a:out", 2, 6, 6, (2, 3, 4, 5))
    assert found.spots["p:out"] == Spot("p:out", 0, 6, 6, (2, 3, 4, 5))


def test_a_depthwise_layer_over_joined_channels_is_one_of_each_part() -> None:
    """In the order of the part's own channels; where parts fill their words it is left whole."""
    order = (*range(10, 15), *reversed(range(10)))
    network = network_of(
        ("a", A, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), order), ("d", matrix(15, CONV, groups=15), "t"),
        ("e", C, "d:out"),
    )  # fmt: skip
    found = place(network, 8)
    b, a = (layer for layer in found.network.layers if layer.name.startswith("d:part"))
    assert isinstance(a, MatrixLayer)
    assert isinstance(b, MatrixLayer)
    assert (b.input, a.input) == ("b:out", "a:out")
    whole = network.layers[3]
    assert isinstance(whole, MatrixLayer)
    np.testing.assert_array_equal(b.weights, whole.weights[:5])
    np.testing.assert_array_equal(a.weights, whole.weights[:4:-1])
    np.testing.assert_array_equal(a.requantise.bias, whole.requantise.bias[:4:-1])
    assert found.spots["d:out"].lanes == (*range(5), *reversed(range(8, 18)))
    even = network_of(
        ("a", C, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), None), ("d", matrix(13, CONV, groups=13), "t")
    )
    assert [layer.name for layer in place(even, 8).network.layers] == ["a", "b", "t", "d"]


@pytest.mark.parametrize(
    ("parts", "copies"),
    [
        ([("a", A, "x"), ("t", ("a:out", "a:out"), None), ("d", C, "t")], 1),  # the second time
        ([("a", matrix(4, CONV), "x"), ("t", ("a:out", "x"), None), ("d", C, "t")], 1),  # the input
        ([("a", A, "x"), ("t", ("a:out",), (3, 1)), ("d", C, "t")], 0),
        ([("a", A, "x"), ("t", ("a:out",), (3, 1))], 1),  # the output
        ([("a", A, "x"), ("h", ("a:out",), (0, 1, 2)), ("b", B, "a:out"), ("t", ("h", "b:out"), None),
          ("d", C, "t")], 1),  # few of the channels of a
        ([("a", A, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), None), ("p", max_pool(CONV, "t"), "t"),
          ("d", C, "p:out")], 0),  # both operands lie alike
        ([("a", A, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), None), ("e", matrix(15, CONV, residual="t"), "x"),
          ("d", C, "e:out")], 1),  # there is a gap in t
        ([("a", C, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), None), ("e", matrix(13, CONV, residual="t"), "x"),
          ("d", C, "e:out")], 0),
    ],
)  # fmt: skip
def test_what_is_copied(parts: list, copies: int) -> None:
    assert len(place(network_of(*parts), 8).copies) == copies


@pytest.mark.parametrize("words", [4096, 60])
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_run_as_the_reference_says(name: str, words: int) -> None:
    """With all on chip and, in banks of 60 words, with joined tensors in DRAM; in int8 about what the floats say."""
    network = BLOCKS[name]()
    inputs = np.random.default_rng(1).standard_normal((8, *network.shapes["x"])).astype(np.float32)
    integer = quantise(network, inputs)
    program = compile_network(integer, design_of(8, 8, 64, activation_bytes=2 * 8 * words, weight_bytes=4096))
    copies = [layer for layer in program.layers if ".copy" in layer.name]
    assert [(layer.kind, layer.must.macs) for layer in copies] == {"shuffle": [("conv", 0)] * 2}.get(name, [])
    codes = quantise_input(integer, inputs[:2])
    expected = run(integer, codes)[integer.output]
    np.testing.assert_array_equal(execute(program, codes), expected)
    floats = float32.run(network, inputs[:2])
    assert np.abs(dequantise_output(integer, expected) - floats).max() < 0.08 * np.abs(floats).max()


def test_joined_channels_are_pooled_where_their_parts_are_made() -> None:
    """Of two poolings over joined channels both go with the four convolutions; nothing is left but matrix steps."""
    network = BLOCKS["fire"]()
    integer = quantise(network, np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32))
    made = prepare(integer, design_of(8, 8, 64)).steps
    assert [step.pool.name for step in made if step.pool] == [
        "pool9:part0", "pool9:part1", "pool17:part0", "pool17:part1",
    ]  # fmt: skip
    assert [step.name for step in made if step.kind == "vector"] == ["mean"]


def test_coded_weights_are_those_of_the_lanes_that_a_way_reads() -> None:
    """The joined input lies behind b if they are pooled together, before it if each is: d reads other lanes."""
    pool = max_pool(Window((2, 2), (2, 2)))
    network = network_of(
        ("b", A, "x"), ("t", ("x", "b:out"), None), ("p", pool, "t"), ("d", C, "p:out"), shape=(4, 12, 12)
    )
    design = design_of(8, 8, 64).model_copy(update={"decoder_lanes": 4})
    whole, parts = (place(n, 8).spots["p:out"].lanes for n in (network, pooled_parts(network)))
    assert whole != parts
    program = compile_network(network, design, "coded")
    assert [layer.name for layer in program.layers] == ["b", "p:part0", "d"]
    assert "huffman" in program.layers[-1].weight_format
    codes = np.random.default_rng(0).integers(-128, 128, (1, 4, 12, 12)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_only_what_gains_is_pooled_in_parts() -> None:
    """A part that is read elsewhere, or comes twice, or that no convolution makes, is left."""
    pool = max_pool(Window((2, 2), (2, 2)))
    made = [("a", A, "x"), ("b", B, "x"), ("t", ("a:out", "b:out"), None), ("p", pool, "t")]
    assert [layer.name for layer in pooled_parts(network_of(*made)).layers] == [
        "a", "b", "p:part0", "p:part1", "t",
    ]  # fmt: skip
    whole = network_of(*made, ("d", C, "t"))
    assert pooled_parts(whole) is whole
    twice = network_of(("a", A, "x"), ("t", ("a:out", "a:out"), None), ("p", pool, "t"))
    assert pooled_parts(twice) is twice
    others = network_of(("a", pool, "x"), ("b", pool, "x"), ("t", ("a:out", "b:out"), None), ("p", pool, "t"))
    assert pooled_parts(others) is others
    nested = network_of(*made[:3], ("c", C, "x"), ("u", ("t", "c:out"), (0, 3, 17)), ("p", pool, "u"))
    assert [layer.name for layer in pooled_parts(nested).layers] == [
        "a", "b", "c", "p:part0:part0", "p:part0:part1", "t", "p:part1", "u",
    ]  # fmt: skip


def test_a_sum_is_written_over_its_operand_where_that_keeps_both_on_chip() -> None:
    """Banks of 4,096 words hold one tensor of 2,312 each: what the sum adds, and what it is computed from."""
    network = BLOCKS["residual"]()
    integer = quantise(network, np.random.default_rng(1).standard_normal((2, 3, 34, 34)).astype(np.float32))
    found = {}
    for words in (4096, 4700):
        prepared = prepare(integer, design_of(8, 8, 64, activation_bytes=2 * 8 * words))
        (step,) = (step for step in prepared.steps if step.residual)
        total, operand = (prepared.plan.places[name].region for name in (step.output, step.residual))
        assert total
        assert operand
        found[words] = total == operand
        assert not any(step.in_ring or step.out_ring for step in prepared.plan.steps[1:])
    assert found == {4096: True, 4700: False}


@pytest.mark.parametrize(("name", "joins"), [("squeezenet", 8), ("densenet121", 58)])
def test_networks_of_joined_channels_move_none(name: str, joins: int) -> None:
    """In words of 32 channels: Concats of fire modules; those of dense blocks, each of everything before it."""
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
    network = shapes_alone(parted.read(path))
    assert sum(isinstance(layer, ChannelLayer) for layer in network.layers) == joins
    assert not place(network, 32).copies


def test_no_sum_is_written_over_what_its_convolution_still_reads() -> None:
    """Banks of 160 words hold one tensor of 144; x is alive to the end, so e would fit over a alone."""
    eight = matrix(8, CONV, residual="a:out")
    network = network_of(
        ("a", matrix(8, CONV), "x"),
        ("e", eight, "a:out"),
        ("f", matrix(8, CONV, residual="x"), "e:out"),
        shape=(8, 12, 12),
    )
    design = design_of(8, 8, 64, activation_bytes=2 * 8 * 160)
    codes = np.random.default_rng(0).integers(-128, 128, (1, 8, 12, 12)).astype(np.int8)
    np.testing.assert_array_equal(execute(compile_network(network, design), codes), run(network, codes)[network.output])


def test_joining_moves_nothing() -> None:
    """What is read and written of DRAM with a Concat is what is without: the parts lie where the whole does."""
    parts = [("a", C, "x"), ("b", C, "x"), ("t", ("a:out", "b:out"), None), ("d", B, "t")]
    plan = prepare(network_of(*parts), design_of(8, 8, 64)).plan
    a, b, t = (plan.places[name].region for name in ("a:out", "b:out", "t"))
    assert a
    assert b
    assert t
    assert (a.bank, a.word, b.word, t.words) == (t.bank, t.word, t.word + 36, 72)
    assert b.bank == t.bank
    assert plan.data_bytes == 2 * 36 * 8 + 64  # input and output
