"""Tables on a terminal: every number of a row, at any width, and names that no table may take for markup."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from accel.design import load, names
from accel.flow import html, overview, tables
from accel.flow.simulate import Simulation, run
from accel.flow.tables import Column, figure
from accel.flow.verdict import headline, judge, verdict
from accel.models import zoo
from accel.models.exchange import onnx_read
from accel.models.quantisation.quantise import quantise
from accel.program import Compulsory
from accel.sim.causes import CAUSES
from accel.sim.cost import sensitivity
from tests.benches.flow_networks import comparison, inputs, write_network

NASTY = ("block[/conv]:smile:", "a[bold]b")


def printed(show: object, *arguments: object, width: int = tables.PLAIN_WIDTH) -> str:
    """What a function of `tables` prints on a console of that width."""
    where = Console(file=io.StringIO(), width=width)
    show(where, *arguments)  # type: ignore[operator]
    text: str = where.file.getvalue()  # type: ignore[attr-defined]
    return text


def simulation(folder: Path, *layers: str) -> Simulation:
    network = onnx_read.read(write_network(folder / "small.onnx", softmax=True, names=layers))
    return run(quantise(network, inputs(8)), load("edge"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234567.8, "1,234,568"), (100, "100"), (99.96, "100"), (99.94, "99.9"), (10, "10.0"),
        (9.996, "10.0"), (9.994, "9.99"), (1, "1.00"), (0.9996, "1.00"), (0.9994, "0.999"), (0.0042, "0.004"),
        (0.001, "0.001"), (0.00042, "4.2e-04"), (-12.34, "-12.3"),
    ],
)  # fmt: skip
def test_figure(value: float, text: str) -> None:
    assert figure(value) == text


@given(st.floats(1, 1e9))
def test_a_figure_is_the_number_to_half_a_percent(value: float) -> None:
    text = figure(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.005)
    assert len(re.sub(r"[.,]", "", text)) == max(3, len(str(round(value))))


def cells(text: str) -> dict[str, list[list[str]]]:
    """The cells of every line with at least two, by the first."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        parts = re.split(r" {2,}", line.strip())
        found.setdefault(parts[0], []).append(parts[1:])
    return found


def test_comparison_shows_every_number_of_each_row() -> None:
    shown = cells(printed(tables.show_comparison, comparison()))
    for design in ("edge", "nano"):
        assert any(line.startswith(f"{design}: ") for line in shown)
    for row in comparison().rows:
        work, energy = row.work, row.energy
        share = 100 * max(work.limits.values()) / work.cycles
        (judged,) = [j for j in judge([r for r in comparison().rows if r.design == row.design]) if j.row is row]
        expected = [
            *([judged.word] if judged.word else []), f"{row.latency_ratio:.2f}", f"{row.energy_ratio:.2f}",
            f"{row.accuracy_percent:.2f}", f"{row.stored_bytes:,}", judged.why, figure(row.run.result.latency_us),
            figure(energy.total_pj.nominal / 1e6),
            f"{work.limited_by} {share:.0f}%", f"{100 * work.bound_cycles / work.cycles:.1f}",
            work.info.weight_format, f"{work.cycles:,}", f"{work.dram_bytes:,}",
            f"{work.dram_bytes / work.compulsory_bytes:.2f}",
            *(figure(part.nominal / 1e6) for part in (energy.dram_pj, energy.sram_pj, energy.compute_pj,
              energy.clock_pj, energy.static_pj)),
            f"{figure(energy.total_pj.low / 1e6)} .. {figure(energy.total_pj.high / 1e6)}",
            f"{100 * energy.dram_pj.nominal / energy.total_pj.nominal:.1f}",
            figure(row.run.cost.area.total_mm2.nominal), figure(row.run.cost.average_mw.nominal),
            figure(row.run.cost.peak_mw.nominal), figure(1e6 / row.run.result.latency_us),
            figure(2e-3 * work.info.must.macs / row.run.result.latency_us),
        ]  # fmt: skip
        assert expected in shown[row.title]


def test_all_designs_stand_in_one_table() -> None:
    """Each technique against the first one on the first design, in time and not in cycles: clocks differ."""
    found = comparison()
    shown = cells(printed(overview.show, found))
    base = found.rows[0]
    for technique in {row.technique for row in found.rows}:
        rows = [row for row in found.rows if row.technique == technique]
        times = [row.work.cycles / row.run.result.design.clock_mhz for row in (*rows, base)]
        latencies = [f"{time / times[-1]:.2f}" for time in times[:-1]]
        energies = [f"{row.energy.total_pj.nominal / base.energy.total_pj.nominal:.2f}" for row in rows]
        expected = [*latencies, *energies, f"{rows[0].accuracy_percent:.2f}", f"{rows[0].stored_bytes:,}"]
        assert shown[rows[0].title] == [expected]
    one = replace(found, designs=found.designs[:1], rows=tuple(r for r in found.rows if r.design == "edge"))
    assert printed(overview.show, one) == ""
    assert printed(overview.show, found, width=400).startswith(headline(found)[:90])
    assert overview.TITLE in html.page(found, {})
    assert overview.TITLE not in html.page(one, {})


