"""`accel compress --for`: the walk, then real trainings as far along it as the accuracy allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from accel.design import Design
from accel.flow import compress
from accel.flow.data import Data, accuracy_percent
from accel.flow.tailor.formats import settle
from accel.flow.tailor.knobs import Training
from accel.flow.tailor.layers import LayerRecord, layer_records
from accel.flow.tailor.price import AS_COMPILED, GOALS, UNITS, Goal, Price, Pricer, Wanted, limits
from accel.flow.tailor.walk import BRIEF, SLOWER, Guide, Place, walk
from accel.models.compress import recipe
from accel.models.encode.encoded import check_one_stretch
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import Word
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.training import own_data
from accel.models.training.fit import Diverged
from accel.models.training.pixels import UNIT, Pixels

T = TypeVar("T")
CALIBRATION = 512  # training images that set the ranges, as for the zoo's networks
SWEEPS = 5  # over all layers, for how the hardware reads what was trained
# Points of accuracy that a full training adds to a short one, as the first training assumes; those after it know.
SLACK_POINTS = 0.6


@dataclass(frozen=True)
class Request:
    """What `--for` asks: the recipe that costs least of `objective` at `accuracy_percent` (int8, held-out images)."""

    design: Design
    objective: Goal
    accuracy_percent: float
    limits: tuple[str, ...] = ()
    trainings: int = 3
    training: Training = field(default_factory=Training)


@dataclass(frozen=True)
class Tailored:
    """A recipe that was trained, what it costs on the design, and the accuracy of its int8 network (held out)."""

    request: Request
    wanted: Wanted
    place: Place
    outcome: compress.Outcome
    price: Price
    dense: Price
    accuracy_percent: float
    walk: Sequence[Place]
    layers: tuple[LayerRecord, ...] = ()

    @property
    def is_accurate(self) -> bool:
        """Whether it has the accuracy that was asked for."""
        return self.accuracy_percent >= self.request.accuracy_percent

    @property
    def is_small(self) -> bool:
        """Whether it is within the limits: training changes what is written by a little."""
        return not self.wanted.excess(self.price)

    def check(self) -> None:
        """Raise InputError unless it is what was asked for."""
        asked = self.request
        if not self.is_accurate:
            raise InputError(
                f"--accuracy must be lower: of {asked.trainings} trainings the best has "
                f"{self.accuracy_percent:.2f} %, not {asked.accuracy_percent:g}; it is what was written"
            )
        if not self.is_small:
            raise InputError(
                f"--limit must be larger: the recipe that is accurate takes {self.costs()} once it is trained; "
                "it is what was written"
            )

    def recipe_text(self) -> str:
        """The recipe as YAML, which `accel compress` repeats."""
        steps = self.place.setting.steps(self.request.training)
        return recipe_text(self.outcome.recipe, steps, self._comment(), self.formats)

    @property
    def formats(self) -> dict[str, Word]:
        """By name of layer, how the design reads it."""
        return {layer.name: layer.runs_as for layer in self.layers}

    def costs(self) -> str:
        """Its price in words."""
        return ", ".join(f"{value:,.5g} {UNITS[goal]}" for goal, value in self.price.items())

    def _comment(self) -> str:
        asked = self.request
        return (
            f"Chosen for the design {asked.design.name}: least {asked.objective} at {asked.accuracy_percent:g} %"
            f"{''.join(f', {text}' for text in asked.limits)}; {self.costs()}."
        )

    def record(self) -> dict[str, Any]:
        """As JSON has it, beside what `accel compress` writes of every recipe."""
        asked = self.request
        return {
            "design": asked.design.name,
            "objective": asked.objective,
            "limits": list(asked.limits),
            "accuracy_wanted_percent": asked.accuracy_percent,
            "accuracy_int8_percent": self.accuracy_percent,
            **{f"{goal}_{'uj' if goal == 'energy' else 'int8'}": value for goal, value in self.price.items()},
            "dense": dict(self.dense),
            "layers": [asdict(layer) for layer in self.layers],
            "walk": [
                {
                    "turned": str(place.turned or ""),
                    "to": place.setting.value(place.turned) if place.turned else None,
                    **place.price,
                    "formats": dict(place.setting.formats),
                    "loss": place.loss,
                    "accuracy_percent": place.accuracy_percent,
                }
                for place in self.walk
            ],
        }


def recipe_text(
    name: str, steps: list[dict[str, Any]], comment: str = "", formats: Mapping[str, Word] = AS_COMPILED
) -> str:
    """A recipe's YAML, which `accel.models.compress.recipe.parse` reads to the same steps and formats."""
    bodies = [{step["kind"]: {k: v for k, v in step.items() if k != "kind"}} for step in steps]
    text = f"# {comment}\n" if comment else ""
    whole = {"name": name} | ({"formats": dict(formats)} if formats else {}) | {"steps": bodies}
    return text + yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=110)


