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
    decode,
)
from accel.compile import compile_network
from accel.design import Design
from accel.events import Event
from accel.gemm import gemm_network
from accel.latency import SEQUENCER_INTERVAL
from accel.legal import IllegalCommandError, check
from accel.models.reference.int8 import run
from accel.timing.recurrence import time_program
from tests.benches.axi import EAGER, MANNERS
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_network
from tests.benches.verilator import Built, Case, Outcome, case_of
from tests.benches.wide import draws

pytestmark = pytest.mark.rtl
WATCHDOG = 3000
MOST_CYCLES = 60_000
ABORT_CYCLES = 2_000  # in which a run that is aborted must be done, whatever its memory does


def design_of(**memory: int) -> Design:
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
            "memory": {"axi_bits": 64, "latency_cycles": 9, "beat_interval_cycles": 1, "burst_beats": 16, **memory},
            "clock_mhz": 100,
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(design_of(), tmp_path_factory.mktemp("top"))


@pytest.fixture(scope="module")
def sound(built: Built) -> tuple[Case, int]:
    """A program that works, and its cycles."""
    network = gemm_network(16, 32, 24)
    program = compile_network(network, built.design)
    codes = np.random.default_rng(0).integers(-128, 128, (32, 1, 16)).astype(np.int8)
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
        ([ConfigCompute(), Compute(act_addr=400000)], ErrorCode.BUFFER_RANGE),
        ([ConfigCompute(), Compute(weight_addr=200000)], ErrorCode.BUFFER_RANGE),
        # More weights than there are in the world.
        ([ConfigCompute(kernel_h=127, kernel_w=127), Compute(groups=16383)], ErrorCode.BUFFER_RANGE),
        ([ConfigPost(), Post(src_addr=10000)], ErrorCode.BUFFER_RANGE),
        ([ConfigPost(), Post(from_activation=1, src_addr=400000)], ErrorCode.BUFFER_RANGE),
        ([ConfigPost(), Post(param_addr=10000)], ErrorCode.BUFFER_RANGE),
        ([ConfigPost(), Post(residual=1, res_addr=400000)], ErrorCode.BUFFER_RANGE),
        ([Store(src_addr=400000, dram_addr=2048, row_words=8)], ErrorCode.BUFFER_RANGE),
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


LAST_PAGE = 0xFFFF_F000


@pytest.mark.parametrize(
    "command",
    [
        Store(dram_addr=4096),
        Store(dram_addr=4088, row_words=4),
        Store(rows=2, dram_addr=2048, dram_pitch=2048),
        Load(dram_addr=4096, target=Target.WEIGHT),
        Load(dram_addr=4088, target=Target.WEIGHT, row_beats=2),
    ],
)
def test_addresses_beyond_32_bits(built: Built, sound: tuple[Case, int], command: Command) -> None:
    """DRAM_BASE + DRAM_SIZE is more than an address holds: nothing wraps around to what lies at address 0."""
    case = replace(bare([command, End()], size=8192), dram_base=LAST_PAGE)
    outcome = ends_with(built, sound, case, ErrorCode.DRAM_RANGE)
    assert outcome.memory[4096:].tobytes() == case.memory[4096:].tobytes()


def test_the_last_page_of_the_address_space(built: Built, sound: tuple[Case, int]) -> None:
    store = Store(dram_addr=4096 - 64, row_words=16)
    outcome = ends_with(built, sound, replace(bare([store, End()]), dram_base=LAST_PAGE), ErrorCode.NONE)
    assert outcome.write_beats == 8
    good, cycles = sound
    assert len(good.memory) <= 4096
    at_the_end = built.run([replace(good, dram_base=LAST_PAGE)])[0]
    assert (at_the_end.error, at_the_end.cycles) == (0, cycles)


@pytest.mark.parametrize("stall_seed", [0, 7])
def test_every_slave_that_axi_allows_is_served(built: Built, sound: tuple[Case, int], stall_seed: int) -> None:
    """READYs that wait for their own VALID, for that of another channel, or for all data: the bytes are the same."""
    good, cycles = sound
    expected = built.run([good])[0].memory
    outcomes = built.run([replace(good, manner=manner, stall_seed=stall_seed) for manner in MANNERS] + [good])
    for manner, outcome in zip([*MANNERS, EAGER], outcomes, strict=True):
        assert (outcome.done, outcome.error) == (True, 0), manner
        assert np.array_equal(outcome.memory, expected), manner
    assert outcomes[-1].cycles == cycles


