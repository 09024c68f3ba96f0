"""The compute unit against the docstring of `Compute` (values) and against `UnitTiming` (cycles, events)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Compute, ConfigCompute, ErrorCode
from accel.design import Design
from accel.events import Event
from accel.latency import MIN_TILE_CYCLES, REUSE_CYCLES, compute_cycles, unit_cycles
from accel.memories import WEIGHT
from accel.rtl.buffers import ActivationBanks
from accel.rtl.engines import compute_unit
from tests.benches.simulator import from_lanes, read_all, simulate, to_lanes, write_all
from tests.benches.timing import UnitTiming
from tests.benches.unit import Counted, Log, Offer, draw_offers, run_commands
from tests.benches.unit_designs import (
    ACCUMULATOR_BANK,
    ACCUMULATOR_WORDS,
    ACTIVATION_BANK,
    ACTIVATION_WORDS,
    WEIGHT_WORDS,
    compute_design,
    divisor,
    draw_multiplier,
)
from tests.benches.wide import draws, wide


@dataclass(frozen=True)
class Contents:
    """What the memories hold before the first command."""

    activations: np.ndarray  # (2, words, lanes) int8
    weights: np.ndarray  # (words, w * C) lanes
    codebook: np.ndarray  # (512,) int8


def draw_contents(rng: Random, design: Design) -> Contents:
    """Some activations, codes and entries are 0."""
    generator = np.random.default_rng(rng.getrandbits(32))

    def some(values: np.ndarray) -> np.ndarray:
        return np.where(generator.random(values.shape) < density, values, 0)

    density = rng.choice([0.0, 0.3, 0.7, 1.0])
    return Contents(
        some(generator.integers(-128, 128, (2, ACTIVATION_WORDS, design.word_lanes))).astype(np.int8),
        some(generator.integers(0, 1 << WEIGHT.lane_bits(design), (WEIGHT_WORDS, WEIGHT.lanes(design)))),
        some(generator.integers(-128, 128, 512)).astype(np.int8),
    )


def expected(design: Design, contents: Contents, commands: Sequence[Compute | ConfigCompute]) -> tuple[np.ndarray, int]:
    """(2, words, C) sums, and the products with a zero operand: the nested loops of the docstring, literally."""
    zeros = 0
    rows, bits = design.rows, design.widths.accumulator
    sums = np.zeros((2, ACCUMULATOR_WORDS, design.cols), np.int64)
    config = ConfigCompute()
    for c in commands:
        if isinstance(c, ConfigCompute):
            config = c
            continue
        activations = contents.activations[c.act_addr // ACTIVATION_BANK].astype(np.int64)
        words = contents.weights[c.weight_addr :]
        stream = np.concatenate([words[:, None] >> k & 1 for k in range(WEIGHT.lane_bits(design))], axis=1)
        stream = stream.reshape(-1, words.shape[1])
        at, bits_of_code = 0, c.weight_bits + 2 * c.structured
        halves = range(2 if design.two_of_four and not c.structured else 1)
        for n in range(c.n_tiles):
            for g, ky, kx, half in np.ndindex(c.groups, config.kernel_h, config.kernel_w, len(halves)):
                tile, place = np.zeros((2, rows, design.cols), np.int64)  # weights, and the lanes that they multiply
                for i in range(rows // design.weight_rows):
                    code = sum(stream[at + k].astype(np.int64) << k for k in range(bits_of_code))
                    index, code = code >> c.weight_bits, code & (1 << c.weight_bits) - 1
                    at += bits_of_code
                    row = contents.codebook[256 * c.codebook_bank + code] if c.use_codebook else code.astype(np.int8)
                    for segment in range(design.weight_rows):
                        r = segment * rows // design.weight_rows + i
                        lanes = slice(segment * design.cols, (segment + 1) * design.cols)
                        tile[r], place[r] = row[lanes], r
                        if design.two_of_four:
                            place[r] = 4 * (r // 2) + (index[lanes] if c.structured else 2 * half + r % 2)
                last = c.rows_last if g == c.groups - 1 else design.word_lanes
                first = [4 * (r // 2) + 2 * half + r % 2 if design.two_of_four else r for r in range(rows)]
                exist = np.array([[lane < last] * design.cols for lane in first])
                exist[:, c.cols_last if n == c.n_tiles - 1 else design.cols :] = False
                for oy, ox in np.ndindex(c.out_h, c.out_w):
                    iy = c.iy0 + ky * config.dilation_y + oy * config.stride_y
                    columns = []
                    for side in range(1 + config.beside):
                        ix = c.ix0 + kx * config.dilation_x + ox * config.stride_x + side
                        word = c.act_addr + g * config.plane + ky * config.tap_row_step + kx * config.dilation_x
                        word += oy * config.row_step + ox * config.stride_x + side
                        found = np.full(design.word_lanes, config.pad_value)
                        if 0 <= iy < config.in_h and 0 <= ix < config.in_w:
                            found = activations[word % ACTIVATION_BANK].copy()
                        columns.append(found[: design.word_lanes // (1 + config.beside)])
                    pixel = np.concatenate(columns)
                    pixel[last:] = 0
                    target = sums[c.acc_addr // ACCUMULATOR_BANK]
                    where = c.acc_addr % ACCUMULATOR_BANK + n * c.out_h * c.out_w + oy * c.out_w + ox
                    old = 0 if (g, ky, kx, half) == (0, 0, 0, 0) and not c.accumulate else target[where]
                    products = pixel[place] * tile
                    target[where] = old + products.sum(axis=0)
                    zeros += int((products == 0)[exist].sum())
    return (sums + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1), zeros


def draw_commands(rng: Random, design: Design) -> list[Compute | ConfigCompute]:
    commands: list[Compute | ConfigCompute] = []
    config, pitch = ConfigCompute(), 1
    last: Compute | None = None
    before = 0
    for index in range(rng.randint(2, 6)):
        if index == 0 or rng.random() < 0.3:
            config, pitch = _draw_config(rng, design)
            commands.append(config)
        if index and rng.random() < 0.05:
            continue
        command = _draw_command(rng, design, config, pitch)
        if last is not None and rng.random() < 0.3:  # a chain of accumulations
            same = replace(
                command, out_h=last.out_h, out_w=last.out_w, n_tiles=last.n_tiles, acc_addr=last.acc_addr, accumulate=1
            )
            command = same if _words(design, config, same) <= WEIGHT_WORDS - same.weight_addr else command
        beside = config.beside, before
        if last is not None and command.accumulate and (any(beside) or _too_early(design, last, command)):
            command = replace(command, accumulate=0)
        commands.append(command)
        last, before = command, config.beside
    return commands


def _draw_config(rng: Random, design: Design) -> tuple[ConfigCompute, int]:
    in_h, in_w = rng.randint(1, 5), rng.randint(1, 5)
    pitch = in_w + rng.randint(0, 2)
    stride, dilation = (rng.randint(1, 3), rng.randint(1, 3)), (rng.randint(1, 2), rng.randint(1, 3))
    kernel = rng.choice([(1, 1), (1, 1), (1, 2), (3, 1), (2, 2), (3, 3)])
    beside = int(design.takes_beside and rng.random() < 0.7)
    stride = (stride[0], 1) if beside else stride
    config = ConfigCompute(
        plane=min(31, in_h * pitch + rng.randint(0, 2)), row_step=stride[0] * pitch, tap_row_step=dilation[0] * pitch,
        stride_y=stride[0], stride_x=stride[1], dilation_y=dilation[0], dilation_x=dilation[1],
        kernel_h=kernel[0], kernel_w=kernel[1], in_h=in_h, in_w=in_w, pad_value=rng.randint(-128, 127),
        beside=beside,
    )  # fmt: skip
    return config, pitch


def _draw_command(rng: Random, design: Design, config: ConfigCompute, pitch: int) -> Compute:
    out_h, out_w = rng.randint(1, 4), rng.randint(1, 4)
    iy0, ix0 = rng.randint(-3, config.in_h), rng.randint(-3, config.in_w)
    base = rng.randint(0, 2) + iy0 * pitch + ix0
    bits = rng.randint(1, 8)
    codebook = int(bits < 8 or rng.random() < 0.3)
    fits = ACCUMULATOR_WORDS // (out_h * out_w)
    n_tiles = rng.choice([1, 1, 2, min(3, fits)])
    command = Compute(
        act_addr=rng.randint(0, 1) * ACTIVATION_BANK + base % ACTIVATION_BANK, iy0=iy0, ix0=ix0,
        out_h=out_h, out_w=out_w, groups=rng.randint(1, 2), n_tiles=n_tiles, weight_bits=bits, use_codebook=codebook,
        codebook_bank=rng.randint(0, 1), accumulate=int(rng.random() < 0.3),
        rows_last=rng.randint(1, design.word_lanes), cols_last=rng.randint(1, design.cols),
        acc_addr=rng.randint(0, 1) * ACCUMULATOR_BANK + rng.randint(0, ACCUMULATOR_WORDS - n_tiles * out_h * out_w),
    )  # fmt: skip
    if design.two_of_four:
        command = replace(command, structured=rng.randint(0, 1))
    if _words(design, config, command) > WEIGHT_WORDS:
        command = replace(command, n_tiles=1, groups=1, weight_bits=1, use_codebook=1)
    return replace(command, weight_addr=rng.randint(0, WEIGHT_WORDS - _words(design, config, command)))


def _words(design: Design, config: ConfigCompute, c: Compute) -> int:
    tiles = c.n_tiles * c.groups * config.kernel_h * config.kernel_w
    tiles *= 2 if design.two_of_four and not c.structured else 1
    rows = tiles * design.rows // design.weight_rows
    return -(-rows * (c.weight_bits + 2 * c.structured) // WEIGHT.lane_bits(design))


def _too_early(design: Design, before: Compute, after: Compute) -> bool:
    """Would `after` read a sum less than REUSE_CYCLES after the pixel that `before` wrote it with? (accumulators.py)

    Where outputs stay, pixels leave as blocks of R, one unit at least from one to the next.
    """
    pixels = before.out_h * before.out_w
    last, start = (
        pixels,
        max(pixels, MIN_TILE_CYCLES),
    )  # pixels at the end of `before`, cycles to `after`
    if design.output_stationary:
        last, start = (pixels - 1) % design.rows + 1, unit_cycles(design)
    first = before.acc_addr + before.n_tiles * pixels - last
    return any(
        first + k == after.acc_addr + j and start + j - k < REUSE_CYCLES
        for k in range(last)
        for j in range(min(last, pixels))
    )


def run(design: Design, contents: Contents, offers: Sequence[Offer]) -> tuple[Log, np.ndarray]:
    """Load the memories, run the commands, read the accumulators."""
    unit, banks = compute_unit(design), ActivationBanks(design)
    bench = Counted(unit, {"banks": banks}, [(unit.r_act, banks.r_compute)])
    result: dict[str, Any] = {}

    async def testbench(ctx: Any) -> None:
        for bank in range(2):
            words = [from_lanes(word) for word in contents.activations[bank]]
            await write_all(ctx, banks.w_load, words, bank * ACTIVATION_BANK)
        await write_all(ctx, unit.w_weight, [from_lanes(word, WEIGHT.lane_bits(design)) for word in contents.weights])
        if any(getattr(offer.command, "use_codebook", 0) for offer in offers):
            most = 1 << max(getattr(offer.command, "weight_bits", 0) for offer in offers)
            for bank in range(2):
                entries = contents.codebook[256 * bank : 256 * bank + most]
                await write_all(ctx, unit.w_codebook, [int(v) & 255 for v in entries], 256 * bank)
        result["log"] = await run_commands(ctx, bench, offers)
        sums = [
            await read_all(ctx, unit.r_acc, ACCUMULATOR_WORDS, bank * ACCUMULATOR_BANK, design.memory_stages)
            for bank in range(2)
        ]
        bits = design.widths.accumulator
        result["sums"] = np.array([[to_lanes(word, design.cols, bits) for word in bank] for bank in sums])

    simulate(bench, testbench)
    return result["log"], result["sums"]


def timed(design: Design, offers: Sequence[Offer]) -> Log:
    """The same log as the hardware's, from the timing model."""
    timing, log = UnitTiming(design), Log(events={})
    for offer in offers:
        step = timing.step(offer.command, offer.pushed, offer.ready)
        log.pops.append(step.pop)
        if isinstance(offer.command, Compute):
            log.dones.append(step.complete)
        for event, count in step.events.items():
            log.events[event] = log.events.get(event, 0) + count
    return log


