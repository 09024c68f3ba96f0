"""What the predictor says of LUTs, registers, multipliers, block RAMs and the clock, against the table of runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel.design import Design, load, names
from accel.flow.cli import run as accel
from accel.models.errors import InputError
from accel.resources import PARTS, part, predict, shortfalls
from accel.resources.clock import clock_notes
from tests.benches.flow_networks import write_network


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


def test_outputs_that_stay_take_what_their_pe_and_turner_do() -> None:
    """docs/results.md: 106 LUTs and 101 registers a PE instead of 50 and 87, and 4,322 and 2,048 in front of them."""
    design = load("edge-os")
    weights_stay = design.model_copy(update={"engine": design.engine.model_copy(update={"dataflow": "ws"})})
    found, other = predict(design), predict(weights_stay)
    assert found.ff - other.ff == 256 * 14 + 2048
    assert found.lut - other.lut == pytest.approx(256 * 56 + 4322, abs=2)


def test_unknown_part() -> None:
    with pytest.raises(InputError, match="part must be one of ecp5-25f, ecp5-85f, up5k, xc7, not spartan"):
        part("spartan")


def test_a_clock_that_the_target_does_not_reach() -> None:
    nano = load("nano")
    (note,) = clock_notes(nano)
    assert note.startswith("warning: nano says 75 MHz, and ecp5-85f is predicted to reach ")
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
        design.write_text(changed(load("nano"), target=target).to_yaml())
        on, said = ["--design", str(design)], []
        for arguments in (
            ["simulate", network, *on],
            ["simulate", network, *on, "--json"],
            ["compare", network, *on, "--technique", "dense", "-o", str(tmp_path / target)],
            ["emit", network, *on, "-o", str(tmp_path / f"{target}-emitted")],
        ):
            assert accel(arguments) == 0
            said.append("".join(capsys.readouterr()))
        pages = [tmp_path / target / name for name in ("report.html", "compare.json")]
        pages.append(tmp_path / f"{target}-emitted" / "README.md")
        said += [page.read_text() for page in pages]
        seen[target] = ["nano says 75 MHz, and ecp5-85f is predicted to reach" in text for text in said]
    assert seen == {"ecp5-85f": [True] * 7, "asic": [False] * 7}
