"""Trained networks, ours and a foreign one, from ONNX through program and Verilog: same bytes, cycles, counters."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from accel.commands import ConfigCompute, Load
from accel.compile import compile_network
from accel.design import Design, load
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.exchange import onnx_read
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference.int8 import quantise_input, run
from accel.sim.execute import execute
from accel.sim.execute.facts import time_executed
from accel.timing.recurrence import time_program
from tests.benches.blocks import BLOCKS
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_image_network, draw_input
from tests.benches.verilator import Built
from tests.benches.wide import wide

FOREIGN = Path(__file__).parent / "data/mnist-conv/model.onnx"
SCALED = np.float32(255)  # the foreign network reads 0..255


def networks() -> dict[str, tuple[IntegerNetwork, np.float32]]:
    """By name: the integer network, and what an input of the zoo (pixel / 255) is multiplied by."""
    ranges = zoo.preprocess(zoo.mnist_calibration())
    found = {}
    for name in zoo.NAMES:
        network = zoo.load(name)
        found[name] = quantise(network, ranges), np.float32(1)
        found[f"{name} shared"] = share(network, ranges, 4), np.float32(1)
    foreign = onnx_read.read(FOREIGN)
    found["mnist-conv"] = quantise(foreign, ranges * SCALED), SCALED
    found["mnist-conv shared"] = share(foreign, ranges * SCALED, 4), SCALED
    return found


NAMES = [f"{name}{kind}" for name in (*zoo.NAMES, "mnist-conv") for kind in ("", " shared")]


@pytest.fixture(scope="module")
def integer() -> dict[str, tuple[IntegerNetwork, np.float32]]:
    return networks()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(load("nano"), tmp_path_factory.mktemp("nano"))


@pytest.mark.rtl
@pytest.mark.parametrize("name", NAMES)
def test_a_digit_through_the_verilog(name: str, built: Built, integer: dict) -> None:
    network, factor = integer[name]
    image = zoo.preprocess(zoo.mnist_test()[0][:1]) * factor
    codes = quantise_input(network, image)[0]
    program = compile_network(network, built.design)
    check(built, Trial(built.design, network, codes, 3), program)


@pytest.mark.rtl
@pytest.mark.parametrize("name", zoo.TINY)
def test_mlperf_tiny_through_the_verilog(name: str, built: Built) -> None:
    """From .tflite, with the scales of the file."""
    tiny_through(name, built)


@pytest.mark.rtl
@pytest.mark.parametrize("name", BLOCKS)
def test_joined_channels_through_the_verilog(name: str, built: Built) -> None:
    network = BLOCKS[name]()
    inputs = np.random.default_rng(1).standard_normal((4, *network.shapes["x"])).astype(np.float32)
    integer = quantise(network, inputs)
    trial = Trial(built.design, integer, quantise_input(integer, inputs[:1])[0], 3)
    check(built, trial, compile_network(integer, built.design))


@pytest.mark.rtl
def test_images_and_few_channels_through_the_verilog(built: Built) -> None:
    """Rows of the input side by side, shared by windows, pixels of several words; kernel columns two by two."""
    seen = set[str]()
    for seed in range(24):
        rng = Random(seed)
        network = draw_image_network(rng)
        program = compile_network(network, built.design)
        check(built, Trial(built.design, network, draw_input(rng, network)[0], seed), program)
        windows = [c for c in program.commands if isinstance(c, Load) and c.window]
        seen |= {"several words"} if any(c.parts for c in windows) else set()
        seen |= {"shared rows"} if any(1 <= c.code_bits < c.zero_code for c in windows) else set()
        seen |= {"beside"} if any(c.beside for c in program.commands if isinstance(c, ConfigCompute)) else set()
    assert seen == {"several words", "shared rows", "beside"}


@pytest.mark.rtl
def test_mlperf_tiny_through_the_verilog_of_edge(tmp_path: Path) -> None:
    edge = Built(load("edge"), tmp_path)
    for name in zoo.TINY:
        tiny_through(name, edge)


def tiny_through(name: str, built: Built) -> None:
    network = zoo.resolve(name)
    inputs = np.random.default_rng(1).uniform(-2, 2, (1, *network.shapes[network.input]))
    integer = quantise(network, inputs)
    codes = quantise_input(integer, inputs * integer.tensors[integer.input].scale * 60)[0]
    assert len(np.unique(codes)) > 50
    check(built, Trial(built.design, integer, codes, 3), compile_network(integer, built.design))


@pytest.fixture(scope="module")
def coding(tmp_path_factory: pytest.TempPathFactory) -> Built:
    design = load("nano")
    return Built(design.model_copy(update={"decoder_lanes": 8}), tmp_path_factory.mktemp("coding"))


CODED = [
    ("lenet-5", "dense+huffman"),
    ("lenet-5 shared", "shared4+huffman"),
    ("lenet-5-pruned", "sparse+huffman"),
    ("lenet-5-deep", "sparse5+huffman"),
    ("lenet-300-100", "dense+huffman"),
    ("lenet-300-100 shared", "shared4+huffman"),
    ("lenet-300-100-deep int8", "sparse+huffman"),
    ("lenet-300-100-deep", "sparse5+huffman"),
]


@pytest.mark.rtl
@pytest.mark.parametrize(("name", "weight_format"), CODED, ids=[name for name, _ in CODED])
def test_a_digit_through_coded_weights(name: str, weight_format: str, coding: Built, integer: dict) -> None:
    source, _, kind = name.partition(" ")
    ranges = zoo.preprocess(zoo.mnist_calibration())
    if name in integer:
        network = integer[name][0]
    else:
        network = (quantise if kind else quantise_compressed)(zoo.load(source), ranges)
    codes = quantise_input(network, zoo.preprocess(zoo.mnist_test()[0][1:2]))[0]
    program = compile_network(network, coding.design, "coded")
    assert weight_format in {layer.weight_format for layer in program.layers}
    check(coding, Trial(coding.design, network, codes, 3, "coded"), program)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """nano's multipliers and memories with a sparse engine behind a decoder, a lane a PE."""
    values = load("nano").model_dump() | {"name": "nano-sparse", "engine": load("edge-sparse").engine.model_dump()}
    values |= {"decoder_lanes": 8}
    values["array"] |= {"weight_rows": 1}
    return Built(Design.model_validate(values), tmp_path_factory.mktemp("sparse"))


