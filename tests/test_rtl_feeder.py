"""The feeder alone against the loops of Compute's docstring: words at the array's edge, tags, reads."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute
from accel.latency import MIN_TILE_CYCLES, feed_cycles
from accel.rtl.buffers import ActivationBanks
from accel.rtl.systolic.feeder import Feeder
from tests.benches.simulator import from_lanes, simulate, to_lanes, write_all
from tests.benches.unit_designs import ACTIVATION_BANK, ACTIVATION_WORDS, compute_design
from tests.benches.wide import draws


class Fed(wiring.Component):
    """The feeder with its activation banks."""

    def __init__(self, feeder: Feeder, banks: ActivationBanks) -> None:
        self.feeder, self.banks = feeder, banks
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.feeder, m.submodules.banks = self.feeder, self.banks
        wiring.connect(m, self.feeder.r_act, self.banks.r_compute)
        return m


def stream(command: Compute, config: ConfigCompute, words: np.ndarray, rows: int, cols: int) -> list[dict[str, Any]]:
    """What leaves the feeder, pixel by pixel."""
    found = []
    memory = words[command.act_addr // ACTIVATION_BANK]
    for n in range(command.n_tiles):
        for g, ky, kx in np.ndindex(command.groups, config.kernel_h, config.kernel_w):
            for oy, ox in np.ndindex(command.out_h, command.out_w):
                iy = command.iy0 + ky * config.dilation_y + oy * config.stride_y
                ix = command.ix0 + kx * config.dilation_x + ox * config.stride_x
                word = command.act_addr + g * config.plane + ky * config.tap_row_step + kx * config.dilation_x
                word = (word + oy * config.row_step + ox * config.stride_x) % ACTIVATION_BANK
                inside = 0 <= iy < config.in_h and 0 <= ix < config.in_w
                pixel = memory[word % len(memory)].tolist() if inside else [config.pad_value] * rows
                exist = command.rows_last if g == command.groups - 1 else rows
                first = (g, ky, kx) == (0, 0, 0)
                at = command.acc_addr + n * command.out_h * command.out_w + oy * command.out_w + ox
                found.append(
                    {
                        "acts": pixel, "exist": (1 << exist) - 1,
                        "cols": command.cols_last if n == command.n_tiles - 1 else cols,
                        "swap": int((oy, ox) == (0, 0)), "address": at,
                        "overwrite": int(first and not command.accumulate), "inside": inside,
                    }
                )  # fmt: skip
    return found


def gated(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of rows that are gated, or 0: not valid, and the activation before it."""
    found, last = [], [0] * len(stream[0]["acts"])
    for pixel in stream:
        valid = sum((value != 0) << r for r, value in enumerate(pixel["acts"])) & pixel["exist"]
        last = [
            value if valid >> r & 1 else old for r, (value, old) in enumerate(zip(pixel["acts"], last, strict=True))
        ]
        found.append(
            {name: value for name, value in pixel.items() if name != "inside"} | {"acts": last, "valid": valid}
        )
    return found


def draw(rng: Random, rows: int, cols: int) -> tuple[ConfigCompute, Compute]:
    """A map of at most 4 x 5 pixels in two groups, and a command whose reads inside it lie in the bank."""
    height, width = rng.randint(1, 4), rng.randint(1, 5)
    kernel = rng.randint(1, 2), rng.randint(1, 3)
    stride, dilation = (rng.randint(1, 2), rng.randint(1, 2)), (rng.randint(1, 2), rng.randint(1, 2))
    config = ConfigCompute(
        height * width, stride[0] * width, dilation[0] * width, stride[1], stride[0], dilation[1], dilation[0],
        *kernel, height, width, rng.randint(-128, 127),
    )  # fmt: skip
    iy0, ix0 = rng.randint(-2, 1), rng.randint(-2, 1)
    base = rng.randint(0, ACTIVATION_WORDS - 2 * height * width)
    first = (base + iy0 * width + ix0) % ACTIVATION_BANK
    command = Compute(
        act_addr=first + rng.randint(0, 1) * ACTIVATION_BANK, iy0=iy0, ix0=ix0, out_h=rng.randint(1, 3),
        out_w=rng.randint(1, 4), groups=rng.randint(1, 2), n_tiles=rng.randint(1, 2), acc_addr=rng.randint(0, 5),
        accumulate=rng.randint(0, 1), rows_last=rng.randint(1, rows), cols_last=rng.randint(1, cols),
    )  # fmt: skip
    return config, command


@settings(max_examples=draws(25), deadline=None)
@given(st.randoms(use_true_random=False))
def test_words_tags_and_reads(rng: Random) -> None:
    """Weights are always there: every tile starts as early as it may, commands follow each other."""
    rng = Random(rng.getrandbits(32))
    rows, cols = rng.randint(1, 5), rng.randint(1, 3)
    design = compute_design(rows, cols, memory_stages=rng.randint(1, 2))
    words = np.random.default_rng(rng.getrandbits(32)).integers(-128, 128, (2, ACTIVATION_WORDS, rows))
    words[np.random.default_rng(rng.getrandbits(32)).random(words.shape) < 0.3] = 0
    commands = [command for _ in range(rng.randint(1, 3)) for command in draw(rng, rows, cols)]
    config, expected = ConfigCompute(), []
    for command in commands:
        if isinstance(command, ConfigCompute):
            config = command
        else:
            expected += stream(command, config, words, rows, cols)
    feeder, banks = Feeder(design), ActivationBanks(design)
    found: list[dict[str, Any]] = []
    starts: list[int] = []

    async def testbench(ctx: Any) -> None:
        for bank in (0, 1):
            await write_all(ctx, banks.w_load, [from_lanes(w) for w in words[bank]], bank * ACTIVATION_BANK)
        ctx.set(feeder.loads, 1)
        position = reads = cycle = 0
        while len(found) < len(expected):
            assert cycle < 3000, "stuck"
            ctx.set(feeder.slot_valid, position < len(commands))
            if position < len(commands):
                ctx.set(feeder.slot, int.from_bytes(commands[position].encode(), "little"))
            _, _, taken, start, acts, exist, existing, valid, swap, tag, read = await ctx.tick().sample(
                feeder.slot_taken, feeder.tile_start, feeder.acts, feeder.exist, feeder.existing_cols,
                feeder.valid, feeder.swap, feeder.tag, feeder.event_act_reads,
            )  # fmt: skip
            position, reads = position + taken, reads + read
            if start:
                starts.append(cycle)
            if tag.valid:
                found.append(
                    {
                        "acts": to_lanes(acts, rows), "exist": exist, "cols": existing, "valid": valid,
                            "swap": swap, "address": tag.address,
                        "overwrite": tag.overwrite,
                    }
                )  # fmt: skip
                if swap:
                    assert cycle == starts[sum(f["swap"] for f in found) - 1] + feed_cycles(design)
            cycle += 1
        assert reads == sum(e["inside"] for e in expected)

    simulate(Fed(feeder, banks), testbench)
    assert found == gated(expected)
    assert all(b - a >= MIN_TILE_CYCLES for a, b in pairwise(starts))
