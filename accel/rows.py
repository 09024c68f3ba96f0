"""Commands as rows of numbers, for work on thousands of them: compiling, checking, timing.

A row is the command's opcode and its fields in the order of its class, filled with zeros up to `WIDTH`. `LOAD`,
`COMPUTE` and so on give the columns of the fields by name: `rows[:, LOAD.dram_addr]`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from accel.commands import (
    COMMAND_BYTES,
    COMMANDS,
    OPCODE_BITS,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    Load,
    Opcode,
    Post,
    Store,
)
from accel.units import UNIT_NAMES, UNITS

Rows = NDArray[np.int64]
WIDTH = 1 + max(len(fields(kind)) for kind in COMMANDS.values())
OPCODE = 0  # the column
KEPT = 1 << 12  # commands of a program that are kept when they have been made

_NAMES = {kind: [f.name for f in fields(kind)] for kind in COMMANDS.values()}
COLUMNS = {kind: {name: 1 + k for k, name in enumerate(names)} for kind, names in _NAMES.items()}


def _columns(kind: type[Command]) -> Any:
    """The columns of a kind's fields as a named tuple, which compiled code can use as a constant."""
    return namedtuple(f"{kind.__name__}Columns", _NAMES[kind])(**COLUMNS[kind])


LOAD, CONFIG_COMPUTE, COMPUTE = _columns(Load), _columns(ConfigCompute), _columns(Compute)
CONFIG_POST, POST, STORE = _columns(ConfigPost), _columns(Post), _columns(Store)


def _filled(kind: type[Command], values: Iterable[Any]) -> list[int]:
    """The row with these fields."""
    row = [int(kind.OPCODE), *map(int, values)]
    return row + [0] * (WIDTH - len(row))


_DEFAULTS = {kind: _filled(kind, (f.default for f in fields(kind))) for kind in COMMANDS.values()}


def row_of(kind: type[Command], **values: int) -> list[int]:
    """The row of a command with these fields. Nothing is checked: `check_fields` does it for many rows at once."""
    made, columns = _DEFAULTS[kind].copy(), COLUMNS[kind]
    for name, value in values.items():
        made[columns[name]] = value
    return made


class CommandRows(Sequence[Command]):
    """The commands that rows stand for, made when they are asked for: most programs are only timed.

    Those of a short program are kept, since a simulation goes through them several times. Raises FieldRangeError for a
    field that is out of range.
    """

    def __init__(self, rows: Rows) -> None:
        check_fields(rows)
        self.rows = rows
        self.rows.flags.writeable = False
        self._made: tuple[Command, ...] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Command: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Command, ...]: ...

    def __getitem__(self, index: int | slice) -> Command | tuple[Command, ...]:
        if self._made is not None:
            return self._made[index]
        if isinstance(index, slice):
            return tuple(map(command_of, self.rows[index].tolist()))
        return command_of(self.rows[index].tolist())

    def __iter__(self) -> Iterator[Command]:
        if self._made is None and len(self.rows) > KEPT:
            return map(command_of, self.rows.tolist())
        if self._made is None:
            self._made = tuple(map(command_of, self.rows.tolist()))
        return iter(self._made)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


_VALUES: dict[type[Command], Callable[[Command], tuple[Any, ...]]] = {
    kind: attrgetter("OPCODE", *names) if names else lambda command: (command.OPCODE,) for kind, names in _NAMES.items()
}
_FILLING = {kind: (0,) * (WIDTH - 1 - len(names)) for kind, names in _NAMES.items()}


def rows_of(commands: Iterable[Command]) -> Rows:
    """(n, WIDTH) rows of the commands."""
    if isinstance(commands, CommandRows):
        return commands.rows
    made = [_VALUES[type(c)](c) + _FILLING[type(c)] for c in commands]
    return np.array(made, np.int64).reshape(-1, WIDTH)


