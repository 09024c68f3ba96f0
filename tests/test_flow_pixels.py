"""`--mean` and `--std`: what is learnt, calibrated on and judged by is (pixel / 255 - mean) / std, as numpy says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from accel.flow.cli import run as accel
from accel.flow.data import accuracy_percent, resolve
from accel.flow.retrain import with_data
from accel.models.build import Chain
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Network
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.training import own_data
from accel.models.training.pixels import UNIT, Pixels, parse
from accel.models.window import Window

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORDS = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 3, 6, 5)).astype(np.uint8)
CLASSES = np.arange(24) % 4


def network() -> Network:
    chain = Chain(np.random.default_rng(0), (3, 6, 5))
    chain.conv("conv", 8, Window((3, 3)), relu="relu")
    chain.flatten()
    chain.linear("fc", 4, tensor="logits")
    return chain.network("mine")


def read(images: np.ndarray, mean: Any = MEAN, std: Any = STD) -> np.ndarray:
    """In float64."""
    wide = [np.array(numbers).reshape(-1, 1, 1) for numbers in (mean, std)]
    return (images / 255 - wide[0]) / wide[1]


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_numbers_and_fractions() -> None:
    assert parse() == UNIT
    assert parse("0.5", "1/255") == Pixels((0.5,), (1 / 255,))
    assert parse("123.68/255, 116.78/255,103.94/255").mean == (123.68 / 255, 116.78 / 255, 103.94 / 255)
    close(parse(std="1/255").floats(IMAGES), IMAGES.astype(float))
    close(parse("0.5,0.4,0.3", "0.5").floats(IMAGES), read(IMAGES, (0.5, 0.4, 0.3), 0.5))
    np.testing.assert_array_equal(UNIT.floats(IMAGES), IMAGES.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ("a", "", "--mean must be numbers with commas between, as 0.485 or 123.68/255, not 'a'"),
        ("0.1,,0.2", "", "--mean must be numbers with commas between"),
        ("1/0", "", "--mean must be numbers with commas between"),
        ("", "1,0,1", "--std must be above 0, not 0.0"),
        ("nan", "", "--mean must be finite numbers, not nan"),
        ("", "inf", "--std must be finite numbers, not inf"),
        ("1,2", "", "--mean must be one number, or one for each of 3 channels, not 2"),
    ],
)
def test_wrong_numbers(mean: str, std: str, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=IMAGES, y=CLASSES)
    with pytest.raises(InputError, match=message):
        own_data.read(tmp_path / "x.npz", network(), pixels=parse(mean, std))


def by_class(folder: Path) -> None:
    """IMAGES as a folder of images by class."""
    for number, (image, label) in enumerate(zip(IMAGES, CLASSES, strict=True)):
        (folder / f"c{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.moveaxis(image, 0, -1)).save(folder / f"c{label}" / f"{number:02}.png")


def channels_last() -> Network:
    """The same network behind a Transpose of the host."""
    model = onnx_write.to_model(network())
    (given,) = model.graph.input
    given.name = "last"
    for dimension, size in zip(given.type.tensor_type.shape.dim, (1, 6, 5, 3), strict=True):
        dimension.dim_value = size
    turn = helper.make_node("Transpose", ["last"], [network().input], name="turn", perm=[0, 3, 1, 2])
    model.graph.node.insert(0, turn)
    path = Path("last.onnx")
    onnx.save(model, path)
    return parted.read(path)


def test_what_is_learnt_calibrated_on_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, arrays with channels first or last, networks whose host turns them; digests tell how they are read."""
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "folder")
    np.savez("first.npz", x=IMAGES, y=CLASSES)
    np.savez("last.npz", x=np.moveaxis(IMAGES, 1, -1), y=CLASSES)
    pixels, held = Pixels(MEAN, STD), np.arange(24) % 6 == 5
    order = np.argsort(CLASSES, kind="stable")
    for whole in (network(), channels_last()):
        for path, images in (("folder", IMAGES[order]), ("first.npz", IMAGES), ("last.npz", IMAGES)):
            found = own_data.read(path, whole, pixels=pixels)
            close(found.floats(found.train_images), read(images[~held]))
            close(found.floats(found.judged_images), read(images[held]))
            data = with_data(resolve(whole, False), found, path, False)
            close(data.calibration, read(images[~held]))
            assert data.test is not None
            close(data.test, read(images[held]))
            plain = own_data.read(path, whole)
            assert found.training_digest != plain.training_digest
            other = own_data.read(path, whole, pixels=Pixels(MEAN, (0.2,)))
            assert found.training_digest != other.training_digest
        np.save("first.npy", IMAGES)
        np.save("last.npy", np.moveaxis(IMAGES, 1, -1))
        np.save("y.npy", CLASSES)
        for path in ("first.npy", "last.npy"):
            data = resolve(whole, False, path, path, "y.npy", pixels=pixels)
            close(data.calibration, read(IMAGES))
            assert data.test is not None
            close(data.test, read(IMAGES))
    # Without labels the network itself teaches: of what it reads.
    np.save("x.npy", IMAGES)
    taught = own_data.read("x.npy", network(), pixels=pixels)
    wanted = own_data.outputs_of(network(), read(IMAGES[~held]).astype(np.float32))
    np.testing.assert_allclose(taught.train_labels, wanted, rtol=1e-4, atol=1e-5)


