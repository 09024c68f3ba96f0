"""Small networks as ONNX files, and what every wrong command line must look like, for the tests of `accel.flow`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from accel.design import load
from accel.flow.cli import run
from accel.flow.compare import Comparison, compare
from accel.flow.data import Data
from accel.models import zoo

SHAPE = (2, 6, 6)
ODD, NO_TEXT = "odd[bold]$_$:x:.onnx", os.fsdecode(b"\xff.onnx")
CLASSES = 4


def weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """A 3 x 3 convolution from two channels to three, and a fully connected layer to four classes."""
    random = np.random.default_rng(seed)
    shapes = {"w": (3, 2, 3, 3), "v": (48, CLASSES)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def classes_of(inputs: NDArray[Any], seed: int = 0) -> NDArray[np.int64]:
    """What `write_network`'s network makes of `inputs` (n, 2, 6, 6), in float64, without the project's own code."""
    made = weights(seed)
    windows = np.lib.stride_tricks.sliding_window_view(inputs.astype(float), (3, 3), (2, 3))
    maps = np.maximum(np.einsum("ncyxij,ocij->noyx", windows, made["w"]), 0)
    return (maps.reshape(len(inputs), -1) @ made["v"]).argmax(1)


def write_network(path: Path, softmax: bool = False, names: Sequence[str] = ("conv", "fc"), **changed: Any) -> Path:
    """That network as an ONNX file; `changed` replaces constants "w" and "v"."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name=names[0]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Flatten", ["r"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "v"], ["y"], name=names[1]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["y"], ["s"], name="soft"))
    return write_model(path, nodes, weights() | changed)


def write_model(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    shape: tuple[int, ...] = SHAPE,
    opset: int = 13,
) -> Path:
    """An ONNX file from input "x" (n, *shape) to the last node's output."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", *shape))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()
    )
    return path


def inputs(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Normal inputs for that network."""
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)


def save(path: Path, array: NDArray[Any]) -> str:
    """The array as a .npy file; returns its path as an argument."""
    np.save(path, array)
    return str(path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on standard error with which `accel` refuses these arguments; nothing else may be printed."""
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("accel: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    return printed.err.strip()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path from there."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@cache
def calibration() -> NDArray[np.float32]:
    """64 MNIST training images as the zoo's networks read them."""
    return zoo.preprocess(zoo.mnist_calibration()[:64])


@cache
def comparison() -> Comparison:
    """LeNet-300-100 with all techniques on two designs, measured on the first 300 test images."""
    images, labels = zoo.mnist_test()
    found = Data(calibration(), zoo.preprocess(images[:300]), labels[:300], "a part of MNIST")
    return compare(zoo.load("lenet-300-100"), found, [load("edge"), load("nano")])


def own_files(top: Path) -> dict[str, str]:
    """A user's networks, arrays and designs, and every kind of file that is wrong: paths by name."""
    design = load("nano").to_yaml().replace("name: nano", "name: mine").replace("clock_mhz: 75", "clock_mhz: 150")
    images = inputs(30)
    lrn = [helper.make_node("LRN", ["x"], ["y"], name="norm", size=3)]
    conv = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    texts = {
        "mine.yaml": design,
        "wrong.yaml": design.replace("rows: 8", "rows: 0"),
        "date.yaml": "clock_mhz: 2020-13-45\n",
        "loop.yaml": "&x {a: *x}\n",
        "short.yaml": design.replace("activation_bytes: 65536", "activation_bytes: 64"),
        "text.onnx": "this is not a network\n",
        "empty.npy": "",
    }
    for name, text in texts.items():
        (top / name).write_text(text)
    write_network(top / "mine.onnx", softmax=True)
    few = np.random.default_rng(0).choice(np.array([-1, 0, 0.25, 0.5, 1], np.float32), (48, 4))
    write_network(top / "few.onnx", v=few)
    write_network(top / "nan.onnx", w=np.full((3, 2, 3, 3), np.nan, np.float32))
    write_network(top / ODD, names=("block[/conv]", ":smile:"))
    write_network(top / NO_TEXT)
    write_model(top / "lrn.onnx", lrn, {})
    write_model(top / "map.onnx", conv, {"w": np.ones((3, 2, 3, 3), np.float32)})
    write_model(top / "shape.onnx", conv, {"w": np.zeros((3, 5, 3, 3), np.float32)})
    ones = {"w": np.ones((3, 2, 3, 3), np.float32)}
    norm = [*conv, helper.make_node("BatchNormalization", ["y", *"abmv"], ["z"], name="norm")]
    four = {name: np.ones(3, np.float32) for name in "abmv"}
    write_model(top / "negative.onnx", norm, ones | four | {"v": np.float32([1, -1, 1])})
    write_model(top / "large.onnx", norm, ones | four | {"a": np.float32([1, 3e38, 1]), "v": np.zeros(3, np.float32)})
    write_model(top / "overflow.onnx", [*conv, helper.make_node("Conv", ["y", "u"], ["z"], name="next")],
                {"w": ones["w"] * np.float32(1e30), "u": np.full((1, 3, 1, 1), 1e30, np.float32)})  # fmt: skip
    gemm = helper.make_node("Gemm", ["f", "v"], ["y"], name="fc", alpha=1e30)
    flat = helper.make_node("Flatten", ["x"], ["f"])
    write_model(top / "factor.onnx", [flat, gemm], {"v": np.full((72, 4), 1e20, np.float32)})
    for name, options in (
        ("average", {"pads": [1, 1, 1, 1]}), ("stride", {"strides": [32, 32]}), ("dilated", {"dilations": [2, 2]}),
    ):  # fmt: skip
        kind = "AveragePool" if name == "average" else "MaxPool"
        opset = 19 if name == "dilated" else 13
        pool = [helper.make_node(kind, ["x"], ["y"], name="pool", kernel_shape=[2, 2], **options)]
        write_model(top / f"{name}.onnx", pool, {}, (2, 20, 20), opset)
    steps = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", strides=[20, 20])
    last = helper.make_node("Flatten", ["c"], ["y"])
    write_model(top / "wide.onnx", [steps, last], {"w": np.ones((4, 2, 6, 6), np.float32)})
    parts = onnx.load(write_model(top / "parts.onnx", conv, ones))
    onnx.save_model(parts, top / "parts.onnx", save_as_external_data=True, location="gone.data", size_threshold=0)
    (top / "gone.data").unlink()
    save(top / "ranges.npy", inputs(40, 3))
    save(top / "images.npy", images)
    save(top / "labels.npy", classes_of(images))
    save(top / "far.npy", images / np.abs(images).max() * np.float32(3e38))
    save(top / "none.npy", images[:0])
    return {path.name: str(path) for path in top.iterdir()}
