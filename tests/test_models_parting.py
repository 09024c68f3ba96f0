"""Networks that are cut: head, accelerator and tail together give what ONNX Runtime gives."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from accel.flow import check, data, retrain
from accel.flow.cli import run
from accel.models.errors import Blocked, InputError
from accel.models.graph import Network
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.training import own_data
from tests.benches.model_networks import all_of, onnxruntime_output
from tests.benches.onnx_models import W, floats, model_of

Nodes = list[tuple[str, str, str, dict[str, Any]]]
POOL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
# Name -> nodes, constants, shape of the input, nodes of head and tail by operator, "|" before those between stretches.
CASES: dict[str, tuple[Nodes, dict[str, Any], tuple[Any, ...], list[str], list[str]]] = {
    "nothing for the host": ([("Conv", "x,w", "y", {})], {"w": W}, ("n", 4, 6, 6), [], []),
    "channels last": (
        [("Transpose", "x", "t", {"perm": [0, 3, 1, 2]}), ("Conv", "t,w", "c", {}), ("Relu", "c", "r", {}),
         ("Transpose", "r", "y", {"perm": [0, 2, 3, 1]})],
        {"w": W}, ("n", 6, 6, 4), ["Transpose"], ["Transpose"],
    ),
    "PyTorch's MNIST example": (
        [("Conv", "x,w", "c", {}), ("Relu", "c", "r", {}), ("Flatten", "r", "f", {}), ("Gemm", "f,v", "g", {}),
         ("LogSoftmax", "g", "y", {"axis": 1})],
        {"w": W, "v": floats(80, 3) / 20}, ("n", 4, 6, 6), [], ["LogSoftmax"],
    ),
    "normalisation that is not affine, and the class": (
        [("LRN", "x", "l", {"size": 3}), ("Conv", "l,w", "c", {}), ("GlobalMaxPool", "c", "g", {}),
         ("Flatten", "g", "f", {}), ("Softmax", "f", "s", {}), ("ArgMax", "s", "y", {"axis": 1, "keepdims": 0})],
        {"w": W}, ("n", 4, 6, 6), ["LRN"], ["ArgMax"],
    ),
    "a kernel and a stride that no command holds": (
        [("Conv", "x,k", "c", {}), ("Conv", "c,v", "d", {"strides": [16, 1]}), ("Conv", "d,v", "y", {})],
        {"k": floats(5, 4, 1, 130), "v": floats(5, 5, 1, 1)}, ("n", 4, 20, 140), ["Conv", "Conv"], [],
    ),
    "a step in the middle": (
        [("Conv", "x,w", "c", {}), ("Sin", "c", "a", {}), ("Conv", "a,v", "y", {})],
        {"w": W, "v": floats(7, 5, 1, 1)}, ("n", 4, 6, 6), [], ["|", "Sin"],
    ),
    "a maximum that is undone where it was": (
        [("Conv", "x,w", "c", {}), ("Relu", "c", "r", {}),
         ("MaxPool", "r", "p,i", {"kernel_shape": [2, 2], "strides": [2, 2]}),
         ("Conv", "p,v", "d", {}), ("MaxUnpool", "d,i", "u", {"kernel_shape": [2, 2], "strides": [2, 2]}),
         ("Conv", "u,v", "y", {})],
        {"w": W, "v": floats(5, 5, 1, 1)}, ("n", 4, 6, 6), [], ["|", "MaxPool", "|", "MaxPool", "MaxUnpool"],
    ),
    "a stretch that multiplies nothing": (
        [("Conv", "x,w", "c", {}), ("Sin", "c", "a", {}), ("Relu", "a", "r", {}), ("Sin", "r", "s", {}),
         ("Conv", "s,v", "y", {})],
        {"w": W, "v": floats(7, 5, 1, 1)}, ("n", 4, 6, 6), [], ["|", "Sin", "Relu", "Sin"],
    ),
    "a branch around a step": (
        [("Conv", "x,w", "c", {}), ("Sin", "c", "s", {}), ("Conv", "c,v", "d", {}), ("Conv", "s,v", "e", {}),
         ("Add", "d,e", "y", {})],
        {"w": W, "v": floats(7, 5, 1, 1)}, ("n", 4, 6, 6), [], ["|", "Sin"],
    ),
    "steps of several inputs, and two in a row": (
        [("Conv", "x,w", "c", {}), ("Conv", "c,v", "d", {}), ("Atan", "c", "a", {}), ("MatMul", "d,a", "m", {}),
         ("Conv", "m,v", "e", {}), ("Sin", "e", "s", {}), ("Conv", "s,v", "f", {}), ("Add", "f,d", "y", {})],
        {"w": W, "v": floats(5, 5, 1, 1)}, ("n", 4, 6, 6), [], ["|", "Atan", "MatMul", "|", "Sin"],
    ),
    "a step that reads the input too": (
        [("Conv", "x,w", "c", {}), ("Sin", "x", "s", {}), ("Conv", "s,w", "d", {}), ("Add", "c,d", "y", {})],
        {"w": W}, ("n", 4, 6, 6), [], ["|", "Sin"],
    ),
    "a matrix and a vector between": (
        [("Conv", "x,w", "c", {}), ("Reshape", "c,s", "m", {}), ("Sin", "m", "a", {}), ("MatMul", "a,v", "b", {}),
         ("Sin", "b", "d", {}), ("Flatten", "d", "f", {}), ("Gemm", "f,u", "y", {})],
        {"w": W, "s": np.array([0, 5, 16]), "v": floats(16, 3), "u": floats(15, 2)}, ("n", 4, 6, 6), [],
        ["|", "Reshape", "Sin", "|", "Sin", "Flatten"],
    ),
    "branches around it": (
        [("Conv", "x,w", "c", {}), ("Atan", "c", "s", {}), ("Relu", "c", "r", {}), ("Add", "s,r", "a", {}),
         ("Conv", "a,v", "d", {}), ("Conv", "d,u", "y", {})],
        {"w": floats(5, 4, 1, 1), "v": floats(9, 5, 3, 3), "u": floats(9, 9, 3, 3)}, ("n", 4, 6, 6),
        [], ["|", "Atan"],
    ),
    "a shape that the head had": (
        [("Sin", "x", "s", {}), ("Conv", "s,w", "c", {}), ("Shape", "x", "sh", {}), ("Gather", "sh,zero", "n", {}),
         ("Concat", "n,minus", "t", {"axis": 0}), ("Reshape", "c,t", "y", {})],
        {"w": W, "zero": np.array([0]), "minus": np.array([-1])}, (2, 4, 6, 6), ["Sin"], [],
    ),
    "one dimension": (
        [("Sin", "x", "s", {}), ("Conv", "s,w", "c", {}), ("Sin", "c", "y", {})],
        {"w": floats(5, 4, 3)}, (1, 4, 30), ["Sin"], ["Sin"],
    ),
    "normalisation of a matrix's rows, as many as its features": (
        [("MatMul", "x,w", "c", {}), ("BatchNormalization", "c,g,b,m,v", "d", {}), ("MatMul", "d,u", "y", {})],
        {"w": floats(6, 5), "u": floats(5, 2), "g": floats(5), "b": floats(5), "m": floats(5), "v": floats(5) ** 2},
        ("n", 5, 6), [], ["|", "BatchNormalization"],
    ),
    "a vector that becomes a map": (
        [("Flatten", "x", "f", {}), ("Gemm", "f,v", "g", {}), ("Reshape", "g,s", "m", {}), ("Conv", "m,w", "y", {})],
        {"v": floats(144, 100) / 9, "w": W, "s": np.array([0, 4, 5, 5])}, ("n", 4, 6, 6), [], ["|", "Reshape"],
    ),
    "numbers of 16 bits inside": (
        [("Cast", "x", "h", {"to": TensorProto.FLOAT16}), ("Conv", "h,w", "c", {}), ("LRN", "c", "l", {"size": 3}),
         ("Conv", "l,v", "d", {}), ("Cast", "d", "e", {"to": TensorProto.FLOAT}),
         ("LogSoftmax", "e", "y", {"axis": 1})],
        {"w": np.float16(W / 8), "v": np.float16(floats(7, 5, 1, 1))}, ("n", 4, 6, 6), [],
        ["|", "LRN", "Cast", "LogSoftmax"],
    ),
    "a tail that reads the input": (
        [("Conv", "x,w", "c", {}), ("LRN", "c", "l", {"size": 3}), ("GlobalMaxPool", "x", "g", {}),
         ("CumSum", "g,axis", "h", {}), ("Concat", "l,h", "y", {"axis": 1})],
        {"w": floats(5, 4, 6, 6), "axis": np.array(1)}, ("n", 4, 6, 6), [], ["LRN", "CumSum", "Concat"],
    ),
    "a matrix": (
        [("MatMul", "x,w", "c", {}), ("Sin", "c", "y", {})], {"w": floats(6, 3)}, ("n", 5, 6), [], ["Sin"],
    ),
}  # fmt: skip


def classified(model: ModelProto) -> ModelProto:
    """A model whose last node may be an ArgMax, with the type that this has."""
    if model.graph.node[-1].op_type == "ArgMax":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def parted_of(folder: Path, model: ModelProto, **named: Any) -> Network:
    path = folder / "mine.onnx"
    path.write_bytes(model.SerializeToString())
    return parted.read(path, **named)


def whole(network: Network, inputs: np.ndarray) -> np.ndarray:
    return all_of(network, inputs)[0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("own", [False, True])
def test_parts_together_are_the_whole(tmp_path: Path, case: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ONNX Runtime and by onnx's own evaluator."""
    nodes, constants, shape, head, tail = CASES[case]
    model = classified(model_of(nodes, constants, shape))
    count = 3 if shape[0] == "n" else int(shape[0])
    inputs = floats(count, *shape[1:])
    expected = onnxruntime_output(model, inputs)
    if own:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    network = parted_of(tmp_path, model)
    ours = whole(network, inputs)
    tolerance = (5e-3 if "16 bits" in case else 1e-4) * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=1e-4, atol=tolerance)
    found = []
    for where, part in network.host.parts if network.host else ():
        found += ["|"] if where.startswith("between") else ["before"] if where == "before" else []
        found += [name.split("(")[1][:-1] for name in part.nodes]
    assert found == [*(["before"] if head else []), *head, *tail]
    quantise(network, floats(4, *network.shapes[network.input]))


