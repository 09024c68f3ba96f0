"""Methods of quantisation on the command line and in recipes, and the report of what int8 costs each layer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accel.flow.cli import run as accel
from accel.flow.compress import own_rows
from accel.models.build import Chain
from accel.models.compress.recipe import parse as parse_recipe
from accel.models.encode import integer_file
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Conv, build
from accel.models.quantisation.method import parse
from accel.models.quantisation.noise import LayerNoise, worst
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.window import Window
from tests.benches.flow_networks import refused

SHAPE = (3, 8, 8)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mine.onnx, of which one output of `middle` is a hundred times its others, and inputs."""
    chain = Chain(np.random.default_rng(0), SHAPE)
    for name in ("first", "middle", "last"):
        chain.conv(name, 6, Window((3, 3), pads=(1, 1, 1, 1)), relu=f"{name}.relu")
    whole = chain.network("mine")
    layers = []
    for layer in whole.layers:
        if isinstance(layer, Conv) and layer.name == "middle":
            weights = layer.weights.copy()
            weights[0, 0, 0, 0] = 0.1 + 300 * np.abs(weights).max()  # one weight for which all others are too small
            layer = replace(layer, weights=weights, bias=layer.bias + np.float32(50))
        layers.append(layer)
    monkeypatch.chdir(tmp_path)
    onnx_write.write(build("mine", whole.input, SHAPE, tuple(layers)), tmp_path / "mine.onnx")
    np.save("x.npy", np.random.default_rng(1).uniform(0, 1, (24, *SHAPE)).astype(np.float32))
    return tmp_path


def test_the_layer_to_blame_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["quantise", "mine.onnx", "--calibration", "x.npy", "-o", "m.int8", "--noise"]
    assert accel([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["layer"] for one in record["noise"]] == ["first", "middle", "last"]
    assert record["blamed"] == max(record["noise"], key=lambda one: one["added"])["layer"]
    assert accel([*command, "--quantisation", "mse,equalise"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("first", "middle", "last")) for line in lines) == 4  # the table and the last line
    assert any(" adds most noise: it reads " in line for line in lines)
    message = "--noise must be of a float network: an int8 file has none to compare it to"
    assert message in refused(capsys, "quantise", "m.int8", "-o", "n.int8", "--noise")
    assert not (files / "n.int8").exists()


def test_noise_is_weighed_by_power() -> None:
    """A layer that reads an exact input loses more decibels than the one that spoils everything."""
    layers = LayerNoise("a", "a", 40, 100), LayerNoise("b", "b", 38, 40), LayerNoise("c", "c", 5, 38)
    assert worst(layers) == layers[2]
    assert layers[2].added == pytest.approx(10**-0.5 - 10**-3.8)
    assert worst((LayerNoise("a", "a", 40, None),)) is None
    # Behind the layer that leaves nothing of the signal no other is to blame, whatever it makes of the noise.
    spoilt = LayerNoise("a", "a", 30, 100), LayerNoise("b", "b", 0, 30), LayerNoise("c", "c", -6, 0)
    assert worst(spoilt) == spoilt[1]


def test_words_on_the_command_line_are_those_of_python(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from accel.models.exchange import onnx_read

    network, inputs = onnx_read.read("mine.onnx"), np.load("x.npy")
    made = set()
    for words in ("min-max", "percentile=90", "mse", "equalise", "plain-biases"):
        assert accel(["quantise", "mine.onnx", "--calibration", "x.npy", "--quantisation", words, "-o", "m.int8"]) == 0
        integer_file.save(quantise(network, inputs, method=parse(words)), Path("same.int8"), ("dense",))
        assert Path("m.int8").read_bytes() == Path("same.int8").read_bytes()
        made.add(Path("m.int8").read_bytes())
    assert len(made) >= 4  # corrected biases may be no gain
    capsys.readouterr()
    options = ["--calibration", "x.npy", "--quantisation", "percentile=90"]
    assert accel(["simulate", "mine.onnx", *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "calibrated on 24 inputs of x.npy (percentile=90)"
    assert accel(["compare", "mine.onnx", *options, "--technique", "dense", "--json", "-o", "out"]) == 0
    assert "(percentile=90)" in json.loads(capsys.readouterr().out)["data"]


def test_refusals(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accel(["quantise", "mine.onnx", "-o", "m.int8"]) == 0
    Path("r.yaml").write_text("name: r\nquantise: magic\nsteps: [{prune: {}}]\n")
    capsys.readouterr()
    before = {path.name for path in files.iterdir()}
    for command, message in (
        (("quantise", "mine.onnx", "-o", "n.int8", "--quantisation", "median"), "with commas between, not 'median'"),
        (("compare", "mine.onnx", "-o", "out", "--quantisation", "best,mse"), "best or name ranges and equalise, not"),
        (("simulate", "m.int8", "--quantisation", "mse"), "--quantisation must be left out with m.int8, whose weights"),
        (("simulate", "fc:8,8", "--quantisation", "mse"), "--quantisation must be left out with fc:8,8, whose weights"),
        (("compare", "mine.onnx", "-o", "out", "--recipe", "r.yaml"), "r.yaml: quantise: quantisation must be words"),
    ):
        assert message in refused(capsys, *command)
    assert {path.name for path in files.iterdir()} == before


def test_a_recipe_says_how_its_network_becomes_int8(files: Path) -> None:
    from accel.models.exchange import onnx_read

    network, inputs = onnx_read.read("mine.onnx"), np.load("x.npy")
    text = "name: r\nquantise: percentile=90, equalise\nsteps: [{prune: {density: 0.5}}]\n"
    Path("r.yaml").write_text(text)
    assert parse_recipe(text).quantise == "percentile=90,equalise"
    (row,) = own_rows(network, [Path("r.yaml")], [], None, files / "states", print)
    assert row.method == parse("percentile=90,equalise")
    found = row.apply(network, inputs, method=parse("mse"))
    assert not isinstance(row.given, bytes)
    assert row.given is not None
    assert found.tensors == quantise_compressed(row.given, inputs, row.method).tensors
    assert found.tensors != quantise_compressed(row.given, inputs).tensors
    with pytest.raises(InputError, match="r: quantise: quantisation must be words of"):
        parse_recipe("name: r\nquantise: yes please\nsteps: [{prune: {}}]\n", "r")