def test_writes_to_registers_during_a_run_are_for_the_next_one(built: Built, sound: tuple[Case, int]) -> None:
    good, cycles = sound
    expected = built.run([good])[0].memory
    at = range(0, cycles - 60, cycles // 30)
    disturbed = [replace(good, disturb_cycle=1 + cycle, stall_seed=cycle % 3) for cycle in at]
    for case, outcome in zip(disturbed, built.run(disturbed), strict=True):
        assert (outcome.done, outcome.error) == (True, 0), case.disturb_cycle
        assert case.stall_seed or outcome.cycles == cycles
        assert np.array_equal(outcome.memory, expected), case.disturb_cycle


def test_no_start_before_a_frozen_memory_has_answered_everything(built: Built, sound: tuple[Case, int]) -> None:
    """The bench sees to it that STATUS says so for as long as bursts are in flight, and that a start is refused."""
    good, cycles = sound
    at = range(3, cycles, cycles // 50)
    frozen = [
        replace(good, freeze_at=cycle, freeze_cycles=4000, watchdog=300, stall_seed=cycle % 3, manner=MANNERS[k % 22])
        for k, cycle in enumerate(at)
    ]
    outcomes = built.run([case for before in frozen for case in (before, good)])
    unquiet = 0
    for outcome, after in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert outcome.done
        assert (outcome.error, outcome.status & 7) in ((ErrorCode.TIMEOUT, 6), (0, 2))
        unquiet += outcome.status >> 3
        assert (after.done, after.error, after.cycles) == (True, 0, cycles)
    assert unquiet > 25


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """With 64-bit addresses."""
    return Built(design_of(axi_address_bits=64), tmp_path_factory.mktemp("wide"))


@pytest.mark.parametrize("base", [0, 0x7654_3000, 0xFFFF_F000, 0x1_0000_0000, 0x1234_5678_9ABC_D000, (1 << 64) - 4096])
def test_addresses_of_64_bits(wide: Built, sound: tuple[Case, int], base: int) -> None:
    """An image anywhere, across 4 GiB too; nothing is read or written beyond the last address."""
    good, cycles = sound
    assert len(good.memory) <= 4096
    found = wide.run([replace(good, dram_base=base), good])
    assert [(o.error, o.cycles) for o in found] == [(0, cycles)] * 2
    assert np.array_equal(found[0].memory, found[1].memory)
    beyond = replace(bare([Store(dram_addr=4088, row_words=4), End()], size=8192), dram_base=base)
    outcome = wide.run([beyond])[0]
    last = base == (1 << 64) - 4096
    assert ErrorCode(outcome.error) is (ErrorCode.DRAM_RANGE if last else ErrorCode.NONE)


def test_without_a_watchdog_waits_are_forever(built: Built) -> None:
    outcome = built.run([replace(bare([Store(wait_load=2), End()]), watchdog=0, max_cycles=3 * WATCHDOG)])[0]
    assert not outcome.done


FOR_EVER = [ConfigPost(win_h=40, win_w=40), Post(uniform=1, out_h=4095, out_w=500, chunks=4095), End()]


def test_legal_work_of_centuries_can_be_aborted(built: Built, sound: tuple[Case, int]) -> None:
    case = replace(bare(FOR_EVER), abort_cycle=5000)
    outcome = ends_with(built, sound, case, ErrorCode.ABORTED)
    assert 5000 <= outcome.cycles < 5000 + 20
    assert outcome.events[Event.POST_OUTPUTS] == 3  # one in 1600 cycles


@pytest.mark.parametrize("stall_seed", [0, 1, 2])
def test_a_run_can_be_aborted_at_any_time(built: Built, sound: tuple[Case, int], stall_seed: int) -> None:
    """Each is followed by an exact run, on a bus that is empty when done is raised (the bench sees to that)."""
    good, cycles = sound
    at = [*range(0, 40), *range(40, cycles, cycles // 40)]
    cases = [replace(good, abort_cycle=cycle, stall_seed=stall_seed) for cycle in at]
    outcomes = built.run([case for aborted in cases for case in (aborted, good)])
    for cycle, aborted, after in zip(at, outcomes[::2], outcomes[1::2], strict=True):
        assert (aborted.done, aborted.error, aborted.status) == (True, ErrorCode.ABORTED, 6)
        assert aborted.cycles < cycle + ABORT_CYCLES
        assert (after.done, after.error, after.cycles) == (True, 0, cycles)


def test_an_abort_after_the_end_changes_nothing(built: Built, sound: tuple[Case, int]) -> None:
    good, cycles = sound
    late = built.run([replace(good, abort_cycle=cycles + 9)])[0]
    assert (late.error, late.cycles) == (0, cycles)


def dispatched(case: Case, design: Design) -> list[Command]:
    """The commands of a program as the sequencer gets them: as fetched, up to what is no command or the END."""
    found: list[Command] = []
    fetches = [(case.program_offset, case.program_count * COMMAND_BYTES)]
    for at, size in fetches:
        size = -(-size // design.beat_bytes) * design.beat_bytes
        for first in range(at, min(at + size, len(case.memory) - COMMAND_BYTES + 1), COMMAND_BYTES):
            try:
                command = decode(case.memory[first : first + COMMAND_BYTES].tobytes())
                check(design, [ConfigCompute(), ConfigPost(), command])
            except (ValueError, IllegalCommandError):
                return found
            found.append(command)
            if isinstance(command, End) or len(found) > MOST_CYCLES:  # a program may fetch itself again and again
                return found
            if isinstance(command, Load) and command.target == Target.PROGRAM:
                rows = (command.dram_addr + row * command.dram_pitch for row in range(command.rows))
                fetches += [(row, command.row_beats * design.beat_bytes) for row in rows]
    return found


def least_cycles(case: Case, design: Design) -> int:
    """How long the program takes at least: what its busiest unit has to do."""
    work = dict.fromkeys(("load", "compute", "post", "store"), 0)
    config, windows = ConfigCompute(), ConfigPost()
    commands = dispatched(case, design)
    for c in commands:
        match c:
            case ConfigCompute():
                config = c
            case ConfigPost():
                windows = c
            case Load():
                work["load"] += c.rows * c.row_beats
            case Compute():
                work["compute"] += c.n_tiles * c.groups * config.kernel_h * config.kernel_w * c.out_h * c.out_w
            case Post():
                work["post"] += c.chunks * c.out_h * c.out_w * windows.win_h * windows.win_w
            case Store():
                work["store"] += c.rows * c.row_words
    return max(len(commands) * SEQUENCER_INTERVAL, *work.values())


@counted(draws(200))
@settings(max_examples=draws(300), deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_programs(built: Built, sound: tuple[Case, int], rng: Random) -> None:
    """Flipped bits anywhere in a program: the hardware ends; it stays within DRAM_SIZE (the bench sees to that), and a
    sound program runs exactly after it. A program that must be aborted is one that has so much to do.
    """
    program = accepted(compile_network, draw_network(rng, layers=2, size=5, channels=8), built.design)
    spec = program.input.layout
    codes = np.zeros((spec.channels, spec.height, spec.width), np.int8)
    case = case_of(program, codes)
    memory = case.memory.copy()
    for _ in range(rng.randint(1, 4)):
        at = program.program_offset * 8 + rng.randrange(len(program.commands) * COMMAND_BYTES * 8)
        memory[at // 8] ^= 1 << at % 8
    case = replace(
        case, memory=memory, watchdog=WATCHDOG, max_cycles=MOST_CYCLES + ABORT_CYCLES, abort_cycle=MOST_CYCLES,
        stall_seed=rng.choice([0, rng.getrandbits(16)]),
    )  # fmt: skip
    good, cycles = sound
    failed, after = built.run([case, good])
    assert failed.done
    if failed.error == ErrorCode.ABORTED:
        # Stalls make a run some times longer than it would be without them.
        assert least_cycles(case, built.design) > MOST_CYCLES // 10
    assert (after.done, after.error, after.cycles) == (True, 0, cycles)
