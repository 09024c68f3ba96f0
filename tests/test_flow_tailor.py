"""Compression chosen for a design: settings are recipes, prices are those of compare, the walk is the greedy one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.compile import compile_network
from accel.design import load
from accel.flow import simulate
from accel.flow.cli import run as accel
from accel.flow.compare import compare
from accel.flow.compress import own_rows
from accel.flow.data import Data
from accel.flow.explore.candidates import Candidate
from accel.flow.explore.space import Point
from accel.flow.tailor import train
from accel.flow.tailor.knobs import JUMPS, LADDERS, Knob, Setting, Training, knobs
from accel.flow.tailor.price import Pricer, Wanted, limits
from accel.flow.tailor.walk import HOPELESS_POINTS, LEAST_LOSS, Guide, Place, walk
from accel.flow.techniques import given as given_row
from accel.models import zoo
from accel.models.compress import recipe
from accel.models.compress.channels import drop_channels
from accel.models.compress.prune import matrix_layers, report
from accel.models.compress.training_step import Context
from accel.models.encode import integer_file
from accel.models.encode.encoded_layer import FORMATS
from accel.models.errors import InputError
from accel.models.graph import Activation, Add, Conv, Network, build
from accel.models.integers.formats import Word, readable
from accel.models.quantisation.shared import quantise_compressed
from accel.models.scaled import scaled_of
from accel.models.training.fit import Diverged
from accel.models.training.idx import write_idx
from accel.models.window import Window
from accel.timing.recurrence import time_program
from tests.benches.wide import draws

UNTRAINED = Training(0, 0, 0, share=0)
SMALL = drop_channels(zoo.load("lenet-300-100"), {"ip1": 0.1})
LENET = zoo.load("lenet-5")


def chosen(network: Network, notches: dict[tuple[str, Any], int]) -> Setting:
    return Setting(network, {Knob(*knob): notch for knob, notch in notches.items()})


def test_knobs_of_a_residual_network() -> None:
    """Layers whose outputs are added have one knob for channels; a layer with few inputs has no rank."""
    one = Window((1, 1), (1, 1))
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, outputs: int, inputs: int) -> Conv:
        weights = rng.standard_normal((outputs, inputs, 1, 1)).astype(np.float32)
        return Conv(name, (source,), name, weights, np.zeros(outputs, np.float32), one, 1)

    layers = (
        conv("a", "x", 8, 3), conv("b", "a", 16, 8), Activation("r", ("b",), "r", 0.0, np.inf), conv("c", "r", 8, 16),
        Add("d", ("a", "c"), "d"), conv("e", "d", 4, 8),
    )  # fmt: skip
    found = {(knob.layer, knob.kind) for knob in knobs(build("n", "x", (3, 4, 4), layers, "e"))}
    assert {layer for layer, kind in found if kind == "channels"} == {"a", "b"}
    assert {layer for layer, kind in found if kind == "rank"} == {"b", "c"}
    assert {layer for layer, kind in found if kind == "density"} == set("abce")
    assert {layer for layer, kind in found if kind == "bits"} == {"b", "c"}  # the others have too few weights


def _codebook(weights: Any) -> Any:
    """The values of a layer's codebook; where each output has a scale of its own, its codes."""
    scaled = scaled_of(weights)
    return np.unique(weights if scaled is None else scaled.codes)


