"""What the predictor says of LUTs, registers, multipliers, block RAMs and the clock, against the table of runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.design import Design, load, names
from accel.flow.cli import run as accel
from accel.models.errors import InputError
from accel.resources import PARTS, part, predict, shortfalls
from accel.resources.clock import clock_notes
from accel.resources.fmax import BETWEEN, blocks, fmax_mhz, slowest
from tests.benches.draw import draw_core, draw_design, draw_sparse_design
from tests.benches.flow_networks import write_network
from tests.benches.resource_designs import DESIGNS


def changed(design: Design, **technology: object) -> Design:
    """The design with other fields of `technology`, and their clock."""
    clock = technology.pop("clock_mhz", design.clock_mhz)
    return design.model_copy(update={"clock_mhz": clock, "technology": design.technology.model_copy(update=technology)})


@pytest.mark.parametrize("name", names())
def test_parts_sum_to_the_whole(name: str) -> None:
    found = predict(load(name))
    for field in ("lut", "ff", "dsp", "bram"):
        parts = [getattr(each, field) for each in found.components.values()]
        assert sum(parts) == getattr(found, field)
        assert min(parts) >= 0


def test_nano_needs_a_large_fpga() -> None:
    """What the issue counted: 89 multipliers, and more block RAM than an ECP5-25F has."""
    found = predict(load("nano"))
    assert found.dsp == 89
    short = shortfalls(found, PARTS["ecp5-25f"])
    assert "89 multipliers of 28" in short
    assert any(re.fullmatch(r"\d+ block RAMs of 56", text) for text in short)
    assert not shortfalls(found, PARTS["ecp5-85f"])


def table() -> dict[str, Any]:
    """The runs that the fit was made of, and those that it is checked on."""
    return json.loads((Path(__file__).parents[1] / "accel" / "resources" / "data" / "runs.json").read_text())


def runs() -> dict[str, list[int]]:
    """LUTs, registers, multipliers and block RAMs that Yosys found, of designs that were synthesised whole."""
    return {name: row["total"] for name, row in table()["runs"].items() if row["total"]}


def test_what_yosys_found() -> None:
    """Multipliers and block RAM exactly, for every design of the table; LUTs and registers within the limit."""
    designs, found = {design.name: design for design, _ in DESIGNS}, runs()
    assert len(found) >= 3
    errors: dict[str, list[float]] = {"lut": [], "ff": []}
    for name, (lut, ff, dsp, bram) in found.items():
        predicted = predict(designs[name])
        assert (predicted.dsp, predicted.bram) == (dsp, bram), name
        for field, true in (("lut", lut), ("ff", ff)):
            errors[field].append(abs(getattr(predicted, field) - true) / true)
    assert median(errors["lut"]) < 0.05
    assert median(errors["ff"]) < 0.05
    assert max(errors["lut"] + errors["ff"]) < 0.15


def test_what_was_placed() -> None:
    """The clock of designs that were placed whole, within the limit; and what limits it is there."""
    designs, found = {design.name: design for design, _ in DESIGNS}, table()["placed"]
    assert len(found) >= 2
    errors = [abs(predict(designs[name]).fmax_mhz - mhz) / mhz for name, mhz in found.items()]
    assert median(errors) < 0.15
    assert max(errors) < 0.3
    assert all(slowest(designs[name]) in (*blocks(designs[name]), BETWEEN) for name in found)


def test_faster_options_make_no_design_slower() -> None:
    """With the FPGA's multipliers and registers behind memories `nano` is no slower; an option that was not placed has
    the clock of the nearest that was.
    """
    nano, faster = load("nano"), load("nano-ecp5")
    assert fmax_mhz(faster) > fmax_mhz(nano)
    clocks = [fmax_mhz(faster.model_copy(update={"post_multiplier_stages": stages})) for stages in (1, 2, 3)]
    assert all(0 < clock <= max(table()["clocks"].values()) for clock in clocks)


@pytest.mark.parametrize("draw", [draw_design, draw_sparse_design, draw_core])
@given(seed=st.integers(0, 1 << 30))
def test_every_design_has_an_answer(draw: Callable[[Random], Design], seed: int) -> None:
    """For whatever may be written: parts that are there and sum to the whole, more than the array's multipliers."""
    design = draw(Random(seed))
    found = predict(design)
    assert min(found.lut, found.ff, found.dsp, found.bram) > 0
    assert found.dsp >= design.rows * design.cols
    assert sum(each.lut for each in found.components.values()) == found.lut


