"""What a network is calibrated and measured on: which data for which arguments, accuracy, and files that are wrong."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from accel.flow import data
from accel.models import zoo
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.graph import Network
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.models.training import own_data
from tests.benches.flow_networks import CLASSES, SHAPE, classes_of, inputs, save, weights, write_model, write_network


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return onnx_read.read(write_network(tmp_path / "small.onnx"))


def test_the_zoo_is_calibrated_and_measured_on_mnist() -> None:
    """The data files themselves are checked in the tests of `accel.models.zoo`."""
    found = data.resolve(zoo.load("lenet-300-100"), True, test="mnist")
    assert found.test is not None
    assert found.labels is not None
    assert (found.calibration.shape, found.test.shape) == ((512, 1, 28, 28), (10_000, 1, 28, 28))
    np.testing.assert_array_equal(found.test[:, 0] * np.float32(255), zoo.mnist_test()[0])
    np.testing.assert_array_equal(found.labels, zoo.mnist_test()[1])
    assert found.warning == ""
    assert "512 MNIST training images" in found.source
    assert "10,000 MNIST test images" in found.source


def test_a_foreign_network_without_data_says_so(network: Network) -> None:
    found = data.resolve(network, False)
    assert found.calibration.shape == (16, *SHAPE)
    assert found.test is found.labels is None
    assert "small is calibrated on random inputs" in found.warning
    np.testing.assert_array_equal(found.calibration, data.resolve(network, False).calibration)
    assert data.accuracy_percent(quantise(network, found.calibration), found) is None
    assert data.float_accuracy_percent(network, found) is None


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8"])
def test_own_files(network: Network, tmp_path: Path, kind: str) -> None:
    ranges, images = inputs(3).astype(kind), inputs(5, 2).astype(kind)
    labels = np.array([0, 1, 2, 3, 0])
    names = [save(tmp_path / f"{name}.npy", array) for name, array in (("r", ranges), ("t", images), ("l", labels))]
    found = data.resolve(network, False, *names)
    np.testing.assert_array_equal(found.calibration, ranges.astype(np.float32))
    assert found.test is not None
    np.testing.assert_array_equal(found.test, images.astype(np.float32))
    assert found.test.dtype == found.calibration.dtype == np.float32
    assert found.labels is not None
    assert found.labels.tolist() == labels.tolist()
    assert found.source == "calibrated on 3 inputs of r.npy, accuracy on 5 inputs of t.npy"


def measured(network: Network, images: NDArray[Any], labels: NDArray[Any]) -> tuple[float | None, float | None]:
    """Accuracy in float and in integers, calibrated on the same images."""
    found = data.Data(images, images, labels, "")
    return data.float_accuracy_percent(network, found), data.accuracy_percent(quantise(network, images), found)


def test_accuracy_is_the_share_of_right_answers(network: Network) -> None:
    images = inputs(40)
    right = classes_of(images)
    assert len(set(right.tolist())) > 2
    for wrong in (0, 1, 40):
        labels = right.copy()
        labels[:wrong] = (labels[:wrong] + 1) % CLASSES
        assert measured(network, images, labels)[0] == 100 * (40 - wrong) / 40
    # int8 may turn a close call: as many as a wrong reading of the labels would not leave right.
    exact = measured(network, images, right)[1]
    assert exact is not None
    assert exact >= 90
    assert data.accuracy_percent(quantise(network, images), data.Data(images, images, right[::-1], "")) < 60  # type: ignore[operator]


def test_integer_accuracy_counts_the_codes(network: Network) -> None:
    """Labels that are the integer network's own answers are all right."""
    images = inputs(30)
    integer = quantise(network, images)
    codes = int8.run(integer, int8.quantise_input(integer, images))[integer.output]
    labels = codes.reshape(30, CLASSES).argmax(1)
    assert data.accuracy_percent(integer, data.Data(images, images, labels, "")) == 100
    labels[:3] = (labels[:3] + 1) % CLASSES
    assert data.accuracy_percent(integer, data.Data(images, images, labels, "")) == 90


