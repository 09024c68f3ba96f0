"""Patches that are not alike: each output is made once, whatever is moved; their programs are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import compile as compiler
from accel.commands import Compute, ConfigCompute, Load, Target
from accel.compile import compile_network, time_network
from accel.compiler.lower.matrix_task import Patch, Task, Tiling
from accel.compiler.patches import Patches, Piece
from accel.compiler.prepare import prepare
from accel.design import Design
from accel.events import Event
from accel.models.integers.network import IntegerNetwork
from accel.models.reference.int8 import run
from accel.models.window import Window
from accel.program import Program
from accel.sim.execute import execute
from accel.timing.recurrence import time_program
from tests.benches.cross import Trial, check
from tests.benches.layers import design_of, matrix, network_of
from tests.benches.verilator import Built
from tests.benches.wide import draws


def patches_of(network: IntegerNetwork, size: int, bits: int = 64) -> Patches:
    plan = prepare(network, design_of(size, size, bits)).plan.steps[0]
    tiling, task = plan.tiling, plan.task
    assert isinstance(tiling, Tiling)
    assert isinstance(task, Task)
    found = Patches.of(plan.machine, task, tiling)
    assert found
    return found


def covered(patches: tuple[Patch, ...], height: int, width: int, tiles: int) -> None:
    counts = np.zeros((height, width, tiles), int)
    for patch in patches:
        counts[slice(*patch.rows), slice(*patch.cols), slice(*patch.tiles)] += 1
    assert (counts == 1).all()


@settings(max_examples=draws(30), deadline=None)
@given(st.integers(0, 1 << 32))
def test_each_output_is_made_once(seed: int) -> None:
    rng = Random(seed)
    kernel, size = rng.choice([1, 3]), rng.randint(5, 14)
    window = Window((kernel, kernel), pads=(kernel // 2,) * 4)
    now = patches_of(network_of((rng.randint(1, 40), size, size), matrix(rng.randint(1, 40), window)), 8)
    height, width = now.task.geometry.pooled
    for _ in range(4):
        moves = [*now.moves(), *now.seeds()]
        tilings = [(move, tiling) for move in moves if (tiling := move.made)]
        for _, tiling in tilings:
            covered(tiling.patches, height, width, len(now.task.reach))
            for patch in tiling.patches:
                (y0, y1), (x0, x1), (n0, n1) = patch[:3]
                assert (y1 - y0) * (x1 - x0) * (n1 - n0) <= now.machine.accumulators
        if not tilings:
            break
        now = rng.choice(tilings)[0]


def test_text() -> None:
    now = patches_of(network_of((16, 7, 7), matrix(24, Window((1, 1)))), 8)
    cut = Patches(now.machine, now.task, now.tiling, True, (Piece(33, (3,), (2, 1)), Piece(16, (1, 2), (1, 2))))
    assert str(cut.made) == "patches 1 x 33 x 3 by 2 x 1, 1 x 16 x 1 by 1 x 2, 1 x 16 x 2 by 1 x 2"


@settings(max_examples=draws(6), deadline=None)
@given(st.integers(0, 1 << 32))
def test_programs_of_moves_equal_the_reference(seed: int) -> None:
    """Whatever is cut: weights on chip as one LOAD brought them, parts of them used by COMPUTEs of other patches."""
    rng = Random(seed)
    size, kernel = rng.randint(5, 12), rng.choice([1, 1, 3])
    window = Window((kernel, kernel), pads=(kernel // 2,) * 4)
    shape = rng.randint(1, 40), size, size
    network, design = network_of(shape, matrix(rng.randint(9, 40), window)), design_of(8, 8, rng.choice([32, 64, 128]))
    codes = np.random.default_rng(seed).integers(-128, 128, (1, *shape)).astype(np.int8)
    program = compile_network(network, design, tries=64)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def test_weights_are_loaded_together_and_used_apart() -> None:
    """A first patch of all tiles, group by group; then tiles by themselves, each by one COMPUTE."""
    network, design = network_of((64, 14, 14), matrix(32, Window((1, 1)))), design_of(8, 8, 64)
    program = compile_network(network, design, tries=120)
    assert time_program(program).cycles < time_network(network, design).cycles
    weights = [c for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT]
    words = sum(c.row_beats * c.rows for c in weights)
    assert words == 64 * 32 // 8, "each weight is read once"
    codes = np.random.default_rng(5).integers(-128, 128, (1, 64, 14, 14)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


@pytest.mark.parametrize(("channels", "saved"), [(24, 8), (16, 0), (20, 12)])
def test_weights_of_lanes_without_a_channel_stay_in_dram(channels: int, saved: int) -> None:
    """Of 16 lanes of the second group some have none: their words are not read where that is faster."""
    network = network_of((channels, 4, 4), matrix(48, Window((3, 3), pads=(1,) * 4)))
    design = design_of(16, 16, 128).model_copy(update={"windows": 0})
    before, program = time_network(network, design), compile_network(network, design, tries=60)
    written = time_program(program).events.get(Event.WEIGHT_WRITES, 0)
    assert before.events[Event.WEIGHT_WRITES] - written == saved * 9 * 3
    assert any(isinstance(command, Compute) for command in program.commands)
    codes = np.random.default_rng(6).integers(-128, 128, (1, channels, 4, 4)).astype(np.int8)
    np.testing.assert_array_equal(execute(program, codes), run(network, codes)[network.output])


def forced(network: IntegerNetwork, design: Design, pieces: tuple[Piece, ...]) -> Program:
    """A program of these pieces of pixels, without weights of lanes that have no channel, whatever it takes."""
    prepared = prepare(network, design)
    (step,) = prepared.plan.steps
    assert isinstance(step.task, Task)
    made = Patches(step.machine, step.task, step.tiling, True, pieces).made
    assert made
    steps = [replace(step, tiling=replace(made, trimmed=True))]
    return compiler._program(*compiler._fastest(replace(prepared, plan=replace(prepared.plan, steps=steps)), design))


@pytest.mark.rtl
def test_the_verilog_runs_patches(tmp_path: Path) -> None:
    """Rows of weights that LOADs put apart, and leave out: bytes, cycles and counters of the emitted Verilog.

    And chunks row by row at both ends, and words that are cut out of the bytes of a row by several LOADs.
    """
    design, rows = design_of(8, 8, 64), list[int]()
    built = Built(design, tmp_path)
    for channels, size, outputs, kernel, pieces in (
        (44, 9, 20, 1, (Piece(48, (3,), (2, 1)), Piece(25, (2, 1), (1, 2)), Piece(8, (1, 1, 1), (1, 6)))),
        (15, 5, 24, 3, (Piece(3, (3,), (3, 1)), Piece(2, (1, 1, 1), (1, 1)))),
        (23, 6, 16, 3, (Piece(4, (2,), (1, 1)), Piece(1, (2,), (2, 3)), Piece(1, (1, 1), (1, 2)))),
    ):
        network = network_of((channels, size, size), matrix(outputs, Window((kernel, kernel), pads=(kernel // 2,) * 4)))
        program = forced(network, design, pieces)
        rows += [c.rows for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT]
        codes = np.random.default_rng(size).integers(-128, 128, (channels, size, size)).astype(np.int8)
        check(built, Trial(design, network, codes, size), program)
    assert {2, 9} <= set(rows)  # tiles of a group, and kernel positions of a last one
    for channels, outputs, padded in ((12, 24, True), (20, 16, False)):
        network = network_of((channels, 6, 7), matrix(outputs, Window((3, 3), (1, 1), (int(padded),) * 4, (2, 1))))
        prepared = prepare(network, design)
        (step,) = prepared.plan.steps
        steps = [replace(step, tiling=replace(step.tiling, chunk_tiles=1, chunk_groups=1, by_rows=2, ends_by_rows=3))]
        program = compiler._program(
            *compiler._fastest(replace(prepared, plan=replace(prepared.plan, steps=steps)), design)
        )
        codes = np.random.default_rng(channels).integers(-128, 128, (channels, 6, 7)).astype(np.int8)
        check(built, Trial(design, network, codes, channels), program)
        assert {c.kernel_h for c in program.commands if isinstance(c, ConfigCompute)} == {1, 3}
        assert prepared.reading.unfolded
        assert prepared.reading.unfolded.geometry.channels > 8
