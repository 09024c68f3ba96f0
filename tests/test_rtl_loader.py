"""The loader against its twin in numpy (what is written) and in sim (when)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, ErrorCode, Load, Target
from accel.design import Design
from accel.events import Event
from accel.layout import stride_bytes, target_depth, word_bytes
from accel.rtl.loader import Loader
from tests.benches import bus_unit
from tests.benches.axi import BASE, EAGER, Manner, ReadMemory
from tests.benches.draw import with_memory
from tests.benches.draw_windows import draw_window
from tests.benches.simulator import Bench
from tests.benches.timing import UnitTiming
from tests.benches.wide import draws

DRAM_BYTES = 24576
# rows, cols, lanes, AXI bits, beats of a burst, bursts in flight, commands in a queue
SHAPES = [
    (3, 5, 1, 32, 4, 2, 4),
    (8, 8, 8, 64, 16, 8, 4),
    (7, 7, 7, 64, 64, 1, 2),
    (5, 3, 1, 128, 8, 3, 1),
    (4, 6, 2, 256, 16, 8, 3),
    (17, 9, 1, 128, 1, 8, 4),
    (1, 1, 1, 512, 64, 2, 1),
    (64, 2, 2, 512, 2, 4, 1),
]


@cache
def design_of(shape: tuple[int, ...]) -> Design:
    rows, cols, lanes, bits, burst, outstanding, queue = shape
    return Design.model_validate(
        {
            "name": "loader",
            "array": {"rows": rows, "cols": cols},
            "buffers": {
                "activation_bytes": max(64, 2 * 100 * rows),
                "weight_bytes": max(64, 90 * cols),
                "accumulator_bytes": max(64, 8 * 16 * cols),
                "parameter_bytes": 8 * 40 * lanes,
                "program_commands": 64,
                "queue_commands": queue,
            },
            "post_lanes": lanes,
            "decoder_lanes": 1,
            "memory": {
                "axi_bits": bits,
                "latency_cycles": 20,
                "burst_beats": burst,
                "outstanding_bursts": outstanding,
            },
            "clock_mhz": 100,
        }
    )


@cache
def bench_of(shape: tuple[int, ...]) -> Bench:
    return Bench(Loader(design_of(shape)))


def draw_load(rng: Random, design: Design) -> Load:
    """A legal LOAD that stays in DRAM and in its buffer."""
    beat = design.beat_bytes
    target = Target(rng.choice([0, 0, 0, 1, 2, 3, 4, 5, 6]))
    stride = stride_bytes(word_bytes(design, target), beat)
    rows = 1 if target is Target.PROGRAM else rng.choice([1, 1, 2, 3, 5])
    depth = target_depth(design, target)
    window: dict[str, int] = {}
    if target is Target.ACTIVATION and rng.random() < 0.6:
        window = draw_window(rng, design, min(20, depth // rows))
        words, row_beats = window["row_words"], window.pop("row_beats")
    else:
        per_word = max(1, stride // beat)
        row_beats = rng.randint(1, max(1, min(40, depth // rows * stride // beat) // per_word)) * per_word
        row_beats += rng.choice([0, 0, rng.randint(0, per_word - 1)])  # a word that is not whole is not written
        words = row_beats * beat // stride
    rows = max(1, min(rows, depth // words))
    dst_pitch = rng.randint(words, max(words, depth // rows)) if rows > 1 else 0
    extent = (rows - 1) * dst_pitch + words
    bank = rng.randint(0, 1) << 19 if target is Target.ACTIVATION else 0
    pitch_beats = rng.randint(0, 70)
    extent_beats = (rows - 1) * pitch_beats + row_beats
    start = rng.randint(0, DRAM_BYTES // beat - extent_beats)
    return Load(
        dram_addr=start * beat,
        target=target,
        dst_addr=bank + (0 if target is Target.PROGRAM else rng.randint(0, max(0, depth - extent))),
        row_beats=row_beats,
        rows=rows,
        dram_pitch=pitch_beats * beat,
        dst_pitch=dst_pitch,
        wait_compute=rng.choice([0, 0, 1]),
        **window,
    )


def twin(design: Design, dram: np.ndarray, load: Load) -> list[tuple]:
    """(target, address, bytes of the written lanes, first of these lanes) in order."""
    target = Target(load.target)
    size = word_bytes(design, target)
    stride = stride_bytes(size, design.beat_bytes)
    out = []
    for y in range(load.rows):
        at = load.dram_addr + y * load.dram_pitch
        row = dram[at : at + load.row_beats * design.beat_bytes].tobytes()
        if load.window:
            out += window_twin(design, load, y, row)
            continue
        pieces = [row[i * stride :][:size] for i in range(len(row) // stride)]
        for i, piece in enumerate(pieces):
            address = None if target is Target.PROGRAM else load.dst_addr + y * load.dst_pitch + i
            out.append((target, address, piece, 0))
    return out


def window_twin(design: Design, load: Load, number: int, row: bytes) -> list[tuple]:
    """What row `number` of a window LOAD writes: each word to the windows that it is in, the lowest on chip first."""
    tall, apart, parts = load.zero_code, load.code_bits, load.parts + 1
    tops = [0]
    while (len(tops) - 1) * apart + tall < load.rows:
        tops.append(len(tops) * apart)
    out: list[tuple] = []
    for i in range(load.row_words):
        piece = row[load.skip_bytes + i // parts * load.step + i % parts * load.run :][: load.run]
        if len(piece) < load.run:
            break
        for y, top in reversed(list(enumerate(tops))):
            lane = load.lane + (number - top) * load.run
            if 0 <= number - top < tall:
                kept = piece[: max(0, design.rows - lane)]
                out.append((Target.ACTIVATION, load.dst_addr + y * load.dst_pitch + i, kept, lane if kept else None))
    return out


class Run(bus_unit.Run):
    """With the words that were written, and their cycles."""

    waits = "compute"

    def __init__(self, shape: tuple[int, ...], commands, pushed, ready, memory: ReadMemory, size: int = DRAM_BYTES):
        self.design = design_of(shape)
        self.writes: list[tuple] = []
        self.write_cycles: list[int] = []
        super().__init__(bench_of(shape), commands, pushed, ready, memory, size)

    def observe(self, ctx, cycle: int) -> None:
        unit = self.bench.unit
        ports = {
            Target.ACTIVATION: unit.w_act, Target.WEIGHT: unit.w_weight, Target.PARAMETER: unit.w_param,
            Target.CODEBOOK: unit.w_codebook, Target.TABLE: unit.w_table, Target.RUN_TABLE: unit.decoder.w_run,
            Target.VALUE_TABLE: unit.decoder.w_value,
        }  # fmt: skip
        self._writes(
            ctx, cycle, {t: port for t, port in ports.items() if ctx.get(port.en)}, ctx.get(unit.program_write)
        )

    def _writes(self, ctx, cycle: int, ports: dict, program: int) -> None:
        unit, design = self.bench.unit, self.design
        if program:
            data = int(ctx.get(unit.program_data)).to_bytes(COMMAND_BYTES, "little")
            self.writes.append((Target.PROGRAM, None, data, 0))
            self.write_cycles.append(cycle)
        for target, port in ports.items():
            size = word_bytes(design, target)
            data = int(ctx.get(port.data)).to_bytes(size, "little")
            mask = int(ctx.get(port.mask))
            lane_bytes = size // len(port.mask)
            lanes = [k for k in range(len(port.mask)) if mask >> k & 1]
            assert not lanes or lanes == list(range(lanes[0], lanes[-1] + 1))
            kept = b"".join(data[k * lane_bytes :][:lane_bytes] for k in lanes)
            self.writes.append((target, int(ctx.get(port.addr)), kept, lanes[0] if lanes else None))
            self.write_cycles.append(cycle)


def dram_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, DRAM_BYTES).astype(np.uint8)


def draw_run(
    rng: Random, shape: tuple[int, ...], stalls: bool, manner: Manner = EAGER
) -> tuple[Run, list[int], Design]:
    latency, interval = rng.choice([1, 2, rng.randint(1, 60)]), rng.choice([1, 1, 2, 3, 4, 16])
    design = with_memory(design_of(shape), latency, interval)
    commands = [draw_load(rng, design) for _ in range(rng.choice([1, 2, 4, 10]))]
    apart = rng.choice([2, 2, 80])
    pushed = list(accumulate(rng.randint(2, apart) for _ in commands))
    ready = [push + rng.choice([0, rng.randint(0, 60)]) if c.wait_compute else 0
             for c, push in zip(commands, pushed, strict=True)]  # fmt: skip
    seed = rng.getrandbits(32)
    random = Random(seed) if stalls else None
    memory = ReadMemory(dram_of(seed), design.beat_bytes, latency, interval, random, manner=manner)
    return Run(shape, commands, pushed, ready, memory), ready, design


@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES))
def test_words_and_cycles_equal_the_twins(rng: Random, shape: tuple[int, ...]) -> None:
    run, ready, design = draw_run(rng, shape, stalls=False)
    timing = UnitTiming(design)
    written = 0
    expected = []
    for command, pushed, waits, pop, done in zip(
        run.commands, run.pushed, ready, run.pops, run.dones, strict=True
    ):  # fmt: skip
        step = timing.step(command, pushed, waits)
        assert (pop, done) == (step.pop, step.complete), command
        words = twin(design, run.memory.content, command)
        if command.target == Target.PROGRAM:
            cycles = [timing.program_written(k) for k in range(len(words))]
            assert cycles == run.write_cycles[written : written + len(words)]
        written += len(words)
        expected += words
    assert run.writes == expected
    assert run.error == 0


@settings(max_examples=draws(30), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES), st.booleans(), st.booleans())
def test_stalls_and_slaves_that_wait_change_nothing_but_the_cycles(
    rng: Random, shape: tuple[int, ...], stalls: bool, waits: bool
) -> None:
    run, _, design = draw_run(rng, shape, stalls, Manner(ar_waits_for="arvalid") if waits else EAGER)
    assert run.writes == [word for command in run.commands for word in twin(design, run.memory.content, command)]


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES))
def test_events_equal_what_the_bus_and_the_memories_saw(rng: Random, shape: tuple[int, ...]) -> None:
    run, ready, design = draw_run(rng, shape, stalls=False)
    timing, total = UnitTiming(design), dict.fromkeys(Event, 0)
    for command, pushed, waits in zip(run.commands, run.pushed, ready, strict=True):
        for event, count in timing.step(command, pushed, waits).events.items():
            total[event] += count
    targets = [write[0] for write in run.writes]
    assert total[Event.READ_BEATS] == run.memory.beats
    assert total[Event.READ_BURSTS] == len(run.memory.channel.bursts)
    assert total[Event.ACT_WRITES] == targets.count(Target.ACTIVATION)
    assert total[Event.WEIGHT_WRITES] == targets.count(Target.WEIGHT)
    assert total[Event.PARAM_WRITES] == targets.count(Target.PARAMETER)


def run_one(command: Load, bad: tuple[int, ...] = (), size: int = DRAM_BYTES, seed: int = 2, base: int = BASE) -> Run:
    memory = ReadMemory(dram_of(1), design_of(SHAPES[1]).beat_bytes, 9, 1, Random(seed), size)
    memory.bad, memory.channel.base = set(bad), base
    return Run(SHAPES[1], [command], [0], [0], memory, size)


def test_no_burst_leaves_the_dram() -> None:
    run = run_one(Load(target=Target.WEIGHT, dram_addr=800, row_beats=30), size=1000)  # a byte short: 800 + 240 > 1000
    assert run.error == ErrorCode.DRAM_RANGE
    assert run.memory.channel.bursts == [(800, 12)]  # the next one would end at 1024
    whole = run_one(Load(target=Target.WEIGHT, dram_addr=760, row_beats=30), size=1000)
    assert (whole.error, len(whole.writes)) == (0, 30)


@pytest.mark.parametrize(("offset", "bursts"), [(4096 - 240, [(3856, 14), (3968, 16)]), (4088, [(4088, 1)])])
def test_an_address_beyond_32_bits_is_outside(offset: int, bursts: list[tuple[int, int]]) -> None:
    """The last 4 KiB that an address reaches, of a DRAM that is said to be larger: what ends there is read."""
    load = Load(target=Target.WEIGHT, dram_addr=offset, row_beats=30)
    run = run_one(load, size=8192, base=0xFFFF_F000)
    fits = offset + 8 * load.row_beats <= 4096
    assert (run.error, run.memory.channel.bursts) == (0 if fits else ErrorCode.DRAM_RANGE, bursts)


def test_an_offset_beyond_32_bits_is_outside() -> None:
    load = Load(target=Target.WEIGHT, dram_addr=0xE000_0000, rows=40, dram_pitch=(1 << 28) - 8)
    run = run_one(load, size=0xFFFF_FFF8, base=0)
    assert run.error == ErrorCode.DRAM_RANGE
    # The next one is at 2**32 + 0x0FFF_FFE8.
    assert [at for at, _ in run.memory.channel.bursts] == [0xE000_0000, 0xEFFF_FFF8, 0xFFFF_FFF0]


@pytest.mark.parametrize(
    ("target", "depth"), [(t, target_depth(design_of(SHAPES[1]), t)) for t in Target if t is not Target.PROGRAM]
)
def test_no_word_is_written_outside_its_memory(target: Target, depth: int) -> None:
    step = {Target.CODEBOOK: 8, Target.RUN_TABLE: 2, Target.VALUE_TABLE: 2, Target.TABLE: 2}.get(
        target, 1
    )  # words of a beat
    bank = (1 << 19) if target is Target.ACTIVATION else 0
    per_word = 8 if target is Target.PARAMETER else 1
    inside = Load(target=target, dst_addr=bank + depth - 2 * step, row_beats=2 * per_word)
    assert run_one(inside).error == 0
    run = run_one(Load(target=target, dst_addr=bank + depth - 2 * step + 1, row_beats=2 * per_word))
    assert run.error == ErrorCode.BUFFER_RANGE
    rows = replace(inside, row_beats=per_word, rows=2, dst_pitch=step)
    assert run_one(rows).error == 0
    assert run_one(replace(rows, dst_pitch=2 * step)).error == ErrorCode.BUFFER_RANGE
    assert len(run.writes) == 2 * step - 1


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_response_stops_it_and_the_bus_is_emptied(seed: int) -> None:
    # Many short bursts, so that now and then an address is waiting when the error comes: it must stay.
    run = run_one(Load(target=Target.WEIGHT, rows=80, dram_pitch=24, dst_pitch=1), bad=(5,), seed=seed)
    assert run.error == ErrorCode.AXI_RESPONSE
    assert len(run.writes) < 80