@pytest.mark.parametrize("kind", ["map", "flattened", "flattened softmax"])
def test_shapes_of_answers(tmp_path: Path, kind: str) -> None:
    """A class for each pixel, and one among all values of a map; integers agree with float on wide margins."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="conv")]
    if kind != "map":
        nodes.append(helper.make_node("Flatten", ["c"], ["f"], name="flat"))
    if kind == "flattened softmax":
        nodes.append(helper.make_node("Softmax", ["f"], ["s"], name="soft"))
    network = onnx_read.read(write_model(tmp_path / "n.onnx", nodes, {"w": weights()["w"]}))
    images = inputs(20)
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(float), (3, 3), (2, 3))
    maps = np.einsum("ncyxij,ocij->noyx", windows, weights()["w"])
    labels = maps.argmax(1) if kind == "map" else maps.reshape(20, 48).argmax(1)
    path = save(tmp_path / "l.npy", labels)
    images_path = save(tmp_path / "t.npy", images)
    found = data.resolve(network, False, images_path, images_path, path)
    assert data.float_accuracy_percent(network, found) == 100
    integer = data.accuracy_percent(quantise(network, images), found)
    assert integer is not None
    assert integer > 85
    with pytest.raises(InputError, match=r"l\.npy: labels must be integers of shape \(20"):
        data.resolve(network, False, images_path, images_path, save(tmp_path / "l.npy", labels[:, None]))


def test_a_class_for_each_row(tmp_path: Path) -> None:
    """A matrix product (rows, features): classes lie along the features."""
    nodes = [helper.make_node("MatMul", ["x", "v"], ["y"], name="product")]
    matrix = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    network = onnx_read.read(write_model(tmp_path / "n.onnx", nodes, {"v": matrix}, (4, 6)))
    images = np.random.default_rng(1).standard_normal((30, 4, 6)).astype(np.float32)
    labels = (images.astype(float) @ matrix).argmax(-1)
    exact, integer = measured(network, images, labels)
    assert exact == 100
    assert integer is not None
    assert integer > 85
    images_path, labels_path = save(tmp_path / "t.npy", images), save(tmp_path / "l.npy", labels)
    assert data.resolve(network, False, images_path, images_path, labels_path).labels is not None


def test_values_that_are_to_be_predicted(network: Network, tmp_path: Path) -> None:
    """Labels that are floats of the output's shape: how much of their variance float and integers explain."""
    images = inputs(40)
    made = float32.run(network, images).reshape(40, CLASSES)
    wanted = made + np.random.default_rng(0).standard_normal(made.shape) * made.std() / 2
    test = save(tmp_path / "t.npy", images)
    found = data.resolve(network, False, test, test, save(tmp_path / "l.npy", wanted))
    left = np.square(made - wanted).sum() / np.square(wanted - wanted.mean(0)).sum()
    exact = data.float_accuracy_percent(network, found)
    assert exact == pytest.approx(100 * (1 - left), abs=1e-3)
    assert 60 < 100 * (1 - left) < 95
    integer = data.accuracy_percent(quantise(network, images), found)
    assert integer == pytest.approx(exact, abs=2)
    assert integer != exact
    wanted[3, 1] = np.nan
    with pytest.raises(InputError, match=r"l\.npy must be finite as float32"):
        data.resolve(network, False, test, test, save(tmp_path / "l.npy", wanted))


def test_one_hot_labels_are_classes(network: Network, tmp_path: Path) -> None:
    images = inputs(40)
    right, test = classes_of(images), save(tmp_path / "t.npy", images)
    for kind in (np.float32, np.int64):
        labels = save(tmp_path / "l.npy", np.eye(CLASSES, dtype=kind)[right])
        found = data.resolve(network, False, test, test, labels)
        assert found.labels is not None
        np.testing.assert_array_equal(found.labels, right)
    soft = onnx_read.read(write_network(tmp_path / "soft.onnx", softmax=True))
    assert data.float_accuracy_percent(soft, data.resolve(soft, False, test, test, labels)) == 100
    with pytest.raises(
        InputError, match=r"integers of shape \(40,\), one .* test inputs, not float64 of shape \(40, 4\)"
    ):
        data.resolve(soft, False, test, test, save(tmp_path / "l.npy", np.full((40, CLASSES), 0.25)))


