"""What a simulation gives: cycles with what limits them, bounds, bytes and events, per layer and in total.

Layers overlap: the loads of one are under way while the array works for another. So a layer has two times. Its
`cycles` are its share of the run, the part of the critical path (`accel.sim.critical`) that its commands make: the
shares sum to the total, and what is hidden behind other layers costs nothing. Its `work_cycles` are all cycles in
which one of its commands was at work, hidden or not: they hold its beats and its array time wherever these lie, so
they are what its bound is compared with, and no layer is above 100 %. No division of the total among the layers could
do that, because the bounds of layers sum to more than that of the network.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.commands import Command, ConfigCompute, ConfigPost, Load, Store
from accel.design import Design
from accel.entropy.program import coded_loads
from accel.events import DATA_EVENTS, Event
from accel.models.tabular import Tabular
from accel.program import Compulsory, LayerInfo, Program
from accel.sim.bound import bound_cycles
from accel.sim.critical import by_cause, critical_path
from accel.sim.execute import zero_macs
from accel.sim.execute.facts import count_each
from accel.sim.history import tail_cycles
from accel.timing.coded import Stream
from accel.timing.machine import Machine
from accel.timing.recurrence import Timed, first_fetch, time_program
from accel.units import UNIT_NAMES

__all__ = ["LayerResult", "Result", "in_turn", "simulate", "together"]


@dataclass(frozen=True)
class LayerResult:
    """One layer, or the whole network.

    `limits`: `cycles` by cause (`accel.sim.causes.CAUSES`); they sum to `cycles`. `events` as in `accel.events`.
    `row_activations`: rows of the DRAM that were opened. `cycles`, `limits`, `events` and `row_activations` of the
    layers sum to those of the network, and so do the numbers in `info`.
    """

    info: LayerInfo
    design: Design
    cycles: int
    work_cycles: int
    limits: Mapping[str, int]
    events: Mapping[Event, int]
    row_activations: int

    @property
    def bound_cycles(self) -> int:
        """What no schedule goes below: MACs / array size, or the compulsory bytes of a channel / bandwidth."""
        return bound_cycles(self.design, replace(self.info.must, macs=self.useful_macs))

    @property
    def useful_macs(self) -> int:
        """MACs that the network asks for; of a sparse engine, those with a weight and a column that are not zero."""
        must = self.info.must.macs
        return min(must, self.events[Event.MACS]) if self.design.is_sparse else must

    @property
    def efficiency(self) -> float:
        """Bound over the cycles in which it is at work; at most 1, and 0 for a layer that nothing bounds."""
        return self.bound_cycles / self.work_cycles if self.work_cycles else 0.0

    @property
    def limited_by(self) -> str:
        """The cause of most of its cycles; "" for a layer that adds none."""
        return max(self.limits, key=lambda cause: self.limits[cause]) if self.limits else ""

    @property
    def dram_read_bytes(self) -> int:
        """Bytes that crossed the AXI read channel, program included."""
        return self.events[Event.READ_BEATS] * self.design.beat_bytes

    @property
    def dram_write_bytes(self) -> int:
        """Bytes that crossed the AXI write channel."""
        return self.events[Event.WRITE_BEATS] * self.design.beat_bytes

    @property
    def dram_bytes(self) -> int:
        """Bytes moved both ways."""
        return self.dram_read_bytes + self.dram_write_bytes

    @property
    def compulsory_bytes(self) -> int:
        """Bytes that must be moved both ways."""
        return self.info.must.read_bytes + self.info.must.write_bytes

    @property
    def moved_ratio(self) -> float | None:
        """Bytes moved over those that must be; None where none must be."""
        return self.dram_bytes / self.compulsory_bytes if self.compulsory_bytes else None

    @property
    def array_macs(self) -> int:
        """Places of the array in the cycles in which a pixel streams, whether they multiply for the network or not.

        Of a sparse engine, the multipliers of a PE in the cycles in which it has an entry.
        """
        if self.design.is_sparse:
            return self.events[Event.MACS] + self.events[Event.MACS_GATED]
        return self.events[Event.STREAM_CYCLES] * self.design.rows * self.design.cols

    @property
    def utilisation(self) -> float:
        """MACs of the network over places of the array, in all cycles of its work."""
        return self._of_array(self.useful_macs)

    @property
    def array_utilisation(self) -> float:
        """The share of its work's cycles in which the array streams."""
        return self._of_array(self.array_macs)

    def _of_array(self, macs: int) -> float:
        places = self.work_cycles * self.design.rows * self.design.cols
        return macs / places if places else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Times, products and bytes as plain values; docs/numbers.md says what each is."""
        return {
            "weights_format": self.info.weight_format,
            "weights_bytes": self.info.weight_bytes,
            "dram_bytes": self.dram_bytes,
            "row_activations": self.row_activations,
            "compulsory_bytes": self.compulsory_bytes,
            "moved_ratio": self.moved_ratio,
            "cycles": self.cycles,
            "bound_cycles": self.bound_cycles,
            "efficiency": self.efficiency,
            "limited_by": self.limited_by,
            "macs": self.info.must.macs,
            "array_macs": self.array_macs,
            "zero_macs": self.events.get(Event.MACS_ZERO),
            "utilisation": self.utilisation,
            "array_utilisation": self.array_utilisation,
        }


@dataclass(frozen=True, repr=False)
class Result(Tabular):
    """A program's cost in time and events. The memory is the design's own.

    `cycles_range`: fewest and most of the inputs that were executed, where time depends on them.
    """

    network: str
    total: LayerResult
    layers: tuple[LayerResult, ...]
    cycles_range: tuple[int, int]

    @property
    def design(self) -> Design:
        """The accelerator and its memory."""
        return self.total.design

    @property
    def cycles(self) -> int:
        """From start to done."""
        return self.total.cycles

    @property
    def events(self) -> Mapping[Event, int]:
        """The performance counters at the end."""
        return self.total.events

    @property
    def row_activations(self) -> int:
        """Rows of the DRAM that were opened."""
        return self.total.row_activations

    @property
    def latency_us(self) -> float:
        """Time from start to done at the design's clock."""
        return self.cycles / self.design.clock_mhz

    def title(self) -> str:
        """Network, design and time."""
        return f"{self.network} on {self.design.name}: {self.cycles:,} cycles, {self.latency_us:,.4g} us"

    def records(self) -> list[dict[str, Any]]:
        """A row for each layer, and the total."""
        return [{"layer": x.info.name, "kind": x.info.kind, **x.to_dict()} for x in (*self.layers, self.total)]

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "network": self.network,
            "design": self.design.model_dump(),
            "cycles": self.cycles,
            "cycles_range": list(self.cycles_range),
            "latency_us": self.latency_us,
            "events": {event.name: count for event, count in self.events.items()},
            "total": self.total.to_dict(),
            "layers": [{"name": layer.info.name, "kind": layer.info.kind, **layer.to_dict()} for layer in self.layers],
        }