def _places(kind: type[Command]) -> tuple[NDArray[np.int64], NDArray[np.uint64], list[int], list[tuple[int, int, int]]]:
    """Of a kind's fields: masks, shifts inside 64-bit words, the first field of each word, and (field, word, right
    shift) of those that go on in the next word. The opcode counts as the first field."""
    sizes = [OPCODE_BITS, *(f.metadata["bits"] for f in fields(kind))]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    words = [start // 64 for start in starts]
    first = [words.index(word) for word in range(words[-1] + 1)]
    on = [(k, words[k] + 1, 64 - starts[k] % 64) for k in range(len(sizes)) if starts[k] % 64 + sizes[k] > 64]
    masks = np.array([(1 << bits) - 1 for bits in sizes])
    return masks, np.array([start % 64 for start in starts], np.uint64), first, on


_PLACES = {kind: _places(kind) for kind in COMMANDS.values()}


def encoded(rows: Rows) -> NDArray[np.uint8]:
    """(n, COMMAND_BYTES) what DRAM holds of the commands, as `Command.encode` gives it."""
    made = np.zeros((len(rows), COMMAND_BYTES // 8), np.uint64)
    for kind, (masks, shifts, first, on) in _PLACES.items():
        (found,) = np.nonzero(rows[:, OPCODE] == kind.OPCODE)
        if not len(found):
            continue
        values = (rows[found, : len(masks)] & masks).astype(np.uint64)
        words = np.zeros((len(found), made.shape[1]), np.uint64)
        words[:, : len(first)] = np.bitwise_or.reduceat(values << shifts, first, axis=1)
        for field, word, shift in on:
            words[:, word] |= values[:, field] >> np.uint64(shift)
        made[found] = words
    return made.astype("<u8").view(np.uint8).reshape(-1, COMMAND_BYTES)


def command_of(values: Iterable[int]) -> Command:
    """The command of one row. Raises ValueError for a field that is out of range."""
    opcode, *rest = (int(value) for value in values)
    kind = COMMANDS[Opcode(opcode)]
    return kind(*rest[: len(_NAMES[kind])])


def _of_unit(commands: Iterable[type[Command]]) -> NDArray[np.bool_]:
    """By opcode, whether it is one of these commands."""
    found = np.zeros(max(Opcode) + 1, bool)
    found[[kind.OPCODE for kind in commands]] = True
    return found


_CONFIGURED = [(int(unit.configuration.OPCODE), _of_unit(unit.commands)) for unit in UNITS if unit.configuration]


def in_force(rows: Rows) -> NDArray[np.int64]:
    """(n,) for each row of a program the number of the row that is its configuration in force.

    A configuration is its own. -1 before there is one; 0 for commands that need none. Only opcodes are looked at.
    """
    found = np.zeros(len(rows), np.int64)
    opcodes, numbers = rows[:, OPCODE], np.arange(len(rows))
    for configuration, configured in _CONFIGURED:
        last = np.maximum.accumulate(np.where(opcodes == configuration, numbers, -1))
        found = np.where(configured[opcodes], last, found)
    return found


_WAITS = np.zeros((max(Opcode) + 1, len(UNITS)), np.int64)  # columns of the waits by opcode and unit; 0 is none
for _unit in UNITS:
    for _name in _unit.waits:
        _WAITS[_unit.counted.OPCODE, UNIT_NAMES.index(_name)] = COLUMNS[_unit.counted][f"wait_{_name}"]


def waits_of(rows: Rows) -> Rows:
    """(n, units) how many commands of each unit each row waits for."""
    columns = _WAITS[rows[:, OPCODE]]
    return np.where(columns > 0, np.take_along_axis(rows, columns, 1), 0)


def set_waits(rows: Rows, waits: Rows) -> None:
    """Write (n, units) waits into the rows; those of units that a command cannot wait for must be 0."""
    columns = _WAITS[rows[:, OPCODE]]
    for unit in range(len(UNITS)):
        (has,) = np.nonzero(columns[:, unit])
        rows[has, columns[has, unit]] = waits[has, unit]


def _limits() -> tuple[Rows, Rows]:
    """Least and largest value by opcode and column; 0 where a kind has no field."""
    low = np.zeros((max(Opcode) + 1, WIDTH), np.int64)
    high = np.zeros_like(low)
    for kind in COMMANDS.values():
        low[kind.OPCODE, OPCODE] = high[kind.OPCODE, OPCODE] = kind.OPCODE
        for f in fields(kind):
            bits, column = f.metadata["bits"], COLUMNS[kind][f.name]
            low[kind.OPCODE, column] = -(1 << bits - 1) if f.metadata["signed"] else 0
            high[kind.OPCODE, column] = (1 << bits - 1) - 1 if f.metadata["signed"] else (1 << bits) - 1
    return low, high


_LOW, _HIGH = _limits()


class FieldRangeError(ValueError):
    """A field that is out of range, in row `index`."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def check_fields(rows: Rows) -> None:
    """Raise FieldRangeError for the first row with a field that its bits cannot hold, in the words of `Command`."""
    opcodes = rows[:, OPCODE]
    wrong = (rows < _LOW[opcodes]) | (rows > _HIGH[opcodes])
    if wrong.any():
        index = int(wrong.any(axis=1).argmax())
        try:
            command_of(rows[index])
        except ValueError as error:
            raise FieldRangeError(index, str(error)) from None
