"""Damaged weights of the sparse engine, in the emitted Verilog: done in bounded cycles, nothing written outside."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from accel.commands import COMMAND_BYTES, Compute, ErrorCode, Load, Target
from accel.compile import compile_network
from accel.models.errors import InputError
from accel.program import Program
from accel.sim.execute import ExecutionError, execute_memory
from accel.sim.execute.facts import time_executed
from tests.benches.draw import draw_input, draw_network, draw_sparse_design
from tests.benches.verilator import Built, Case, Outcome, case_of

pytestmark = pytest.mark.rtl
SEED, MUTANTS = 8, 150
MOST_CYCLES = 40  # times those of the sound program


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(draw_sparse_design(Random(SEED), "damaged"), tmp_path_factory.mktemp("damaged"))


def programs(built: Built, count: int) -> list[tuple[Program, np.ndarray]]:
    rng, found = Random(SEED), []
    while len(found) < count:
        network = draw_network(rng, layers=2)
        try:
            program = compile_network(network, built.design)
        except InputError:
            continue
        if len(program.commands) < 60:
            found.append((program, draw_input(rng, network)[0]))
    return found


def streams(program: Program) -> list[tuple[int, int]]:
    """First byte and bytes of each LOAD of entries."""
    loads = [c for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT]
    return [(c.dram_addr, c.row_beats * program.design.beat_bytes) for c in loads]


def outside(program: Program, case: Case, outcome: Outcome) -> bool:
    """Whether the run changed anything below the data segment: program and constants."""
    size = len(program.image)
    return not np.array_equal(
        outcome.memory[: min(size, program.input.offset)], case.memory[: min(size, program.input.offset)]
    )


def test_damaged_entries(built: Built) -> None:
    """Bytes of streams changed at random: what Python refuses, or takes, the hardware ends, with an error or done."""
    rng, errors, cases = Random(1), 0, []
    for program, codes in programs(built, 6):
        cycles = time_executed(program, codes).cycles
        for _ in range(MUTANTS // 6):
            image = program.image.copy()
            for _ in range(rng.choice([1, 1, 4])):
                first, size = rng.choice(streams(program))
                image[first + rng.randrange(size)] = rng.choice([0, 255, rng.randrange(256)])
            damaged = replace(program, image=image)
            case = replace(case_of(damaged, codes), max_cycles=MOST_CYCLES * cycles + 50_000, watchdog=3000)
            cases.append((damaged, codes, case))
    for (program, codes, case), outcome in zip(cases, built.run([case for *_, case in cases]), strict=True):
        assert outcome.done
        assert not outside(program, case, outcome)
        assert outcome.error in (ErrorCode.NONE, ErrorCode.WEIGHTS, ErrorCode.BUFFER_RANGE)
        try:
            memory = execute_memory(program, codes)
        except ExecutionError:
            errors += 1  # the hardware may not come to that entry, if its column is zero
            continue
        assert outcome.error == ErrorCode.NONE
        np.testing.assert_array_equal(outcome.memory, memory)
    assert MUTANTS // 10 < errors < MUTANTS  # both kinds occur


def mutated(program: Program, index: int, **values: int) -> Program:
    """The program with other fields in one command."""
    commands = list(program.commands)
    commands[index] = replace(commands[index], **values)
    image, at = program.image.copy(), program.program_offset + index * COMMAND_BYTES
    image[at : at + COMMAND_BYTES] = np.frombuffer(commands[index].encode(), np.uint8)
    return replace(program, commands=tuple(commands), image=image)


def test_commands_that_do_not_fit_their_entries(built: Built) -> None:
    program, codes = programs(built, 1)[0]
    codes = np.full_like(codes, 100)  # columns of zeros would not be looked up
    sound = case_of(program, codes)
    loads = [k for k, c in enumerate(program.commands) if isinstance(c, Load) and c.target == Target.WEIGHT]
    computes = [k for k, c in enumerate(program.commands) if isinstance(c, Compute)]
    load, compute = program.commands[loads[0]], program.commands[computes[0]]
    assert isinstance(load, Load)
    assert isinstance(compute, Compute)
    wrong = {
        "columns that are missing": (mutated(program, loads[0], row_words=load.row_words + 9), ErrorCode.WEIGHTS),
        "pointers outside": (mutated(program, loads[0], dst_pitch=16380), ErrorCode.BUFFER_RANGE),
        "entries outside": (mutated(program, loads[0], dst_addr=(1 << 18) - 1), ErrorCode.BUFFER_RANGE),
        "pointers that are read outside": (mutated(program, computes[0], pointer_addr=16380), ErrorCode.BUFFER_RANGE),
        "a block that is too short": (mutated(program, computes[0], entries=1), ErrorCode.WEIGHTS),
        "sums outside": (mutated(program, computes[0], acc_shift=15), ErrorCode.BUFFER_RANGE),
    }
    cases = [case_of(damaged, codes) for damaged, _ in wrong.values()]
    outcomes = built.run([*cases, sound])
    for (name, (damaged, code)), case, outcome in zip(wrong.items(), cases, outcomes, strict=False):
        assert outcome.done, name
        assert outcome.error == code, name
        assert not outside(damaged, case, outcome), name
    assert outcomes[-1].error == ErrorCode.NONE
    np.testing.assert_array_equal(outcomes[-1].memory, execute_memory(program, codes))
