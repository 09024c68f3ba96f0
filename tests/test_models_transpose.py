"""Transposes of exports that hold channels last: gone where they can be, and what is left computes the same."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.models.graph import HostStep
from accel.models.parting import parted
from accel.models.reference import float32
from tests.benches.model_networks import all_of, onnxruntime_output
from tests.benches.onnx_models import W, floats, model_of

Nodes = list[tuple[str, str, str, dict[str, Any]]]
LAST, FIRST = {"perm": [0, 2, 3, 1]}, {"perm": [0, 3, 1, 2]}
# Name -> nodes, constants, layers that the accelerator runs; nothing is left to the host.
GONE: dict[str, tuple[Nodes, dict[str, Any], list[str]]] = {
    "a pair": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("Transpose", "t", "u", FIRST),
         ("Relu", "u", "y", {})],
        {"w": W}, ["Conv", "Activation"],
    ),
    "a pair around functions of each value": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("Relu", "t", "r", {}), ("Clip", "r,lo,hi", "k", {}),
         ("Transpose", "k", "u", FIRST), ("Conv", "u,v", "y", {})],
        {"w": W, "v": floats(3, 5, 1, 1), "lo": np.float32(0.1), "hi": np.float32(2)},
        ["Conv", "Activation", "Activation", "Conv"],
    ),
    "constants of the last axis": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("Mul", "t,k", "m", {}), ("Add", "o,m", "a", {}),
         ("Transpose", "a", "u", FIRST), ("Conv", "u,v", "y", {})],
        {"w": W, "v": floats(3, 5, 1, 1), "k": floats(5), "o": floats(1, 1, 1, 5)}, ["Conv", "Conv"],
    ),
    "a residual block with channels last": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "s", LAST), ("Conv", "c,v", "d", {}),
         ("Transpose", "d", "t", LAST), ("Add", "s,t", "a", {}), ("Relu", "a", "r", {}),
         ("Transpose", "r", "u", FIRST), ("Conv", "u,v", "y", {})],
        {"w": W, "v": floats(5, 5, 1, 1)}, ["Conv", "Conv", "Add", "Activation", "Conv"],
    ),
    "flattened before a Gemm": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("Relu", "t", "r", {}), ("Flatten", "r", "f", {}),
         ("Gemm", "f,v,b", "y", {"transB": 1})],
        {"w": W, "v": floats(7, 80), "b": floats(7)}, ["Conv", "Activation", "Reshape", "Linear"],
    ),
    "reshaped before a MatMul": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("Reshape", "t,s", "f", {}),
         ("MatMul", "f,v", "y", {})],
        {"w": W, "v": floats(80, 7), "s": np.array([-1, 80])}, ["Conv", "Reshape", "Linear"],
    ),
    "an average over height and width, with channels last": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST),
         ("ReduceMean", "t", "m", {"axes": [1, 2], "keepdims": 0}), ("MatMul", "m,v", "y", {})],
        {"w": W, "v": floats(5, 7)}, ["Conv", "GlobalPool", "Reshape", "Linear"],
    ),
    "an average that keeps its axes": (
        [("Conv", "x,w", "c", {}), ("Transpose", "c", "t", LAST), ("ReduceMean", "t", "m", {"axes": [-3, -2]}),
         ("Reshape", "m,s", "f", {}), ("MatMul", "f,v", "y", {})],
        {"w": W, "v": floats(5, 7), "s": np.array([0, 5])}, ["Conv", "GlobalPool", "Reshape", "Linear"],
    ),
    "sizes of 1": (
        [("Conv", "x,w", "c", {}), ("GlobalAveragePool", "c", "g", {}), ("Transpose", "g", "t", LAST),
         ("Flatten", "t", "f", {}), ("MatMul", "f,v", "y", {})],
        {"w": W, "v": floats(5, 7)}, ["Conv", "GlobalPool", "Reshape", "Linear"],
    ),
}  # fmt: skip


def parted_of(folder: Path, nodes: Nodes, constants: dict[str, Any], shape: tuple[Any, ...]) -> Any:
    model = model_of(nodes, constants, shape)
    path = folder / "mine.onnx"
    path.write_bytes(model.SerializeToString())
    return model, parted.read(path)


@pytest.mark.parametrize("case", GONE)
def test_they_are_gone(tmp_path: Path, case: str) -> None:
    nodes, constants, layers = GONE[case]
    model, network = parted_of(tmp_path, nodes, constants, ("n", 4, 6, 6))
    assert network.host is None
    assert [type(layer).__name__ for layer in network.layers] == layers
    inputs = floats(3, 4, 6, 6)
    expected = onnxruntime_output(model, inputs)
    np.testing.assert_allclose(float32.run(network, inputs).reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def test_the_ends_stay_the_hosts(tmp_path: Path) -> None:
    """Inputs and outputs with channels last: nothing between is the host's, constants stand where they did."""
    nodes: Nodes = [
        ("Transpose", "x", "t", FIRST), ("Mul", "t,k", "m", {}), ("Conv", "m,w", "c", {}),
        ("Transpose", "c", "u", LAST), ("Relu", "u", "y", {}),
    ]  # fmt: skip
    model, network = parted_of(tmp_path, nodes, {"w": W, "k": floats(4, 1, 1)}, ("n", 6, 6, 4))
    assert network.host is not None
    assert [(where, part.nodes) for where, part in network.host.parts] == [
        ("before", ("the_t (Transpose)",)), ("after", ("the_u (Transpose)", "the_y (Relu)"))
    ]  # fmt: skip
    inputs = floats(3, 6, 6, 4)
    np.testing.assert_allclose(all_of(network, inputs)[0], onnxruntime_output(model, inputs), rtol=1e-4, atol=1e-4)


