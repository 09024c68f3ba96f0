"""Each experiment end to end on a few images, with one epoch; its results on real data are in docs/results.md."""

import json
from dataclasses import replace

import numpy as np
import pytest

from accel.flow.cli import run as accel
from accel.models.compress.students import mlp
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.experiments import ba_caruana, hinton, kim, urban, vgg
from accel.models.experiments.runs import count_errors, open_runs, trained
from accel.models.training.fit import Schedule, Target, mean_logits
from accel.models.training.idx import write_idx
from accel.models.training.images import read_images

TINY = {"epochs": 1, "batch": 32}


@pytest.fixture
def folder(tmp_path):
    """Ten classes: a bright row each."""
    random = np.random.default_rng(0)
    for part, size in (("train", 192), ("t10k", 60)):
        labels = random.integers(0, 10, size).astype(np.uint8)
        images = random.integers(0, 60, (size, 28, 28)).astype(np.uint8)
        images[np.arange(size), 2 * labels + 4] += 180
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    return tmp_path


@pytest.fixture
def tiny(monkeypatch):
    for module, names in (
        (hinton, ("TEACHER", "STUDENT")), (ba_caruana, ("MEMBER", "ON_LABELS", "ON_LOGITS")),
        (urban, ("STUDENT",)), (vgg, ("SCHEDULE",)), (kim, ("FINE_TUNING",)),
    ):  # fmt: skip
        for name in names:
            monkeypatch.setattr(module, name, replace(getattr(module, name), **TINY, learning_rate=0.01, warm_up=0))
    monkeypatch.setattr(hinton, "TEACHER_SIZES", (784, 24, 24, 10))
    monkeypatch.setattr(hinton, "STUDENT_SIZES", (784, 16, 16, 10))
    monkeypatch.setattr(ba_caruana, "MEMBER_PARAMETERS", 20_000)
    monkeypatch.setattr(ba_caruana, "HIDDEN", 40)
    monkeypatch.setattr(urban, "BUDGET", 20_000)
    monkeypatch.setattr(urban, "SEEDS", (1, 2))
    monkeypatch.setattr(vgg, "BLOCKS", (4, 8, 8))
    monkeypatch.setattr(vgg, "HIDDEN", 16)


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "module", "rows", "networks"),
    [("hinton", hinton, 7, 7), ("ba-caruana", ba_caruana, 6, 5), ("urban", urban, 31, 31), ("kim", kim, 6, 4)],
)
def test_an_experiment_runs_once_and_is_read_back(folder, tiny, tmp_path, capsys, name, module, rows, networks):
    pytest.importorskip("torch")
    out, epochs = tmp_path / "out", []
    first = module.run(folder, out, epochs.append)
    assert len(first) == rows
    assert len(epochs) == len({line.split(":")[0] for line in epochs}) == len(list(out.glob("*.onnx"))) == networks
    assert not list(out.glob("*.state")) + list(out.glob("*.part"))
    table = json.loads((out / f"{name}.json").read_text())
    assert [row["errors"] for row in table["rows"]] == [row.errors for row in first]
    assert table["summary"] == pytest.approx(module.summary(first), nan_ok=True)
    images = read_images(folder)
    network = onnx_read.read(out / f"{epochs[0].split(':')[0]}.onnx")
    wrong = (mean_logits((network,), images.judged_images).argmax(1) != images.judged_labels).sum()
    assert first[0].errors == wrong
    # Again, by the command line: nothing is trained, and the table is the same.
    assert accel(["train", name, "--data", str(folder), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert ": epoch" not in printed
    assert f"wrote {out / name}.json" in printed.replace("\n", "")
    assert json.loads((out / f"{name}.json").read_text())["rows"] == table["rows"]


@pytest.mark.train
@pytest.mark.parametrize(
    ("name", "rows"), [("hinton", 1 + 2 + 1 + 2 + 1), ("ba-caruana", 6), ("urban", 31), ("kim", 6)]
)
def test_settings_are_chosen_on_held_out_images(folder, tiny, tmp_path, capsys, name, rows):
    """With --validation the test set plays no part: it may be anything."""
    pytest.importorskip("torch")
    split = read_images(folder, validation=True)
    write_idx(folder / "t10k-images-idx3-ubyte", np.zeros((1, 28, 28), np.uint8))
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(1, np.uint8))
    assert accel(["train", name, "--validation", "--data", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert "judged on the validation set" in capsys.readouterr().out
    table = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert table["judged_on"] == "validation"
    assert len(table["rows"]) == rows
    first = {"hinton": "teacher", "ba-caruana": "member-0", "urban": "vgg", "kim": "vgg"}[name]
    network = onnx_read.read(tmp_path / "out" / f"{first}.onnx")
    wrong = (mean_logits((network,), split.judged_images).argmax(1) != split.judged_labels).sum()
    assert table["rows"][0]["errors"] == wrong
    # A run for the test set must not find these networks.
    assert accel(["train", name, "--data", str(folder), "-o", str(tmp_path / "out")]) == 2
    assert "belongs to another run" in " ".join(capsys.readouterr().err.split())


@pytest.mark.train
def test_networks_of_other_settings_are_refused(folder, tmp_path):
    pytest.importorskip("torch")
    runs = open_runs(read_images(folder), tmp_path / "out", None)
    first = mlp((784, 8, 10), np.random.default_rng(0), "n")
    learnt = trained(runs, "n", first, Schedule(1))
    assert count_errors((learnt, learnt), runs.data) == count_errors((learnt,), runs.data)
    with pytest.raises(InputError, match=r"n\.onnx belongs to another run"):
        trained(runs, "n", first, Schedule(2))
    with pytest.raises(InputError, match=r"n\.onnx belongs to another run"):
        trained(runs, "n", first, Schedule(1), Target("soft", (learnt,), 3.0))
    (tmp_path / "out" / "n.json").write_text("{")
    with pytest.raises(InputError, match=r"n\.json must tell how .*n\.onnx was trained: remove"):
        trained(runs, "n", first, Schedule(1))


def test_a_table_tells_what_distillation_recovers():
    teacher = [hinton.Row("teacher", "labels", 0, 1, 0, 1, 67)]
    students = [
        hinton.Row("student", "labels", 0, 0.5, 1, 1, 146),
        hinton.Row("student", "soft targets", 5, 0.5, 1, 1, 74),
        hinton.Row("student", "soft targets", 10, 0.5, 1, 1, 1000),  # not the setting that was chosen
    ]
    found = hinton.summary((*teacher, *students))
    assert found["gap_closed_percent"] == pytest.approx(100 * 72 / 79)
    assert np.isnan(hinton.summary((teacher[0], replace(students[0], errors=60), *students[1:]))["gap_closed_percent"])


def test_the_vgg_has_the_macs_of_its_widths():
    network = vgg.vgg((24, 48, 96), 128, np.random.default_rng(0))
    wanted = 784 * 9 * (24 + 24 * 24) + 196 * 9 * (24 * 48 + 48 * 48) + 49 * 9 * (48 * 96 + 96 * 96)
    assert kim.conv_macs(network) == wanted


def test_bad_folders_are_one_line(folder, tmp_path, capsys):
    assert accel(["train", "hinton", "--data", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert "none/train-images-idx3-ubyte cannot be read" in capsys.readouterr().err.replace("\n", "")
    (tmp_path / "file").write_text("")
    assert accel(["train", "kim", "--data", str(folder), "-o", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err
    assert accel(["train", "urban", "--data", str(folder), "-o", str(tmp_path / "out"), "--epochs", "3"]) == 2
    assert "experiment urban has epochs and seeds of its own: leave out" in capsys.readouterr().err
    with pytest.raises(InputError, match="must be a folder that can be written"):
        open_runs(read_images(folder), tmp_path / "file", None)
    assert not (tmp_path / "out").exists()
