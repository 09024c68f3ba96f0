"""`accel compress --storage-only`: the published factors from shapes and the published widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel.flow.cli import run as accel

RECIPES = Path(__file__).parent.parent / "models/zoo/recipes"
# Network, weights, factors of tables 2 to 5 without and with Huffman codes. The papers' filler entries are unknown.
PUBLISHED = {
    "lenet-300-100": (266_200, 32, 40),
    "lenet-5": (430_500, 33, 39),
    "alexnet": (60_954_656, 27, 35),
    "vgg-16": (138_344_128, 31, 49),
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_published_factors(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert accel(["compress", network, str(RECIPES / f"{network}-paper.yaml"), "--storage-only"]) == 0
    shown = capsys.readouterr().out
    weights, shared, coded = PUBLISHED[network]
    assert f"{weights:,}" in shown
    found = [(float(a), float(b)) for a, b in re.findall(r"([\d.]+) to ([\d.]+) times smaller", shown)]
    for (low, high), published in zip(found, (shared, coded), strict=True):
        # Widths are printed with two digits, and LeNet-5's first row does not agree with itself (see bookkeeping).
        assert 0.95 * low < published < 1.06 * high
        assert high < 1.25 * low


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nsteps: [{share: {bits: {conv1: 4}}}]")
    assert accel(["compress", "lenet-5", str(recipe), "--storage-only"]) == 2
    assert "r: --storage-only must have a huffman step with index_bits" in capsys.readouterr().err
    recipe.write_text("name: r\nsteps: [{share: {bits: {conv1: 4}}}, {huffman: {index_bits: 4}}]")
    assert accel(["compress", "lenet-5", str(recipe), "--storage-only"]) == 2
    assert "must have bits and index_bits of layer 'conv2'" in capsys.readouterr().err
    assert accel(["compress", "lenet-5", str(recipe)]) == 2
    assert "give --out FILE (or --storage-only)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [recipe]
