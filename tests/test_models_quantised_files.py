"""Quantised ONNX files: the int8 network is the file's own, within a code of ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import quantization

from accel.flow import data
from accel.models.errors import Blocked
from accel.models.exchange import onnx_read, onnx_write
from accel.models.graph import Network, Unary
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise, without_scale
from accel.models.reference import float32, int8
from tests.benches.model_networks import draw_network
from tests.benches.onnx_models import W, floats, model_of


class Reader(quantization.CalibrationDataReader):
    def __init__(self, name: str, inputs: np.ndarray) -> None:
        self.batches = iter([{name: inputs}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantised(folder: Path, model: ModelProto, inputs: np.ndarray, **options: Any) -> Path:
    """The file that ONNX Runtime makes of a float model."""
    source, made = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    quantization.quantize_static(source, made, Reader(model.graph.input[0].name, inputs), **options)
    return made


def unsigned_weights(path: Path) -> bytes:
    """The file's network with weights as unsigned codes, 128 higher as their zero points are: the same network.

    ONNX Runtime saturates pairs of products of unsigned by signed codes on x86 processors without VNNI; of unsigned
    by unsigned codes it does not.
    """
    model = onnx.load(path)
    constants = {t.name: t for t in model.graph.initializer}
    of_weights = (3, 5)  # codes and zero point, of all three operators
    multiply = [n for n in model.graph.node if n.op_type in ("QLinearConv", "QLinearMatMul", "QGemm")]
    for name in {
        n.input[i] for n in multiply for i in of_weights if constants[n.input[2]].data_type == TensorProto.UINT8
    }:
        codes = numpy_helper.to_array(constants[name])
        if codes.dtype == np.int8:
            constants[name].CopyFrom(numpy_helper.from_array((codes.astype(np.int16) + 128).astype(np.uint8), name))
    return model.SerializeToString()


def theirs(path: Path, inputs: np.ndarray) -> np.ndarray:
    """ONNX Runtime's outputs, without its optimiser, which changes where it rounds."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(unsigned_weights(path), options, ["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    return np.asarray(session.run(None, {value.name: inputs})[0])


