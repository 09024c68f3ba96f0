"""The rules of legal commands as the simulator applies them; tests/test_rtl_sequencer.py shows the same of hardware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from accel.commands import COMMANDS, Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post
from accel.layout import WordTensor
from accel.legal import IllegalCommandError, check
from accel.program import Placement, Program
from accel.sim.execute import execute, execute_memory
from accel.timing.recurrence import time_commands
from tests.benches.legal import BAD, BAD_WIDE, CODED, CONFIGURATION, WINDOW, draw_legal
from tests.benches.unit_designs import sequencer_design

ORDER = [
    ([Compute(), End()], "command 0 comes before the first ConfigCompute"),
    ([ConfigPost(), Compute(), End()], "command 1 comes before the first ConfigCompute"),
    ([Post(), End()], "command 0 comes before the first ConfigPost"),
    ([ConfigCompute(), Post(), ConfigPost(), End()], "command 1 comes before the first ConfigPost"),
]


def program_of(commands: Sequence[Command]) -> Program:
    place = Placement("x", 0, WordTensor(1, 1, 1, 1, 1))
    layer_of = (-1,) * len(commands)
    image = np.zeros(64, np.uint8)
    return Program("bare", sequencer_design(), tuple(commands), layer_of, (), image, 64, 0, len(commands), place, place)


@pytest.mark.parametrize(("commands", "message"), ORDER, ids=range(len(ORDER)))
def test_nothing_runs_before_its_configuration(commands: list[Command], message: str) -> None:
    codes = np.zeros((1, 1, 1, 1), np.int8)
    for refuses in (
        lambda: check(sequencer_design(), commands),
        lambda: time_commands(sequencer_design(), tuple(commands), 0, len(commands)),
        lambda: execute(program_of(commands), codes),
        lambda: execute_memory(program_of(commands), codes[0]),
    ):
        with pytest.raises(IllegalCommandError, match=message):
            refuses()


@pytest.mark.parametrize(("good", "change"), BAD, ids=str)
def test_illegal_fields(good: Command, change: dict[str, int]) -> None:
    check(sequencer_design(), [*CONFIGURATION, good])
    with pytest.raises(IllegalCommandError, match=r"command 2: \w+ must not be"):
        check(sequencer_design(), [*CONFIGURATION, replace(good, **change)])


@pytest.mark.parametrize(("good", "change"), BAD_WIDE, ids=str)
def test_illegal_fields_of_larger_windows(good: Command, change: dict[str, int]) -> None:
    design = sequencer_design(filter_side=5)
    check(design, [*CONFIGURATION, good])
    with pytest.raises(IllegalCommandError, match=r"command 2: \w+ must not be"):
        check(design, [*CONFIGURATION, replace(good, **change)])


def test_no_window_loads_without_windows() -> None:
    check(sequencer_design(), [WINDOW])
    with pytest.raises(IllegalCommandError, match="window must not be 1 without windows"):
        check(sequencer_design().model_copy(update={"windows": 0}), [WINDOW])


@pytest.mark.parametrize("kind", COMMANDS.values(), ids=lambda c: c.__name__)
def test_what_the_sequencer_lets_pass_is_legal(kind: type[Command]) -> None:
    for seed in range(50):
        check(sequencer_design(), [*CONFIGURATION, draw_legal(Random(seed), kind)])


@pytest.mark.parametrize("command", [CODED, Load(target=5), Load(target=6)])
def test_without_a_decoder_nothing_is_coded(command: Load) -> None:
    check(sequencer_design(), [command])
    with pytest.raises(IllegalCommandError, match="without a decoder"):
        check(sequencer_design().model_copy(update={"decoder_lanes": 0}), [command])


def test_what_stands_behind_the_end_does_not_matter() -> None:
    check(sequencer_design(), [Nop(), End(), Compute(), Load(rows=0)])


def test_the_first_of_several_illegal_commands_is_named() -> None:
    wrong = [*CONFIGURATION, Load(row_beats=0), Compute(out_h=0, groups=0), Load(rows=0)]
    with pytest.raises(IllegalCommandError, match=r"^command 2: row_beats must not be 0"):
        check(sequencer_design(), wrong)
    with pytest.raises(IllegalCommandError, match=r"^command 2: out_h must not be 0"):
        check(sequencer_design(), [*CONFIGURATION, *wrong[3:]])
