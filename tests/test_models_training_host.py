"""What the host runs between stretches, in torch: ONNX Runtime gives the same, and gradients pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from accel.models.errors import InputError
from accel.models.host import HostStep
from accel.models.parting.onnx_host import Part, names
from tests.benches.onnx_models import floats, model_of

torch = pytest.importorskip("torch")
host_module = pytest.importorskip("accel.models.training.host_module")

INTS = {
    "axes": [2, 3],
    "shape": [2, 0, -1],
    "starts": [3, 1],
    "ends": [0, 5],
    "steps": [-1, 2],
    "order": [1, 3],
    "one": [1],
}
CASES: dict[str, list[tuple[str, str, str, dict[str, Any]]]] = {
    "LRN": [("LRN", "x", "y", {"size": 3, "alpha": 0.3, "beta": 0.6, "bias": 1.5})],
    "Softmax": [("Softmax", "x", "y", {"axis": 1})],
    "LogSoftmax": [("LogSoftmax", "x", "y", {})],
    "unary": [
        ("Tanh", "x", "a", {}), ("Sigmoid", "a", "b", {}), ("Exp", "b", "c", {}), ("Sqrt", "c", "d", {}),
        ("Log", "d", "e", {}), ("Neg", "e", "f", {}), ("Abs", "f", "g", {}), ("Reciprocal", "g", "h", {}),
        ("Erf", "h", "i", {}), ("Relu", "i", "j", {}), ("Sin", "j", "k", {}), ("Cos", "k", "l", {}),
        ("Softplus", "l", "y", {}),
    ],
    "binary": [
        ("Mul", "x,x", "a", {}), ("Add", "a,v", "b", {}), ("Sub", "b,x", "c", {}), ("Max", "c,x,v", "d", {}),
        ("Min", "d,a", "e", {}), ("Div", "e,v", "f", {}), ("Pow", "f,two", "y", {}),
    ],
    "attention": [
        ("Reshape", "x,shape", "a", {}), ("Transpose", "a", "t", {"perm": [0, 2, 1]}), ("MatMul", "a,t", "s", {}),
        ("Softmax", "s", "p", {}), ("MatMul", "p,a", "y", {}),
    ],
    "means": [
        ("ReduceMean", "x", "a", {"axes": [1], "keepdims": 0}), ("ReduceMax", "x", "b", {"axes": [1], "keepdims": 0}),
        ("ReduceMin", "x", "c", {"axes": [1], "keepdims": 0}), ("ReduceSum", "x,one", "d", {"keepdims": 0}),
        ("ReduceL2", "x", "e", {"axes": [1], "keepdims": 0}), ("Sum", "a,b,c,d,e", "y", {}),
    ],
    "normalised": [("InstanceNormalization", "x,v4,v4", "a", {}), ("LayerNormalization", "a,v6,v6", "y", {})],
    "moved": [
        ("DepthToSpace", "x", "a", {"blocksize": 2}), ("SpaceToDepth", "a", "b", {"blocksize": 3}),
        ("DepthToSpace", "b", "c", {"blocksize": 3, "mode": "CRD"}), ("Slice", "c,starts,ends,axes,steps", "y", {}),
    ],
    "parts": [
        ("Split", "x", "a,b", {"axis": 1}), ("Concat", "b,a,x", "c", {"axis": 1}),
        ("Gather", "c,order", "y", {"axis": 1}),
    ],
    "shapes": [
        ("Unsqueeze", "x,one", "a", {}), ("Squeeze", "a,one", "b", {}), ("Flatten", "b", "c", {}),
        ("Shape", "x", "s", {}), ("Reshape", "c,s", "d", {}),
        ("Expand", "d,s", "e", {}), ("Clip", "e,low", "f", {}), ("Identity", "f", "y", {}),
    ],
    "chosen": [
        ("Constant", "", "three", {"value_float": 3.0}), ("Where", "mask,x,three", "a", {}), ("Dropout", "a", "y", {}),
    ],
    "Gemm": [("Flatten", "x", "f", {}), ("Gemm", "f,m,v5", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
    "pooled": [
        ("GlobalAveragePool", "x", "a", {}), ("Cast", "a", "b", {"to": TensorProto.DOUBLE}),
        ("Cast", "b", "y", {"to": TensorProto.FLOAT}),
    ],
}  # fmt: skip
VALUES = {
    "v": np.abs(floats(4, 1, 1)) + 1, "two": np.float32(2), "v4": floats(4), "v5": floats(5), "v6": floats(6),
    "m": floats(5, 144), "low": np.float32(-0.5), "mask": floats(4, 6, 1) > 0,
} | {name: np.array(value) for name, value in INTS.items()}  # fmt: skip


def step_of(nodes: list[Any], batch: int, opset: int = 17) -> HostStep:
    read = {name for _, inputs, _, _ in nodes for name in inputs.split(",")}
    model = model_of(nodes, {k: v for k, v in VALUES.items() if k in read}, (batch, 4, 6, 6), opset)
    run = Part(model.SerializeToString(), ("x",), ((batch, 4, 6, 6),), ("y",), "here")
    shape = tuple(run([np.zeros((2, 4, 6, 6), np.float32)])[0].shape[1:])
    return HostStep("step", ("x",), "y", ((4, 6, 6),), shape, names(model), 0, run)


@pytest.mark.parametrize("case", CASES)
def test_the_forward_pass_is_onnx_runtimes(case: str) -> None:
    """For more inputs than the part takes at a time, and a number that it does not divide."""
    x = floats(5, 4, 6, 6)
    step = step_of(CASES[case], 2)
    found = host_module.module_of(torch, step, "mine")([torch.from_numpy(x)])
    np.testing.assert_allclose(found.numpy(), step.run([x])[0], rtol=2e-5, atol=2e-6)


def test_every_operator_has_a_case() -> None:
    assert set(host_module.operators(torch, 17)) == {node[0] for nodes in CASES.values() for node in nodes}


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_a_softmax_of_old_operator_sets_is_over_all_axes_behind(name: str) -> None:
    x = floats(3, 4, 6, 6)
    step = step_of([(name, "x", "y", {"axis": 2})], 3, opset=11)
    found = host_module.module_of(torch, step, "mine")([torch.from_numpy(x)])
    np.testing.assert_allclose(found.numpy(), step.run([x])[0], rtol=2e-5, atol=2e-6)


def test_gradients_are_differences() -> None:
    x = torch.from_numpy(floats(3, 4, 6, 6).astype(np.float64)).requires_grad_()
    step = step_of(CASES["LRN"], 2)
    function = host_module.module_of(torch, step, "mine")
    assert torch.autograd.gradcheck(lambda x: function([x]), (x,))


def test_what_has_no_form_is_named_at_once() -> None:
    nodes = [("Round", "x", "a", {}), ("Relu", "a", "b", {}), ("HardSwish", "b", "y", {})]
    step = step_of(nodes, 1)
    with pytest.raises(
        InputError, match=r"^mine: training must not pass the host's the_a \(Round\), the_y \(HardSwish\)"
    ):
        host_module.module_of(torch, step, "mine")
