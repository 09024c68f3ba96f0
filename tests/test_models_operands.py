"""Two operands: sums, differences and products of activations, also of a map and one pixel, up to the accelerator."""

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
from accel.models.graph import Mul, Network
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.sim.execute.run import execute
from tests.benches.model_networks import onnxruntime_output

GENERATOR = np.random.default_rng(11)
WEIGHTS = {
    "w": GENERATOR.normal(0, 0.3, (12, 3, 3, 3)), "v": GENERATOR.normal(0, 0.3, (12, 3, 3, 3)),
    "a": GENERATOR.uniform(-0.5, 1.5, (12, 1, 1)),
    "s": GENERATOR.normal(0, 0.6, (4, 12, 1, 1)), "e": GENERATOR.normal(0, 1.5, (12, 4, 1, 1)),
}  # fmt: skip
INPUTS = GENERATOR.uniform(-3, 3, (6, 3, 7, 7)).astype(np.float32)
MAPS = ("c = Conv x w", "d = Conv x v")
PIXEL = "p = GlobalAveragePool d"
GATE = ("g = GlobalAveragePool c", "h = Conv g s", "r = Relu h", "i = Conv r e", "k = Sigmoid i")


def model(*lines: str) -> onnx.ModelProto:
    nodes = []
    for line in lines:
        output, _, operator, *operands = line.split()
        pads = {"pads": [1, 1, 1, 1]} if operands[-1] in ("w", "v") else {}
        nodes.append(helper.make_node(operator, operands, [output], f"{output}.node", **pads))
    used = {name for node in nodes for name in node.input}
    constants = [numpy_helper.from_array(a.astype(np.float32), name) for name, a in WEIGHTS.items() if name in used]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, 7, 7])
        for name, channels in (("x", 3), ("y", 12))
    ]
    graph = helper.make_graph(nodes, "operands", ends[:1], ends[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return made


def read_model(made: onnx.ModelProto, folder: Path) -> Network:
    onnx.save(made, folder / "model.onnx")
    return read(folder / "model.onnx")


CASES = {
    "a product": (*MAPS, "y = Mul c d"),
    "a difference": (*MAPS, "y = Sub c d"),
    "a difference with what was there before": (*MAPS, "m = MaxPool c", "y = Sub d m"),
    "a product with a pixel": (*MAPS, PIXEL, "y = Mul c p"),
    "a pixel with a product": (*MAPS, PIXEL, "y = Mul p c"),
    "a sum with a pixel": (*MAPS, PIXEL, "y = Add p c"),
    "a difference with a pixel": (*MAPS, PIXEL, "y = Sub c p"),
    "squeeze and excite": (MAPS[0], *GATE, "y = Mul c k"),
    "and an activation behind it": (MAPS[0], *GATE, "m = Mul k c", "y = Tanh m"),
    "a slope per channel": (MAPS[0], "y = PRelu c a"),
    "a slope per channel, and what else reads its argument": (*MAPS, "p = PRelu c a", "m = Add p d", "y = Mul m c"),
    "a gate of its own": (*MAPS, "k = Sigmoid d", "m = Mul c k", "y = Relu m"),
}


@pytest.mark.parametrize("case", CASES)
def test_as_onnx_runtime_and_on_the_accelerator(case: str, tmp_path: Path) -> None:
    made = model(*CASES[case])
    for node in made.graph.node:
        if node.op_type == "MaxPool":
            node.attribute.append(helper.make_attribute("kernel_shape", [1, 1]))
    network = read_model(made, tmp_path)
    expected = onnxruntime_output(made, INPUTS)
    np.testing.assert_allclose(float32.run(network, INPUTS), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(onnxruntime_output(to_model(network), INPUTS), expected, rtol=1e-4, atol=1e-5)
    integer = quantise(network, INPUTS)
    codes = int8.quantise_input(integer, INPUTS)
    found = int8.run(integer, codes)["y"]
    spec = integer.tensors["y"]
    assert np.abs((found - float(spec.zero_point)) * spec.scale - expected).max() < 0.05 * np.ptp(expected)
    np.testing.assert_array_equal(execute(compile_network(integer, load("nano")), codes), found)


def test_a_product_is_rounded_once(tmp_path: Path) -> None:
    """Of the two codes, by hand."""
    network = read_model(model(*CASES["a product"]), tmp_path)
    integer = quantise(network, INPUTS)
    found = int8.run(integer, int8.quantise_input(integer, INPUTS), all_tensors=True)
    made = integer.layers[-1]
    assert isinstance(network.layers[-1], Mul)
    left, right = (
        (found[name].astype(np.float64) - integer.tensors[name].zero_point) * integer.tensors[name].scale
        for name in (made.input, made.residual.tensor)  # type: ignore[union-attr]
    )
    spec = integer.tensors["y"]
    exact = left * right / spec.scale + spec.zero_point
    assert np.abs(np.clip(exact, -128, 127) - found["y"]).max() <= 0.51


def test_training_computes_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from accel.models.training.torch_module import module

    network = read_model(model(*CASES["squeeze and excite"]), tmp_path)
    ours = module(network)(torch.from_numpy(INPUTS)).detach().numpy()
    np.testing.assert_allclose(ours, float32.run(network, INPUTS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((*MAPS, PIXEL, "y = Sub p c"), "or the second be a pixel of the other"),
        ((*MAPS, PIXEL, "y = Div c p"), "Div of 2 activations is not supported"),
        ((*MAPS, "p = ReduceMean c", "y = Mul c p"), "axes must be height and width"),
    ],
)
def test_what_is_left_to_the_host(lines: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_model(model(*lines), tmp_path)