def test_headings_name_what_ratios_are_to() -> None:
    found = replace(comparison(), rows=tuple(replace(row, accuracy_percent=None) for row in comparison().rows[1:]))
    columns = tables.row_columns(found)
    assert [column.unit for column in columns if column.name in ("latency", "energy")] == [
        "/ shared-8", "/ shared-8", "us"
    ]  # fmt: skip
    assert "accuracy" not in [column.name for column in columns]
    assert "accuracy" in [column.name for column in tables.row_columns(comparison())]


@pytest.mark.parametrize("width", [20, 48, 80, 130])
def test_a_narrow_table_is_continued_and_never_cut(width: int) -> None:
    """All cells of the wide table are in the narrow one; each continuation starts with the first column."""
    wide = printed(tables.show_comparison, comparison())
    narrow = printed(tables.show_comparison, comparison(), width=width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow
    for title in ("dense int8", "shared, 2 bits"):
        together = [cell for line in cells(narrow)[title] for cell in line]
        assert together == [cell for line in cells(wide)[title] for cell in line]
    first, second = [len(cells(text)["dense int8"]) for text in (wide, narrow)]
    assert second > first == 2
    rows = [line for line in narrow.splitlines() if line.startswith(("dense", "shared"))]
    assert max(map(len, rows)) <= max(width, 41)  # a name and one column are never parted


def test_remarks_of_a_comparison() -> None:
    text = printed(tables.show_comparison, replace(comparison(), notes=("one [thing] :x:", "another " * 60)), width=60)
    assert "note: one [thing] :x:\n" in text
    assert "note: " + "another " * 59 in text  # one line: a terminal wraps it, a pipe does not
    assert "266,610 parameters, float" in text


def test_simulation_shows_layers_and_total(tmp_path: Path) -> None:
    found = simulation(tmp_path, "conv", "fc")
    text = printed(tables.show_simulation, found)
    assert text.startswith(f"small on edge: {found.result.cycles:,} cycles, {figure(found.result.cycles / 400)} us")
    shown = cells(text)
    assert [len(shown[name]) for name in ("conv", "fc", "total")] == [4, 4, 5]
    area = found.cost.area
    for name, mm2 in (*area.components_mm2.items(), ("total", area.total_mm2)):
        assert shown[name][-1] == [figure(mm2.nominal), f"{figure(mm2.low)} .. {figure(mm2.high)}"]
    for part in (*found.layers, found.total):
        time, efficiency, moved, energy = shown[part.name][:4]
        work = part.work
        shares = [f"{work.limits.get(cause, 0):,}" for cause in found.total.work.limits]
        assert time[bool(work.info.kind) :] == [f"{work.cycles:,}", tables.limit(work), *shares]
        assert efficiency == [
            f"{work.work_cycles:,}", f"{work.bound_cycles:,}", f"{100 * work.bound_cycles / work.work_cycles:.1f}",
            f"{work.info.must.macs:,}", f"{100 * work.utilisation:.1f}",
            f"{work.array_macs:,}", f"{100 * work.array_utilisation:.1f}",
        ]  # fmt: skip
        numbers = (work.info.weight_bytes, work.dram_read_bytes, work.dram_write_bytes, work.compulsory_bytes)
        expected = [f"{number:,}" for number in numbers] + [f"{work.dram_bytes / work.compulsory_bytes:.2f}"]
        memories = [f"{number:,}" for number in part.memory_bytes.values()]
        assert moved == [work.info.weight_format, *expected, *memories]
        total = part.energy.total_pj
        assert energy == [
            *(figure(price.nominal / 1e6) for price in (part.energy.dram_pj, *part.energy.sram_parts_pj.values(),
              part.energy.compute_pj, part.energy.clock_pj, part.energy.static_pj)),
            figure(total.nominal / 1e6), f"{figure(total.low / 1e6)} .. {figure(total.high / 1e6)}",
        ]  # fmt: skip


def test_every_cause_that_has_a_column_is_explained(tmp_path: Path) -> None:
    """In one line, and no other is: on the terminal and in the report."""
    found = simulation(tmp_path, "conv", "fc")
    limits = dict(found.total.work.limits)
    assert 1 < len(limits) < len(CAUSES)
    text = printed(tables.show_simulation, found, width=60)
    rows = tuple(replace(row, run=found) for row in comparison().rows)
    page = html.page(replace(comparison(), rows=rows, designs=(found.result.design,)), {})
    for cause, what in CAUSES.items():
        line = f"{cause}: {what}"
        assert (f"\n{line}\n" in text) == (f"<p>{line}</p>" in page) == (cause in limits), cause


@pytest.mark.parametrize("width", [80, 200])
def test_the_verdict_stands_above_each_table(width: int) -> None:
    """Wrapped between words, and an empty line before the title."""
    text = printed(tables.show_comparison, comparison(), width=width)
    for design in ("edge", "nano"):
        sentence = verdict([row for row in comparison().rows if row.design == design])
        above = text[: text.index(f"\n{design}: ")].split("\n\n")[-1]
        assert " ".join(above.split()) == sentence
        assert max(map(len, above.splitlines())) <= min(width, 120)


def test_a_layer_that_adds_nothing_is_limited_by_nothing(tmp_path: Path) -> None:
    work = replace(simulation(tmp_path, "conv", "fc").layers[0].work, cycles=0, limits={})
    assert tables.limit(work) == work.limited_by == ""
    empty = replace(work, info=replace(work.info, must=Compulsory(0, 0, 0)))
    assert empty.moved_ratio is None
    found = simulation(tmp_path, "conv", "fc")
    found = replace(found, layers=(replace(found.layers[0], work=empty), found.layers[1]))
    efficiency = cells(printed(tables.show_simulation, found))["conv"][1]
    assert efficiency[1:4] == ["0", "0", "0.0"]  # bound, then no efficiency, MACs


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    found = simulation(tmp_path, *NASTY)
    shown = cells(printed(tables.show_simulation, found))
    assert [len(shown[name]) for name in NASTY] == [4, 4]
    named = replace(found, result=replace(found.result, network=NASTY[0]))
    assert printed(tables.show_simulation, named).startswith(f"{NASTY[0]} on edge: ")
    text = printed(tables.show_comparison, replace(comparison(), network=NASTY[1], data_source=NASTY[0]))
    assert text.startswith(f"{NASTY[1]}: 266,610 parameters")
    assert NASTY[0] in text


def test_designs() -> None:
    shown = cells(printed(tables.show, "", tables.DESIGN_COLUMNS, [load(name) for name in names()]))
    assert shown["nano"] == [["8 x 8", "75", "65,536", "16,384", "16,384", "8", "16"]]
    assert set(names()) <= set(shown)


def test_headings_have_one_line_without_units() -> None:
    plain: list[Column[int]] = [Column("n", "", str), Column("square", "", lambda n: str(n * n))]
    text = printed(tables.show, "title", plain, [3])
    assert text.split() == ["title", "n", "square", "\u2500" * 9, "3", "9"]
    with_unit = printed(tables.show, "title", [plain[0], replace(plain[1], unit="cm2")], [3])
    assert with_unit.split() == ["title", "n", "square", "cm2", "\u2500" * 9, "3", "9"]
    assert with_unit.count("\n") == text.count("\n") + 1


def test_a_pipe_is_wide_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    tables.show_comparison(tables.console(), comparison())
    text = capsys.readouterr().out
    assert len(cells(text)["dense int8"]) == 2  # one line on each design
    assert max(map(len, text.splitlines())) <= tables.PLAIN_WIDTH


PAGE = (Path(__file__).parent.parent / "docs" / "numbers.md").read_text(encoding="utf-8")


def test_every_column_is_defined() -> None:
    """In the first column of docs/numbers.md: its name, with the second line of its heading where that is no unit."""
    entries = [line[2:].split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| ")]
    defined = {name for entry in entries for name in entry.split(", ")}
    found = run(zoo.integer_network("lenet-300-100"), load("nano"))
    shown = [*tables.row_columns(comparison()), *chain.from_iterable(tables.part_columns(found).values())]
    assert len(shown) > 40
    units = {"", "%", "bytes", "cycles", "us", "uJ"}
    assert {c.name if c.unit in units else f"{c.name} {c.unit}" for c in shown} <= defined


def test_every_field_is_defined() -> None:
    """Of the rows and layers in JSON and CSV; what stands by cause or memory is named as its column is."""
    row = comparison().to_dict()["rows"][0]
    for name in (*row, *row["total"], *row["layers"][0]):
        assert f"`{name}`" in PAGE, name


def test_the_share_of_dram_has_a_line_of_its_own() -> None:
    rows = [row for row in comparison().rows if row.design == "edge"]
    shares = [100 * row.energy.dram_pj.nominal / row.energy.total_pj.nominal for row in rows]
    flat = rows[0].energy.dram_flat_pj
    expected = (
        f"DRAM (lpddr3) takes {shares[0]:.0f} % of the energy of dense int8, {min(shares):.0f} to {max(shares):.0f} % "
        f"of all techniques; at 640 pJ for 32 bits {100 * flat / (flat + rows[0].energy.chip_pj.nominal):.0f} %\n"
    )
    assert expected in printed(tables.show_comparison, comparison())
    core = replace(rows[0].run.result.total, design=load("core"))
    row = replace(rows[0], run=replace(rows[0].run, result=replace(rows[0].run.result, total=core)))
    assert tables.dram_line([row]).startswith("no DRAM")


def test_a_simulation_says_what_it_costs_and_what_that_depends_on() -> None:
    found = run(zoo.integer_network("lenet-300-100"), load("nano"))
    text, cost = printed(tables.show_simulation, found), found.cost
    assert (
        f"{figure(cost.area.total_mm2.nominal)} mm2 at 45 nm; {figure(cost.inferences_per_s)} inferences a second"
        in text
    )
    assert f"{figure(cost.average_mw.nominal)} mW, without DRAM {figure(cost.chip_mw.nominal)}" in text
    most = sensitivity(found.result.design, found.result)[0]
    assert f"the energy depends most on {most.constant} ({figure(most.low_pj / 1e6)} .." in text
