"""The sequencer: order and cycles of dispatch, the first fetch, and the checks of every command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import (
    COMMANDS,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    ErrorCode,
    Load,
    Nop,
    Post,
    Store,
    Target,
    decode,
    used_bits,
)
from accel.latency import FETCHED_CYCLES, FIRST_PUSH_CYCLE, SEQUENCER_INTERVAL
from accel.layout import beats
from accel.marks import in_luts
from accel.rtl.sequencer import Sequencer
from accel.units import UNIT_NAMES, UNIT_OF
from tests.benches.legal import BAD, BAD_WIDE, CONFIGURATION, draw_legal
from tests.benches.simulator import Bench
from tests.benches.unit_designs import sequencer_design

FIRST = 6  # commands of the first fetch in these tests


_make = ["portable"]  # of the multipliers: with blocks of an ECP5 marks lie in LUT RAM


@pytest.fixture(params=["portable", "ecp5"], scope="module", autouse=True)
def make(request: pytest.FixtureRequest) -> None:
    """All tests with marks beside their commands, and in a memory of their own."""
    _make[0] = request.param


def bench_of(bits: int = 64, filter_side: int = 3, cols: int = 6) -> Bench:
    return _bench_of(bits, filter_side, cols, _make[0])


@cache
def _bench_of(bits: int, filter_side: int, cols: int, make: str) -> Bench:
    design = sequencer_design(bits, filter_side, cols).model_copy(update={"multiplier": make})
    assert in_luts(design) == (make == "ecp5")
    return Bench(Sequencer(design))


class Run:
    """Commands written to the program buffer in given cycles; `ready(unit, cycle)` says whether its queue has room."""

    def __init__(
        self,
        words: list[bytes],
        written: list[int],
        ready: Callable[[str, int], bool] = lambda unit, cycle: True,
        complete_from: int = 0,
        bits: int = 64,
        offset: int = 4096,
        count: int = FIRST,
        cycles: int = 400,
        filter_side: int = 3,
        cols: int = 6,
    ) -> None:
        self.words, self.written, self.ready, self.complete_from = words, written, ready, complete_from
        self.bench, self.offset, self.count, self.cycles = bench_of(bits, filter_side, cols), offset, count, cycles
        self.pushes: list[tuple[int, str, Command]] = []
        self.counted: list[tuple[int, str]] = []
        self.events = self.error = 0
        self.finished: int | None = None
        self.bench.run(self.body)

    async def body(self, ctx) -> None:
        unit = self.bench.unit
        ctx.set(unit.program_offset, self.offset)
        ctx.set(unit.program_count, self.count)
        words = dict(zip(self.written, self.words, strict=True))
        for cycle in range(self.cycles):
            ctx.set(unit.start, cycle == 1)
            ctx.set(unit.program_write, cycle in words)
            ctx.set(unit.program_data, int.from_bytes(words.get(cycle, b""), "little"))
            ctx.set(unit.all_complete, cycle >= self.complete_from)
            for name in UNIT_NAMES:
                ctx.set(getattr(unit, f"o_{name}").ready, self.ready(name, cycle))
            for name in UNIT_NAMES:
                stream = getattr(unit, f"o_{name}")
                if ctx.get(stream.valid) and self.ready(name, cycle):
                    self.pushes.append((cycle, name, decode(int(ctx.get(stream.payload)).to_bytes(32, "little"))))
                if ctx.get(getattr(unit, f"pushed_{name}")):
                    self.counted.append((cycle, name))
            self.events += ctx.get(unit.event_commands)
            if ctx.get(unit.finished):
                self.finished = cycle
            self.error = self.error or ctx.get(unit.error)
            halt = bool(self.error)
            await ctx.tick()
            ctx.set(unit.halt, halt)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_and_cycles_of_dispatch(rng: Random) -> None:
    kinds = [Load, ConfigCompute, Compute, ConfigPost, Post, Store, Nop]
    commands = [draw_legal(rng, kind) for kind in (ConfigPost, ConfigCompute)]
    commands += [draw_legal(rng, rng.choice(kinds)) for _ in range(rng.randint(1, 20))] + [End()]
    seed, room = rng.getrandbits(32), rng.choice([100, 50, 20])

    def ready(unit: str, cycle: int) -> bool:
        return cycle == FIRST_PUSH_CYCLE or Random(f"{seed} {unit} {cycle}").randrange(100) < room

    written: list[int] = []
    taken: list[int] = []
    expected, counted = [], []
    at = 0
    complete = rng.randint(0, 300)
    for index, command in enumerate(commands):
        cycle = (written[-1] + rng.choice([1, 1, 9])) if written else rng.randint(3, 30)
        if index >= 8:
            cycle = max(cycle, taken[index - 8] + 1)  # the buffer holds eight commands
        written.append(cycle)
        at = max(at + SEQUENCER_INTERVAL, cycle + FETCHED_CYCLES)
        unit = UNIT_OF[type(command)].name if type(command) in UNIT_OF else None
        while unit and not ready(unit, at):
            at += 1
        if unit:
            expected.append((at, unit, command))
        if unit and type(command) is UNIT_OF[type(command)].counted:
            counted.append((at, unit))
        taken.append(at)
    run = Run([c.encode() for c in commands], written, ready, complete, cycles=max(at, complete) + 3)
    fetch = Load(dram_addr=4096, target=Target.PROGRAM, row_beats=beats(sequencer_design(), Target.PROGRAM, FIRST))
    assert run.pushes == [(FIRST_PUSH_CYCLE, "load", fetch), *expected]
    assert run.counted == [(FIRST_PUSH_CYCLE, "load"), *counted]
    assert run.events == len(expected) + 1
    assert run.finished == max(at, complete)
    assert run.error == 0


@pytest.mark.parametrize("bits", [32, 128, 512])
@pytest.mark.parametrize("count", [1, 7, 8])
def test_the_first_fetch_brings_whole_beats(bits: int, count: int) -> None:
    run = Run([], [], bits=bits, count=count, cycles=6)
    row_beats = beats(sequencer_design(bits), Target.PROGRAM, count)
    assert run.pushes == [(FIRST_PUSH_CYCLE, "load", Load(dram_addr=4096, target=Target.PROGRAM, row_beats=row_beats))]


@pytest.mark.parametrize(("offset", "count"), [(4096, 0), (4100, 3)])
def test_a_first_fetch_of_nothing_or_not_aligned_is_an_error(offset: int, count: int) -> None:
    run = Run([], [], offset=offset, count=count, cycles=6)
    assert (run.error, run.pushes) == (ErrorCode.FIELD, [])


def error_of(word: bytes, before: Sequence[Command] = CONFIGURATION, filter_side: int = 3, cols: int = 6) -> int:
    """The error of a command behind others that are legal."""
    words = [*(command.encode() for command in before), word]
    run = Run(words, list(range(3, 3 + len(words))), cycles=14 + 2 * len(words), filter_side=filter_side, cols=cols)
    assert len(run.pushes) == 1 + len(before) + (run.error == 0 and word[0] & 15 not in (End.OPCODE, Nop.OPCODE))
    return run.error


@pytest.mark.parametrize("opcode", [0, *range(9, 16)])
def test_illegal_opcodes(opcode: int) -> None:
    assert error_of(bytes([opcode]) + bytes(31)) == ErrorCode.OPCODE


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=lambda c: c.__name__)
def test_a_bit_above_the_last_field_is_an_error(kind: type[Command]) -> None:
    word = int.from_bytes(draw_legal(Random(1), kind).encode(), "little")
    assert error_of(word.to_bytes(32, "little")) == 0
    for bit in (used_bits(kind), 255):
        if used_bits(kind) <= bit < 256:
            assert error_of((word | 1 << bit).to_bytes(32, "little")) == ErrorCode.FIELD


@pytest.mark.parametrize(("good", "change"), BAD, ids=lambda v: type(v).__name__ if isinstance(v, Command) else str(v))
def test_illegal_fields(good: Command, change: dict[str, int]) -> None:
    assert error_of(good.encode()) == 0
    assert error_of(replace(good, **change).encode()) == ErrorCode.FIELD


@pytest.mark.parametrize(("good", "change"), BAD_WIDE, ids=str)
def test_illegal_fields_of_larger_windows(good: Command, change: dict[str, int]) -> None:
    assert error_of(good.encode(), filter_side=5) == 0
    assert error_of(replace(good, **change).encode(), filter_side=5) == ErrorCode.FIELD


@pytest.mark.parametrize("chunk", range(12))
def test_sums_have_the_chunks_of_all_columns(chunk: int) -> None:
    """More of them than a word of activations has, 8 and 4 here, where the array has more columns than rows."""
    for from_activation, chunks in ((0, 8), (1, 4)):
        error = error_of(Post(src_chunk=chunk, from_activation=from_activation).encode(), cols=24)
        assert error == (0 if chunk < chunks else ErrorCode.FIELD)


@pytest.mark.parametrize(("command", "needs"), [(Compute(), ConfigCompute()), (Post(), ConfigPost())], ids=["c", "p"])
def test_nothing_runs_before_its_configuration(command: Command, needs: Command) -> None:
    other = next(c for c in CONFIGURATION if c != needs)
    assert error_of(command.encode(), []) == ErrorCode.FIELD
    assert error_of(command.encode(), [other]) == ErrorCode.FIELD
    assert error_of(command.encode(), [needs]) == 0


def test_a_command_too_many_is_an_error() -> None:
    def never(unit: str, cycle: int) -> bool:
        return cycle == FIRST_PUSH_CYCLE

    words = [Store().encode()] * 9
    assert Run(words[:8], list(range(3, 11)), never, cycles=30).error == 0
    assert Run(words, list(range(3, 12)), never, cycles=30).error == ErrorCode.PROGRAM_OVERFLOW


def test_nothing_is_dispatched_after_halt() -> None:
    words = [Store().encode(), bytes(32), Store().encode()]
    run = Run(words, [3, 4, 5], cycles=30)
    assert [unit for _, unit, _ in run.pushes] == ["load", "store"]
    assert run.finished is None