def test_a_setting_is_its_recipe() -> None:
    """Its YAML is read back to the same steps, and they leave the channels, ranks and densities that were set."""
    ranks = {("conv2", "channels"): 2, ("conv2", "rank"): 1, ("ip1", "rank"): 2}
    setting = chosen(LENET, {**ranks, ("ip1", "density"): 3, ("ip2", "levels"): 2, ("conv1", "bits"): 3})
    full = setting.recipe("s", Training())
    assert recipe.parse(train.recipe_text("s", setting.steps(Training()), "why"), "text") == full
    said = train.recipe_text("s", setting.steps(Training()), "why", {"ip2": "dense"})
    assert recipe.parse(said, "text") == full.model_copy(update={"formats": {"ip2": "dense"}})
    network, _ = recipe.apply(setting.recipe("s", UNTRAINED), LENET, Context())
    layers = {layer.name: layer for layer in matrix_layers(network)}
    half = round(0.35 * 50)
    assert layers["conv2.core"].weights.shape[:2] == (round(0.5 * half), 10)
    assert layers["conv2.out"].weights.shape[0] == half
    assert layers["ip1.in"].weights.shape[:2] == (round(0.3 * min(500, 16 * half)), 16 * half)
    assert set(setting.parts) == set(layers)
    by_name = {layer.name: layer.density for layer in report(network)}
    assert by_name["ip1.in"] <= 0.2 + 1e-3
    assert by_name["conv1"] > 0.7
    codes = np.unique(layers["ip2"].weights)
    assert len(codes) <= 2 * LADDERS["levels"][2] + 1
    codebook = _codebook(layers["conv1"].weights)
    assert len(codebook) <= 2 ** LADDERS["bits"][3]
    assert len(np.unique(np.diff(codebook).round(4))) > 2, "a codebook of its own, not a grid"
    trains = [step for step in full.steps if getattr(step, "epochs", 0)]
    assert [step.kind for step in trains] == ["tucker", "prune", "grid", "share"]
    assert not any(step.shift or step.mirror for step in trains)
    moved = setting.recipe("s", Training(shift=2, mirror=True)).steps
    assert all(step.shift == 2 and step.mirror for step in moved if getattr(step, "epochs", 0))


def test_each_notch_can_be_applied() -> None:
    for knob in knobs(SMALL):
        last = Setting(SMALL, {knob: len(LADDERS[knob.kind]) - 1})
        recipe.apply(last.recipe("s", UNTRAINED), SMALL, Context())
        assert last.turned(knob, 1) is None


CALIBRATION = zoo.preprocess(zoo.mnist_calibration()[:16])
EVERY_KIND = ("nano", "edge-coded", "edge-os", "edge-sparse", "edge-sparse-coded", "edge-2of4")
WORDS: dict[str, tuple[Word, ...]] = {"ip1": ("plain", "dense", "coded"), "ip2": ("plain", "dense-coded")}


@pytest.mark.parametrize("name", EVERY_KIND)
@settings(max_examples=draws(4), deadline=None)
@given(st.data())
def test_prices_are_those_of_compare(name: str, data: st.DataObject) -> None:
    """Cycles, energy and stored bytes are those of the recipe's row, on systolic, decoder and sparse designs."""
    notches = {
        knob: data.draw(st.integers(0, len(LADDERS[knob.kind]) - 1), str(knob))
        for knob in data.draw(st.lists(st.sampled_from(knobs(SMALL)), max_size=4, unique=True))
    }
    formats = {}
    if "ip1" in (setting := Setting(SMALL, notches)).parts and "ip2" in setting.parts:
        formats = {layer: data.draw(st.sampled_from(words), layer) for layer, words in WORDS.items()}
    design = load(name)
    formats = readable(formats, bool(design.decoder_lanes))
    chosen = setting.recipe("s", UNTRAINED).model_copy(update={"formats": formats})
    result = recipe.run(chosen, SMALL, Context())
    row = given_row("s", "", result.network, result.formats, result.method, result.runs_as)
    (found,) = compare(SMALL, Data(CALIBRATION, None, None, "none"), [design], [row]).rows
    price = Pricer(design, CALIBRATION, frozenset({"cycles", "bytes", "energy"}))(result.network, formats)
    assert price == {
        "cycles": found.work.cycles,
        "bytes": found.stored_bytes,
        "energy": found.energy.total_pj.nominal / 1e6,
    }
    for goal in ("cycles", "bytes", "energy"):
        alone = Pricer(design, CALIBRATION, frozenset({goal}))(result.network, formats)  # type: ignore[arg-type]
        assert alone[goal] == price[goal]  # type: ignore[index]


