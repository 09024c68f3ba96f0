"""The experiments on CIFAR-10 end to end on a few images; their results on real ones are in docs/results.md."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from accel.flow.cli import run as accel
from accel.models import zoo
from accel.models.encode import integer_file
from accel.models.encode.stored import FORMATS
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.experiments import against_dense, cifar, kim, resnet8, urban, urban_epochs, vgg, vgg_deep
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import float32
from accel.models.training.images import floats

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten classes as their JPEG files lie in two .zip files: 6 to learn of each, 2 to test."""
    root, random = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 2)):
        with zipfile.ZipFile(root / f"{part}.zip", "w") as packed:
            for label, name in enumerate(CLASSES):
                for k in range(count):
                    pixels = random.integers(0, 60, (32, 32, 3)).astype(np.uint8) + np.uint8(15 * label)
                    with packed.open(f"{part}/{name}/{k:04}.png", "w") as file:
                        Image.fromarray(pixels).save(file, "PNG")
    return root


def test_the_first_weights_are_those_of_the_zoo():
    ours, theirs = resnet8.resnet8(), zoo.resolve("resnet-8")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32)).astype(np.uint8)
    logits = float32.run(ours, floats(pixels)).astype(np.float64)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    np.testing.assert_allclose(chances, float32.run(theirs, pixels.astype(np.float32)), atol=1e-4)
    assert [layer.output for layer in ours.layers if layer.name in resnet8.CONVOLUTIONS] == [*resnet8.CONVOLUTIONS]


def test_images_are_decoded_once(folder, tmp_path, monkeypatch):
    path = cifar.decoded(folder, tmp_path)
    with np.load(path) as found:
        assert found["x_train"].shape == (60, 3, 32, 32)
        assert found["y_test"].tolist() == sorted([*range(10)] * 2)
        with zipfile.ZipFile(folder / "test.zip") as packed, packed.open("test/bird/0001.png") as file:
            pixels = np.asarray(Image.open(file))
        np.testing.assert_array_equal(found["x_test"][5], np.moveaxis(pixels, -1, 0))
    first = path.stat().st_mtime_ns
    assert cifar.decoded(folder, tmp_path).stat().st_mtime_ns == first
    # Of another folder's images no copy is taken.
    other = tmp_path / "other"
    other.mkdir()
    for part in ("train", "test"):
        (other / f"{part}.zip").write_bytes((folder / f"{part}.zip").read_bytes() + b"\0")
    assert cifar.decoded(other, tmp_path).stat().st_mtime_ns > first


@pytest.mark.train
def test_resnet8_is_compressed_and_read_back(folder, tmp_path, capsys):
    pytest.importorskip("torch")
    lines: list[str] = []
    rows = resnet8.run(folder, tmp_path, lines.append)
    assert [row.network for row in rows] == ["dense", "2of4", "deep", "dense-longer"]
    networks = {row.network: onnx_read.read(tmp_path / f"{row.network}.onnx") for row in rows}
    with np.load(tmp_path / "images.npz") as data:
        images, labels = floats(data["x_test"]), data["y_test"]
        held = np.arange(60) % 6 == 5
        calibration = floats(data["x_train"][~held])
    for row in rows:
        network = networks[row.network]
        assert row.errors == (float32.run(network, images).argmax(1) != labels).sum()
        weights = [layer.weights for layer in network.layers if hasattr(layer, "weights")]
        kept = sum(np.count_nonzero(w) for w in weights) / sum(w.size for w in weights)
        assert row.density_percent == pytest.approx(100 * kept)
        if row.network == "2of4":
            for layer in network.layers:
                if layer.name not in ("block1_1", "block1_2", "block2_1", "block2_2", "block3_2"):
                    continue
                groups = np.moveaxis(layer.weights, 1, -1).reshape(-1, 4)
                assert (np.count_nonzero(groups, axis=1) <= 2).all()
        if row.network == "deep":
            bits = {"conv": 7, "block1_1": 6, "block3_1": 3, "linear21": 5}
            for layer in network.layers:
                if hasattr(layer, "weights"):
                    assert len(np.unique(layer.weights)) <= 2 ** bits.get(layer.name, 4), layer.name
        integer = quantise_compressed(network, calibration)
        formats = ("dense",) if row.network.startswith("dense") else FORMATS
        assert row.stored_bytes == len(integer_file.to_bytes(integer, formats))
    # All trainings are there: nothing is trained again, and the table is the same; the test set may judge only once.
    table = json.loads((tmp_path / "resnet-8.json").read_text())
    assert table["judged_on"] == "test"
    trained = len(lines)
    assert {line.split(":")[0] for line in lines} == set(networks)
    assert accel(["train", "resnet-8", "--data", str(folder), "-o", str(tmp_path)]) == 0
    assert ": epoch" not in capsys.readouterr().out
    assert json.loads((tmp_path / "resnet-8.json").read_text()) == table
    # The same networks on the held-out images.
    judged = resnet8.run(folder, tmp_path, lines.append, validation=True)
    assert len(lines) == trained
    with np.load(tmp_path / "images.npz") as data:
        images, labels = floats(data["x_train"][held]), data["y_train"][held]
    assert judged[0].errors == (float32.run(networks["dense"], images).argmax(1) != labels).sum()


