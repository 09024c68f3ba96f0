"""`accel synth` on the command line: what it refuses, in one line with status 2, and what it prints."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from accel.design import load
from accel.flow import synth
from accel.flow.cli import run as accel
from accel.synthesis.modules import parse
from accel.synthesis.netlist import Synthesised
from accel.synthesis.place import Placed, read_report
from accel.synthesis.targets import Cells
from accel.synthesis.tools import ToolError
from tests.benches.flow_networks import refused

WRONG: list[tuple[list[str], str]] = [
    (["nano", "--target", "spartan"], "--target must be one of ecp5-25f, ecp5-85f, up5k, xc7, not spartan"),
    (["."], ". must be a folder that accel emit wrote, and has no expected.json"),
    (["half"], "half must be a folder that accel emit wrote, and has no design.yaml"),
    (["other", "--no-place"], "the Verilog must have a module accelerator, and has none"),
    (["nothing"], "nothing: design must be one of core, "),
    (
        ["core"],
        "core: a core without DRAM is made of its program: accel synth must have a folder that accel emit wrote",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_input(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, names in (("half", ["expected.json", "accelerator.v"]), ("other", ["expected.json", "accelerator.v"])):
        Path(folder).mkdir()
        for name in names:
            (Path(folder) / name).write_text("module foo(a);\nendmodule\n")
    Path("other/design.yaml").write_text(load("nano").to_yaml())
    assert message in refused(capsys, "synth", *arguments)


@pytest.mark.parametrize(
    ("missing", "target"), [("yosys", "xc7"), ("nextpnr-ecp5", "ecp5-85f"), ("nextpnr-ice40", "up5k")]
)
def test_missing_tool(missing: str, target: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Said before anything is computed."""
    package = f"yowasp_{missing.replace('-', '_')}"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else object())
    message = f"{missing} must be installed, and is not: pip install yowasp-{missing} (extra `fpga`)"
    assert message in refused(capsys, "synth", "nano", "--target", target)


def test_a_tool_that_fails_is_one_line(tmp_path: Path, capsys: Any) -> None:
    """Verilog that Yosys does not take."""
    (tmp_path / "expected.json").write_text("{}")
    (tmp_path / "design.yaml").write_text(load("nano").to_yaml())
    (tmp_path / "accelerator.v").write_text("module accelerator(a);\n  input a;\n  assign b = = a;\nendmodule\n")
    assert "nano: yosys: " in (said := refused(capsys, "synth", tmp_path, "--target", "xc7"))
    assert "syntax error" in said


@pytest.mark.parametrize("as_json", [True, False])
def test_a_place_and_route_that_fails_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, as_json: bool
) -> None:
    """What was synthesised is shown; the line and the status say what failed behind it."""
    tree = parse("module accelerator(clk);\n  input clk;\nendmodule\n", "accelerator")

    def fails(*_: Any) -> list[Placed]:
        raise ToolError("nextpnr-ecp5: Unable to find a placement location")

    monkeypatch.setattr(synth, "check", lambda *_: None)
    monkeypatch.setattr(synth, "source", lambda name: synth.Source(load("nano"), tree))
    monkeypatch.setattr(synth, "synthesise", lambda *_: Synthesised(tree, {tree.keys["accelerator"]: Cells(lut=7)}))
    monkeypatch.setattr(synth, "place", fails)
    assert accel(["synth", "nano", *(["--json"] if as_json else [])]) == 2
    out, said = capsys.readouterr()
    assert said.strip().endswith("accel: nano: nextpnr-ecp5: Unable to find a placement location")
    if as_json:
        assert json.loads(out)["total"]["lut"] == 7
        assert json.loads(out)["not_placed"] == "nano: nextpnr-ecp5: Unable to find a placement location"
    else:
        assert "7" in out


def found(placed: Placed | None, **cells: int) -> synth.Synthesis:
    """A synthesis of nano for an ECP5-25F."""
    total = Cells(**cells)
    on = synth.target("ecp5-25f")
    return synth.Synthesis(load("nano"), on, {"array": total}, total, synth.shortfalls(total, on.part), placed)


def test_what_is_printed() -> None:
    lines = synth.remarks(found(None, lut=1000, ff=30000, dsp=29))
    assert lines[1] == "does not fit: needs 30,000 registers of 24,288, 29 multipliers of 28"
    placed = Placed(40.0, (("post", 20.5), ("banks", 4.5)), {}, Cells(900, 2000, 3, 40))
    lines = synth.remarks(found(placed, lut=1000))
    assert lines[1:] == [
        "placed and routed: 40.0 MHz; the slowest path: post 20.5 ns, banks 4.5 ns",
        "synthesised flat for that: 900 LUT, 2,000 FF, 3 DSP, 40 block RAM",
        "warning: nano says 75 MHz",
    ]
    where = Console(width=80, record=True)
    synth.show(where, found(placed, lut=1000, dsp=3))
    assert "nano on ecp5-25f" in where.export_text()


def test_report_of_nextpnr() -> None:
    """The slowest path within the clock, its delays by component; paths of ports do not count."""
    step = {"from": {"cell": "x"}, "type": "logic"}
    report = {
        "fmax": {"$glbnet$clk": {"achieved": 50.0, "constraint": 100.0}},
        "utilization": {"TRELLIS_COMB": {"used": 5, "available": 10}, "IO": {"used": 0, "available": 2}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge $glbnet$clk", "path": [step | {"to": {"cell": "store.x"}, "delay": 99}]},
            {
                "from": "posedge $glbnet$clk",
                "to": "posedge $glbnet$clk",
                "path": [
                    step | {"to": {"cell": "post.requantise_0.$abc$1"}, "delay": 8.0},
                    step | {"to": {"cell": "post.n1"}, "delay": 4.0},
                    step | {"to": {"cell": "compute.array.row_1.pe_2.total"}, "delay": 8.0},
                ],
            },
        ],
    }
    placed = read_report(report, Cells(7))
    assert placed == Placed(50.0, (("post", 12.0), ("array", 8.0)), {"TRELLIS_COMB": (5, 10)}, Cells(7))
    assert accel(["synth", "--help"]) == 0
