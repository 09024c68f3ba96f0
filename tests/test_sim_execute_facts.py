"""Execution may say what a command's time depends on, and timing takes it: the seam for formats of variable length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accel.commands import Command, Compute, ConfigCompute
from accel.compile import compile_network
from accel.design import load
from accel.events import Event
from accel.gemm import gemm_network
from accel.memories import ACTIVATION
from accel.sim.execute import facts
from accel.sim.execute import run as running
from accel.sim.execute.facts import time_executed
from accel.sim.execute.machine import Machine
from accel.sim.result import simulate
from accel.timing.machine import TILES
from accel.timing.recurrence import time_program

PROGRAM = compile_network(gemm_network(5, 9, 7), load("nano"))
CODES = np.arange(45).reshape(9, 1, 5).astype(np.int8)


def decoding(monkeypatch: pytest.MonkeyPatch, tiles: int) -> None:
    """A COMPUTE that takes as long as `tiles` more tiles if its first activation is above 0."""
    compute = running.ACTIONS[Compute]

    def slow(machine: Machine, command: Compute, config: ConfigCompute) -> dict[int, int]:
        compute(machine, command, config)
        bank, word = machine.bank(ACTIVATION, command.act_addr)
        more = tiles if bank[0, word, 0] >= 0 else 0
        return {TILES: command.n_tiles * command.groups * config.kernel_h * config.kernel_w + more}

    actions: dict[type[Command], Any] = dict(running.ACTIONS) | {Compute: slow}
    monkeypatch.setattr(running, "ACTIONS", actions)


def test_today_nothing_depends_on_the_data() -> None:
    _, found = running.run(PROGRAM, CODES[None])
    assert found == [None] * len(PROGRAM.commands)
    executed, known = time_executed(PROGRAM, CODES), time_program(PROGRAM)
    assert (executed.cycles, executed.events) == (known.cycles, known.events)
    assert list(executed.commands) == list(known.commands)


def test_what_an_action_finds_is_what_timing_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile of 5 pixels takes 5 cycles: three more are 15 cycles, where the data ask for them."""
    before = time_program(PROGRAM).cycles
    assert sum(isinstance(c, Compute) for c in PROGRAM.commands) == 1
    decoding(monkeypatch, tiles=3)
    assert time_executed(PROGRAM, CODES).cycles == before + 15
    assert time_executed(PROGRAM, CODES - 90).cycles == before


@pytest.mark.parametrize("images", [1, 3])
def test_a_result_of_a_sparse_engine_executes_all_images_at_once(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile_network(gemm_network(5, 9, 7), load("edge-sparse"))
    codes = np.stack([CODES - 20 * image for image in range(images)])
    runs = []

    def counted(*arguments: Any, **options: Any) -> Any:
        runs.append(len(arguments[1]))
        return run(*arguments, **options)

    run = running.run
    expected = [time_executed(program, each).cycles for each in codes], int(running.zero_macs(program, codes[:1]).sum())
    monkeypatch.setattr(running, "run", counted)
    monkeypatch.setattr(facts, "run", counted)
    found = simulate(program, codes)
    assert runs == [images]
    assert (min(expected[0]), max(expected[0])) == found.cycles_range
    assert (found.total.cycles, found.total.events[Event.MACS_ZERO]) == (expected[0][0], expected[1])
