"""Invariant 1, without hardware: a compiled Program gives the integer reference's bytes."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_network
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
