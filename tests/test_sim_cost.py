"""Energy: hand-made sums, CACTI held out, and constants that say where they come from."""

from __future__ import annotations

import csv
import dataclasses
import statistics
from pathlib import Path

import pytest

import accel.sim.cost_table
from accel.design import Design, load
from accel.events import Event
from accel.sim import cost, cost_sram
from accel.sim.cost_table import CONSTANTS, Constant, Factor

TABLE = Path(cost_sram.__file__).parent / "data" / "sram_cacti7.csv"


def refuse(constant: Constant) -> None:
    """Raise unless the constant says what, how much, from where, at which node and voltage, and how sure."""
    assert constant.value_pj > 0
    assert constant.what
    assert len(constant.source) > 10
    assert 5 <= constant.node_nm <= 180
    assert 0 <= constant.voltage <= 1.5
    assert constant.voltage > 0 or "DRAM" in constant.name
    assert constant.status in ("verified", "unverified")


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda c: c.name)
def test_every_constant_has_a_source(constant: Constant) -> None:
    refuse(constant)


@pytest.mark.parametrize(
    "change", [{"source": ""}, {"node_nm": 0}, {"voltage": 0.0}, {"status": "sure"}, {"value_pj": 0.0}, {"what": ""}]
)
def test_a_constant_without_one_is_refused(change: dict) -> None:
    with pytest.raises(AssertionError):
        refuse(dataclasses.replace(CONSTANTS[0], **change))


@pytest.mark.parametrize("factor", accel.sim.cost_table.FACTORS, ids=lambda f: f.name)
def test_every_factor_has_a_source_and_a_range(factor: Factor) -> None:
    assert 0 < factor.low <= factor.value <= factor.high
    assert len(factor.source) > 10
    assert factor.what
    assert factor.status in ("verified", "unverified")
    assert f"times {factor.value} ({factor.low} to {factor.high})" in accel.sim.cost_table.SRAM_SOURCE


def test_the_list_of_constants_is_complete_and_no_number_hides_elsewhere() -> None:
    named = {value for value in vars(accel.sim.cost_table).values() if isinstance(value, Constant)}
    assert named == set(CONSTANTS)
    assert all(getattr(accel.sim.cost_table, constant.name) == constant for constant in CONSTANTS)


def test_multiply_accumulate_is_low_to_high() -> None:
    mac = cost.mac(load("edge"))
    assert mac.low_pj == pytest.approx(0.3)  # 0.2 + 0.1, Horowitz
    assert mac.high_pj == pytest.approx(12.68 / 16 + 0.21 + 87 * 0.009)
    assert 4 < mac.high_pj / mac.low_pj < 8


def test_dram_and_codebook_by_hand() -> None:
    """512 entries are priced as words of 32 bits, the narrowest: in logarithms half-way from 1 to 4 KiB.

    An entry is written for each of 16 columns of 4 segments.
    """
    edge = load("edge")  # 16-byte beats
    counts = {Event.READ_BEATS: 10, Event.WRITE_BEATS: 2, Event.CODEBOOK_READS: 8, Event.CODEBOOK_WRITES: 2}
    found = cost.energy(counts, edge)
    small = [r for r in rows() if (r["cell"], r["node_nm"], r["width_bits"]) == ("itrs-lop", "45", "32")]
    one, four = (r for r in small if r["size_bytes"] in ("1024", "4096"))
    read, write = (1e3 * (float(one[k]) * float(four[k])) ** 0.5 for k in ("read_energy_nJ", "write_energy_nJ"))
    codebook = 1.14 * (8 * read + 2 * 4 * 16 * write)
    assert found.dram_pj == 12 * 4 * 640
    assert found.sram_pj["codebook"] == pytest.approx(codebook)
    assert found.total_low_pj == pytest.approx(found.dram_pj + codebook)
    assert found.compute_low_pj == found.compute_high_pj == found.static_pj == 0


