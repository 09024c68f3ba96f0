"""The post-process unit against the docstring of `Post` (values) and against `UnitTiming` (cycles, events)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ConfigPost, ErrorCode, Post
from accel.design import Design
from accel.events import Event
from accel.latency import post_cycles
from accel.memories import ACCUMULATOR, PARAMETER, TABLE_WORDS
from accel.rtl.buffers import ActivationBanks, Buffer
from accel.rtl.pipeline import later
from accel.rtl.ports import read_port
from accel.rtl.post.unit import PostUnit
from tests.benches.simulator import from_lanes, read_all, simulate, to_lanes, write_all
from tests.benches.timing import UnitTiming
from tests.benches.unit import Counted, Log, Offer, draw_offers, round_shift, run_commands
from tests.benches.unit_designs import (
    ACCUMULATOR_BANK,
    ACTIVATION_BANK,
    HALF,
    LINE,
    RECORDS,
    SUMS,
    draw_multiplier,
    post_design,
)
from tests.benches.wide import draws


class Sums(wiring.Component):
    """Both accumulator banks, filled from the start."""

    def __init__(self, design: Design, words: Sequence[int]) -> None:
        self.words, bits, self.behind = words, design.widths.accumulator, design.memory_stages - 1
        self.bits = bits * design.cols
        super().__init__({"r": In(read_port(ACCUMULATOR, design))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.bits, depth=128, init=self.words)
        read = cells.read_port()
        word = later(m, read.data, self.behind, "word")
        m.d.comb += [read.en.eq(self.r.en), read.addr.eq(Cat(self.r.addr[:6], self.r.addr[14])), self.r.data.eq(word)]
        return m


@dataclass(frozen=True)
class Contents:
    """What the memories hold before the first command."""

    activations: np.ndarray  # (2, words, R) int8
    sums: np.ndarray  # (2, words, C) of accumulator bits
    records: np.ndarray  # (words, P, 3): bias, multiplier, shift
    taps: np.ndarray  # (words, P): what stands behind the shift
    tables: np.ndarray  # (2, 256) int8

    @cached_property
    def words(self) -> list[list[int]]:
        """Records as they lie in the parameter buffer, 64 bits each."""
        return [
            [
                (b & 0xFFFFFFFF) | mul << 32 | s << 48 | (tap & 0xFF) << 54
                for (b, mul, s), tap in zip(*word, strict=True)
            ]
            for word in zip(self.records.tolist(), self.taps.tolist(), strict=True)
        ]

    def window(self, word: int, lane: int, side: int) -> np.ndarray:
        """(side, side) the filter of a chunk whose parameters begin at `word`: the lower right 3 x 3, then the rest."""
        others = [each[lane] for each in self.words[word + 1 : word + side - 1]]
        behind = np.array(others, "<u8").view(np.int8).tolist()
        found = np.zeros((side, side), int)
        found[-3:, -3:] = np.reshape([*behind[:8], self.taps[word, lane]], (3, 3))
        if side == 5:
            found[:2] = np.reshape(behind[8:18], (2, 5))
            found[2:, :2] = np.reshape(behind[18:], (3, 2))
        return found


def draw_contents(rng: Random, design: Design) -> Contents:
    generator = np.random.default_rng(rng.getrandbits(32))
    bits = rng.choice([9, 16, 16 if design.filter_side == 5 else design.widths.accumulator])  # 16: weighed sums
    limit = 1 << bits - 1
    records = np.zeros((RECORDS, design.lanes, 3), np.int64)
    records[..., 0] = generator.integers(-limit, limit, records.shape[:2])
    records[..., 1] = generator.integers(0, 1 << 16, records.shape[:2])
    records[..., 2] = np.clip(bits + 8 + generator.integers(-3, 4, records.shape[:2]), 0, 47)
    return Contents(
        generator.integers(-128, 128, (2, 2 * HALF, design.rows)).astype(np.int8),
        generator.integers(-limit, limit, (2, SUMS, design.cols)),
        records,
        generator.integers(-128, 128, records.shape[:2]),
        generator.integers(-128, 128, (2, 256)).astype(np.int8),
    )


def expected(design: Design, contents: Contents, commands: Sequence[Post | ConfigPost]) -> np.ndarray:
    """(2, words, R) activations: the nested loops of the docstring, literally."""
    lanes = design.lanes
    per_source, per_word = design.cols // lanes, design.rows // lanes
    memory = contents.activations.astype(object)
    sums = contents.sums.astype(object)
    config = ConfigPost()
    for c in commands:
        if isinstance(c, ConfigPost):
            config = c
            continue
        for q, oy, ox in np.ndindex(c.chunks, c.out_h, c.out_w):
            values = []
            side = (0, 3, 5)[c.filter]
            for wy, wx in np.ndindex(*((side, side) if c.filter else (config.win_h, config.win_w))):
                iy, ix = c.iy0 + oy * config.stride_y + wy, c.ix0 + ox * config.stride_x + wx
                y0, x0 = (max(0, c.iy0), max(0, c.ix0)) if c.filter else (c.iy0, c.ix0)
                offset = (iy - y0) * config.src_row_pitch + ix - x0
                if not (0 <= iy < config.in_h and 0 <= ix < config.in_w):
                    values.append(np.full(lanes, config.res_zero_point if c.reduce_sum else -(1 << 31), object))
                elif c.from_activation:
                    group, chunk = divmod(c.src_chunk + q, per_word)
                    word = (c.src_addr + group * config.src_plane + offset) % ACTIVATION_BANK
                    values.append(memory[c.src_addr // ACTIVATION_BANK, word, chunk * lanes : (chunk + 1) * lanes])
                else:
                    group, chunk = divmod(c.src_chunk + q, per_source)
                    word = (c.src_addr + group * config.src_plane + offset) % ACCUMULATOR_BANK
                    values.append(sums[c.src_addr // ACCUMULATOR_BANK, word, chunk * lanes : (chunk + 1) * lanes])
            param = c.param_addr + q * (1, 2, 4)[c.filter]
            if c.filter:
                window = np.array([contents.window(param, lane, side).ravel() for lane in range(lanes)])
                values = [value * window[:, k] for k, value in enumerate(values)]
            reduced = np.sum(values, axis=0) if c.reduce_sum else np.max(values, axis=0)
            group, chunk = divmod(c.dst_chunk + q, per_word)
            offset = group * config.dst_plane + oy * config.dst_row_pitch + ox * c.dst_step
            for lane in range(lanes):
                v = (int(reduced[lane]) + (1 << 31)) % (1 << 32) - (1 << 31)  # 32 bits: a sum of sums wraps around
                bias, multiplier, shift = (int(v) for v in contents.records[param % RECORDS, lane])
                if c.uniform:
                    bias, multiplier = config.uniform_bias, config.uniform_multiplier
                    shift = config.uniform_shift
                at = chunk * lanes + lane
                r = 0
                if c.residual:
                    apart = group * c.res_plane if c.res_plane else offset
                    operand = memory[c.res_addr // ACTIVATION_BANK, c.res_addr % ACTIVATION_BANK + apart, at]
                    r = (operand - config.res_zero_point) * (-1 if config.subtract else 1)
                if config.multiply:
                    factor = (v + config.uniform_bias + (1 << 16)) % (1 << 17) - (1 << 16)
                    y = round_shift(factor * r * config.uniform_multiplier, config.uniform_shift) + config.zero_point
                else:
                    y = round_shift((v + bias) * multiplier, shift) + config.zero_point
                    y += round_shift(r * config.res_multiplier, config.res_shift)
                word = c.dst_addr % ACTIVATION_BANK + offset
                code = min(max(y, config.low), config.high)
                if config.table:
                    code = int(contents.tables[config.table_bank, code + 128])
                memory[c.dst_addr // ACTIVATION_BANK, word, at] = code
    return memory.astype(np.int8)


def draw_commands(rng: Random, design: Design) -> list[Post | ConfigPost]:
    commands: list[Post | ConfigPost] = []
    config, half = ConfigPost(), 0
    for index in range(rng.randint(2, 6)):
        if index == 0 or rng.random() < 0.35:
            config, half = _draw_config(rng, design), 1 - half
            commands += [config] * rng.choice([1, 1, 1, 2])
        draw = _draw_filter if design.filter_multipliers and rng.random() < 0.6 else _draw_command
        commands.append(draw(rng, design, config, half))
    return commands


def _draw_config(rng: Random, design: Design) -> ConfigPost:
    in_h, in_w = rng.randint(1, 5), rng.randint(1, 5)
    pitch, stride_y = in_w + rng.randint(0, 1), rng.randint(1, 3)
    low, high = sorted(rng.choice([(-128, 127), (rng.randint(-128, 127), rng.randint(-128, 127))]))
    return ConfigPost(
        src_row_step=stride_y * pitch, src_row_pitch=pitch, src_plane=rng.randint(0, 9),
        win_h=rng.choice([1, 1, 2, 3]), win_w=rng.choice([1, 1, 2, 3]), stride_y=stride_y, stride_x=rng.randint(1, 3),
        dst_row_pitch=rng.randint(0, 5), dst_plane=rng.randint(0, 9), in_h=in_h, in_w=in_w,
        zero_point=rng.randint(-128, 127), low=low, high=high, res_multiplier=rng.randint(0, 65535),
        res_shift=rng.choice([0, 14, 15, 16, 17, rng.randint(0, 47)]), res_zero_point=rng.randint(-128, 127),
        uniform_bias=rng.choice([0, rng.randint(-(1 << 31), (1 << 31) - 1)]), uniform_multiplier=rng.randint(0, 65535),
        uniform_shift=rng.choice([0, 15, 16, 17, rng.randint(0, 47)]), table=rng.randint(0, 1),
        table_bank=rng.randint(0, 1), subtract=rng.randint(0, 1),
        multiply=int(design.operand_products and rng.random() < 0.3),
    )  # fmt: skip


def _draw_command(rng: Random, design: Design, config: ConfigPost, half: int) -> Post:
    """Reads one half of the activation banks and writes the other; addresses of elements inside are in range."""
    per_word, per_source = design.rows // design.lanes, design.cols // design.lanes
    from_activation = rng.randint(0, 1)
    reduce_sum = rng.randint(0, 1)
    source_bank, words = (ACTIVATION_BANK, HALF) if from_activation else (ACCUMULATOR_BANK, SUMS)
    first = HALF * half if from_activation else 0
    iy0, ix0 = rng.randint(-3, config.in_h), rng.randint(-3, config.in_w)
    span = (config.in_h - 1) * config.src_row_pitch + config.in_w
    per = per_word if from_activation else per_source
    src_chunk, dst_chunk = rng.randrange(per), rng.randrange(per_word)
    chunks, out_h, out_w = rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 4)
    dst_step = rng.choice([1, 1, 2, 3])
    while True:  # fewer chunks or rows, until both ends fit
        groups = (src_chunk + chunks - 1) // per + 1
        room = words - span - (groups - 1) * config.src_plane
        width = (out_w - 1) * dst_step + 1
        reach = (dst_chunk + chunks - 1) // per_word * config.dst_plane + (out_h - 1) * config.dst_row_pitch + width
        if room >= 0 and reach <= HALF:
            break
        chunks, out_h = max(1, chunks - 1), max(1, out_h - 1)
    base = first + rng.randint(0, room) + iy0 * config.src_row_pitch + ix0
    res_plane = rng.choice([0, 0, 1, 2])
    apart = (dst_chunk + chunks - 1) // per_word * res_plane + 1
    return Post(
        from_activation=from_activation, src_addr=rng.randint(0, 1) * source_bank + base % source_bank,
        src_chunk=src_chunk, reduce_sum=reduce_sum, residual=int(not reduce_sum and rng.random() < 0.5),
        uniform=rng.randint(0, 1), iy0=iy0, ix0=ix0, out_h=out_h, out_w=out_w,
        dst_addr=rng.randint(0, 1) * ACTIVATION_BANK + HALF * (1 - half) + rng.randint(0, HALF - reach),
        dst_chunk=dst_chunk, chunks=chunks, param_addr=rng.randint(0, RECORDS - chunks),
        res_addr=rng.randint(0, 1) * ACTIVATION_BANK + HALF * half + rng.randint(0, HALF - max(reach, apart)),
        dst_step=dst_step, res_plane=res_plane,
    )  # fmt: skip


def _draw_filter(rng: Random, design: Design, config: ConfigPost, half: int) -> Post:
    """As `_draw_command`, by the line buffer: any pads, and windows that it can bring."""
    per_word, least = design.rows // design.lanes, 2 + design.post_multiplier_stages
    number = rng.choice([1, 2, 2]) if design.filter_side == 5 else 1
    before, words = (2, 2) if number == 1 else (4, 4)
    iy0, ix0 = rng.randint(-before, config.in_h - 1), rng.randint(-before, config.in_w - 1)
    y0, x0 = max(0, iy0), max(0, ix0)
    out_h, out_w = rng.randint(1, 4), rng.randint(1, max(1, min(4, (LINE - 1) // config.stride_x)))
    sizes = []
    for first, at, count, stride, size in (
        (iy0, y0, out_h, config.stride_y, config.in_h), (ix0, x0, out_w, config.stride_x, config.in_w)
    ):  # fmt: skip
        inside = min(size, first + (count - 1) * stride + before + 1) - at  # may end before the windows begin
        sizes.append(max(inside, (count - 1) * stride + 1, 1) + rng.choice([0, 0, 1]))
    stream_h, stream_w = sizes[0], min(LINE, max(least, sizes[1]))
    span = (config.in_h - 1) * config.src_row_pitch + config.in_w
    src_chunk, dst_chunk, chunks = rng.randrange(per_word), rng.randrange(per_word), rng.randint(1, RECORDS // words)
    dst_step = rng.choice([1, 1, 2, 3])
    while True:
        groups = (src_chunk + chunks - 1) // per_word + 1
        room = HALF - span - (groups - 1) * config.src_plane
        reach = (dst_chunk + chunks - 1) // per_word * config.dst_plane + (out_h - 1) * config.dst_row_pitch
        reach += (out_w - 1) * dst_step + 1
        if room >= 0 and reach <= HALF:
            break
        chunks, out_h = max(1, chunks - 1), max(1, out_h - 1)
    base = HALF * half + rng.randint(0, room) + y0 * config.src_row_pitch + x0
    return Post(
        from_activation=1, src_addr=rng.randint(0, 1) * ACTIVATION_BANK + base, src_chunk=src_chunk, reduce_sum=1,
        uniform=rng.randint(0, 1), iy0=iy0, ix0=ix0, out_h=out_h, out_w=out_w, chunks=chunks, dst_chunk=dst_chunk,
        dst_addr=rng.randint(0, 1) * ACTIVATION_BANK + HALF * (1 - half) + rng.randint(0, HALF - reach),
        param_addr=rng.randint(0, RECORDS - words * chunks), dst_step=dst_step,
        filter=number, stream_h=stream_h, stream_w=stream_w,
    )  # fmt: skip


def run(
    design: Design, contents: Contents, offers: Sequence[Offer], halt_at: int | None = None
) -> tuple[Log, np.ndarray]:
    """Load the memories, run the commands, read the activations."""
    bits = design.widths.accumulator
    words = [0] * 128
    for bank in range(2):
        words[64 * bank : 64 * bank + SUMS] = [from_lanes(word, bits) for word in contents.sums[bank]]
    unit, banks, sums = PostUnit(design), ActivationBanks(design), Sums(design, words)
    records = Buffer(PARAMETER, design)
    bench = Counted(
        unit,
        {"banks": banks, "sums": sums, "records": records},
        [(unit.r_act, banks.r_post), (unit.w_act, banks.w_post), (unit.r_acc, sums.r), (unit.r_param, records.r)],
    )
    result: dict[str, Any] = {}

    async def testbench(ctx: Any) -> None:
        for bank in range(2):
            values = [from_lanes(word) for word in contents.activations[bank]]
            await write_all(ctx, banks.w_load, values, bank * ACTIVATION_BANK)
        await write_all(ctx, records.w, [from_lanes(word, 64) for word in contents.words])
        await write_all(ctx, unit.w_table, [from_lanes(w) for w in contents.tables.reshape(2 * TABLE_WORDS, 4)])
        result["log"] = await run_commands(ctx, bench, offers, halt_at)
        await ctx.tick()  # nobody reads in the cycle after `done`, in which its last word is written
        found = [
            await read_all(ctx, banks.r_store, 2 * HALF, bank * ACTIVATION_BANK, design.memory_stages)
            for bank in range(2)
        ]
        result["activations"] = np.array([[to_lanes(word, design.rows) for word in bank] for bank in found], np.int8)

    simulate(bench, testbench)
    return result["log"], result["activations"]


def timed(design: Design, offers: Sequence[Offer]) -> Log:
    """The same log as the hardware's, from the timing model."""
    timing, log = UnitTiming(design), Log(events={})
    for offer in offers:
        step = timing.step(offer.command, offer.pushed, offer.ready)
        log.pops.append(step.pop)
        if isinstance(offer.command, Post):
            log.dones.append(step.complete)
        for event, count in step.events.items():
            log.events[event] = log.events.get(event, 0) + count
    return log