def simulate(program: Program, codes: NDArray[np.int8] | None = None) -> Result:
    """Time a program and account for every cycle. Raises DeadlockError for a program that cannot end.

    With input codes (N, C, H, W) the program is executed as well, and the events that depend on data (`DATA_EVENTS`)
    are those of an input, of several their mean in whole numbers; without, `events` have none of these. The time and
    all events of a sparse engine are those of the first input; without one, as if no activation were zero.
    """
    counts: NDArray[np.int64] | None = None
    if codes is not None and program.design.is_sparse:
        runs, each = count_each(program, codes)
        counts, codes = each[:, 0], codes[:1]
    else:
        runs = [time_program(program)]
        if codes is not None:
            counts = zero_macs(program, codes)
    timing, cycles = runs[0], [run.cycles for run in runs]
    design, owners = program.design, _owner(program)
    fetch = first_fetch(design, program.program_offset, program.first_fetch)
    first = owners[0] if owners else 0
    history: list[tuple[int, Command, Timed]] = [(first, fetch, timing.first_fetch)]
    decoded = dict(coded_loads(program))
    streams: dict[int, Stream] = {}
    for index, (owner, command, timed) in enumerate(zip(owners, program.commands, timing.commands, strict=True)):
        if timed is not None:
            if index in decoded:
                streams[len(history)] = decoded[index]
            history.append((owner, command, timed))
    events: list[Counter[Event]] = [Counter() for _ in program.layers]
    for owner, _, timed in history:
        events[owner].update(timed.step.events)
        events[owner][Event.COMMANDS] += 1
    path = critical_path(program, timing)
    shares: list[list[tuple[int, str, int]]] = [[] for _ in program.layers]
    for piece in path:
        shares[owners[piece[0]] if piece[0] >= 0 else first].append(piece)
    work = work_cycles(design, len(program.layers), history, timing.cycles, streams)
    layers = []
    of_data = _data_events(program, owners, counts, 0 if codes is None else len(codes))
    opened = np.bincount([first, *owners], timing.activations, len(program.layers)).astype(int).tolist()
    for info, share, busy, counted, found, rows in zip(
        program.layers, shares, work, events, of_data, opened, strict=True
    ):
        limits = by_cause(share)
        counted[Event.CYCLES] = sum(limits.values())
        known = {event: counted[event] for event in Event if event not in DATA_EVENTS}
        layers.append(LayerResult(info, design, counted[Event.CYCLES], busy, limits, known | found, rows))
    whole = timing.events | ({e: sum(layer[e] for layer in of_data) for e in DATA_EVENTS} if codes is not None else {})
    total = LayerResult(
        _sum(program.layers), design, timing.cycles, timing.cycles, by_cause(path), whole, timing.row_activations
    )
    return Result(program.name, total, tuple(layers), (min(cycles), max(cycles)))


