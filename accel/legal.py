"""Which commands are legal: the rules that the sequencer checks, the simulator raises for, and docs/formats.md prints.

A rule works on a `Command` and on the hardware's view of one alike, so it is written with operators that both have.
Encodings that are no command at all (another opcode, a bit above the last field) are refused by `accel.commands.decode`
and by the sequencer itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accel.commands import (
    COMMANDS,
    Command,
    Compute,
    ConfigCompute,
    ConfigPost,
    End,
    Load,
    Nop,
    Opcode,
    Post,
    Store,
    Target,
    most,
)
from accel.design import Design
from accel.latency import least_line
from accel.layout import window_bytes
from accel.memories import CODE_BITS, run_bits
from accel.records import filter_number
from accel.rows import COLUMNS, OPCODE, Rows, command_of, in_force, rows_of
from accel.units import UNITS


class Rule(NamedTuple):
    """A field, what it must not be (R, C, P and W are array rows, columns, post lanes, beat bytes), and the test.

    `adds`: it asks for a sum of fields, which takes longer. `applies`: whether there is this rule in a design.
    """

    field: str
    illegal: str
    broken: Callable[[Any, Design], Any]
    adds: bool = False
    applies: Callable[[Design], bool] = lambda design: True


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


def _entries(name: str, illegal: str, broken: Callable[[Any, Design], Any]) -> Rule:
    """A rule for LOADs of a sparse engine's weights."""
    return Rule(
        name, illegal, lambda c, d: (c.target == Target.WEIGHT) & broken(c, d), applies=lambda d: d.is_sparse
    )  # fmt: skip


def _sparse(name: str, illegal: str, broken: Callable[[Any, Design], Any]) -> Rule:
    """A rule for sparse engines only."""
    return Rule(name, f"sparse: {illegal}", broken, applies=lambda d: d.is_sparse)


def _filter(name: str, illegal: str, broken: Callable[[Any, Design], Any]) -> Rule:
    """A rule for POSTs with `filter`, where there are such."""
    return Rule(
        name, illegal, lambda c, d: (c.filter != 0) & broken(c, d), applies=lambda d: d.filter_multipliers > 0
    )  # fmt: skip


def _reach(c: Any, d: Design) -> Any:
    """Pixels of a window of a filter before its last."""
    return 2 if d.filter_side == 3 else c.filter << 1