@settings(max_examples=draws(60), deadline=None)
@given(st.randoms(use_true_random=False))
def test_values_cycles_and_events(rng: Random) -> None:
    design = post_design(
        rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 3), rng.choice([20, 32, 32]), rng.randint(1, 3),
        rng.choice([0, 3, 9, 9]), rng.randint(0, 1), draw_multiplier(rng), rng.randint(1, 2), rng.randint(0, 1),
        rng.choice([3, 5, 5]),
    )  # fmt: skip
    contents = draw_contents(rng, design)
    offers = draw_offers(rng, draw_commands(rng, design))
    log, activations = run(design, contents, offers)
    np.testing.assert_array_equal(activations, expected(design, contents, [offer.command for offer in offers]))
    model = timed(design, offers)
    assert (log.pops, log.dones, log.errors) == (model.pops, model.dones, [])
    assert log.events == model.events | {event: 0 for event in log.events if event not in model.events}


@pytest.mark.parametrize("name", ["wait_load", "wait_compute", "wait_store"])
def test_waits(name: str) -> None:
    design = post_design(1, 1, 1)
    command = replace(Post(dst_addr=HALF), **{name: (1 << 20) - 1})
    log, _ = run(design, draw_contents(Random(5), design), [Offer(ConfigPost(), -1), Offer(command, 0, 40)])
    assert log.pops == [0, 40]


