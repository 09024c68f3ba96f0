"""Rows of standard recipes for any network: untrained, retrained on one's own data, and why one fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from accel.design import load
from accel.flow import collapse, verdict
from accel.flow.compare import compare
from accel.flow.data import Data
from accel.flow.main import main
from accel.flow.retrain import TRAINED, Retraining, retrained, with_data
from accel.flow.techniques import TECHNIQUES, UNTRAINED, find, given, techniques_for
from accel.models import zoo
from accel.models.build import Chain
from accel.models.compress import recipe
from accel.models.compress.cluster import share_weights
from accel.models.compress.prune import matrix_layers
from accel.models.compress.standard import DENSITY, STANDARD
from accel.models.compress.training_step import Context
from accel.models.compress.tucker import Options, decompose
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Conv, Linear, Network, build
from accel.models.quantisation.noise import noise
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import float32, int8
from accel.models.training.fit import Schedule, accuracy_of, fit
from accel.models.training.images import ImageSet, floats
from accel.models.window import Window

NAMES = tuple(standard.name for standard in STANDARD)


def colours(count: int = 240, brighter: int = 80, judge: int = 60) -> ImageSet:
    """Images of 3 channels of which the brightest is the class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count + judge)
    images = rng.integers(0, 150, (count + judge, 3, 8, 8)).astype(np.uint8)
    images[np.arange(count + judge), labels] += brighter
    return ImageSet(images[judge:], labels[judge:], images[:judge], labels[:judge])


