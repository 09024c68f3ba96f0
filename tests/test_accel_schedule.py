"""The scheduler's time is the simulator's: for every program order that it considers, not only for the one it takes."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import compile as compiler
from accel.compile import compile_network, time_network
from accel.compiler.ops import ALIGNMENT, Block, Stream
from accel.compiler.schedule import FIRST, LONGER, PACES, TRIED_COMMANDS, Ordered, Scheduler
from accel.design import load
from accel.gemm import gemm_network
from accel.rows import command_of
from accel.timing.recurrence import time_commands, time_program
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_memory, draw_network, with_memory
from tests.benches.wide import draws


def schedulers(rng: Random, patch: pytest.MonkeyPatch) -> list[Scheduler]:
    """The schedulers that compiling a random network takes."""
    made: list[Scheduler] = []

    class Kept(Scheduler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            made.append(self)

    patch.setattr(compiler, "Scheduler", Kept)
    design = with_memory(draw_design(rng, largest=8), *draw_memory(rng))
    accepted(compile_network, draw_network(rng, layers=4, size=8, channels=12), design, "plain")
    return made


@counted(draws(30))
@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_order_takes_as_long_as_the_simulator_says(rng: Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = schedulers(rng, patch)
    for scheduler in made:
        for pace in PACES:
            ordered = scheduler.order(pace)
            commands = [command_of(row) for row in ordered.rows().tolist()]
            expected = time_commands(scheduler.design, commands, ordered.program_offset, ordered.first_fetch)
            timing = ordered.timing()
            assert ordered.cycles == expected.cycles
            assert timing.events == expected.events
            assert timing.first_fetch == expected.first_fetch
            assert list(timing.commands) == list(expected.commands)


@counted(draws(30))
@settings(max_examples=draws(40), deadline=None)
@given(st.randoms(use_true_random=False))
def test_compiled_and_python_make_the_same_order(rng: Random) -> None:
    state = rng.getstate()
    found: list[list[Ordered]] = []
    for name in ("ACCEL_PURE_PYTHON", "ACCEL_COMPILED"):
        rng.setstate(state)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ACCEL_PURE_PYTHON", "0")
            patch.setenv(name, "1")
            made = schedulers(rng, patch)
            orders = [s.order(pace) for s in made for pace in PACES]
            found.append([*orders, *(s.fastest() for s in made), *(s.fastest(search=True) for s in made)])
    assert len(found[0]) == len(found[1]) > 0
    for python, compiled in zip(*found, strict=True):
        for one, other in zip(python.order, compiled.order, strict=True):
            assert np.array_equal(one, other)


@counted(draws(40))
@settings(max_examples=draws(50), deadline=None)
@given(st.randoms(use_true_random=False))
def test_time_without_a_program_is_that_of_the_program(rng: Random) -> None:
    design = with_memory(draw_design(rng, largest=8), *draw_memory(rng))
    network = draw_network(rng, layers=4, size=8, channels=12)
    expected = time_program(accepted(compile_network, network, design))
    found = time_network(network, design)
    assert (found.cycles, found.events, found.first_fetch) == (expected.cycles, expected.events, expected.first_fetch)
    assert list(found.commands) == list(expected.commands)


def test_time_without_a_program_packs_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Block] = []

    def keep(self: Stream, size: int, make: object, words: bool) -> int:
        made.append(Block(size, lambda: pytest.fail("made"), words))
        self.constants.append(made[-1])
        self.constant_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        return self.constant_bytes - -(-size // ALIGNMENT) * ALIGNMENT

    monkeypatch.setattr(Stream, "_constant", keep)
    assert time_network(gemm_network(40, 48, 48), load("nano")).cycles > 0
    assert made


def test_the_fastest_order_is_taken() -> None:
    network, design = gemm_network(1, 128, 128), load("nano")
    kept: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        original = Scheduler.fastest

        def fastest(self: Scheduler, search: bool = False) -> Ordered:
            kept.extend(self.order(pace).cycles for pace in PACES[: TRIED_COMMANDS // self.count])
            return original(self, search)

        patch.setattr(Scheduler, "fastest", fastest)
        program = compile_network(network, design)
    assert len(set(kept)) > 1
    assert time_commands(design, program.commands, program.program_offset, program.first_fetch).cycles == min(kept)


@counted(draws(8))
@settings(max_examples=draws(12), deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_fastest_order_is_the_first_of_the_fastest_by_themselves(rng: Random) -> None:
    """To the last number: an order leaves nothing behind for the next one in its place."""
    with pytest.MonkeyPatch.context() as patch:
        made = schedulers(rng, patch)
    for scheduler in made:
        alone = [scheduler.order(pace, first) for pace in PACES for first in (FIRST, LONGER)]
        best, found = min(alone, key=lambda ordered: ordered.cycles), scheduler.fastest(search=True)
        assert found.cycles == best.cycles
        assert np.array_equal(found.rows(), best.rows())
        assert np.array_equal(found.timing().history.out, best.timing().history.out)
