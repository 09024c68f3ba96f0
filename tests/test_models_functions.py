"""Functions of one tensor: what files write becomes one table, node by node as ONNX Runtime computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accel.compile import compile_network
from accel.design import load
from accel.models.errors import InputError
from accel.models.exchange.onnx_read import read
from accel.models.exchange.onnx_write import to_model
from accel.models.functions import IDENTITY, Function, Step, clip, function_of, joined, straight, useful_range
from accel.models.graph import Activation, Conv, Network, Unary
from accel.models.integers.layers import TensorSpec
from accel.models.integers.network import IntegerNetwork, VectorLayer
from accel.models.quantisation.lookup import table_of
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.sim.execute.run import execute
from tests.benches.model_networks import FUNCTIONS, onnxruntime_output

GENERATOR = np.random.default_rng(7)
WEIGHTS = {"w": GENERATOR.normal(0, 0.3, (8, 3, 3, 3)), "b": GENERATOR.normal(0, 0.3, 8)}
NUMBERS = {"root": 2**0.5, "zero": 0, "half": 0.5, "one": 1, "two": 2, "three": 3, "six": 6}
CONV = helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1])
INPUTS = GENERATOR.uniform(-3, 3, (8, 3, 6, 6)).astype(np.float32)


def node(text: str, **attributes: float | str) -> onnx.NodeProto:
    """`c = Mul a b`."""
    output, _, rest = text.split(maxsplit=2)
    operator, *operands = rest.split()
    return helper.make_node(operator, operands, [output], f"{output}.node", **attributes)


def model(*nodes: onnx.NodeProto, channels: int = 8, opset: int = 20) -> onnx.ModelProto:
    used = {name for each in nodes for name in each.input}
    constants = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in (WEIGHTS | NUMBERS).items() if name in used
    ]  # fmt: skip
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, 6, 6])
        for name, count in (("x", 3), ("y", channels))
    ]
    graph = helper.make_graph(list(nodes), "drawn", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 9
    return made


def read_model(made: onnx.ModelProto, folder: Path) -> Network:
    onnx.save(made, folder / "model.onnx")
    return read(folder / "model.onnx")


def quantised(network: Network) -> tuple[IntegerNetwork, np.ndarray, np.ndarray]:
    integer = quantise(network, INPUTS)
    codes = int8.quantise_input(integer, INPUTS)
    return integer, codes, int8.run(integer, codes)[integer.output]


OPERATORS = [
    ("Abs", {}), ("Ceil", {}), ("Celu", {"alpha": 2.0}), ("Elu", {"alpha": 0.3}), ("Erf", {}), ("Exp", {}),
    ("Floor", {}), ("Gelu", {}), ("Gelu", {"approximate": "tanh"}), ("HardSigmoid", {"alpha": 0.3}), ("HardSwish", {}),
    ("LeakyRelu", {"alpha": 0.2}), ("LeakyRelu", {}), ("Mish", {}), ("Neg", {}), ("Round", {}),
    ("Selu", {}), ("Selu", {"alpha": 1.5, "gamma": 0.9}), ("Sigmoid", {}), ("Sign", {}), ("Softplus", {}),
    ("Softsign", {}), ("Tanh", {}), ("ThresholdedRelu", {"alpha": 0.7}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "attributes"), OPERATORS, ids=str)
def test_an_operator_is_that_of_onnx_runtime(operator: str, attributes: dict, tmp_path: Path) -> None:
    made = model(CONV, node(f"y = {operator} c", **attributes))
    network = read_model(made, tmp_path)
    expected = onnxruntime_output(made, INPUTS)
    np.testing.assert_allclose(float32.run(network, INPUTS), expected, rtol=2e-5, atol=2e-5)
    assert len(quantise(network, INPUTS).layers) == 1
    np.testing.assert_allclose(onnxruntime_output(to_model(network), INPUTS), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        ("s = Sigmoid c", "y = Mul c s"),
        ("s = Sigmoid c", "y = Mul s c"),
        ("d = Div c root", "e = Erf d", "a = Add e one", "m = Mul c a", "y = Mul m half"),
        ("d = Div c root", "e = Erf d", "a = Add one e", "m = Mul a half", "y = Mul m c"),
        ("a = Add c three", "l = Clip a zero six", "m = Mul c l", "y = Div m six"),
        ("a = Add c three", "l = Clip a zero six", "m = Div l six", "y = Mul m c"),
        ("s = Softplus c", "t = Tanh s", "y = Mul c t"),
        ("n = Neg c", "e = Exp n", "a = Add e one", "y = Div c a"),
        ("q = Mul c c", "a = Add q one", "y = Sqrt a"),
        ("p = Pow c two", "a = Add p one", "y = Div one a"),
        ("r = Relu c", "y = Sub c r"),
        ("m = Min c one", "y = Max zero m half"),
        ("s = Sigmoid c", "t = Tanh c", "y = Add s t"),
        ("r = Relu c", "y = Mul r half"),
        ("e = Exp c", "a = Add e one", "y = Reciprocal a"),
    ],
    ids=" ; ".join,
)
def test_what_depends_on_one_tensor_is_one_layer(nodes: tuple[str, ...], tmp_path: Path) -> None:
    made = model(CONV, *map(node, nodes))
    network = read_model(made, tmp_path)
    assert [type(layer) for layer in network.layers] == [Conv, Unary]
    expected = onnxruntime_output(made, INPUTS)
    np.testing.assert_allclose(float32.run(network, INPUTS), expected, rtol=2e-5, atol=2e-5)
    integer, _, found = quantised(network)
    assert len(integer.layers) == 1
    real = (found - float(integer.tensors["y"].zero_point)) * integer.tensors["y"].scale
    assert np.abs(real - expected).max() < 0.08 * np.ptp(expected)


def test_a_tensor_that_others_read_is_where_a_function_begins(tmp_path: Path) -> None:
    """r is needed anyway, so y is looked up from it; without the second output it would be from c."""
    made = model(CONV, *map(node, ("r = Relu c", "t = Tanh r", "k = MaxPool r", "y = Add t k")))
    made.graph.node[-2].attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
    network = read_model(made, tmp_path)
    kinds = {layer.output: (type(layer), layer.inputs) for layer in network.layers}
    assert kinds["r"] == (Activation, ("c",))
    assert kinds["t"] == (Unary, ("r",))
    np.testing.assert_allclose(float32.run(network, INPUTS), onnxruntime_output(made, INPUTS), rtol=2e-5, atol=2e-5)


def test_on_the_accelerator(tmp_path: Path) -> None:
    """Fused behind a convolution, before a pooling that must not be fused, and by itself."""
    nodes = ("s = Sigmoid c", "m = Mul s c", "p = MaxPool m", "t = Tanh p", "y = Add t p")
    made = model(CONV, *map(node, nodes))
    made.graph.node[3].attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
    network = read_model(made, tmp_path)
    integer, codes, found = quantised(network)
    assert any(isinstance(x, VectorLayer) and x.requantise.table is not None for x in integer.layers)
    np.testing.assert_array_equal(execute(compile_network(integer, load("nano")), codes), found)


def test_a_table_by_hand() -> None:
    """SiLU of codes of 1/16 around 16, in steps of 1/32; codes beyond -100..90 never come."""
    before, after = TensorSpec("c", (1, 1, 1), 1 / 16, 16), TensorSpec("y", (1, 1, 1), 1 / 32, -100)
    silu = joined("Mul", IDENTITY, function_of("Sigmoid"))
    table = table_of(silu, before, after, -100, 90)
    for code in range(-128, 128):
        x = (min(90, max(-100, code)) - 16) / 16
        assert table[code + 128] == min(127, max(-128, round(x / (1 + np.exp(-x)) * 32 - 100)))


def test_functions_without_a_value_somewhere_have_tables() -> None:
    spec = TensorSpec("c", (1, 1, 1), 1 / 16, 0)
    for name in ("Log", "Sqrt", "Reciprocal"):
        assert table_of(function_of(name), spec, spec, -128, 127).shape == (256,)


def test_only_the_part_of_a_range_that_matters_gets_codes() -> None:
    low, high = useful_range(function_of("Sigmoid"), -50, 40, 1 / 256)
    assert -6.4 < low < -6.1 < 6.1 < high < 6.4
    assert useful_range(function_of("Tanh"), -0.5, 0.25, 1 / 256) == pytest.approx((-0.5, 0.25), abs=0.004)
    assert useful_range(function_of("Relu"), -3, -1, 0.1) == (-3, -1)
    assert useful_range(function_of("Abs"), 1, 1, 0.1) == (1, 1)


def test_lines() -> None:
    assert straight(2, 3).then(straight(-1, 0.5)).line == (-2, -2.5)
    assert clip(0, 6).line is None
    assert IDENTITY.line == (1, 0)
    assert function_of("Neg").line == (-1, 0)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((Step("Magic", (0,)),), "step 1 of a function must be one of Abs, Add, .*, not Magic"),
        ((Step("Exp", (1,)),), r"step 1 of a function must use values before it, not \(1,\)"),
        ((Step("Add", (0,)),), "Add, must have 2 operands and 0 numbers, not 1 and 0"),
        ((Step("Exp", (0,), (1.0,)),), "Exp, must have 1 operands and 0 numbers, not 1 and 1"),
    ],
)
def test_what_is_no_function(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Function(steps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y = Pow c c", "must be of one activation and constants, not of 2"),
        ("y = Max c b", "constant 'b' must be one finite number"),
    ],
)
def test_what_no_table_can_be(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_model(model(CONV, node(text)), tmp_path)


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_torch_computes_the_same(function: Function) -> None:
    torch = pytest.importorskip("torch")
    from accel.models.training.torch_module import torch_names

    x = np.linspace(-20, 20, 401).astype(np.float32)
    values = torch.from_numpy(x).requires_grad_()
    found = function(values, torch_names())
    found.sum().backward()
    np.testing.assert_allclose(found.detach().numpy(), function(x), rtol=1e-5, atol=1e-6)
    assert torch.isfinite(values.grad).all()
