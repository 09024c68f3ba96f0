"""What every unit does when: the commands of a run as spans, as a Chrome trace that Perfetto opens, and as a picture.

The format is the "Trace Event Format" (JSON object form): complete events (`X`) on one track for each unit, flow arrows
(`s`, `f`) from the command that another waited for longest, and the layers as a process of their own. Times are in
microseconds of the design's clock; each event has its cycles beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Command
from accel.compile import compile_network
from accel.compiler.choose import Formats
from accel.design import Design
from accel.models.errors import InputError
from accel.models.integers.network import IntegerNetwork
from accel.models.reference import int8
from accel.program import Program
from accel.sim.execute.facts import time_executed
from accel.timing.recurrence import Timed, first_fetch, time_program
from accel.units import UNIT_NAMES, UNIT_OF

SUFFIXES = (".json", ".png", ".svg")
UNITS_PROCESS, LAYERS_PROCESS = 1, 2
PROGRAM = "program"  # the name of what belongs to no layer: fetches of commands


@dataclass(frozen=True)
class Span:
    """One command in its unit, from the cycle in which it is taken to that behind its done pulse.

    Of a configuration to the cycle in which the unit takes another. `index` is that in the program, -1 for the fetch
    that the hardware makes by itself; `cause` is the index into the spans of the command that it waited for, if it had
    to wait for one. `lane`: how many others of its unit were under way when it began.
    """

    index: int
    layer: str
    unit: str
    name: str
    start: int
    end: int
    lane: int
    cause: int | None


def check(path: Path) -> None:
    """Raise InputError unless the file's name says what to write."""
    if path.suffix not in SUFFIXES or path.is_dir():
        raise InputError(f"--trace must be the name of a file that ends in {', '.join(SUFFIXES)}, not {path}")


@dataclass(frozen=True)
class Recorded:
    """Every command that a unit executes, in program order, and the cycles from start to done."""

    spans: tuple[Span, ...]
    cycles: int


def recorded(program: Program, codes: NDArray[np.int8] | None = None) -> Recorded:
    """A run of the program; on a sparse engine, where time depends on it, with the first of the input codes."""
    executed = codes is not None and program.design.is_sparse
    timing = time_executed(program, codes[0]) if executed and codes is not None else time_program(program)
    fetch = first_fetch(program.design, program.program_offset, program.first_fetch)
    timed: list[tuple[int, str, Command, Timed]] = [(-1, "", fetch, timing.first_fetch)]
    for index, (owner, command, one) in enumerate(
        zip(program.layer_of, program.commands, timing.commands, strict=True)
    ):
        if one is not None:
            timed.append((index, program.layers[owner].name if owner >= 0 else "", command, one))
    counted: dict[str, list[int]] = {unit: [] for unit in UNIT_NAMES}
    open_lanes: dict[str, list[int]] = {unit: [] for unit in UNIT_NAMES}
    found = []
    for number, (index, layer, command, one) in enumerate(timed):
        unit, counts = UNIT_OF[type(command)], isinstance(command, UNIT_OF[type(command)].counted)
        if counts:
            counted[unit.name].append(number)
        start, end = one.step.pop, one.step.complete + 1 if counts else one.step.issued
        wait = getattr(command, f"wait_{one.awaited}", 0) if one.awaited else 0
        lane = _lane(open_lanes[unit.name], start, max(end, start + 1))
        name = command.OPCODE.name
        cause = counted[one.awaited][wait - 1] if wait else None
        found.append(Span(index, layer, unit.name, name, start, max(end, start + 1), lane, cause))
    return Recorded(tuple(found), timing.cycles)


def layer_spans(found: Iterable[Span]) -> dict[str, tuple[int, int]]:
    """By layer, the first cycle of its first command and the last of its last."""
    ends: dict[str, tuple[int, int]] = {}
    for span in found:
        start, end = ends.get(span.layer, (span.start, span.end))
        ends[span.layer] = (min(start, span.start), max(end, span.end))
    return ends


def lanes_of(ends: Sequence[tuple[int, int]]) -> list[int]:
    """For intervals in order of their starts, the lane of each in which none lies over another."""
    used: list[int] = []
    return [_lane(used, start, end) for start, end in ends]


def _lane(used: list[int], start: int, end: int) -> int:
    """The first lane that is free at `start`; `used` has the end of the last one in each."""
    for lane, busy in enumerate(used):
        if busy <= start:
            used[lane] = end
            return lane
    used.append(end)
    return len(used) - 1


