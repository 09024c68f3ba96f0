"""Sequencer, queues, loader, storer and run control together, against the recurrence: cycles from start to done.

Programs of LOAD, STORE, NOP and fetches with waits between the units; the compute side is absent.
"""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, Command, End, ErrorCode, Load, Nop, Store, Target
from accel.design import Design
from accel.events import Event
from accel.rtl.axi import read_master, write_master
from accel.rtl.control import Control
from accel.rtl.fifo import CommandQueue
from accel.rtl.loader import Loader
from accel.rtl.sequencer import Sequencer
from accel.rtl.storer import Storer
from accel.timing.recurrence import time_commands
from tests.benches.axi import BASE, EAGER, MANNERS, Manner, ReadMemory, WriteMemory
from tests.benches.draw import with_memory
from tests.benches.simulator import Bench
from tests.benches.wide import draws

DRAM_BYTES = 8192
BITS = [32, 64, 256, 512]


@cache
def design_of(bits: int) -> Design:
    return Design.model_validate(
        {
            "name": "memory",
            "array": {"rows": 8, "cols": 8},
            "buffers": {
                "activation_bytes": 4096,
                "weight_bytes": 4096,
                "accumulator_bytes": 4096,
                "parameter_bytes": 4096,
                "program_commands": 64,
            },
            "memory": {"axi_bits": bits, "latency_cycles": 20, "burst_beats": 4, "outstanding_bursts": 2},
            "clock_mhz": 100,
        }
    )