@settings(max_examples=draws(44), deadline=None)
@given(st.randoms(use_true_random=False))
def test_values_cycles_and_events(rng: Random) -> None:
    dataflow, pairs = rng.choice(["ws", "os"]), rng.random() < 0.5
    pairs = pairs and dataflow == "ws"
    rows, cols = 2 * rng.randint(1, 3) if pairs else rng.randint(1, 6), rng.randint(1, 6)
    bits, stages = rng.choice([20, 25, 32]), rng.randint(1, 3)
    design = compute_design(
        rows, cols, bits, stages, divisor(rng, rows) if dataflow == "ws" else 1, pairs, dataflow, draw_multiplier(rng),
        rng.randint(1, 2),
    )  # fmt: skip
    check_values(rng, design)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_kernel_columns_two_by_two(rng: Random) -> None:
    """As above on arrays that take them, most of whose configurations have them."""
    rows = 2 * rng.randint(1, 3)
    check_values(rng, compute_design(rows, rng.randint(1, 6), 32, rng.randint(1, 3), divisor(rng, rows)))


def check_values(rng: Random, design: Design) -> None:
    """Random commands on random contents: sums, cycles and counts."""
    contents = draw_contents(rng, design)
    offers = draw_offers(rng, draw_commands(rng, design))
    log, sums = run(design, contents, offers)
    want, zeros = expected(design, contents, [offer.command for offer in offers])
    np.testing.assert_array_equal(sums, want)
    model = timed(design, offers)
    assert (log.pops, log.dones, log.errors) == (model.pops, model.dones, [])
    counted = model.events | {Event.MACS_ZERO: zeros}
    assert log.events == counted | {event: 0 for event in log.events if event not in counted}


