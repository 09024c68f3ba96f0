"""From an ONNX file with everything that makes maps larger, or moves pixels, to the emitted Verilog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.compile import compile_network
from accel.design import load
from accel.models.exchange import onnx_read
from accel.models.quantisation.quantise import quantise
from accel.models.reference.int8 import dequantise_output, quantise_input, run
from accel.sim.result import simulate
from tests.benches.cross import Trial, check
from tests.benches.model_networks import onnxruntime_output
from tests.benches.onnx_models import floats, model_of
from tests.benches.verilator import Built

NODES = [
    ("Conv", "x,w", "c", {}),
    ("ConvTranspose", "c,t,b", "u", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 0]}),
    ("Relu", "u", "r", {}),
    ("Resize", "r,,two", "l", {"mode": "linear"}),
    ("Slice", "l,from,to,axes,steps", "s", {}),
    ("DepthToSpace", "s", "d", {"blocksize": 2}),
    ("Resize", "d,,three", "n", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
                                 "nearest_mode": "floor"}),
    ("Pad", "n,pads", "y", {"mode": "edge"}),
]  # fmt: skip


@pytest.mark.rtl
def test_maps_that_grow(tmp_path: Path) -> None:
    """Near ONNX Runtime in int8; reference, simulator and Verilog equal, also where the maps do not fit on chip."""
    constants = {
        "w": floats(6, 4, 1, 1), "t": floats(6, 8, 3, 3) / 5, "b": floats(8), "two": np.float32([1, 1, 2, 2]),
        "three": np.float32([1, 1, 1, 3]), "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "axes": np.array([2, 3]),
        "from": np.array([1, 2]), "to": np.array([2**31, 19]), "steps": np.array([2, 1]),
    }  # fmt: skip
    model, inputs = model_of(NODES, constants, ("n", 4, 5, 5)), floats(16, 4, 5, 5)
    path = tmp_path / "grow.onnx"
    path.write_bytes(model.SerializeToString())
    integer = quantise(onnx_read.read(path), inputs)
    codes = quantise_input(integer, inputs)
    ours = dequantise_output(integer, run(integer, codes)[integer.output])
    expected = onnxruntime_output(model, inputs)
    assert ours.shape == expected.shape == (16, 2, 21, 98)
    assert np.abs(ours - expected).max() < 4 * integer.tensors[integer.output].scale
    design = load("nano")
    small = design.model_copy(
        update={"name": "small", "buffers": design.buffers.model_copy(update={"activation_bytes": 1 << 13})}
    )
    for each in (design, small):
        program = compile_network(integer, each)
        kinds = [layer.info.kind for layer in simulate(program).layers]
        assert {"transposed conv", "resize", "pad"} <= set(kinds)
        folder = tmp_path / each.name
        folder.mkdir()
        check(Built(each, folder), Trial(each, integer, codes[0], 7), program)