def test_floats_are_what_the_network_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("floats.npy", read(IMAGES).astype(np.float32))
    with pytest.raises(InputError, match=r"floats.npy: --mean and --std are for pixels of uint8, and inputs are float"):
        own_data.read("floats.npy", network(), pixels=Pixels(MEAN, STD))
    for given in ("", "floats.npy"):
        with pytest.raises(InputError, match="--mean and --std must come with images: uint8 in --calibration"):
            resolve(network(), False, given, pixels=Pixels(MEAN, STD))
    found = resolve(network(), False, "floats.npy", pixels=Pixels(MEAN, STD), learns=True)
    close(found.calibration, read(IMAGES))
    np.save("few.npy", IMAGES[:, :2])
    with pytest.raises(InputError, match=r"few.npy: mine: inputs must have shape"):
        resolve(network(), False, "few.npy", pixels=Pixels((0.5,)))


@pytest.mark.train
def test_the_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`compare --train` and `compress --data` learn, calibrate and judge by the numbers that an array of floats has."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    onnx_write.write(network(), tmp_path / "mine.onnx")
    single = read(IMAGES).astype(np.float32)
    np.savez("pixels.npz", x=IMAGES, y=CLASSES)
    np.savez("floats.npz", x=Pixels(MEAN, STD).floats(IMAGES), y=CLASSES)
    Path("r.yaml").write_text("name: r\nsteps: [{prune: {density: 0.5, epochs: 1, shift: 0}}]\n")
    shown = []
    for data, words in (("pixels.npz", WORDS), ("floats.npz", [])):
        rows = ["--technique", "dense", "--technique", "grid", "--recipe", "r.yaml", "--no-cache"]
        command = ["compare", "mine.onnx", "--train", data, "--epochs", "1", *rows, "--out", data[:6], "--json"]
        assert accel([*command, *words]) == 0
        shown.append(json.loads(capsys.readouterr().out))
    pixels, floats = ([row["accuracy_percent"] for row in one["rows"]] for one in shown)
    dense = quantise(network(), single[np.arange(24) % 6 != 5])
    known = resolve(network(), False)
    known = replace(known, test=single[5::6], labels=CLASSES[5::6], before_tail=True)
    assert pixels[0] == floats[0] == accuracy_percent(dense, known)
    assert shown[0]["rows"][2]["stored_bytes"] == shown[1]["rows"][2]["stored_bytes"]
    for data, words in (("pixels.npz", WORDS), ("floats.npz", [])):
        out = f"{data[:6]}.onnx"
        assert accel(["compress", "mine.onnx", "r.yaml", "--data", data, "--validation", "--out", out, *words]) == 0
    assert Path("pixels.weights").read_bytes()[40:] == Path("floats.weights").read_bytes()[40:]
    np.save("x.npy", single)
    assert accel(["compare", "mine.onnx", "--calibration", "x.npy", *WORDS]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("accel: --mean and --std must come with images")


@pytest.mark.train
def test_a_search_reads_pixels_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`compress --for` of pixels with --mean and --std writes, in bytes, what it writes of floats read so."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    onnx_write.write(network(), tmp_path / "mine.onnx")
    images = RNG.integers(0, 200, (240, 3, 6, 5)).astype(np.uint8)
    classes = np.arange(240) % 4
    images[np.arange(240), classes % 3, classes] += 55
    np.savez("pixels.npz", x=images, y=classes)
    np.savez("floats.npz", x=Pixels(MEAN, STD).floats(images), y=classes)
    search = ["--for", "nano", "--objective", "bytes", "--accuracy", "20", "--trainings", "1"]
    for data, words in (("pixels", WORDS), ("floats", [])):
        command = ["compress", "mine.onnx", *search, "--data", f"{data}.npz", "--out", f"{data}/x.onnx"]
        assert accel([*command, *words]) == 0
    for name in ("x.onnx", "x.yaml", "x.weights"):
        assert Path("pixels", name).read_bytes() == Path("floats", name).read_bytes()
    found, same = (json.loads(Path(data, "x.json").read_text())["for"] for data in ("pixels", "floats"))
    assert found["accuracy_int8_percent"] == same["accuracy_int8_percent"]