class MemorySide(wiring.Component):
    """The part of the accelerator that this test is about."""

    def __init__(self, design: Design) -> None:
        self.design = design
        super().__init__(
            {
                "start": In(1),
                "program_count": In(13),
                "watchdog": In(32),
                "abort": In(1),
                "read": Out(read_master(design.memory)),
                "write": Out(write_master(design.memory)),
                "done": Out(1),
                "error": Out(4),
                "commands": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        design, restart = self.design, ResetInserter(self.start)
        sequencer, loader, storer, control = Sequencer(design), Loader(design), Storer(design), Control()
        m.submodules.control = control
        m.submodules.sequencer = restart(sequencer)
        begin, busy = Signal(), Signal()
        m.d.sync += [begin.eq(self.start), busy.eq((busy | self.start) & ~control.done)]
        with m.If(sequencer.event_commands):
            m.d.sync += self.commands.eq(self.commands + 1)
        units = {"load": loader, "store": storer}
        complete = []
        for name, unit in units.items():
            queue = CommandQueue(design.buffers.queue_commands)
            m.submodules[name], m.submodules[f"{name}_queue"] = restart(unit), restart(queue)
            connect(m, getattr(sequencer, f"o_{name}"), queue.i)
            connect(m, queue.o, unit.i)
            pushed, completed = Signal(20, name=f"pushed_{name}"), Signal(20, name=f"completed_{name}")
            m.d.sync += [
                pushed.eq(pushed + getattr(sequencer, f"pushed_{name}")),
                completed.eq(completed + unit.done),
            ]
            m.d.comb += [
                *(getattr(other, f"completed_{name}").eq(completed) for other in units.values()),
                unit.halt.eq(control.halt),
                unit.dram_base.eq(BASE),
                unit.dram_size.eq(DRAM_BYTES),
            ]
            complete.append(pushed == completed)
        m.d.sync += sequencer.all_complete.eq(complete[0] & complete[1])
        outer, inner = wiring.flipped(self.read), wiring.flipped(self.write)
        connect(m, loader.axi, outer)
        connect(m, storer.axi, inner)
        m.d.comb += [
            sequencer.start.eq(begin),
            sequencer.program_count.eq(self.program_count),
            sequencer.program_write.eq(loader.program_write),
            sequencer.program_data.eq(loader.program_data),
            sequencer.halt.eq(control.halt),
            control.start.eq(self.start),
            control.busy.eq(busy),
            control.finished.eq(sequencer.finished),
            control.last.eq(1),
            control.errors.eq(sequencer.error | loader.error | storer.error),
            control.active.eq(self.read.rvalid | self.write.wvalid | self.write.bvalid | sequencer.event_commands),
            control.quiet.eq(loader.idle & storer.idle),
            control.watchdog.eq(self.watchdog),
            control.abort.eq(self.abort),
            self.done.eq(control.done),
            self.error.eq(control.error),
        ]
        return m


@cache
def bench_of(bits: int) -> Bench:
    return Bench(MemorySide(design_of(bits)))


def run(
    bits: int,
    commands: list[Command],
    count: int,
    design: Design,
    stalls: Random | None = None,
    limit: int = 0,
    abort: int = -1,
    manner: Manner = EAGER,
):
    """Cycle of done, error, commands counted, and the memories."""
    image = np.random.default_rng(2).integers(0, 256, DRAM_BYTES).astype(np.uint8)
    program = b"".join(command.encode() for command in commands)
    image[: len(program)] = np.frombuffer(program, np.uint8)
    pace = design.beat_bytes, design.memory.latency_cycles, design.memory.beat_interval_cycles, stalls
    reads = ReadMemory(image, *pace, manner=manner)
    writes = WriteMemory(DRAM_BYTES, *pace, manner)
    bench, result = bench_of(bits), []

    async def body(ctx) -> None:
        unit = bench.unit
        ctx.set(unit.program_count, count)
        ctx.set(unit.watchdog, limit)
        for cycle in range(20000):
            ctx.set(unit.start, cycle == 0)
            ctx.set(unit.abort, cycle == abort)
            reads.drive(ctx, unit.read, cycle)
            writes.drive(ctx, unit.write, cycle)
            reads.observe(tuple(ctx.get(value) for value in reads.watched(unit.read)), cycle)
            writes.observe(tuple(ctx.get(value) for value in writes.watched(unit.write)), cycle)
            if ctx.get(unit.done):
                result.extend([cycle, ctx.get(unit.error), ctx.get(unit.commands)])
                return
            await ctx.tick()
        raise AssertionError("never done")

    bench.run(body)
    return (*result, reads, writes)


def draw_program(rng: Random, beat: int) -> tuple[list[Command], int]:
    """Batches of commands, each but the last with the fetch of the next one somewhere in it."""
    each = max(1, beat // COMMAND_BYTES)
    batches = [each * rng.randint(1, 6) for _ in range(rng.randint(1, 4))]
    commands: list[Command] = []
    fetched = batches[0]
    loads, stores = 1, 0
    for index, size in enumerate(batches):
        fetch_at = rng.randrange(size)
        for k in range(size):
            if index + 1 < len(batches) and k == fetch_at:
                following = batches[index + 1]
                beats = max(1, following * COMMAND_BYTES // beat)
                commands.append(Load(target=Target.PROGRAM, dram_addr=fetched * COMMAND_BYTES, row_beats=beats))
                fetched += following
                loads += 1
            elif index + 1 == len(batches) and k == size - 1:
                commands.append(End())
            elif rng.random() < 0.1:
                commands.append(Nop())
            elif rng.random() < 0.5:
                wait = rng.choice([0, 0, rng.randint(0, stores)])
                size_beats, target = rng.randint(1, 9), rng.choice([Target.ACTIVATION, Target.WEIGHT])
                commands.append(Load(target=target, row_beats=size_beats, rows=rng.randint(1, 2), wait_store=wait))
                loads += 1
            else:
                wait = rng.choice([0, 0, rng.randint(0, loads)])
                commands.append(Store(row_words=rng.randint(1, 20), wait_load=wait))
                stores += 1
    return commands, batches[0]


@settings(max_examples=draws(25), deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(BITS))
def test_cycles_from_start_to_done(rng: Random, bits: int) -> None:
    design = with_memory(design_of(bits), rng.choice([1, 5, 40]), rng.choice([1, 1, 2, 3]))
    commands, count = draw_program(rng, design.beat_bytes)
    expected = time_commands(design, tuple(commands), 0, count)
    cycles, error, dispatched, reads, writes = run(bits, commands, count, design)
    assert error == 0
    assert cycles == expected.cycles
    assert dispatched == expected.events[Event.COMMANDS]
    assert reads.beats == expected.events[Event.READ_BEATS]
    assert len(writes.channel.bursts) == expected.events[Event.WRITE_BURSTS]


@pytest.mark.parametrize("commands", [[End()], [Nop(), Nop(), End()], [Store(), Nop(), End()]], ids=["1", "2", "3"])
def test_what_fills_the_last_beat_after_end_takes_no_time(commands: list[Command]) -> None:
    design = with_memory(design_of(512), 1, 16)
    assert len(commands) % 2 == 1
    full = [*commands, Nop()]
    cycles, error, *_ = run(512, full, len(commands), design)
    assert error == 0
    assert cycles == time_commands(design, tuple(full), 0, len(commands)).cycles


LOADS, STORES = [Load(target=Target.WEIGHT, row_beats=4)] * 15, [Store()] * 15


@pytest.mark.parametrize(
    "commands",
    [[*LOADS, Store(row_words=250, rows=8)], STORES, [*STORES, Load(target=Target.WEIGHT, row_beats=60, rows=2)]],
    ids=["loads", "stores", "a load behind stores"],
)
def test_depths_of_queues(commands: list[Command]) -> None:
    """What comes last is late by what the queue before it, and the unit behind that, do not take."""
    design = with_memory(design_of(512), 200, 1)
    cycles, error, *_ = run(512, [*commands, End(), Nop()], len(commands) + 1, design)
    assert error == 0
    assert cycles == time_commands(design, (*commands, End()), 0, len(commands) + 1).cycles


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(BITS), st.sampled_from(MANNERS))
def test_no_slave_that_axi_allows_stops_it(rng: Random, bits: int, manner: Manner) -> None:
    design = design_of(bits)
    commands, count = draw_program(rng, design.beat_bytes)
    stalls = Random(rng.getrandbits(32))
    _, error, dispatched, reads, _ = run(bits, commands, count, design, stalls, manner=manner)
    expected = time_commands(design, tuple(commands), 0, count)
    assert error == 0
    assert dispatched == expected.events[Event.COMMANDS]
    assert reads.beats == expected.events[Event.READ_BEATS]


STREAM = [Load(target=Target.WEIGHT, row_beats=60)] * 3 + [Store(row_words=100)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Load(target=Target.WEIGHT, dram_addr=DRAM_BYTES - 64, row_beats=20), ErrorCode.DRAM_RANGE),
        (Load(target=Target.WEIGHT, dst_addr=511, row_beats=20), ErrorCode.BUFFER_RANGE),
        (Load(target=Target.PROGRAM, row_beats=600), ErrorCode.PROGRAM_OVERFLOW),
        (Store(dram_addr=DRAM_BYTES - 64, row_words=200), ErrorCode.DRAM_RANGE),
        (Store(rows=0), ErrorCode.FIELD),
        (Store(wait_load=99), ErrorCode.TIMEOUT),
        (End(), ErrorCode.NONE),
    ],
    ids=["read", "buffer", "overflow", "write", "field", "timeout", "none"],
)
def test_errors_end_the_run_with_an_empty_bus(bad: Command, code: ErrorCode, seed: int) -> None:
    commands = [*STREAM, bad, *STREAM, End()]
    _, error, _, reads, writes = run(64, commands, len(commands), design_of(64), Random(seed), 400)
    assert error == code
    assert (reads.in_flight, writes.in_flight) == (0, 0)


@settings(max_examples=draws(30), deadline=None)
@given(st.integers(1, 450), st.integers(0, 1 << 16))
def test_an_abort_ends_the_run_with_an_empty_bus(cycle: int, seed: int) -> None:
    """Whatever is in flight: at most one burst of four beats each way is sent on, with every handshake stalled."""
    commands = [*STREAM, *STREAM, End()]
    done, error, _, reads, writes = run(64, commands, len(commands), design_of(64), Random(seed), abort=cycle)
    assert (error, reads.in_flight, writes.in_flight) == (ErrorCode.ABORTED, 0, 0)
    assert done < cycle + 150