def tailor(
    network: Network, request: Request, images: Path, name: str, states: Path | None, seed: int,
    progress: Callable[[str], None], pixels: Pixels = UNIT,
) -> Tailored:  # fmt: skip
    """The trained recipe of least `objective` that is accurate, or the most accurate one if none is.

    A sixth of the training images is held out: all choices are made on it. How the design reads the weights is chosen
    once more of what was trained. Raises InputError for limits that the walk does not reach, and for what a step or the
    design refuses.
    """
    check_one_stretch(network)  # before a search that may take an hour
    data = own_data.read(images, network, validation=True, pixels=pixels)
    calibration = data.floats(data.train_images[:CALIBRATION])
    pricer = Pricer(request.design, calibration, frozenset(GOALS))
    dense = pricer.of(quantise(network, calibration))
    wanted = Wanted(request.objective, limits(request.limits, dense))
    brief = replace(BRIEF, shift=request.training.shift, mirror=request.training.mirror)
    guide = Guide(network, replace(pricer, goals=wanted.goals), data, seed, brief=brief)
    places = walk(guide, wanted, request.accuracy_percent, progress)
    candidates = [place for place in places[1:] if not wanted.excess(place.price)]
    if not candidates:
        raise InputError(_unreached(wanted, places))
    judged = Data(calibration, data.floats(data.judged_images), data.judged_labels, "held-out images")

    def outcome_of(place: Place, training: Training) -> compress.Outcome:
        text = recipe_text(name, place.setting.steps(training))
        for line in ("training:", *text.splitlines()):
            progress(line)
        chosen = recipe.parse(text, name)
        return compress.run(network, chosen, judged, images, states, seed, progress, validation=True, pixels=pixels)

    def trained(place: Place) -> Tailored:
        outcome, training = _slower_where_it_diverges(partial(outcome_of, place), request.training, progress)
        integer = quantise_compressed(outcome.network, calibration)
        accuracy = accuracy_percent(integer, judged)
        assert accuracy is not None
        settled = settle(pricer, wanted, integer, place.setting.formats, sweeps=SWEEPS)
        layers, asked = layer_records(integer, settled.formats), replace(request, training=training)
        found = Tailored(asked, wanted, place, outcome, settled.price, dense, accuracy, places, layers)
        progress(f"{found._comment()} accuracy held out: {accuracy:.2f} % in int8")
        return found

    return _bisect(candidates, request, trained)


def _slower_where_it_diverges(
    train: Callable[[Training], T], training: Training, progress: Callable[[str], None]
) -> tuple[T, Training]:
    """What `train` makes at the training's rate, or at a part of it, and the training that did not diverge."""
    *first, last = (replace(training, learning_rate=training.learning_rate * factor) for factor in SLOWER)
    for each in first:
        try:
            return train(each), each
        except Diverged as error:
            progress(f"{error}; once more at a lower rate")
    return train(last), last


def _bisect(candidates: Sequence[Place], request: Request, trained: Callable[[Place], Tailored]) -> Tailored:
    """The best of at most `request.trainings` trainings: further along the walk as long as they are accurate."""
    hopeful = [p for p in candidates if p.accuracy_percent >= request.accuracy_percent - SLACK_POINTS]
    at = candidates.index(hopeful[-1]) if hopeful else 0
    least, most, best = 0, len(candidates) - 1, None
    for _ in range(request.trainings):
        found = trained(candidates[at])
        if found.is_accurate:
            least = at + 1
        else:
            most = at - 1
        if best is None or _rank(found) > _rank(best):
            best = found
        if least > most:
            break
        at = (least + most + 1) // 2
    assert best is not None
    return best


def _rank(found: Tailored) -> tuple[bool, bool, float]:
    """What is within the limits and accurate is best, of those the one that costs least; then what is more accurate."""
    good = found.is_accurate
    cost = -found.price[found.request.objective]
    return good, found.is_small, cost if good else found.accuracy_percent


def _unreached(wanted: Wanted, places: Sequence[Place]) -> str:
    nearest = min(places, key=lambda place: wanted.excess(place.price))
    misses = [
        f"{goal} {limit:,.5g} (nearest: {nearest.price[goal]:,.5g})"
        for goal, limit in wanted.limits.items()
        if nearest.price[goal] > limit
    ]
    return (
        f"no setting that may keep the accuracy is within the limits {' and '.join(misses)}: "
        f"a short training leaves {nearest.accuracy_percent:.2f} % there"
    )


def files(out: Path) -> tuple[Path, ...]:
    """What `save` writes: those of `accel compress`, and the recipe."""
    return (*compress.files(out), out.with_suffix(".yaml"))


def save(found: Tailored, out: Path) -> None:
    """Write the `files`, together."""
    compress.save(found.outcome, out, {"for": found.record()}, {out.with_suffix(".yaml").name: found.recipe_text()})