def network() -> Network:
    """Untrained, but right: each channel's mean is its class's output."""
    chain = Chain(np.random.default_rng(1), (3, 8, 8))
    chain.conv("conv1", 16, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu1")
    chain.conv("conv2", 32, Window((3, 3), pads=(1, 1, 1, 1)), relu="relu2")
    chain.pool("pool", Window((4, 4), (4, 4)))
    chain.flatten()
    chain.linear("fc", 3, tensor="logits")
    return chain.network("colours")


def calibrated() -> Data:
    return Data(floats(colours().train_images[:32]), None, None, "colours")


def test_every_network_has_a_row_for_each_technique() -> None:
    assert [row.name for row in techniques_for("mine.onnx")] == [*(row.name for row in TECHNIQUES), *NAMES]
    assert all(row.title.endswith(", not retrained") and row.untrained for row in UNTRAINED)
    # The zoo's own checkpoint takes the place of what is not trained.
    assert [row.name for row in techniques_for("lenet-300-100")][-len(NAMES) :] == [
        *(name for name in NAMES if name != "deep"), "deep",
    ]  # fmt: skip
    assert not any(row.untrained for row in techniques_for("lenet-5"))
    assert set(NAMES) <= set(zoo.compressed("lenet-5"))


def test_what_the_recipes_make_of_a_network() -> None:
    found = compare(network(), calibrated(), [load("nano")], techniques_for(""))
    rows = {row.technique: row for row in found.rows}
    dense = rows["dense"]
    assert set(rows) == {*(row.name for row in TECHNIQUES), *NAMES}
    assert rows["channels"].work.info.must.macs < 0.6 * dense.work.info.must.macs
    assert rows["tucker"].work.info.must.macs < dense.work.info.must.macs
    for name in ("pruned", "2of4", "deep", "grid"):
        assert rows[name].stored_bytes < dense.stored_bytes
    integer = find("pruned").apply(network(), calibrated().calibration)
    for layer in matrix_layers(network()):
        weights = next(one.weights for one in integer.layers if one.name == layer.name)
        assert np.count_nonzero(weights) <= round(DENSITY * layer.weights.size)
    # Nobody knows their accuracy, so they are not what is recommended.
    words = {judgement.row.technique: judgement.word for judgement in verdict.judge(found.rows)}
    assert not {words[name] for name in NAMES} & {verdict.MOST, verdict.PAYS}
    assert words["channels"] == verdict.LATER
    assert "if retrained (--train)" in verdict.verdict(found.rows)
    assert not verdict.cheapest(found).untrained


def test_a_technique_without_anything_to_do_is_left_out_with_a_line() -> None:
    """Of one layer, which makes the output, no channel can go."""
    rng = np.random.default_rng(0)
    fc = Linear("fc", ("x",), "y", rng.standard_normal((3, 8)).astype(np.float32), np.zeros(3, np.float32))
    single = build("single", "x", (8,), (fc,))
    found = compare(single, Data(rng.standard_normal((8, 8)), None, None, ""), [load("edge")], techniques_for(""))
    assert "channels" not in [row.technique for row in found.rows]
    assert any(
        "there is no row channels: " in note and "with a layer that can lose some" in note for note in found.notes
    )
    with pytest.raises(InputError, match="channels must be of a network with a layer that can lose some"):
        find("channels").apply(single, rng.standard_normal((8, 8)))


def test_data_of_a_comparison_come_from_what_is_learnt() -> None:
    examples = colours()
    found = with_data(replace(calibrated(), warning="random"), examples, "mine.npz", False)
    np.testing.assert_array_equal(found.calibration, floats(examples.train_images))
    np.testing.assert_array_equal(found.test, floats(examples.judged_images))
    assert found.source == "calibrated on 240 inputs of mine.npz, accuracy on 60 inputs of mine.npz"
    assert not found.warning
    many = replace(examples, train_images=np.arange(5120, dtype=np.float32).reshape(-1, 1))
    # Images of one class lie together in a folder: those that calibrate are of all.
    assert with_data(calibrated(), many, "mine.npz", False).calibration.ravel().tolist() == [*range(0, 5120, 10)]
    own = Data(floats(examples.train_images[:5]), floats(examples.train_images[:9]), examples.train_labels[:9], "own")
    assert with_data(own, examples, "mine.npz", True).test is own.test
    held = with_data(calibrated(), replace(examples, part="validation"), "mine.npz", True)
    assert held.source == "colours, accuracy on 60 inputs of mine.npz, which are held out"


def test_values_are_judged_by_their_variance() -> None:
    inputs = floats(colours().judged_images)
    wanted = float32.run(network(), inputs)
    found = compare(network(), Data(inputs, inputs, wanted, "", output_shapes=((3,),)), [load("edge")])
    assert found.float_accuracy_percent == 100
    dense = found.rows[0].accuracy_percent
    integer = quantise(network(), inputs)
    codes = int8.run(integer, int8.quantise_input(integer, inputs))[integer.output]
    outputs = int8.dequantise_output(integer, codes)
    left = np.square(outputs - wanted).sum() / np.square(wanted - wanted.mean(0)).sum()
    assert dense == pytest.approx(100 * (1 - left), abs=1e-3)
    assert 99 < dense < 100


def test_noise_is_counted_behind_each_layer() -> None:
    inputs, whole = floats(colours().train_images[:16]), network()
    integer = quantise(whole, inputs)
    found = noise(whole, integer, inputs)
    assert list(dict.fromkeys(one.layer for one in found))[1:] == ["conv2", "fc"]
    tensors = int8.run(integer, int8.quantise_input(integer, inputs), all_tensors=True)
    wanted, spec = float32.run_all(whole, inputs)["relu1"], integer.tensors["relu1"]
    error = spec.scale * (tensors["relu1"].astype(float) - spec.zero_point) - wanted
    first = next(one for one in found if one.layer == "conv1")
    assert first.ratio_db == pytest.approx(10 * np.log10(np.square(wanted).sum() / np.square(error).sum()))
    assert all(30 < one.ratio_db <= 100 for one in found)


def test_the_layer_to_blame() -> None:
    """One layer is spoilt, and is the one that is named, with what mends it."""
    inputs, whole = floats(colours().train_images[:16]), network()
    layers = [
        replace(layer, weights=np.roll(layer.weights, 1, 0))
        if layer.name == "conv2" and isinstance(layer, Conv)
        else layer
        for layer in whole.layers
    ]
    spoilt = quantise(build("spoilt", whole.input, (3, 8, 8), tuple(layers), whole.output), inputs)
    untrained, trained, dense = (collapse.Row(state) for state in get_args(collapse.State))
    assert collapse.reason(whole, spoilt, inputs, untrained).startswith("; conv2 loses most: its output has ")
    assert collapse.reason(whole, spoilt, inputs, untrained).endswith("retrain (--train DATA)")
    assert "compress it less" in collapse.reason(whole, spoilt, inputs, trained)
    assert collapse.reason(whole, spoilt, inputs, dense).endswith("; try --quantisation best")
    thin, _ = decompose(whole, Options(ranks={"conv2": (1, 1)}, layers=("conv2",)))
    for compressed in (quantise(thin, inputs), thin):
        said = collapse.reason(whole, compressed, inputs, untrained)
        assert said.startswith("; conv2 loses most")
        assert said.endswith("its rank is 1: give the Tucker step `ranks` or `weakening`, and retrain (--train DATA)")
        assert collapse.reason(whole, compressed, inputs, trained).endswith("`weakening`, and train longer")
    coarse = share_weights(whole, {"conv2": 1})
    for compressed in (quantise_compressed(coarse, inputs), coarse):
        said = collapse.reason(whole, compressed, inputs, untrained)
        assert said.startswith("; conv2 loses most")
        assert said.endswith("its codebook is not trained: retrain (--train DATA), or share with more bits")
        said = collapse.reason(whole, compressed, inputs, trained)
        assert said.endswith("; its codebook is too small: share with more bits, or train longer")
    # A comparison says so where accuracy falls; of this network each class is a third of the right answers.
    images = floats(colours().judged_images)
    middle = np.median(float32.run(whole, images), 0)
    layers = [replace(x, bias=x.bias - middle) if isinstance(x, Linear) else x for x in whole.layers]
    fair = build("fair", whole.input, (3, 8, 8), tuple(layers), whole.output)
    thin, _ = decompose(fair, Options(ranks={"conv2": (1, 1)}, layers=("conv2",)))
    data = Data(inputs, images, float32.run(fair, images).argmax(1), "")
    found = compare(fair, data, [load("edge")], (find("dense"), given("thin", "thin Tucker", thin)))
    dense, fallen = (row.accuracy_percent for row in found.rows)
    assert dense is not None
    assert fallen is not None
    assert dense > 90 > fallen + 10
    (said,) = [note for note in found.notes if "accuracy falls" in note]
    assert said.startswith(f"thin Tucker: accuracy falls from 100.0 to {fallen:.1f} %; conv2 loses most: ")
    assert "its rank is 1" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "3"], "--train-labels, --epochs, --shift and --mirror must come with --train DATA"),
        (["--mirror"], "--train-labels, --epochs, --shift and --mirror must come with --train DATA"),
        (["--train", "nothing.npz"], "nothing.npz cannot be read: No such file or directory"),
        (["--train", "x.npz", "--epochs", "0"], "--epochs must be 1..1000, not 0"),
        (["--train", "few.npz"], "there must be 6 inputs or more to hold some out, not 3"),
    ],
)
def test_bad_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx_write.write(network(), tmp_path / "n.onnx")
    examples = colours()
    np.savez("x.npz", x=examples.train_images, y=examples.train_labels)
    np.savez("few.npz", x=examples.train_images[:3], y=examples.train_labels[:3])
    monkeypatch.setattr("sys.argv", ["accel", "compare", "n.onnx", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(message)
    assert not (tmp_path / "accel-out").exists()


@pytest.mark.train
def test_retrained_rows_keep_the_accuracy_and_are_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    how = Retraining(colours(960, 30, judge=1200), 3, tmp_path, lines.append)
    whole = fit(network(), how.examples, Schedule(6, 0.02, shift=0))
    techniques = (find("dense"), find("shared-2"), *UNTRAINED)
    rows = retrained(whole, techniques, how)
    assert not any(row.untrained for row in rows)
    data = with_data(calibrated(), how.examples, "colours", False)
    before, after = (compare(whole, data, [load("edge")], these).rows for these in (techniques, rows))
    untrained, accuracy = ({row.technique: row.accuracy_percent or 0 for row in these} for these in (before, after))
    assert accuracy["tucker"] > untrained["tucker"]
    assert min(accuracy.values()) >= 90, accuracy
    assert sum(accuracy.values()) > sum(untrained.values())
    for row in rows[1:]:  # none ends below where it began, on the images that choose
        begun, _ = recipe.apply(TRAINED[row.name].recipe(), whole, Context(how.examples))
        assert isinstance(row.given, Network)
        assert accuracy_of(row.given, *how.examples.choosing) >= accuracy_of(begun, *how.examples.choosing), row.name
    epochs = [line for line in lines if ": epoch " in line]
    again = retrained(whole, techniques, how)
    assert [line for line in lines if ": epoch " in line] == epochs  # nothing was trained twice
    for one, other in zip(rows[1:], again[1:], strict=True):
        assert isinstance(one.given, Network)
        assert isinstance(other.given, Network)
        for layer, same in zip(matrix_layers(one.given), matrix_layers(other.given), strict=True):
            np.testing.assert_array_equal(layer.weights, same.weights)


@pytest.mark.train
def test_a_rate_that_is_too_high_is_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accel.flow.retrain.RATE", 1e6)
    monkeypatch.setattr("accel.flow.retrain.SLOWER", (1.0, 1e-9))
    lines: list[str] = []
    (row,) = retrained(network(), (find("pruned"),), Retraining(colours(), 1, tmp_path, lines.append))
    assert not row.untrained
    assert any("it is tried with a tenth of that" in line for line in lines)


@pytest.mark.train
def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file of 3-channel images and no labels to a table: the float network teaches."""
    monkeypatch.chdir(tmp_path)
    onnx_write.write(network(), tmp_path / "n.onnx")
    np.save("x.npy", floats(colours().train_images))
    monkeypatch.setattr("sys.argv", ["accel", "compare", "n.onnx", "--train", "x.npy", "--epochs", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert "not retrained" not in printed
    assert "accuracy on 40 inputs of x.npy, which are held out" in " ".join(printed.split())
