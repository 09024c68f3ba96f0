"""The boxes of the sparse engine that bring activations to its PEs: feeder, transposer and queue."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute
from accel.datapath import OFFSET_BITS
from accel.latency import TRANSPOSERS
from accel.rtl.buffers import ActivationBanks
from accel.rtl.sparse.feeder import Feeder
from accel.rtl.sparse.queue import Queue
from accel.rtl.sparse.transposer import Transposer
from tests.benches.simulator import Bench, from_lanes, put, simulate, to_lanes, write_all
from tests.benches.unit import Counted
from tests.benches.unit_designs import ACTIVATION_BANK, ACTIVATION_WORDS, sparse_design
from tests.benches.wide import draws

SIZES = [(1, 3), (2, 1), (4, 3)]  # R and C


@cache
def queue_of(depth: int) -> Bench:
    return Bench(Queue(9, depth))


@settings(max_examples=draws(20), deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_queue_is_a_list(rng: Random, depth: int) -> None:
    """Whoever saw room pushes in the next cycle at the latest; what is pushed is offered from the next cycle on."""
    bench, seed = queue_of(depth), rng.getrandbits(32)

    async def body(ctx: Any) -> None:
        random, unit, words, room = Random(seed), bench.unit, [], True
        for number in range(60):
            push, take, flush = room and random.random() < 0.7, bool(words) and random.random() < 0.5, number == 40
            put(ctx, unit, push=push, i=number, take=take, flush=flush)
            room = len(words) + push < depth
            assert (ctx.get(unit.room), ctx.get(unit.valid)) == (room, bool(words))
            if words:
                assert ctx.get(unit.o) == words[0]
            await ctx.tick()
            words = [] if flush else words[take:] + [number] * push

    bench.run(body)


@cache
def transposer_of(rows: int, cols: int) -> Bench:
    return Bench(Transposer(sparse_design(rows, cols, word_factor=2)))


@pytest.mark.parametrize(("rows", "cols"), SIZES)
@settings(max_examples=8, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_columns_that_are_not_zero_leave_the_transposer(rng: Random, rows: int, cols: int) -> None:
    bench, seed = transposer_of(rows, cols), rng.getrandbits(32)
    lanes = 2 * max(rows, cols)

    async def body(ctx: Any) -> None:
        random, unit = Random(seed), bench.unit
        units = []
        for number in range(8):
            pixels, exist = random.randint(1, rows), random.randint(1, lanes)
            density = random.choice([0.0, 0.2, 1.0])
            words = [[random.randint(-256, 255) * (random.random() < density) for _ in range(lanes)]
                     for _ in range(pixels)]  # fmt: skip
            units.append((words, {"pixels": pixels, "lanes": exist, "begins": number % 2, "ends": number == 7}))
        filling, row, full, left = 0, 0, 0, None  # units that are written, the next word, slots taken, columns to come
        emptied = 0
        put(ctx, unit, write=1, row=0, word=-1, complete=1, unit_i=units[0][1] | {"lanes": lanes})  # is forgotten
        await ctx.tick()
        put(ctx, unit, write=0, flush=1)
        await ctx.tick()
        ctx.set(unit.flush, 0)
        while emptied < len(units):
            words, known = units[min(filling, len(units) - 1)]
            write = filling < len(units) and full < TRANSPOSERS and random.random() < 0.8
            complete = row == len(words) - 1
            put(ctx, unit, write=write, row=row, word=from_lanes(words[row], OFFSET_BITS), complete=complete)
            ctx.set(unit.unit_i, known)
            there = emptied < filling
            assert ctx.get(unit.full) == there
            go = leave = False
            if there:
                mine, about = units[emptied]
                if left is None:
                    left = [k for k in range(about["lanes"]) if any(word[k] for word in mine)]
                assert ctx.get(unit.some) == bool(left)
                for name, value in about.items():
                    assert getattr(ctx.get(unit.unit), name) == value, name
                if left:
                    column = [word[left[0]] for word in mine] + [0] * (rows - len(mine))
                    assert to_lanes(ctx.get(unit.acts), rows, OFFSET_BITS) == column
                    assert (ctx.get(unit.lane), ctx.get(unit.only)) == (left[0], len(left) == 1)
                wants = random.random() < 0.7
                go, leave = wants and bool(left), wants and len(left) <= 1
            put(ctx, unit, next=go, leave=leave)
            await ctx.tick()
            if write:
                row = 0 if complete else row + 1
                filling, full = filling + complete, full + complete
            if go:
                left = left[1:]  # type: ignore[index]
            if leave:
                emptied, full, left = emptied + 1, full - 1, None

    bench.run(body)


def expected(design: Any, words: np.ndarray, config: ConfigCompute, c: Compute) -> list[tuple]:
    """(row, word less the pad value, last of its unit, what is known of the unit) of each pixel, in the order."""
    found = []
    pixels = [(oy, ox) for oy in range(c.out_h) for ox in range(c.out_w)]
    blocks = [pixels[k : k + design.rows] for k in range(0, len(pixels), design.rows)]
    for block in blocks:
        for g, ky, kx in np.ndindex(c.groups, config.kernel_h, config.kernel_w):
            lanes = c.rows_last if g == c.groups - 1 else design.word_lanes
            first = (g, ky, kx) == (0, 0, 0)
            ends = block is blocks[-1] and (g, ky, kx) == (c.groups - 1, config.kernel_h - 1, config.kernel_w - 1)
            for row, (oy, ox) in enumerate(block):
                iy = c.iy0 + ky * config.dilation_y + oy * config.stride_y
                ix = c.ix0 + kx * config.dilation_x + ox * config.stride_x
                at = c.act_addr + g * config.plane + ky * config.tap_row_step + kx * config.dilation_x
                at = (at + oy * config.row_step + ox * config.stride_x) % ACTIVATION_BANK
                there = 0 <= iy < config.in_h and 0 <= ix < config.in_w
                word = (words[at] - config.pad_value).tolist() if there else [0] * design.word_lanes
                found.append((row, word, row == len(block) - 1, (len(block), lanes, int(first), int(ends)), there))
    return found


@settings(max_examples=draws(25), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_feeder_reads_block_after_block(rng: Random) -> None:
    """No more units than there are slots, and none interrupted; `freed` comes when it likes."""
    rows, cols = rng.choice(SIZES)
    design = sparse_design(rows, cols, word_factor=2, memory_stages=rng.randint(1, 2))
    in_h, in_w = rng.randint(1, 4), rng.randint(1, 4)
    stride, dilation = (rng.randint(1, 3), rng.randint(1, 2)), (rng.randint(1, 3), rng.randint(1, 3))
    config = ConfigCompute(
        plane=in_h * in_w, row_step=stride[0] * in_w, tap_row_step=dilation[0] * in_w, stride_y=stride[0],
        stride_x=stride[1], dilation_y=dilation[0], dilation_x=dilation[1], kernel_h=rng.randint(1, 3),
        kernel_w=rng.randint(1, 3), in_h=in_h, in_w=in_w, pad_value=rng.randint(-128, 127),
    )  # fmt: skip
    iy0, ix0 = rng.randint(-2, 1), rng.randint(-2, 1)
    command = Compute(
        act_addr=(iy0 * in_w + ix0) % ACTIVATION_BANK, iy0=iy0, ix0=ix0, out_h=rng.randint(1, 3),
        out_w=rng.randint(1, 3), groups=rng.randint(1, 2), rows_last=rng.randint(1, design.word_lanes),
    )  # fmt: skip
    words = np.random.default_rng(rng.getrandbits(32)).integers(-128, 128, (ACTIVATION_WORDS, design.word_lanes))
    want = expected(design, words, config, command)
    feeder, banks, random = Feeder(design), ActivationBanks(design), Random(rng.getrandbits(32))
    bench, found = Counted(feeder, {"banks": banks}, [(feeder.r_act, banks.r_compute)]), []

    async def testbench(ctx: Any) -> None:
        await write_all(ctx, banks.w_load, [from_lanes(word) for word in words])
        raw = int.from_bytes(command.encode(), "little")
        put(ctx, feeder, begin=1, head=raw, config=int.from_bytes(config.encode(), "little"), command=raw)
        held = cycle = 0  # units that are written or being written, and not freed
        within = False
        while len(found) < len(want):
            assert cycle < 2000
            freed = held > 0 and not within and random.random() < 0.3
            ctx.set(feeder.freed, freed)
            _, _, write, row, word, complete, unit = await ctx.tick().sample(
                feeder.write, feeder.row, feeder.word, feeder.complete, feeder.unit
            )
            ctx.set(feeder.begin, 0)
            if write:
                held += not within
                within = not complete
                known = (unit.pixels, unit.lanes, unit.begins, unit.ends)
                found.append((row, to_lanes(word, design.word_lanes, OFFSET_BITS), bool(complete), known))
            held, cycle = held - freed, cycle + 1
            assert held <= TRANSPOSERS
        counts = {event.name: ctx.get(counter) for event, counter in bench.counters.items()}
        assert counts == {"ACT_READS": sum(w[4] for w in want), "STREAM_CYCLES": len(want)}

    simulate(bench, testbench)
    # What is known of a unit is looked at with its last pixel.
    assert [f[:3] for f in found] == [w[:3] for w in want]
    assert [f[3] for f in found if f[2]] == [w[3] for w in want if w[2]]