def _too_wide(c: Any, d: Design) -> Any:
    """Whether the words of a pixel have more bytes than the loader holds; without a multiplication."""
    parts = range(most(Load, "parts") + 1)
    wide = [(c.parts == p) & (c.run > window_bytes(d) // (p + 1)) for p in parts]
    return (c.window == 1) & reduce(or_, wide)


RULES: dict[type[Command], list[Rule]] = {
    Load: [
        Rule(
            "target",
            "5 or 6 without a decoder",
            lambda c, d: ((c.target == Target.RUN_TABLE) | (c.target == Target.VALUE_TABLE)) & int(not d.decoder_lanes),
        ),
        Rule("target", "3 without codebooks", lambda c, d: (c.target == Target.CODEBOOK) & int(not d.codebooks)),
        Rule("target", "7 without tables", lambda c, d: (c.target == Target.TABLE) & int(not d.tables)),
        *_not_zero("row_beats", "rows"),
        *_aligned("dram_addr"),
        Rule(
            "dram_pitch",
            "not a multiple of W, unless coded",
            lambda c, d: (c.coded == 0) & ((c.dram_pitch & (d.beat_bytes - 1)) != 0),
        ),
        Rule("window", "1 without windows", lambda c, d: (c.window == 1) & int(not d.windows)),
        Rule("window", "1 if target is not 0", lambda c, d: (c.window == 1) & (c.target != Target.ACTIVATION)),
        Rule("run", "0 if window", lambda c, d: (c.window == 1) & (c.run == 0)),
        Rule("step", "0 if window", lambda c, d: (c.window == 1) & (c.step == 0)),
        Rule("lane", "above R - run if window", lambda c, d: (c.window == 1) & (c.lane + c.run > d.word_lanes), True),
        Rule("row_words", "0 if window", lambda c, d: (c.window == 1) & (c.row_words == 0)),
        Rule(
            "zero_code",
            "0 or above R if window",
            lambda c, d: (c.window == 1) & ((c.zero_code == 0) | (c.zero_code > d.word_lanes)),
        ),
        Rule(
            "code_bits",
            "0 or above zero_code if window",
            lambda c, d: (c.window == 1) & ((c.code_bits == 0) | (c.code_bits > c.zero_code)),
        ),
        Rule("parts", "such that (parts + 1) * run is above 2 R if window", _too_wide),
        _entries("rows", "above 1 if entries", lambda c, d: c.rows != 1),
        _entries("run", "0 or above index_bits if entries", lambda c, d: (c.run == 0) | (c.run > run_bits(d))),
        _entries(
            "step",
            "0, or above 8 unless coded, if entries",
            lambda c, d: (c.step == 0) | ((c.coded == 0) & (c.step > CODE_BITS)),
        ),
        _entries("row_words", "0 if entries", lambda c, d: c.row_words == 0),
        Rule("coded", "1 if target is not 1", lambda c, d: (c.coded == 1) & (c.target != Target.WEIGHT)),
        Rule("coded", "1 without a decoder", lambda c, d: (c.coded == 1) & (d.decoder_lanes == 0)),
        Rule("rows", "not 1 if coded", lambda c, d: (c.coded == 1) & (c.rows != 1)),
        Rule(
            "dst_pitch",
            "0 if coded, but entries",
            lambda c, d: (c.coded == 1) & (c.dst_pitch == 0),
            applies=lambda d: not d.is_sparse,
        ),
        Rule(
            "code_bits",
            "0 or above 8 if coded",
            lambda c, d: (c.coded == 1) & ((c.code_bits == 0) | (c.code_bits > 8)),
        ),
    ],
    ConfigCompute: [
        *_not_zero("stride_x", "stride_y", "dilation_x", "dilation_y", "kernel_h", "kernel_w", "in_h", "in_w"),
        Rule("beside", "1 if stride_x is not 1", lambda c, d: (c.beside == 1) & (c.stride_x != 1)),
        Rule(
            "beside",
            "1 with another engine than the array that holds weights, 2:4, or an odd R",
            lambda c, d: (c.beside == 1) & int(not d.takes_beside),
        ),
    ],
    Compute: [
        *_not_zero("out_h", "out_w", "groups", "n_tiles"),
        Rule("weight_bits", "0; above 8", lambda c, d: (c.weight_bits == 0) | (c.weight_bits > 8)),
        Rule("use_codebook", "1 without codebooks", lambda c, d: (c.use_codebook == 1) & int(not d.codebooks)),
        Rule(
            "weight_bits",
            "not 8 without codebooks",
            lambda c, d: (c.weight_bits != CODE_BITS) & int(not d.codebooks),
        ),
        Rule("rows_last", "0; above R", lambda c, d: (c.rows_last == 0) | (c.rows_last > d.word_lanes)),
        Rule("cols_last", "0; above C", lambda c, d: (c.cols_last == 0) | (c.cols_last > d.cols)),
        _sparse("acc_addr", "not a multiple of R", lambda c, d: (c.acc_addr & (d.rows - 1)) != 0),
        _sparse("entries", "0", lambda c, d: c.entries == 0),
        Rule("structured", "1 without 2:4", lambda c, d: (c.structured == 1) & int(not d.two_of_four)),
    ],
    ConfigPost: [
        *_not_zero("win_h", "win_w", "stride_y", "stride_x", "in_h", "in_w"),
        Rule("table", "1 without tables", lambda c, d: (c.table == 1) & int(not d.tables)),
        Rule("multiply", "1 without operand_products", lambda c, d: (c.multiply == 1) & int(not d.operand_products)),
    ],
    Post: [
        *_not_zero("out_h", "out_w", "chunks", "dst_step"),
        Rule(
            "src_chunk",
            "R/P or above, of activations",
            lambda c, d: (c.from_activation == 1) & (c.src_chunk >= d.word_lanes // d.lanes),
        ),
        Rule(
            "src_chunk",
            "C/P or above, of sums",
            lambda c, d: (c.from_activation == 0) & (c.src_chunk >= d.cols // d.lanes),
        ),
        Rule("dst_chunk", "R/P or above", lambda c, d: c.dst_chunk >= d.word_lanes // d.lanes),
        Rule(
            "filter",
            "above 2; above 1 if filter_side is 3; above 0 without multipliers for it",
            lambda c, d: c.filter > (filter_number(d.filter_side) if d.filter_multipliers else 0),
        ),
        _filter("from_activation", "0 if filter", lambda c, d: c.from_activation == 0),
        _filter("reduce_sum", "0 if filter", lambda c, d: c.reduce_sum == 0),
        _filter("residual", "1 if filter", lambda c, d: c.residual == 1),
        _filter("iy0", "below -2 if filter, -4 if that is 2", lambda c, d: c.iy0 < -_reach(c, d)),
        _filter("ix0", "below -2 if filter, -4 if that is 2", lambda c, d: c.ix0 < -_reach(c, d)),
        _filter("stream_h", "0 if filter", lambda c, d: c.stream_h == 0),
        _filter(
            "stream_w",
            "below F or above the columns of the line buffer if filter",
            lambda c, d: (c.stream_w < least_line(d)) | (c.stream_w > d.filter_line),
        ),
    ],
    Store: [
        *_not_zero("row_words", "rows"),
        *_aligned("dram_addr", "dram_pitch"),
        Rule("unused_lanes", "R or above", lambda c, d: c.unused_lanes + 1 > d.word_lanes),
        Rule(
            "line_at", "line_words or above if gap_words", lambda c, d: (c.gap_words != 0) & (c.line_at >= c.line_words)
        ),
    ],
    End: [],
    Nop: [],
}

CONFIGURED_BY = {unit.counted: unit.configuration for unit in UNITS if unit.configuration}
"""Commands that are illegal before the first one of another kind since start."""


class _Fields:
    """The fields of many commands of one kind, by name."""

    def __init__(self, kind: type[Command], rows: Rows) -> None:
        self._columns, self._rows = COLUMNS[kind], rows

    def __getattr__(self, name: str) -> NDArray[np.int64]:
        return self._rows[:, self._columns[name]]


def check_rows(design: Design, rows: Rows) -> None:
    """Raise IllegalCommandError for the first row up to END, in program order, that the hardware would refuse.

    `rows` (n, WIDTH) as in `accel.rows`, whose fields are in range.
    """
    opcodes = rows[:, OPCODE]
    ends = np.flatnonzero(opcodes == Opcode.END)
    count = int(ends[0]) + 1 if len(ends) else len(rows)
    opcodes, configs = opcodes[:count], in_force(rows[:count])
    wrong: list[tuple[int, int, str]] = []  # row, rule, message
    early = np.flatnonzero(configs < 0)
    if len(early):
        kind = COMMANDS[Opcode(opcodes[early[0]])]
        wrong.append((int(early[0]), -1, f"comes before the first {CONFIGURED_BY[kind].__name__}, which it needs"))
    for kind, rules in RULES.items():
        (mine,) = np.nonzero(opcodes == kind.OPCODE)
        if not len(mine):
            continue
        fields = _Fields(kind, rows[mine])
        for number, rule in enumerate(rules):
            if not rule.applies(design):
                continue
            broken = np.asarray(rule.broken(fields, design))
            if broken.any():
                message = f"{rule.field} must not be {rule.illegal}"
                wrong.append((int(mine[broken.argmax()]), number, message))
    if wrong:
        index, rule_number, message = min(wrong)
        colon = "" if rule_number < 0 else ":"
        raise IllegalCommandError(f"command {index}{colon} {message}: {command_of(rows[index])}")


def check(design: Design, commands: Iterable[Command]) -> None:
    """As `check_rows`, of commands."""
    check_rows(design, rows_of(commands))