def test_a_recipe_says_how_its_row_is_read(tmp_path: Path) -> None:
    """In a comparison and in an exploration; on a design without a decoder as it is. The axis `formats` goes before."""
    setting = chosen(SMALL, {("ip1", "density"): 3})
    text = train.recipe_text("s", setting.steps(UNTRAINED), formats={"ip1": "dense-coded", "ip2": "plain"})
    (tmp_path / "s.yaml").write_text(text)
    (row,) = own_rows(SMALL, [tmp_path / "s.yaml"], (), None, tmp_path, str)
    assert row.runs_as == {"ip1": "dense-coded", "ip2": "plain"}
    designs = [load("edge-coded"), load("nano")]
    found = compare(SMALL, Data(CALIBRATION, None, None, "none"), designs, [row]).rows
    read = [[layer.work.info.weight_format for layer in one.run.layers] for one in found]
    assert ["shared" in name for name in read[0]] == ["shared" in name for name in read[1]] == [False, True, True]
    assert read[0][0].endswith("+huffman")
    assert read[1][0] == "dense"
    candidate = Candidate("s", None, 0, "", (), None, row.runs_as)  # type: ignore[arg-type]
    assert candidate.formats(Point(0, {}, designs[0])) == row.runs_as
    assert candidate.formats(Point(0, {}, designs[1])) == {"ip1": "dense", "ip2": "plain"}
    assert candidate.formats(Point(0, {"formats": "auto"}, designs[0])) == "auto"


def test_prices_are_those_of_the_program_and_the_file() -> None:
    design = load("nano")
    network, _ = recipe.apply(chosen(SMALL, {("ip1", "density"): 4}).recipe("s", UNTRAINED), SMALL, Context())
    found = Pricer(design, CALIBRATION, frozenset({"cycles", "bytes"}))(network)
    integer = quantise_compressed(network, CALIBRATION)
    assert found["cycles"] == time_program(compile_network(integer, design)).cycles
    assert found["bytes"] == len(integer_file.to_bytes(integer, FORMATS))


def test_cycles_of_a_sparse_engine_are_those_of_an_image() -> None:
    """Its time depends on the zeros among the activations, which a program does not say."""
    design = load("edge-sparse")
    network, _ = recipe.apply(chosen(SMALL, {("ip1", "density"): 4}).recipe("s", UNTRAINED), SMALL, Context())
    integer = quantise_compressed(network, CALIBRATION)
    cycles = simulate.run(integer, design, CALIBRATION).result.cycles
    assert cycles != time_program(compile_network(integer, design)).cycles
    for goals in ({"cycles"}, {"cycles", "energy"}):
        assert Pricer(design, CALIBRATION, frozenset(goals))(network)["cycles"] == cycles


def test_limits() -> None:
    dense = {"cycles": 1000.0, "bytes": 500.0, "energy": 3.0}
    assert limits(["cycles=0.2x", "bytes=12000"], dense) == {"cycles": 200, "bytes": 12000}
    wanted = Wanted("bytes", {"cycles": 200.0})
    assert wanted.excess({"cycles": 400, "bytes": 1}) == pytest.approx(np.log(2))
    assert wanted.saved({"cycles": 400, "bytes": 9}, {"cycles": 300, "bytes": 90}) == pytest.approx(np.log(4 / 3))
    assert wanted.saved({"cycles": 200, "bytes": 9}, {"cycles": 200, "bytes": 3}) == pytest.approx(np.log(3))
    for wrong in ("cycles", "bytes=", "time=3", "bytes=-1", "cycles=nanx", "bytes=infx"):
        with pytest.raises(InputError, match="--limit must be cycles, bytes, energy"):
            limits([wrong], dense)
    with pytest.raises(InputError, match="once for cycles"):
        limits(["cycles=1", "cycles=2"], dense)


