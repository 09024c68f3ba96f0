"""`accel compress`, from recipe to files: ONNX that runs elsewhere, bytes that decode, numbers that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from accel.flow.cli import run as accel
from accel.models import zoo
from accel.models.compress.prune import matrix_layers
from accel.models.encode import encoded_file
from accel.models.encode.encoded import decode
from accel.models.exchange import onnx_read
from accel.models.reference import float32
from accel.models.training import fit as fit_module
from accel.models.training.idx import write_idx
from tests.benches.model_networks import onnxruntime_output

RECIPE = """
name: one-shot
steps:
  - prune: {density: {ip1: 0.2, ip2: 0.3}}
  - share: {bits: 5}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the outputs of two recipes, with and without Huffman codes."""
    folder = tmp_path_factory.mktemp("compress")
    for name, text in (("plain", RECIPE), ("coded", RECIPE + "  - huffman: {}\n")):
        recipe = folder / f"{name}.yaml"
        recipe.write_text(text)
        assert accel(["compress", "lenet-300-100", str(recipe), "-o", str(folder / f"{name}.onnx")]) == 0
    return folder


@pytest.mark.parametrize("name", ["plain", "coded"])
def test_files_agree(made: Path, name: str) -> None:
    """ONNX Runtime on the ONNX, the float reference on what the encoded file decodes to: the same outputs."""
    images = zoo.preprocess(zoo.mnist_test()[0][:50])
    decoded = decode(encoded_file.load(made / f"{name}.weights"))
    expected = float32.run(decoded, images)
    found = onnxruntime_output(onnx.load(made / f"{name}.onnx"), images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for a, b in zip(matrix_layers(onnx_read.read(made / f"{name}.onnx")), matrix_layers(decoded), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("name", ["plain", "coded"])
def test_bytes_are_those_of_the_file(made: Path, name: str) -> None:
    record = json.loads((made / f"{name}.json").read_text())
    size = (made / f"{name}.weights").stat().st_size
    assert record["bytes"] == size
    assert record["ratio"] == pytest.approx(4 * 266_610 / size)
    # The paper counts neither biases nor code tables nor headers, and each codebook as full.
    counted = sum(record["total"][f"{part}_bits"] for part in ("values", "runs", "filler"))
    assert record["paper_ratio"] == pytest.approx(32 * 266_200 / (counted + 2 * 32 * 32), rel=0.01)
    parts = [key for key in record["total"] if key.endswith("_bits") and key != "total_bits"]
    assert len(parts) == 8
    assert sum(record["total"][key] for key in parts) == record["total"]["total_bits"] == 8 * size
    for key in parts:
        if key != "headers_bits":  # those of the whole file are in the total alone
            assert sum(layer[key] for layer in record["layers"]) == record["total"][key]


def test_huffman_codes_are_smaller_and_only_where_asked(made: Path) -> None:
    plain, coded = (json.loads((made / f"{name}.json").read_text()) for name in ("plain", "coded"))
    assert coded["bytes"] < plain["bytes"]
    assert not any("huffman" in layer["format"] for layer in plain["layers"])
    assert coded["layers"][0]["format"] == "sparse+huffman"
    assert plain["layers"][0]["format"] == "sparse"
    assert plain["accuracy_percent"] == coded["accuracy_percent"]
    assert [step["step"] for step in coded["steps"]] == ["1-prune", "2-share", "3-huffman"]


def test_a_smaller_format_would_have_been_taken(made: Path) -> None:
    """No other plain format takes less for any layer."""
    from accel.models.encode.accounting import account
    from accel.models.encode.encoded import encode

    network = onnx_read.read(made / "plain.onnx")
    chosen = json.loads((made / "plain.json").read_text())["layers"]
    for format in ("dense", "shared", "sparse"):
        for part, layer in zip(account(encode(network, format)).layers, chosen, strict=True):
            assert layer["total_bits"] <= part.total_bits


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        (RECIPE.replace("0.2", "2"), [], "(prune) density ip1 must be less than or equal to 1, not 2"),
        (RECIPE.replace("share:", "shear:"), [], "step 2 must be one of prune"),
        (RECIPE.replace("{bits: 5}", "{bits: 5, epochs: 2}"), [], "give what to learn from (--data)"),
        (RECIPE.replace("{bits: 5}", "{bits: 5, epochs: 2}"), ["--data", "nowhere"], "nowhere: data to learn must be"),
        (RECIPE, ["--validation"], "--validation must come with --data DIR, and without --test and --labels"),
        (RECIPE, ["--validation", "--data", "nowhere"], "lenet-300-100 has learnt every training image: accel train"),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str, arguments: list[str], message: str
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(recipe)
    out = tmp_path / "out" / "x.onnx"
    assert accel(["compress", "lenet-300-100", str(path), "-o", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert error.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.json"], "--out must be the name of a file that ends in .onnx, not x.json"),
        (["-o", "."], "--out must be the name of a file that ends in .onnx, not ."),
        (["-o", "/"], "--out must be the name of a file that ends in .onnx, not /"),
        (["-o", "folder.onnx"], "folder.onnx must be a file, not a folder"),
        (["-o", "taken.onnx"], "taken.weights must be a file, not a folder"),
        (["-o", "x.onnx", "--seed", "-1"], "--seed must be 0..4294967295, not -1"),
        (["-o", "x.onnx", "--seed", str(2**70)], "--seed must be 0..4294967295, not 11"),
    ],
)
def test_outputs_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    """Said before the recipe runs, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for name in ("folder.onnx", "taken.weights"):
        (tmp_path / name).mkdir()
    (tmp_path / "r.yaml").write_text(RECIPE)
    before = sorted(tmp_path.rglob("*"))
    assert accel(["compress", "lenet-300-100", "r.yaml", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_files_of_others_stay(made: Path, tmp_path: Path) -> None:
    """The folder of states is cleared of what trainings left, nothing else."""
    steps = tmp_path / "b.steps"
    steps.mkdir()
    (steps / "precious").write_text("mine")
    (steps / "1-prune-1-0123456789abcdef.onnx").write_text("of a run")
    assert accel(["compress", "lenet-300-100", str(made / "plain.yaml"), "-o", str(tmp_path / "b.onnx")]) == 0
    assert [path.name for path in steps.iterdir()] == ["precious"]


def test_encoded_weights_are_a_network(made: Path, tmp_path: Path) -> None:
    """Other verbs read the file of compressed weights as they read an ONNX file."""
    arguments = ["compare", "lenet-300-100", "--technique", "dense", "--out", str(tmp_path)]
    also = [part for name in ("coded.weights", "plain.onnx") for part in ("--also", str(made / name))]
    assert accel([*arguments, *also]) == 0
    _, weights, model = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert (weights.pop("technique"), model.pop("technique")) == ("coded", "plain")
    assert (weights.pop("title"), model.pop("title")) == ("coded", "plain")
    # A file holds the network's name.
    assert abs(weights.pop("stored_bytes") - model.pop("stored_bytes")) <= 4
    assert weights == model


TRAINED = """
name: trained
steps:
  - prune: {density: 0.3, rounds: 2, epochs: 4}
  - share: {bits: 4, epochs: 2}
  - huffman: {}
"""


def test_held_out_images_judge(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --validation the accuracies are those on the last sixth of the training images."""
    images, labels = zoo.mnist_test()
    for part, many in (("train", slice(0, 600)), ("t10k", slice(600, 601))):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images[many])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels[many])
    out = tmp_path / "v.onnx"
    arguments = ["compress", str(made / "plain.onnx"), str(made / "plain.yaml"), "--validation"]
    assert accel([*arguments, "--data", str(tmp_path), "-o", str(out)]) == 0
    found = json.loads(out.with_suffix(".json").read_text())
    outputs = onnxruntime_output(onnx.load(out), zoo.preprocess(images[500:600]))
    assert found["accuracy_percent"] == pytest.approx(100 * (outputs.argmax(1) == labels[500:600]).mean())


@pytest.mark.train
def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short in the second training and run again, it trains what is left, and ends in the same bytes."""
    pytest.importorskip("torch")
    random = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for part, size in (("train", 192), ("t10k", 60)):
        write_idx(data / f"{part}-images-idx3-ubyte", random.integers(0, 256, (size, 28, 28)).astype(np.uint8))
        write_idx(data / f"{part}-labels-idx1-ubyte", random.integers(0, 10, size).astype(np.uint8))
    (tmp_path / "r.yaml").write_text(TRAINED)

    def compress(out: str) -> int:
        recipe = str(tmp_path / "r.yaml")
        return accel(["compress", "lenet-300-100", recipe, "--data", str(data), "-o", str(tmp_path / out)])

    epochs: list[int] = []
    whole = fit_module._epoch

    def counted(*arguments: Any) -> float:
        epochs.append(1)
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(fit_module, "_epoch", counted)
    assert compress("a.onnx") == 130
    assert not (tmp_path / "a.onnx").exists()
    assert compress("a.onnx") == 0
    assert len(epochs) == 4 + 3  # six in all, of which three were done
    assert not (tmp_path / "a.steps").exists()
    assert compress("b.onnx") == 0
    assert len(epochs) == 7 + 6
    assert (tmp_path / "a.weights").read_bytes() == (tmp_path / "b.weights").read_bytes()


def test_rows_of_recipes_and_files(made: Path, tmp_path: Path) -> None:
    """`accel compare` shows them beside its own, stored and moved bytes apart."""
    arguments = ["compare", "lenet-300-100", "--technique", "dense", "--recipe", str(made / "coded.yaml")]
    assert accel([*arguments, "--also", str(made / "plain.onnx"), "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert [row["technique"] for row in rows] == ["dense", "one-shot", "plain"]
    dense, recipe, own = rows
    assert recipe["accuracy_percent"] == own["accuracy_percent"] < dense["accuracy_percent"]
    assert recipe["weights_format"] == own["weights_format"] == "shared5"
    assert recipe["stored_bytes"] < recipe["weights_bytes"] < dense["weights_bytes"]
    assert recipe["cycles"] == own["cycles"]
    # Its own encoder takes float32 for centroids and biases, the integer network 1 byte and records of 8.
    file_bytes = (made / "coded.weights").stat().st_size
    assert recipe["stored_bytes"] == pytest.approx(file_bytes - 3 * 3 * 32 + 4 * 410, rel=0.02)
