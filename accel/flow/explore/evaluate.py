"""What a point costs: its program is compiled and timed, nothing is stored, and its outputs are not computed.

Time and events are those of `accel simulate`: with a sparse engine, whose time depends on the data, the first input is
executed. Points that differ in nothing that cycles depend on share a program.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from accel.compile import compile_network, time_network
from accel.compiler.choose import Formats
from accel.design import Design
from accel.dram import alike
from accel.events import Event
from accel.flow.explore.candidates import Candidate, name_of
from accel.flow.explore.space import Point, Space
from accel.models.errors import InputError
from accel.resources import predict
from accel.sim.cost import cost_of
from accel.sim.result import Result, simulate
from accel.timing.recurrence import Timing

REMEMBERED = 512  # programs whose counts a process keeps


class Outcome(NamedTuple):
    """What became of a point: its metrics, or the `reason` why there are none.

    `defect`: the reason is not the user's design but an error of this program.
    """

    number: int
    metrics: dict[str, float]
    reason: str = ""
    defect: bool = False


class Counts(NamedTuple):
    """What is kept of a program's run."""

    cycles: int
    events: Mapping[Event, int]
    row_activations: int


@dataclass
class Job:
    """All that a process needs to evaluate points of a space."""

    space: Space
    candidates: Mapping[str, Candidate]
    known: OrderedDict[tuple[str, str, Design], Counts | str] = field(default_factory=OrderedDict, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Another process remembers programs of its own."""
        return self.__dict__ | {"known": OrderedDict()}

    def candidate(self, number: int) -> Candidate:
        """The network of a point."""
        return self.candidates[name_of(self.space.values(number))]

    def evaluate(self, numbers: Iterable[int]) -> list[Outcome]:
        """What becomes of points."""
        return [self._outcome(number) for number in numbers]

    def _outcome(self, number: int) -> Outcome:
        try:
            point = self.space.point(number)
            counts = self._counts(self.candidate(number), point)
            return Outcome(number, metrics(counts, point.design))
        except InputError as error:
            return Outcome(number, {}, str(error))
        except Exception as error:  # a defect must not cost the other points, and must be seen
            return Outcome(number, {}, f"{type(error).__name__}: {error}", defect=True)

    def _counts(self, candidate: Candidate, point: Point) -> Counts:
        """Counts of a point. Raises InputError, also for what was refused before."""
        neutral = {"name": point.design.name.rpartition("-")[0]}
        key = (candidate.name, point.formats, alike(point.design).model_copy(update=neutral))
        if key not in self.known:
            try:
                self.known[key] = count(candidate, key[2], candidate.formats(point))
            except InputError as error:
                self.known[key] = str(error)
            if len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        found = self.known[key]
        if isinstance(found, str):
            raise InputError(found)
        return found


def count(candidate: Candidate, design: Design, formats: Formats) -> Counts:
    """Cycles, events and rows opened by a network on a design. Raises InputError as `compile_network` does."""
    found: list[Result | Timing] = []
    for part, codes in candidate.parts:
        if design.is_sparse:
            found.append(simulate(compile_network(part, design, formats), codes[:1]))
        else:
            found.append(time_network(part, design, formats))
    events = Counter[Event]()
    for one in found:
        events.update(one.events)
    if not design.is_sparse and candidate.products is not None:
        events[Event.MACS_ZERO] = events[Event.MACS] - candidate.products
    return Counts(sum(one.cycles for one in found), events, sum(one.row_activations for one in found))


def metrics(counts: Counts, design: Design) -> dict[str, float]:
    """The metrics of `accel.flow.explore.metrics` that are a point's own."""
    cost, events, needed = cost_of(design, counts), counts.events, predict(design)
    return {
        "latency_us": cost.latency_us,
        "cycles": counts.cycles,
        "fps": cost.inferences_per_s,
        "energy_uj": cost.energy.total_pj.nominal / 1e6,
        "area_mm2": cost.area.total_mm2.nominal,
        "power_mw": cost.average_mw.nominal,
        "lut": needed.lut,
        "ff": needed.ff,
        "dsp": needed.dsp,
        "bram": needed.bram,
        "fmax_mhz": needed.fmax_mhz,
        "dram_bytes": (events[Event.READ_BEATS] + events[Event.WRITE_BEATS]) * design.beat_bytes,
    }