@dataclass(frozen=True)
class Sums(Guide):
    """Prices are products and losses sums over the knobs, with losses that grow from notch to notch: no training."""

    saving: dict[Knob, float] = field(default_factory=dict)
    losing: dict[Knob, float] = field(default_factory=dict)

    def price(self, setting: Setting, wanted: Wanted, turned: Knob | None = None) -> tuple[Setting, dict[Any, float]]:
        size = float(np.prod([1e6] + [self.saving[k] ** n for k, n in setting.notches.items()]))
        return setting, {"bytes": size}

    def place(self, setting: Setting, price: Any, turned: Knob | None = None) -> Place:
        loss = sum(self.losing[k] * (2**n - 1) for k, n in setting.notches.items())
        return Place(setting, price, loss, 100 - 10 * loss, turned)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_walk_takes_the_best_step_each_time(data: st.DataObject) -> None:
    """Measuring only what may be the best ends where measuring everything at each step does."""
    turnable = knobs(SMALL)
    # Distinct ratios, so that no two steps are worth the same.
    ratios = data.draw(st.lists(st.floats(0.3, 1.0), min_size=len(turnable), max_size=len(turnable)))
    losses = data.draw(
        st.lists(st.floats(2 * LEAST_LOSS, 0.02), min_size=len(turnable), max_size=len(turnable), unique=True)
    )
    by_knob = [dict(zip(turnable, values, strict=True)) for values in (ratios, losses)]
    guide = Sums(SMALL, None, None, 0, *by_knob)  # type: ignore[arg-type]
    wanted = Wanted("bytes", {})
    places = walk(guide, wanted, 99.0)
    assert places[0].setting.notches == {}
    for before, after in pairwise(places):
        options = []
        for knob in turnable:
            for jump in JUMPS[knob.kind]:
                setting = before.setting.turned(knob, jump)
                if setting is not None:
                    price = guide.price(setting, wanted)[1]
                    loss = guide.place(setting, price).loss
                    saved = np.log(before.price["bytes"] / price["bytes"])
                    options.append((saved / max(loss - before.loss, LEAST_LOSS), setting.notches))
        best = max(worth for worth, _ in options)
        worth = next(w for w, notches in options if notches == after.setting.notches)
        assert worth == pytest.approx(best)
    end = places[-1]
    hopeless = end.accuracy_percent < 99.0 - HOPELESS_POINTS
    left = [k for k in turnable if end.setting.turned(k, 1) is not None and guide.saving[k] < 1]
    assert hopeless or not left


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30))
def test_trainings_find_the_last_place_that_is_accurate(count: int, hopeful: int, accurate: int) -> None:
    """With enough trainings, whatever the proxy says: the furthest place whose training is accurate, else the best."""
    setting = Setting(SMALL, {})
    places = [Place(setting, {"bytes": float(100 - i)}, 0.0, 99.0 if i < hopeful else 0.0) for i in range(count)]
    request = train.Request(load("nano"), "bytes", 99.0, trainings=10)

    tried: list[int] = []

    def trained(place: Place) -> train.Tailored:
        index = places.index(place)
        tried.append(index)
        reached = 99.5 if index < accurate else 98.9 - index / 100
        wanted = Wanted("bytes", {})
        return train.Tailored(request, wanted, place, None, place.price, {}, reached, places)  # type: ignore[arg-type]

    found = train._bisect(places, request, trained)
    assert places.index(found.place) == max(0, min(count, accurate) - 1)
    assert found.is_accurate == (accurate > 0)
    assert len(set(tried)) == len(tried)


@dataclass(frozen=True)
class Diverging(Sums):
    """Of one knob no training converges at a rate above `converges`."""

    worst: Knob | None = None
    converges: float = 0.0

    def place(self, setting: Setting, price: Any, turned: Knob | None = None) -> Place:
        return Guide.place(self, setting, price, turned)

    def _place(self, setting: Setting, price: Any, turned: Knob | None, training: Training) -> Place:
        if self.worst in setting.notches and training.learning_rate > self.converges:
            raise Diverged("the loss is nan")
        return Sums.place(self, setting, price, turned)


