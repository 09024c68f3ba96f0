"""`accel emit --board`: the whole board in Verilator, a host script at its serial pins."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from accel.board import BOARDS, default_design, design_on, pll
from accel.design import load
from accel.flow import emit_board
from accel.flow.cli import run as accel
from accel.models.errors import InputError
from accel.resources import predict
from tests.benches.draw import draw_network
from tests.benches.wide import wide

DESIGN = """\
name: tiny
array: {rows: 4, cols: 4, weight_rows: 2}
buffers: {activation_bytes: 16384, weight_bytes: 4096, accumulator_bytes: 4096, parameter_bytes: 2048}
memory: {axi_bits: 64, latency_cycles: 20}
clock_mhz: 41
"""


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("board")
    (top / "tiny.yaml").write_text(DESIGN)
    command = ["emit", "lenet-5", "--technique", "tucker-deep", "--design", str(top / "tiny.yaml"), "--board", "ulx3s"]
    assert accel([*command, "-o", str(top / "out")]) == 0
    return top / "out"


def at_the_pins(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """host.py at a pseudo terminal whose other end is the serial port of the simulated board."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([folder / "simulation" / "top"], stdin=ours, stdout=ours) as board:
            command = [sys.executable, "host.py", "--port", os.ttyname(theirs), "--patience", "60", *options]
            try:
                return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)
            finally:
                board.terminate()
    finally:
        os.close(ours)
        os.close(theirs)


def changed(file: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


@wide
@pytest.mark.rtl
def test_digits_through_the_serial_pins(emitted: Path) -> None:
    """The classes are MNIST's own; output bytes, cycles and counters are those of reference and simulator."""
    folder = emitted / "board"
    command = [sys.executable, "build_simulation.py"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    cycles = json.loads((emitted / "expected.json").read_text())["events"]["CYCLES"]
    found = at_the_pins(folder, "--count", "2")
    assert found.returncode == 0, (found.stdout, found.stderr)
    assert found.stdout.splitlines()[1:] == [
        f"input {number}: class {digit}, {cycles / 40625:.3f} ms ({cycles:,} cycles): as expected"
        for number, digit in enumerate([5, 0])
    ]
    changed(folder / "board.json", lambda plan: plan["expected"][0].update(cycles=cycles + 1))
    changed(folder / "board.json", lambda plan: plan["expected"][0]["output_codes"].reverse())
    changed(emitted / "expected.json", lambda plan: plan["events"].update(MACS=1))
    wrong = at_the_pins(folder, "--count", "1")
    assert wrong.returncode == 1
    assert f"output bytes differ; {cycles + 1:,} cycles expected; MACS is " in wrong.stdout
    changed(emitted / "expected.json", lambda plan: plan.update(array=1))
    other = at_the_pins(folder)
    assert (other.returncode, other.stderr[:40]) == (2, "host.py: the board holds other hardware: ARRAY is"[:40])


@pytest.mark.slow
@pytest.mark.rtl
@pytest.mark.parametrize("design", ["nano-ecp5", "ulx3s"])
@pytest.mark.parametrize("network", ["lenet-5 tucker-deep", "resnet-8", "ds-cnn"])
def test_networks_on_the_designs_of_the_board(network: str, design: str, tmp_path: Path) -> None:
    """Whole, by the host script at the serial port: bytes, cycles and counters. Some minutes for each."""
    name, *technique = network.split()
    options = ["--technique", *technique] if technique else []
    options += [] if default_design(BOARDS["ulx3s"]).name == design else ["--design", design]
    assert accel(["emit", name, *options, "--board", "ulx3s", "-o", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "board"
    subprocess.run([sys.executable, "build_simulation.py"], cwd=folder, check=True, capture_output=True)
    command = [sys.executable, "host.py", "--simulation", "simulation/top", "--count", "2"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=3600)
    assert found.returncode == 0, (found.stdout, found.stderr)
    cycles = json.loads((tmp_path / "out" / "expected.json").read_text())["events"]["CYCLES"]
    lines = found.stdout.splitlines()[1:]
    assert len(lines) == 2
    assert all(line.endswith(f"({cycles:,} cycles): as expected") for line in lines)


def test_files(emitted: Path) -> None:
    """The folder is complete, says the board's clock, and the design beside it is the board's."""
    folder = emitted / "board"
    names = {path.name for path in folder.iterdir() if path.is_file()}
    readme = (folder / "README.md").read_text()
    assert "$" not in readme
    assert all(name in readme for name in names - {"README.md"})
    assert pll(BOARDS["ulx3s"], 41).clock_mhz == 40.625  # 25 * 13 / 8
    assert "--freq 40.625 " in (folder / "Makefile").read_text()
    assert "parameter DIVIDER = 41 " in (folder / "top.v").read_text()
    on_board = load(emitted / "design.yaml")
    assert (on_board.clock_mhz, on_board.memory.latency_cycles, on_board.technology.target) == (40.625, 3, "ecp5-85f")
    pins = re.findall(r'COMP "([^"]+)"', (folder / "ulx3s.lpf").read_text())
    ports = re.findall(r"^    (?:input|output) (?:\[(\d):0\] )?(\w+)", (folder / "top.v").read_text(), re.MULTILINE)
    wanted = [f"{name}[{k}]" for width, name in ports if width for k in range(int(width) + 1)]
    assert sorted(pins) == sorted([*wanted, *(name for width, name in ports if not width)])


@pytest.mark.parametrize("wanted", [4, 25, 33.3, 40, 50, 62.5, 75, 99.9, 100, 133])
def test_the_clock_is_the_best_that_the_pll_can_make(wanted: float) -> None:
    """No other dividers within TN1263's ranges come nearer from below."""
    found = pll(BOARDS["ulx3s"], wanted)
    assert found.clock_mhz == 25 * found.feedback_divider / found.input_divider <= wanted
    assert 400 <= found.clock_mhz * found.output_divider <= 800
    assert 25 / found.input_divider >= 3.125
    others = [25 * n / m for n in range(1, 81) for m in range(1, 9)]
    assert max(clock for clock in others if clock <= wanted) == found.clock_mhz


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lenet-5", "--board", "arty"], "board must be one of ulx3s, not 'arty'"),
        (["lenet-5", "--board", "ulx3s"], "must fit the block RAM of ulx3s (208 of the ecp5-85f)"),
        (["lenet-5", "--board", "ulx3s", "--design", "core"], "must have memory.kind axi, not on-chip"),
    ],
)
def test_what_a_board_cannot_do_is_said(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accel(["emit", *options, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_boards_own_design_has_a_clock_that_it_reaches() -> None:
    own = default_design(BOARDS["ulx3s"])
    assert own == load("nano-ecp5")
    assert design_on(BOARDS["ulx3s"], own).clock_mhz == own.clock_mhz == 55
    assert predict(own).fmax_mhz > own.clock_mhz


def test_networks_that_need_the_host_in_between_are_refused() -> None:
    """By `check`, before anything is compiled."""
    network = draw_network(Random(1), 2)
    emit_board.check(network)
    with pytest.raises(InputError, match="not have 1 more outputs"):
        emit_board.check(replace(network, more_outputs=(network.input,)))


@pytest.mark.synth
def test_a_bitstream(emitted: Path) -> None:
    """By the tools of the package index; the clock is reached, or nextpnr fails."""
    folder = emitted / "board"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["make"], cwd=folder, env=os.environ | {"PATH": path}, check=True, timeout=3600)
    assert (folder / "board.bit").stat().st_size > 100_000
