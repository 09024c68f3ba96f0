"""The boxes of the array whose outputs stay, each against a few lines of numpy, at the shortest distances allowed."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.design import Design
from accel.latency import array_pipeline, cycles
from accel.rtl.modules import convert
from accel.rtl.output_stationary.array import OutputArray
from accel.rtl.output_stationary.turner import Turner
from tests.benches.simulator import check_sums, from_lanes, simulate
from tests.benches.unit_designs import compute_design, draw_multiplier


def design_of(rows: int, cols: int, stages: int = 1, multiplier: str = "portable") -> Design:
    return compute_design(rows, cols, multiplier_stages=stages, dataflow="os", multiplier=multiplier)


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_words_come_out_as_columns(rng: Random) -> None:
    """Units follow at once or later; a unit's columns come as soon as its last word is in, or later."""
    rows = rng.randint(1, 7)
    words_in: dict[int, np.ndarray] = {}
    columns_out: dict[int, tuple[np.ndarray, int]] = {}  # by cycle: channels of a unit's pixels, and begin
    generator = np.random.default_rng(rng.getrandbits(32))
    push = pulled = 0
    for _ in range(rng.randint(1, 6)):
        push = max(push, pulled) + rng.choice([0, 0, 0, 1, 2, rows, rows + 3])
        unit = generator.integers(0, 256, (rows, rows))
        words_in |= {push + k: unit[k] for k in range(rows)}
        push += rows
        pulled = max(push, pulled + rows if columns_out else 0) + rng.choice([0, 0, 1])
        columns_out |= {pulled + k: (unit[:, k], int(k == 0)) for k in range(rows)}
        push = max(push, pulled)  # none is pushed before the one before is pulled
    turner = Turner(design_of(rows, 2))

    async def testbench(ctx: Any) -> None:
        for cycle in range(max(columns_out) + 1):
            column, begin = columns_out.get(cycle, (None, 0))
            ctx.set(turner.push, cycle in words_in)
            ctx.set(turner.word, from_lanes(words_in.get(cycle, generator.integers(0, 256, rows))))
            ctx.set(turner.pull, column is not None)
            ctx.set(turner.begin, begin)
            if column is not None:
                assert [ctx.get(turner.column) >> 8 * k & 255 for k in range(rows)] == column.tolist(), f"cycle {cycle}"
            await ctx.tick()

    simulate(turner, testbench)


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_tiles(rng: Random) -> None:
    """Tiles of R terms a sum or more, back to back or not, with activations that are not valid, and columns between."""
    rows, cols, stages = rng.randint(1, 6), rng.randint(1, 4), rng.randint(1, 3)
    design = design_of(rows, cols, stages, draw_multiplier(rng))
    assert cycles(array_pipeline(design)) == rows + cols + stages + 1
    generator = np.random.default_rng(rng.getrandbits(32))
    terms: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, int, int]] = {}
    sums_out: dict[int, np.ndarray] = {}
    cycle = rng.randint(0, 2)
    for _ in range(rng.randint(1, 5)):
        count = rng.choice([rows, rows, rows + 1, 2 * rows + 3])
        acts, valid = generator.integers(-128, 128, (count, rows)), generator.integers(0, 2, (count, rows))
        weights = generator.integers(-128, 128, (count, cols)) * generator.integers(0, 2, (count, cols))
        for k in range(count):
            terms[cycle] = acts[k], valid[k], weights[k], int(k == 0), int(k == count - 1)
            cycle += 1 + (rng.choice([0, 0, 0, 2]) if k < count - 1 else 0)
        found = (acts * valid).T @ weights
        sums_out |= {cycle + rows + cols + stages + p: found[p] for p in range(rows)}
        cycle += rng.choice([0, 0, 0, 1, 4])

    def inputs(cycle: int) -> dict[str, int]:
        nothing = generator.integers(-128, 128, rows), np.zeros(rows, int), generator.integers(-128, 128, cols), 0, 0
        acts, valid, weights, first, last = terms.get(cycle, nothing)
        acts = acts if design.gates_zeros else acts * valid
        flags = sum(int(value == 0) << lane for lane, value in enumerate(weights))
        return {
            "acts": from_lanes(acts), "valid": sum(int(v) << p for p, v in enumerate(valid)),
            "weights": from_lanes(weights), "flags": flags, "first": first, "last": last,
        }  # fmt: skip

    check_sums(OutputArray(design), inputs, sums_out)


def test_verilog_has_each_component_once() -> None:
    modules = convert(OutputArray(design_of(8, 8)), "array")
    assert set(modules) == {"array", "output_row", "pe"}