@pytest.mark.parametrize(("converges", "turned"), [(0.002, True), (0.0002, False)])
def test_the_walk_goes_past_what_diverges(converges: float, turned: bool) -> None:
    """Slower where that helps, else without that step."""
    turnable = knobs(SMALL)
    worst = Knob("ip1", "density")
    saving, losing = dict.fromkeys(turnable, 0.5), dict.fromkeys(turnable, 0.001)
    guide = Diverging(SMALL, None, None, 0, saving, losing, worst, converges)  # type: ignore[arg-type]
    places = walk(guide, Wanted("bytes", {}), 99.0)
    assert (worst in places[-1].setting.notches) == turned
    assert len(places) > 3


def test_a_training_that_diverges_is_repeated_slower() -> None:
    said, rates = list[str](), list[float]()

    def fit(training: Training) -> str:
        rates.append(training.learning_rate)
        if training.learning_rate > 0.002:
            raise Diverged("the loss is nan")
        return "trained"

    made, training = train._slower_where_it_diverges(fit, Training(), said.append)
    assert made == "trained"
    assert rates == pytest.approx([0.01, 0.003, 0.001])
    assert training.learning_rate == rates[-1]
    assert said == ["the loss is nan; once more at a lower rate"] * 2
    with pytest.raises(Diverged):
        train._slower_where_it_diverges(fit, Training(learning_rate=1.0), said.append)


def write_images(folder: Path, train_count: int) -> None:
    images, labels = zoo.mnist_test()
    for part, many in (("train", slice(0, train_count)), ("t10k", slice(train_count, train_count + 10))):
        write_idx(folder / f"{part}-images-idx3-ubyte", images[many])
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels[many])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "edge"], "--for must come with --accuracy, 0..100 percent, not None"),
        (["--for", "edge", "--accuracy", "101"], "--for must come with --accuracy, 0..100 percent, not 101"),
        (["--for", "edge", "--accuracy", "99"], "give what to learn from (--data)"),
        (["--for", "none", "--accuracy", "99", "--data", "."], "none: design must be one of"),
        (["--for", "edge", "--accuracy", "99", "--objective", "time"], "--objective must be one of cycles, bytes, en"),
        (["--for", "edge", "--accuracy", "99", "--trainings", "0"], "--trainings must be 1..20, not 0"),
        (["--for", "edge", "--accuracy", "99", "--test", "mnist"], "--test must be left out with --for"),
        (["--accuracy", "99"], "must come with --for DESIGN"),
        (["--shift", "1"], "--shift and --mirror must come with --for DESIGN: steps of RECIPE have fields"),
        (["--for", "edge", "--accuracy", "99", "--shift", "9"], "--shift"),
        ([], "compress must have a recipe: give RECIPE, or --for DESIGN"),
    ],
)  # fmt: skip
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], message: str) -> None:
    out = tmp_path / "out" / "x.onnx"
    assert accel(["compress", "lenet-300-100", "-o", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert error.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.train
def test_a_recipe_is_searched_trained_and_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `--for` writes: a network within the limits, and a recipe that gives the same bytes again."""
    pytest.importorskip("torch")
    data = tmp_path / "data"
    data.mkdir()
    write_images(data, 1200)
    out = tmp_path / "a.onnx"
    arguments = ["compress", "lenet-300-100", "--data", str(data)]
    searched = [
        "--for",
        "nano",
        "--accuracy",
        "90",
        "--limit",
        "cycles=0.5x",
        "--limit",
        "bytes=0.1x",
        "--trainings",
        "1",
    ]
    assert accel([*arguments, *searched, "-o", str(out)]) == 0
    found = json.loads(out.with_suffix(".json").read_text())["for"]
    assert found["cycles_int8"] <= 0.5 * found["dense"]["cycles"]
    assert found["bytes_int8"] <= 0.1 * found["dense"]["bytes"]
    assert found["accuracy_int8_percent"] >= 90
    assert not out.with_suffix(".steps").exists()
    again = tmp_path / "b.onnx"
    assert accel([*arguments, str(out.with_suffix(".yaml")), "-o", str(again)]) == 0
    capsys.readouterr()
    assert accel([*arguments, *searched, "--limit", "energy=0.0001x", "-o", str(out)]) == 2
    assert "no setting that may keep the accuracy is within the limits" in capsys.readouterr().err
