"""Which commands are legal: the rules that the sequencer checks, the simulator raises for, and docs/formats.md prints.

A rule works on a `Command` and on the hardware's view of one alike, so it is written with operators that both have.
Encodings that are no command at all (another opcode, a bit above the last field) are refused by `accel.commands.decode`
and by the sequencer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from accel.commands import Command, Compute, ConfigCompute, ConfigPost, End, Load, Nop, Post, Store, Target
from accel.design import Design
from accel.program import bound
from accel.units import UNITS


class Rule(NamedTuple):
    """A field, what it must not be (R, C, P and W are array rows, columns, post lanes, beat bytes), and the test."""

    field: str
    illegal: str
    broken: Callable[[Any, Design], Any]


class IllegalCommandError(Exception):
    """A command that the hardware refuses with ErrorCode.FIELD."""


def _not_zero(*names: str) -> list[Rule]:
    """Fields that count something."""

    def rule(name: str) -> Rule:
        return Rule(name, "0", lambda c, d: getattr(c, name) == 0)

    return [rule(name) for name in names]


def _aligned(*names: str) -> list[Rule]:
    """Fields that are bytes of DRAM."""

    def rule(name: str) -> Rule:
        return Rule(name, "not a multiple of W", lambda c, d: (getattr(c, name) & (d.beat_bytes - 1)) != 0)

    return [rule(name) for name in names]


RULES: dict[type[Command], list[Rule]] = {
    Load: [
        Rule("target", "above 4", lambda c, d: c.target > Target.PROGRAM),
        *_not_zero("row_beats", "rows"),
        *_aligned("dram_addr", "dram_pitch"),
        Rule("window", "1 if target is not 0", lambda c, d: (c.window == 1) & (c.target != Target.ACTIVATION)),
        Rule("run", "0 if window", lambda c, d: (c.window == 1) & (c.run == 0)),
        Rule("step", "0 if window", lambda c, d: (c.window == 1) & (c.step == 0)),
        Rule("lane", "above R - run if window", lambda c, d: (c.window == 1) & (c.lane + c.run > d.rows)),
        Rule("row_words", "0 if window", lambda c, d: (c.window == 1) & (c.row_words == 0)),
    ],
    ConfigCompute: _not_zero(
        "stride_x", "stride_y", "dilation_x", "dilation_y", "kernel_h", "kernel_w", "in_h", "in_w"
    ),
    Compute: [
        *_not_zero("out_h", "out_w", "groups", "n_tiles"),
        Rule("weight_bits", "0; above 8", lambda c, d: (c.weight_bits == 0) | (c.weight_bits > 8)),
        Rule("rows_last", "0; above R", lambda c, d: (c.rows_last == 0) | (c.rows_last > d.rows)),
        Rule("cols_last", "0; above C", lambda c, d: (c.cols_last == 0) | (c.cols_last > d.cols)),
    ],
    ConfigPost: _not_zero("win_h", "win_w", "stride_y", "stride_x", "in_h", "in_w"),
    Post: [
        *_not_zero("out_h", "out_w", "chunks"),
        Rule("src_chunk", "R/P or above", lambda c, d: c.src_chunk >= d.rows // d.lanes),
        Rule("dst_chunk", "R/P or above", lambda c, d: c.dst_chunk >= d.rows // d.lanes),
    ],
    Store: [*_not_zero("row_words", "rows"), *_aligned("dram_addr", "dram_pitch")],
    End: [],
    Nop: [],
}

CONFIGURED_BY = {unit.counted: unit.configuration for unit in UNITS if unit.configuration}
"""Commands that are illegal before the first one of another kind since start."""


def check(design: Design, commands: Iterable[Command]) -> None:
    """Raise IllegalCommandError for the first command up to END, in program order, that the hardware would refuse."""
    for index, (command, config) in enumerate(bound(commands)):
        kind = type(command)
        if kind in CONFIGURED_BY and config is None:
            raise IllegalCommandError(
                f"command {index} comes before the first {CONFIGURED_BY[kind].__name__}, which it needs: {command}"
            )
        for rule in RULES[kind]:
            if rule.broken(command, design):
                raise IllegalCommandError(f"command {index}: {rule.field} must not be {rule.illegal}: {command}")
        if kind is End:
            return
