"""Tilings of matrix steps: what is chosen fits every buffer and field, and nothing that was looked at is cheaper."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigPost, Post, most
from accel.compiler.estimate import Machine
from accel.compiler.lower import matrix_tiling
from accel.compiler.lower.lowering import Shortage
from accel.compiler.lower.matrix_cost import Costs, StripCosts
from accel.compiler.lower.matrix_task import Task, Tiling, most_tiles, piece_words, region_words
from accel.compiler.lower.matrix_tiling import choose, options
from accel.models.errors import InputError
from accel.models.integers.network import MatrixLayer
from accel.models.window import Window
from tests.benches.counted import accepted, counted
from tests.benches.layers import design_of, matrix, network_of
from tests.benches.tasks import task_of, weights_of


def case(
    shape: tuple[int, int, int], out: int, window: Window, pool: Window | None = None, groups: int = 1,
    rows: int = 4, cols: int = 4, axi_bits: int = 64, buffers: dict[str, int] | None = None, **changes: object,
) -> tuple[Machine, Task]:  # fmt: skip
    design = design_of(rows, cols, axi_bits, **(buffers or {}))
    layer = network_of(shape, matrix(out, window, groups=groups)).layers[0]
    assert isinstance(layer, MatrixLayer)
    return Machine.of(design), task_of(weights_of(layer, shape, design, pool), **changes)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (  # everything on chip and loaded
            {"shape": (8, 6, 6), "out": 8, "window": Window((3, 3))},
            "strips > tiles: strip 1 x 4, block 1 x 4 x 1 tiles, chunk 1 tiles x 2 groups, about 670 cycles",
        ),
        (  # a fully connected layer that streams its weights
            {"shape": (64, 1, 1), "out": 40, "window": Window((1, 1)), "buffers": {"weight_bytes": 1024}},
            "strips > tiles: strip 1 x 1, block 1 x 1 x 10 tiles, chunk 1 tiles x 16 groups, about 849 cycles",
        ),
        (  # a spilled input and a spilled output
            {
                "shape": (8, 20, 20), "out": 8, "window": Window((3, 3), pads=(1, 1, 1, 1)), "in_ring": 300,
                "out_ring": 200, "stored": True, "in_align": 2, "out_align": 2,
            },
            "strips > tiles: strip 2 x 10, block 2 x 10 x 1 tiles, chunk 1 tiles x 2 groups, about 15,290 cycles",
        ),
        (  # so little room that the input comes in pieces of channel groups
            {
                "shape": (32, 8, 8), "out": 8, "window": Window((3, 3)), "in_ring": 40, "loaded": True,
                "buffers": {"weight_bytes": 512},
            },
            "strips > tiles: strip 3 x 6, block 3 x 6 x 1 tiles, chunk 1 tiles x 1 gr"
            "oups, input in pieces, about 6,976 cycles",
        ),
        (  # few accumulators under a pooling
            {
                "shape": (4, 12, 12), "out": 4, "window": Window((1, 1)), "pool": Window((2, 2), (2, 2)),
                "buffers": {"accumulator_bytes": 2 * 16 * 10},
            },
            "strips > tiles: strip 1 x 2, block 1 x 2 x 1 tiles, chunk 1 tiles x 1 groups, about 349 cycles",
        ),
        (
            {"shape": (32, 8, 8), "out": 8, "window": Window((3, 3)), "in_ring": 40, "buffers": {"weight_bytes": 200}},
            "strips > tiles: strip 3 x 6, block 3 x 6 x 1 tiles, chunk 1 tiles x 1 gr"
            "oups, input in pieces, about 8,151 cycles",
        ),
        (
            {"shape": (24, 9, 9), "out": 20, "window": Window((3, 3)), "bits": 3, "loaded": True, "in_cycles": 2.5},
            "strips > tiles: strip 1 x 7, block 1 x 7 x 5 tiles, chunk 5 tiles x 1 groups, about 13,941 cycles",
        ),
        (
            {
                "shape": (8, 9, 9), "out": 20, "window": Window((1, 1)), "residual_loads": True, "stored": True,
                "out_align": 3,
            },
            "strips > tiles: strip 3 x 9, block 3 x 9 x 1 tiles, chunk 1 tiles x 2 groups, about 1,050 cycles",
        ),
        (
            {"shape": (12, 9, 9), "out": 12, "window": Window((3, 3), (2, 2)), "groups": 3, "uniform": True},
            "strips > tiles: strip 2 x 4, block 2 x 4 x 1 tiles, chunk 1 tiles x 1 groups, about 517 cycles",
        ),
        (
            {
                "shape": (40, 9, 9), "out": 40, "window": Window((3, 3)), "in_ring": 400,
                "buffers": {"weight_bytes": 2048},
            },
            "strips > tiles: strip 7 x 7, block 7 x 7 x 2 tiles, chunk 2 tiles x 1 gr"
            "oups, input in pieces, about 45,794 cycles",
        ),
        (
            {
                "shape": (40, 30, 30), "out": 8, "window": Window((3, 3)),
                "buffers": {"weight_bytes": 1024, "accumulator_bytes": 2048},
            },
            "strips > tiles: strip 2 x 28, block 2 x 28 x 1 tiles, chunk 1 tiles x 3 groups, about 144,818 cycles",
        ),
        (
            {
                "shape": (8, 9, 9), "out": 14, "window": Window((2, 2)), "cols": 6, "out_ring": 90,
                "stored": True, "out_align": 2,
            },
            "strips > tiles: strip 2 x 8, block 2 x 8 x 1 tiles, chunk 1 tiles x 2 groups, about 1,752 cycles",
        ),
    ],
    ids=[
        "resident", "fully connected", "spilled", "in pieces", "pooled", "one chunk fills the buffer",
        "three bits, loaded", "summed", "grouped", "tiles outside", "weights anew for each block", "unaligned",
    ],
)  # fmt: skip
def test_what_is_chosen(arguments: dict[str, object], expected: str) -> None:
    assert str(choose(*case(**arguments))) == expected  # type: ignore[arg-type]


def draw(rng: Random) -> tuple[Machine, Task]:
    kernel = (rng.randint(1, 3), rng.randint(1, 3))
    stride = (rng.randint(1, 3), rng.randint(1, 3))
    pads = (rng.randint(0, 1),) * 4
    shape = (rng.randint(1, 20), rng.randint(3, 30), rng.randint(3, 30))
    pool = Window((2, 2), (2, 2)) if rng.random() < 0.3 and shape[1] > 10 and shape[2] > 10 else None
    axi_bits = rng.choice([32, 64, 256])
    rows = rng.randint(1, 6)
    align = max(1, axi_bits // 8 // (1 << (rows - 1).bit_length()))
    changes: dict[str, object] = {}
    if rng.random() < 0.5:
        changes |= {"in_ring": rng.randint(10, 800) // align * align, "in_align": align}
    if rng.random() < 0.5:
        changes |= {"out_ring": rng.randint(10, 800) // align * align, "out_align": align, "stored": True}
    changes |= {"loaded": "in_ring" not in changes and rng.random() < 0.5, "residual_loads": rng.random() < 0.2}
    buffers = {
        "weight_bytes": rng.choice([128, 500, 4000]), "accumulator_bytes": rng.choice([600, 4000]),
        "parameter_bytes": rng.choice([128, 1024]),
    }  # fmt: skip
    return case(
        shape, rng.randint(1, 20), Window(kernel, stride, pads), pool, 1, rows, rng.randint(1, 6), axi_bits, buffers,
        **changes,
    )  # fmt: skip


def tiling(machine: Machine, task: Task) -> Tiling:
    found = choose(machine, task)
    if isinstance(found, Shortage):
        raise InputError("refused")
    return found


@counted(100)
@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_is_chosen_fits(rng: Random) -> None:
    machine, task = draw(rng)
    t, g = accepted(tiling, machine, task), task.geometry
    made = [task.made(axis, t.block[axis]) for axis in (0, 1)]
    assert made[0] * made[1] * t.block_tiles <= machine.accumulators
    assert t.block_tiles <= most_tiles(machine, task, made[0] * made[1])
    assert t.block_tiles * machine.chunks <= most(Post, "chunks") or t.block_tiles == 1
    assert task.words(machine, t.chunk_tiles, t.chunk_groups) <= machine.weights
    assert t.chunk_groups <= most(Compute, "groups")
    assert t.chunk_tiles <= most(Compute, "n_tiles")
    for axis in (0, 1):
        assert 1 <= t.block[axis] <= t.strip[axis] <= g.pooled[axis]
        assert made[axis] <= min(most(Compute, "out_h"), most(ConfigPost, "in_h"))
        last = (made[axis] - 1) * g.stride[axis] + (g.kernel[axis] - 1) * g.dilation[axis]
        assert last < most(Compute, "iy0")
    if task.in_ring is not None:
        groups = t.chunk_groups if t.split_input else max(task.reach)
        assert piece_words(machine, task, t.strip, groups)[0] <= task.in_ring
    if task.out_ring is not None:
        tiles, size = (t.block_tiles, t.block) if t.output_by_block else (len(task.reach), t.strip)
        assert region_words(task, size, machine.out_groups(tiles, task.outputs))[0] <= task.out_ring


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_nothing_is_cheaper(rng: Random) -> None:
    """Leaving out what cannot be cheaper leaves out nothing that is."""
    machine, task = draw(rng)
    costs = Costs(machine, task)
    found = [
        StripCosts(costs, strip, block, tiles).cost(chunking, outside)
        for strip, block, tiles, aligned, chunkings in options(costs)
        for chunking in chunkings
        for outside in (True, False)
        if outside or aligned or task.out_ring is None
    ]
    t = choose(machine, task)
    assert isinstance(t, Shortage) == (not found)
    if isinstance(t, Tiling):
        assert t.cost == min(found)
        assert all(StripCosts(costs, t.strip, t.block, t.block_tiles).least <= cost for cost in [t.cost])


def test_equal_tasks_are_computed_once() -> None:
    first = case((8, 6, 6), 8, Window((3, 3)))
    again = case((8, 6, 6), 8, Window((3, 3)))
    other = case((8, 6, 6), 8, Window((3, 3)), rows=8)
    matrix_tiling.choose.cache_clear()
    assert choose(*first) is choose(*again)
    choose(*other)
    assert matrix_tiling.choose.cache_info()[:2] == (1, 2)


@pytest.mark.parametrize(
    ("buffers", "changes", "expected"),
    [
        ({"weight_bytes": 64}, {}, Shortage("weight_bytes", 144)),
        ({"parameter_bytes": 64}, {}, None),
        ({"accumulator_bytes": 64}, {"out_align": 3}, Shortage("accumulator_bytes", 96)),
        ({}, {"in_ring": 10}, None),
        ({}, {"in_ring": 9}, Shortage("activation_bytes", 80)),
        ({}, {"out_ring": 3, "out_align": 4}, Shortage("activation_bytes", 32)),
    ],
)
def test_the_smallest_tile_that_does_not_fit(
    buffers: dict[str, int], changes: dict[str, object], expected: Shortage | None
) -> None:
    found = choose(*case((8, 6, 6), 8, Window((3, 3)), buffers=buffers, **changes))
    assert (found if isinstance(found, Shortage) else None) == expected


LONG = most(Compute, "out_w")


@pytest.mark.parametrize(("width", "blocks"), [(LONG, 1), (LONG + 1, 2), (2 * LONG, 2), (2 * LONG + 1, 3)])
def test_blocks_are_as_long_as_a_command_can_say(width: int, blocks: int) -> None:
    """With one-pixel kernels a block has 4,095 columns at most."""
    large = {"accumulator_bytes": 1 << 19, "activation_bytes": 1 << 20}
    t = choose(*case((4, 1, width), 4, Window((1, 1)), buffers=large))
    assert isinstance(t, Tiling)
    assert -(-width // t.block[1]) == blocks


@pytest.mark.parametrize("across", [True, False])
def test_only_the_kernel_along_a_block_makes_it_shorter(across: bool) -> None:
    """4,095 pixels under a kernel of one pixel in that direction and three in the other."""
    kernel, shape = ((3, 1), (4, 3, LONG)) if across else ((1, 3), (4, LONG, 3))
    large = {"accumulator_bytes": 1 << 19, "activation_bytes": 1 << 20}
    blocks = [block for _, block, *_ in options(Costs(*case(shape, 4, Window(kernel), buffers=large)))]
    assert max(max(block) for block in blocks) == LONG


def test_a_block_has_no_more_tiles_than_a_command_can_say() -> None:
    """1,023 tiles a COMPUTE, 4,095 chunks a POST."""
    one = {"accumulator_bytes": 1 << 16, "parameter_bytes": 1 << 14}
    for out in (1023, 1024):
        machine, task = case((1, 1, 1), out, Window((1, 1)), rows=1, cols=1, axi_bits=32, buffers=one)
        assert most_tiles(machine, task, 1) == 1023
    wide = {"accumulator_bytes": 1 << 16, "parameter_bytes": 1 << 17}
    machine, task = case((1, 1, 1), 64 * 70, Window((1, 1)), rows=1, cols=64, axi_bits=32, buffers=wide)
    assert most_tiles(*case((12, 9, 9), 12, Window((3, 3)), groups=3), 4) == 1  # each tile reads its own channels
    assert machine.chunks == 64  # one lane
    assert most_tiles(machine, task, 1) == most(Post, "chunks") // 64


@pytest.mark.parametrize(("channels", "groups"), [(16383, 16383), (16384, 8192)])
def test_a_chunk_has_no_more_channel_groups_than_a_command_can_say(channels: int, groups: int) -> None:
    machine, task = case((channels, 1, 1), 1, Window((1, 1)), rows=1, cols=1, axi_bits=32)
    looked_at = [c.groups for *_, chunkings in options(Costs(machine, task)) for c in chunkings]
    assert max(looked_at) == groups
