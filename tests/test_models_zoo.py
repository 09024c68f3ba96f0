from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.models import zoo
from accel.models.compress.share import share
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from accel.models.reference.int8 import quantise_input, run
from tests.benches.model_networks import onnxruntime_output

FOREIGN = Path(__file__).parent / "data/mnist-conv/model.onnx"
FEW = 2000  # test images for shared weights: all 10,000 are in `accel compare`


@pytest.fixture(scope="module")
def test_set():
    return zoo.mnist_test()


def integer_accuracy(network, inputs, labels):
    """Percent of `inputs` whose largest output is the label's."""
    codes = run(network, quantise_input(network, inputs))[network.output]
    return (codes[:, :, 0, 0].argmax(1) == labels).mean() * 100


def test_data(test_set):
    images, labels = test_set
    assert (images.shape, images.dtype, labels.shape) == ((10000, 28, 28), np.uint8, (10000,))
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    calibration = zoo.mnist_calibration()
    assert (calibration.shape, calibration.dtype) == ((512, 28, 28), np.uint8)
    # Calibration images come from the training set.
    assert not {i.tobytes() for i in calibration} & {i.tobytes() for i in images}


@pytest.mark.parametrize(
    ("name", "parameters", "float_percent", "shared_4_bit_percent"),
    [("lenet-5", 431_080, 99.0, 98.8), ("lenet-300-100", 266_610, 98.5, 98.3)],
)
def test_accuracy(test_set, name, parameters, float_percent, shared_4_bit_percent):
    images, labels = test_set
    network, inputs = zoo.load(name), zoo.preprocess(images)
    assert network.parameters == parameters
    outputs = onnxruntime_output(onnx.load(zoo.DATA / f"{name}.onnx"), inputs)
    in_float = (outputs.argmax(1) == labels).mean() * 100
    assert in_float >= float_percent
    assert abs(integer_accuracy(zoo.integer_network(name), inputs, labels) - in_float) <= 0.2
    shared = share(network, zoo.preprocess(zoo.mnist_calibration()), 4)
    assert integer_accuracy(shared, inputs[:FEW], labels[:FEW]) >= shared_4_bit_percent


def test_foreign_network(test_set):
    """Its input is 0..255, see the golden data."""
    images, labels = test_set
    network = onnx_read.read(FOREIGN)
    calibration = zoo.mnist_calibration()[:, None].astype(np.float32)
    integer = quantise(network, calibration)
    assert integer_accuracy(integer, images[:, None].astype(np.float32), labels) >= 98.5


def test_resolve(tmp_path):
    assert zoo.resolve("lenet-5").name == "lenet-5"
    assert zoo.resolve(FOREIGN).input == "Input3"
    assert zoo.names() == ("lenet-5", "lenet-300-100")
    with pytest.raises(
        InputError, match=r"lenet-300-100, resnet-8, .* or an ONNX or \.tflite file, and 'lenet' does not"
    ):
        zoo.resolve("lenet")
    with pytest.raises(InputError, match="network must be one of lenet-5, lenet-300-100, not 'x'"):
        zoo.load("x")


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_checkpoints_agree_with_onnx_runtime(name, test_set):
    inputs = zoo.preprocess(test_set[0][:200])
    expected = onnxruntime_output(onnx.load(zoo.DATA / f"{name}.onnx"), inputs)
    found = float32.run(zoo.load(name), inputs)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-4)