@pytest.mark.train
def test_students_and_tucker_have_the_same_ground(folder, tmp_path, monkeypatch):
    """Held-out images choose, test images judge, and the networks are the same; each seed is a network of its own."""
    pytest.importorskip("torch")
    for module, name in ((vgg, "SCHEDULE"), (kim, "FINE_TUNING"), (urban, "STUDENT")):
        monkeypatch.setattr(module, name, replace(getattr(module, name), epochs=1, batch=32))
    monkeypatch.setattr(vgg, "BLOCKS", (4, 8, 8))
    monkeypatch.setattr(urban, "SEEDS", (1, 2))
    monkeypatch.setattr(urban, "MOST_CONVOLUTIONS", 1)
    lines: list[str] = []
    rows = kim.run(folder, tmp_path, lines.append)
    assert rows[0].conv_macs == 9 * (1024 * (3 * 4 + 4 * 4) + 256 * (4 * 8 + 8 * 8) + 64 * (8 * 8 + 8 * 8))
    students = urban.run(folder, tmp_path, lines.append)
    assert len(lines) == 4 + 2 * 2 * 3  # the VGG is there
    held = urban.run(folder, tmp_path, lines.append, validation=True)
    assert len(lines) == 16
    with np.load(tmp_path / "images.npz") as data:
        parts = {"test": (data["x_test"], data["y_test"]), "held": (data["x_train"][5::6], data["y_train"][5::6])}
    second = onnx_read.read(tmp_path / "student-1-labels-seed-2.onnx")
    first = onnx_read.read(tmp_path / "student-1-labels.onnx")
    assert not np.array_equal(first.layers[0].weights, second.layers[0].weights)
    for part, table in (("test", students), ("held", held)):
        (row,) = [r for r in table if (r.convolutions, r.learnt, r.seed) == (1, "labels", 2)]
        images, labels = parts[part]
        assert row.errors == (float32.run(second, floats(images)).argmax(1) != labels).sum()
    gain = urban.summary(students)["logits_gain_1_convolutions_points"]
    one = {(r.learnt, r.seed): r.accuracy_percent for r in students if r.convolutions == 1}
    mean = sum(one["logits", seed] - one["labels", seed] for seed in (1, 2)) / 2
    assert gain == pytest.approx(mean, abs=0.01)


