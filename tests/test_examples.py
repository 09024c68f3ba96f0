"""Every file of examples/ runs as it stands, and says what is true."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from accel.compile import time_network
from accel.design import load
from accel.flow.explore.space import load as load_space
from accel.models import zoo
from accel.models.exchange import onnx_read

EXAMPLES = Path(__file__).parent.parent / "examples"


def printed(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_all_are_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "array_sizes.py", "compressed.py", "my_network.py", "prune.yaml", "pytorch_network.py", "shapes.yaml",
        "space.yaml",
    }  # fmt: skip


def test_array_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of edge's own size, but with one weight row a cycle; larger arrays are faster."""
    lines = printed("array_sizes.py", capsys)
    cycles = [int(line.split()[3].replace(",", "")) for line in lines[1:]]
    assert cycles == sorted(cycles, reverse=True)
    edge = load("edge")
    one = edge.model_copy(update={"array": edge.array.model_copy(update={"weight_rows": 1})})
    assert cycles[2] == time_network(zoo.integer_network("lenet-5"), one).cycles


def test_compressed(capsys: pytest.CaptureFixture[str]) -> None:
    """What shared weights save where DRAM is the limit."""
    lines = printed("compressed.py", capsys)
    assert [line.split(":")[0] for line in lines] == ["nano, dense", "nano, 4 bits", "edge, dense", "edge, 4 bits"]
    cycles = [int(line.split(": ")[1].split(" ")[0].replace(",", "")) for line in lines]
    assert cycles[2] == 17_811  # README, "Numbers"
    assert cycles[1] < 0.6 * cycles[0]
    assert cycles[3] < 0.6 * cycles[2]


def test_my_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = printed("my_network.py", capsys)
    assert line == f"wrote {', '.join(('mine.onnx', 'calibration.npy', 'images.npy', 'classes.npy'))}"
    assert onnx_read.read(tmp_path / "mine.onnx").parameters == 431_080
    assert np.load("images.npy").shape == (1000, 1, 28, 28)
    assert np.load("classes.npy").shape == (1000,)


def test_space() -> None:
    assert load_space(EXAMPLES / "space.yaml").size == 3 * 3 * 2 * 2 * 4
