"""Cycle-exact timing of a Program: the max-plus recurrence of docs/architecture.md, "Timing contract".

Commands are taken once, in program order. Each unit's own timing (`sim/timing_<unit>.py`) says when it takes a command
and when it is done; here are the sequencer, the queues, the waits, and the end of the program. The cost is per command
(and per burst inside loads and stores), never per cycle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from accel.commands import (
    COMMAND_BYTES,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    Load,
    Nop,
    Post,
    Store,
    Target,
)
from accel.design import Design
from accel.events import Event
from accel.latency import DONE_CYCLES, QUEUE_DEPTH, SEQUENCER_INTERVAL
from accel.layout import beats
from accel.legal import check
from accel.program import Program
from accel.timing.compute import ComputeTiming
from accel.timing.load import LoadTiming
from accel.timing.post import PostTiming
from accel.timing.step import Step
from accel.timing.store import StoreTiming

UNIT_OF: dict[type[Command], str] = {
    Load: "load",
    ConfigCompute: "compute",
    Compute: "compute",
    ConfigPost: "post",
    Post: "post",
    Store: "store",
}
UNITS = ("load", "compute", "post", "store")


@dataclass(frozen=True)
class Timed:
    """One command's history: its unit, when it was pushed, and what its unit did with it.

    `ready`: first cycle in which its waits held; `awaited`: the unit that made it so ("" without waits).
    """

    unit: str
    pushed: int
    ready: int
    awaited: str
    step: Step


@dataclass(frozen=True)
class Timing:
    """Cycles from start to done, the counters, and each command's history (None for NOP and END)."""

    cycles: int
    events: dict[Event, int]
    commands: tuple[Timed | None, ...]
    first_fetch: Timed


class DeadlockError(Exception):
    """A command waits for one that comes later in program order, or commands are never fetched."""


def time_program(program: Program) -> Timing:
    """Time every command of the program.

    Raises DeadlockError where the hardware would end in TIMEOUT, IllegalCommandError where it would end in FIELD.
    """
    return time_commands(program.design, program.commands, program.program_offset, program.first_fetch)


def first_fetch(design: Design, program_offset: int, count: int) -> Load:
    """The LOAD that the hardware pushes by itself when it is started."""
    return Load(dram_addr=program_offset, target=Target.PROGRAM, row_beats=beats(design, Target.PROGRAM, count))


def time_commands(design: Design, commands: tuple[Command, ...], program_offset: int, fetch_count: int) -> Timing:
    """As `time_program`, of bare commands."""
    check(design, commands)
    units: dict[str, Any] = {
        "load": LoadTiming(design),
        "compute": ComputeTiming(design),
        "post": PostTiming(design),
        "store": StoreTiming(design),
    }
    loads = units["load"]
    assert isinstance(loads, LoadTiming)
    completions: dict[str, list[int]] = {unit: [] for unit in UNITS}
    pops: dict[str, deque[int]] = {unit: deque(maxlen=QUEUE_DEPTH) for unit in UNITS}
    events = dict.fromkeys(Event, 0)

    def run(unit: str, command: Command, pushed: int, ready: int, awaited: str) -> Timed:
        step = units[unit].step(command, pushed, ready)
        pops[unit].append(step.pop)
        if not isinstance(command, (ConfigCompute, ConfigPost)):
            completions[unit].append(step.complete)
        for event, count in step.events.items():
            events[event] += count
        return Timed(unit, pushed, ready, awaited, step)

    written: deque[int] = deque()  # cycle in which each fetched, not yet read command is written
    fetch = first_fetch(design, program_offset, fetch_count)
    initial = run("load", fetch, 1, 0, "")
    events[Event.COMMANDS] += 1
    written.extend(loads.program_written(k) for k in range(_fetched(design, fetch)))
    history: list[Timed | None] = []
    dispatched, ended = 1 - SEQUENCER_INTERVAL + 1, False
    for command in commands:
        if not written:
            raise DeadlockError(f"command {len(history)} is never fetched")
        dispatch = max(dispatched + SEQUENCER_INTERVAL, written.popleft() + 2)
        if isinstance(command, (Nop, End)):
            if not ended:  # what fills the last beat behind END is never read
                dispatched = dispatch
            ended = ended or isinstance(command, End)
            history.append(None)
            continue
        unit = UNIT_OF[type(command)]
        queue = pops[unit]
        if len(queue) == QUEUE_DEPTH:
            dispatch = max(dispatch, queue[0] + 1)
        timed = run(unit, command, dispatch, *_ready(command, unit, completions))
        if isinstance(command, Load) and command.target == Target.PROGRAM:
            written.extend(loads.program_written(k) for k in range(_fetched(design, command)))
        events[Event.COMMANDS] += 1
        dispatched = dispatch
        history.append(timed)
    last = max((done[-1] for done in completions.values() if done), default=0)
    cycles = max(dispatched, last + 1) + DONE_CYCLES
    events[Event.CYCLES] = cycles
    return Timing(cycles, events, tuple(history), initial)


def _fetched(design: Design, load: Load) -> int:
    """Commands that a fetch brings."""
    return load.row_beats * load.rows * design.beat_bytes // COMMAND_BYTES


def _ready(command: Command, unit: str, completions: dict[str, list[int]]) -> tuple[int, str]:
    """First cycle in which the command's waits hold, and the unit that it waited for longest."""
    ready, awaited = 0, ""
    for other in UNITS:
        count = getattr(command, f"wait_{other}", 0) if other != unit else 0
        if count:
            done = completions[other]
            if count > len(done):
                raise DeadlockError(f"{command} waits for {count} {other} commands, {len(done)} come before it")
            if done[count - 1] + 1 > ready:
                ready, awaited = done[count - 1] + 1, other
    return ready, awaited
