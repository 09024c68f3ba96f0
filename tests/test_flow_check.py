"""`accel check`, the option --input-shape, and the page of operators."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from accel.flow import check
from accel.flow.cli import run
from accel.flow.operator_table import replace
from accel.models.exchange import onnx_read
from accel.models.exchange.onnx_ops import OPERATORS
from accel.models.quantisation.quantise import blockers
from tests.benches.onnx_models import W, floats, model_of

PAGE = (Path(__file__).parent.parent / "docs" / "operators.md").read_text(encoding="utf-8")
TWO = [("Sinh", "x", "a", {}), ("Conv", "a,w", "b", {}), ("Cos", "b", "y", {})]


def written(folder: Path, *arguments: object, **named: object) -> str:
    path = folder / "mine.onnx"
    path.write_bytes(model_of(*arguments, **named).SerializeToString())  # type: ignore[arg-type]
    return str(path)


def test_the_page_is_current() -> None:
    assert replace(PAGE) == PAGE


def test_a_network_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "lenet-300-100"]) == 0
    assert capsys.readouterr().out == "lenet-300-100 runs: 3 Gemm, 2 Relu (266,200 multiplications)\n"


def test_everything_that_blocks_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, TWO, {"w": W})
    assert run(["check", path]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "mine runs: 1 Conv (2,880 multiplications)"
    assert out[1] == "on the host: the_a (Sinh), the_y (Cos) (0 multiplications)"
    assert [line.split(":")[0] for line in out[2:]] == [
        "what the accelerator does not run, 2", "  'the_a' (Sinh)", "  'the_y' (Cos)", "supported of Cos",
        "supported of Sinh",
    ]  # fmt: skip
    assert run(["check", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["runs"]
    assert [(x["node"], x["operator"], x["supported"]) for x in found["blockers"]] == [
        ("the_a", "Sinh", ""), ("the_y", "Cos", "")
    ]  # fmt: skip


def test_a_network_of_which_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [("Sinh", "x", "a", {}), ("Cos", "a", "y", {})])
    assert run(["check", path]) == 2
    assert capsys.readouterr().out.startswith("mine.onnx does not run\nwhat the accelerator does not run, 2:\n")
    assert run(["simulate", path]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "accel: mine.onnx: nodes that cannot run, 2:"
    assert len(said) == 3


def test_layers_without_an_integer_form_are_listed_too(tmp_path: Path) -> None:
    nodes = [("Relu", "x", "r", {}), ("Softmax", "r", "a", {"axis": 1}), ("Relu", "a", "b", {})]
    nodes += [("Softmax", "b", "s", {"axis": 1}), ("Relu", "s", "y", {})]
    path = written(tmp_path, nodes)
    found = check.findings(path)
    assert [blocker.node for blocker in found.blockers] == ["the_a", "the_s"]
    assert found.blockers == blockers(onnx_read.read(path))
    assert OPERATORS["Softmax"].becomes in check.text(found)


def test_an_input_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [("Conv", "x,w", "y", {})], {"w": W}, shape=("n", 4, "h", "w"))
    assert run(["check", path]) == 2
    assert "must have known dimensions after the batch, not 'h': give an input shape" in capsys.readouterr().err
    for given in ("4,8,9", "4x8x9"):
        assert run(["check", path, "--input-shape", given]) == 0
        assert "1 Conv (7,560 multiplications)" in capsys.readouterr().out
    for given in ("4,8", "a,8,9", "4,-8,9", "4,8,9,"):
        assert run(["check", path, "--input-shape", given]) == 2


def test_a_network_of_one_dimension_takes_its_own_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, [("Conv", "x,w", "y", {})], {"w": floats(5, 4, 3)}, shape=("n", 4, 30))
    np.save(tmp_path / "ranges.npy", floats(7, 4, 30))
    assert run(["simulate", path, "--calibration", str(tmp_path / "ranges.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
