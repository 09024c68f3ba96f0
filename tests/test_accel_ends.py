"""Programs with several inputs and outputs: each output is the reference's, wherever the tensors lie."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from accel import design as designs
from accel.compile import compile_network
from accel.models.encode import integer_file
from accel.models.errors import InputError
from accel.models.integers.ends import divided, joined
from accel.models.integers.network import IntegerNetwork
from accel.models.reference.int8 import run
from accel.sim.execute import execute_memory
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_ends, draw_input, draw_network
from tests.benches.wide import draws


def several(rng: Random) -> IntegerNetwork:
    network = draw_ends(rng, draw_network(rng, layers=5, size=9, channels=14))
    if not network.more_inputs and not network.more_outputs:
        reject()
    return network


@counted(draws(25))
@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_output_is_the_references(rng: Random) -> None:
    network, design = several(rng), draw_design(rng, largest=rng.choice([4, 8]))
    program = accepted(compile_network, network, design)
    codes = draw_input(rng, network)
    memory, expected = execute_memory(program, codes[0]), run(network, codes)
    assert [place.name for place in program.outputs] == list(network.outputs) == list(expected)
    for place in program.outputs:
        np.testing.assert_array_equal(program.unpack_output(memory, place=place), expected[place.name][0])
    ends = [(x.offset, x.offset + x.bytes(design)) for x in (*program.inputs, *program.outputs)]
    assert all(a[1] <= b[0] for a, b in zip(sorted(ends), sorted(ends)[1:], strict=False))
    assert all(f"{place.name}: " in program.text() for place in program.inputs)


@given(st.randoms(use_true_random=False))
@settings(max_examples=draws(30), deadline=None)
def test_what_is_removed_can_be_given(rng: Random) -> None:
    """A layer's output as an input, with the codes that the layer would make: the outputs are the whole's."""
    whole = draw_network(rng, layers=5, size=6, channels=6)
    part = draw_ends(rng, whole)
    tensors = run(whole, draw_input(rng, whole, 3), all_tensors=True)
    codes = joined(part, tensors)
    for name, found in zip(part.inputs, divided(codes, [part.tensors[x].shape for x in part.inputs]), strict=True):
        np.testing.assert_array_equal(found, tensors[name])
    for name, found in run(part, codes).items():
        np.testing.assert_array_equal(found, tensors[name])


@counted(draws(20))
@settings(max_examples=draws(30), deadline=None)
@given(st.randoms(use_true_random=False))
def test_files_keep_all_ends(rng: Random) -> None:
    network = several(rng)
    found = integer_file.from_bytes(accepted(integer_file.to_bytes, network, ["dense"]), "mine.int8")
    assert (found.inputs, found.outputs) == (network.inputs, network.outputs)


def test_a_core_without_dram_has_one_of_each() -> None:
    rng, refused = Random(5), 0
    design = designs.load("core").model_copy(update={"tables": 1, "operand_products": 1})
    for _ in range(20):
        network = draw_ends(rng, draw_network(rng, layers=4))
        if network.more_inputs or network.more_outputs:
            with pytest.raises(InputError, match="a core without DRAM must have one input and one output, not "):
                compile_network(network, design)
            refused += 1
    assert refused
