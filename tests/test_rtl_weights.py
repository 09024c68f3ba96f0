"""Weight issue against `accel.layout.pack_weight_columns`: what is packed comes out at the array's edge."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute
from accel.design import Design
from accel.latency import feed_cycles
from accel.layout import pack_weight_columns
from accel.rtl.systolic.weights import WeightIssue
from tests.benches.simulator import from_lanes, simulate, to_lanes, write_all
from tests.benches.unit_designs import WEIGHT_WORDS, compute_design, divisor
from tests.benches.wide import draws


def bits_of(command: Compute) -> int:
    return int.from_bytes(command.encode(), "little")


def draw_design(rng: Random) -> Design:
    rows = rng.randint(1, 6)
    return compute_design(rows, rng.randint(1, 5), weight_rows=divisor(rng, rows), memory_stages=rng.randint(1, 2))


@settings(max_examples=draws(25), deadline=None)
@given(st.randoms(use_true_random=False))
def test_rows_come_out_as_packed(rng: Random) -> None:
    """Commands one after the other; the feeder starts tiles at once or later."""
    design = draw_design(rng)
    w, fill, way = design.weight_rows, design.fill_cycles, feed_cycles(design)
    generator = np.random.default_rng(rng.getrandbits(32))
    codebook = generator.integers(-128, 128, 512)
    config = ConfigCompute(kernel_h=rng.randint(1, 2), kernel_w=rng.randint(1, 2))
    memory = generator.integers(0, 256, (WEIGHT_WORDS, w * design.cols))
    commands, rows, words, tiles, looked_up = [], [], 0, 0, 0
    for _ in range(rng.randint(1, 3)):
        bits, groups, n_tiles = rng.choice([1, 2, 3, 4, 5, 6, 7, 7, 8]), rng.randint(1, 2), rng.randint(1, 2)
        use, bank = int(bits < 8 or rng.random() < 0.5), rng.randint(0, 1)
        count = n_tiles * groups * config.kernel_h * config.kernel_w
        codes = generator.integers(0, 1 << bits, (count * fill, w * design.cols)).astype(np.uint8)
        packed = pack_weight_columns(codes, bits)
        if words + len(packed) > WEIGHT_WORDS:
            break
        memory[words : words + len(packed)] = packed
        fields = {"groups": groups, "n_tiles": n_tiles, "use_codebook": use, "codebook_bank": bank}
        commands.append(Compute(weight_addr=words, weight_bits=bits, **fields))
        rows += (codebook[256 * bank + codes.astype(int)] if use else codes.view(np.int8)).tolist()
        words, tiles, looked_up = words + len(packed), tiles + count, looked_up + use * codes.size
    dut = WeightIssue(design)
    edge: list[tuple[int, list[int], int]] = []  # cycle, weights, capture
    issued: list[int] = []  # cycle in which row 0 of each tile was issued
    starts: list[int] = []  # cycle in which each tile was started

    async def testbench(ctx: Any) -> None:
        await write_all(ctx, dut.w_weight, [from_lanes(word) for word in memory])
        most = 1 << max(command.weight_bits * command.use_codebook for command in commands)
        for bank in (0, 256):
            await write_all(ctx, dut.w_codebook, [int(v) & 255 for v in codebook[bank : bank + most]], bank)
        ctx.set(dut.last_kx, config.kernel_w - 1)
        ctx.set(dut.last_ky, config.kernel_h - 1)
        position = reads = lookups = cycle = delay = loaded = 0
        while len(starts) < tiles or len(issued) < tiles or cycle <= issued[-1] + design.rows + way:
            assert cycle < 2000, "stuck"
            if position < len(commands):
                ctx.set(dut.command, bits_of(commands[position]))
            start = loaded and delay == 0
            ctx.set(dut.tile_start, start)
            ctx.set(dut.take, position < len(commands) and ctx.get(dut.free))
            delay = rng.choice([0, 0, 3, 9]) if start else max(0, delay - 1)
            _, _, loaded, taken, weights, capture, read, looks = await ctx.tick().sample(
                dut.loads, dut.take, dut.weights, dut.capture, dut.event_weight_reads, dut.event_codebook_reads
            )
            edge.append((cycle, to_lanes(weights, w * design.cols), capture))
            if capture & 1:
                issued.append(cycle - way)
            if start:
                starts.append(cycle)
            position, reads, lookups = position + taken, reads + read, lookups + looks
            cycle += 1
        assert (reads, lookups) == (words, looked_up)

    simulate(dut, testbench)
    assert len(issued) == len(starts) == tiles
    assert all(start >= cycle + fill for cycle, start in zip(issued, starts, strict=True))
    assert all(cycle >= start for cycle, start in zip(issued[1:], starts[:-1], strict=True))
    for tile, cycle in enumerate(issued):
        for segment, i in np.ndindex(w, fill):
            _, weights, capture = edge[cycle + way + segment * fill + i]
            lanes = slice(segment * design.cols, (segment + 1) * design.cols)
            assert weights[lanes] == rows[tile * fill + i][lanes], f"tile {tile} segment {segment} row {i}"
            assert (capture >> segment & 1) == (i == 0), f"tile {tile} segment {segment} row {i}"