def test_a_pe_whose_output_stays() -> None:
    """docs/results.md, synthesised by itself: 106 LUTs and 101 registers a PE with sums of 32 bits."""
    design = load("edge-os")
    wider = design.model_copy(update={"array": design.array.model_copy(update={"cols": 2 * design.cols})})
    places = design.rows * design.cols
    more = predict(wider).components["array"].lut - predict(design).components["array"].lut
    assert more == pytest.approx(106 * places, rel=0.15)


def test_unknown_part() -> None:
    with pytest.raises(InputError, match="part must be one of ecp5-25f, ecp5-85f, up5k, xc7, not spartan"):
        part("spartan")


def test_a_clock_that_the_target_does_not_reach() -> None:
    nano = changed(load("nano"), clock_mhz=150)
    (note,) = clock_notes(nano)
    assert note.startswith("warning: nano says 150 MHz, and ecp5-85f is predicted to reach ")
    reached = predict(nano).fmax_mhz
    assert clock_notes(changed(nano, clock_mhz=reached)) == ()
    assert len(clock_notes(changed(nano, clock_mhz=reached + 0.1))) == 1


@pytest.mark.parametrize("target", ["asic", "up5k", "xc7"])
def test_no_warning_where_nothing_is_predicted(target: str) -> None:
    assert clock_notes(changed(load("nano"), target=target, clock_mhz=5000)) == ()


def test_targets_of_designs_are_parts() -> None:
    legal = Design.model_fields["technology"].annotation.model_fields["target"].annotation.__args__
    assert set(legal) == {"asic", *PARTS}


def test_the_warning_is_in_every_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, JSON, report and emitted folder of a design that its target is too slow for; not of one for silicon."""
    network, seen = str(write_network(tmp_path / "net.onnx")), {}
    for target in ("ecp5-85f", "asic"):
        design = tmp_path / f"{target}.yaml"
        design.write_text(changed(load("nano"), target=target, clock_mhz=150).to_yaml())
        on, said = ["--design", str(design)], []
        for arguments in (
            ["simulate", network, *on],
            ["simulate", network, *on, "--json"],
            ["compare", network, *on, "--technique", "dense", "-o", str(tmp_path / target)],
            ["emit", network, *on, "-o", str(tmp_path / f"{target}-emitted")],
        ):
            assert accel(arguments) == 0
            said.append("".join(capsys.readouterr()))
        space, found = tmp_path / "space.yaml", tmp_path / f"{target}-explored"
        space.write_text(f"base: {design}\nspace: {{memory.latency_cycles: [10]}}\n")
        assert accel(["explore", network, "--space", str(space), "-o", str(found)]) == 0
        capsys.readouterr()
        point = ["--point", "0", "--storage", str(found / "explore.db")]
        assert accel(["emit", network, *point, "-o", str(tmp_path / f"{target}-point")]) == 0
        said.append(capsys.readouterr().err.replace("nano-0 says", "nano says"))
        pages = [tmp_path / target / name for name in ("report.html", "compare.json")]
        pages.append(tmp_path / f"{target}-emitted" / "README.md")
        said += [page.read_text() for page in pages]
        seen[target] = ["nano says 150 MHz, and ecp5-85f is predicted to reach" in text for text in said]
    assert seen == {"ecp5-85f": [True] * 8, "asic": [False] * 8}