def test_every_memory_of_the_table_is_priced_at_its_width() -> None:
    """Sums of 20 bits are not those of 32; two banks leak twice, as do the two memories that hold a weight word.

    A codebook leaks as often as there are columns in both segments.
    """
    nano = load("nano")
    narrow = nano.model_copy(update={"widths": nano.widths.model_copy(update={"accumulator": 20})})
    shapes = {design: {s.name: s for s in cost.memories(design)} for design in (nano, narrow)}
    assert [shape.width_bits for s in shapes.values() for shape in [s["accumulator"]]] == [256, 160]
    leaks = {name: cost.price(nano, shape).leakage_mw for name, shape in shapes[nano].items()}
    count = {"activation": 2, "weight": 2, "accumulator": 2, "parameter": 1, "codebook": 16, "program": 1}
    count |= {"run table": 0, "value table": 0}
    assert cost.static_mw(nano) == pytest.approx(sum(count[name] * leak for name, leak in leaks.items()))
    assert cost.static_mw(narrow) < cost.static_mw(nano)
    one = cost_sram.memory("itrs-lop", 45, 256, 256)
    assert leaks["accumulator"] == pytest.approx(1.33 * one.leakage_mw)
    assert 0.27 < 16 * leaks["codebook"] / cost.static_mw(nano) < 0.33


def test_compute_by_hand() -> None:
    edge = load("edge")
    streamed = {Event.STREAM_CYCLES: 5, Event.CYCLES: 5}
    events = {Event.MACS: 1000, Event.MACS_GATED: 280, Event.POST_OUTPUTS: 3, **streamed}
    found = cost.energy(events, edge)
    lanes = 3 * 16
    adders, residual = (33 + 51 + 53) / 32, (27 + 53) / 32
    assert found.compute_low_pj == pytest.approx(300 + lanes * (3.1 * 33 / 64 + 0.1 * adders))
    registers = 87 * 0.009
    assert found.compute_high_pj == pytest.approx(
        1000 * (12.68 / 16 + 0.21) + 1280 * registers + lanes * (12.68 * (33 + 9) / 64 + 0.21 * (adders + residual))
    )
    idle = cost.energy({Event.CYCLES: 10, Event.STREAM_CYCLES: 4}, edge)
    assert idle.compute_high_pj == pytest.approx(6 * 256 * registers)


def test_a_product_with_a_zero_operand_costs_no_multiplication() -> None:
    """Horowitz's 0.2 pJ at the low end, Aladdin's 12.68 pJ scaled to 8 x 8 bits at the high one."""
    edge = load("edge")
    events = {Event.MACS: 1000, Event.STREAM_CYCLES: 5, Event.CYCLES: 5}
    every, some = cost.energy(events, edge), cost.energy(events | {Event.MACS_ZERO: 300}, edge)
    assert every.compute_low_pj - some.compute_low_pj == pytest.approx(300 * 0.2)
    assert every.compute_high_pj - some.compute_high_pj == pytest.approx(300 * 12.68 / 16)
    assert every.total_low_pj - some.total_low_pj == pytest.approx(300 * 0.2)
    assert every.notes == ("edge: no input was run, so that products with a zero operand are priced as all others",)
    assert some.notes == ()


def test_static_is_leakage_times_time() -> None:
    edge = load("edge")
    one = cost.energy({Event.CYCLES: 400_000_000}, edge)  # one second at 400 MHz
    assert one.static_pj == pytest.approx(cost.static_mw(edge) * 1e9)
    # 2 banks of activations, the weight buffer and so on, each between its neighbours in the table
    assert 20 < cost.static_mw(edge) < 30


@pytest.mark.parametrize("event", [e for e in Event if e not in (Event.CYCLES, Event.MACS_ZERO)])
def test_every_event_counts_in_proportion(event: Event) -> None:
    design = load("nano").model_copy(update={"decoder_lanes": 4})
    one, three = (cost.energy({event: n}, design).total_high_pj for n in (1, 3))
    assert three == pytest.approx(3 * one)
    free = {Event.READ_BURSTS, Event.WRITE_BURSTS, Event.STREAM_CYCLES}  # their beats and their MACs are what costs
    free |= {Event.BROADCASTS, Event.BROADCASTS_SKIPPED, Event.POINTER_WRITES}  # of sparse engines
    assert (one > 0) == (event not in free)


