"""What a simulation gives: cycles, bounds, stalls by cause, events, per layer and in total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from accel.commands import Command, Compute
from accel.design import Design
from accel.events import Event
from accel.program import LayerInfo, Program
from accel.timing.recurrence import Timed, Timing, time_program

__all__ = ["LayerResult", "Result", "simulate"]


def bound_cycles(design: Design, macs: int, dram_bytes: int) -> int:
    """The roofline: the larger of MACs / array size and DRAM bytes / bandwidth, in cycles.

    Reads and writes have their own AXI channels; the bound takes `dram_bytes` as the busier of the two.
    """
    return max(ceil(macs / (design.rows * design.cols)), ceil(dram_bytes / design.bytes_per_cycle))


@dataclass(frozen=True)
class LayerResult:
    """One layer. `cycles` is its share of the total (the shares sum to it): from the previous layer's end to its own.

    `stalls`: cycles in which no pixel entered the array, by cause. Before a COMPUTE was taken: "load", "post", "store"
    (it waited for commands of these units), "program" (it had not been dispatched). "fill": every idle cycle inside a
    COMPUTE, as when the weights of a tile shift in for longer than the tile before it streams (R cycles for the one
    pixel of a fully connected layer), or sums leave the pipeline. "drain": after the last sum. `events` as in
    `accel.events`; the layers' counts sum to the program's.
    """

    name: str
    kind: str
    macs: int
    first_cycle: int
    last_cycle: int
    cycles: int
    bound_cycles: int
    stalls: dict[str, int]
    events: dict[Event, int]
    weight_bytes: int
    weight_format: str

    @property
    def efficiency(self) -> float:
        """Bound over cycles, 0 for a layer that ends within another."""
        return self.bound_cycles / self.cycles if self.cycles else 0.0


@dataclass(frozen=True)
class Result:
    """A program's cost in time and events. The memory is the design's own."""

    network: str
    design: Design
    cycles: int
    bound_cycles: int
    stalls: dict[str, int]
    events: dict[Event, int]
    layers: tuple[LayerResult, ...]
    weights_stored_bytes: int

    @property
    def latency_us(self) -> float:
        """Time from start to done at the design's clock."""
        return self.cycles / self.design.clock_mhz

    @property
    def efficiency(self) -> float:
        """Bound over cycles."""
        return self.bound_cycles / self.cycles

    @property
    def dram_read_bytes(self) -> int:
        """Bytes that crossed the AXI read channel, program included."""
        return self.events[Event.READ_BEATS] * self.design.beat_bytes

    @property
    def dram_write_bytes(self) -> int:
        """Bytes that crossed the AXI write channel."""
        return self.events[Event.WRITE_BEATS] * self.design.beat_bytes


def simulate(program: Program) -> Result:
    """Time a program and account for every cycle. Raises DeadlockError for a program that cannot end."""
    timing = time_program(program)
    layers = _layers(program, timing)
    macs = sum(layer.macs for layer in program.layers)
    return Result(
        program.name,
        program.design,
        timing.cycles,
        bound_cycles(program.design, macs, _busier_bytes(program.design, timing.events)),
        _sum(layer.stalls for layer in layers),
        timing.events,
        layers,
        sum(layer.weight_bytes for layer in program.layers),
    )


def _busier_bytes(design: Design, events: dict[Event, int]) -> int:
    return max(events.get(Event.READ_BEATS, 0), events.get(Event.WRITE_BEATS, 0)) * design.beat_bytes


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _owner(program: Program) -> list[int]:
    """The layer of every command; a fetch belongs to the layer of the next command."""
    owners, following = [], len(program.layers) - 1
    for layer in reversed(program.layer_of):
        following = layer if layer >= 0 else following
        owners.append(following)
    return owners[::-1]


def _layers(program: Program, timing: Timing) -> tuple[LayerResult, ...]:
    count = len(program.layers)
    last, first = [0] * count, [timing.cycles] * count
    events: list[Counter[Event]] = [Counter() for _ in range(count)]
    stalls: list[Counter[str]] = [Counter() for _ in range(count)]
    streamed = 0  # the cycle up to which every cycle of the array is accounted for
    before: Timed | None = None
    owners = _owner(program)
    history: list[tuple[int, Command | None, Timed]] = [(owners[0] if owners else 0, None, timing.first_fetch)]
    history += [(o, c, t) for o, c, t in zip(owners, program.commands, timing.commands, strict=True) if t is not None]
    for owner, command, timed in history:
        events[owner].update(timed.step.events)
        events[owner][Event.COMMANDS] += 1
        last[owner] = max(last[owner], timed.step.complete)
        first[owner] = min(first[owner], timed.step.pop)
        if isinstance(command, Compute):
            gap = timed.step.complete - streamed - timed.step.busy
            waited = min(gap, max(0, timed.step.pop - (before.step.issued if before else 0)))
            stalls[owner][_cause(timed)] += waited
            stalls[owner]["fill"] += gap - waited
            streamed, before = timed.step.complete, timed
    results, end = [], 0
    for index, info in enumerate(program.layers):
        until = timing.cycles if index == count - 1 else max(end, last[index])
        if index == count - 1:
            stalls[index]["drain"] += timing.cycles - streamed
        results.append(_layer(program.design, info, first[index], end, until, stalls[index], events[index]))
        end = until
    return tuple(results)


def _cause(timed: Timed) -> str:
    """What a COMPUTE waited for before its unit took it."""
    return timed.awaited if timed.awaited and timed.ready == timed.step.pop else "program"


def _layer(
    design: Design, info: LayerInfo, first: int, end: int, until: int, stalls: Counter[str], events: Counter[Event]
) -> LayerResult:
    counts = {event: events.get(event, 0) for event in Event}
    counts[Event.CYCLES] = until - end
    bound = bound_cycles(design, info.macs, _busier_bytes(design, counts))
    return LayerResult(
        info.name, info.kind, info.macs, first, until, until - end, bound,
        {cause: cycles for cause, cycles in stalls.items() if cycles}, counts, info.weight_bytes, info.weight_format,
    )  # fmt: skip