@pytest.mark.parametrize("weight_rows", [1, pytest.param(2, marks=wide), 10])
@pytest.mark.parametrize("pixels", [1, pytest.param(4, marks=wide), 5, 6, pytest.param(9, marks=wide), 12])
def test_commands_follow_without_bubbles(pixels: int, weight_rows: int) -> None:
    """One tile a command, and two: max(T, R / w, MIN_TILE_CYCLES) cycles a tile from the second command on."""
    design = compute_design(10, 2, weight_rows=weight_rows)
    for tiles in (1, 2):
        offers = [Offer(Compute(out_w=pixels, groups=tiles, acc_addr=ACCUMULATOR_BANK * (k % 2)), k) for k in range(6)]
        offers.insert(0, Offer(ConfigCompute(in_w=12), -1))
        log, _ = run(design, draw_contents(Random(1), design), offers)
        period = max(pixels, 10 // weight_rows, MIN_TILE_CYCLES)
        assert np.diff(log.dones).tolist() == [tiles * period] * 5
        assert log.dones == timed(design, offers).dones


@pytest.mark.parametrize(("rows", "pixels"), [(1, 1), (2, 3), (4, 4), (5, 4), (6, 13)])
def test_commands_follow_without_bubbles_where_outputs_stay(rows: int, pixels: int) -> None:
    """One unit a command, and two: U cycles for each block of R pixels, the sums right though they leave meanwhile."""
    design = compute_design(rows, 2, dataflow="os")
    contents = draw_contents(Random(1), design)
    for groups in (1, 2):
        offers = [Offer(ConfigCompute(in_w=15), -1)]
        offers += [
            Offer(Compute(out_w=pixels, groups=groups, act_addr=k, acc_addr=(k % 2) * ACCUMULATOR_BANK), k)
            for k in range(6)
        ]
        log, sums = run(design, contents, offers)
        assert np.diff(log.dones).tolist() == [groups * -(-pixels // rows) * unit_cycles(design)] * 5
        assert log.dones == timed(design, offers).dones
        np.testing.assert_array_equal(sums, expected(design, contents, [offer.command for offer in offers])[0])


def test_a_tile_takes_a_cycle_a_term() -> None:
    """K terms a sum, K a multiple of R: K cycles for each tile of R x C sums, and one way through the unit."""
    rows, cols, groups, blocks, tiles = 4, 3, 5, 2, 2
    design = compute_design(rows, cols, dataflow="os")
    command = Compute(out_w=rows * blocks, groups=groups, n_tiles=tiles)
    log, _ = run(design, draw_contents(Random(2), design), [Offer(ConfigCompute(in_w=9), -1), Offer(command, 0)])
    taken = log.pops[1] + 1
    assert log.dones[0] - taken - compute_cycles(design) - (rows - 1) == rows * groups * blocks * tiles


def test_sums_beyond_the_addresses_of_a_bank_are_flagged_before_they_are_made() -> None:
    """The second tile's would begin at word 2**14, and come round to the first ones."""
    design, groups = compute_design(4, 2, dataflow="os"), 3
    command = Compute(out_w=4, n_tiles=2, groups=groups, acc_addr=ACCUMULATOR_BANK - 4)
    log, _ = run(design, draw_contents(Random(3), design), [Offer(ConfigCompute(in_w=9), -1), Offer(command, 0)])
    columns = log.pops[1] + 2 + (groups + 1) * unit_cycles(design)  # its first ones: its first unit has been read
    assert log.errors[0] == (columns + 1, ErrorCode.BUFFER_RANGE)
    assert log.errors[0][0] + 8 < log.dones[0] - 4


def test_accumulation_in_alternating_banks_without_bubbles() -> None:
    design = compute_design(2, 2)
    contents = draw_contents(Random(6), design)
    commands = [ConfigCompute(in_w=9)]
    commands += [Compute(out_w=6, acc_addr=ACCUMULATOR_BANK * (k % 2), accumulate=k > 1) for k in range(6)]
    log, sums = run(design, contents, [Offer(command, k) for k, command in enumerate(commands)])
    assert np.diff(log.dones).tolist() == [6] * 5
    np.testing.assert_array_equal(sums, expected(design, contents, commands)[0])


@pytest.mark.parametrize("name", ["wait_load", "wait_post", "wait_store"])
def test_waits(name: str) -> None:
    design = compute_design(1, 1)
    command = replace(Compute(), **{name: (1 << 20) - 1})
    log, _ = run(design, draw_contents(Random(5), design), [Offer(ConfigCompute(), -1), Offer(command, 0, 40)])
    assert log.pops == [0, 40]


@pytest.mark.parametrize("kernel", [1, 4])
def test_short_arrays_keep_the_accumulators_distance(kernel: int) -> None:
    design = compute_design(1, 1)
    config = ConfigCompute(kernel_w=kernel, in_w=9)
    offers = [Offer(config, -1), Offer(Compute(), 0), Offer(Compute(accumulate=1), 1)]
    contents = draw_contents(Random(2), design)
    log, sums = run(design, contents, offers)
    np.testing.assert_array_equal(sums, expected(design, contents, [offer.command for offer in offers])[0])
    assert np.diff(log.dones).tolist() == [kernel * MIN_TILE_CYCLES]
    assert log.dones == timed(design, offers).dones


def test_a_write_outside_is_suppressed_and_flagged() -> None:
    design = compute_design(2, 3)
    contents = draw_contents(Random(3), design)
    inside = Compute(out_w=2, acc_addr=ACCUMULATOR_WORDS - 2)
    outside = Compute(out_w=3, acc_addr=ACCUMULATOR_BANK + ACCUMULATOR_WORDS - 1)
    config = ConfigCompute(in_w=9)
    log, sums = run(design, contents, [Offer(config, -1), Offer(inside, 0), Offer(outside, 1)])
    assert [code for _, code in log.errors] == [ErrorCode.BUFFER_RANGE] * 2
    shorter = replace(outside, out_w=1)
    np.testing.assert_array_equal(sums, expected(design, contents, [config, inside, shorter])[0])
    assert log.events[Event.ACC_WRITES] == 3


def test_halt_starts_nothing_and_writes_nothing() -> None:
    design = compute_design(3, 2)
    contents = draw_contents(Random(4), design)
    unit, banks = compute_unit(design), ActivationBanks(design)
    bench = Counted(unit, {"banks": banks}, [(unit.r_act, banks.r_compute)])
    offers = [Offer(ConfigCompute(in_w=9), -1), Offer(Compute(out_w=8), 0), Offer(Compute(out_w=8), 30)]

    async def testbench(ctx: Any) -> None:
        await write_all(ctx, banks.w_load, [from_lanes(word) for word in contents.activations[0]])
        await write_all(ctx, unit.w_weight, [from_lanes(word, WEIGHT.lane_bits(design)) for word in contents.weights])
        done = timed(design, offers).dones[0]
        log = await run_commands(ctx, bench, offers, halt_at=done - 3)
        assert log.pops == timed(design, offers).pops[:2]
        sums = await read_all(ctx, unit.r_acc, 8)
        full = expected(design, contents, [offers[0].command, offers[1].command])[0][0]
        want = [from_lanes(word, 32) for word in full[:4]] + [0] * 4
        assert sums == want

    simulate(bench, testbench)
