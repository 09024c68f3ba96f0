"""The whole emitted hardware when something is wrong: an error code and done, nothing outside, and a sound next run."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import (
    COMMAND_BYTES,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    ErrorCode,
    Load,
    Post,
    Store,
    Target,
)
from accel.compile import compile_network
from accel.design import Design
from accel.events import Event
from accel.gemm import gemm_network
from models.reference_integer import run
from sim.timing import time_program
from tests.draw import draw_network
from tests.verilator_bench import Built, Case, Outcome, case_of

pytestmark = pytest.mark.rtl
WATCHDOG = 3000
MOST_CYCLES = 60_000


def design_of() -> Design:
    return Design.model_validate(
        {
            "name": "top",
            "array": {"rows": 4, "cols": 6},
            "buffers": {
                "activation_bytes": 4000,
                "weight_bytes": 1200,
                "accumulator_bytes": 2400,
                "parameter_bytes": 800,
                "program_commands": 12,
            },
            "memory": {"axi_bits": 64, "latency_cycles": 9, "beat_interval_cycles": 1, "burst_beats": 16},
            "clock_mhz": 100,
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(design_of(), tmp_path_factory.mktemp("top"))


@pytest.fixture(scope="module")
def sound(built: Built) -> tuple[Case, int]:
    """A program that works, and its cycles."""
    network = gemm_network(20, 40, 30)
    program = compile_network(network, built.design)
    codes = np.random.default_rng(0).integers(-128, 128, (40, 1, 20)).astype(np.int8)
    case = case_of(program, codes)
    outcome = built.run([case])[0]
    expected = run(network, codes[None])[network.output][0]
    np.testing.assert_array_equal(program.unpack_output(outcome.memory), expected)
    return case, time_program(program).cycles


def bare(commands: list[Command], count: int | None = None, size: int = 4096) -> Case:
    """A case of a few commands at the start of DRAM, behind them a pattern."""
    memory = (np.arange(size) % 251).astype(np.uint8)
    text = b"".join(c if isinstance(c, bytes) else c.encode() for c in commands)
    memory[: len(text)] = np.frombuffer(text, np.uint8)
    return Case(memory, 0, count or len(commands), 9, 1, watchdog=WATCHDOG, max_cycles=MOST_CYCLES)


def ends_with(built: Built, sound: tuple[Case, int], case: Case, code: ErrorCode) -> Outcome:
    """The case ends with `code`, DRAM is as before, and the next run is exact."""
    good, cycles = sound
    failed, after = built.run([case, good])
    assert failed.done
    assert ErrorCode(failed.error) is code
    assert failed.status == (6 if code else 2)
    assert (after.done, after.error, after.cycles) == (True, 0, cycles)
    return failed


NOTHING = b"\x09" + bytes(COMMAND_BYTES - 1)  # opcode 9
WIDE_LOAD = Load(dram_addr=1024, target=Target.WEIGHT, row_beats=200)


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([End()], ErrorCode.NONE),
        ([NOTHING], ErrorCode.OPCODE),
        ([bytes(COMMAND_BYTES)], ErrorCode.OPCODE),
        ([replace(WIDE_LOAD, row_beats=0)], ErrorCode.FIELD),
        ([replace(WIDE_LOAD, target=5)], ErrorCode.FIELD),
        ([Compute(weight_bits=9)], ErrorCode.FIELD),
        ([End().encode()[:-1] + b"\x80"], ErrorCode.FIELD),
        ([replace(WIDE_LOAD, dram_addr=4096)], ErrorCode.DRAM_RANGE),
        ([replace(WIDE_LOAD, dram_addr=4000, row_beats=13)], ErrorCode.DRAM_RANGE),
        ([replace(WIDE_LOAD, row_beats=1, rows=3, dram_pitch=(1 << 28) - 8)], ErrorCode.DRAM_RANGE),
        ([Store(dram_addr=4096)], ErrorCode.DRAM_RANGE),
        ([Store(dram_addr=0xFFFF_FFF8, row_words=8)], ErrorCode.DRAM_RANGE),
        ([replace(WIDE_LOAD, dst_addr=100)], ErrorCode.BUFFER_RANGE),
        ([replace(WIDE_LOAD, dst_addr=(1 << 20) - 1)], ErrorCode.BUFFER_RANGE),
        ([replace(WIDE_LOAD, target=Target.PARAMETER, dst_addr=60)], ErrorCode.BUFFER_RANGE),
        ([replace(WIDE_LOAD, target=Target.ACTIVATION, dst_addr=(1 << 19) + 499)], ErrorCode.BUFFER_RANGE),
        ([Compute()], ErrorCode.FIELD),  # of a tensor that no CONFIG_COMPUTE has described
        ([Post()], ErrorCode.FIELD),
        ([ConfigPost(), Compute()], ErrorCode.FIELD),
        ([ConfigCompute(), Post()], ErrorCode.FIELD),
        ([ConfigCompute(), Compute(acc_addr=50)], ErrorCode.BUFFER_RANGE),
        ([ConfigPost(), Post(dst_addr=500)], ErrorCode.BUFFER_RANGE),
        ([ConfigCompute(), Compute(wait_load=2)], ErrorCode.TIMEOUT),
        ([ConfigPost(), Post(wait_store=1)], ErrorCode.TIMEOUT),
        ([Store(wait_compute=(1 << 20) - 1, dram_addr=2048)], ErrorCode.TIMEOUT),
        ([Load(dram_addr=0, target=Target.PROGRAM, row_beats=80)], ErrorCode.PROGRAM_OVERFLOW),
    ],
)  # fmt: skip
def test_errors(built: Built, sound: tuple[Case, int], commands: list[Command], code: ErrorCode) -> None:
    case = bare([*commands, End()])
    outcome = ends_with(built, sound, case, code)
    assert outcome.memory.tobytes() == case.memory.tobytes()


def test_a_program_without_an_end(built: Built, sound: tuple[Case, int]) -> None:
    ends_with(built, sound, bare([replace(WIDE_LOAD, row_beats=4)]), ErrorCode.TIMEOUT)


def test_commands_that_are_no_commands(built: Built, sound: tuple[Case, int]) -> None:
    """A fetch from a place where the pattern lies: the opcode is NOP's, and its unused bits are set."""
    ends_with(built, sound, bare([Load(dram_addr=2048, target=Target.PROGRAM, row_beats=4)]), ErrorCode.FIELD)


