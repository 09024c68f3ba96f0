"""Energy, area and power: hand-made sums, conservation over random counts and designs, and what moves the answer."""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.design import Design, load
from accel.events import DATA_EVENTS, Event
from accel.sim import cost
from accel.sim.cost import energies, plan, structure
from accel.sim.cost.constants import CONSTANTS, HIGH, LOW, NOMINAL
from accel.sim.cost.plan import Plan
from accel.sim.cost.summary import Area, Cost
from tests.benches.draw import draw_core, draw_design, draw_sparse_design

TABLE = Path(plan.__file__).parents[1] / "data" / "sram_cacti7.csv"
ENDS = {"low": LOW, "nominal": NOMINAL, "high": HIGH}


class Run:
    """Counts as a run would have them."""

    def __init__(self, events: dict[Event, int], row_activations: int = 0) -> None:
        self.events, self.row_activations = events, row_activations
        self.cycles = events.get(Event.CYCLES, 0)


def with_technology(design: Design, **fields: object) -> Design:
    return Design.model_validate(design.model_dump() | {"technology": design.technology.model_dump() | fields})


def entry(size_bytes: str, width_bits: str) -> dict[str, str]:
    """CACTI's row of the default cell at 45 nm."""
    key = ("itrs-lop", "45", size_bytes, width_bits)
    names = ("cell", "node_nm", "size_bytes", "width_bits")
    (found,) = (r for r in csv.DictReader(TABLE.read_text().splitlines()) if tuple(r[n] for n in names) == key)
    return found


def test_dram_by_hand() -> None:
    """One LPDDR3 device gives 16 bytes a cycle at 400 MHz; four DDR4 devices are the power of two that does."""
    edge = load("edge")
    counts = {Event.READ_BEATS: 10, Event.WRITE_BEATS: 2, Event.CYCLES: 400}  # 1 us
    found = cost.energy(counts, edge, 3)
    assert found.parts_pj["DRAM rows"].nominal == pytest.approx(3 * 4050)
    assert found.parts_pj["DRAM transfer"].nominal == pytest.approx(128 * (10 * 5.14 + 2 * 5.88))
    assert found.parts_pj["DRAM I/O"] == cost.Range(*(pytest.approx(12 * 128 * pj) for pj in (2.5, 3.8, 6.0)))
    assert found.parts_pj["DRAM standby"].nominal == pytest.approx(57.6 * 1000)
    assert found.parts_pj["DRAM standby"].low == pytest.approx(0.6 * 49.2 * 1000)
    assert found.parts_pj["DRAM refresh"].nominal == pytest.approx(6.88 * 1000)
    assert found.dram_pj.nominal == pytest.approx(
        sum(pj.nominal for name, pj in found.parts_pj.items() if name.startswith("DRAM"))
    )
    assert found.dram_flat_pj == 12 * 4 * 640
    ddr4 = cost.energy(counts, with_technology(edge, dram="ddr4"), 3)
    assert ddr4.parts_pj["DRAM rows"].nominal == pytest.approx(3 * 4 * 1477)
    assert ddr4.parts_pj["DRAM standby"].nominal == pytest.approx(4 * 52.8 * 1000)
    flat = cost.energy(counts, with_technology(edge, dram="flat"), 3)
    assert flat.dram_pj == cost.Range(*[flat.dram_flat_pj] * 3)
    assert [name for name in flat.parts_pj if name.startswith("DRAM")] == ["DRAM transfer"]
    assert flat.chip_pj.nominal == pytest.approx(found.chip_pj.nominal)


def test_sram_by_hand() -> None:
    """A codebook of 512 bytes is the smallest macro; an entry is written for each of 16 columns of 4 segments."""
    edge = load("edge")
    found = cost.energy({Event.CODEBOOK_READS: 8, Event.CODEBOOK_WRITES: 2}, edge, 0)
    one = entry("1024", "32")
    read, write = (1e3 * float(one[k]) for k in ("read_energy_nJ", "write_energy_nJ"))
    assert found.parts_pj["codebook"].nominal == pytest.approx(1.14 * (8 * read + 2 * 4 * 16 * write))
    assert found.parts_pj["codebook"].high == pytest.approx(2 * 1.15 * (8 * read + 2 * 4 * 16 * write))
    assert found.total_pj == found.sram_pj


