"""Small blocks against a few lines of Python: the processing element, the memory, the accumulators."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.latency import ACC_READ, cycles
from accel.rtl.ram import Ram
from accel.rtl.systolic.accumulators import Accumulators
from accel.rtl.systolic.pe import PE
from tests.benches.simulator import from_lanes, simulate, to_lanes
from tests.benches.unit_designs import ACCUMULATOR_WORDS, compute_design, draw_multiplier
from tests.benches.wide import draws

rngs = st.randoms(use_true_random=False)


@settings(max_examples=draws(20), deadline=None)
@given(rngs)
def test_processing_element(rng: Random) -> None:
    """All inputs at random: outputs as the docstring says, one or more cycles later.

    Whoever feeds it holds the activation that is not valid, and says of each weight whether it is 0; without gates the
    activation is 0.
    """
    rng = Random(rng.getrandbits(32))
    stages = rng.randint(1, 3)
    design = compute_design(64, 1, multiplier_stages=stages, multiplier=draw_multiplier(rng))
    dut, gates = PE(design), design.gates_zeros

    async def testbench(ctx: Any) -> None:
        weight = shadow = before = act = 0
        products = [0] * (stages + 1)  # the oldest first
        for _ in range(60):
            passing, total = rng.choice([0, rng.randint(-128, 127)]), rng.randint(-(1 << 20), 1 << 20)
            valid, swap, capture = (int(rng.random() < chance) for chance in (0.7, 0.2, 0.3))
            act = rng.randint(-128, 127) if valid else act * gates
            pixel = (act & 255) | (swap << 9 | valid << 8 if gates else swap << 8)
            down = (passing & 255) | (gates & (passing == 0)) << 8
            for name, value in {"pixel_i": pixel, "weight_i": down, "capture_i": capture, "sum_i": total}.items():
                ctx.set(getattr(dut, name), value)
            weight = shadow if swap else weight  # for this activation already
            shadow = passing if capture else shadow
            await ctx.tick()
            assert (ctx.get(dut.pixel_o), ctx.get(dut.weight_o), ctx.get(dut.capture_o)) == (pixel, down, before)
            assert ctx.get(dut.sum_o) == total + products[0]
            products, before = [*products[1:], act * weight * valid], capture

    simulate(dut, testbench)


@settings(max_examples=draws(20), deadline=None)
@given(rngs)
def test_memory(rng: Random) -> None:
    """Masked writes, a word that is read while it is written comes inverted, data hold until the next read."""
    rng = Random(rng.getrandbits(32))
    lanes, depth = rng.randint(1, 4), rng.randint(2, 9)
    dut = Ram(8 * lanes, depth, lanes)
    words = [[0] * lanes for _ in range(depth)]

    async def testbench(ctx: Any) -> None:
        seen = None
        for _ in range(80):
            write, read, mask = rng.randrange(depth), rng.randrange(depth), rng.getrandbits(lanes)
            data = [rng.randint(-128, 127) for _ in range(lanes)]
            reads = rng.random() < 0.6
            for name, value in (("w_en", mask), ("w_addr", write), ("w_data", from_lanes(data)), ("r_en", reads),
                                ("r_addr", read)):  # fmt: skip
                ctx.set(getattr(dut, name), value)
            if reads:
                seen = [~lane for lane in words[read]] if mask and read == write else list(words[read])
            words[write] = [
                new if mask >> k & 1 else old for k, (new, old) in enumerate(zip(data, words[write], strict=True))
            ]
            await ctx.tick()
            if seen is not None:
                assert to_lanes(ctx.get(dut.r_data), lanes) == seen

    simulate(dut, testbench)


@settings(max_examples=15, deadline=None)
@given(rngs)
def test_accumulators(rng: Random) -> None:
    """Tags and sums at random, no word again within MIN_TILE_CYCLES: words as in an array of numbers."""
    rng = Random(rng.getrandbits(32))
    cols = rng.randint(1, 4)
    dut = Accumulators(compute_design(1, cols))
    sums = np.zeros((2, ACCUMULATOR_WORDS, cols), np.int64)
    known = np.zeros((2, ACCUMULATOR_WORDS), bool)

    async def testbench(ctx: Any) -> None:
        recent: list[tuple[int, int]] = []
        coming: list[list[int] | None] = [None] * cycles(ACC_READ)  # sums of the tags of the cycles before
        outside = reads = writes = lasts = dones = found_outside = found_reads = found_writes = 0
        for cycle in range(130):
            tag = {"valid": 0, "address": 0, "overwrite": 0, "last": 0}
            following = None
            if cycle < 120 and rng.random() < 0.7:
                bank, word = rng.randint(0, 1), rng.randrange(ACCUMULATOR_WORDS)
                beyond = rng.random() < 0.1
                if (bank, word) not in recent:
                    overwrite = not known[bank, word] or rng.random() < 0.3
                    tag = {
                        "valid": 1, "address": bank << 14 | (word + ACCUMULATOR_WORDS * beyond),
                        "overwrite": overwrite, "last": rng.random() < 0.2,
                    }  # fmt: skip
                    following = [rng.randint(-(1 << 15), (1 << 15) - 1) for _ in range(cols)]  # of one row
                    lasts += tag["last"]
                    reads += not overwrite
                    if beyond:
                        outside += 1
                    else:
                        writes += 1
                        sums[bank, word] = np.array(following) + (0 if overwrite else sums[bank, word])
                        known[bank, word] = True
                recent = [*recent[-2:], (bank, word)]
            else:
                recent = [*recent[-2:], (-1, -1)]
            ctx.set(dut.tag, tag)
            ctx.set(dut.sums, from_lanes(coming[0] or [0] * cols, 16))
            coming = [*coming[1:], following]
            _, _, done, out, read, write = await ctx.tick().sample(
                dut.done, dut.outside, dut.event_acc_reads, dut.event_acc_writes
            )
            dones, found_outside = dones + done, found_outside + out
            found_reads, found_writes = found_reads + read, found_writes + write
        assert (dones, found_outside, found_reads, found_writes) == (lasts, outside, reads, writes)
        ctx.set(dut.r_post.en, 1)
        for bank, word in np.argwhere(known).tolist():
            ctx.set(dut.r_post.addr, bank << 14 | word)
            await ctx.tick()
            assert to_lanes(ctx.get(dut.r_post.data), cols, 32) == sums[bank, word].tolist()

    simulate(dut, testbench)