def test_every_stretch_that_multiplies_is_run(tmp_path: Path) -> None:
    nodes: Nodes = [
        ("Conv", "x,w", "a", {}), ("Sin", "a", "b", {}), ("Conv", "b,v", "c", {}), ("Sin", "c", "d", {}),
        ("Conv", "d,u", "y", {}),
    ]  # fmt: skip
    sizes = {"w": floats(8, 4, 1, 1), "v": floats(8, 8, 3, 3), "u": floats(2, 8, 1, 1)}
    network = parted_of(tmp_path, model_of(nodes, sizes))
    assert [layer.name for layer in network.layers] == ["the_a", "b.host", "the_c", "d.host", "the_y"]
    assert network.host is not None
    assert network.host.macs == 8 * 4 * 36 + 8 * 8 * 9 * 16 + 2 * 8 * 16
    assert [(where, part.nodes, part.macs, part.values) for where, part in network.host.parts] == [
        ("between stretches of", ("the_b (Sin)",), 0, 2 * 8 * 36),
        ("between stretches of", ("the_d (Sin)",), 0, 2 * 8 * 16),
    ]  # fmt: skip
    assert [x.node for x in network.host.reasons] == ["the_b", "the_d"]


def test_several_outputs(tmp_path: Path) -> None:
    nodes: Nodes = [("Conv", "x,w", "c", {}), ("Conv", "c,v", "y", {}), ("Conv", "c,u", "z", {})]
    model = model_of(nodes, {"w": W, "v": floats(3, 5, 1, 1), "u": floats(2, 5, 1, 1)}, output="y")
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    network = parted_of(tmp_path, model)
    assert network.host is None
    assert network.outputs == ("y", "z")
    inputs = floats(3, 4, 6, 6)
    first, second = all_of(network, inputs)
    np.testing.assert_allclose(first, onnxruntime_output(model, inputs), rtol=1e-4, atol=1e-4)
    assert second.shape == (3, 2, 4, 4)


