"""What is learnt on the command line: data that are refused, in one line and before anything is written, and a
training that is interrupted, which ends in the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from accel.flow.cli import run as accel
from accel.models.build import Chain
from accel.models.exchange import onnx_write
from accel.models.training import fit, state
from accel.models.training.idx import write_idx
from accel.models.training.images import ImageSet
from accel.models.window import Window
from tests.benches.flow_networks import content, refused

SHAPE, CLASSES, COUNT = (3, 8, 8), 3, 48
RNG = np.random.default_rng(0)
LABELS = np.arange(COUNT) % CLASSES
PIXELS = RNG.integers(0, 150, (COUNT, *SHAPE)).astype(np.uint8)
PIXELS[np.arange(COUNT), LABELS] += 80  # the brightest channel is the class


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of 3-channel images, and every kind of data that it can learn from and cannot."""
    monkeypatch.chdir(tmp_path)
    chain = Chain(np.random.default_rng(1), SHAPE)
    chain.conv("conv1", 8, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu1")
    chain.conv("conv2", 16, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu2")
    chain.pool("pool", Window((4, 4), (4, 4)))
    chain.flatten()
    chain.linear("fc", CLASSES, tensor="logits")
    onnx_write.write(chain.network("mine"), tmp_path / "n.onnx")
    (tmp_path / "r.yaml").write_text("name: r\nsteps: [{prune: {epochs: 1}}]\n")
    arrays: dict[str, dict[str, Any]] = {
        "good": {"x": PIXELS, "y": LABELS},
        "outside": {"x": PIXELS, "y": LABELS + 1},
        "negative": {"x": PIXELS, "y": LABELS - 1},
        "judged": {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:3], "y_test": np.array([0, 3, 1])},
        "short": {"x": PIXELS, "y": LABELS[:-1]},
        "wide": {"x": PIXELS[..., :7], "y": LABELS},
        "grey": {"x": PIXELS[:, :1], "y": LABELS},
        "nan": {"x": np.where(PIXELS > 200, np.nan, PIXELS).astype(np.float32), "y": LABELS},
        "words": {"a": PIXELS, "b": LABELS},
        "texts": {"x": PIXELS, "y": LABELS.astype("U1")},
    }
    for name, held in arrays.items():
        np.savez(f"{name}.npz", **held)
    np.save("x.npy", PIXELS)
    np.save("y.npy", LABELS + 1)
    Path("text.npz").write_text("no numbers")
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:-200])
    Path("data.csv").write_text("1,2,3\n")
    for name, size, classes in (("four", (8, 8), "abcd"), ("large", (9, 8), "abc"), ("torn", (8, 8), "abc")):
        for one in classes:
            (tmp_path / name / one).mkdir(parents=True)
            Image.new("RGB", size).save(tmp_path / name / one / "0.png")
    (tmp_path / "torn" / "b" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "idx").mkdir()
    for part in ("train", "t10k"):
        write_idx(tmp_path / "idx" / f"{part}-images-idx3-ubyte", np.zeros((6, 28, 28), np.uint8))
        write_idx(tmp_path / "idx" / f"{part}-labels-idx1-ubyte", np.zeros(6, np.uint8))
    return tmp_path


WRONG = {
    "outside.npz": "outside.npz: output must have a value for each of 4 classes, not 3",
    "negative.npz": "negative.npz: labels must be classes from 0 on, not -1",
    "judged.npz": "judged.npz: output must have a value for each of 4 classes, not 3",
    "short.npz": "short.npz: there must be a label for each of 48 inputs, not 47",
    "wide.npz": "wide.npz: inputs must have the shape (3, 8, 8) that n reads, not (3, 8, 7)",
    "grey.npz": "grey.npz: inputs must have the shape (3, 8, 8) that n reads, not (1, 8, 8)",
    "nan.npz": "nan.npz: inputs must be finite as float32, not NaN or Inf",
    "words.npz": "words.npz must hold arrays called x_train, y_train",
    "texts.npz": "texts.npz: labels must be integers or floats, not <U1",
    "text.npz": "text.npz must be an .npz file of numbers, and is damaged or something else",
    "cut.npz": "cut.npz must be an .npz file of numbers, and is damaged or something else",
    "data.csv": "data.csv: data to learn must be a folder that exists, an .npz or a .npy file, and is none",
    "nothing": "nothing: data to learn must be a folder that exists, an .npz or a .npy file, and is none",
    "four": "four: output must have a value for each of 4 classes, not 3",
    "large": "0.png: images must have 8 x 8 pixels, not 9 x 8",
    "torn": "0.png must be an image",
    "empty": "empty must hold a folder of images for each of two classes or more, not 0",
    "idx": "idx: inputs must have the shape (3, 8, 8) that n reads, not (28, 28)",
}


