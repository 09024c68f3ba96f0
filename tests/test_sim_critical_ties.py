"""The walk along the critical path restates maxima of the recurrence, and here that says whether they are its own.

Of a max-plus recurrence a moment is on a longest path if, and only if, whatever is later there by one cycle makes the
end later by one. So the recurrence runs again with one command dispatched, taken or begun, or one burst cut or asked
for, a cycle later: a maximum that the walk has and the recurrence has not leads to a moment that has time to spare, and
so does one that the walk lacks. What commands spend inside themselves is held by other numbers of the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Command
from accel.compile import compile_network
from accel.design import Design
from accel.entropy.program import coded_loads
from accel.layout import WordTensor
from accel.program import Placement, Program
from accel.rows import rows_of, waits_of
from accel.sim.critical import Walk, by_cause
from accel.sim.critical_units import Moment
from accel.sim.history import History
from accel.timing import load, sequencer
from accel.timing.coded import with_streams
from accel.timing.machine import FACTS, PIXELS, Machine
from accel.timing.recurrence import DeadlockError, Timing, fetched, first_fetch, known_facts, time_program
from accel.timing.state import FINISHED, OUT, SLOT, Clock
from accel.units import UNIT_NAMES
from tests.benches.counted import accepted, counted
from tests.benches.draw import draw_design, draw_memory, draw_network, draw_sparse_design, with_memory
from tests.benches.programs import KINDS, draw_program
from tests.benches.wide import draws

# Where each function of a unit has the number of its command, times so many, and the cycle in which it was pushed.
STEPS = {
    "load_step": (3, FACTS, 5), "compute_step": (3, FACTS, 4), "outputs_step": (3, FACTS, 4),
    "sparse_step": (3, FACTS, 4), "post_step": (3, FACTS, 4), "store_step": (3, FACTS, 4),
    "config_compute_step": (4, OUT, 2), "sparse_config_step": (4, OUT, 2), "config_post_step": (4, OUT, 2),
}  # fmt: skip
Late = tuple[str, int]  # a phase of `Moment`, and whose


class Watched(Walk):
    """Keeps the moments between commands and bursts that the walk passes."""

    def __init__(self, program: Program, timing: Timing) -> None:
        super().__init__(program, timing)
        self.passed: list[Late] = []

    def _pop(self, i: int, cycle: int) -> Moment:
        self.passed.append(("pop", i))
        return super()._pop(i, cycle)

    def _push(self, i: int, cycle: int) -> Moment | None:
        if self.timed[i] and i:
            self.passed.append(("push", i))
        return super()._push(i, cycle)

    def _stream(self, i: int, cycle: int) -> Moment:
        if not (self.design.is_sparse or self.design.output_stationary):
            self.passed.append(("start", i))
        return super()._stream(i, cycle)

    def _address(self, at: int, cycle: int) -> Moment:
        self.passed.append(("address", at))
        return super()._address(at, cycle)

    def _cut(self, at: int, cycle: int) -> Moment:
        self.passed.append(("cut", at))
        return super()._cut(at, cycle)


@dataclass
class Replay:
    """The recurrence of a program, in Python."""

    program: Program
    timing: Timing

    def cycles(self, late: Late | None = None, pixels: int = 1, **machine: Any) -> int:
        """From start to done: with one moment a cycle later, so many times the pixels, other numbers of the machine."""
        design = self.program.design
        fetch = first_fetch(design, self.program.program_offset, self.program.first_fetch)
        rows = np.concatenate([rows_of([fetch]), rows_of(self.program.commands)])
        facts = known_facts(design, rows)
        if self.program.facts is not None:
            facts[1:] = self.program.facts
        clock = Clock.of(len(rows), fetched(facts))
        if pixels != 1:
            facts[rows[:, 0] == sequencer.OP_COMPUTE, PIXELS] *= pixels
        numbers, flat = Machine.of(design), facts.ravel()
        gaps = with_streams(numbers, flat, [(1 + index, made) for index, made in coded_loads(self.program)])
        lists = Clock(*(each.tolist() for each in clock))
        result = [0, 0]
        with self.later(late):
            failed = sequencer.run(
                numbers._replace(**machine), flat.tolist(), gaps.tolist(), waits_of(rows).ravel().tolist(), lists,
                [0] * OUT * len(rows), result,
            )  # fmt: skip
        assert not failed
        return result[0]

    @contextmanager
    def later(self, late: Late | None) -> Iterator[None]:
        """Inside, that moment is one cycle later than it was."""
        with pytest.MonkeyPatch.context() as patch:
            if late:
                getattr(self, f"_{late[0]}")(patch, late[1])
            yield

    def _timed(self, i: int) -> Any:
        return self.timing.history[i]

    def _pop(self, patch: pytest.MonkeyPatch, i: int) -> None:
        def delayed(step: Callable[..., int], place: int, size: int, pushed: int) -> Callable[..., int]:
            def run(*arguments: Any) -> int:
                given = list(arguments)
                if given[place] == i * size:
                    given[pushed] = self._timed(i).step.pop
                return step(*given)

            return run

        for name, where in STEPS.items():
            patch.setattr(sequencer, name, delayed(getattr(sequencer, name), *where))

    def _start(self, patch: pytest.MonkeyPatch, i: int) -> None:
        """The last pixel before lasts longer, but the unit hears nothing of it."""
        start, step = History(self.program, self.timing).tiles(i)[2], sequencer.compute_step

        def later(m: Machine, state: Any, facts: Any, f: int, pushed: int, ready: int, out: Any, o: int) -> int:
            if f != i * FACTS:
                return step(m, state, facts, f, pushed, ready, out, o)
            without = list(state)
            step(m, without, facts, f, pushed, ready, list(out), o)
            state[FINISHED] = start
            pop = step(m, state, facts, f, pushed, ready, out, o)
            state[SLOT] = without[SLOT]
            return pop

        patch.setattr(sequencer, "compute_step", later)

    def _push(self, patch: pytest.MonkeyPatch, i: int) -> None:
        """The place in the queue of its unit is free later."""
        timed = self._timed(i)
        number = sum(each is not None and each.unit == timed.unit for each in self.timing.history[:i])
        place, seen = sequencer.place, Counter[int]()

        def later(m: Machine, state: Any, unit: int) -> int:
            seen[unit] += 1
            wanted = UNIT_NAMES[unit] == timed.unit and seen[unit] + (timed.unit == "load") == number + 1
            return timed.pushed + 1 if wanted else place(m, state, unit)

        patch.setattr(sequencer, "place", later)

    def _address(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self._stage(patch, "address_cycle", at)

    def _cut(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self._stage(patch, "stage_cycle", 2 * at)

    def _stage(self, patch: pytest.MonkeyPatch, name: str, at: int) -> None:
        stage, seen = getattr(load, name), Counter[str]()

        def later(before: int, ahead: int) -> int:
            seen[name] += 1
            return int(stage(before, ahead)) + (seen[name] == at + 1)

        patch.setattr(load, name, later)


def compiled(rng: Random) -> Program:
    """A program of any engine, before any memory."""
    design = (draw_sparse_design if rng.random() < 0.3 else draw_design)(rng)
    design = with_memory(design, *draw_memory(rng))
    return accepted(compile_network, draw_network(rng), design, rng.choice(["auto", "plain"]))


def program_of(design: Design, commands: list[Command], first: int) -> Program:
    """Commands of no network, of which so many are fetched at first."""
    place, none = Placement("", 0, WordTensor(1, 1, 1, 1, 1)), np.zeros(0, np.uint8)
    return Program("", design, commands, (-1,) * len(commands), (), none, 0, 0, first, place, place)


def busy(rng: Random) -> Program:
    """Commands of an array that has much to do, in any order and with any waits that end."""
    design = with_memory(draw_design(rng), *draw_memory(rng))
    kinds = [*KINDS, *["compute"] * rng.choice([4, 30]), *["load"] * rng.choice([0, 8])]
    while True:
        program = program_of(design, *draw_program(rng, design, kinds))
        try:
            time_program(program)
        except DeadlockError:
            continue
        return program


def over_programs(
    draw: Callable[[Random], Program], least: int, check: Callable[[Random, Program, Timing], None]
) -> None:
    """`check` of 30 drawn programs, of which so many are accepted (fewer if the run is not wide).

    Of a seed each: many programs are longer than what Hypothesis draws number by number, and would be left out."""

    @counted(draws(least))
    @settings(max_examples=draws(30), deadline=None, database=None)
    @given(st.integers(0, 2**32 - 1))
    def cases(seed: int) -> None:
        rng = Random(seed)
        program = draw(rng) if draw is compiled else accepted(draw, rng)
        check(rng, program, time_program(program))

    cases()


@pytest.mark.parametrize("draw", [compiled, busy])
def test_no_moment_of_the_path_has_time_to_spare(draw: Callable[[Random], Program]) -> None:
    def check(rng: Random, program: Program, timing: Timing) -> None:
        walk, replay = Watched(program, timing), Replay(program, timing)
        walk.path()
        assert replay.cycles() == timing.cycles
        for late in rng.sample(walk.passed, min(len(walk.passed), 10)):
            assert replay.cycles(late) == timing.cycles + 1, late

    over_programs(draw, 25, check)


@pytest.mark.parametrize("draw", [compiled, busy])
def test_what_the_array_takes_is_the_machines(draw: Callable[[Random], Program]) -> None:
    """Weights that enter at once save the share of filling at most, and twice as long ones cost it at least; with twice
    the pixels too the array's share is in it."""

    def check(rng: Random, program: Program, timing: Timing) -> None:
        if program.design.is_sparse or program.design.output_stationary:
            return
        limits, replay = by_cause(Walk(program, timing).path()), Replay(program, timing)
        fill, least = program.design.fill_cycles, Machine.of(program.design).min_tile
        filling, streaming = limits.get("weight fill", 0), limits.get("array", 0)
        assert timing.cycles - replay.cycles(fill_cycles=1) <= filling
        assert replay.cycles(fill_cycles=2 * fill) - timing.cycles >= filling
        more = replay.cycles(pixels=2, fill_cycles=2 * fill, min_tile=2 * least)
        assert more - timing.cycles >= filling + streaming

    over_programs(draw, 20, check)


