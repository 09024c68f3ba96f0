"""Techniques are what `models` makes with the same calibration; progress is shown on terminals and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from accel.flow import progress, techniques
from accel.flow.techniques import TECHNIQUES, find, given, techniques_for
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.encode.stored import FORMATS
from accel.models.errors import InputError
from accel.models.exchange import onnx_read
from accel.models.graph import Network
from accel.models.integers.network import IntegerNetwork, MatrixLayer
from accel.models.quantisation.quantise import quantise
from tests.benches.flow_networks import calibration, inputs, write_network

BITS = {"dense": 0, "shared-8": 8, "shared-6": 6, "shared-4": 4, "shared-3": 3, "shared-2": 2}
STANDARD = ("pruned", "2of4", "deep", "grid", "channels", "tucker")


@pytest.fixture(scope="module")
def network() -> Network:
    return zoo.load("lenet-300-100")


def matrix_layers(network: IntegerNetwork) -> list[MatrixLayer]:
    return [layer for layer in network.layers if isinstance(layer, MatrixLayer)]


def numbers(layer: MatrixLayer) -> list[list[int]]:
    """Weights and what the sums are scaled with."""
    r = layer.requantise
    return [array.ravel().tolist() for array in (layer.weights, r.bias, r.multiplier, r.shift)]


def same(one: IntegerNetwork, other: IntegerNetwork) -> bool:
    """Equal numbers in every layer, and equal coding of every tensor."""
    first, second = ([numbers(layer) for layer in matrix_layers(network)] for network in (one, other))
    return first == second and one.tensors == other.tensors


def test_names_and_order() -> None:
    assert tuple(technique.name for technique in TECHNIQUES) == tuple(BITS)
    assert techniques.names() == (*BITS, *STANDARD, "as-is")
    assert [t.title for t in TECHNIQUES] == ["dense int8", *(f"shared, {b} bits" for b in BITS.values() if b)]
    assert all(find(name).name == name for name in BITS)
    assert all(set(technique.formats) <= set(FORMATS) for technique in TECHNIQUES)


@pytest.mark.parametrize("name", BITS)
def test_a_technique_is_what_models_make(network: Network, name: str) -> None:
    bits = BITS[name]
    found = find(name).apply(network, calibration())
    expected = share(network, calibration(), bits) if bits else quantise(network, calibration())
    assert same(found, expected)
    assert not same(found, find(name).apply(network, calibration()[:1]))
    for layer in matrix_layers(found):
        if bits:
            assert layer.shared is not None
            assert layer.shared.bits == bits
            assert len(np.unique(layer.weights)) <= 2**bits
        else:
            assert layer.shared is None
            assert len(set(layer.requantise.multiplier.tolist())) > 1  # a scale for each channel


def test_a_network_that_is_compressed_already(network: Network) -> None:
    """It is taken instead of the one that is compared."""
    other = zoo.load("lenet-5")
    row = given("own", "my own", network)
    assert (row.name, row.title, row.formats) == ("own", "my own", FORMATS)
    assert row.apply(other, calibration()).name == "lenet-300-100"
    assert given("own", "my own", network, ("dense",)).formats == ("dense",)


def test_as_is_finds_the_codebooks_that_are_there(network: Network, tmp_path: Path) -> None:
    """Weights of few values stay few and keep them; others are dense int8."""
    assert same(find("as-is").apply(network, calibration()), quantise(network, calibration()))
    few = np.random.default_rng(0).choice(np.array([-1, 0, 0.3, 0.5, 1], np.float32), (48, 4))
    small = onnx_read.read(write_network(tmp_path / "few.onnx", v=few))
    conv, full = matrix_layers(find("as-is").apply(small, inputs(8)))
    assert conv.shared is None
    assert full.shared is not None
    assert full.shared.bits == 3
    np.testing.assert_array_equal(full.weights.reshape(4, 48), np.rint(few.T * 127))


@pytest.mark.parametrize("name", [*zoo.NAMES, "", "own.onnx"])
def test_checkpoints_of_the_zoo_come_last(name: str) -> None:
    rows = techniques_for(name)
    untrained = [standard for standard in STANDARD if standard not in zoo.compressed(name)]
    assert rows[: len(TECHNIQUES)] == TECHNIQUES
    assert [row.name for row in rows[len(TECHNIQUES) :]] == [*untrained, *zoo.compressed(name)]
    assert techniques.names(name) == (*BITS, *untrained, *zoo.compressed(name), "as-is")
    for row in rows[len(TECHNIQUES) + len(untrained) :]:
        assert find(row.name, name).title == row.title
        assert row.title in [title for title, _ in techniques.TITLES.values()]


@pytest.mark.parametrize("name", ["", "shared", "shared-5", "Dense", "distilled"])
def test_unknown(name: str) -> None:
    known = "dense, shared-8, shared-6, shared-4, shared-3, shared-2, pruned, 2of4, deep, grid, channels, tucker, as-is"
    with pytest.raises(InputError, match=f"technique must be one of {known}, not '{name}'"):
        find(name)


class Terminal(Console):
    """A terminal whose screen can be read."""

    seen: io.StringIO

    def __init__(self, **_: object) -> None:
        Terminal.seen = io.StringIO()
        super().__init__(file=Terminal.seen, force_terminal=True, width=100)


@pytest.mark.parametrize("begun", [1, 2, 3])
def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, begun: int) -> None:
    """The last picture has the words of the step that runs and the number of those before it; then it is erased."""
    monkeypatch.setattr(progress, "Console", Terminal)
    with progress.progress(3) as advance:
        for words in ("first step", "second step", "third step")[:begun]:
            advance(words)
    *_, last, gone = Terminal.seen.getvalue().split("\r")
    assert ("first step", "second step", "third step")[begun - 1] in last
    assert f"{begun - 1}/3" in last
    assert gone == "\x1b[1A\x1b[2K"


def test_no_progress_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(2) as advance:
        advance("first step")
        progress.silent("second step")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