@pytest.mark.parametrize("command", ["compare --train", "compress --data"])
def test_data_that_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Each in one line that names the file and what would be right, with status 2, and nothing is written."""
    before = content(folder)
    verb, option = command.split()
    rest = ["--epochs", "1", "-o", "out"] if verb == "compare" else ["r.yaml", "-o", "out.onnx"]
    for name, message in WRONG.items():
        assert message in refused(capsys, verb, "n.onnx", *rest, option, name), name
    if verb == "compare":
        labelled = "--train", "x.npy", "--train-labels", "y.npy"
        assert "4 classes, not 3" in refused(capsys, verb, "n.onnx", *rest, *labelled)
        twice = "--train", "good.npz", "--train-labels", "y.npy"
        assert "labels must be left out with good.npz" in refused(capsys, verb, "n.onnx", *rest, *twice)
    assert content(folder) == before
    assert not (folder / "out").exists()


def test_a_recipe_learns_what_all_techniques_learn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--train` is for recipes as well, with its labels, unless `--data` names something else for them."""
    learnt = []

    def heard(network: Any, data: ImageSet, *_: Any) -> Any:
        learnt.append(data)
        return network

    monkeypatch.setattr("accel.models.compress.training_step.fit", heard)
    monkeypatch.setattr("accel.models.compress.training_step.accuracy_of", lambda *_: 0.0)  # which needs torch too
    np.save("y.npy", LABELS)
    np.savez("other.npz", x=PIXELS[:24], y=LABELS[:24])
    command = ["compare", "n.onnx", "--technique", "dense", "--recipe", "r.yaml", "--train", "x.npy"]
    for more, count in ([], 40), (["--data", "other.npz"], 20):
        assert accel([*command, "--train-labels", "y.npy", *more, "-o", "out" + str(count)]) == 0
        held_out = np.arange(5, COUNT, 6)
        np.testing.assert_array_equal(learnt.pop().train_labels, np.delete(LABELS, held_out)[:count])
    assert not learnt


def test_without_torch(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    before = content(folder)
    for command in (
        ("compare", "n.onnx", "--train", "good.npz", "--epochs", "1", "-o", "out"),
        ("compress", "n.onnx", "r.yaml", "--data", "good.npz", "-o", "out.onnx"),
    ):
        assert "training needs torch: pip install" in refused(capsys, *command)
    assert content(folder) == before
    assert not (folder / "out").exists()
    assert not list(folder.glob("out.*"))


class Cut:
    """Interrupts a training: before the epoch that is the `at`-th to run is done, or right after it was saved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.epochs, self.saved = 0, 0, False
        self.epoch, self.save = fit._epoch, state.save
        monkeypatch.setattr(fit, "_epoch", self.run_epoch)
        monkeypatch.setattr(state, "save", self.save_state)

    def run_epoch(self, *arguments: Any) -> float:
        self.epochs += 1
        loss = self.epoch(*arguments)
        if self.epochs == self.at and not self.saved:
            raise KeyboardInterrupt
        return loss

    def save_state(self, *arguments: Any) -> None:
        self.save(*arguments)
        if self.epochs == self.at and self.saved:
            raise KeyboardInterrupt


@pytest.mark.train
def test_an_interrupted_training_ends_in_the_same_bytes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`accel compare --train`, cut short again and again: all files of the report, all networks that it trained."""
    rows = [word for name in ("dense", "pruned", "tucker", "shared-4") for word in ("--technique", name)]
    command = ["compare", "n.onnx", "--train", "good.npz", "--epochs", "3", "--no-cache", *rows]
    cut = Cut(monkeypatch)
    assert accel([*command, "-o", "whole"]) == 0
    epochs = cut.epochs
    assert epochs >= 9
    runs = 0
    while True:
        cut.epochs, cut.at, cut.saved, runs = 0, 2, bool(runs % 2), runs + 1
        status = accel([*command, "-o", "cut"])
        if not status:
            break
        assert status == 130
        assert "the same command goes on" in capsys.readouterr().err
        assert not (folder / "cut" / "report.html").exists()
        assert runs < epochs
    assert runs > 4
    whole, again = content(folder / "whole"), content(folder / "cut")
    assert {Path(name).suffix for name in whole} >= {".html", ".json", ".csv", ".onnx"}
    assert set(whole) == set(again)
    for name in whole:
        assert whole[name] == again[name], name
