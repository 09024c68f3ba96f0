"""Steps by strips: which they are, what a plan says, what no longer crosses to DRAM, and that programs are right."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from accel import compile as compiling
from accel.compile import compile_network, time_network
from accel.compiler import prepare as preparing
from accel.compiler.chains import chains
from accel.compiler.prepare import prepare
from accel.design import Design, Widths
from accel.events import Event
from accel.models.integers.network import IntegerNetwork
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.sim.execute import execute
from accel.sim.result import simulate
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_input, draw_inverted
from tests.benches.layers import SAME, add, design_of, matrix, max_pool, network_of
from tests.benches.strips import by_strips

POINT, THREE, HALF = Window((1, 1)), Window((3, 3), pads=(1, 1, 1, 1)), Window((3, 3), (2, 2), (1, 1, 1, 1))


def cramped(words: int) -> Design:
    """8 x 8 behind a bus of 4 bytes, with banks of so many words of 8."""
    design = design_of(8, 8, axi_bits=32, activation_bytes=2 * 8 * words, accumulator_bytes=8 * 8 * 128)
    return design.model_copy(update={"filter_multipliers": 9})


def inverted(residual: str | None = "layer0:out") -> IntegerNetwork:
    """8 channels on 16 x 16 to 48 and back: 256 words, 1,536 between them."""
    return network_of(
        (8, 16, 16), SAME, matrix(48, POINT), matrix(48, THREE, groups=48), matrix(8, POINT, residual=residual)
    )


def found(network: IntegerNetwork, *large: str) -> list[tuple[int, ...]]:
    design = cramped(512)
    steps = prepare(network, design).steps
    return [tuple(chain) for chain in chains(network, design, steps, large or network.tensors)]


def test_an_inverted_residual_is_a_chain_and_a_depthwise_step_may_end_one() -> None:
    assert found(inverted()) == found(inverted(None)) == [(1, 2, 3)]
    ends = matrix(48, POINT), matrix(48, HALF, groups=48)
    assert found(network_of((8, 9, 9), SAME, *ends, max_pool(Window((2, 2))))) == [(1, 2)]
    assert found(network_of((8, 9, 9), SAME, *ends, matrix(8, THREE))) == [(1, 2)]
    assert found(inverted(), "layer0:out") == []  # nothing large between them


def test_what_else_is_read_is_between_no_steps() -> None:
    expand, dw, project = matrix(48, POINT), matrix(48, THREE, groups=48), matrix(8, POINT)
    assert found(network_of((8, 9, 9), SAME, expand, dw, add("layer1:out"))) == []
    network = network_of((8, 9, 9), SAME, expand, dw, project)
    assert found(replace(network, more_outputs=("layer2:out",))) == []
    assert found(network_of((48, 9, 9), dw, project)) == []  # nothing makes its input


@pytest.mark.parametrize(
    ("words", "regions"),
    [
        (300, "bank 0 words 0..191; bank 1 words 0..191"),
        (450, "bank 0 words 0..383; bank 1 words 0..191, bank 1 words 192..383"),
    ],
)
def test_a_plan_says_where_strips_lie(words: int, regions: str) -> None:
    """Filtered strips are 2 rows of 16 columns of six channel groups, two of them where there is room."""
    found = preparing.in_strips(prepare(inverted(), cramped(words)), compiling.chain_time)
    assert found
    lines = str(found.plan).splitlines()
    assert lines[-2] == f"steps 1..3 by strips of 2 rows through {regions}"
    assert [line for line in lines if line.endswith(": not on chip")] == [
        "layer1:out: not on chip", "layer2:out: not on chip",
    ]  # fmt: skip


def test_a_chain_may_begin_with_an_image_whose_words_windows_share() -> None:
    """Each strip's rows come as its blocks need them, of two planes: words of one row, and of two or three."""
    first, project = matrix(48, THREE), matrix(8, POINT)
    network, design = network_of((3, 20, 20), first, matrix(48, THREE, groups=48), project), cramped(400)
    made = preparing.in_strips(prepare(network, design), compiling.chain_time)
    assert made
    assert made.chains == (range(3),)
    assert made.plan.steps[0].geometry.places
    assert made.plan.steps[0].in_ring
    program = compiling._program(*compiling._fastest(made, design))
    codes = np.random.default_rng(1).integers(-128, 128, (1, 3, 20, 20)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


@pytest.mark.parametrize("banks", [300, 450])  # words; with one filtered strip on chip, and with two
def test_what_is_between_the_steps_never_leaves_the_chip(banks: int) -> None:
    """A STORE for nothing but the output; each step's commands stand among those of the others."""
    network, design = inverted(), cramped(banks)
    program = compile_network(network, design)
    assert by_strips(program)
    ends = 2 * 256  # beats of the input, which is spilled too, or of the output: 256 words
    assert time_network(network, design).events[Event.WRITE_BEATS] in (ends, 2 * ends)
    codes = np.random.default_rng(1).integers(-128, 128, (2, 8, 16, 16)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_strips_are_taken_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for everything there are none; without, the cycles are below those of steps one after the other."""
    network, design = inverted(), cramped(300)
    assert not by_strips(compile_network(network, cramped(4096)))
    with_strips = time_network(network, design).cycles
    monkeypatch.setattr(compiling, "BETTER", 0.0)
    assert with_strips < 0.55 * time_network(network, design).cycles


def test_reports_count_each_layer_by_itself() -> None:
    """Parts add to the whole, and no layer does more than its bound, though steps stand in one another."""
    result = simulate(compile_network(inverted(), cramped(300)))
    assert sum(layer.cycles for layer in result.layers) <= result.cycles
    assert all(0 < layer.efficiency <= 1 for layer in result.layers)
    for event in (Event.READ_BEATS, Event.ACT_WRITES, Event.FILTER_MACS, Event.MACS):
        assert 0 < sum(layer.events[event] for layer in result.layers) <= result.events[event]


@counted(6)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 32))
@example(
    37989
)  # a POST over its operand is cut behind R/P chunks of its sums, where an array has more columns than rows
def test_programs_by_strips_equal_the_reference(seed: int) -> None:
    _equal_the_reference(seed)


@pytest.mark.slow
@counted(100)
@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32))
def test_more_programs_by_strips_equal_the_reference(seed: int) -> None:
    _equal_the_reference(seed)


def _equal_the_reference(seed: int) -> None:
    """Strips wherever there is room, faster or not; words of any number of lanes and columns of the array."""
    rng = Random(seed)
    design, network = draw_design(rng, largest=rng.choice([4, 8, 12])), draw_inverted(rng)
    if design.rows * design.cols < 16:
        reject()  # thousands of commands
    words = max(int(np.prod(t.shape[1:])) * -(-t.shape[0] // design.word_lanes) for t in network.tensors.values())
    bank = max(2, int(words * rng.choice([0.2, 0.3, 0.5, 0.8])))
    sizes = {"activation_bytes": max(64, 2 * design.word_lanes * bank)}
    sizes["parameter_bytes"] = 8 * design.buffers.parameter_bytes
    update = {"widths": Widths(), "filter_multipliers": 9, "buffers": design.buffers.model_copy(update=sizes)}
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((compiling, "BETTER"), (preparing, "BETTER"), (preparing, "NEAR")):
            patch.setattr(module, name, 1e9)
        program = accepted(compile_network, network, design.model_copy(update=update))
    codes = draw_input(rng, network)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
