"""Recipes: YAML in, steps in order, one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import onnx_write, reference_float
from models.compress.prune import matrix_layers, report
from models.compress.recipe import as_record, load, parse, run
from models.compress.steps import Context, Huffman
from models.errors import InputError
from models.graph import Network
from models.images import ImageSet
from models.train import lenet5, lenet_300_100
from tests.model_networks import onnxruntime_output

RECIPE = """
name: without-training
steps:
  - channels: {keep: {conv1: 0.5}}
  - prune: {density: {conv2: 0.2, ip1: 0.1}, rounds: 3}
  - share: {bits: {conv2: 5, ip1: 4}, start: density}
  - huffman: {index_bits: 4}
"""
ZOO = sorted((Path(__file__).parent.parent / "models/zoo/recipes").glob("*.yaml"))


def test_steps_without_training() -> None:
    network = lenet5(np.random.default_rng(0))
    before = [layer.weights.copy() for layer in matrix_layers(network)]
    result = run(parse(RECIPE), network, Context())
    conv1, conv2, ip1, _ = matrix_layers(result.network)
    assert conv1.weights.shape == (10, 1, 5, 5)
    assert conv2.weights.shape == (50, 10, 5, 5)
    assert [layer.kept for layer in report(result.network)][1:3] == [round(0.2 * 12_500), round(0.1 * 400_000)]
    assert len(np.unique(conv2.weights)) <= 32
    assert len(np.unique(ip1.weights)) <= 16
    assert result.huffman == Huffman(index_bits=4)
    assert [record["step"] for record in as_record(result)] == ["1-channels", "2-prune", "3-share"]
    for layer, weights in zip(matrix_layers(network), before, strict=True):
        np.testing.assert_array_equal(layer.weights, weights)  # the input is as it was
    images = np.random.default_rng(1).random((2, 1, 28, 28)).astype(np.float32)
    expected = reference_float.run(result.network, images)
    output = onnxruntime_output(onnx_write.to_model(result.network), images)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", ZOO, ids=lambda p: p.stem)
def test_recipes_of_the_zoo(path: Path) -> None:
    recipe = load(path)
    assert path.stem.endswith(recipe.name)


def test_there_are_recipes() -> None:
    assert ZOO


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"r\.yaml:1: not valid YAML"),
        ("a: 1", r"r\.yaml: a recipe must be a mapping with a name and a list of steps"),
        ("name: x\nsteps: []", r"steps must be"),
        ("name: x\nsteps: [{prun: {}}]", r"step 1 must be one of prune, .*, not 'prun'"),
        ("name: x\nsteps: [prune]", r"step 1 must be one of prune, .*, not 'prune'"),
        ("name: x\nsteps: [{prune: 3}]", r"step 1 \(prune\) must be a mapping of fields, not 3"),
        ("name: x\nsteps: [{share: {}}, {prune: {epochs: -1}}]", r"step 2 \(prune\) epochs must be .* 0, not -1"),
        ("name: x\nsteps: [{share: {size: 1}}]", r"step 1 \(share\) size is not a field"),
        ("name: x\nsteps: [{distil: {}}]", r"step 1 \(distil\) student must be given, and is missing"),
        ("name: x\nsteps: [{share: {start: best}}]", r"step 1 \(share\) start must be 'linear', .*, not 'best'"),
        ("name: x\nsteps: [{huffman: {}}, {prune: {}}]", r"huffman must be the last step"),
        ("name: a b\nsteps: [{prune: {}}]", r"name must be .*, not 'a b'"),
    ],
)
def test_bad_recipes(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(text, "r.yaml")
    assert "\n" not in str(caught.value)


def test_what_a_step_refuses_names_the_step() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"x: step 1 \(share\): .* must be 1\.\.8, not 9"):
        run(parse("name: x\nsteps: [{share: {bits: 9}}]"), network, Context())
    with pytest.raises(InputError, match=r"x: step 1 \(prune\): .* trains for 2 epochs: give a folder of images"):
        run(parse("name: x\nsteps: [{prune: {epochs: 2}}]"), network, Context())
    with pytest.raises(InputError, match=r"step 1 \(distil\): .*epochs must be above 0"):
        run(parse("name: x\nsteps: [{distil: {student: s}}]"), network, Context())
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load("nowhere.yaml")


def small_images() -> ImageSet:
    """Two classes: a bright left or right half."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 256).astype(np.uint8)
    images = random.integers(0, 60, (256, 28, 28)).astype(np.uint8)
    images[labels == 0, :, :14] += 150
    images[labels == 1, :, 14:] += 150
    return ImageSet(images, labels, images, labels)


@pytest.mark.train
def test_training_steps(tmp_path: Path) -> None:
    """Masks and clusters survive the training, a second run finds what is done, another seed does not."""
    recipe = parse(
        "name: x\nsteps:\n"
        "  - prune: {density: 0.2, rounds: 2, epochs: 4}\n"
        "  - share: {bits: 3, epochs: 2}\n"
        "  - distil: {student: s, epochs: 1, target: logits}\n"
    )
    lines: list[str] = []

    def student(name: str) -> Network:
        assert name == "s"
        return lenet_300_100(np.random.default_rng(5))

    network = lenet_300_100(np.random.default_rng(0))
    context = Context(small_images(), tmp_path, 0, lines.append, student)
    first = run(parse("name: x\nsteps: [{prune: {density: 0.2, rounds: 2, epochs: 4}}]"), network, context)
    assert [round(layer.density, 2) for layer in report(first.network)] == [0.2, 0.2, 0.2]
    assert not np.array_equal(matrix_layers(first.network)[0].weights, matrix_layers(network)[0].weights)
    pruned_and_shared = parse(
        "name: x\nsteps: [{prune: {density: 0.2, rounds: 2, epochs: 4}}, {share: {bits: 3, epochs: 2}}]"
    )
    shared = run(pruned_and_shared, network, context)
    assert all(4 < len(np.unique(x.weights)) <= 8 for x in matrix_layers(shared.network))
    done = len(lines)
    whole = run(recipe, network, context)
    assert len(lines) == done + 1  # only the student was trained: the rest was there
    assert whole.reports[-1][1]["student"] == "s"
    again = run(recipe, network, context)
    assert len(lines) == done + 1
    for a, b in zip(matrix_layers(whole.network), matrix_layers(again.network), strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_thresholds_and_scans() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    recipe = parse("name: x\nsteps: [{prune: {threshold: {ip1: 1.0}, rounds: 2}}]")
    found = run(recipe, network, Context()).reports[0][1]["layers"]
    # Half a standard deviation first, then one of what is left, which is wider than before.
    assert 0.2 < found["ip1"] < 0.317
    assert found["ip2"] == 1
    recipe = parse("name: x\nsteps: [{prune: {density: 0.3, scan: [0.5, 0.1]}}]")
    result = run(recipe, network, Context(small_images()))
    assert result.reports[0][1]["density"] == pytest.approx(0.3, abs=1e-4)
    with pytest.raises(InputError, match="a scan measures accuracy: give a folder of images"):
        run(recipe, network, Context())
    with pytest.raises(InputError, match="density must be one number with a scan"):
        run(parse("name: x\nsteps: [{prune: {density: {ip1: 0.3}, scan: [0.5]}}]"), network, Context(small_images()))