def drawn(rng: Random) -> tuple[Nodes, dict[str, Any], tuple[Any, ...]]:
    """Some ten nodes with Transposes between them, each reading one of the latest tensors of a shape that it takes."""
    shapes: dict[str, tuple[int, ...]] = {"x": (3, 4, 5)}
    nodes: Nodes = []
    constants: dict[str, Any] = {}
    for index in range(rng.randint(4, 12)):
        name = f"t{index}"
        source = rng.choice([*shapes][-3:])
        shape = shapes[source]
        kind = rng.choice(["Transpose", "Transpose", "Transpose", "Relu", "Add", "Mul", "Concat", "Reduce", "Conv"])
        if kind == "Transpose":
            order = rng.sample(range(len(shape)), len(shape))
            nodes.append(("Transpose", source, name, {"perm": [0, *(1 + axis for axis in order)]}))
            shapes[name] = tuple(shape[axis] for axis in order)
        elif kind == "Relu":
            nodes.append(("Relu", source, name, {}))
            shapes[name] = shape
        elif kind == "Mul":
            sizes = [size if rng.random() < 0.5 else 1 for size in shape[rng.randint(0, len(shape) - 1) :]]
            constants[f"k{index}"] = floats(*sizes)
            nodes.append(("Mul", f"{source},k{index}", name, {}))
            shapes[name] = shape
        elif kind in ("Add", "Concat"):
            other = rng.choice([tensor for tensor in shapes if shapes[tensor] == shape])
            axis = rng.randrange(len(shape))
            nodes.append((kind, f"{source},{other}", name, {"axis": 1 + axis} if kind == "Concat" else {}))
            shapes[name] = tuple(n * (1 + (kind == "Concat" and i == axis)) for i, n in enumerate(shape))
        elif kind == "Reduce" and len(shape) > 1:
            axis, kept = rng.randrange(len(shape)), rng.random() < 0.5
            nodes.append(("ReduceMean", source, name, {"axes": [1 + axis], "keepdims": int(kept)}))
            shapes[name] = tuple(1 if i == axis else n for i, n in enumerate(shape) if kept or i != axis)
        elif len(shape) == 3:
            constants[f"k{index}"] = floats(2, shape[0], 1, 1)
            nodes.append(("Conv", f"{source},k{index}", name, {}))
            shapes[name] = (2, *shape[1:])
    last = [*shapes][-1]
    size = int(np.prod(shapes[last]))
    constants["last"] = floats(size, 3)
    nodes += [("Flatten", last, "flat", {}), ("MatMul", "flat,last", "y", {})]
    return nodes, constants, ("n", *shapes["x"])


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_graph_computes_what_it_did(tmp_path_factory: pytest.TempPathFactory, rng: Random) -> None:
    nodes, constants, shape = drawn(rng)
    model, network = parted_of(tmp_path_factory.mktemp("drawn"), nodes, constants, shape)
    inputs = floats(2, *shape[1:])
    expected = onnxruntime_output(model, inputs)
    tolerance = 1e-4 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(all_of(network, inputs)[0].reshape(expected.shape), expected, rtol=1e-4, atol=tolerance)
    assert all(len(layer.nodes) for layer in network.layers if isinstance(layer, HostStep))
