"""Files of TFLite: the float network and the file's own int8 network, against TFLite's kernels."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from accel.flow.cli import run
from accel.models import zoo
from accel.models.errors import Blocked, InputError
from accel.models.exchange import tflite_ops
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork, MatrixLayer, VectorLayer
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise, without_scale
from accel.models.reference import float32, int8
from tests.benches.fuzz.mutate import mutate_bytes
from tests.benchmarks import tiny


def file_of(name: str) -> Path:
    return zoo.DATA / f"{name}.tflite"


def integer_of(network: Network) -> IntegerNetwork:
    """The int8 network, whose scales are all the file's: calibration on zeros changes nothing."""
    assert not without_scale(network)
    return quantise(network, np.zeros((1, *network.shapes[network.input]), np.float32))


def drawn(name: str, count: int) -> np.ndarray:
    """Inputs in the range of the file's input, in its own order."""
    interpreter = Interpreter(str(file_of(name)))
    (given,) = interpreter.get_input_details()
    scale, zero = given["quantization"]
    codes = np.random.default_rng(0).integers(-128, 128, (count, *given["shape"][1:]))
    return ((codes - zero) * scale).astype(np.float32)


def kept(path: Path, inputs: np.ndarray) -> dict[int, np.ndarray]:
    """Every tensor of TFLite's run on the inputs, by its place; codes where it has codes."""
    interpreter = Interpreter(
        str(path), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    found: dict[int, list[np.ndarray]] = {}
    for one in inputs:
        value = one[None]
        if given["dtype"] != np.float32:
            scale, zero = given["quantization"]
            value = np.clip(np.rint(value / scale + zero), -128, 127)
        interpreter.set_tensor(given["index"], value.astype(given["dtype"]))
        interpreter.invoke()
        for tensor in interpreter.get_tensor_details():
            try:
                found.setdefault(tensor["index"], []).append(np.array(interpreter.get_tensor(tensor["index"])))
            except ValueError:  # of scratch memory
                continue
    return {place: np.concatenate(values) for place, values in found.items() if values[0].ndim > 1}


def ours_of(values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """TFLite's (n, ..., channels) as (channels, n, height, width)."""
    maps = values if values.ndim == 4 else values[:, None, None]
    found = maps.transpose(3, 0, 1, 2)
    return found if found.shape[::1][2:] == shape[1:] else values.reshape(len(values), *shape).swapaxes(0, 1)


def place_of(tensor: str) -> int:
    return int(re.split(r"[./]", tensor.split(":")[1])[0])


@pytest.mark.parametrize("name", zoo.TINY)
def test_every_layer_is_within_two_codes_of_tflite(name: str) -> None:
    """A layer at a time, on TFLite's own inputs. Where an Add is fused TFLite rounds twice, else it is one code."""
    network = zoo.resolve(name)
    integer = integer_of(network)
    values = kept(file_of(name), drawn(name, 2))
    worst = {False: 0, True: 0}
    for layer in integer.layers:
        tensors = {}
        reads = [layer.input, *([layer.residual.tensor] if layer.residual else [])]
        for tensor in reads:
            tensors[tensor] = int8.batch_last(
                ours_of(values[place_of(tensor)], integer.tensors[tensor].shape).swapaxes(0, 1)
            )
        found = int8.run_layer(integer, layer, tensors).astype(int)
        found = np.moveaxis(found, -1, 1)
        expected = ours_of(values[place_of(layer.output)], integer.tensors[layer.output].shape)
        apart = np.abs(found - expected)
        if layer.residual is not None:  # TFLite's operand of the sum has codes of its own, which may be at their ends
            operand = ours_of(values[place_of(layer.source[0])], integer.tensors[layer.output].shape)
            apart = apart[np.abs(operand + 0.5) < 127]
        worst[layer.residual is not None] = max(worst[layer.residual is not None], int(apart.max()))
        assert isinstance(layer, MatrixLayer | VectorLayer)
    assert worst[False] <= 1
    assert worst[True] <= 2


@pytest.mark.parametrize("name", zoo.TINY)
def test_weights_are_the_codes_of_the_file(name: str) -> None:
    network = zoo.resolve(name)
    integer = integer_of(network)
    codes = {layer.name: layer.weights for layer in integer.layers if isinstance(layer, MatrixLayer)}
    assert network.carried is not None
    assert codes.keys() == network.carried.codes.keys()
    assert len(codes) == {"resnet-8": 10, "ds-cnn": 10, "mobilenet-v1-0.25": 28, "autoencoder": 10}[name]
    for layer, (own, _) in network.carried.codes.items():
        np.testing.assert_array_equal(codes[layer].reshape(-1), own.reshape(-1))


def test_published_sizes() -> None:
    found = {name: zoo.resolve(name).parameters for name in zoo.TINY}
    # With batch normalisation folded away; the publications count it.
    assert found == {"resnet-8": 77_706, "ds-cnn": 22_604, "mobilenet-v1-0.25": 210_850, "autoencoder": 265_864}


@pytest.mark.parametrize("name", tiny.NETWORKS)
def test_accuracy_on_the_official_samples(name: str, pytestconfig: pytest.Config) -> None:
    """From the float file at least what issue and benchmark ask, from the int8 file within half a point of TFLite."""
    if not (given := pytestconfig.getoption("--mlperf-tiny")):
        pytest.skip("give --mlperf-tiny, the folder with MLPerf Tiny's models and samples")
    if name == "resnet-8" and not tiny.training_archive(Path(given)).exists():
        pytest.skip("give --mlperf-tiny, a folder that has ../cifar10-jpeg/train.zip: the images to calibrate on")
    for row in tiny.rows(Path(given), [name]):
        assert row.int8 >= row.wanted, row


def test_compare_from_a_fresh_clone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["compare", "ds-cnn", "--technique", "dense", "--technique", "shared-4", "-o", str(tmp_path / "out")]) == 0
    )
    printed = capsys.readouterr()
    assert "the scales of the file" in printed.out
    assert "random" not in printed.out + printed.err


def test_every_operator_is_listed() -> None:
    page = (Path(__file__).parent.parent / "docs" / "operators.md").read_text(encoding="utf-8")
    assert ", ".join(sorted(tflite_ops.WRITERS)) in " ".join(page.split())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Or read; nothing else is raised, and what is read can be run."""
    content = file_of("ds-cnn").read_bytes()
    path = tmp_path / "case.tflite"
    refused: list[InputError] = []
    for seed in range(120):
        path.write_bytes(mutate_bytes(Random(seed), content))
        try:
            network = parted.read(path)
            float32.run(network, np.zeros((1, *network.shapes[network.input]), np.float32))
        except InputError as error:
            refused.append(error)
    assert 10 < len(refused) < 120
    assert all(isinstance(error, Blocked) or "\n" not in str(error) for error in refused)
    path.write_bytes(b"no such file at all")
    with pytest.raises(InputError, match=r"must be a \.tflite file, and is not"):
        parted.read(path)
