"""The storer against its twin in numpy (what DRAM holds) and in sim (when)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import accumulate
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import ErrorCode, Store, Target
from accel.design import Design
from accel.events import Event
from accel.layout import beats, stride_bytes
from accel.rtl.storer import Storer
from tests.benches import bus_unit
from tests.benches.axi import BASE, EAGER, MANNERS, Manner, WriteMemory
from tests.benches.draw import with_memory
from tests.benches.simulator import Bench
from tests.benches.timing import UnitTiming
from tests.benches.wide import draws

DRAM_BYTES = 16384
BANK_WORDS = 120
Shape = tuple[int, int, int, int]  # rows, AXI bits, beats of a burst, registers of the activation banks
SHAPES = [(3, 32, 4, 1), (8, 64, 16, 1), (7, 64, 1, 1), (5, 128, 8, 1), (4, 256, 16, 1), (17, 32, 64, 1),
          (1, 512, 4, 1), (64, 128, 2, 1), (8, 64, 16, 2), (5, 128, 8, 2), (17, 32, 64, 2)]  # fmt: skip


@cache
def design_of(shape: Shape) -> Design:
    rows, bits, burst, stages = shape
    return Design.model_validate(
        {
            "name": "storer",
            "array": {"rows": rows, "cols": 2},
            "buffers": {
                "activation_bytes": 2 * BANK_WORDS * rows,
                "weight_bytes": 64,
                "accumulator_bytes": 128,
                "parameter_bytes": 128,
            },
            "post_lanes": 1,
            "memory_stages": stages,
            "memory": {"axi_bits": bits, "latency_cycles": 20, "burst_beats": burst},
            "clock_mhz": 100,
        }
    )


@cache
def bench_of(shape: Shape) -> Bench:
    return Bench(Storer(design_of(shape)))


def draw_stores(rng: Random, design: Design) -> list[Store]:
    """STOREs that lie behind one another in DRAM, so that no one overwrites another."""
    beat, free = design.beat_bytes, 0
    commands = []
    for _ in range(rng.choice([1, 2, 4, 10])):
        rows, row_words = rng.choice([1, 1, 2, 4]), rng.randint(1, rng.choice([3, 30]))
        row_beats = beats(design, Target.ACTIVATION, row_words)
        pitch = row_beats + rng.choice([0, 0, rng.randint(0, 9)])
        start = free + rng.randint(0, 20)
        free = start + (rows - 1) * pitch + row_beats
        src_pitch = rng.randint(0, (BANK_WORDS - row_words) // max(1, rows - 1))
        extent = (rows - 1) * src_pitch + row_words
        if free > min(800, DRAM_BYTES // beat):
            break
        line = rng.randint(2, 40)
        gap = rng.choice([0, 0, rng.randint(1, min(line - 1, 63))])
        commands.append(
            Store(
                full_words=rng.choice([0, rng.randint(0, rows * row_words)]),
                unused_lanes=rng.choice([0, rng.randint(0, design.rows - 1)]),
                line_at=rng.randint(0, line - 1),
                line_words=line,
                gap_words=gap,
                dram_addr=start * beat,
                src_addr=(rng.randint(0, 1) << 19) + rng.randint(0, max(0, BANK_WORDS - extent)),
                row_words=row_words,
                rows=rows,
                dram_pitch=pitch * beat,
                src_pitch=src_pitch if rows > 1 else 0,
                wait_post=rng.choice([0, 0, 1]),
            )
        )
    return commands or [Store()]


def twin(design: Design, banks: np.ndarray, commands: list[Store]) -> tuple[np.ndarray, np.ndarray]:
    """What DRAM holds, and which of its bytes were written; word by word, lane by lane."""
    content, written = np.zeros(DRAM_BYTES, np.uint8), np.zeros(DRAM_BYTES, bool)
    stride = stride_bytes(design.rows, design.beat_bytes)
    for command in commands:
        count = beats(design, Target.ACTIVATION, command.row_words) * design.beat_bytes
        for y in range(command.rows):
            to = command.dram_addr + y * command.dram_pitch
            content[to : to + count], written[to : to + count] = 0, True
            for x in range(command.row_words):
                number = y * command.row_words + x
                lanes = design.rows - (command.unused_lanes if number >= command.full_words else 0)
                place = (command.line_at + x) % command.line_words if command.gap_words else 0
                if command.gap_words and place >= command.line_words - command.gap_words:
                    lanes = 0
                at = to + x * stride
                word = banks[command.src_addr >> 19, command.src_addr % (1 << 19) + y * command.src_pitch + x]
                content[at : at + lanes] = word[:lanes].view(np.uint8)
                written[at + lanes : at + design.rows] = False
    return content, written


class Run(bus_unit.Run):
    """With the activation banks that it reads."""

    waits = "post"

    def __init__(self, shape: Shape, commands, pushed, ready, memory: WriteMemory, size: int) -> None:
        self.design = design_of(shape)
        self.banks = np.random.default_rng(5).integers(-128, 128, (2, BANK_WORDS, self.design.rows)).astype(np.int8)
        self.reads = 0
        self.coming: list[bytes | None] = [None] * (self.design.memory_stages - 1)
        super().__init__(bench_of(shape), commands, pushed, ready, memory, size)

    def observe(self, ctx, cycle: int) -> None:
        port = self.bench.unit.r_act
        self.address = ctx.get(port.addr) if ctx.get(port.en) else None

    def answer(self, ctx) -> None:
        """A word, with two registers there for its cycle only, else garbage."""
        word = None
        if self.address is not None:
            self.reads += 1
            word = self.banks[self.address >> 19, self.address % (1 << 19) % BANK_WORDS].tobytes()
        *coming, found = [word, *self.coming]
        self.coming = coming
        if found or coming:
            ctx.set(self.bench.unit.r_act.data, int.from_bytes(found or bytes([0xA5] * self.design.rows), "little"))


def draw_run(rng: Random, shape: Shape, stalls: bool, manner: Manner = EAGER) -> tuple[Run, Design]:
    latency, interval = rng.choice([1, 2, rng.randint(1, 60)]), rng.choice([1, 1, 2, 3, 4, 16])
    design = with_memory(design_of(shape), latency, interval)
    commands = draw_stores(rng, design)
    apart = rng.choice([2, 2, 80])
    pushed = list(accumulate(rng.randint(2, apart) for _ in commands))
    ready = [push + rng.choice([0, rng.randint(0, 60)]) if c.wait_post else 0
             for c, push in zip(commands, pushed, strict=True)]  # fmt: skip
    random = Random(rng.getrandbits(32)) if stalls else None
    memory = WriteMemory(DRAM_BYTES, design.beat_bytes, latency, interval, random, manner)
    return Run(shape, commands, pushed, ready, memory, DRAM_BYTES), design


def check_content(run: Run, design: Design) -> None:
    content, written = twin(design, run.banks, run.commands)
    assert np.array_equal(run.memory.written, written)
    assert np.array_equal(run.memory.content, content)
    assert run.error == 0


@settings(max_examples=draws(50), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES))
def test_bytes_cycles_and_events_equal_the_twins(rng: Random, shape: Shape) -> None:
    run, design = draw_run(rng, shape, stalls=False)
    check_content(run, design)
    timing, total = UnitTiming(design), dict.fromkeys(Event, 0)
    for command, pushed, waits, pop, done in zip(
        run.commands, run.pushed, run.ready, run.pops, run.dones, strict=True
    ):  # fmt: skip
        step = timing.step(command, pushed, waits)
        assert (pop, done) == (step.pop, step.complete), command
        for event, count in step.events.items():
            total[event] += count
    assert total[Event.WRITE_BURSTS] == len(run.memory.channel.bursts)
    assert total[Event.WRITE_BEATS] == sum(length for _, length in run.memory.channel.bursts)
    assert total[Event.ACT_READS] == run.reads


@settings(max_examples=draws(25), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES))
def test_stalls_change_nothing_but_the_cycles(rng: Random, shape: Shape) -> None:
    run, design = draw_run(rng, shape, stalls=True)
    check_content(run, design)


@settings(max_examples=draws(60), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(SHAPES), st.sampled_from(MANNERS), st.booleans())
def test_every_slave_that_axi_allows_is_served(rng: Random, shape: Shape, manner: Manner, stalls: bool) -> None:
    run, design = draw_run(rng, shape, stalls, manner)
    check_content(run, design)


def run_one(command: Store, bad: tuple[int, ...] = (), size: int = DRAM_BYTES, seed: int = 2, base: int = BASE) -> Run:
    memory = WriteMemory(DRAM_BYTES, 8, 9, 1, Random(seed))
    memory.channel.size, memory.channel.base = size, base
    memory.bad = set(bad)
    return Run(SHAPES[1], [command], [0], [0], memory, size)


def test_no_burst_leaves_the_dram() -> None:
    run = run_one(Store(dram_addr=800, row_words=30), size=1000)
    assert run.error == ErrorCode.DRAM_RANGE
    assert run.memory.channel.bursts == [(800, 12)]  # the next one would end at 1024
    whole = run_one(Store(dram_addr=760, row_words=30), size=1000)
    assert (whole.error, int(whole.memory.written.sum())) == (0, 240)


def test_an_offset_beyond_32_bits_is_outside() -> None:
    run = run_one(Store(dram_addr=0xE000_0000, rows=40, dram_pitch=(1 << 28) - 8), size=0xFFFF_FFF8, base=0)
    assert run.error == ErrorCode.DRAM_RANGE
    # The next one is at 2**32 + 0x0FFF_FFE8.
    assert [at for at, _ in run.memory.channel.bursts] == [0xE000_0000, 0xEFFF_FFF8, 0xFFFF_FFF0]


@pytest.mark.parametrize(("offset", "bursts"), [(4096 - 240, [(3856, 14), (3968, 16)]), (4088, [(4088, 1)])])
def test_an_address_beyond_32_bits_is_outside(offset: int, bursts: list[tuple[int, int]]) -> None:
    """The last 4 KiB that an address reaches, of a DRAM that is said to be larger: what ends there is written."""
    store = Store(dram_addr=offset, row_words=30)
    run = run_one(store, size=DRAM_BYTES, base=0xFFFF_F000)
    fits = offset + 8 * store.row_words <= 4096
    assert (run.error, run.memory.channel.bursts) == (0 if fits else ErrorCode.DRAM_RANGE, bursts)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", SHAPES)
def test_no_word_beyond_the_bank_is_written(shape: Shape, seed: int) -> None:
    """Bursts whose addresses are out are completed, without strobes; what was written before is right."""
    design, rng = design_of(shape), Random(seed)
    rows, good, pitch = rng.randint(1, 3), rng.randint(1, 9), rng.randint(1, 9)
    first = (rng.randint(0, 1) << 19) + BANK_WORDS - good - (rows - 1) * pitch
    whole = Store(0, 0, 0, 0, first, good, rows, 64 * design.beat_bytes, pitch)
    memories = [WriteMemory(DRAM_BYTES, design.beat_bytes, 5, 1 + seed % 2, rng if seed else None) for _ in range(2)]
    assert Run(shape, [whole], [0], [0], memories[0], DRAM_BYTES).error == 0
    longer = replace(whole, row_words=good + 1)  # by a word that the bank does not have, in the last row
    run = Run(shape, [longer], [0], [0], memories[1], DRAM_BYTES)
    assert run.error == ErrorCode.BUFFER_RANGE
    last = replace(whole, rows=1, src_addr=first + (rows - 1) * pitch, dram_addr=(rows - 1) * whole.dram_pitch)
    earlier = [replace(longer, rows=rows - 1)] if rows > 1 else []
    content, sound = twin(design, run.banks, [*earlier, last])
    written = run.memory.written
    assert not (written & ~sound).any()
    assert np.array_equal(run.memory.content[written], content[written])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("rows", "row_words"), [(1, 100), (100, 1)])
def test_a_bad_response_stops_it_after_a_whole_burst(rows: int, row_words: int, seed: int) -> None:
    run = run_one(Store(rows=rows, row_words=row_words, dram_pitch=16), bad=(2,), seed=seed)
    assert run.error == ErrorCode.AXI_RESPONSE
    assert 2 < len(run.memory.channel.bursts) < (7 if rows == 1 else 60)


def test_four_commands_may_wait_for_their_responses() -> None:
    memory = WriteMemory(DRAM_BYTES, 8, 100, 1, None)
    commands = [Store(dram_addr=8 * k) for k in range(9)]
    run = Run(SHAPES[1], commands, list(range(0, 18, 2)), [0] * 9, memory, DRAM_BYTES)
    timing = UnitTiming(with_memory(run.design, 100, 1))
    steps = [timing.step(command, 2 * k, 0) for k, command in enumerate(commands)]
    assert [step.pop for step in steps] == run.pops
    assert [step.complete for step in steps] == run.dones
    assert run.pops[4] == run.dones[0] + 1 > run.pops[3] + 90


def test_a_burst_of_whole_words_is_sent_at_one_beat_a_cycle() -> None:
    memory = WriteMemory(DRAM_BYTES, 8, 30, 1, None)
    run = Run(SHAPES[1], [Store(row_words=96)], [0], [0], memory, DRAM_BYTES)
    # 96 beats in 6 bursts: 5 more addresses, 5 cycles until the first beat, 31 for the last response
    assert run.dones == [1 + 4 + 96 + 5 + 30]