def test_one_element_a_cycle_and_no_drain_between_commands() -> None:
    design = post_design(2, 1, 2)
    command = Post(out_h=3, out_w=4, chunks=2, dst_addr=HALF)
    offers = [Offer(ConfigPost(in_h=3, in_w=4), -1)] + [Offer(command, k) for k in range(4)]
    log, _ = run(design, draw_contents(Random(1), design), offers)
    assert np.diff(log.dones).tolist() == [24] * 3
    assert log.dones[0] == log.pops[1] + 24 + post_cycles(design)


def test_a_configuration_waits_for_the_pipeline_and_sees_what_was_written() -> None:
    """A POST that reads what the one before wrote: a configuration between them is enough."""
    design = post_design(1, 1, 2)
    contents = draw_contents(Random(2), design)
    config = ConfigPost(in_w=4, uniform_multiplier=3, uniform_shift=1)
    first = Post(out_w=4, uniform=1, from_activation=1, dst_addr=HALF)
    second = replace(first, src_addr=HALF, dst_addr=ACTIVATION_BANK)
    commands = [config, first, replace(config, zero_point=5), second]
    log, activations = run(design, contents, [Offer(c, k) for k, c in enumerate(commands)])
    np.testing.assert_array_equal(activations, expected(design, contents, commands))
    assert log.pops[2] == log.dones[0] + 1


