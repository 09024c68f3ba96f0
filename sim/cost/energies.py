"""Energy: counts times constants, for the constants at their low, nominal and high values.

Counted: DRAM (rows, transfer, I/O, standby, refresh), every access of the on-chip memories, products and additions,
requantisation, decoding, every register in every cycle (the emitted hardware has no clock gating; the low value of
REGISTER has), the clock tree, control, leakage of memories and logic. Not counted: the host, and pads and controller of
the DRAM beside its I/O. A product with a zero operand costs no multiplication, because it leaves the multiplier's
inputs alone. How many there are depends on the input (Event.MACS_ZERO).

Every figure is a sum of counts times values that no constant lowers, so `low` has all of them low and `high` all high:
no figure is outside while the constants are in their ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accel.datapath import OFFSET_BITS, array_sum_bits
from accel.design import Design, OnChip
from accel.events import Event
from accel.memories import CODE_BITS
from accel.sim.cost.constants import HIGH, LOGIC_NODE_NM, LOW, NOMINAL, Values
from accel.sim.cost.plan import Plan
from accel.sim.cost.structure import (
    DECODER_LANE_LUTS,
    FILTER_SUM_BITS,
    LANE_ADDERS,
    LANE_BITS2,
    LANE_LUTS,
    LANE_RESIDUAL_ADDERS,
    LANE_RESIDUAL_BITS2,
    SHELL_LUTS,
    queue_bits,
)

LEAKAGE = ("memory leakage", "logic leakage")
CLOCK_TREE = "clock tree"
LOGIC = ("array", "post-process", "filter", "control", "decoder")


@dataclass(frozen=True)
class Range:
    """A figure with all constants at their low, nominal and high values. The unit is in the name of what holds it."""

    low: float
    nominal: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.nominal * factor, self.high * factor)


def total(ranges: Iterable[Range]) -> Range:
    """The sum."""
    found = list(ranges)
    return Range(sum(r.low for r in found), sum(r.nominal for r in found), sum(r.high for r in found))


@dataclass(frozen=True)
class Energy:
    """Energy of one run (or one layer) in pJ, by part. Parts sum to `total_pj`.

    `dram_flat_pj`, `sram_flat_pj`: the same traffic at Deep Compression's 640 pJ and 5 pJ for 32 bits, for comparison
    with that literature; they are in no total. `notes` say where a constant does not fit the design.
    """

    parts_pj: Mapping[str, Range]
    dram_flat_pj: float
    sram_flat_pj: float
    notes: tuple[str, ...] = ()

    @property
    def total_pj(self) -> Range:
        """Everything."""
        return total(self.parts_pj.values())

    @property
    def dram_pj(self) -> Range:
        """Rows, transfer, I/O, standby and refresh of the DRAM."""
        return total(r for name, r in self.parts_pj.items() if name.startswith("DRAM "))

    @property
    def sram_parts_pj(self) -> dict[str, Range]:
        """Accesses by on-chip memory."""
        others = {*LEAKAGE, *LOGIC, CLOCK_TREE}
        return {n: r for n, r in self.parts_pj.items() if n not in others and not n.startswith("DRAM ")}

    @property
    def sram_pj(self) -> Range:
        """Accesses of all on-chip memories."""
        return total(self.sram_parts_pj.values())

    @property
    def compute_pj(self) -> Range:
        """Array, post-process, decoder and control, with their registers."""
        return total(self.parts_pj[name] for name in LOGIC if name in self.parts_pj)

    @property
    def clock_pj(self) -> Range:
        """The clock tree."""
        return self.parts_pj[CLOCK_TREE]

    @property
    def static_pj(self) -> Range:
        """Leakage of memories and logic."""
        return total(self.parts_pj[name] for name in LEAKAGE)

    @property
    def chip_pj(self) -> Range:
        """Everything but the DRAM."""
        whole, dram = self.total_pj, self.dram_pj
        return whole + dram * -1.0

    @property
    def dram_share(self) -> float:
        """The share of DRAM in the nominal total: the question of the literature. 0 if there is no energy."""
        whole = self.total_pj.nominal
        return self.dram_pj.nominal / whole if whole else 0.0


@dataclass(frozen=True)
class Work:
    """What the chip does: `accesses` are words read and written by kind of memory, `symbols` those decoded, `filtered`
    products of the filter."""

    cycles: int
    products: int
    sums: int
    outputs: int
    filtered: int
    symbols: int
    queued: int
    accesses: tuple[tuple[int, int], ...]


def work_of(plan: Plan, count: Mapping[Event, int]) -> Work:
    """The work of a run with these counts."""
    get = count.get
    gated = get(Event.MACS_ZERO, 0) if plan.design.gates_zeros else 0
    return Work(
        cycles=get(Event.CYCLES, 0),
        products=get(Event.MACS, 0) - gated,
        sums=get(Event.MACS, 0),
        outputs=get(Event.POST_OUTPUTS, 0) * plan.design.lanes,
        filtered=get(Event.FILTER_MACS, 0),
        symbols=get(Event.RUN_READS, 0) + get(Event.VALUE_READS, 0),
        queued=get(Event.BROADCASTS, 0) * plan.design.cols,
        accesses=tuple((get(s.reads, 0) * s.read, get(s.writes, 0) * s.written) for s, _ in plan.memories),
    )


def busiest(plan: Plan) -> Work:
    """A cycle in which everything on the chip is at work: no real one does more."""
    design = plan.design
    places = design.rows * design.cols
    return Work(
        1, places, places, design.lanes, design.lanes * design.filter_multipliers,
        2 * design.decoder_lanes, design.cols if design.is_sparse else 0,
        tuple((shape.count, shape.count) for shape, _ in plan.memories),
    )  # fmt: skip


def chip_parts(plan: Plan, work: Work, v: Values) -> dict[str, float]:
    """Energy in pJ by part of the chip."""
    design, factor = plan.design, plan.energy_factor
    multiply, add, register = v["MULTIPLY"] * factor, v["ADD"] * factor, v["REGISTER"] * factor
    access, activity, residual = v["SRAM_ACCESS"] * v["TWO_PORT_ACCESS"], v["ACTIVITY"], v["RESIDUAL"]
    parts = {
        shape.name: access * (reads * one.read_pj + writes * one.write_pj)
        for (shape, one), (reads, writes) in zip(plan.memories, work.accesses, strict=True)
    }
    left = OFFSET_BITS if design.is_sparse else CODE_BITS
    lane_bits2 = LANE_BITS2 + residual * LANE_RESIDUAL_BITS2
    lane_adders = LANE_ADDERS + residual * LANE_RESIDUAL_ADDERS
    moved = {
        "array": work.products * left * CODE_BITS * multiply + work.sums * array_sum_bits(design) * add,
        "post-process": work.outputs * (lane_bits2 * multiply + (lane_adders + activity * LANE_LUTS) * add),
        "filter": work.filtered * (CODE_BITS * CODE_BITS * multiply + FILTER_SUM_BITS * add),
        "control": work.cycles * SHELL_LUTS * activity * add,
        "decoder": work.symbols * DECODER_LANE_LUTS * activity * add,
    }
    clocked = 0.0
    for block in plan.blocks:
        bits = block.registers * work.cycles
        if block.kept:
            bits += work.queued * queue_bits(design)
        clocked += bits * register
        parts[block.name] = moved[block.name] + bits * register
    parts[CLOCK_TREE] = clocked * v["CLOCK_TREE"]
    nanoseconds = work.cycles * 1e3 / design.clock_mhz  # mW x ns = pJ
    return parts | {name: mw * nanoseconds for name, mw in plan.leakage_mw(v).items()}


def dram_parts(plan: Plan, count: Mapping[Event, int], row_activations: int, v: Values) -> dict[str, float]:
    """Energy in pJ by part of the DRAM; nothing without one."""
    design = plan.design
    if isinstance(design.memory, OnChip):
        return {}
    read, written = (8 * design.beat_bytes * count.get(e, 0) for e in (Event.READ_BEATS, Event.WRITE_BEATS))
    if plan.rank is None:
        return {"DRAM transfer": (read + written) * v["FLAT_DRAM"] / 32}
    name, devices, sheet = design.technology.dram.upper(), plan.rank.devices, v["DATASHEET"]
    nanoseconds = count.get(Event.CYCLES, 0) * 1e3 / design.clock_mhz
    return {
        "DRAM rows": sheet * row_activations * devices * v[f"{name}_ACTIVATE"] * 1e3,
        "DRAM transfer": sheet * (read * v[f"{name}_READ"] + written * v[f"{name}_WRITE"]),
        "DRAM I/O": (read + written) * v[f"{name}_IO"],
        "DRAM standby": sheet * devices * v[f"{name}_STANDBY"] * nanoseconds,
        "DRAM refresh": sheet * devices * v[f"{name}_REFRESH"] * nanoseconds,
    }


def parts_at(
    plan: Plan, count: Mapping[Event, int], row_activations: int, several: Iterable[Values]
) -> list[dict[str, float]]:
    """Energy in pJ by part, with each set of constants."""
    work = work_of(plan, count)
    return [dram_parts(plan, count, row_activations, v) | chip_parts(plan, work, v) for v in several]


def energy(events: Mapping[Event, int], design: Design, row_activations: int) -> Energy:
    """The energy of a run with these counts; missing events count as 0. Standby and leakage last for Event.CYCLES.

    Without a count of Event.MACS_ZERO every product is priced as one that multiplies, and a note says so.
    """
    return energy_of(Plan.of(design), events, row_activations)


def energy_of(plan: Plan, events: Mapping[Event, int], row_activations: int) -> Energy:
    """As `energy`, of a design's plan."""
    low, nominal, high = parts_at(plan, events, row_activations, (LOW, NOMINAL, HIGH))
    design = plan.design
    beats = (
        0 if isinstance(design.memory, OnChip) else events.get(Event.READ_BEATS, 0) + events.get(Event.WRITE_BEATS, 0)
    )
    flat_bits = sum(shape.accesses(events) * shape.data_bits for shape, _ in plan.memories)
    return Energy(
        {name: Range(low[name], nominal[name], high[name]) for name in nominal},
        dram_flat_pj=beats * design.beat_bytes * 8 / 32 * NOMINAL["FLAT_DRAM"],
        sram_flat_pj=flat_bits / 32 * NOMINAL["FLAT_SRAM"],
        notes=_notes(plan, Event.MACS_ZERO in events or not events.get(Event.MACS, 0)),
    )


def _notes(plan: Plan, counted: bool) -> tuple[str, ...]:
    name, node, notes = plan.design.name, plan.design.technology.node_nm, []
    if node != LOGIC_NODE_NM:
        factors = f"energy x {plan.energy_factor:.2f}, area x {plan.area_factor:.2f}"
        notes.append(
            f"{name}: logic is scaled from {LOGIC_NODE_NM} to {node} nm ({factors}), memories are of {node} nm"
        )
    if not counted:
        notes.append(f"{name}: no input was run, so that products with a zero operand are priced as all others")
    return tuple(notes)
