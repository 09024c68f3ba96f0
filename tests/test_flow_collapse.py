"""The layer to blame in networks with sums and with dropped channels, and what each kind of row is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.design import load
from accel.flow import collapse
from accel.flow.cli import run as accel
from accel.flow.compare import compare, done_to
from accel.flow.compress import own_rows
from accel.flow.data import Data
from accel.flow.techniques import DENSE, find, given
from accel.models.build import Chain
from accel.models.compress.channels import drop_channels
from accel.models.compress.cluster import share_weights
from accel.models.exchange import onnx_write
from accel.models.graph import Add, Conv, Network, with_layers
from accel.models.quantisation.method import parse
from accel.models.quantisation.noise import noise
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32
from accel.models.window import Window

SHAPE = (3, 8, 8)
MATRICES = ("stem", "expand", "depthwise", "project", "last", "fc")
UNTRAINED = collapse.Row("untrained")


def residual(first: str = "stem.relu") -> Network:
    """Stem, an inverted residual block whose sum reads its `first` input in that place, a convolution, a head."""
    chain = Chain(np.random.default_rng(3), SHAPE)
    same = Window((3, 3), pads=(1, 1, 1, 1))
    chain.conv("stem", 12, same, relu="stem.relu")
    chain.conv("expand", 24, Window((1, 1)), relu="expand.relu")
    chain.conv("depthwise", 24, same, relu="depthwise.relu", groups=24)
    chain.conv("project", 12, Window((1, 1)))
    pair = ("stem.relu", "project")
    inputs = pair if first == "stem.relu" else pair[::-1]
    chain.layers.append(Add("sum", inputs, "sum"))
    chain.tensor = "sum"
    chain.conv("last", 16, same, relu="last.relu")
    chain.flatten()
    chain.linear("fc", 5, tensor="logits")
    return chain.network("residual")


def images(count: int = 32) -> np.ndarray:
    return np.random.default_rng(4).uniform(0, 1, (count, *SHAPE)).astype(np.float32)


def spoilt(network: Network, name: str) -> Network:
    """With the weights of one layer turned about."""
    return with_layers(
        network,
        [
            replace(layer, weights=-np.roll(layer.weights, 1, 0), bias=-layer.bias) if layer.name == name else layer
            for layer in network.layers
        ],
    )


@pytest.mark.parametrize("first", ["stem.relu", "project"])
def test_every_layer_has_a_row_and_can_be_blamed(first: str) -> None:
    """Also what is fused with a sum, whichever of the sum's inputs it makes."""
    network, inputs = residual(first), images()
    rows = noise(network, quantise(network, inputs), inputs)
    assert list(dict.fromkeys(row.layer for row in rows)) == list(MATRICES)
    assert not any(row.through for row in rows)
    for name in MATRICES:
        bad = spoilt(network, name)
        for compressed in (quantise(bad, inputs), bad):
            assert collapse.reason(network, compressed, inputs, UNTRAINED).startswith(f"; {name} loses most: ")


@pytest.mark.parametrize(
    ("keep", "blamed", "behind"),
    [
        ({"stem": 0.25}, "stem", "expand"),
        ({"expand": 0.25}, "expand", "project"),
        ({"last": 0.25}, "last", "fc"),
        ({"expand": 0.75, "last": 0.25}, "last", "fc"),
    ],
)
def test_channels_that_went_are_blamed_and_not_what_reads_the_rest(
    keep: dict[str, float], blamed: str, behind: str
) -> None:
    network, inputs = residual(), images()
    smaller = drop_channels(network, keep)
    of = next(len(layer.weights) for layer in network.layers if isinstance(layer, Conv) and layer.name == blamed)
    for compressed in (quantise(smaller, inputs), smaller):
        said = collapse.reason(network, compressed, inputs, UNTRAINED)
        assert said.startswith(f"; {blamed} keeps {of // 4} of {of} channels: the next output with all of them, of ")
        assert f", of {behind}, has " in said
        assert said.endswith("; `channels` must keep more of it, or retrain (--train DATA)")
    everything = drop_channels(network, 0.25)
    said = collapse.reason(network, quantise(everything, inputs), inputs, collapse.Row("trained"))
    assert "channels, the smallest share of 4 such layers: the next" in said
    assert said.endswith(", or train longer")


def test_the_remedy_is_of_what_was_done() -> None:
    """A comparison knows of each row whether anything was compressed, and whether it was trained since."""
    network, inputs = residual(), images()
    calibration = np.concatenate([inputs, 1000 * inputs[:1]])  # one that takes all codes
    data = Data(calibration, inputs, float32.run(network, inputs).argmax(1), "")
    found = compare(network, data, [load("nano")], (DENSE, find("shared-2")))
    dense, shared = (note for note in found.notes if "accuracy falls" in note)
    assert dense.endswith("; try --quantisation best")
    assert shared.endswith("; its codebook is not trained: retrain (--train DATA), or share with more bits")
    best = done_to(DENSE, replace(data, method=parse("best")))
    assert best.more == "calibrate on more inputs (--calibration), or retrain the float network"
    own = given("own", "own file", share_weights(network, 1))
    assert done_to(own, data) == collapse.Row("trained")
    assert done_to(find("pruned"), data) == collapse.Row("untrained")


def test_a_recipe_that_trains_nothing_is_told_how(tmp_path: Path) -> None:
    network, inputs = residual(), images()
    Path(tmp_path / "r.yaml").write_text("name: r\nsteps: [{share: {bits: 2}}]\n")
    (row,) = own_rows(network, [tmp_path / "r.yaml"], [], None, tmp_path / "states", print)
    assert done_to(row, Data(inputs, None, None, "")) == collapse.Row("untrained", collapse.RECIPE)


def test_compress_warns_of_a_collapse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """As a comparison does, and of low ranks that EVBMF chose whether accuracy is known or not."""
    network, inputs = residual(), images(64)
    monkeypatch.chdir(tmp_path)
    onnx_write.write(network, tmp_path / "mine.onnx")
    np.save("x.npy", inputs)
    np.save("labels.npy", float32.run(network, inputs).argmax(1))
    Path("t.yaml").write_text("name: t\nsteps: [{tucker: {layers: [stem]}}]\n")
    command = ["compress", "mine.onnx", "t.yaml", "-o", "t.onnx"]
    low = "accel: warning: 1-tucker: EVBMF finds a low rank in stem (1, relative error 0."
    assert accel(command) == 0
    said = capsys.readouterr().err
    assert low in said
    assert "accuracy falls" not in said
    assert accel([*command, "--test", "x.npy", "--labels", "labels.npy"]) == 0
    said = capsys.readouterr().err
    assert low in said
    assert "accel: warning: accuracy falls from 100.0 to " in said
    assert " %; stem loses most: its output has 0 dB of signal to noise, what it reads 100 dB; its rank is 1: " in said
    assert f"give the Tucker step `ranks` or `weakening`, and {collapse.RECIPE}" in said
    found = json.loads(Path("t.json").read_text())["notes"]
    assert len(found) == 2
    assert all(note in said for note in found)
    Path("t.yaml").write_text("name: t\nsteps: [{tucker: {layers: [stem], ranks: {stem: [1, 1]}}}]\n")
    assert accel(command) == 0
    assert "EVBMF" not in capsys.readouterr().err
