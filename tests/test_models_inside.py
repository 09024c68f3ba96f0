"""Averages that leave pads out: a divisor for each number of elements inside, from ONNX to the accelerator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.compile import compile_network
from accel.design import load
from accel.models.errors import InputError
from accel.models.exchange.onnx_read import read
from accel.models.inside import elements
from accel.models.integers.layers import TensorSpec
from accel.models.integers.network import IntegerNetwork, VectorLayer
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.models.window import Window
from accel.sim.execute.run import execute
from tests.benches.layers import uniform
from tests.benches.model_networks import onnxruntime_output
from tests.benches.onnx_models import floats, model_of

POOLS = {
    "three by three": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
    "in steps": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
    "five by five": {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
    "one side": {"kernel_shape": [2, 3], "pads": [0, 1, 1, 0], "strides": [1, 2]},
    "rounded up": {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1},
}


@pytest.mark.parametrize("name", POOLS)
def test_from_onnx_to_the_accelerator(name: str, tmp_path: Path) -> None:
    nodes = [("Conv", "x,w", "c", {}), ("AveragePool", "c", "a", POOLS[name]), ("Relu", "a", "y", {})]
    made = model_of(nodes, {"w": floats(6, 4, 1, 1)}, ("n", 4, 9, 10), opset=13)
    (tmp_path / "mine.onnx").write_bytes(made.SerializeToString())
    network, inputs = read(tmp_path / "mine.onnx"), floats(5, 4, 9, 10)
    expected = onnxruntime_output(made, inputs)
    np.testing.assert_allclose(float32.run(network, inputs), expected, rtol=1e-5, atol=1e-5)
    integer = quantise(network, inputs)
    assert [len(layer.requantise.bias) > 1 for layer in integer.layers if isinstance(layer, VectorLayer)] == [True]
    codes = int8.quantise_input(integer, inputs)
    found = int8.run(integer, codes)["y"]
    spec = integer.tensors["y"]
    assert np.abs((found - float(spec.zero_point)) * spec.scale - expected).max() < 0.03 * np.ptp(expected)
    for design in ("nano", "edge"):
        np.testing.assert_array_equal(execute(compile_network(integer, load(design)), codes), found)


def test_elements_by_hand() -> None:
    assert elements(Window((3, 3), (1, 1), (1, 1, 1, 1)), 4, 2).tolist() == [[4, 4], [6, 6], [6, 6], [4, 4]]
    assert elements(Window((2, 2), (2, 2), (0, 0, 1, 0)), 3, 4).tolist() == [[4, 4], [2, 2]]


@pytest.mark.parametrize(("counts", "reduce"), [((4, 6), "sum"), ((4, 6, 8), "sum"), ((4, 6, 9), "max")])
def test_counts_are_those_of_the_windows(counts: tuple[int, ...], reduce: str) -> None:
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    tensors = {name: TensorSpec(name, (2, 5, 5), 1.0, 0) for name in ("x", "y")}
    layer = VectorLayer("p", "x", "y", reduce, window, uniform(0), counts=counts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="counts must be"):
        IntegerNetwork("n", "x", "y", tensors, (layer,))


def test_training_computes_the_same(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from accel.models.training.torch_module import module

    made = model_of([("AveragePool", "x", "y", POOLS["in steps"])], {}, ("n", 4, 9, 10), opset=13)
    (tmp_path / "mine.onnx").write_bytes(made.SerializeToString())
    network, inputs = read(tmp_path / "mine.onnx"), floats(2, 4, 9, 10)
    ours = module(network)(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(ours, float32.run(network, inputs), rtol=1e-5, atol=1e-5)
