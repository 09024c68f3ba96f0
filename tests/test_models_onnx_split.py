"""Large weights apart from the message: the same network, the same refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accel.models import zoo
from accel.models.errors import InputError
from accel.models.exchange import onnx_load, onnx_read, onnx_split, onnx_write
from accel.models.graph import Conv, Linear


@pytest.fixture
def all_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_split, "LEAST_BYTES", 2)


def lenet() -> onnx.ModelProto:
    return onnx_write.to_model(zoo.load("lenet-300-100"))


def same(path: Path) -> None:
    found, wanted = onnx_read.read(path), zoo.load("lenet-300-100")
    for ours, theirs in zip(found.layers, wanted.layers, strict=True):
        assert (ours.name, type(ours)) == (theirs.name, type(theirs))
        if isinstance(ours, Conv | Linear) and isinstance(theirs, Conv | Linear):
            np.testing.assert_array_equal(ours.weights, theirs.weights)
            np.testing.assert_array_equal(ours.bias, theirs.bias)


def test_large_initialisers_are_apart(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(lenet().SerializeToString())
    model, stored, values = onnx_load.load(path)
    assert sorted(value.shape for value in values.values()) == [(100, 300), (300, 784)]
    assert model.ByteSize() < 20_000
    assert stored == sum(np.prod(tensor.dims) for tensor in lenet().graph.initializer)
    same(path)


@pytest.mark.usefixtures("all_apart")
def test_weights_in_the_file_and_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(lenet().SerializeToString())
    assert len(onnx_load.load(path).values) == len(lenet().graph.initializer)
    same(path)
    for together in (True, False):
        beside = tmp_path / str(together) / "m.onnx"
        beside.parent.mkdir()
        onnx.save(
            lenet(), beside, save_as_external_data=True, all_tensors_to_one_file=together, size_threshold=0,
            convert_attribute=False,
        )  # fmt: skip
        assert len(list(beside.parent.iterdir())) > 1
        same(beside)


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64, np.int8, np.uint8, np.int64])
def test_values_and_the_rest_of_the_message(kind: type, tmp_path: Path) -> None:
    """Values of other types, and those that are no raw bytes, stay."""
    value = (np.arange(80_000) % 100).reshape(100, 800).astype(kind)
    tensors = [
        numpy_helper.from_array(value, "a"),
        helper.make_tensor("b", TensorProto.FLOAT, [30_000], [1.5] * 30_000),
    ]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [], tensors)
    model = helper.make_model(graph, doc_string="kept")
    content = model.SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with path.open("rb") as file:
        message, arrays = onnx_split.split(file, 1 << 31)
    found = onnx.ModelProto.FromString(message)
    if kind is np.int64:
        assert not arrays
        assert found == model
        return
    assert list(arrays) == [0]
    assert arrays[0].dtype == kind
    np.testing.assert_array_equal(arrays[0], value)
    assert arrays[0].flags.aligned
    found.graph.initializer[0].raw_data = value.tobytes()
    assert found == model


@pytest.mark.usefixtures("all_apart")
def test_damaged_files_are_refused_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut and changed at places of all kinds: the same words, whether weights are read apart or not."""
    model = onnx_write.to_model(zoo.load("lenet-5"))
    for tensor in model.graph.initializer:  # small, so that many places are structure
        del tensor.dims[:]
        tensor.dims.extend([2, 1])
        tensor.raw_data = bytes(8)
    content, path = model.SerializeToString(), tmp_path / "m.onnx"
    random = np.random.default_rng(0)
    cases = [content[:size] for size in random.integers(1, len(content), 60)]
    for _ in range(120):
        changed = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            changed[place] = random.integers(256)
        cases.append(bytes(changed))
    apart = 0
    for case in cases:
        path.write_bytes(case)
        told = []
        for least in (2, 1 << 30):
            monkeypatch.setattr(onnx_split, "LEAST_BYTES", least)
            try:
                loaded = onnx_load.load(path)
                told.append("loaded")
                apart += bool(loaded.values)
            except InputError as error:
                told.append(str(error).split(":")[0])
        assert told[0] == told[1], case
    assert apart > 5


def test_a_size_that_does_not_fit_the_shape(tmp_path: Path) -> None:
    model = lenet()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="must be a valid ONNX file"):
        onnx_load.load(path)