@pytest.mark.train
def test_the_vgg_is_compressed_and_read_back(folder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.setattr(vgg, "SCHEDULE", replace(vgg.SCHEDULE, epochs=1, batch=32))
    rows = {row.network: row for row in vgg_deep.run(folder, tmp_path)}
    assert list(rows) == ["dense", "deep", "dense-longer"]
    deep = onnx_read.read(tmp_path / "vgg-deep.onnx")
    weights = {layer.name: layer.weights for layer in deep.layers if hasattr(layer, "weights")}
    assert np.count_nonzero(weights["ip1"]) <= 0.121 * weights["ip1"].size
    assert all(len(np.unique(w)) <= 64 for w in weights.values())
    assert rows["deep"].stored_bytes < rows["dense"].stored_bytes / 4
    summary = against_dense.summary(tuple(rows.values()))
    assert set(summary) == {"deep_lost_points", "deep_lost_points_against_as_many_epochs", "deep_bytes_ratio"}
    lost = rows["dense"].int8_accuracy_percent - rows["deep"].int8_accuracy_percent
    assert summary["deep_lost_points"] == pytest.approx(lost, abs=0.01)
    # Kim's experiment begins with the same network, in the same folder.
    monkeypatch.setattr(kim, "FINE_TUNING", replace(kim.FINE_TUNING, epochs=1, batch=32))
    assert kim.run(folder, tmp_path)[0].errors == rows["dense"].errors
    assert accel(["train", "vgg-deep", "--data", str(folder), "-o", str(tmp_path)]) == 0
    assert ": epoch" not in capsys.readouterr().out


@pytest.mark.train
def test_students_of_several_lengths_and_parts(folder, tmp_path, monkeypatch):
    """Each is a run of its own, by the same rate and decay as every other."""
    pytest.importorskip("torch")
    monkeypatch.setattr(urban_epochs, "STUDENTS", ((0, 1, 1), (0, 2, 1), (0, 2, 5)))
    monkeypatch.setattr(urban_epochs, "SEEDS", (1, 2))
    monkeypatch.setattr(urban, "STUDENT", replace(urban.STUDENT, batch=32, warm_up=0))
    monkeypatch.setattr(resnet8, "SCHEDULE", replace(resnet8.SCHEDULE, epochs=1))
    lines: list[str] = []
    rows = urban_epochs.run(folder, tmp_path, lines.append)
    assert len(rows) == 1 + 2 * 3 * 3
    assert len(lines) == 1 + 2 * 3 * (1 + 2 + 2)
    notes = [json.loads(path.read_text())["run"] for path in tmp_path.glob("student-*.json")]
    assert len(notes) == 18
    assert len({(note["epochs"], note["target"], note["seed"], note["images"]) for note in notes}) == 18
    assert len({(note["learning_rate"], note["weight_decay"], note["optimiser"]) for note in notes}) == 1
    # Every fifth of the images that are learnt, which are all but every sixth; all test images judge.
    with np.load(tmp_path / "images.npz") as data:
        part = np.arange(60)[np.arange(60) % 6 != 5][::5]
        sets = [(floats(data[f"x_{p}"]), data[f"y_{p}"]) for p in ("train", "test")]
    few = onnx_read.read(tmp_path / "student-0-logits-2-epochs-1-of-5-seed-2.onnx")
    (row,) = [r for r in rows if (r.images, r.learnt, r.seed) == (10, "logits", 2)]
    right = [float32.run(few, images).argmax(1) == labels for images, labels in sets]
    assert row.learnt_accuracy_percent == pytest.approx(100 * right[0][part].mean())
    assert row.accuracy_percent == pytest.approx(100 * right[1].mean())
    gain = urban_epochs.summary(rows)["soft_targets_gain_0_convolutions_2_epochs_50_images_points"]
    two = {(r.learnt, r.seed): r.accuracy_percent for r in rows if (r.epochs, r.images) == (2, 50)}
    mean = sum(two["soft targets", seed] - two["labels", seed] for seed in (1, 2)) / 2
    assert gain == pytest.approx(mean, abs=0.01)
    assert urban_epochs.run(folder, tmp_path, lines.append) == rows
    assert len(lines) == 31


def test_what_is_not_cifar_is_refused(folder, tmp_path):
    np.savez(tmp_path / "grey.npz", x=np.zeros((12, 28, 28), np.uint8), y=np.zeros(12, np.int64))
    np.savez(tmp_path / "alone.npz", x=np.zeros((12, 3, 32, 32), np.uint8), y=np.zeros(12, np.int64))
    for name, message in (("grey", "inputs must have the shape"), ("alone", "must have images to test on")):
        with pytest.raises(InputError, match=message):
            resnet8.run(tmp_path / f"{name}.npz", tmp_path / "out")
        assert not (tmp_path / "out").exists()