def test_compute_by_hand() -> None:
    """Nominal: 8 x 8 bits of product and 20 of sum; every register in every cycle, and the tree that clocks it."""
    edge = load("edge")
    found = cost.energy({Event.MACS: 1000, Event.MACS_ZERO: 300, Event.POST_OUTPUTS: 3, Event.CYCLES: 5}, edge, 0)
    registers = {b.name: b.registers for b in structure.blocks(edge)}
    assert registers["array"] == 256 * 75 + 437 + 256 * 48
    array = 700 * 64 * 0.0061 + 1000 * 20 * 0.0045 + 5 * registers["array"] * 0.0027
    assert found.parts_pj["array"].nominal == pytest.approx(array)
    bits2 = structure.LANE_BITS2
    lane = bits2 * 0.0061 + (33 + 33 + 27 + 0.1 * 567) * 0.0045
    assert found.parts_pj["post-process"].nominal == pytest.approx(48 * lane + 5 * registers["post-process"] * 0.0027)
    assert found.clock_pj.nominal == pytest.approx(5 * sum(registers.values()) * 0.0027)
    assert found.compute_pj.low < found.compute_pj.nominal < found.compute_pj.high
    assert found.notes == ()
    block = edge.model_copy(update={"multiplier": "ecp5"})  # blocks multiply zeros as well
    ungated = cost.energy({Event.MACS: 1000, Event.MACS_ZERO: 300}, block, 0)
    assert ungated.parts_pj["array"].nominal == pytest.approx(1000 * (64 * 0.0061 + 20 * 0.0045))
    every = cost.energy({Event.MACS: 1000}, edge, 0)
    assert every.notes == ("edge: no input was run, so that products with a zero operand are priced as all others",)


def test_leakage_is_power_times_time_and_follows_the_cell() -> None:
    leaks = {}
    for cell in ("itrs-lstp", "itrs-lop", "itrs-hp"):
        design = with_technology(load("nano"), sram_cell=cell)
        second = cost.energy({Event.CYCLES: 75_000_000}, design, 0)
        found = Plan.of(design)
        milliwatts = sum(shape.count * one.leakage_mw for shape, one in found.memories) * 1.33
        assert second.parts_pj["memory leakage"].nominal == pytest.approx(milliwatts * 1e9)
        logic = sum(found.logic_mm2(NOMINAL).values()) * plan.leakage_density_mw_per_mm2(cell, 45) * 1.6
        assert second.parts_pj["logic leakage"].nominal == pytest.approx(logic * 1e9)
        leaks[cell] = second.static_pj.nominal
    assert 100 * leaks["itrs-lstp"] < leaks["itrs-lop"] < leaks["itrs-hp"] / 10


def test_area_by_hand() -> None:
    """Two banks of activations from the table; a PE's multiplier, LUTs and registers as they are placed."""
    edge = load("edge")
    found = cost.area(edge)
    sides = [
        float(entry("262144", width)["area_mm2"]) for width in ("64", "256")
    ]  # 128 bits are half-way in logarithms
    activation = 2 * 1.3 * (sides[0] * sides[1]) ** 0.5
    assert found.components_mm2["activation"].nominal == pytest.approx(activation)
    array = 256 * (64 * 4.4 + 29 * 4.4 + (75 + 48) * 5.98) + 437 * 5.98
    assert found.components_mm2["array"].nominal == pytest.approx(1.4e-6 * array)
    small = cost.area(with_technology(edge, node_nm=22))
    assert small.components_mm2["array"].nominal / found.components_mm2["array"].nominal == pytest.approx(
        0.246, abs=2e-3
    )
    assert small.total_mm2.nominal < 0.35 * found.total_mm2.nominal


def draw(rng: Random) -> Design:
    """Any design at any node, with any DRAM."""
    design = rng.choice([draw_design, draw_sparse_design, draw_core])(rng)
    return with_technology(
        design, node_nm=rng.choice([22, 32, 45, 65, 90]), sram_cell=rng.choice(["itrs-lstp", "itrs-lop", "itrs-hp"]),
        dram=rng.choice(["lpddr3", "ddr3", "ddr4", "flat"]),
    )  # fmt: skip


def draw_counts(rng: Random) -> dict[Event, int]:
    counts = {event: rng.choice([0, rng.randrange(10**6)]) for event in Event}
    return counts | {Event.MACS_ZERO: rng.randrange(counts[Event.MACS] + 1)}


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_parts_sum_nothing_is_negative_and_no_constant_lowers_anything(rng: Random) -> None:
    """Linear in the counts, so that layers sum; low below nominal below high, part by part."""
    design = draw(rng)
    first, second = draw_counts(rng), draw_counts(rng)
    opened = rng.randrange(1000), rng.randrange(1000)
    both = {event: first[event] + second[event] for event in Event}
    parts = [cost.energy(counts, design, rows) for counts, rows in zip((first, second), opened, strict=True)]
    whole = cost.energy(both, design, sum(opened))
    for name, found in whole.parts_pj.items():
        assert 0 <= found.low <= found.nominal <= found.high, name
        for end in ENDS:
            summed = sum(getattr(part.parts_pj[name], end) for part in parts)
            assert summed == pytest.approx(getattr(found, end), rel=1e-9), name
    for end in ENDS:
        groups = (whole.dram_pj, whole.sram_pj, whole.compute_pj, whole.clock_pj, whole.static_pj)
        assert sum(getattr(group, end) for group in groups) == pytest.approx(getattr(whole.total_pj, end))
    area = cost.area(design)
    assert {s.name for s in cost.memories(design)} - {"run table", "value table"} <= area.components_mm2.keys()
    for mm2 in area.components_mm2.values():
        assert 0 < mm2.low <= mm2.nominal <= mm2.high
    assert area.total_mm2.nominal == pytest.approx(sum(mm2.nominal for mm2 in area.components_mm2.values()))
    assert 0 <= whole.dram_share <= 1


