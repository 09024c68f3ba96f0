"""Waits: how many commands of the other units must be complete before a command may start.

A command waits for the latest earlier command of another unit that touches the same words (one of the two writing),
or that uses the same port of the same bank. Commands of one unit are in order by themselves. Waits that an earlier
command of the same unit has waited for already are left out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum

from accel.commands import WAIT_BITS, Command, Compute, ConfigCompute, ConfigPost, Load, Post, Store
from accel.compiler.access import Accesses, Marks, Memory, Port
from accel.design import Design
from accel.models.errors import InputError


class Unit(IntEnum):
    """The four queues."""

    LOAD = 0
    COMPUTE = 1
    POST = 2
    STORE = 3


UNIT_OF: dict[type[Command], Unit] = {
    Load: Unit.LOAD,
    ConfigCompute: Unit.COMPUTE,
    Compute: Unit.COMPUTE,
    ConfigPost: Unit.POST,
    Post: Unit.POST,
    Store: Unit.STORE,
}
FIELDS = ("wait_load", "wait_compute", "wait_post", "wait_store")
WRITERS = {memory: (Unit.LOAD,) for memory in Memory} | {
    Memory.ACTIVATION_0: (Unit.LOAD, Unit.POST),
    Memory.ACTIVATION_1: (Unit.LOAD, Unit.POST),
    Memory.DRAM: (Unit.STORE,),
}
READERS = {
    Memory.ACTIVATION_0: (Unit.COMPUTE, Unit.POST, Unit.STORE),
    Memory.ACTIVATION_1: (Unit.COMPUTE, Unit.POST, Unit.STORE),
    Memory.WEIGHT: (Unit.COMPUTE,),
    Memory.PARAMETER: (Unit.POST,),
    Memory.CODEBOOK: (Unit.COMPUTE,),
    Memory.DRAM: (Unit.LOAD,),
}
FIRST_FETCH = 1  # the hardware's own fetch of the first commands is a completed LOAD


class Hazards:
    """Takes commands in program order and gives each its waits."""

    def __init__(self, design: Design, data_beats: int) -> None:
        self.accesses = Accesses(design)
        self.written = {unit: Marks(design, data_beats) for unit in (Unit.LOAD, Unit.POST, Unit.STORE)}
        self.read = {unit: Marks(design, data_beats) for unit in Unit}
        self.ports: dict[Port, list[int]] = {}
        self.counts = [FIRST_FETCH, 0, 0, 0]
        self.waited = [[0] * 4 for _ in Unit]

    def place(self, command: Command, data: bool) -> tuple[int, int, int, int]:
        """Waits (load, compute, post, store) of the next command; `data` as in `Accesses.of`."""
        accesses, ports = self.accesses.of(command, data)
        if isinstance(command, (ConfigCompute, ConfigPost)):
            return 0, 0, 0, 0
        unit = UNIT_OF[type(command)]
        waits = [0, 0, 0, 0]
        for access in accesses:
            for other in WRITERS[access.memory]:
                if other != unit:
                    waits[other] = max(waits[other], self.written[other].latest(access))
            if access.write:
                for other in READERS[access.memory]:
                    if other != unit:
                        waits[other] = max(waits[other], self.read[other].latest(access))
        for port in ports:
            last = self.ports.setdefault(port, [0] * 4)
            for other in Unit:
                if other != unit:
                    waits[other] = max(waits[other], last[other])
        self.counts[unit] += 1
        mark = self.counts[unit]
        for access in accesses:
            (self.written if access.write else self.read)[unit].set(access, mark)
        for port in ports:
            self.ports[port][unit] = mark
        return self._new(unit, waits)

    def _new(self, unit: Unit, waits: list[int]) -> tuple[int, int, int, int]:
        before = self.waited[unit]
        for other, wait in enumerate(waits):
            if wait <= before[other]:
                waits[other] = 0
            else:
                before[other] = wait
            if wait >> WAIT_BITS:
                raise InputError(f"the program must have fewer than 2**{WAIT_BITS} commands of a unit, not {wait:,}")
        return waits[0], waits[1], waits[2], waits[3]


def with_waits(command: Command, waits: tuple[int, int, int, int]) -> Command:
    """The command with its wait counts (load, compute, post, store)."""
    changes = {name: wait for name, wait in zip(FIELDS, waits, strict=True) if wait}
    return replace(command, **changes) if changes else command
