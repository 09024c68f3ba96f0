"""Recipes: YAML in, steps in order, one line for what is wrong."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from accel.models import zoo
from accel.models.compress.prune import matrix_layers, report
from accel.models.compress.recipe import as_record, load, parse, run
from accel.models.compress.steps import Step
from accel.models.compress.students import convolutional
from accel.models.compress.training_step import Context, TrainingStep
from accel.models.encode.encoded import decode
from accel.models.encode.encoded_file import to_bytes
from accel.models.encode.encoded_layer import HUFFMAN
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Activation, Network, build
from accel.models.grid import grid_of
from accel.models.reference import float32
from accel.models.scaled import scaled_of
from accel.models.training.images import ImageSet
from accel.models.zoo.architectures import lenet5, lenet_300_100
from tests.benches.halves import halves
from tests.benches.model_networks import onnxruntime_output

RECIPE = """
name: without-training
steps:
  - channels: {keep: {conv1: 0.5}}
  - prune: {density: {conv2: 0.2, ip1: 0.1}, rounds: 3}
  - share: {bits: {conv2: 5, ip1: 4}, start: density}
  - huffman: {index_bits: 4, lanes: 3}
"""
ZOO = sorted((Path(__file__).parent.parent / "models/zoo/recipes").glob("*.yaml"))


def entries(weights: np.ndarray) -> int:
    """Of the codebook of a layer: different values, or codes where each output has a scale."""
    scaled = scaled_of(weights)
    return len(np.unique(weights if scaled is None else scaled.codes))


def test_steps_without_training() -> None:
    network = lenet5(np.random.default_rng(0))
    before = [layer.weights.copy() for layer in matrix_layers(network)]
    result = run(parse(RECIPE), network, Context())
    conv1, conv2, ip1, _ = matrix_layers(result.network)
    assert conv1.weights.shape == (10, 1, 5, 5)
    assert conv2.weights.shape == (50, 10, 5, 5)
    assert [layer.kept for layer in report(result.network)][1:3] == [round(0.2 * 12_500), round(0.1 * 400_000)]
    assert entries(conv2.weights) <= 32
    assert entries(ip1.weights) <= 16
    assert result.formats == HUFFMAN
    assert {layer.index_bits for layer in result.encoded.layers if layer.sparse} == {4}
    assert [layer.pes for layer in result.encoded.layers] == [3] * 4
    *_, written = as_record(result)
    assert [record["step"] for record in as_record(result)] == ["1-channels", "2-prune", "3-share", "4-huffman"]
    assert written["bytes"] == len(to_bytes(result.encoded))
    assert written["layers"]["ip1"] == "sparse+huffman"
    for layer, weights in zip(matrix_layers(network), before, strict=True):
        np.testing.assert_array_equal(layer.weights, weights)  # the input is as it was
    images = np.random.default_rng(1).random((2, 1, 28, 28)).astype(np.float32)
    expected = float32.run(result.network, images)
    output = onnxruntime_output(onnx_write.to_model(result.network), images)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", ZOO, ids=lambda p: p.stem)
def test_recipes_of_the_zoo(path: Path) -> None:
    """Those that train say how images move: published figures must not depend on a default."""
    recipe = load(path)
    assert path.stem.endswith(recipe.name)
    trained = [step for step in recipe.steps if isinstance(step, TrainingStep) and step.epochs]
    assert all("shift" in step.model_fields_set for step in trained)


def test_images_stay_where_they_are_unless_a_recipe_moves_them() -> None:
    (step,) = parse("name: x\nsteps: [{prune: {epochs: 1}}]").steps
    assert isinstance(step, TrainingStep)
    assert not step.shift
    assert not step.mirror


def test_every_field_is_documented() -> None:
    """docs/recipes.md names each step, and under it its own fields; those of training stand together."""
    page = (Path(__file__).parent.parent / "docs/recipes.md").read_text()
    training, common = page.split("## Training")[1], set(TrainingStep.model_fields)
    assert all(f"| `{name}` |" in training for name in common)
    for step in get_args(get_args(Step)[0]):
        kind = step.model_fields["kind"].default
        section = page.split(f"**{kind}**")[1].split("\n**")[0]
        for name in set(step.model_fields) - common - {"kind"}:
            assert f"`{name}`" in section, (kind, name)


def test_there_are_recipes() -> None:
    assert ZOO


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"r\.yaml:1: not valid YAML"),
        ("a: 2020-13-45", r"r\.yaml: not valid YAML: month must be"),
        ("[" * 3000, r"r\.yaml: not a recipe: its YAML contains itself or is too deep"),
        (f"name: x\nsteps: [{{prune: {{epochs: {'1' * 5000}}}}}]", r"r\.yaml:2: a value must have at most 1000"),
        ("name: x\nsteps: [{prune: {n: 2, n: 3}}]", r"r\.yaml:2: 'n' is given twice"),
        ("- 1", r"a recipe must be a YAML mapping, not list"),
        ("name: x\n1: 2\nsteps: [{prune: {}}]", r"r\.yaml: 1 is not a field"),
        ("name: x\nsteps: [{prune: {1: 2}}]", r"step 1 \(prune\) 1 is not a field"),
        ("name: x\nsteps: [{prune: {kind: share}}]", r"step 1 \(prune\) kind is not a field"),
        ("name: x\nsteps: [{prune: {}, share: {}}]", r"step 1 must be one step, not prune and share"),
        ("name: x\nsteps: [{}]", r"step 1 must be one of prune, .*, not None"),
        ("a: 1", r"r\.yaml: a recipe must be a mapping with a name and a list of steps"),
        ("name: x\nsteps: []", r"steps must be"),
        ("name: x\nsteps: [{prun: {}}]", r"step 1 must be one of prune, .*, not 'prun'"),
        ("name: x\nsteps: [prune]", r"step 1 must be one of prune, .*, not 'prune'"),
        ("name: x\nsteps: [{prune: 3}]", r"step 1 \(prune\) must be a mapping of fields, not 3"),
        ("name: x\nsteps: [{share: {}}, {prune: {epochs: -1}}]", r"step 2 \(prune\) epochs must be .* 0, not -1"),
        ("name: x\nsteps: [{share: {size: 1}}]", r"step 1 \(share\) size is not a field"),
        ("name: x\nsteps: [{distil: {epochs: 1}}]", r"step 1 \(distil\) student must be given, and is missing"),
        ("name: x\nsteps: [{share: {start: best}}]", r"step 1 \(share\) start must be 'linear', .*, not 'best'"),
        ("name: x\nsteps: [{prune: {density: abc}}]", r"\(prune\) density must be a valid number.*, not 'abc'"),
        ("name: x\nsteps: [{prune: {density: {a: abc}}}]", r"\(prune\) density a must be a valid number.*, not 'abc'"),
        ("name: x\nsteps: [{prune: {density: {1: 0.1}}}]", r"density 1: the name of a layer must be a text, not 1"),
        ("name: x\nsteps: [{prune: {density: 1.5}}]", r"\(prune\) density must be less than or equal to 1, not 1.5"),
        ("name: x\nsteps: [{prune: {density: 2, scan: [0.5]}}]", r"density must be less than or equal to 1, not 2"),
        ("name: x\nsteps: [{prune: {density: 0.5, n: 2, m: 4}}]", r"in one way, not by density and by n and m"),
        ("name: x\nsteps: [{prune: {n: 3, m: 2}}]", r"of n:m, n must be 1\.\.m, not 3:2"),
        ("name: x\nsteps: [{prune: {scan: [0.5]}}]", r"scan must come with a density"),
        ("name: x\nsteps: [{prune: {rounds: 5, epochs: 4}}]", r"epochs must be 0 or at least 8 for 5 rounds, not 4"),
        ("name: x\nsteps: [{prune: {teacher: t}}]", r"teacher must come with target soft or logits, not labels"),
        ("name: x\nsteps: [{share: {bits: abc}}]", r"\(share\) bits must be a valid integer.*, not 'abc'"),
        ("name: x\nsteps: [{share: {bits: 9}}]", r"\(share\) bits must be less than or equal to 8, not 9"),
        ("name: x\nsteps: [{share: {bits: true}}]", r"step 1 \(share\): bits must hold no truth values"),
        ("name: x\nsteps: [{grid: {levels: 128}}]", r"\(grid\) levels must be less than or equal to 127, not 128"),
        ("name: x\nsteps: [{grid: {levels: {a: 0}}}]", r"\(grid\) levels a must be greater than or equal to 1, not 0"),
        ("name: x\nsteps: [{grid: {rate: -1}}]", r"\(grid\) rate must be greater than or equal to 0, not -1"),
        ("name: x\nsteps: [{grid: {rate: .nan}}]", r"\(grid\) rate must be a finite number, not nan"),
        ("name: x\nsteps: [{grid: {per: weight}}]", r"\(grid\) per must be 'layer' or 'output', not 'weight'"),
        ("name: x\nsteps: [{grid: {bias_bits: 25}}]", r"\(grid\) bias_bits must be less than or equal to 24, not 25"),
        ("name: x\nsteps: [{grid: {step: 0.1}}]", r"step 1 \(grid\) step is not a field"),
        ("name: x\nsteps: [{arithmetic: {lanes: 2}}]", r"step 1 \(arithmetic\) lanes is not a field"),
        ("name: x\nsteps: [{arithmetic: {}}, {grid: {}}]", r"arithmetic must be the last step"),
        ("name: x\nsteps: [{tucker: {layers: [a], ranks: {b: 5}}}]", r"ranks must be of layers that are decomposed"),
        ("name: x\nsteps: [{distil: {student: s}}]", r"step 1 \(distil\) epochs must be given, and is missing"),
        ("name: x\nsteps: [{huffman: {index_bits: 9}}]", r"index_bits must be less than or equal to 8, not 9"),
        ("name: x\nsteps: [{encode: {lanes: 0}}]", r"lanes must be greater than or equal to 1, not 0"),
        ("name: x\nsteps: [{huffman: {}}, {prune: {}}]", r"huffman must be the last step"),
        ("name: x\nformats: {a: packed}\nsteps: [{prune: {}}]", r"formats a must be 'auto', 'plain', .*, not 'packed'"),
        ("name: x\nformats: dense\nsteps: [{prune: {}}]", r"formats must be .*, not 'dense'"),
        ("name: a b\nsteps: [{prune: {}}]", r"name must be .*, not 'a b'"),
    ],
)
def test_bad_recipes(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(text, "r.yaml")
    assert "\n" not in str(caught.value)


def test_what_a_step_refuses_names_the_step() -> None:
    network = lenet_300_100(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"x: step 1 \(share\): .*bits must name one of ip1, ip2, ip3, not 'a'"):
        run(parse("name: x\nsteps: [{share: {bits: {a: 5}}}]"), network, Context())
    with pytest.raises(InputError, match=r"x: step 1 \(huffman\): .*index_bits must name a Conv or Linear, not 'a'"):
        run(parse("name: x\nsteps: [{huffman: {index_bits: {a: 5}}}]"), network, Context())
    bare = build("bare", "x", (1, 2, 2), (Activation("a", ("x",), "y"),))
    with pytest.raises(InputError, match="bare: network must have a layer with weights to compress, and has none"):
        run(parse("name: x\nsteps: [{prune: {}}]"), bare, Context())
    with pytest.raises(InputError, match=r"x: step 1 \(prune\): .* trains for 2 epochs: give what to learn from"):
        run(parse("name: x\nsteps: [{prune: {epochs: 2}}]"), network, Context())
    with pytest.raises(InputError, match=r"x: formats must name layers with weights \(ip1, ip2, ip3\), not 'a'"):
        run(parse("name: x\nformats: {a: dense}\nsteps: [{prune: {}}]"), network, Context())
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load("nowhere.yaml")


def small_images() -> ImageSet:
    examples = halves(np.random.default_rng(0), 256)
    return ImageSet(*examples, *examples)


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
    assert all(4 < entries(x.weights) <= 8 for x in matrix_layers(shared.network))
    moving = parse(
        "name: x\nsteps: [{prune: {density: 0.2, rounds: 2, epochs: 4}}, "
        "{share: {bits: 3, epochs: 2, learn: weights, learning_rate: 0.05}}]"
    )
    moved = run(moving, network, context)
    for fixed, free in zip(matrix_layers(shared.network), matrix_layers(moved.network), strict=True):
        assert 4 < entries(free.weights) <= 8
        np.testing.assert_array_equal(fixed.weights == 0, free.weights == 0)
        ranks = [np.unique(x.weights, return_inverse=True)[1] for x in (fixed, free)]
        assert (ranks[0] != ranks[1]).any()  # some have found another cluster
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
    with pytest.raises(InputError, match="a scan measures accuracy: give what to learn from"):
        run(recipe, network, Context())
    with pytest.raises(InputError, match="density must be one number with a scan"):
        run(parse("name: x\nsteps: [{prune: {density: {ip1: 0.3}, scan: [0.5]}}]"), network, Context(small_images()))


def test_a_scan_never_looks_at_the_test_set() -> None:
    """Where images are held out it looks at them, elsewhere at training images."""
    recipe = parse("name: x\nsteps: [{prune: {density: 0.1, scan: [0.5, 0.1, 0.05]}}]")
    images = tuple(part[:300] for part in zoo.mnist_test())
    other = np.zeros_like(images[0]), np.zeros(300, np.uint8)

    def densities(data: ImageSet) -> Any:
        return run(recipe, zoo.load("lenet-300-100"), Context(data)).reports[0][1]["layers"]

    wanted = densities(ImageSet(*images, *images))
    assert densities(ImageSet(*images, *other)) == wanted
    assert densities(ImageSet(*other, *images, "validation")) == wanted
    assert densities(ImageSet(*other, *images)) != wanted


ONE_EPOCH = {
    "prune": "density: 0.3, epochs: 1",
    "n of m": "n: 2, m: 4, epochs: 1",
    "share": "bits: 3, epochs: 1",
    "grid": "levels: 6, rate: 0.05, epochs: 1",
    "channels": "keep: {ip1: 0.5}, epochs: 1",
    "tucker": "layers: [ip2], ranks: {ip2: 20}, epochs: 1",
}


@pytest.mark.train
@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(ONE_EPOCH, 2)))
def test_a_step_keeps_what_the_one_before_it_made(first: str, second: str) -> None:
    """Zeros and shared values survive the training of whatever comes next, in layers that it leaves whole."""
    pytest.importorskip("torch")
    kinds = [{"n of m": "prune"}.get(kind, kind) for kind in (first, second)]
    steps = [f"{{{kind}: {{{ONE_EPOCH[step]}}}}}" for kind, step in zip(kinds, (first, second), strict=True)]
    network = lenet_300_100(np.random.default_rng(0))
    context = Context(small_images())
    before = run(parse(f"name: x\nsteps: [{steps[0]}]"), network, context).network
    after = run(parse(f"name: x\nsteps: [{', '.join(steps)}]"), network, context).network
    ip3, trained = matrix_layers(before)[-1], matrix_layers(after)[-1]
    assert ip3.weights.shape == trained.weights.shape  # channels and tucker leave it as it is
    assert not np.array_equal(ip3.weights, trained.weights)
    if first in ("prune", "n of m", "share", "grid") and second != "share":
        assert not trained.weights[ip3.weights == 0].any()
    if first == "share" or second == "share":
        assert entries(trained.weights) <= (13 if second == "grid" else 9)  # with zeros of a second pruning
    if "grid" in (first, second) and second != "share":
        grid = grid_of(trained.weights)
        assert grid is not None
        assert np.abs(grid.codes).max() <= 6
        if first == "grid":
            held = grid_of(ip3.weights)
            assert held is not None
            np.testing.assert_array_equal(grid.codes[trained.weights != 0], held.codes[trained.weights != 0])
            assert grid.steps != held.steps
    if first == "n of m":
        inputs = trained.weights.reshape(len(trained.weights), -1, 4)
        assert (np.count_nonzero(inputs, axis=2) <= 2).all()


@pytest.mark.train
def test_the_whole_chain() -> None:
    """Distil, Tucker, prune, share, Huffman: each step's doing is there at the end, and ONNX Runtime agrees."""
    pytest.importorskip("torch")
    recipe = parse(
        "name: chain\nsteps:\n"
        "  - distil: {student: student-2-20000, epochs: 1, learning_rate: 0.01, teacher: [a, b]}\n"
        "  - tucker: {layers: [conv2], ranks: {conv2: [4, 8]}, epochs: 1, learning_rate: 0.001}\n"
        "  - prune: {density: 0.4, rounds: 2, epochs: 2, learning_rate: 0.001}\n"
        "  - share: {bits: 4, epochs: 1}\n"
        "  - huffman: {lanes: 2}\n"
    )
    random = np.random.default_rng(0)
    known = {"student-2-20000": convolutional(2, 20_000, random), "a": lenet5(random), "b": lenet_300_100(random)}
    result = run(recipe, lenet5(random), Context(small_images(), resolve=known.__getitem__))
    names = [layer.name for layer in matrix_layers(result.network)]
    assert {"conv2.in", "conv2.core", "conv2.out"} < set(names)
    assert sum(x.kept for x in report(result.network)) / sum(x.weights for x in report(result.network)) < 0.41
    assert all(entries(layer.weights) <= 16 for layer in matrix_layers(result.network))
    images = np.random.default_rng(1).random((4, 1, 28, 28)).astype(np.float32)
    expected = float32.run(result.network, images)
    output = onnxruntime_output(onnx_write.to_model(decode(result.encoded)), images)
    np.testing.assert_allclose(output.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.train
def test_other_images_are_another_training(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    recipe = parse("name: x\nsteps: [{prune: {density: 0.5, epochs: 1}}]")
    network, images = lenet_300_100(np.random.default_rng(0)), small_images()
    inverted = ImageSet(255 - images.train_images, images.train_labels, images.judged_images, images.judged_labels)
    lines: list[str] = []
    found = [run(recipe, network, Context(data, tmp_path, 0, lines.append)) for data in (images, inverted, images)]
    assert len(lines) == 2
    a, b, c = (matrix_layers(one.network)[0].weights for one in found)
    assert not np.array_equal(a, b)
    assert np.array_equal(a, c)
