"""`accel simulate --trace`: every command once, at the cycles of its history, on tracks that a viewer can nest."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.commands import Command
from accel.compile import compile_network
from accel.design import load
from accel.flow import trace
from accel.flow.cli import run as accel
from accel.flow.trace import Recorded, lanes_of, recorded
from accel.models import zoo
from accel.models.reference import int8
from accel.program import Program
from accel.sim.result import simulate
from accel.timing.recurrence import time_program
from accel.units import UNIT_NAMES, UNIT_OF
from tests.benches.flow_networks import refused, write_network


def events(program: Program, run: Recorded, path: str = "x.json") -> list[dict[str, Any]]:
    """The events of the trace as the file has them."""
    found: list[dict[str, Any]] = json.loads(trace.content(program, run, Path(path)))["traceEvents"]
    return found


@pytest.fixture(scope="module", params=["edge", "edge-sparse"])
def case(request: pytest.FixtureRequest) -> tuple[Program, Recorded]:
    network = zoo.integer_network("lenet-5")
    program = compile_network(network, load(request.param))
    images = zoo.preprocess(zoo.mnist_calibration()[:1])
    return program, recorded(program, int8.quantise_input(network, images))


def test_every_command_once(case: tuple[Program, Recorded]) -> None:
    program, run = case
    known = {index for index, command in enumerate(program.commands) if type(command) in UNIT_OF}
    assert sorted(span.index for span in run.spans) == [-1, *sorted(known)]
    shown = Counter(e["args"]["command"] for e in events(program, run) if e["ph"] == "X" and e["pid"] == 1)
    assert shown == Counter(span.index for span in run.spans)
    for span in run.spans[1:]:
        command = program.commands[span.index]
        assert (span.unit, span.name) == (UNIT_OF[type(command)].name, command.OPCODE.name)


def test_cycles_are_those_of_the_simulator(case: tuple[Program, Recorded]) -> None:
    """Of a sparse engine those of the image; each event has its time in microseconds of the clock."""
    program, run = case
    network = zoo.integer_network("lenet-5")
    codes = int8.quantise_input(network, zoo.preprocess(zoo.mnist_calibration()[:1]))
    assert run.cycles == simulate(program, codes).cycles >= max(span.end for span in run.spans)
    if program.design.is_sparse:
        assert run.cycles < time_program(program).cycles
        assert recorded(program).cycles == time_program(program).cycles
    else:
        history = time_program(program).commands
        for span in run.spans[1:]:
            step = history[span.index].step  # type: ignore[union-attr]
            assert span.start == step.pop
            assert span.end == (step.issued if span.name.startswith("CONFIG") else step.complete + 1)
    for event in events(program, run):
        if event["ph"] == "X":
            ends = [event["args"][cycle] / program.design.clock_mhz for cycle in ("from cycle", "to cycle")]
            assert [event["ts"], event["ts"] + event["dur"]] == pytest.approx(ends, abs=0.001)
            assert event["dur"] > 0


def test_spans_of_a_track_do_not_overlap(case: tuple[Program, Recorded]) -> None:
    """A viewer nests what lies in one track, so that two that overlap would be drawn wrong; each track has a name."""
    program, run = case
    tracks = defaultdict(list)
    named = {}
    for event in events(program, run):
        if event["ph"] == "X":
            at, ends = (event["pid"], event["tid"]), (event["ts"], event["ts"] + event["dur"])
            tracks[at].append([round(1000 * end) for end in ends])  # nanoseconds, as Perfetto has them
            assert max(abs(1000 * end - round(1000 * end)) for end in ends) < 1e-6
        elif event["name"] == "thread_name":
            named[event["pid"], event["tid"]] = event["args"]["name"]
    for found in tracks.values():
        ends = sorted(found)
        assert all(first[1] <= second[0] for first, second in pairwise(ends))
    assert set(tracks) == set(named)
    assert {name.split(" ")[0] for name in named.values()} == {*UNIT_NAMES, "layers"}


def test_arrows_go_from_what_was_waited_for(case: tuple[Program, Recorded]) -> None:
    """The command whose completion makes the wait hold: the counted one of its unit with that number."""
    program, run = case
    waiting = [span for span in run.spans if span.cause is not None]
    assert len(waiting) > 10
    for span in waiting:
        cause = run.spans[span.cause]  # type: ignore[index]
        command: Command = program.commands[span.index]
        before = [s for s in run.spans[: run.spans.index(cause) + 1] if s.unit == cause.unit and "CONFIG" not in s.name]
        assert getattr(command, f"wait_{cause.unit}") == len(before)
        assert cause.end <= span.start
    arrows = [event for event in events(program, run) if event["ph"] in "sf"]
    assert Counter(e["ph"] for e in arrows) == {"s": len(waiting), "f": len(waiting)}
    by_id = defaultdict(list)
    for event in arrows:
        by_id[event["id"]].append(event)
    spans = [event for event in events(program, run) if event["ph"] == "X"]
    for start, end in by_id.values():
        assert start["ts"] <= end["ts"]
        for event in (start, end):
            inside = [s for s in spans if (s["pid"], s["tid"]) == (event["pid"], event["tid"])]
            assert any(s["ts"] <= event["ts"] < s["ts"] + s["dur"] for s in inside)


def test_layers_have_their_own_process(case: tuple[Program, Recorded]) -> None:
    program, run = case
    layers = {e["name"]: e["args"] for e in events(program, run) if e["ph"] == "X" and e["pid"] == 2}
    assert set(layers) == {"program", *(layer.name for layer in program.layers)}
    for layer in program.layers:
        own = [span for span in run.spans if span.layer == layer.name]
        assert layers[layer.name]["from cycle"] == min(span.start for span in own)
        assert layers[layer.name]["to cycle"] == max(span.end for span in own)


def test_lanes() -> None:
    assert lanes_of([(0, 4), (1, 3), (3, 9), (4, 5), (4, 6)]) == [0, 1, 1, 0, 2]


@pytest.mark.parametrize("kind", ["json", "png", "svg"])
def test_the_file(tmp_path: Path, kind: str) -> None:
    own = write_network(tmp_path / "mine.onnx", names=("block[/conv]", ":$_$:"))
    np.save(tmp_path / "inputs.npy", np.ones((2, 2, 6, 6), np.float32))
    out = tmp_path / "new" / f"run.{kind}"
    command = ["simulate", str(own), "--calibration", str(tmp_path / "inputs.npy"), "--design", "nano"]
    assert accel([*command, "--trace", str(out)]) == 0
    data = out.read_bytes()
    if kind == "json":
        assert {e["name"] for e in json.loads(data)["traceEvents"]} > {"LOAD block[/conv]", "STORE :$_$:", "waits"}
    else:
        assert data.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    assert accel([*command, "--trace", str(out)]) == 0
    assert out.read_bytes() == data


def test_wrong_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = write_network(tmp_path / "mine.json")
    for name in ("run.txt", "run", "."):
        line = refused(capsys, "simulate", own, "--trace", tmp_path / name)
        assert "--trace must be the name of a file that ends in .json, .png, .svg, not " in line
    assert "must not replace its own input" in refused(capsys, "simulate", own, "--trace", own)
    assert not (tmp_path / "run.txt").exists()
