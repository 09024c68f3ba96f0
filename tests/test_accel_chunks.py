"""Rounds and chunks: each weight once, a tile's channel groups in ascending order, blocks within the accumulators."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compiler.estimate import Machine
from accel.compiler.lower.chunks import Round, rounds
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.matrix_task import Task, Tiling
from accel.compiler.lower.matrix_tiling import choose
from accel.compiler.weights import LayerWeights
from accel.models.integers.network import MatrixLayer
from accel.models.window import Window
from tests.benches.layers import design_of, matrix, network_of
from tests.benches.tasks import task_of, weights_of


def text(made: list[Round]) -> str:
    return "\n".join(
        f"tiles {a}..{b - 1}: " + ", ".join(f"{n0}..{n1 - 1} x {g0}..{g1 - 1}" for (n0, n1), (g0, g1) in chunks)
        for (a, b), chunks in made
    )


def case(out: int, channels: int, pixels: int, **buffers: int) -> tuple[Machine, LayerWeights, Task]:
    design = design_of(4, 4, 64, **buffers)
    layer = network_of((channels, 1, pixels), matrix(out, Window((1, 1)))).layers[0]
    assert isinstance(layer, MatrixLayer)
    weights = weights_of(layer, (channels, 1, pixels), design)
    return Machine.of(design), weights, task_of(weights)


def tiling(machine: Machine, task: Task) -> Tiling:
    found = choose(machine, task)
    assert not isinstance(found, Shortage)
    return found


def test_channel_groups_are_outermost_in_a_round() -> None:
    machine, weights, task = case(12, 20, 9)
    cut = replace(tiling(machine, task), block_tiles=2, chunk_tiles=1, chunk_groups=3)
    assert text(rounds(machine, task, cut, weights, 1.0, last=False)) == (
        "tiles 0..1: 0..0 x 0..2, 1..1 x 0..2, 0..0 x 3..4, 1..1 x 3..4\ntiles 2..2: 2..2 x 0..2, 2..2 x 3..4"
    )


def test_the_last_step_of_a_program_that_waits_for_weights_tapers() -> None:
    """One pixel: weights arrive no faster than the array uses them."""
    machine, weights, task = case(40, 32, 1)
    chosen = tiling(machine, task)
    plain = rounds(machine, task, chosen, weights, 1.0, last=False)
    tapered = rounds(machine, task, chosen, weights, 1.0, last=True)
    assert text(plain) == (
        "tiles 0..1: 0..1 x 0..7\n"
        "tiles 2..3: 2..3 x 0..7\n"
        "tiles 4..5: 4..5 x 0..7\n"
        "tiles 6..7: 6..7 x 0..7\n"
        "tiles 8..9: 8..9 x 0..7"
    )
    assert text(tapered) == (
        "tiles 0..8: 0..1 x 0..7, 2..3 x 0..7, 4..5 x 0..7, 6..8 x 0..2, 6..8 x 3..5, 6..8 x 6..7\n"
        "tiles 9..9: 9..9 x 0..2, 9..9 x 3..5, 9..9 x 6..7"
    )


def test_a_step_with_many_pixels_does_not_taper() -> None:
    machine, weights, task = case(40, 32, 64)
    chosen = tiling(machine, task)
    assert rounds(machine, task, chosen, weights, 1.0, True) == rounds(machine, task, chosen, weights, 1.0, False)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_chunks_cover_each_weight_exactly_once(rng: Random) -> None:
    pixels = rng.choice([1, 2, 9])
    buffers = {"weight_bytes": rng.choice([64, 200, 4096]), "accumulator_bytes": rng.choice([320, 1024])}
    machine, weights, task = case(rng.randint(1, 60), rng.randint(1, 60), pixels, **buffers)
    chosen = tiling(machine, task)
    made = rounds(machine, task, chosen, weights, rng.choice([1.0, 1.5]), last=rng.random() < 0.5)
    seen: list[tuple[int, int]] = []
    for (first, last), chunks in made:
        assert (last - first) * pixels <= machine.accumulators
        for (n0, n1), (g0, g1) in chunks:
            assert first <= n0 < n1 <= last
            assert task.words(machine, n1 - n0, g1 - g0) <= machine.weights
            seen += [(n, g) for n in range(n0, n1) for g in range(g0, g1)]
    assert sorted(seen) == [(n, g) for n in range(weights.tiles) for g in range(weights.groups)]
    for tile in range(weights.tiles):
        groups = [g for n, g in seen if n == tile]
        assert groups == sorted(groups)
