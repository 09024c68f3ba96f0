"""`accel compress`, from recipe to files: ONNX that runs elsewhere, bytes that decode, numbers that add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from accel.flow.cli import run as accel
from models import onnx_read, reference_float, zoo
from models.compress import encoded_file
from models.compress.encoded import decode
from models.compress.prune import matrix_layers
from tests.model_networks import onnxruntime_output

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
    expected = reference_float.run(decoded, images)
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
    assert [step["step"] for step in coded["steps"]] == ["1-prune", "2-share"]


def test_a_smaller_format_would_have_been_taken(made: Path) -> None:
    """No other plain format takes less for any layer."""
    from models.compress.accounting import account
    from models.compress.encoded import encode

    network = onnx_read.read(made / "plain.onnx")
    chosen = json.loads((made / "plain.json").read_text())["layers"]
    for format in ("dense", "shared", "sparse"):
        for part, layer in zip(account(encode(network, format)).layers, chosen, strict=True):
            assert layer["total_bits"] <= part.total_bits


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        (RECIPE.replace("0.2", "2"), [], "density of ip1 must be 0..1, not 2.0"),
        (RECIPE.replace("share:", "shear:"), [], "step 2 must be one of prune"),
        (RECIPE.replace("{bits: 5}", "{bits: 5, epochs: 2}"), [], "give a folder of images (--data)"),
        (RECIPE.replace("{bits: 5}", "{bits: 5, epochs: 2}"), ["--data", "nowhere"], "cannot be read"),
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
