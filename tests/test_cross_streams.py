"""Damaged coded weights on the emitted Verilog: each run ends, in an error or exactly as the simulator says.

10,000 of them: `pytest -m slow tests/test_cross_streams.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from accel.commands import ErrorCode, Load, Target
from accel.compile import compile_network
from accel.design import Design
from accel.events import Event
from accel.layout import packed_words
from accel.memories import run_bits
from accel.models.encode.bitstream import DamagedStream
from accel.program import Program
from accel.sim.execute import ExecutionError, execute_memory
from accel.sim.execute.facts import time_executed
from accel.timing.recurrence import time_program
from tests.benches.draw import draw_design, draw_input, draw_network, draw_sparse_design
from tests.benches.verilator import Built, case_of
from tests.benches.wide import wide

CODED = {Target.RUN_TABLE, Target.VALUE_TABLE}


def design_of() -> Design:
    """Four lanes for eight codes a row, beats of 8 bytes."""
    design = draw_design(Random(5), "streams")
    return Design.model_validate(
        design.model_dump()
        | {
            "array": {"rows": 4, "cols": 4, "weight_rows": 2},
            "decoder_lanes": 4,
            "post_lanes": 4,
            "buffers": design.buffers.model_dump() | {"activation_bytes": 16384, "weight_bytes": 8192},
            "memory": design.memory.model_dump() | {"axi_bits": 64},
        }
    )


def sparse_design_of() -> Design:
    """Two lanes for four PEs."""
    design = draw_sparse_design(Random(3), "sparse-streams")
    engine = {"kind": "sparse", "queue_depth": 3, "index_bits": 2, "pointers": 700}
    array, lanes = {"rows": 2, "cols": 4}, {"decoder_lanes": 2, "post_lanes": 4}
    buffers = {"activation_bytes": 16384, "weight_bytes": 16384, "accumulator_bytes": 8192, "parameter_bytes": 2048}
    memory = design.memory.model_dump() | {"axi_bits": 64}
    return Design.model_validate(
        design.model_dump() | {"engine": engine, "array": array, "buffers": buffers, "memory": memory} | lanes
    )


LISTS = {"step", "row_words", "run", "dram_pitch"}  # fields of coded entries: other columns are made than are read


def damaged(rng: Random, program: Program) -> Program:
    """With bits of streams and tables turned, bytes written over, or a coded LOAD made shorter, longer or another."""
    loads = [k for k, c in enumerate(program.commands) if isinstance(c, Load) and (c.coded or c.target in CODED)]
    image, commands = program.image.copy(), list(program.commands)
    at = rng.choice(loads)
    load = commands[at]
    assert isinstance(load, Load)
    size = load.row_beats * program.design.beat_bytes
    kind = rng.random()
    if kind < 0.45:
        for _ in range(rng.choice([1, 1, 2, 8])):
            image[load.dram_addr + rng.randrange(size)] ^= 1 << rng.randrange(8)
    elif kind < 0.65:
        first = rng.randrange(size)
        last = min(size, first + rng.choice([1, 4, size]))
        image[load.dram_addr + first : load.dram_addr + last] = [rng.getrandbits(8) for _ in range(first, last)]
    elif load.coded:
        sizes = sorted(LISTS) if program.design.is_sparse else ["dst_pitch"]
        change = rng.choice(["row_beats", "row_beats", "literal", "continues", "code_bits", "zero_code", *sizes])
        value = {
            **{name: max(1, getattr(load, name) + rng.choice([-1, 1])) for name in LISTS - {"run"}},
            "run": rng.randint(1, run_bits(program.design) or 1),
            "row_beats": max(1, load.row_beats + rng.choice([-2, -1, 1, 2])),
            "dst_pitch": max(1, load.dst_pitch + rng.choice([-9, -1, 1])),
            "literal": 1 - load.literal,
            "continues": 1 - load.continues,
            "code_bits": rng.randint(1, load.code_bits),
            "zero_code": rng.randrange(1 << load.code_bits),
        }[change]
        commands[at] = replace(load, **{change: value})
        encoded = np.frombuffer(b"".join(c.encode() for c in commands), np.uint8)
        image[program.program_offset : program.program_offset + len(encoded)] = encoded
    else:
        image[load.dram_addr + rng.randrange(16)] = rng.randrange(4)
    return replace(program, image=image, commands=tuple(commands))


def words(program: Program) -> int:
    """Words of the weight buffer, or entries of all PEs, that coded LOADs may write."""
    coded, design = [c for c in program.commands if isinstance(c, Load) and c.coded], program.design
    # Layers in parts have formats of their own, plain ones among them: a word, or entry, takes a bit at least.
    plain = [c for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT and not c.coded]
    others = sum(8 * c.rows * c.row_beats * design.beat_bytes for c in plain)
    if design.is_sparse:
        return others + sum(c.dram_pitch * design.cols for c in coded)
    return others + sum(packed_words(c.dst_pitch, c.code_bits, 8) for c in coded)


def columns(program: Program) -> list[tuple[int, ...]]:
    """What coded LOADs say of the columns that they bring."""
    coded = [c for c in program.commands if isinstance(c, Load) and c.coded]
    return [tuple(getattr(c, name) for name in sorted(LISTS)) for c in coded]


def run_many(built: Built, count: int, seed: int) -> Counter[str]:
    """How the runs of so many damaged programs end; each as the simulator says.

    Entries that are no columns of a COMPUTE may be found in another order than the simulator finds them.
    """
    rng, found, sparse = Random(seed), Counter[str](), built.design.is_sparse
    errors = {ErrorCode.STREAM, ErrorCode.WEIGHTS, ErrorCode.BUFFER_RANGE} if sparse else {ErrorCode.STREAM}
    while sum(found.values()) < count:
        network = draw_network(rng, layers=2, size=6, channels=8)
        program = compile_network(network, built.design, "coded")
        if not any(isinstance(c, Load) and c.coded for c in program.commands):
            continue  # layers that the post-process unit filters have no coded weights
        codes = draw_input(rng, network)[0]
        programs = [program, *(damaged(rng, program) for _ in range(40))]
        cases = [case_of(each, codes, stall_seed=rng.choice([0, 0, 1 + rng.getrandbits(16)])) for each in programs]
        for number, (each, case, outcome) in enumerate(zip(programs, cases, built.run(cases), strict=True)):
            assert outcome.done, (number, network)
            assert outcome.memory[: each.program_offset].tobytes() == each.image[: each.program_offset].tobytes()
            assert outcome.events[Event.WEIGHT_WRITES] <= words(each)
            same = columns(each) == columns(program)  # else a COMPUTE reads what nobody wrote, or what came too soon
            try:
                timing = time_executed(each, codes) if sparse else time_program(each)
                memory = execute_memory(each, codes)
            except DamagedStream:
                assert outcome.error in errors, (number, outcome.error)
                found["error"] += 1
                continue
            except ExecutionError:
                assert not same, number
                found["other columns"] += 1
                continue
            if sparse and not same:
                found["other columns"] += 1
                continue
            assert outcome.error == 0, (number, ErrorCode(outcome.error))
            if words(each) == words(program):
                np.testing.assert_array_equal(outcome.memory, memory)
            if not case.stall_seed:
                assert outcome.cycles == timing.cycles
                assert all(outcome.events[e] == n for e, n in timing.events.items())
            found["exact"] += 1
    return found


@pytest.fixture(
    scope="module", params=[design_of, pytest.param(sparse_design_of, marks=wide)], ids=["systolic", "sparse"]
)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(request.param(), tmp_path_factory.mktemp("streams"))


@pytest.mark.rtl
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_damaged_stream_ends(built: Built, count: int) -> None:
    found = run_many(built, count, count)
    assert min(found["error"], found["exact"]) > count // 10, found
