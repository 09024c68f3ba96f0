"""A search over tilings: its programs are right, and never slower; rows that nobody reads are not loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import compile as compiler
from accel.commands import Compute, ConfigCompute
from accel.compile import compile_network, time_network
from accel.compiler.geometry import split_with_ends
from accel.compiler.lower.matrix_task import Tiling
from accel.compiler.prepare import other_readings, prepare
from accel.events import Event
from accel.flow.cli import run as accel
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_input, draw_network
from tests.benches.layers import design_of, matrix, network_of


@counted(4)
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1 << 32))
def test_searched_programs_equal_the_reference(seed: int) -> None:
    rng = Random(seed)
    design, network = draw_design(rng), draw_network(rng, layers=2)
    program = accepted(compile_network, network, design, "auto", 8)
    codes = draw_input(rng, network, batch=1)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    assert time_program(program).cycles <= time_network(network, design).cycles


def test_a_layer_alone_gains() -> None:
    """What the search is for: 3 tiles of a map whose writes take longest begin with few pixels."""
    network, design = network_of((8, 13, 13), matrix(24, Window((1, 1)))), design_of(8, 8, 64)
    before, after = (time_network(network, design, tries=tries).cycles for tries in (0, 48))
    assert after < 0.95 * before


def test_a_kernel_begins_with_its_first_row() -> None:
    """A first tile of 5 x 5 rows of weights is computed while it comes, to the same bytes."""
    network, design = network_of((8, 9, 9), matrix(8, Window((5, 5), pads=(2, 2, 2, 2)))), design_of(8, 8, 64)
    program = compile_network(network, design, tries=16)
    first = [command for command in program.commands if isinstance(command, Compute)][:5]
    assert [command.iy0 for command in first] == [-2, -1, 0, 1, 2]
    assert [command.accumulate for command in first] == [0, 1, 1, 1, 1]
    codes = np.random.default_rng(2).integers(-128, 128, (1, 8, 9, 9)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_words_cut_out_of_several_loads_or_as_they_lie() -> None:
    """24 channels, 5 x 5: four words of a row in two LOADs, each by itself, or five as words of 24 of 32 lanes."""
    prepared = prepare(network_of((24, 14, 14), matrix(64, Window((5, 5), pads=(2,) * 4))), design_of(32, 32, 128))
    kernels = [p.plan.steps[0].geometry.kernel for p in (prepared, *other_readings(prepared))]
    assert kernels == [(5, 2), (5, 1), (5, 5)]


def test_chunks_are_computed_row_by_row_at_both_ends() -> None:
    """Of two tiles of three channel groups: the first two chunks and the last one, others whole; sums go on."""
    network, design = network_of((24, 7, 7), matrix(16, Window((3, 3), pads=(1,) * 4))), design_of(8, 8, 64)
    prepared = prepare(network, design)
    (step,) = prepared.plan.steps
    assert isinstance(step.tiling, Tiling)
    whole = replace(
        step.tiling, strip=(7, 7), block=(7, 7), block_tiles=2, chunk_tiles=1, chunk_groups=1, by_rows=2, ends_by_rows=1
    )
    plan = replace(prepared.plan, steps=[replace(step, tiling=whole)])
    program = compiler._program(*compiler._fastest(replace(prepared, plan=plan), design))
    heights, found = 0, list[tuple[int, int]]()
    for command in program.commands:
        if isinstance(command, ConfigCompute):
            heights = command.kernel_h
        if isinstance(command, Compute):
            found.append((heights, command.accumulate))
    assert found == [(1, 0), (1, 1), (1, 1)] * 2 + [(3, 1)] * 3 + [(1, 1)] * 3
    codes = np.random.default_rng(4).integers(-128, 128, (1, 24, 7, 7)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_a_first_layer_is_also_read_in_another_way() -> None:
    """Five words of a window that the loader writes in nine parts, six that it writes in six, or as words."""
    network = network_of((3, 32, 32), matrix(64, Window((7, 7), (2, 2), (3, 3, 3, 3))))
    design = design_of(32, 32, 128)
    prepared = prepare(network, design)
    seen = [p.plan.steps[0].geometry for p in (prepared, *other_readings(prepared))]
    assert [(g.kernel, g.channels) for g in seen] == [((1, 1), 4 * 32 + 30), ((1, 1), 5 * 32 + 15), ((7, 7), 3)]
    assert not other_readings(prepare(network_of((32, 9, 9), matrix(8, Window((1, 1)))), design))
    program = compile_network(network, design, tries=4)
    codes = np.random.default_rng(3).integers(-128, 128, (1, 3, 32, 32)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.integers(0, 12), st.integers(1, 4))
def test_split_with_ends(size: int, most: int, first: int, last: int, align: int) -> None:
    found = split_with_ends(size, most, first, last, align)
    assert [low for low, _ in found] == [0, *(high for _, high in found[:-1])]
    assert found[-1][1] == size
    assert all(low % align == 0 and low < high for low, high in found)
    room = first + last + 2 * align <= size  # for both, rounded up, and one more
    if first and room:
        assert first <= found[0][1] < first + align
    if last and room:
        assert last <= size - found[-1][0] < last + align


@pytest.mark.parametrize(("stride", "kernel", "rows"), [(2, 1, 5), (3, 1, 3), (1, 1, 9), (2, 3, 9)])
def test_rows_that_nobody_reads_stay_in_dram(stride: int, kernel: int, rows: int) -> None:
    network = network_of((16, 9, 10), matrix(8, Window((kernel, 1), (stride, 1))))
    program = compile_network(network, design_of(8, 8, 64))
    codes = np.random.default_rng(1).integers(-128, 128, (1, 16, 9, 10)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])
    events = time_program(program).events
    assert events[Event.ACT_WRITES] - events[Event.POST_OUTPUTS] == 2 * rows * 10


def test_the_command_line_searches(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for tries in ("0", "24"):
        command = ["simulate", "conv:64x13x13,256,1x1", "--design", "large", "--tries", tries, "--json"]
        assert accel(command) == 0
        found.append(json.loads(capsys.readouterr().out)["cycles"])
    assert found[1] < found[0]