def together(network: str, runs: Sequence[LayerResult], layers: Sequence[LayerResult] = ()) -> Result:
    """Runs of one design, one after the other, as one: of a list of layers that are no network, or of programs.

    `layers`: those of the runs, where runs have several.
    """
    layers = layers or runs
    limits: Counter[str] = Counter()
    events: Counter[Event] = Counter()
    for run in runs:
        limits.update(run.limits)
        events.update(run.events)
    cycles, work = (sum(getattr(run, name) for run in runs) for name in ("cycles", "work_cycles"))
    opened = sum(run.row_activations for run in runs)
    total = LayerResult(
        _sum(run.info for run in layers), runs[0].design, cycles, work, limits, dict(events), opened
    )  # fmt: skip
    return Result(network, total, tuple(layers), (cycles, cycles))


def in_turn(network: str, programs: Sequence[Result]) -> Result:
    """Programs that run one after another as one result; what the host does between them takes no time here."""
    if len(programs) == 1:
        return programs[0]
    layers = [layer for program in programs for layer in program.layers]
    least, most = zip(*(program.cycles_range for program in programs), strict=True)
    whole = together(network, [program.total for program in programs], layers)
    return replace(whole, cycles_range=(sum(least), sum(most)))


def _data_events(
    program: Program, owners: list[int], counts: NDArray[np.int64] | None, inputs: int
) -> list[dict[Event, int]]:
    """Of each layer, the events that depend on data, in the mean of `inputs`; none without `counts` by command."""
    if counts is None:
        return [{} for _ in program.layers]
    totals = [0] * len(program.layers)
    for owner, count in zip(owners, counts.tolist(), strict=True):
        totals[owner] += count
    return [{Event.MACS_ZERO: round(total / inputs)} for total in totals]


def _sum(infos: Iterable[LayerInfo]) -> LayerInfo:
    """What all layers ask for."""
    infos = tuple(infos)
    formats = {info.weight_format.split(" ")[0] for info in infos if info.weight_bytes}
    must = Compulsory(
        sum(info.must.macs for info in infos),
        sum(info.must.read_bytes for info in infos),
        sum(info.must.write_bytes for info in infos),
        sum(info.must.filter_macs for info in infos),
    )
    return LayerInfo("total", "", must, sum(info.weight_bytes for info in infos), _together(formats))


def _together(formats: set[str]) -> str:
    """The formats of several layers: "dense", "shared4", "dense, shared4/5", "sparse5+huffman, sparse+huffman"."""
    bits: dict[tuple[str, str], list[str]] = {}
    for name in sorted(formats):
        match = re.fullmatch(r"([a-z]+)(\d*)(.*)", name)
        assert match, name
        bits.setdefault((match[1], match[3]), []).append(match[2])
    return ", ".join(f"{kind}{'/'.join(found)}{rest}" for (kind, rest), found in bits.items())


def _owner(program: Program) -> list[int]:
    """The layer of every command; a fetch belongs to the layer of the next command."""
    owners, following = [], len(program.layers) - 1
    for layer in reversed(program.layer_of):
        following = layer if layer >= 0 else following
        owners.append(following)
    return owners[::-1]


def work_cycles(
    design: Design, layers: int, history: Iterable[tuple[int, Command, Timed]], cycles: int,
    streams: Mapping[int, Stream] = MappingProxyType({}),
) -> list[int]:  # fmt: skip
    """For each layer, the cycles in which at least one of its commands is at work.

    A command is at work from when its unit took it, or the data of the one before it in the unit is through, until it
    is done; with the bus, until the memory could give or take the next beat, because a beat costs it that time.
    `streams`: those of coded LOADs, by place in the history.
    """
    machine = Machine.of(design)
    spans: list[list[tuple[int, int]]] = [[] for _ in range(layers)]
    through = dict.fromkeys(UNIT_NAMES, 0)  # the last cycle of data, pixels or elements
    for place, (owner, command, timed) in enumerate(history):
        if isinstance(command, (ConfigCompute, ConfigPost)):
            continue
        begin, end = max(timed.step.pop, through[timed.unit]), timed.step.complete
        through[timed.unit] = end - tail_cycles(machine, command, timed.step, streams.get(place))
        if isinstance(command, (Load, Store)):
            end = max(end, through[timed.unit] + machine.interval - 1)
        spans[owner].append((begin, min(end, cycles)))
    return [_union(found) for found in spans]


def _union(spans: list[tuple[int, int]]) -> int:
    """Cycles in at least one of the half-open `spans` (after the first, up to and with the second)."""
    total, reached = 0, 0
    for begin, end in sorted(spans):
        if end > reached:
            total += end - max(begin, reached)
            reached = end
    return total
