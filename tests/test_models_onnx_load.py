"""ONNX files that cannot be read, and the bounds on what a file may ask for, before anything is computed."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from accel.models.errors import InputError
from accel.models.exchange import onnx_attributes, onnx_ops, onnx_read
from accel.models.graph import Network
from accel.models.reference import float32
from tests.benches.model_networks import onnxruntime_output
from tests.benches.onnx_models import W, floats, model_of

RELU = [("Relu", "x", "y", {})]
CONV = [("Conv", "x,w", "y", {})]


def read(folder: Path, model: ModelProto) -> Network:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return onnx_read.read(path)


def test_every_operator_has_a_table_of_attributes() -> None:
    """And every attribute in it is one that some version of the operator has."""
    assert set(onnx_attributes.ATTRIBUTES) == set(onnx_ops.OPERATORS)
    known: dict[str, set[str]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            known.setdefault(schema.name, set()).update(schema.attributes)
    for operator, rules in onnx_attributes.ATTRIBUTES.items():
        assert set(rules) <= known[operator], operator


def external(place: str, **given: str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": place, **given}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def initializer(**fields: Any) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        for name, value in fields.items():
            if name == "dims":
                tensor.dims[:] = value
            else:
                setattr(tensor, name, value)

    return change


def opset(domain: str, version: int) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.opset_import[0].domain, model.opset_import[0].version = domain, version

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external("pipe"), "weights that are kept in another file cannot be read: .*pipe must be a regular file"),
        (external("few"), r"tensor 'w' must have 720 bytes in few, not 7"),
        (external("w", offset="1"), r"tensor 'w' must have 720 bytes in w, not 719"),
        (external("w", length="999999999999"), "tensor 'w' must have 720 bytes in w, not 720"),
        (external("w", offset="x"), "weights that are kept in another file cannot be read: invalid literal"),
        (external("none"), "weights that are kept in another file cannot be read: .*No such file"),
        (initializer(dims=[2**40, 2**40]), "makes more than 1073741824 values in the file"),
        (initializer(dims=[-1, 2]), "must have sizes of at least 0, not"),
        (initializer(dims=[5, 4, 3, 4]), "must be a valid ONNX file"),
        (initializer(data_type=8), "must be a valid ONNX file|cannot be read"),
        (initializer(data_type=77), "must be a valid ONNX file|cannot be read"),
        (opset("", 99), r"model must import one opset in 1\.\.\d+, not 99"),
        (opset("other", 13), "must be a valid ONNX file|must import one opset"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, change: Callable[[ModelProto], None], message: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "few").write_bytes(b"1234567")
    (tmp_path / "w").write_bytes(W.tobytes())
    model = model_of(CONV, {"w": W})
    change(model)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, model)
    assert "\n" not in str(caught.value)


def test_weights_in_another_file(tmp_path: Path) -> None:
    """As they are, and behind an offset; the opset may be called by its other name."""
    (tmp_path / "w").write_bytes(b"12345678" + W.tobytes())
    model = model_of(CONV, {"w": W})
    external("w", offset="8", length=str(W.nbytes))(model)
    opset("ai.onnx", 13)(model)
    (layer,) = read(tmp_path, model).layers
    np.testing.assert_array_equal(layer.weights, W)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["filled", "doubled", "expanded", "gathered", "ranged", "tiled", "unknown"])
def test_constants_that_grow(tmp_path: Path, kind: str) -> None:
    """From a file of some hundred bytes; refused before they are made."""
    model = model_of([("Add", "x,c", "y", {})])
    shape = [numpy_helper.from_array(np.array([2**20, 2**20]), "s"), numpy_helper.from_array(np.float32([1]), "one")]
    nodes = {
        "filled": [helper.make_node("ConstantOfShape", ["s"], ["c"])],
        "doubled": [helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(40)]
        + [helper.make_node("Identity", ["c40"], ["c"])],
        "expanded": [helper.make_node("Expand", ["one", "s"], ["c"])],
        "gathered": [helper.make_node("Gather", ["table", "g"], ["c"], axis=0)],
        "ranged": [helper.make_node("Range", ["nought", "many", "step"], ["c"])],
        "tiled": [helper.make_node("Tile", ["one", "t"], ["c"])],
        "unknown": [helper.make_node("NonZero", ["one"], ["c"])],
    }[kind]  # fmt: skip
    shape += [
        numpy_helper.from_array(np.float32([1, 2]), "c0"),
        numpy_helper.from_array(np.zeros(2**13, np.int64), "g"),
    ]
    shape.append(numpy_helper.from_array(floats(1, 2**13), "table"))
    shape += [
        numpy_helper.from_array(np.array(value), name)
        for name, value in {"nought": 0, "many": 2**40, "step": 1, "t": [2**40]}.items()
    ]
    model.graph.initializer.extend(shape)
    add = model.graph.node[0]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, add])
    tracemalloc.start()
    message = "operator is not supported" if kind == "unknown" else "constants that others make must have at most"
    with pytest.raises(InputError, match=message):
        read(tmp_path, model)
    assert tracemalloc.get_traced_memory()[1] < 300 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"auto_pad": "SAME_UPPER", "pads": [0, 0, 0, 0]}, "pads must not be given together with auto_pad SAME_UPPER"),
        ({"auto_pad": "SAME_LOWER", "dilations": [2, 2]}, "dilations must be 1 with auto_pad SAME_LOWER, not"),
        ({"auto_pad": "SAME_UPPER", "strides": [6, 1]}, "strides .* are too large for auto_pad SAME_UPPER of kernel"),
        ({"auto_pad": "SOME"}, "auto_pad must be NOTSET or SAME_UPPER or SAME_LOWER or VALID, not 'SOME'"),
        ({"kernel_shape": [3, 2]}, r"kernel_shape must be the weight's, \(3, 3\), not \(3, 2\)"),
        ({"group": 0}, r"group must be an integer in 1\.\.2147483647, not 0"),
        ({"pads": [-1, 0, 0, 0]}, r"pads must be 2 or 4 integers in 0\.\.2147483647, not \[-1, 0, 0, 0\]"),
        ({"pads": [0, 0, 2**30, 2**30]}, "output must have at most 67108864 values"),
        ({"pads": [0, 0, 2**30, 0], "strides": [2**29, 1]}, "input with its pads must have at most 67108864 values"),
        ({"dilations": [1]}, "dilations must be 2 integers, not 1"),
    ],
)
def test_windows_that_are_refused(tmp_path: Path, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, model_of([("Conv", "x,w", "y", attributes)], {"w": W}))


def test_a_pooling_of_years(tmp_path: Path) -> None:
    """65,536 positions for each of 15 million outputs, in a file of 150 bytes."""
    nodes = [("AveragePool", "x", "y", {"kernel_shape": [256, 256]})]
    with pytest.raises(InputError, match="all windows together must have at most 4294967296 values"):
        read(tmp_path, model_of(nodes, shape=("n", 1, 4095, 4095)))


@pytest.mark.parametrize(
    ("node", "constants", "message"),
    [
        (("Conv", "x,w", "y", {}), {"w": W[0]}, "weight 'w' must have 4 dimensions, not 3"),
        (("Conv", "x,w,b", "y", {}), {"w": W, "b": floats(4)}, "bias 'b' must have 5 values, not 4"),
        (("Conv", "x,w", "y", {}), {"w": W.astype(np.float64)}, "weight 'w' must be float32, not float64"),
        (("Clip", "x,lo", "y", {}), {"lo": floats(0)}, "min 'lo' must have 0 dimensions, not 1"),
        (("Reshape", "x,s", "y", {}), {"s": np.array([[1, -1]])}, "shape 's' must be a vector of int64"),
        (("Reshape", "x,s", "y", {}), {"s": np.array([1, 7])}, r"shape must hold the 144 values of .* not \(1, 7\)"),
        (("Squeeze", "x,a", "y", {}), {"a": np.array([1, 1])}, "axes must be different ones in -4..3, not"),
        (("Softmax", "x", "y", {"axis": 17}), {}, "axis must be the features"),
        (("Flatten", "x", "y", {"axis": 9}), {}, "axis must be -4..4, not 9"),
        (("ReduceMean", "x", "y", {"axes": [6, 7]}), {}, "axes must be height and width"),
        (("MaxPool", "x", "y", {"kernel_shape": [300, 300]}), {}, "kernel must have at most 65536 positions"),
    ],
)
def test_constants_and_axes_that_are_refused(
    tmp_path: Path, node: tuple[str, str, str, dict[str, Any]], constants: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, model_of([node], constants))


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([("Reshape", "x,s", "y", {})], {"s": np.array([0, 2, -1])}),
        ([("Squeeze", "x,a", "y", {})], {"a": np.array([-1])}),
        ([("Unsqueeze", "x,a", "z", {}), ("Squeeze", "z,a", "y", {})], {"a": np.array([1])}),
        ([("Flatten", "x", "y", {})], {}),
    ],
)
def test_shapes_are_those_of_onnx_runtime(
    tmp_path: Path, nodes: list[tuple[str, str, str, dict[str, Any]]], constants: dict[str, Any]
) -> None:
    model = model_of(nodes, constants, (2, 6, 1) if nodes[0][0] != "Reshape" else (2, 4, 6, 1))
    network = read(tmp_path, model)
    inputs = floats(2, *network.shapes[network.input])
    ours = float32.run(network, inputs)
    expected = onnxruntime_output(model, inputs)
    assert ours.shape == expected.shape
    np.testing.assert_array_equal(ours, expected)
