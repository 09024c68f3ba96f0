"""`--json` in every verb: one document on standard output, the same figures as elsewhere; and results in notebooks."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from accel.compile import compile_network
from accel.design import load, names
from accel.flow import simulate as flow_simulate
from accel.flow.cli import run as accel
from accel.flow.simulate import Simulation
from accel.flow.verbs import app
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.quantisation.quantise import quantise
from accel.models.tabular import Tabular
from accel.sim.result import Result, simulate
from tests.benches.flow_networks import comparison, inputs, save, write_network

VERBS = {command.callback.__name__ for command in app.registered_commands if command.callback}


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What a verb prints with --json: all of standard output is one document."""
    assert accel([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_verb_has_it() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert set(commands) == VERBS
    for name, command in commands.items():
        assert any("--json" in parameter.opts for parameter in command.params), name


def test_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each document against what the same verb writes, or what Python gives."""
    network, out = write_network(tmp_path / "n.onnx"), tmp_path / "out"
    data = save(tmp_path / "x.npy", inputs(8))
    integer = quantise(onnx_read.read(network), np.load(data))
    design = load("nano")
    program = compile_network(integer, design)
    rows = ("--technique", "dense", "--calibration", data, "-o", out)

    compared = printed(capsys, "compare", network, *rows)
    assert compared.pop("folder") == str(out)
    assert compared == json.loads((out / "compare.json").read_text())

    simulated = printed(capsys, "simulate", network, "--design", "nano", "--calibration", data)
    assert simulated["cycles"] == simulate(program).cycles

    listed = printed(capsys, "program", network, "--design", "nano", "--calibration", data)
    assert [c["command"] for c in listed["commands"]] == [c.OPCODE.name for c in program.commands]
    first = program.commands[0]
    assert listed["commands"][0]["fields"] == {f.name: int(getattr(first, f.name)) for f in fields(first)}

    written = printed(capsys, "quantise", network, "--calibration", data, "-o", tmp_path / "n.int8")
    assert written["bytes"] == (tmp_path / "n.int8").stat().st_size

    recipe = tmp_path / "r.yaml"
    recipe.write_text("{name: r, steps: [prune: {density: {conv: 0.5, fc: 0.5}}]}")
    compressed = printed(capsys, "compress", network, recipe, "-o", tmp_path / "c.onnx")
    assert compressed == json.loads((tmp_path / "c.json").read_text())
    counted = printed(capsys, "compress", network, recipe, "--storage-only")
    assert [layer["density"] for layer in counted["layers"]] == [0.5, 0.5, 0.5]

    assert printed(capsys, "designs", "nano") == load("nano").model_dump()
    assert [one["name"] for one in printed(capsys, "designs")] == names()
    assert printed(capsys, "check", network)


def test_what_emit_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, out = write_network(tmp_path / "n.onnx"), tmp_path / "out"
    data = save(tmp_path / "x.npy", inputs(8))
    found = printed(capsys, "emit", network, "--design", "nano", "--calibration", data, "-o", out)
    assert found["folder"] == str(out)
    assert set(found["files"]) == {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


class Cells(HTMLParser):
    """The texts of a table's cells, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tabular, ...]:
    """A result, a simulation and a comparison."""
    network = onnx_read.read(write_network(tmp_path_factory.mktemp("n") / "a<b.onnx"))
    integer = quantise(network, inputs(8))
    run = flow_simulate.run(integer, load("edge"), inputs(4))
    return run.result, run, comparison()


def test_results_say_what_they_are(results: tuple[Tabular, ...]) -> None:
    """In a line, as a table with all rows, and as plain values that JSON has a form for."""
    result, run, _ = results
    assert isinstance(result, Result)
    assert isinstance(run, Simulation)
    assert repr(result).startswith(f"Result({result.network} on edge: {result.cycles:,} cycles, ")
    assert repr(run).endswith(" uJ)")
    for found in results:
        assert len(repr(found)) < 150
        assert "\n" not in repr(found)
        rows = Cells(found._repr_html_()).rows
        records = found.records()
        assert rows[0] == list(records[0])
        assert len(rows) == 1 + len(records)
        assert all(len(row) == len(rows[0]) for row in rows)
        again = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert again["network"] == found.to_dict()["network"]
    total, layers = result.to_dict()["total"], result.to_dict()["layers"]
    assert sum(layer["cycles"] for layer in layers) == total["cycles"] == result.cycles


def test_frames(results: tuple[Tabular, ...]) -> None:
    pytest.importorskip("pandas")
    for found in results:
        frame = found.frame()
        assert list(frame.columns) == list(found.records()[0])
        assert len(frame) == len(found.records())
        assert (frame["cycles"] == [record["cycles"] for record in found.records()]).all()


def test_a_frame_needs_pandas(results: tuple[Tabular, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="frame needs pandas, and it is not installed"):
        results[0].frame()
