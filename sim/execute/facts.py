"""What execution knows of a command's duration: the seam for formats that take as long as their data ask for.

Timing needs *facts* of each command (`accel.timing.machine`). For everything that exists today they follow from the
command and the configuration in force. An action whose command takes as long as what it decodes or skips returns the
facts that it found (`accel.sim.execute.run.Facts`); here they replace what was known before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from accel.entropy.program import coded_loads
from accel.legal import check
from accel.program import Program
from accel.rows import rows_of
from accel.series import Layout, Series
from accel.sim.execute.machine import Machine
from accel.sim.execute.run import Facts, batch, counted, run
from accel.timing.recurrence import Timing, first_fetch, known_facts, time_rows


def time_executed(program: Program, codes: NDArray[np.int8]) -> Timing:
    """Time the program on one input (C, H, W), with the facts that its execution finds. Raises as both do."""
    _, found = run(program, codes[None], timed=True)
    return _timed(program, found, 1)[0]


def count_executed(program: Program, codes: NDArray[np.int8]) -> tuple[Timing, NDArray[np.int64]]:
    """`time_executed`, and what `accel.sim.execute.zero_macs` says of the same input, of one execution."""
    (timing,), counts = count_each(program, codes[None])
    return timing, counts[:, 0]


def count_each(program: Program, codes: NDArray[np.int8]) -> tuple[list[Timing], NDArray[np.int64]]:
    """`count_executed` of each of several inputs (N, C, H, W), which are executed together: (commands, N) counts."""
    check(program.design, program.commands)
    timings, counts, step = list[Timing](), list[NDArray[np.int64]](), batch(program)
    for first in range(0, len(codes), step):
        machine, found = run(program, codes[first : first + step], count=True, timed=True)
        timings += _timed(program, found, machine.batch)
        counts.append(counted(program, machine))
    return timings, np.concatenate(counts, axis=1)


def run_series(series: Series, layout: Layout, codes: NDArray[np.int8]) -> tuple[Machine, list[tuple[Timing, int]]]:
    """The machine after a run on input codes of each image, and of each its timing and MACS_ZERO.

    Raises as `time_executed` does.
    """
    machine, timings = None, list[tuple[Timing, int]]()
    for program, image in zip(series.programs(layout), codes, strict=True):
        check(program.design, program.commands)
        machine, found = run(program, image[None], count=True, timed=True, after=machine)
        busy = timings[-1][0].read_busy_cycles if timings else 0
        timings.append((_timed(program, found, 1, busy)[0], int(counted(program, machine).sum())))
    assert machine is not None
    return machine, timings


def _timed(program: Program, found: Sequence[Facts | None], inputs: int, read_busy_cycles: int = 0) -> list[Timing]:
    """The timing of each of the inputs that were executed together."""
    fetch = first_fetch(program.design, program.program_offset, program.first_fetch)
    rows = rows_of([fetch, *program.commands])
    streams = [(1 + index, made) for index, made in coded_loads(program)]
    known = known_facts(program.design, rows)
    return [
        time_rows(program.design, rows, with_found(known, [None, *found], number), streams, read_busy_cycles)
        for number in range(inputs)
    ]


def with_found(known: NDArray[np.int64], found: Sequence[Facts | None], number: int) -> NDArray[np.int64]:
    """(n, FACTS) the facts of rows of commands: those that execution found of an input, else those that are known."""
    facts = known.copy()
    for index, these in enumerate(found):
        for column, value in (these or {}).items():
            facts[index, column] = value if isinstance(value, int) else value[number]
    return facts