@pytest.mark.parametrize("name", ["nano", "edge-sparse"])
@pytest.mark.parametrize("event", [e for e in Event if e not in (Event.CYCLES, Event.MACS_ZERO)])
def test_every_event_counts_in_proportion(event: Event, name: str) -> None:
    design = load(name)
    if name == "nano":
        design = design.model_copy(update={"decoder_lanes": 4, "filter_multipliers": 9})
    one, three = (cost.energy({event: n}, design, 0).total_pj.nominal for n in (1, 3))
    assert three == pytest.approx(3 * one)
    free = {Event.READ_BURSTS, Event.WRITE_BURSTS, Event.STREAM_CYCLES, Event.BROADCASTS_SKIPPED}
    free |= {Event.MACS_GATED}  # an idle place costs its registers, which cycles count
    if name == "nano":
        free |= {Event.BROADCASTS, Event.POINTER_WRITES}
    else:
        free |= {Event.RUN_TABLE_WRITES, Event.VALUE_TABLE_WRITES, Event.RUN_READS, Event.VALUE_READS}
    assert (one > 0) == (event not in free)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_average_power_is_below_the_peak(rng: Random) -> None:
    """With as much in every cycle as ports, multipliers and lanes allow."""
    design, cycles = draw(rng), 1000
    places, ports = design.rows * design.cols, {}
    for shape in cost.memories(design):
        for event, cells in ((shape.reads, shape.read), (shape.writes, shape.written)):
            ports[event] = min(ports.get(event, cycles * shape.count), cycles * shape.count // cells)
    counts = {event: rng.randint(0, most) for event, most in ports.items()}
    counts |= {Event.CYCLES: cycles, Event.MACS: rng.randint(0, places * cycles), Event.POST_OUTPUTS: cycles}
    counts |= {e: rng.randint(0, design.decoder_lanes * cycles) for e in (Event.RUN_READS, Event.VALUE_READS)}
    counts[Event.BROADCASTS] = min(counts.get(Event.BROADCASTS, 0), cycles)
    found = cost.cost_of(design, Run(counts))
    for end in ENDS:
        assert getattr(found.chip_mw, end) <= getattr(found.peak_mw, end) * (1 + 1e-9)


def test_rates_by_hand() -> None:
    found = cost.cost_of(load("edge"), Run({Event.CYCLES: 40_000}), macs=1_000_000)
    assert found.latency_us == 100
    assert found.inferences_per_s == pytest.approx(10_000)
    assert found.gops == pytest.approx(20)
    assert found.average_mw.nominal == pytest.approx(found.energy.total_pj.nominal / 100 / 1e3)
    assert cost.cost_of(load("edge"), Run({Event.CYCLES: 40_000})).gops is None
    nothing = Cost(found.energy, Area({}), 0.0, found.peak_mw)
    assert nothing.average_mw == cost.Range(0, 0, 0)


def test_a_tornado_says_what_each_constant_does() -> None:
    """Each bar by itself; only constants with a range that the design uses; the widest first."""
    design, run = load("edge"), Run({Event.CYCLES: 10_000, Event.READ_BEATS: 9000, Event.MACS: 10**6}, 40)
    bars = cost.sensitivity(design, run)
    widths = [bar.high_pj - bar.low_pj for bar in bars]
    assert widths == sorted(widths, reverse=True)
    assert min(widths) > 0
    names = {bar.constant for bar in bars}
    assert {"MULTIPLY", "ADD", "REGISTER", "CLOCK_TREE", "LPDDR3_IO", "DATASHEET", "SRAM_HEAT"} <= names
    assert not names & {"DDR3_IO", "LPDDR3_READ", "FLAT_DRAM", "RESIDUAL", "TWO_PORT_AREA"}
    nominal = cost.energy(run.events, design, 40).total_pj.nominal
    (multiply,) = (bar for bar in bars if bar.constant == "MULTIPLY")
    (constant,) = (c for c in CONSTANTS if c.name == "MULTIPLY")
    assert nominal - multiply.low_pj == pytest.approx(64e6 * (constant.nominal - constant.low))
    assert multiply.high_pj - nominal == pytest.approx(64e6 * (constant.high - constant.nominal))
    assert all(bar.low_pj <= nominal <= bar.high_pj for bar in bars)


def test_events_that_depend_on_data_may_be_missing() -> None:
    assert frozenset({Event.MACS_ZERO}) == DATA_EVENTS
    edge = load("edge")
    assert energies.work_of(Plan.of(edge), {}).products == 0
