"""Running a Program: its commands with the configuration in force, each by the action of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Command, Compute, Load, Post, Store
from accel.entropy.program import layer_name
from accel.legal import check
from accel.program import Program, bound
from accel.sim.execute.compute import compute
from accel.sim.execute.load import load
from accel.sim.execute.machine import Machine, bytes_per_input, make
from accel.sim.execute.post import post
from accel.sim.execute.sparse import compute as sparse_compute
from accel.sim.execute.store import store

BATCH_BYTES = 1 << 28  # memory for one batch of buffers

Facts = Mapping[int, int | Sequence[int]]
"""What a command's time depends on beyond itself: columns of `accel.timing.machine`, and of each its value for all
inputs, or those for each."""

ACTIONS: dict[type[Command], Callable[[Machine, Any, Any], Facts | None]] = {
    Load: load, Compute: compute, Post: post, Store: store,
}  # fmt: skip
"""What each kind of command does, given its configuration. An action whose time depends on its data returns facts."""


def execute(program: Program, codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """Run the program on int8 input codes (N, C, H, W); returns the output codes (N, C, H, W).

    Raises ExecutionError if a command leaves a memory, IllegalCommandError if one is illegal by itself.
    """
    check(program.design, program.commands)
    outputs = []
    step = batch(program)
    for first in range(0, len(codes), step):
        machine, _ = run(program, codes[first : first + step])
        outputs.append(program.unpack_output(machine.dynamic, machine.boundary))
    return np.concatenate(outputs)


def batch(program: Program) -> int:
    """Inputs that run together."""
    return int(max(1, min(256, BATCH_BYTES // max(1, bytes_per_input(program)))))


def execute_memory(program: Program, codes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The whole DRAM content (dram_bytes) after running one input (C, H, W). Raises as `execute` does."""
    check(program.design, program.commands)
    machine, _ = run(program, codes[None])
    return np.concatenate([machine.static, machine.dynamic[0]])


def zero_macs(program: Program, codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """For each command, Event.MACS_ZERO of running input codes (N, C, H, W), summed over the inputs. As `execute`."""
    check(program.design, program.commands)
    counts = np.zeros(len(program.commands), np.int64)
    step = batch(program)
    for first in range(0, len(codes), step):
        machine, _ = run(program, codes[first : first + step], count=True)
        counts += counted(program, machine).sum(axis=1)
    return counts


def counted(program: Program, machine: Machine) -> NDArray[np.int64]:
    """For each command and input, Event.MACS_ZERO of a machine that ran the program and counted."""
    counts = np.zeros((len(program.commands), machine.batch), np.int64)
    if machine.zero_macs:
        counts[[index for index, command in enumerate(program.commands) if type(command) is Compute]] = (
            machine.zero_macs
        )
    return counts


# What an engine does otherwise, by its kind.
ENGINES: dict[str, dict[type[Command], Callable[[Machine, Any, Any], Facts | None]]] = {
    "systolic": {},
    "sparse": {Compute: sparse_compute},
}


def run(
    program: Program, codes: NDArray[np.int8], count: bool = False, timed: bool = False, after: Machine | None = None
) -> tuple[Machine, list[Facts | None]]:
    """The machine after all commands, and what each says of its time (None: what is known without its data).

    `count`, `timed` and `after` as for `accel.sim.execute.machine.make`.
    """
    machine, facts = make(program, codes, count, timed, after), []
    actions = ACTIONS | ENGINES[program.design.engine.kind]
    for index, (command, config) in enumerate(bound(program.commands)):
        machine.decoder.layer = layer_name(program, index)
        action = actions.get(type(command))
        facts.append(action(machine, command, config) if action else None)
    return machine, facts