def chrome(program: Program, run: Recorded) -> dict[str, Any]:
    """The trace as plain values."""
    clock, found = program.design.clock_mhz, run.spans
    tracks = sorted({(UNIT_NAMES.index(span.unit), span.lane) for span in found})
    number = {track: 1 + index for index, track in enumerate(tracks)}
    track = [number[UNIT_NAMES.index(span.unit), span.lane] for span in found]
    return {
        "displayTimeUnit": "ns",
        "otherData": {"network": program.name, "design": program.design.name, "clock_mhz": clock, "cycles": run.cycles},
        "traceEvents": [
            _named("process_name", UNITS_PROCESS, 0, f"{program.name} on {program.design.name}"),
            *(
                _named("thread_name", UNITS_PROCESS, tid, UNIT_NAMES[unit] + (f" ({lane + 1})" if lane else ""))
                for (unit, lane), tid in number.items()
            ),
            *(_event(span, tid, clock) for span, tid in zip(found, track, strict=True)),
            *_arrows(found, track, clock),
            *_layer_events(found, clock),
        ],
    }


def _us(cycle: int, clock: float) -> float:
    """The time of a cycle in whole nanoseconds, all that Perfetto keeps: rounded by it, spans would overlap."""
    return int(cycle * 1000 / clock) / 1000


def _times(start: int, end: int, clock: float) -> dict[str, float]:
    return {"ts": _us(start, clock), "dur": round(_us(end, clock) - _us(start, clock), 3)}


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _event(span: Span, tid: int, clock: float) -> dict[str, Any]:
    return {
        "ph": "X", "name": f"{span.name} {span.layer}".rstrip(), "cat": span.unit, "pid": UNITS_PROCESS, "tid": tid,
        **_times(span.start, span.end, clock),
        "args": {"command": span.index, "layer": span.layer, "from cycle": span.start, "to cycle": span.end},
    }  # fmt: skip


def _arrows(found: Sequence[Span], track: Sequence[int], clock: float) -> Iterator[dict[str, Any]]:
    """From the last cycle of what was waited for to the first of what waited."""
    for number, span in enumerate(found):
        if span.cause is not None:
            both = {"name": "waits", "cat": "wait", "id": number, "pid": UNITS_PROCESS}
            yield both | {"ph": "s", "tid": track[span.cause], "ts": _us(found[span.cause].end - 1, clock)}
            yield both | {"ph": "f", "bp": "e", "tid": track[number], "ts": _us(span.start, clock)}


def _layer_events(found: Sequence[Span], clock: float) -> Iterator[dict[str, Any]]:
    yield _named("process_name", LAYERS_PROCESS, 0, "layers")
    ends = sorted(layer_spans(found).items(), key=lambda item: item[1])
    lanes = lanes_of([end for _, end in ends])
    for lane in range(max(lanes) + 1):
        yield _named("thread_name", LAYERS_PROCESS, 1 + lane, f"layers ({lane + 1})")
    for (name, (start, end)), lane in zip(ends, lanes, strict=True):
        yield {
            "ph": "X", "name": name or PROGRAM, "cat": "layer", "pid": LAYERS_PROCESS, "tid": 1 + lane,
            **_times(start, end, clock), "args": {"from cycle": start, "to cycle": end},
        }  # fmt: skip


def of(
    network: IntegerNetwork, design: Design, inputs: NDArray[np.float32], formats: Formats, path: Path, tries: int = 0
) -> bytes:
    """What the file of a run holds, for the first of `inputs` (n, *input shape) where time depends on them."""
    runs = []
    for part, codes in int8.stretch_codes(network, int8.quantise_input(network, inputs[:1])):
        program = compile_network(part, design, formats, tries)
        runs.append(recorded(program, codes))
    return content(replace(program, name=network.name), one_after_another(runs), path)


def one_after_another(runs: Sequence[Recorded]) -> Recorded:
    """Programs as one run, without the time that the host takes between them; each counts its own commands."""
    spans, cycles = list[Span](), 0
    for run in runs:
        first = len(spans)
        for span in run.spans:
            cause = None if span.cause is None else span.cause + first
            spans.append(replace(span, start=span.start + cycles, end=span.end + cycles, cause=cause))
        cycles += run.cycles
    return Recorded(tuple(spans), cycles)


def content(program: Program, run: Recorded, path: Path) -> bytes:
    """What the file holds, by its suffix."""
    check(path)
    if path.suffix == ".json":
        return (json.dumps(chrome(program, run), allow_nan=False) + "\n").encode()
    from accel.flow.charts.style import saved
    from accel.flow.charts.timeline import timeline

    kind = path.suffix[1:]
    return saved(lambda: timeline(program, run), (kind,))[kind]