def test_a_write_outside_is_suppressed_and_flagged() -> None:
    design = post_design(1, 2, 1)
    contents = draw_contents(Random(3), design)
    config = ConfigPost(in_w=9)
    outside = Post(out_w=3, dst_addr=ACTIVATION_BANK + 2 * HALF - 1, dst_chunk=1)
    log, activations = run(design, contents, [Offer(config, -1), Offer(outside, 0)])
    assert [code for _, code in log.errors] == [ErrorCode.BUFFER_RANGE] * 2
    inside = [config, replace(outside, out_w=1)]
    np.testing.assert_array_equal(activations, expected(design, contents, inside))
    assert log.events[Event.ACT_WRITES] == 1


def test_halt_starts_nothing_and_writes_nothing() -> None:
    design = post_design(1, 1, 2)
    contents = draw_contents(Random(4), design)
    commands = [ConfigPost(in_w=9), Post(out_w=8, dst_addr=HALF), Post(out_w=8, dst_addr=HALF + 20)]
    offers = [Offer(c, k) for k, c in enumerate(commands)]
    done = timed(design, offers).dones[0]
    log, activations = run(design, contents, offers, halt_at=done - 3)
    assert log.pops == timed(design, offers).pops[: len(log.pops)]
    full = expected(design, contents, commands[:2])
    full[0, HALF + 4 : HALF + 8] = contents.activations[0, HALF + 4 : HALF + 8]
    np.testing.assert_array_equal(activations[0, HALF : HALF + 8], full[0, HALF : HALF + 8])