def test_a_head_of_boxes(tmp_path: Path) -> None:
    """Boxes and scores of two branches, with what chooses among them behind the accelerator."""
    limits = {"most": np.array([3]), "overlap": np.float32([0.5]), "least": np.float32([-9.0])}
    nodes: Nodes = [
        ("Conv", "x,w", "c", {}), ("Conv", "c,v", "d", {}), ("Conv", "c,u", "e", {}),
        ("Transpose", "d", "t", {"perm": [0, 2, 3, 1]}), ("Reshape", "t,s", "boxes", {}),
        ("Reshape", "e,r", "scores", {}),
        ("NonMaxSuppression", "boxes,scores,most,overlap,least", "y", {}),
    ]  # fmt: skip
    constants = {"w": W, "v": floats(4, 5, 1, 1), "u": floats(2, 5, 1, 1), "s": np.array([0, 16, 4]),
                 "r": np.array([0, 2, 16]), **limits}  # fmt: skip
    model = model_of(nodes, constants, (1, 4, 6, 6))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    network = parted_of(tmp_path, model)
    assert network.outputs == ("d", "e")
    assert network.host is not None
    assert [where for where, _ in network.host.parts] == ["after"]
    inputs = floats(1, 4, 6, 6)
    expected = onnxruntime_output(model, inputs)
    assert len(expected) == 6
    np.testing.assert_array_equal(all_of(network, inputs)[0].reshape(expected.shape), expected)
    quantise(network, floats(4, 4, 6, 6))


