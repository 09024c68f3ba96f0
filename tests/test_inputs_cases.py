"""Small files that broke an earlier version, in tests/data/cases: what the command line makes of each."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.flow.cli import run as accel
from accel.models.exchange import onnx_read
from accel.models.reference import float32
from tests.benches.flow_networks import refused
from tests.benches.model_networks import onnxruntime_output

CASES = Path(__file__).parent / "data" / "cases"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("F1a_strides_one", "(Conv): strides must be 2 integers, not 1"),
        ("F1d_stride_zero_ceil", "(AveragePool): strides must be 1 or 2 integers in 1.."),
        ("F2_bn_lengths", "(BatchNormalization): scale 'a' must have 4 values, not 3"),
        ("F3_bad_utf8", "must be a valid ONNX file: a text in it is not UTF-8"),
        ("F4_gemm_3d", "(Gemm): matrix 'w' must have 2 dimensions, not 3"),
        ("F5_clip_empty", "(Clip): min 'lo' must have 0 dimensions, not 1"),
        ("F6_batch_huge", "batch of input 'x' must be 1..65536, or free, not 1099511627776"),
        ("F7_pads_huge", "(Conv): pads must be 2 or 4 integers in 0.."),
    ],
)
def test_refused(capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    assert message in refused(capsys, "simulate", CASES / f"{name}.onnx", "--design", "nano")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("F9_bomb", "F9_bomb.yaml:1: its YAML must have at most 10000 values, aliases written out"),
        ("F10_clock", "clock_mhz must be 0.001..5000, not 1e-320 (F10_clock.yaml:10)"),
    ],
)
def test_refused_designs(capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    tracemalloc.start()
    assert message in refused(capsys, "simulate", "lenet-5", "--design", CASES / f"{name}.yaml")
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


def test_a_maximum_whose_size_is_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    """3 x 3 outputs, as ONNX Runtime and PyTorch have it; ONNX's shape inference says 4 x 4 below opset 22."""
    path = CASES / "F8_maxpool_ceil_pad.onnx"
    network, model = onnx_read.read(path), onnx.load(path)
    shape = network.shapes[network.input]
    inputs = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    found = float32.run(network, inputs)
    assert found.shape[2:] == (3, 3)
    np.testing.assert_array_equal(found, onnxruntime_output(model, inputs))
    assert accel(["simulate", str(path), "--design", "nano"]) == 0


@pytest.mark.parametrize(
    ("network", "design", "layers"),
    [("F11_gemm.onnx", "F11_over_100_total", 1), ("lenet-5", "F12_layer_9569_percent", 6)],
)
def test_designs_on_which_waste_looked_efficient(
    capsys: pytest.CaptureFixture[str], network: str, design: str, layers: int
) -> None:
    """101.3 % of a whole network, and 9,569 % of a layer, when moved bytes were divided by another layer's time."""
    path = str(CASES / network) if network.endswith(".onnx") else network
    assert accel(["simulate", path, "--design", str(CASES / f"{design}.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    efficiencies = [row["efficiency"] for row in (found["total"], *found["layers"])]
    assert len(efficiencies) == 1 + layers
    assert all(0 <= efficiency <= 1 for efficiency in efficiencies), efficiencies
    assert efficiencies[0] > 0.1
