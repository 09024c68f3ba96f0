"""The zoo's compressed checkpoints: they are what their recipes say, run elsewhere, and keep their accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accel.models import zoo
from accel.models.compress import recipe
from accel.models.compress.prune import matrix_layers, report
from accel.models.compress.steps import Grid, Huffman, Prune, Share
from accel.models.exchange import onnx_write
from accel.models.graph import Network
from accel.models.macs import macs
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import float32
from accel.models.reference.int8 import quantise_input, run
from tests.benches.model_networks import onnxruntime_output

RECIPES = Path(recipe.__file__).parent.parent / "zoo/recipes"
VERSIONS = [(network, version) for network in zoo.NAMES for version in zoo.compressed(network)]
FEW = 2000  # test images for the integer network: all 10,000 are in `accel compare`
# Float accuracy on the 10,000 test images that the row must keep, and how many times smaller than 32-bit floats.
KEEPS = {
    "lenet-5-2of4": (99.34, 1),
    "lenet-5-channels": (99.3, 7),
    "lenet-5-logits": (98.0, 9),
    "lenet-5-pruned": (99.34, 1),
    "lenet-5-deep": (99.34, 45),
    "lenet-5-grid": (99.34, 69),  # 25,000 bytes
    "lenet-5-tucker-grid": (99.3, 112),  # 15,500 bytes
    "lenet-5-for-edge": (99.3, 140),  # 12,300 bytes in float
    "lenet-5-tucker": (99.2, 7),
    "lenet-5-tucker-deep": (99.2, 60),
    "lenet-5-distilled": (99.2, 9),
    "lenet-300-100-deep": (98.91, 40),
}


@pytest.mark.parametrize(("network", "version"), VERSIONS)
def test_checkpoints(network: str, version: str) -> None:
    name = f"{network}-{version}"
    found = zoo.load(name)
    images, labels = zoo.mnist_test()
    inputs = zoo.preprocess(images)
    outputs = onnxruntime_output(onnx_write.to_model(found), inputs)
    accuracy, ratio = KEEPS[name]
    assert (outputs.argmax(1) == labels).mean() * 100 >= accuracy
    stored = (zoo.DATA / f"{name}.weights").stat().st_size
    assert 4 * zoo.load(network).parameters / stored >= ratio
    np.testing.assert_allclose(float32.run(found, inputs[:64]), outputs[:64], rtol=1e-4, atol=1e-4)
    integer = quantise_compressed(found, zoo.preprocess(zoo.mnist_calibration()))
    codes = run(integer, quantise_input(integer, inputs[:FEW]))[integer.output]
    right = [(x[:FEW].reshape(FEW, -1).argmax(1) == labels[:FEW]).mean() * 100 for x in (outputs, codes)]
    assert abs(right[0] - right[1]) <= 0.3


@pytest.mark.parametrize(("network", "version"), VERSIONS)
def test_checkpoints_are_what_their_recipes_say(network: str, version: str) -> None:
    steps = recipe.load(RECIPES / f"{network}-{version}.yaml").steps
    found = zoo.load(f"{network}-{version}")
    layers = {layer.name: layer for layer in matrix_layers(found)}
    rounded = any(isinstance(step, Grid) for step in steps)  # for rate: small weights go as well
    for step in steps:
        if isinstance(step, Prune):
            if step.n:
                assert_n_of_m(found, step.n, step.m)
                continue
            assert isinstance(step.density, dict)
            for layer in report(found):
                if layer.name in step.density:
                    assert layer.kept <= round(step.density[layer.name] * layer.weights)
                    assert layer.density > (0.5 if rounded else 0.9) * step.density[layer.name]
        if isinstance(step, Share):
            bits = step.bits if isinstance(step.bits, dict) else dict.fromkeys(layers, step.bits)
            for name, value in bits.items():
                assert len(np.unique(layers[name].weights)) <= 2**value
    assert sum(macs(found).values()) <= sum(macs(zoo.load(network)).values())
    if version in ("distilled", "logits"):
        assert found.parameters <= 0.11 * zoo.load(network).parameters
    if version == "tucker":
        assert sum(macs(found).values()) < sum(macs(zoo.load(network)).values()) / 4
    assert not any(isinstance(step, Huffman) for step in steps[:-1])


def assert_n_of_m(network: Network, n: int, m: int) -> None:
    for layer in matrix_layers(network):
        inputs = np.moveaxis(layer.weights, 1, -1)
        if inputs.shape[-1] >= m:
            whole = inputs[..., : inputs.shape[-1] // m * m]
            assert np.count_nonzero(whole.reshape(*whole.shape[:-1], -1, m), axis=-1).max() == n


def test_there_are_checkpoints() -> None:
    assert ("lenet-5", "deep") in VERSIONS