def test_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(Blocked, match=r"the_y' \(Sin\): operator is not supported"):
        parted_of(tmp_path, model_of([("Sin", "x", "y", {})]))
    with pytest.raises(Blocked, match="nodes that cannot run, 2"):
        parted_of(tmp_path, model_of([("Sin", "x", "a", {}), ("Div", "a,x", "y", {})]))


def test_a_fault_is_not_left_to_the_host(tmp_path: Path) -> None:
    nodes: Nodes = [("Conv", "x,w", "c", {}), ("Sin", "c", "s", {}), ("Conv", "s,v", "y", {})]
    for wrong, message in ((W * np.nan, "must be finite, not NaN or Inf"), (floats(3, 7, 1, 1), "do not fit 5 input")):
        with pytest.raises(Blocked, match=message):
            parted_of(tmp_path, model_of(nodes, {"w": W, "v": wrong}))


def test_a_tail_that_loses_the_batch(tmp_path: Path) -> None:
    """Of a batch of 1 it is given for each input; of another it cannot be told apart."""
    nodes: Nodes = [("Conv", "x,w", "c", {}), ("Transpose", "c", "y", {"perm": [1, 0, 2, 3]})]
    model, inputs = model_of(nodes, {"w": W}), floats(2, 4, 6, 6)
    found = whole(parted_of(tmp_path, model), inputs)
    np.testing.assert_allclose(found[1], onnxruntime_output(model, inputs[1:]), rtol=1e-4, atol=1e-4)
    assert found.shape == (2, 5, 1, 4, 4)
    network = parted_of(tmp_path, model_of(nodes, {"w": W}, (2, 4, 6, 6)))
    with pytest.raises(InputError, match="tail: outputs must have the batch of 2 in front"):
        whole(network, inputs)


