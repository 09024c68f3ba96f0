"""The boxes of the array whose outputs stay, each against a few lines of numpy, at the shortest distances allowed."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute, ErrorCode
from accel.datapath import pe_registers
from accel.latency import array_pipeline, compute_cycles, cycles, unit_cycles
from accel.memories import ACCUMULATOR
from accel.rtl.modules import convert
from accel.rtl.output_stationary.array import OutputArray
from accel.rtl.output_stationary.pe import PE
from accel.rtl.output_stationary.turner import Turner
from tests.benches.simulator import from_lanes, simulate, to_lanes
from tests.benches.unit import Offer
from tests.benches.unit_designs import compute_design
from tests.test_accel_datapath import registers
from tests.test_rtl_compute import draw_contents, expected, run, timed


def design_of(rows: int, cols: int, stages: int = 1, bits: int = 32) -> Any:
    return compute_design(rows, cols, bits, stages, dataflow="os")


@settings(max_examples=20, deadline=None)
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


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_tiles(rng: Random) -> None:
    """Tiles of R terms a sum or more, back to back or not, with activations that are not valid, and columns between."""
    rows, cols, stages = rng.randint(1, 7), rng.randint(1, 6), rng.randint(1, 3)
    design = design_of(rows, cols, stages)
    assert cycles(array_pipeline(design)) == rows + cols + stages
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
        sums_out |= {cycle - 1 + rows + cols + stages + p: found[p] for p in range(rows)}
        cycle += rng.choice([0, 0, 0, 1, 4])
    array = OutputArray(design)

    async def testbench(ctx: Any) -> None:
        for now in range(max(sums_out) + 1):
            nothing = (
                generator.integers(-128, 128, rows),
                np.zeros(rows, int),
                generator.integers(-128, 128, cols),
                0,
                0,
            )
            acts, valid, weights, first, last = terms.get(now, nothing)
            flags = sum(int(value == 0) << lane for lane, value in enumerate(weights))
            values = {
                "acts": from_lanes(acts), "valid": sum(int(v) << p for p, v in enumerate(valid)),
                "weights": from_lanes(weights), "flags": flags, "first": first, "last": last,
            }  # fmt: skip
            for name, value in values.items():
                ctx.set(getattr(array, name), value)
            _, _, sums = await ctx.tick().sample(array.sums)
            if now in sums_out:
                assert to_lanes(sums, cols, 32) == sums_out[now].tolist(), f"cycle {now}"

    simulate(array, testbench)


@pytest.mark.parametrize(("rows", "pixels"), [(1, 1), (2, 3), (4, 4), (5, 4), (6, 13)])
def test_commands_follow_without_bubbles(rows: int, pixels: int) -> None:
    """One unit a command, and two: U cycles for each block of R pixels, the sums right though they leave meanwhile."""
    design = design_of(rows, 2)
    contents = draw_contents(Random(1), design)
    for groups in (1, 2):
        offers = [Offer(ConfigCompute(in_w=15), -1)]
        offers += [
            Offer(Compute(out_w=pixels, groups=groups, act_addr=k, acc_addr=(k % 2) * ACCUMULATOR.bank_words), k)
            for k in range(6)
        ]
        log, sums = run(design, contents, offers)
        assert np.diff(log.dones).tolist() == [groups * -(-pixels // rows) * unit_cycles(design)] * 5
        assert log.dones == timed(design, offers).dones
        np.testing.assert_array_equal(sums, expected(design, contents, [offer.command for offer in offers])[0])


def test_a_tile_takes_a_cycle_a_term() -> None:
    """K terms a sum, K a multiple of R: K cycles for each tile of R x C sums, and one way through the unit."""
    rows, cols, groups, blocks, tiles = 4, 3, 5, 2, 2
    design = design_of(rows, cols)
    command = Compute(out_w=rows * blocks, groups=groups, n_tiles=tiles)
    log, _ = run(design, draw_contents(Random(2), design), [Offer(ConfigCompute(in_w=9), -1), Offer(command, 0)])
    taken = log.pops[1] + 1
    assert log.dones[0] - taken - compute_cycles(design) - (rows - 1) == rows * groups * blocks * tiles


def test_sums_beyond_the_addresses_of_a_bank_are_flagged_before_they_are_made() -> None:
    """The second tile's would begin at word 2**14, and come round to the first ones."""
    design, groups = design_of(4, 2), 3
    command = Compute(out_w=4, n_tiles=2, groups=groups, acc_addr=ACCUMULATOR.bank_words - 4)
    log, _ = run(design, draw_contents(Random(3), design), [Offer(ConfigCompute(in_w=9), -1), Offer(command, 0)])
    columns = log.pops[1] + 2 + (groups + 1) * unit_cycles(design)  # its first ones: its first unit has been read
    assert log.errors[0] == (columns + 1, ErrorCode.BUFFER_RANGE)
    assert log.errors[0][0] + 8 < log.dones[0] - 4


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_registers_of_a_processing_element(stages: int) -> None:
    design = design_of(1, 1, stages, bits=27)
    (text,) = convert(PE(design), "pe").values()
    assert sorted(registers(text).values()) == sorted(pe_registers(design).values())


def test_verilog_has_each_component_once() -> None:
    modules = convert(OutputArray(design_of(8, 8)), "array")
    assert set(modules) == {"array", "output_row", "pe"}
