"""The array against matrix products, at the shortest distances between tiles that its docstring allows."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.latency import array_pipeline, cycles
from accel.rtl.modules import convert
from accel.rtl.systolic.array import SystolicArray
from tests.benches.simulator import check_sums, from_lanes, simulate, to_lanes
from tests.benches.unit_designs import compute_design, divisor, draw_multiplier
from tests.benches.wide import draws


@settings(max_examples=draws(20), deadline=None)
@given(st.randoms(use_true_random=False))
def test_tiles(rng: Random) -> None:
    """Tiles of weights and pixels with gated rows; weight rows and first pixels as early as possible, or later."""
    rows, cols, stages = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 3)
    segments = divisor(rng, rows)
    fill = rows // segments
    generator = np.random.default_rng(rng.getrandbits(32))
    weight_in: dict[tuple[int, int], tuple[np.ndarray, int]] = {}  # by cycle and segment: row of weights, capture
    pixel_in: dict[int, tuple[np.ndarray, int, int]] = {}  # by cycle: activations, valid rows, swap
    sums_out: dict[int, np.ndarray] = {}
    weights_at, free = 0, 0
    for _ in range(rng.randint(1, 5)):
        tile = generator.integers(-128, 128, (rows, cols)) * generator.integers(0, 2, (rows, cols))
        for r in range(rows):  # segment r // fill, later by the rows above it
            weight_in[weights_at + r, r // fill] = tile[r], int(r % fill == 0)
        start = max(weights_at + fill, free) + rng.choice([0, 0, 1, 3])
        valid = rng.getrandbits(rows)
        gate = np.array([valid >> r & 1 for r in range(rows)])
        for k in range(rng.randint(1, 8)):
            pixel = generator.integers(-128, 128, rows)
            pixel_in[start + k] = pixel, valid, int(k == 0)
            sums_out[start + k + rows + cols + stages] = (pixel * gate) @ tile
            free = start + k + 1
        weights_at = max(weights_at + fill, start) + rng.choice([0, 0, 2])
    design = compute_design(rows, cols, multiplier_stages=stages, weight_rows=segments, multiplier=draw_multiplier(rng))
    assert cycles(array_pipeline(design)) == rows + cols + stages

    def inputs(cycle: int) -> dict[str, int]:
        nothing = generator.integers(-128, 128, cols), 0
        entering = [weight_in.get((cycle, s), nothing) for s in range(segments)]
        row, capture = np.concatenate([w for w, _ in entering]), sum(c << s for s, (_, c) in enumerate(entering))
        pixel, valid, swap = pixel_in.get(cycle, (generator.integers(-128, 128, rows), 0, 0))
        if not design.gates_zeros:
            pixel = pixel * np.array([valid >> r & 1 for r in range(rows)])
        flags = sum(int(value == 0) << lane for lane, value in enumerate(row))
        return {
            "weights": from_lanes(row), "flags": flags, "capture": capture,
            "acts": from_lanes(pixel), "valid": valid, "swap": swap
        }  # fmt: skip

    check_sums(SystolicArray(design), inputs, sums_out)


def test_verilog_has_each_component_once_and_grows_with_the_edges() -> None:
    sizes = {}
    for size in (8, 32):
        modules = convert(SystolicArray(compute_design(size, size)), "array")
        assert set(modules) == {"array", "array_row", "pe"}
        assert modules["array_row"].count("  pe pe_") == size
        assert modules["array"].count("  array_row row_") == size
        sizes[size] = sum(len(text) for text in modules.values())
    assert sizes[32] < 5 * sizes[8]


@pytest.mark.parametrize("value", [-128, 127])
def test_extreme_products_do_not_overflow(value: int) -> None:
    """64 rows of the largest products, in 20 bits: 64 * 2**14 needs 21 and wraps around, 16 rows do not."""
    rows = 16
    array = SystolicArray(compute_design(rows, 1, 20))

    async def testbench(ctx: Any) -> None:
        for cycle in range(rows + rows + 2):
            ctx.set(array.weights, -128 & 255)
            ctx.set(array.capture, cycle == 0)
            ctx.set(array.acts, from_lanes([value] * rows))
            ctx.set(array.valid, -1 if cycle == rows else 0)
            ctx.set(array.swap, cycle == rows)
            await ctx.tick()
        assert to_lanes(ctx.get(array.sums), 1, 20) == [rows * value * -128]

    simulate(array, testbench)
