"""Pieces of vector steps: they fit rings and fields, and there are as few as that allows."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ConfigPost, Post, most
from accel.compiler.estimate import Machine
from accel.compiler.geometry import Geometry, vector_geometry
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.vector_tiling import VectorTask, VectorTiling, choose_vector, vector_piece
from accel.models.errors import InputError
from accel.models.integers.network import VectorLayer
from accel.models.window import Window
from tests.benches.counted import accepted, counted
from tests.benches.layers import design_of, uniform


def geometry(shape: tuple[int, int, int], window: Window) -> Geometry:
    return vector_geometry(VectorLayer("pool", "x", "y", "max", window, uniform(0)), shape)


def task(shape: tuple[int, int, int], window: Window, **changes: object) -> VectorTask:
    g = geometry(shape, window)
    usual: dict[str, object] = {"in_ring": None, "out_ring": None, "align": 1, "cut_columns": False}
    return VectorTask(geometry=g, groups=-(-shape[0] // 4), in_pitch=g.in_w, out_pitch=g.out_w, **(usual | changes))  # type: ignore[arg-type]


MACHINE = Machine.of(design_of(4, 4, 64))


@pytest.mark.parametrize(
    ("shape", "changes", "expected"),
    [
        ((8, 12, 12), {}, "2 groups x 6 x 6 pixels, about 312 cycles"),
        ((8, 60, 60), {}, "2 groups x 8 x 30 pixels, about 7,296 cycles"),  # long: cut, so that what follows can start
        ((8, 12, 12), {"in_ring": 200}, "2 groups x 2 x 6 pixels, about 648 cycles"),
        ((32, 12, 12), {"out_ring": 80}, "1 groups x 6 x 6 pixels, about 1,344 cycles"),
        (
            (8, 12, 12), {"out_ring": 7, "align": 2, "cut_columns": True},
            "1 groups x 1 x 6 pixels, about 864 cycles",
        ),
    ],
)  # fmt: skip
def test_what_is_chosen(shape: tuple[int, int, int], changes: dict[str, object], expected: str) -> None:
    assert str(choose_vector(MACHINE, task(shape, Window((2, 2), (2, 2)), **changes))) == expected


@pytest.mark.parametrize(
    ("changes", "needs"), [({"in_ring": 3}, 2 * 4 * 4), ({"out_ring": 1, "align": 2, "cut_columns": True}, 2 * 2 * 4)]
)
def test_the_smallest_piece_that_does_not_fit(changes: dict[str, object], needs: int) -> None:
    found = choose_vector(MACHINE, task((8, 12, 12), Window((2, 2), (2, 2)), **changes))
    assert found == Shortage("activation_bytes", needs)


def chosen(machine: Machine, of: VectorTask) -> VectorTiling:
    found = choose_vector(machine, of)
    if isinstance(found, Shortage):
        raise InputError("refused")
    return found


@counted(100)
@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_pieces_fit(rng: Random) -> None:
    kernel = (rng.randint(1, 4), rng.randint(1, 4))
    stride = (rng.randint(1, 31), rng.randint(1, 31))
    shape = (rng.randint(1, 40), rng.randint(4, 400), rng.randint(4, rng.choice([40, 9000])))
    align = rng.choice([1, 2, 8])
    changes: dict[str, object] = {"align": align}
    if rng.random() < 0.5:
        changes["in_ring"] = rng.randint(4, 9000)
    if rng.random() < 0.5:
        changes |= {"out_ring": rng.randint(1, 2000), "cut_columns": True}
    made = task(shape, Window(kernel, stride), **changes)
    t, g = accepted(chosen, MACHINE, made), made.geometry
    rows, pitch, out_rows, out_pitch = vector_piece(made, t.strip)
    assert made.in_ring is None or t.groups * rows * pitch <= made.in_ring
    assert made.out_ring is None or t.groups * out_rows * out_pitch <= made.out_ring
    assert 1 <= t.groups <= made.groups
    assert t.groups * MACHINE.row_chunks <= most(Post, "chunks")
    for axis in (0, 1):
        assert 1 <= t.strip[axis] <= (g.out_h, g.out_w)[axis]
        assert t.strip[axis] <= most(Post, "out_h")
        assert (t.strip[axis] - 1) * g.stride[axis] + g.kernel[axis] <= most(ConfigPost, "in_h")


@pytest.mark.parametrize(("columns", "expected"), [(9000, 2047), (40000, 2047)])
def test_pieces_are_as_long_as_a_command_can_say(columns: int, expected: int) -> None:
    """Half of the 4,095 columns that the field holds: widths are halved."""
    assert chosen(MACHINE, task((4, 1, columns), Window((1, 1)))).strip[1] == expected


def test_pieces_reach_no_farther_than_a_command_can_say() -> None:
    """4,095 input columns: 132 windows of 31 columns side by side."""
    t = chosen(MACHINE, task((4, 1, 31 * 400), Window((1, 31), (1, 31))))
    assert t.strip[1] == 132 // 2
    pairs = chosen(MACHINE, task((4, 1, 9000), Window((1, 2), (1, 2))))  # 2,047 of them; with 4,096 it were 2,048
    assert pairs.strip[1] == 2047 // 2


@pytest.mark.parametrize(("groups", "expected"), [(4095, 4095), (4096, 2048)])
def test_pieces_have_no_more_chunks_than_a_command_can_say(groups: int, expected: int) -> None:
    """A chunk a group: 4,095 fit."""
    one = Machine.of(design_of(1, 1, 32))
    made = replace(task((1, 1, 1), Window((1, 1))), groups=groups)
    assert chosen(one, made).groups == expected