def ours(network: Network, inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """Outputs of the int8 network with the file's scales, and the scale of its output."""
    # Where the file gives all scales, calibration on nothing but zeros changes nothing.
    integer = quantise(network, inputs if without_scale(network) else np.zeros_like(inputs[:1]))
    codes = int8.run(integer, int8.quantise_input(integer, inputs))[integer.output]
    return int8.dequantise_output(integer, codes), integer.tensors[integer.output].scale


def on_codes(network: Network, inputs: np.ndarray) -> np.ndarray:
    """Inputs that the file's codes hold: what also reads them in float there, a ReLU say, reads codes here."""
    integer = quantise(network, np.zeros_like(inputs[:1]))
    spec, codes = integer.tensors[integer.input], int8.quantise_input(integer, inputs)
    return ((codes.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)).astype(np.float32)


ONE_LAYER = {
    "convolution": ([("Conv", "x,w,b", "c", {"pads": [1, 0, 1, 2]}), ("Relu", "c", "y", {})], {"w": W, "b": floats(5)}),
    "groups": ([("Conv", "x,w", "y", {"group": 4})], {"w": floats(8, 1, 3, 3)}),
    "Gemm": ([("Flatten", "x", "f", {}), ("Gemm", "f,w,b", "y", {"transB": 1})], {"w": floats(5, 144), "b": floats(5)}),
    "MatMul": ([("Flatten", "x", "f", {}), ("MatMul", "f,w", "y", {})], {"w": floats(144, 5)}),
    "sum": ([("Relu", "x", "r", {}), ("Add", "x,r", "y", {})], {}),
    "join": (
        [("Relu", "x", "r", {}), ("Concat", "r,x", "c", {"axis": 1}), ("Conv", "c,w", "y", {})],
        {"w": floats(5, 8, 3, 3)},
    ),
    "average": ([("GlobalAveragePool", "x", "y", {})], {}),
    "maximum": ([("MaxPool", "x", "m", {"kernel_shape": [2, 2]}), ("Conv", "m,w", "y", {})], {"w": W[:, :, :2, :2]}),
}


@pytest.mark.parametrize("case", ONE_LAYER)
@pytest.mark.parametrize("form", [quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator])
@pytest.mark.parametrize("activations", [quantization.QuantType.QInt8, quantization.QuantType.QUInt8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_layer_is_within_a_code(tmp_path: Path, case: str, form: Any, activations: Any, per_channel: bool) -> None:
    nodes, constants = ONE_LAYER[case]
    inputs = floats(8, 4, 6, 6)
    path = quantised(
        tmp_path, model_of(nodes, constants, opset=17), inputs, quant_format=form, per_channel=per_channel,
        activation_type=activations, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    network = onnx_read.read(path)
    if case == "average" and form is quantization.QuantFormat.QOperator:
        assert network.carried is None  # ONNX Runtime leaves it in floats
        return
    assert network.carried is not None
    assert not without_scale(network)
    if "w" in constants:
        assert network.carried.codes
    inputs = on_codes(network, inputs)
    found, scale = ours(network, inputs)
    apart = np.abs(found - theirs(path, inputs).reshape(found.shape)) / scale
    assert apart.max() < 1.5
    if case != "sum":  # whose results are halves of codes often, which are rounded to even there
        assert (apart > 0.5).sum() <= 2 + 0.02 * apart.size


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_keep_their_scales(tmp_path: Path, seed: int) -> None:
    network = draw_network(Random(seed), quantisable=True)
    onnx_write.write(network, tmp_path / "written.onnx")
    inputs = floats(8, *network.shapes[network.input])
    model = onnx.load(tmp_path / "written.onnx")
    form = quantization.QuantFormat.QDQ if seed % 2 else quantization.QuantFormat.QOperator
    path = quantised(tmp_path, model, inputs, quant_format=form, per_channel=seed % 3 > 0)
    read = parted.read(path)
    if read.host:  # a Softmax on codes
        return
    found, scale = ours(read, inputs)
    expected = theirs(path, inputs).reshape(found.shape)
    exact = float32.run(network, inputs).reshape(found.shape)
    # As near to the float network as ONNX Runtime's own int8, with a code or two for what rounds elsewhere.
    if read.carried and any(isinstance(layer, Unary) for layer in read.layers):  # of the argument that is looked up
        scale = max([scale, *(step for step, _ in read.carried.specs.values())])
    assert np.abs(found - exact).mean() <= np.abs(expected - exact).mean() + 2 * scale


def test_weights_only(tmp_path: Path) -> None:
    """Codes of weights, and activations in floats: the scales of those come from calibration."""
    codes = np.random.default_rng(0).integers(-127, 128, W.shape).astype(np.int8)
    nodes = [("DequantizeLinear", "w,s", "d", {"axis": 0}), ("Conv", "x,d", "y", {})]
    path = tmp_path / "mine.onnx"
    onnx.save(model_of(nodes, {"w": codes, "s": np.abs(floats(5)) / 100}), path)
    network = onnx_read.read(path)
    assert network.carried is not None
    assert without_scale(network) == ("x", "y")
    integer = quantise(network, floats(4, 4, 6, 6))
    np.testing.assert_array_equal(integer.layers[0].weights, codes)  # type: ignore[union-attr]
    made = data.resolve(network, False)
    assert "random" in made.warning


def test_a_file_with_all_its_scales_needs_no_calibration(tmp_path: Path) -> None:
    nodes, constants = ONE_LAYER["convolution"]
    path = quantised(tmp_path, model_of(nodes, constants, opset=17), floats(8, 4, 6, 6))
    made = data.resolve(onnx_read.read(path), False)
    assert (made.source, made.warning) == ("the scales of the file", "")


@pytest.mark.parametrize(
    ("zero", "second", "message"),
    [
        (np.int16(0), 1.0, "codes of an activation must be int8 or uint8, not int16"),
        (np.int8([0, 1, 2, 3]), 1.0, "scale of an activation must be one number, not of shape|valid ONNX file"),
        (np.int8(3), 0.5, "scale and zero point must be those of the QuantizeLinear before"),
        (np.int8(3), -1.0, "scale must be above 0, not -1"),
    ],
)
def test_what_is_refused(tmp_path: Path, zero: Any, second: float, message: str) -> None:
    nodes = [("QuantizeLinear", "x,s,z", "q", {}), ("DequantizeLinear", "q,t,z", "d", {}), ("Relu", "d", "y", {})]
    scale = np.float32(1) if zero.ndim == 0 else np.ones(4, np.float32)
    model = model_of(nodes, {"s": scale, "t": np.float32(second), "z": zero}, opset=21)
    path = tmp_path / "mine.onnx"
    onnx.save(model, path)
    with pytest.raises(ValueError, match=message):
        onnx_read.read(path)


def test_weights_with_a_zero_point_are_quantised_again(tmp_path: Path) -> None:
    codes = np.arange(180, dtype=np.uint8).reshape(W.shape)
    nodes = [("DequantizeLinear", "w,s,z", "d", {}), ("Conv", "x,d", "y", {})]
    path = tmp_path / "mine.onnx"
    onnx.save(model_of(nodes, {"w": codes, "s": np.float32(0.1), "z": np.uint8(7)}), path)
    network = onnx_read.read(path)
    assert network.carried is None or not network.carried.codes
    (layer,) = network.layers
    np.testing.assert_allclose(layer.weights, (codes.astype(float) - 7) * 0.1, rtol=1e-6)  # type: ignore[union-attr]


def test_two_scales_of_one_tensor(tmp_path: Path) -> None:
    nodes = [
        ("QuantizeLinear", "x,s", "q", {}), ("DequantizeLinear", "q,s", "d", {}),
        ("QuantizeLinear", "x,t", "r", {}), ("DequantizeLinear", "r,t", "e", {}), ("Add", "d,e", "y", {}),
    ]  # fmt: skip
    path = tmp_path / "mine.onnx"
    onnx.save(model_of(nodes, {"s": np.float32(1), "t": np.float32(2)}), path)
    with pytest.raises(Blocked, match="'x' must be quantised with one scale, not with several"):
        onnx_read.read(path)


def test_dynamic_quantisation_is_not_read(tmp_path: Path) -> None:
    model = model_of([("DynamicQuantizeLinear", "x", "y", {})])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], name="dynamic")
    model.graph.node[0].CopyFrom(node)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "unused"))
    path = tmp_path / "mine.onnx"
    onnx.save(model, path)
    with pytest.raises(Blocked, match="operator is not supported"):
        onnx_read.read(path)