def test_energy_of_parts_sums_to_the_whole() -> None:
    edge = load("edge")
    first = dict.fromkeys(Event, 7)
    second = {event: 11 * (i + 1) for i, event in enumerate(Event)} | {Event.CYCLES: 1000}
    both = {event: first[event] + second[event] for event in Event}
    parts = [cost.energy(events, edge) for events in (first, second)]
    whole = cost.energy(both, edge)
    assert whole.total_high_pj == pytest.approx(sum(p.total_high_pj for p in parts))
    assert whole.total_low_pj == pytest.approx(sum(p.total_low_pj for p in parts))


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(TABLE.read_text().splitlines()))


def test_the_table_is_reproduced_at_its_points() -> None:
    for row in rows():
        found = cost_sram.macro(row["cell"], int(row["node_nm"]), int(row["size_bytes"]), int(row["width_bits"]))
        assert found.read_pj == pytest.approx(1000 * float(row["read_energy_nJ"]))
        assert found.write_pj == pytest.approx(1000 * float(row["write_energy_nJ"]))
        assert found.leakage_mw == pytest.approx(float(row["leakage_mW"]))


def test_interpolation_against_points_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each inner size left out in turn (a gap of sixteen, twice as wide in logarithms as any real one)."""
    errors = []
    full = cost_sram._table("itrs-lop", 45)
    for size, width in full:
        if size in (min(full)[0], max(full)[0]):
            continue
        rest = {key: value for key, value in full.items() if key[0] != size}
        monkeypatch.setattr(cost_sram, "_table", lambda *_, rest=rest: rest)
        found = cost_sram.macro("itrs-lop", 45, size, width)
        errors.append(abs(found.read_pj / full[size, width].read_pj - 1))
    assert statistics.median(errors) < 0.15


@pytest.mark.parametrize(("size", "width"), [(1023, 32), ((1 << 22) + 1, 32), (4096, 31), (4096, 257)])
def test_extrapolation_is_refused(size: int, width: int) -> None:
    with pytest.raises(ValueError, match="a memory macro must have"):
        cost_sram.macro("itrs-lop", 45, size, width)


def test_unknown_cell_is_refused() -> None:
    with pytest.raises(KeyError, match="dram at 45 nm"):
        cost_sram.macro("dram", 45, 4096, 32)


def test_wide_words_are_macros_side_by_side_and_large_memories_banks() -> None:
    one = cost_sram.macro("itrs-lop", 45, 16384, 256)
    wide = cost_sram.memory("itrs-lop", 45, 512, 1024)
    assert wide == cost_sram.Sram(4 * one.read_pj, 4 * one.write_pj, 4 * one.leakage_mw)
    bank = cost_sram.macro("itrs-lop", 45, 1 << 22, 256)
    large = cost_sram.memory("itrs-lop", 45, 1 << 18, 256)
    assert large == cost_sram.Sram(bank.read_pj, bank.write_pj, 2 * bank.leakage_mw)
    assert cost_sram.memory("itrs-lop", 45, 2, 8) == cost_sram.macro("itrs-lop", 45, 1024, 32)


def test_another_node_says_so() -> None:
    edge = load("edge")
    other = Design.model_validate(edge.model_dump() | {"technology": {"node_nm": 22, "sram_cell": "itrs-lop"}})
    assert cost.energy({}, edge).notes == ()
    (note,) = cost.energy({}, other).notes
    assert "45 nm" in note
    assert "22 nm" in note


def test_sram_agrees_with_deep_compression_within_its_order() -> None:
    """CACTI's low-power cell at 32 KB and 32 bits beside the 5 pJ of the literature."""
    assert 2.5 < cost_sram.macro("itrs-lop", 45, 32768, 32).read_pj < 10