def test_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of the whole network's inputs; accuracy is that of the whole network; what the host runs is said."""
    nodes, constants, *_ = CASES["channels last"]
    nodes = [
        *nodes[:-1], ("GlobalMaxPool", "r", "g", {}), ("Flatten", "g", "f", {}),
        ("ArgMax", "f", "y", {"axis": 1, "keepdims": 0}),
    ]  # fmt: skip
    model = classified(model_of(nodes, constants, ("n", 6, 6, 4)))
    inputs = floats(40, 6, 6, 4)
    labels = onnxruntime_output(model, inputs).reshape(-1)
    path, images, classes = tmp_path / "mine.onnx", tmp_path / "x.npy", tmp_path / "y.npy"
    path.write_bytes(model.SerializeToString())
    np.save(images, inputs)
    np.save(classes, labels)
    arguments = ["--calibration", str(images), "--test", str(images), "--labels", str(classes)]
    assert run(["compare", str(path), *arguments, "--technique", "dense", "-o", str(tmp_path / "out")]) == 0
    row = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert row["float_accuracy_percent"] == 100
    assert row["rows"][0]["accuracy_percent"] >= 90
    note = "the host runs the_t (Transpose) before the accelerator: 0.0 % of the network's MACs, 144 bytes cross"
    assert any(note in text for text in row["notes"])
    space = tmp_path / "space.yaml"
    space.write_text("space: {memory.latency_cycles: [10]}\n")
    capsys.readouterr()
    assert run(["explore", str(path), "--space", str(space), "-o", str(tmp_path / "points")]) == 0
    assert f"accel: {note}\n" in capsys.readouterr().err
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: few\nsteps:\n  - prune: {density: 0.5}\n")
    np.savez(tmp_path / "learnt.npz", x=inputs, y=labels)
    learning = ["--data", str(tmp_path / "learnt.npz"), "--validation"]
    assert run(["compress", str(path), str(recipe), "-o", str(tmp_path / "v.onnx"), *learning]) == 0
    assert json.loads((tmp_path / "v.json").read_text())["accuracy_before_percent"] == 100
    assert run(["compress", str(path), str(recipe), "-o", str(tmp_path / "o.onnx")]) == 0
    assert "o.onnx is what the accelerator runs; nodes before and behind it are not in it" in capsys.readouterr().err
    assert run(["check", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "on the host: the_t (Transpose), the_f (Flatten), the_y (ArgMax) (0 multiplications)"
    np.save(images, inputs[:, :5])
    assert run(["simulate", str(path), "--calibration", str(images)]) == 2
    assert "inputs must have shape (n, 6, 6, 4), not (40, 5, 6, 4)" in capsys.readouterr().err


def test_what_is_learnt_is_judged_before_the_tail(tmp_path: Path) -> None:
    """A class for each pixel of maps with channels last: the labels of a file are those of the accelerator's output."""
    nodes, constants, *_ = CASES["channels last"]
    nodes = [*nodes[:-2], ("Transpose", "c", "y", {"perm": [0, 2, 3, 1]})]
    network, inputs = parted_of(tmp_path, model_of(nodes, constants, ("n", 6, 6, 4))), floats(24, 6, 6, 4)
    labels = whole(network, inputs).argmax(-1)
    for held in ({"x": inputs, "y": labels}, {"x": inputs}):
        np.savez(tmp_path / "x.npz", **held)
        found = retrain.with_data(
            data.resolve(network, False), own_data.read(tmp_path / "x.npz", network), "x.npz", False
        )
        assert data.float_accuracy_percent(network, found) == 100
        assert (data.accuracy_percent(quantise(network, found.calibration), found) or 0) > 90
    np.savez(tmp_path / "x.npz", x=inputs, y=whole(network, inputs))
    with pytest.raises(InputError, match=r"values to learn must have the output's shape \(5, 4, 4\), not \(4, 4, 5\)"):
        own_data.read(tmp_path / "x.npz", network)


def test_findings_of_the_host(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    nodes, constants, shape, *_ = CASES["PyTorch's MNIST example"]
    path.write_bytes(model_of(nodes, constants, shape).SerializeToString())
    found = check.findings(str(path))
    assert found.runs
    assert [x.operator for x in found.blockers] == ["LogSoftmax"]
    network = parted.read(path)
    made = data.resolve(network, False)
    assert made.calibration.shape[1:] == (4, 6, 6)
    assert made.host is network.host
