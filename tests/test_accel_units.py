"""The table of units against the commands' own text and the hardware's ports, and the configuration in force."""

from __future__ import annotations

from dataclasses import fields
from random import Random

from amaranth.hdl import Fragment
from hypothesis import given
from hypothesis import strategies as st

from accel import memories
from accel.commands import COMMANDS, Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store
from accel.design import load
from accel.memories import MEMORIES
from accel.program import Bound, bound
from accel.rtl.loader import Loader
from accel.rtl.post.unit import PostUnit
from accel.rtl.storer import Storer
from accel.rtl.systolic.unit import ComputeUnit
from accel.timing.sequencer import unit_of
from accel.units import COMPUTE, LOAD, POST, SEQUENCER_COMMANDS, SHARED_READ_PORTS, SHARED_WRITE_PORTS, STORE, UNITS


def test_every_command_has_one_executor() -> None:
    executed = [command for unit in UNITS for command in unit.commands] + list(SEQUENCER_COMMANDS)
    assert sorted(c.__name__ for c in executed) == sorted(c.__name__ for c in COMMANDS.values())


def test_the_timing_puts_every_command_into_its_unit() -> None:
    """By the command's number, as the compiled kernel has it, into the place of its unit in the table."""
    places = {command: place for place, unit in enumerate(UNITS) for command in unit.commands}
    for opcode, command in COMMANDS.items():
        assert unit_of(int(opcode)) == places.get(command, -1)


def test_a_counted_command_waits_for_every_other_unit_and_a_configuration_for_none() -> None:
    names = [unit.name for unit in UNITS]
    for unit in UNITS:
        assert list(unit.waits) == [name for name in names if name != unit.name]
        for name in unit.waits:
            text = next(f.metadata["text"] for f in fields(unit.counted) if f.name == f"wait_{name}")
            assert text == f"starts when so many {name.upper()} commands are complete"
        if unit.configuration:
            assert not [f for f in fields(unit.configuration) if f.name.startswith("wait_")]


def test_the_ports_are_those_of_the_hardware() -> None:
    """A unit's component has a port to each memory outside of it that it reads or writes, and no other."""
    design = load("nano")
    inside = {
        memories.WEIGHT,
        memories.CODEBOOK,
        memories.POINTER,
    }  # of the compute unit: read there, written by the loader
    names = {
        "act": memories.ACTIVATION, "acc": memories.ACCUMULATOR, "param": memories.PARAMETER,
        "weight": memories.WEIGHT, "codebook": memories.CODEBOOK, "table": memories.TABLE,
    }  # fmt: skip
    for unit, component in ((LOAD, Loader), (COMPUTE, ComputeUnit), (POST, PostUnit), (STORE, Storer)):
        members = (made := component(design)).signature.members
        Fragment.get(made, None)  # Amaranth warns of components that nobody elaborates
        drives = {name for name, member in members.items() if name[:2] in ("r_", "w_") and member.flow.name == "Out"}
        reads = {names[name[2:]] for name in drives if name[0] == "r"}
        writes = {names[name[2:]] for name in drives if name[0] == "w"}
        assert ("axi" in members) == (unit.axi is not None)
        own = {
            COMPUTE: {memories.ACCUMULATOR},
            LOAD: {memories.RUN_TABLE, memories.VALUE_TABLE},
            POST: {memories.LINE, memories.TABLE},
        }.get(unit, set())
        assert reads == set(unit.reads) - (inside | own)
        assert writes == set(unit.writes) - {memories.PROGRAM, memories.POINTER} - own
        assert (memories.PROGRAM in unit.writes) == ("program_write" in members)


def test_shared_ports() -> None:
    assert [m.name for m in SHARED_READ_PORTS] == ["activation", "accumulator"]
    assert [m.name for m in SHARED_WRITE_PORTS] == ["activation"]
    assert all(any(m in unit.reads for unit in UNITS) for m in MEMORIES if m is not memories.PROGRAM)


@given(st.randoms(use_true_random=False))
def test_bound_gives_the_last_configuration_before_each_command(rng: Random) -> None:
    kinds: list[Command] = [Load(), Compute(), Post(), Store(), Nop(), End()]
    commands = [
        rng.choice([*kinds, ConfigCompute(plane=rng.randrange(9)), ConfigPost(src_plane=rng.randrange(9))])
        for _ in range(rng.randrange(12))
    ]
    expected = []
    for index, command in enumerate(commands):
        wanted = {Compute: ConfigCompute, Post: ConfigPost}.get(type(command), type(command))
        before = [c for c in commands[: index + 1] if isinstance(c, wanted)]
        has = wanted in (ConfigCompute, ConfigPost) and before
        expected.append(Bound(command, before[-1] if has else None))
    assert list(bound(commands)) == expected
