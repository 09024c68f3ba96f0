"""`accel compress --storage-only`: the published factors from shapes and the published widths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel.flow.cli import run as accel

FILLED = 23_520 / (1 - 0.9**32)  # entries of ip1 at 10 %, one more for each 32 zeros before a weight
RECIPES = Path(__file__).parent.parent / "models/zoo/recipes"
# Network, weights, factors of tables 2 to 5 without and with Huffman codes.
PUBLISHED = {
    "lenet-300-100": (266_200, 32, 40),
    "lenet-5": (430_500, 33, 39),
    "alexnet": (60_954_656, 27, 35),
    "vgg-16": (138_344_128, 31, 49),
}


@pytest.mark.parametrize("network", PUBLISHED)
def test_published_factors(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before Huffman coding within 6 %; after it within 9 %, since average widths are printed with two digits."""
    assert accel(["compress", network, str(RECIPES / f"{network}-paper.yaml"), "--storage-only"]) == 0
    shown = capsys.readouterr().out
    weights, shared, coded = PUBLISHED[network]
    assert f"{weights:,}" in shown
    found = re.findall(r"([\d.]+) times smaller, [\d.]+ MB \(([\d.]+) without", shown)
    (before, bare), (after, _) = ((float(a), float(b)) for a, b in found)
    assert before == pytest.approx(shared, rel=0.06)
    assert after == pytest.approx(coded, rel=0.09)
    assert bare > before
    total = next(line for line in shown.splitlines() if line.startswith("total")).split()
    assert 100 / float(total[-2]) == pytest.approx(before, rel=0.003)  # the table says the same
    assert 100 / float(total[-1]) == pytest.approx(after, rel=0.003)
    if network in ("alexnet", "vgg-16"):
        assert bare > 1.12 * shared  # without fillers the size is 12 and 16 % low


def shown_by(capsys: pytest.CaptureFixture[str], folder: Path, steps: str, network: str = "lenet-300-100") -> str:
    recipe = folder / "r.yaml"
    recipe.write_text(f"name: r\nsteps: [{steps}]")
    assert accel(["compress", network, str(recipe), "--storage-only"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("steps", "fraction"),
    [
        ("{share: {bits: 8}}", (266_200 * 8 + 32 * 3 * 256) / (32 * 266_200)),
        # 784 = 196 * 4 and 300 = 75 * 4 inputs; 2 of 4 stay, and 8 bits and a position of 1 bit each. A filler is
        # expected where two zeros stand together, again and again: 1/4 + 1/16 + ... of the weights that stay.
        ("{prune: {n: 2, m: 4}}, {share: {bits: 8}}, {huffman: {index_bits: 1}}",
         (133_100 * 4 / 3 * 9 + 32 * 3 * 256) / (32 * 266_200)),
        # 4 weight and 5 index bits for the entries of ip1; the others are floats.
        ("{prune: {density: {ip1: 0.1}}}, {share: {bits: {ip1: 4}}}, {encode: {index_bits: 5}}",
         (FILLED * 9 + 32 * 16 + 32 * 31_000) / (32 * 266_200)),
        ("{prune: {density: {ip1: 0.1}}}, {huffman: {index_bits: 5}}", (FILLED * 37 + 32 * 31_000) / (32 * 266_200)),
    ],
)  # fmt: skip
def test_by_hand(capsys: pytest.CaptureFixture[str], tmp_path: Path, steps: str, fraction: float) -> None:
    """Biases, 410 of 4 bytes, are in no size."""
    shown = shown_by(capsys, tmp_path, steps)
    total = next(line for line in shown.splitlines() if "total" in line)
    assert f"{100 * fraction:.2f}" in total
    assert f"{1 / fraction:.1f} times smaller, {fraction * 4 * 266_200 / 1e6:.2f} MB" in shown
    assert "no biases (0.00 MB more)" in shown


def test_unknown_averages_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = shown_by(capsys, tmp_path, "{share: {bits: 4}}, {huffman: {coded: {ip1: [3.0, 0.0]}}}")
    assert "with Huffman codes: not known without average bits (coded) of ip2, ip3" in shown


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{prune: {density: {ipp1: 0.1}}}", r"r: step 1 (prune): layer must be one of ip1, ip2, ip3, not 'ipp1'"),
        ("{share: {bits: {ip9: 3}}}", r"r: step 1 (share): layer must be one of ip1, ip2, ip3, not 'ip9'"),
        ("{share: {bits: 99}}", "bits must be less than or equal to 8, not 99"),
        ("{share: {bits: 0}}", "bits must be greater than or equal to 1, not 0"),
        ("{huffman: {index_bits: 5000}}", "index_bits must be less than or equal to 8, not 5000"),
        ("{prune: {threshold: {ip1: 1.0}}}", "must be told densities: a threshold or scan needs weights"),
        ("{tucker: {}}", "r: step 1 (tucker): --storage-only must not change shapes"),
        ("{arithmetic: {}}", "r: step 1 (arithmetic): --storage-only must count words of a width, and here are none"),
        ("{grid: {}}", "r: step 1 (grid): --storage-only must count words of a width, and here are none"),
        ("{channels: {keep: {ip1: 0.1}}}", "r: step 1 (channels): --storage-only must not change shapes"),
    ],
)
def test_what_cannot_be_counted_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, steps: str, message: str
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\nsteps: [{steps}]")
    assert accel(["compress", "lenet-300-100", str(recipe), "--storage-only"]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [recipe]


def test_without_an_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert accel(["compress", "lenet-5", str(RECIPES / "lenet-5-paper.yaml")]) == 2
    assert "give --out FILE (or --storage-only)" in capsys.readouterr().err
    assert accel(["compress", "alexnext", str(RECIPES / "lenet-5-paper.yaml"), "--storage-only"]) == 2
    assert "flownet-c or an ONNX or .tflite file" in " ".join(capsys.readouterr().err.split())