@pytest.mark.parametrize("draw", [compiled, busy])
def test_every_burst_is_the_recurrences(draw: Callable[[Random], Program]) -> None:
    """In the middle of a LOAD too: when it was cut, checked and asked for, and when its first beat came."""

    def check(rng: Random, program: Program, timing: Timing) -> None:
        said: dict[str, list[int]] = {"stage_cycle": [], "address_cycle": [], "first_beat": []}

        def heard(name: str) -> Callable[..., int]:
            stage = getattr(load, name)

            def run(*arguments: Any) -> int:
                said[name].append(stage(*arguments))
                return said[name][-1]

            return run

        with pytest.MonkeyPatch.context() as patch:
            for name in said:
                patch.setattr(load, name, heard(name))
            Replay(program, timing).cycles()
        stages, found = said["stage_cycle"], History(program, timing).bursts
        wanted = list(zip(stages[::2], stages[1::2], said["address_cycle"], said["first_beat"], strict=True))
        assert [(each.cut, each.checked, each.address, each.first) for each in found] == wanted

    over_programs(draw, 20, check)


def test_a_unit_that_only_gets_configurations() -> None:
    """Nothing of a unit's that takes time came before, or comes; and its queue is full, so that the program waits."""
    for seed in range(100):
        rng = Random(seed)
        design = with_memory((draw_sparse_design if rng.random() < 0.3 else draw_design)(rng), *draw_memory(rng))
        commands, first = draw_program(rng, design, rng.choice([["config"], ["config", "post"]]))
        program = program_of(design, commands, first)
        with suppress(DeadlockError):
            timing = time_program(program)
            walk, replay = Watched(program, timing), Replay(program, timing)
            assert sum(by_cause(walk.path()).values()) == timing.cycles
            for late in rng.sample(walk.passed, min(len(walk.passed), 3)):
                assert replay.cycles(late) == timing.cycles + 1
