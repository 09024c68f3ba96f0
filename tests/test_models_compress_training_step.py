"""A training that makes a network worse is not taken, whatever the step; never by what the test set says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.flow.retrain import RATE, Retraining, retrained
from accel.flow.techniques import find
from accel.models.compress import training_step
from accel.models.compress.prune import matrix_layers
from accel.models.compress.recipe import apply, parse
from accel.models.compress.standard import BITS
from accel.models.compress.steps import Share
from accel.models.compress.training_step import SPOILT, Context
from accel.models.graph import Layer, Linear, Network, build
from accel.models.training.fit import Diverged, Schedule, accuracy_of, fit
from accel.models.training.images import CHOOSING, ImageSet
from accel.models.zoo.architectures import lenet_300_100
from tests.benches.halves import halves

pytestmark = pytest.mark.train

STEPS = {
    "prune": "density: 0.3",
    "n of m": "n: 2, m: 4",
    "share": "bits: 3",
    "grid": "levels: 6, rate: 0.05",
    "channels": "keep: {ip1: 0.5}",
    "tucker": "layers: [ip2], ranks: {ip2: 20}",
}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    pixels, labels = halves(np.random.default_rng(0), 256)
    return ImageSet(pixels, labels, pixels[:8], 1 - labels[:8])  # who is right is wrong on the test set


@pytest.fixture(scope="module")
def learnt(images: ImageSet) -> Network:
    pytest.importorskip("torch")
    return fit(lenet_300_100(np.random.default_rng(0)), images, Schedule(8, 0.02, batch=16, shift=0))


def always_nine(network: Network, *_: Any) -> Network:
    """What a training gives that has gone wrong: the last layer says 9 to everything."""

    def worse(layer: Layer) -> Layer:
        is_last = isinstance(layer, Linear) and layer.output == network.output
        return replace(layer, bias=np.float32([0] * 9 + [1e6])) if is_last else layer

    return build(network.name, network.input, network.shapes[network.input], tuple(map(worse, network.layers)))


def steps(kind: str, epochs: int) -> Any:
    return parse(f"name: x\nsteps: [{{{'prune' if kind == 'n of m' else kind}: {{{STEPS[kind]}, epochs: {epochs}}}}}]")


def same(one: Network, other: Network) -> bool:
    pairs = zip(matrix_layers(one), matrix_layers(other), strict=True)
    return all(np.array_equal(a.weights, b.weights) and np.array_equal(a.bias, b.bias) for a, b in pairs)


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_that_training_spoils_is_as_without_training(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: ImageSet, learnt: Network
) -> None:
    told, said = list[str](), list[str]()
    context = Context(images, tmp_path, 0, said.append, spoilt=told.append)
    untrained, _ = apply(steps(kind, 0), learnt, Context(images))
    monkeypatch.setattr(training_step, "fit", always_nine)
    assert same(apply(steps(kind, 1), learnt, context)[0], untrained)
    assert same(apply(steps(kind, 1), learnt, context)[0], untrained)  # read back
    label = f"1-{'prune' if kind == 'n of m' else kind}{'-1' if kind in ('prune', 'n of m') else ''}"
    assert told == [f"{label}: {SPOILT}"] * 2
    (line,) = said
    assert line.endswith(" % before, 0.00 % behind: it stays as it was")
    taken, _ = apply(steps(kind, 1), learnt, replace(context, keeps_better=False))
    assert not same(taken, untrained)
    assert accuracy_of(taken, *images.choosing) == 0


def test_what_is_better_or_as_good_is_taken(images: ImageSet, learnt: Network) -> None:
    told = list[str]()
    context = Context(images, spoilt=told.append)
    for network in (learnt, lenet_300_100(np.random.default_rng(1))):
        recipe = parse("name: x\nsteps: [{prune: {density: 0.5, epochs: 1, learning_rate: 0.001}}]")
        trained, _ = apply(recipe, network, context)
        assert not same(trained, apply(steps("prune", 0), network, Context())[0])
    assert not told


def test_what_chooses(images: ImageSet) -> None:
    """Held-out images; where only a test set judges, some that are learnt."""
    held_out = replace(images, part="validation")
    assert held_out.choosing[0] is held_out.judged_images
    many = replace(images, train_images=np.arange(3 * CHOOSING), train_labels=np.arange(3 * CHOOSING))
    for chosen in many.choosing:
        np.testing.assert_array_equal(chosen, np.arange(0, 3 * CHOOSING, 3))


@pytest.mark.parametrize("end", ["spoilt", "diverged"])
def test_rows_are_trained_slower_and_the_best_is_taken(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: ImageSet, learnt: Network
) -> None:
    """A row tries a tenth of a rate that spoils; where the next one is no better, it is the first that counts."""
    rates = list[float]()

    def spoils(network: Network, data: ImageSet, schedule: Schedule, *rest: Any) -> Network:
        rates.append(schedule.learning_rate)
        if schedule.learning_rate < RATE / 2:
            return fit(network, data, schedule, *rest)
        if end == "diverged":
            raise Diverged("the loss is nan")
        return always_nine(network)

    monkeypatch.setattr(training_step, "fit", spoils)
    said = list[str]()
    (row,) = retrained(learnt, (find("2of4"),), Retraining(images, 1, tmp_path, said.append))
    assert rates == pytest.approx([RATE, RATE / 10])
    assert sum("it is tried with a tenth of that rate" in line for line in said) == 1
    assert isinstance(row.given, Network)
    assert accuracy_of(row.given, *images.choosing) == 100
    assert not same(row.given, apply(steps("n of m", 0), learnt, Context())[0])


def test_the_most_accurate_of_the_rates_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: ImageSet, learnt: Network
) -> None:
    """Of a row of two trainings the second is spoilt at any rate, so all rates are tried."""
    trained, judged = list[Network](), iter((80.0, 90.0, 85.0))

    def spoils(network: Network, data: ImageSet, schedule: Schedule, *rest: Any) -> Network:
        if len(trained) == len(judged_networks):
            trained.append(fit(network, data, schedule, *rest))
            return trained[-1]
        return always_nine(network)

    judged_networks = list[Network]()

    def judge(network: Network, *_: Any) -> float:
        judged_networks.append(network)
        return next(judged)

    monkeypatch.setattr(training_step, "fit", spoils)
    monkeypatch.setattr("accel.flow.retrain.accuracy_of", judge)
    (row,) = retrained(learnt, (find("deep"),), Retraining(images, 2, tmp_path, lambda _: None))
    assert isinstance(row.given, Network)
    assert len(judged_networks) == len(trained) == 3
    assert same(row.given, judged_networks[1])
    assert not same(row.given, judged_networks[2])
    shared, _ = Share(bits=BITS).apply(trained[1], learnt, Context(images), "")
    assert same(row.given, shared)
