"""All that a run on a design costs: energy, area, power, rates; and which constant moves the energy most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from accel.design import Design
from accel.events import Event
from accel.sim.cost.constants import CONSTANTS, HIGH, LOW, NOMINAL
from accel.sim.cost.energies import Energy, Range, busiest, chip_parts, energy_of, parts_at, total
from accel.sim.cost.plan import Plan


class Counted(Protocol):
    """What was counted in a run: a Timing, a Result, a LayerResult."""

    @property
    def cycles(self) -> int:
        """From start to done; of a layer, its share."""

    @property
    def events(self) -> Mapping[Event, int]:
        """The counters."""

    @property
    def row_activations(self) -> int:
        """Rows of the DRAM that were opened."""


@dataclass(frozen=True)
class Area:
    """Square millimetres by component: memories by kind, and logic. Without pads, DRAM controller and the DRAM."""

    components_mm2: Mapping[str, Range]

    @property
    def total_mm2(self) -> Range:
        """Everything."""
        return total(self.components_mm2.values())


@dataclass(frozen=True)
class Cost:
    """What a run costs. `macs`: of the network, None if nobody said."""

    energy: Energy
    area: Area
    latency_us: float
    peak_mw: Range
    macs: int | None = None

    @property
    def inferences_per_s(self) -> float:
        """One after the other; 0 if it takes no time."""
        return 1e6 / self.latency_us if self.latency_us else 0.0

    @property
    def gops(self) -> float | None:
        """Operations a nanosecond, two for each product of the network; None if `macs` is."""
        return None if self.macs is None or not self.latency_us else 2e-3 * self.macs / self.latency_us

    @property
    def average_mw(self) -> Range:
        """DRAM included."""
        return self._power(self.energy.total_pj)

    @property
    def chip_mw(self) -> Range:
        """In the mean, without DRAM."""
        return self._power(self.energy.chip_pj)

    @property
    def dram_share(self) -> float:
        """The share of DRAM in the nominal energy."""
        return self.energy.dram_share

    def _power(self, energy_pj: Range) -> Range:
        return energy_pj * (1e-3 / self.latency_us) if self.latency_us else Range(0.0, 0.0, 0.0)  # pJ / us = uW


def area(design: Design) -> Area:
    """The area of a design at its node."""
    return area_of(Plan.of(design))


def area_of(plan: Plan) -> Area:
    """As `area`, of a design's plan."""
    low, nominal, high = ({**plan.memory_mm2(v), **plan.logic_mm2(v)} for v in (LOW, NOMINAL, HIGH))
    return Area({name: Range(low[name], nominal[name], high[name]) for name in nominal if high[name]})


def peak_mw(plan: Plan) -> Range:
    """Power of the chip (without DRAM) in cycles in which all of it is at work: no program draws more for long."""
    work, megahertz = busiest(plan), plan.design.clock_mhz
    low, nominal, high = (sum(chip_parts(plan, work, v).values()) * megahertz * 1e-3 for v in (LOW, NOMINAL, HIGH))
    return Range(low, nominal, high)


def cost_of(design: Design, counted: Counted, macs: int | None = None) -> Cost:
    """What a run costs that was counted as a Timing (`time_network`), a Result or a LayerResult.

    `macs`: products of the network, for `Cost.gops`.
    """
    plan = Plan.of(design)
    found = energy_of(plan, counted.events, counted.row_activations)
    return Cost(found, area_of(plan), counted.cycles / design.clock_mhz, peak_mw(plan), macs)


@dataclass(frozen=True)
class Swing:
    """The nominal total with one constant at its low and at its high value, in pJ: a bar of a tornado chart."""

    constant: str
    what: str
    low_pj: float
    high_pj: float


def sensitivity(design: Design, counted: Counted) -> tuple[Swing, ...]:
    """What each constant does to the total energy, the one that moves it most first; those that do not are left out."""
    plan, found = Plan.of(design), []
    events, opened = counted.events, counted.row_activations
    for constant in CONSTANTS:
        if constant.low < constant.high:
            ends = ({**NOMINAL, constant.name: value} for value in (constant.low, constant.high))
            low, high = (sum(parts.values()) for parts in parts_at(plan, events, opened, ends))
            if high > low:
                found.append(Swing(constant.name, constant.what, low, high))
    return tuple(sorted(found, key=lambda swing: swing.low_pj - swing.high_pj))
