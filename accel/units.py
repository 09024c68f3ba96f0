"""The units: which commands each executes, for whom it waits, and which memories it reads and writes.

Compiler, timing and hardware take this from here. The order is that of the wait counts, of `completed_*` in the
hardware, and of whoever numbers the units.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from accel.commands import Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store
from accel.memories import (
    ACCUMULATOR,
    ACTIVATION,
    BY_TARGET,
    CODEBOOK,
    LINE,
    MEMORIES,
    PARAMETER,
    POINTER,
    RUN_TABLE,
    TABLE,
    VALUE_TABLE,
    WEIGHT,
    Memory,
)

FIRST_FETCH = 1  # LOAD commands that the hardware pushes by itself when it is started


@dataclass(frozen=True)
class Unit:
    """One unit behind a queue.

    `counted`: the command whose completions others wait for. `configuration`: the command that sets what `counted`
    needs, None if it needs nothing; it waits for nobody and is not counted. `reads`, `writes`: memories, through the
    ports of the bank that a command names. `axi`: the half of the DRAM port that it uses.
    """

    name: str
    counted: type[Command]
    configuration: type[Command] | None
    reads: tuple[Memory, ...]
    writes: tuple[Memory, ...]
    axi: Literal["read", "write"] | None = None

    @property
    def commands(self) -> tuple[type[Command], ...]:
        """All commands that its queue takes."""
        return (self.counted,) if self.configuration is None else (self.configuration, self.counted)

    @property
    def waits(self) -> tuple[str, ...]:
        """Names of the units that it may wait for: those that its command has a field for."""
        return tuple(f.name.removeprefix("wait_") for f in fields(self.counted) if f.name.startswith("wait_"))


LOAD = Unit("load", Load, None, reads=(RUN_TABLE, VALUE_TABLE), writes=(*BY_TARGET.values(), POINTER), axi="read")
COMPUTE = Unit(
    "compute", Compute, ConfigCompute, reads=(ACTIVATION, WEIGHT, CODEBOOK, ACCUMULATOR, POINTER), writes=(ACCUMULATOR,)
)
POST = Unit(
    "post", Post, ConfigPost, reads=(ACCUMULATOR, ACTIVATION, PARAMETER, LINE, TABLE), writes=(ACTIVATION, LINE)
)
STORE = Unit("store", Store, None, reads=(ACTIVATION,), writes=(), axi="write")

UNITS = (LOAD, COMPUTE, POST, STORE)
UNIT_NAMES = tuple(unit.name for unit in UNITS)
UNIT_OF: dict[type[Command], Unit] = {command: unit for unit in UNITS for command in unit.commands}

# What the sequencer executes itself; it has no queue, waits for nothing but the end of everything, and is not counted.
SEQUENCER_COMMANDS: tuple[type[Command], ...] = (End, Nop)


def readers(memory: Memory) -> tuple[Unit, ...]:
    """Units that read a memory."""
    return tuple(unit for unit in UNITS if memory in unit.reads)


def writers(memory: Memory) -> tuple[Unit, ...]:
    """Units that write a memory."""
    return tuple(unit for unit in UNITS if memory in unit.writes)


# Ports that several units use: there is no arbitration, so whoever orders commands must keep them apart in time.
SHARED_READ_PORTS = tuple(memory for memory in MEMORIES if len(readers(memory)) > 1)
SHARED_WRITE_PORTS = tuple(memory for memory in MEMORIES if len(writers(memory)) > 1)