WRONG_INPUTS: list[tuple[object, str]] = [
    (np.zeros((0, *SHAPE), np.float32), "inputs must hold at least one input, not none"),
    (np.zeros(SHAPE, np.float32), r"inputs must have shape \(n, 2, 6, 6\), not \(2, 6, 6\)"),
    (np.zeros((4, 2, 6, 5), np.float32), r"inputs must have shape \(n, 2, 6, 6\), not \(4, 2, 6, 5\)"),
    (np.zeros((4, *SHAPE), np.uint8), "must hold floats, as the network reads them, not uint8"),
    (np.zeros((4, *SHAPE), np.complex64), "must hold floats, .* not complex64"),
    (np.full((4, *SHAPE), np.nan, np.float32), "must be finite"),
    (np.full((4, *SHAPE), -np.inf), "must be finite"),
    (np.full((4, *SHAPE), 1e300), "or a number that is too large"),
    (np.array([None]), "must be a .npy file of numbers"),
    (b"", "must be a .npy file of numbers"),
    (b"PK\x03\x04 not an archive", "must be a .npy file of numbers"),
    (b"\x93NUMPY\x01\x00", "must be a .npy file of numbers"),
]


@pytest.mark.parametrize(("content", "message"), WRONG_INPUTS)
def test_wrong_inputs(network: Network, tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "i.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    labels = save(tmp_path / "l.npy", np.zeros(4, int))
    for arguments in ((str(path),), ("", str(path), labels)):
        with pytest.raises(InputError, match=message) as caught:
            data.resolve(network, False, *arguments)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5, int), r"integers of shape \(4,\), .* not int64 of shape \(5,\)"),
        (np.zeros((4, 1), int), r"not int64 of shape \(4, 1\)"),
        (np.int64(3), r"not int64 of shape \(\)"),
        (np.zeros(4), r"or floats of shape \(4, 4\), not float64"),
        (np.zeros((4, 3)), r"or floats of shape \(4, 4\), not float64"),
        (np.array([0, 1, 2, CLASSES]), r"labels must be 0\.\.3, not 0\.\.4"),
        (np.array([0, -1, 2, 3]), r"labels must be 0\.\.3, not -1\.\.3"),
    ],
)
def test_wrong_labels(network: Network, tmp_path: Path, labels: Any, message: str) -> None:
    test = save(tmp_path / "t.npy", inputs(4))
    with pytest.raises(InputError, match=message) as caught:
        data.resolve(network, False, "", test, save(tmp_path / "l.npy", labels))
    assert "l.npy: labels must be" in str(caught.value)


@pytest.mark.parametrize(
    ("test", "labels", "message"),
    [
        ("t.npy", "", r"--test t\.npy must come with --labels"),
        ("", "l.npy", "--labels must go with a --test file, and --test is missing"),
        ("mnist", "l.npy", "--labels must go with a --test file, and --test is mnist"),
        ("mnist", "", r"small: inputs must have shape \(n, 2, 6, 6\), not \(10000, 1, 28, 28\)"),
        ("none.npy", "l.npy", r"none\.npy cannot be read: No such file"),
    ],
)
def test_arguments_that_do_not_go_together(network: Network, test: str, labels: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.resolve(network, False, "", test, labels)


@pytest.mark.parametrize("values", [1 << 50, 1 << 29])
def test_a_header_that_promises_more_than_the_file_holds(network: Network, tmp_path: Path, values: int) -> None:
    """Memory is taken for what is there, not for what is promised."""
    path = tmp_path / "h.npy"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (values,)})
    path.write_bytes(header.getvalue())
    tracemalloc.start()
    with pytest.raises(InputError, match=r"h\.npy must be a .npy file of numbers, and is damaged"):
        data.resolve(network, False, str(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    """Any bytes changed, anywhere in header or numbers: one line or an array, no other exception, no warning."""
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    np.save(path, np.zeros((2, 3), np.float32))
    content = bytearray(path.read_bytes())
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    path.write_bytes(content[: draw.draw(st.integers(0, len(content)))])
    message = ""
    try:
        own_data.array(str(path))
    except InputError as error:
        message = str(error)
    assert "\n" not in message
