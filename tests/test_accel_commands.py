"""Commands: encoding round trip, and what is refused."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.commands import COMMAND_BYTES, COMMANDS, Command, Compute, Load, decode
from accel.rows import CommandRows, FieldRangeError, encoded, rows_of


@st.composite
def commands(draw: st.DrawFn) -> Command:
    cls = draw(st.sampled_from(list(COMMANDS.values())))
    values = {}
    for f in fields(cls):
        bits, signed = f.metadata["bits"], f.metadata["signed"]
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        values[f.name] = draw(st.integers(low, high))
    return cls(**values)


@given(commands())
def test_round_trip(command: Command) -> None:
    word = command.encode()
    assert len(word) == COMMAND_BYTES
    assert decode(word) == command


def test_known_words() -> None:
    # opcode 1, then three waits of 20 bits: wait_post = 3 is at bit 4 + 20
    assert int.from_bytes(Load(wait_post=3, row_beats=0, rows=0).encode(), "little") == 1 | 3 << 24
    assert decode(Compute(iy0=-1).encode()) == Compute(iy0=-1)


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"Compute\.weight_bits must be 0\.\.15, not 16"):
        Compute(weight_bits=16)


@pytest.mark.parametrize("opcode", [0, 9, 15])
def test_illegal_opcode(opcode: int) -> None:
    with pytest.raises(ValueError, match="opcode must be one of"):
        decode(opcode.to_bytes(COMMAND_BYTES, "little"))


def test_unused_bits() -> None:
    with pytest.raises(ValueError, match="must be zero"):
        decode((7 | 1 << 255).to_bytes(COMMAND_BYTES, "little"))


@given(st.lists(commands(), max_size=8))
def test_rows_stand_for_commands(found: list[Command]) -> None:
    """Made again of their rows, and encoded all at once: what `Command.encode` gives."""
    rows = rows_of(found)
    assert encoded(rows).tobytes() == b"".join(command.encode() for command in found)
    made = CommandRows(rows)
    assert list(made) == found
    assert made == tuple(found)
    assert made[1:] == tuple(found[1:])
    assert [made[index] for index in range(len(made))] == found
    assert rows_of(made) is rows


def test_a_row_that_is_no_command() -> None:
    rows = rows_of([Compute()])
    rows[0, 1] = -1
    with pytest.raises(FieldRangeError, match="must be 0"):
        CommandRows(rows)
