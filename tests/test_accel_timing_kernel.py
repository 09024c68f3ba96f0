"""The compiled form of the kernel is the Python form; and when each is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.commands import Command, Compute, ConfigCompute, End, Opcode, Target
from accel.design import Design, Memory, load
from accel.layout import beats_per_word, words_per_beat
from accel.rows import LOAD, rows_of
from accel.timing import kernel
from accel.timing.machine import FACTS, FETCH_BEATS, GAP, PIXELS, ROW_BEATS, ROWS, TILES, Machine
from accel.timing.recurrence import DeadlockError, first_fetch, time_commands, time_rows
from accel.timing.state import (
    COUNTS,
    FRONT,
    LASTS_RING,
    PENDING_RING,
    POP_RING,
    RING,
    STATE,
    STORE_COUNT,
    TAKEN_RING,
    UNITS,
)
from tests.benches.draw import draw_design, draw_memory, with_memory
from tests.benches.programs import draw_program
from tests.benches.wide import draws


def outcome(design: Design, commands: list[Command], first: int) -> object:
    """Everything that timing says, or why it says nothing."""
    try:
        timing = time_commands(design, commands, 0, first)
    except DeadlockError as error:
        return str(error)
    return timing.cycles, timing.events, timing.first_fetch, list(timing.commands)


@settings(max_examples=draws(150), deadline=None)
@given(st.randoms(use_true_random=False))
def test_compiled_and_python_say_the_same(rng: Random) -> None:
    design = with_memory(draw_design(rng, largest=9), *draw_memory(rng))
    commands, first = draw_program(rng, design)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCEL_PURE_PYTHON", "1")
        expected = outcome(design, commands, first)
        patch.setenv("ACCEL_PURE_PYTHON", "0")
        patch.setenv("ACCEL_COMPILED", "1")
        assert outcome(design, commands, first) == expected


def test_programs_of_that_kind_end_and_hang() -> None:
    """What is drawn above reaches both outcomes, or it would compare little."""
    rng, ended, hung = Random(1), 0, 0
    for _ in range(150):
        design = draw_design(rng, largest=9)
        found = outcome(design, *draw_program(rng, design))
        hung += isinstance(found, str)
        ended += not isinstance(found, str)
    assert ended > 100
    assert hung > 3


@settings(max_examples=draws(30), deadline=None)
@given(st.randoms(use_true_random=False))
def test_time_depends_on_facts_that_are_handed_in_and_on_nothing_else_of_a_command(rng: Random) -> None:
    """A COMPUTE that decodes its weights for longer, say: its facts are another's, and so is its time."""
    design = with_memory(draw_design(rng, largest=9), *draw_memory(rng))
    commands: list[Command] = [ConfigCompute()]
    sizes = [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(5)]
    tall = [*commands, *(Compute(groups=g, out_h=p) for g, p in sizes), End()]
    ones = [*commands, *(Compute() for _ in sizes), End()]
    rows, plain = (rows_of([first_fetch(design, 0, 8), *c]) for c in (tall, ones))
    facts = np.zeros((len(rows), FACTS), np.int64)
    facts[:, 0] = rows[:, 0]
    facts[0, [0, ROW_BEATS, ROWS]] = Opcode.LOAD, rows[0, LOAD.row_beats], 1
    facts[0, [GAP, FETCH_BEATS]] = words_per_beat(design, Target.PROGRAM), beats_per_word(design, Target.PROGRAM)
    facts[2:-1, TILES], facts[2:-1, PIXELS] = zip(*sizes, strict=True)
    facts[2:-1, TILES] *= 2 if design.two_of_four else 1  # halves
    expected, found = time_rows(design, rows), time_rows(design, plain, facts)
    assert found.cycles == expected.cycles
    assert np.array_equal(found.commands.out, expected.commands.out)
    assert time_rows(design, plain).cycles <= found.cycles


@kernel.part
def _twice(numbers: kernel.Ints, doubled: kernel.MutableInts) -> int:
    for k in range(len(numbers)):
        doubled[k] = 2 * numbers[k]
    return len(numbers)


def _call(count: int) -> list[int]:
    doubled = np.zeros(3, np.int64)
    assert kernel.call(_twice, count, (np.array([1, 2, 3]),), (doubled,)) == 3
    return doubled.tolist()


class Fake:
    """Instead of `Compiled`: counts what it is asked for."""

    made = 0

    def __init__(self, function: Callable[..., int]) -> None:
        Fake.made += 1
        self.is_compiled = False

    def __call__(self, numbers: Any, doubled: Any) -> int:
        doubled[:] = -1
        return len(numbers)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(kernel, "Compiled", Fake)
    monkeypatch.setattr(kernel, "_compiled", {})
    monkeypatch.setattr(kernel, "_candidates", {})
    monkeypatch.setattr(kernel, "_spent", 0)
    monkeypatch.setattr(Fake, "made", 0)
    for name in ("ACCEL_PURE_PYTHON", "ACCEL_COMPILED"):
        monkeypatch.delenv(name, raising=False)
    return Fake


def test_numba_is_imported_and_used_when_as_much_was_spent_without(fake: type[Fake]) -> None:
    assert _call(kernel.LOAD_AFTER - 1) == [2, 4, 6]
    assert fake.made == 0
    assert _call(1) == [2, 4, 6]
    assert fake.made == 1  # to see that nobody has compiled it
    assert _call(kernel.COMPILE_AFTER - kernel.LOAD_AFTER - 1) == [2, 4, 6]
    assert fake.made == 1  # which is not done again for each call
    assert _call(1) == [-1, -1, -1]
    assert _call(0) == [-1, -1, -1]


