"""Invariant 1, without hardware: a compiled Program gives the integer reference's bytes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Post, Target
from accel.compile import compile_network
from accel.design import Design, load
from accel.gemm import gemm_network
from accel.models.integers.network import ChannelLayer, IntegerNetwork, MatrixLayer, Residual, TensorSpec, VectorLayer
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.sim.execute import execute
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_input, draw_network
from tests.benches.layers import design_of, matrix, uniform
from tests.benches.wide import draws


@counted(draws(125))
@settings(max_examples=draws(150), deadline=None)
@given(st.randoms(use_true_random=False))
def test_program_equals_reference(rng: Random) -> None:
    design = draw_design(rng, largest=rng.choice([8, 20]))
    network = draw_network(rng, layers=4)
    program = accepted(compile_network, network, design)  # test_accel_compile checks what refusals say
    codes = draw_input(rng, network, batch=2)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_a_broken_index_shows() -> None:
    """2:4: each bit of the index of a weight that is not 0 decides with which activation it is multiplied."""
    network = gemm_network(1, 8, 2)
    (layer,) = network.layers
    assert isinstance(layer, MatrixLayer)
    weights = np.array([[90, 0, 0, -80, 0, 70, 60, 0], [0, 100, -90, 0, 80, 0, 0, 70]], np.int8)
    network = replace(network, layers=(replace(layer, weights=weights.reshape(layer.weights.shape)),))
    edge = load("edge").model_dump()
    array, engine = {"rows": 4, "cols": 2, "weight_rows": 1}, {"kind": "systolic", "sparsity": "2:4"}
    program = compile_network(network, Design.model_validate(edge | {"array": array, "engine": engine}))
    assert [info.weight_format for info in program.layers] == ["dense-2:4"]
    codes = np.array([5, 90, -70, 40, -30, 20, -110, 60], np.int8).reshape(1, *network.tensors[network.input].shape)
    expected = run(network, codes)[network.output]
    np.testing.assert_array_equal(execute(program, codes), expected)
    first = next(c.dram_addr for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT)
    for row, lane, bit in np.ndindex(4, 2, 2):  # words of two lanes of ten bits, of which the highest two are the index
        at = 10 * lane + 8 + bit
        image = program.image.copy()
        image[first + 4 * row + at // 8] ^= 1 << at % 8
        assert not np.array_equal(execute(replace(program, image=image), codes), expected), (row, lane, bit)


def gate(*, joined: bool) -> IntegerNetwork:
    """A convolution's 3 x 3 map and a pixel that is an input of its own, added."""
    x, p, y, z = (TensorSpec(n, (4, *((1, 1) if n == "p" else (3, 3))), 1.0, 5) for n in "xpyz")
    first, made = matrix(4, Window((1, 1)))("first", x)
    added = VectorLayer("gate", made.name, "y", "max", Window((1, 1)), uniform(5), Residual("p", 30000, 15, 5))
    layers, last = ((first, added, ChannelLayer("join", ("y",), "z", None)), z) if joined else ((first, added), y)
    tensors = {t.name: t for t in (x, p, made, y, *((z,) if joined else ()))}
    return IntegerNetwork("gate", "x", last.name, tensors, layers, more_inputs=("p",))


def test_a_pixel_may_lie_at_the_end_of_a_bank() -> None:
    """Its operand has one word; as many as the map has would pass the bank's 17."""
    program = compile_network(gate(joined=True), design_of(4, 4, activation_bytes=2 * 4 * 17))
    assert any(c.res_plane and c.res_addr % 2**19 + 9 > 17 for c in program.commands if isinstance(c, Post))
    codes = draw_input(Random(1), gate(joined=True))
    np.testing.assert_array_equal(execute(program, codes), run(gate(joined=True), codes)["z"])


def test_a_pixel_that_is_an_input_needs_no_joined_tensors() -> None:
    program = compile_network(gate(joined=False), load("nano"))
    codes = draw_input(Random(1), gate(joined=False))
    np.testing.assert_array_equal(execute(program, codes), run(gate(joined=False), codes)["y"])