@pytest.mark.rtl
@pytest.mark.parametrize(
    "name", ["lenet-5", "lenet-5-pruned", "lenet-5-deep", "lenet-5-tucker-deep", "lenet-300-100-deep"]
)
def test_a_digit_through_the_sparse_engine(name: str, sparse: Built) -> None:
    """Trained weights, dense, pruned and shared, plain and coded, and a digit most of whose pixels are black."""
    network = quantise_compressed(zoo.load(name), zoo.preprocess(zoo.mnist_calibration()))
    codes = quantise_input(network, zoo.preprocess(zoo.mnist_test()[0][:1]))[0]
    for formats in ("plain", "coded"):
        program = compile_network(network, sparse.design, formats)
        check(sparse, Trial(sparse.design, network, codes, 3, formats), program)
        assert time_executed(program, codes).cycles < time_program(program).cycles
        names = {layer.weight_format for layer in program.layers}
        assert all(name.startswith("sparse") and name.endswith("+huffman") == (formats == "coded") for name in names)


@pytest.fixture(scope="module")
def outputs_stay(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A small array whose outputs stay, behind a decoder."""
    values = load("nano").model_dump() | {"name": "small-os", "engine": {"dataflow": "os"}, "decoder_lanes": 4}
    values["array"] = {"rows": 4, "cols": 4}
    return Built(Design.model_validate(values), tmp_path_factory.mktemp("os"))


@wide
@pytest.mark.rtl
@pytest.mark.parametrize("name", ["lenet-5", "lenet-5-deep"])
def test_a_digit_where_outputs_stay(name: str, outputs_stay: Built) -> None:
    network = quantise_compressed(zoo.load(name), zoo.preprocess(zoo.mnist_calibration()))
    images, labels = zoo.mnist_test()
    codes = quantise_input(network, zoo.preprocess(images[:1]))[0]
    program = compile_network(network, outputs_stay.design, "auto" if name == "lenet-5" else "coded")
    check(outputs_stay, Trial(outputs_stay.design, network, codes, 3), program)
    assert execute(program, codes[None]).argmax() == labels[0]


def test_the_foreign_network_keeps_its_accuracy(integer: dict) -> None:
    """The compiled program on all 10,000 test images."""
    network, factor = integer["mnist-conv"]
    images, labels = zoo.mnist_test()
    codes = quantise_input(network, zoo.preprocess(images) * factor)
    outputs = execute(compile_network(network, load("edge")), codes)
    np.testing.assert_array_equal(outputs[:500], run(network, codes[:500])[network.output])
    assert (outputs.reshape(len(labels), -1).argmax(1) == labels).mean() >= 0.985