def test_what_others_compiled_is_used_sooner(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "is_compiled", True, raising=False)
    monkeypatch.setattr(fake, "__init__", lambda self, function: None)
    assert _call(kernel.LOAD_AFTER - 1) == [2, 4, 6]
    assert _call(1) == [-1, -1, -1]


def test_what_comes_again_and_again_loads_it_as_much_sooner(
    fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(fake, "is_compiled", True, raising=False)
    monkeypatch.setattr(fake, "__init__", lambda self, function: None)
    with kernel.repeated(50):
        assert _call(kernel.LOAD_AFTER // 50 - 1) == [2, 4, 6]
        with kernel.repeated(1):
            assert _call(0) == [2, 4, 6]
        assert _call(1) == [-1, -1, -1]


def test_the_environment_decides(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCEL_COMPILED", "1")
    assert _call(1) == [-1, -1, -1]
    monkeypatch.setenv("ACCEL_PURE_PYTHON", "1")
    assert _call(10 * kernel.COMPILE_AFTER) == [2, 4, 6]
    monkeypatch.setenv("ACCEL_PURE_PYTHON", "0")
    assert _call(1) == [-1, -1, -1]


@pytest.mark.parametrize("given", ["off", "a file"])
def test_without_a_folder_to_write_it_is_compiled_for_this_process(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given == "a file":
        (tmp_path / given).touch()
        given = str(tmp_path / given)
    monkeypatch.delenv("ACCEL_KERNELS")
    monkeypatch.setenv("ACCEL_CACHE", given)
    compiled = kernel.Compiled(_twice)
    assert not compiled.is_compiled
    doubled = np.zeros(3, np.int64)
    assert compiled(np.array([1, 2, 3]), doubled) == 3
    assert doubled.tolist() == [2, 4, 6]
    assert compiled.is_compiled
    assert not kernel.Compiled(_twice).is_compiled


def test_what_was_loaded_once_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks before each call is told the same before the second."""
    monkeypatch.setenv("ACCEL_KERNELS", str(tmp_path))
    for is_there in (False, True):
        compiled = kernel.Compiled(_twice)
        assert compiled.is_compiled == is_there
        for _ in range(2):
            assert compiled(np.array([1, 2, 3]), np.zeros(3, np.int64)) == 3
            assert compiled.is_compiled


TWO_FORMS = """
import sys
import numpy as np
from accel.timing import kernel

@kernel.part
def {name}(numbers, doubled):
    for at in range(len(numbers)):
        doubled[at] = {factor} * numbers[at]
    return len(numbers)

compiled = kernel.Compiled({name})
doubled = np.zeros(3, np.int64)
compiled(np.array([1, 2, 3]), doubled)
print(doubled.tolist(), {name}.__name__, sum(compiled.dispatcher.stats.cache_hits.values()))
"""


def test_compiled_code_lies_in_the_users_cache_whoever_writes_it(tmp_path: Path) -> None:
    """Two texts of one function, by processes at a time; nothing beside the source; found again by the next ones."""
    cache, source = tmp_path / "cache", tmp_path / "source"
    source.mkdir()
    package = Path(kernel.__file__).parent
    before = {path for path in package.rglob("*") if path.suffix in (".nbi", ".nbc")}
    environment = os.environ | {"ACCEL_CACHE": "off", "ACCEL_KERNELS": str(cache)}
    for factor in (2, 3):
        (source / f"form{factor}.py").write_text(TWO_FORMS.format(name="scaled", factor=factor), encoding="utf-8")
    for hits in (0, 1):
        commands = [(factor, [sys.executable, source / f"form{factor}.py"]) for factor in (2, 2, 3)]
        running = [(f, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)) for f, command in commands]
        for factor, process in running:
            said, _ = process.communicate(timeout=300)
            values, found = said.decode().split(" scaled ")
            assert values == str([factor, 2 * factor, 3 * factor])
            assert int(found) >= hits
    assert {path for path in package.rglob("*") if path.suffix in (".nbi", ".nbc")} == before
    assert not list(source.rglob("*.nb?"))
    assert list(cache.rglob("*.nbc"))
    assert cache.stat().st_mode & 0o022 == 0


def test_a_change_of_any_part_is_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from accel.timing import compute
    from accel.timing.sequencer import run

    before = kernel._digest(run)
    text = Path(compute.__file__).read_text()
    monkeypatch.setattr(kernel.inspect, "getsource", lambda module: text + "#" if module is compute else "")
    changed = kernel._digest(run)
    monkeypatch.setattr(kernel.inspect, "getsource", lambda module: text if module is compute else "")
    assert len({before, changed, kernel._digest(run)}) == 3


def test_rings_hold_the_longest_that_a_design_may_have() -> None:
    """Their places are fixed, and nothing would say that one ring runs into the next."""
    most = max(limit.le for limit in Memory.model_fields["outstanding_bursts"].metadata if hasattr(limit, "le"))
    assert most == RING
    machine = Machine.of(load("nano"))
    assert max(machine.queue_depth, machine.loader_ahead, machine.store_pending) <= RING
    rings = [POP_RING + unit * RING for unit in range(UNITS)] + [TAKEN_RING, LASTS_RING, PENDING_RING, STATE]
    assert all(after - before == RING for before, after in pairwise(rings))
    assert COUNTS + UNITS <= FRONT < STORE_COUNT < POP_RING
