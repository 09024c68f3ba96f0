"""Files that cannot be run, from the command line: one line, or the list of nodes, status 2, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from accel.flow.cli import run
from tests.benches.onnx_models import W, floats, model_of

CONV = [("Conv", "x,w", "y", {})]


def conv(shape: tuple[str | int, ...] | None = ("n", 4, 6, 6)) -> ModelProto:
    return model_of(CONV, {"w": W}, shape)


def kept_in(location: str) -> ModelProto:
    model = conv()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return model


def without_weights() -> ModelProto:
    model = conv()
    del model.graph.initializer[:]
    return model


def cycle() -> ModelProto:
    return model_of([("Add", "x,b", "a", {}), ("Relu", "a", "b", {}), ("Conv", "b,w", "y", {})], {"w": W})


def newer(opset: int = 13, ir: int = 10) -> ModelProto:
    model = conv()
    model.opset_import[0].version, model.ir_version = opset, ir
    return model


def shape_of_the_data() -> ModelProto:
    """As many rows as there are values that are not zero."""
    nodes = [("Conv", "x,w", "c", {}), ("NonZero", "c", "z", {}), ("Cast", "z", "f", {"to": TensorProto.FLOAT})]
    return model_of([*nodes, ("Transpose", "f", "y", {"perm": [1, 0]})], {"w": W})


def without_shape() -> ModelProto:
    model = conv()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def constant_output() -> ModelProto:
    model = model_of([("Conv", "x,w", "y", {}), ("Relu", "k", "z", {})], {"w": W, "k": floats(3)})
    model.graph.output[0].name = "y"
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    return model


def branch_with_weights_outside() -> ModelProto:
    """A tensor in an attribute of a node inside of a branch."""
    kept = numpy_helper.from_array(floats(5, 4, 3, 3), "k")
    kept.ClearField("raw_data")
    kept.data_location = TensorProto.EXTERNAL
    entry = kept.external_data.add()
    entry.key, entry.value = "location", "../secret"
    branches = [
        helper.make_graph([helper.make_node("Constant", [], [name], value=kept)], name, [], [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for name in ("a", "b")
    ]  # fmt: skip
    return model_of([("If", "c", "k", {"then_branch": branches[0], "else_branch": branches[1]}),
                      ("Conv", "x,k", "y", {})], {"c": np.array(True)})  # fmt: skip


OUTSIDE = "must lie beside the model, in its folder or below it, and .* does not"
WRONG: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "an open size": (lambda: conv(("n", 4, "h", 6)), "must have known dimensions after the batch, not 'h': give an"),
    "no shape": (without_shape, "must be a valid ONNX file"),
    "weights that nobody gives": (without_weights, "must be a valid ONNX file: Nodes in a graph must be topologically"),
    "a cycle": (cycle, "must be a valid ONNX file: Nodes in a graph must be topologically sorted"),
    "weights in a file that is missing": (lambda: kept_in("none"), "cannot be read: .*No such file"),
    "weights above the folder": (lambda: kept_in("../secret"), OUTSIDE),
    "weights above, by a detour": (lambda: kept_in("sub/../../secret"), OUTSIDE),
    "weights at an absolute path": (lambda: kept_in("/etc/passwd"), OUTSIDE),
    "weights behind a link": (lambda: kept_in("link"), OUTSIDE),
    "weights behind a linked folder": (lambda: kept_in("linked/secret"), OUTSIDE),
    "weights above, in a branch": (branch_with_weights_outside, OUTSIDE),
    "a newer opset": (lambda: newer(opset=99), r"must import one opset in 1\.\.\d+, not 99"),
    "a newer file format": (lambda: newer(ir=99), "must be a valid ONNX file"),
    "an output that is constant": (constant_output, "output 'z' must depend on the input, and is constant"),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """In `check`, and in `simulate`, which then writes nothing."""
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(W.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    model, message = WRONG[what]
    path = folder / "mine.onnx"
    path.write_bytes(model().SerializeToString())
    for verb in ("check", "simulate"):
        assert run([verb, str(path)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert re.search(message, line), line


def test_a_file_below_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w").write_bytes(W.tobytes())
    path = tmp_path / "mine.onnx"
    path.write_bytes(kept_in("sub/w").SerializeToString())
    assert run(["check", str(path)]) == 0


def test_files_of_two_gibibytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is read of them: these are all holes."""
    for name in ("large.onnx", "large.tflite"):
        path = tmp_path / name
        with path.open("wb") as file:
            os.truncate(file.fileno(), 2**31)
        assert run(["check", str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name} cannot be read: it must have at most 2,147,483,647 bytes, not 2,147,483,648" in line


def test_sizes_that_depend_on_the_data_are_the_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(shape_of_the_data().SerializeToString())
    assert run(["check", str(path)]) == 0
    assert "the_z (NonZero)" in capsys.readouterr().out


def test_data_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label outside of the classes, images of another size, and files that are none."""
    path = tmp_path / "mine.onnx"
    nodes = [("Conv", "x,w", "c", {}), ("GlobalMaxPool", "c", "g", {}), ("Flatten", "g", "y", {})]
    path.write_bytes(model_of(nodes, {"w": W}).SerializeToString())
    images, small, text = tmp_path / "x.npy", tmp_path / "small.npy", tmp_path / "text.npy"
    np.save(images, floats(8, 4, 6, 6))
    np.save(small, floats(8, 4, 5, 6))
    text.write_text("no array")
    for wrong in (5, -1):
        np.save(tmp_path / "y.npy", np.array([0, 1, 2, 3, 4, 0, 1, wrong]))
        given = ["--test", str(images), "--labels", str(tmp_path / "y.npy"), "-o", str(tmp_path / "out")]
        assert run(["compare", str(path), *given]) == 2
        low, high = min(0, wrong), max(4, wrong)
        assert f"labels must be 0..4, not {low}..{high}" in capsys.readouterr().err
    for file, message in ((small, "inputs must have shape (n, 4, 6, 6), not (8, 4, 5, 6)"),
                          (text, "must be a .npy file of numbers, and is damaged or something else"),
                          (path, "must be a .npy file of numbers"), (tmp_path, "cannot be read")):  # fmt: skip
        assert run(["simulate", str(path), "--calibration", str(file)]) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert message in said[0]
