"""Invariant 1, without hardware: a compiled Program gives the integer reference's bytes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Load, Target
from accel.compile import compile_network
from accel.design import Design, load
from accel.gemm import gemm_network
from accel.models.integers.network import MatrixLayer
from accel.models.reference.int8 import run
from accel.sim.execute import execute
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_input, draw_network


@counted(125)
@settings(max_examples=150, deadline=None)
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