def test_more_commands_than_the_buffer_holds(built: Built, sound: tuple[Case, int]) -> None:
    ends_with(built, sound, bare([Store(wait_load=9)] * 40), ErrorCode.PROGRAM_OVERFLOW)


@pytest.mark.parametrize("command", [Compute(), Post()], ids=["compute", "post"])
def test_a_configuration_ends_with_its_run(built: Built, sound: tuple[Case, int], command: Command) -> None:
    """What another run has left in the configuration registers is not used."""
    failed = built.run([sound[0], bare([command, End()])])[1]
    assert (failed.done, failed.error) == (True, ErrorCode.FIELD)


@pytest.mark.parametrize("beat", [0, 3, 17, 40])
def test_errors_of_the_memory(built: Built, sound: tuple[Case, int], beat: int) -> None:
    ends_with(built, sound, replace(sound[0], bad_read_beat=beat), ErrorCode.AXI_RESPONSE)


def test_dram_that_is_too_small(built: Built, sound: tuple[Case, int]) -> None:
    case = replace(sound[0], dram_size=len(sound[0].memory) // 2)
    outcome = ends_with(built, sound, case, ErrorCode.DRAM_RANGE)
    assert outcome.memory.tobytes() == case.memory.tobytes()


def test_without_a_watchdog_waits_are_forever(built: Built) -> None:
    outcome = built.run([replace(bare([Store(wait_load=2), End()]), watchdog=0, max_cycles=3 * WATCHDOG)])[0]
    assert not outcome.done


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_programs(built: Built, sound: tuple[Case, int], rng: Random) -> None:
    """Flipped bits anywhere in a program: the hardware ends, or works on; it stays within DRAM_SIZE (the bench sees to
    that), and a sound program runs exactly after it.
    """
    try:
        program = compile_network(draw_network(rng, layers=2, size=5, channels=8), built.design)
    except ValueError:
        return
    spec = program.input.layout
    codes = np.zeros((spec.channels, spec.height, spec.width), np.int8)
    case = case_of(program, codes)
    memory = case.memory.copy()
    for _ in range(rng.randint(1, 4)):
        at = program.program_offset * 8 + rng.randrange(len(program.commands) * COMMAND_BYTES * 8)
        memory[at // 8] ^= 1 << at % 8
    case = replace(
        case, memory=memory, watchdog=WATCHDOG, max_cycles=MOST_CYCLES, stall_seed=rng.choice([0, rng.getrandbits(16)])
    )
    good, cycles = sound
    failed = built.run([case])[0]
    if failed.done:
        failed, after = built.run([case, good])
        assert (after.done, after.error, after.cycles) == (True, 0, cycles)
    else:  # a legal command may ask for 2**40 cycles of work
        events = failed.events
        work = events[Event.STREAM_CYCLES] + events[Event.READ_BEATS] + events[Event.WRITE_BEATS]
        work += events[Event.ACC_READS] + events[Event.ACT_READS] + events[Event.POST_OUTPUTS]
        assert work > MOST_CYCLES // 20
