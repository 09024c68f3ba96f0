"""The walk from the dense network: each step turns the knob that costs least accuracy for what it saves.

What a step saves is exact: the recipe is applied without training, priced by the simulator and the encoder. What it
costs is a proxy: the recipe with a short training (`SHORT` images, once), and the cross entropy on images that are held
out. Both are measured together with all knobs as they stand, so that layers which lean on each other show it. Only what
may be the best step is measured anew: what a knob was worth before is taken as a bound (lazy greedy, Minoux 1978),
which is exact where losses grow as others are turned.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from accel.flow.tailor.formats import settle
from accel.flow.tailor.knobs import JUMPS, Knob, Setting, Training, knobs
from accel.flow.tailor.price import GOALS, UNITS, Price, Pricer, Wanted
from accel.models.compress import recipe
from accel.models.compress.training_step import Context
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import DENSE
from accel.models.reference import float32
from accel.models.training.fit import Diverged
from accel.models.training.images import ImageSet

SHORT = 1600  # images of a short training
JUDGED = 2000  # held-out images on which it is judged
LEAST_LOSS = 5e-4  # cross entropy: what two short trainings differ by without a reason
HOPELESS_POINTS = 2.0  # below the wanted accuracy, after a short training
SLOWER = (1, 0.3, 0.1)  # parts of the learning rate, one after the other where a training diverges
NONE, BRIEF = Training(0, 0, 0, share=0), Training(0, 1, 0, 1, 0)


@dataclass(frozen=True)
class Place:
    """A place of the walk: the knobs, what they cost on the design, and the proxy of what they cost in accuracy."""

    setting: Setting
    price: Price
    loss: float
    accuracy_percent: float
    turned: Knob | None = None


@dataclass(frozen=True)
class Guide:
    """What judges places: exact prices, and short trainings on `images`, of which some judge."""

    network: Network
    pricer: Pricer
    images: ImageSet
    seed: int = 0
    brief: Training = field(default=BRIEF, kw_only=True)

    def price(self, setting: Setting, wanted: Wanted, turned: Knob | None = None) -> tuple[Setting, Price]:
        """Of the recipe, untrained; with it the setting whose formats cost least.

        Tried are those of the layer that was `turned`, or of all. Raises InputError for what does not fit the design.
        """
        network, _ = recipe.apply(setting.recipe("walk", NONE), self.network, Context(seed=self.seed))
        only = [part for part, name in setting.parts.items() if name == turned.layer] if turned else None
        found = settle(self.pricer, wanted, self.pricer.integer(network), setting.formats, only)
        return replace(setting, formats=found.formats), found.price

    def settled(self, place: Place, wanted: Wanted) -> Place:
        """The place with the formats of all layers that cost least there: outputs stay, and so what it loses."""
        setting, price = self.price(place.setting, wanted)
        return replace(place, setting=setting, price=price)

    def place(self, setting: Setting, price: Price, turned: Knob | None = None) -> Place:
        """The setting with its price and the proxy. A training that diverges is tried slower; raises Diverged."""
        *rates, last = (self.brief.learning_rate * factor for factor in SLOWER)
        for rate in rates:
            with suppress(Diverged):
                return self._place(setting, price, turned, replace(self.brief, learning_rate=rate))
        return self._place(setting, price, turned, replace(self.brief, learning_rate=last))

    def _place(self, setting: Setting, price: Price, turned: Knob | None, training: Training) -> Place:
        context = Context(self._few, seed=self.seed, keeps_better=False)  # a proxy: what training does to it
        # The prune step is there, with nothing dropped, where no density is turned: every place trains as long.
        steps = setting.steps(training)
        if not any(step["kind"] == "prune" for step in steps):
            at = next(index for index, step in enumerate(steps) if step["kind"] in ("grid", "share"))
            steps.insert(at, {"kind": "prune", "density": {}} | training.fields(1))
        chosen = recipe.Recipe.model_validate({"name": "walk", "steps": steps})
        network, _ = recipe.apply(chosen, self.network, context)
        loss, accuracy = _judge(network, self._few)
        return Place(setting, price, loss, accuracy, turned)

    @property
    def _few(self) -> ImageSet:
        images = self.images
        return replace(
            images, train_images=images.train_images[:SHORT], train_labels=images.train_labels[:SHORT],
            judged_images=images.judged_images[:JUDGED], judged_labels=images.judged_labels[:JUDGED],
        )  # fmt: skip


def _judge(network: Network, images: ImageSet) -> tuple[float, float]:
    """Mean cross entropy and accuracy in percent on the images that judge."""
    inputs = images.floats(images.judged_images)
    logits = float32.run(network, inputs).reshape(len(inputs), -1).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    classes = images.judged_labels.astype(np.int64)
    of_class = logits[np.arange(len(classes)), classes]
    loss = float((np.log(np.exp(logits).sum(1)) - of_class).mean())
    return loss, float((logits.argmax(1) == classes).mean() * 100)


def walk(
    guide: Guide, wanted: Wanted, accuracy_percent: float, progress: Callable[[str], None] = lambda _: None
) -> list[Place]:
    """Places from dense on, each with one knob turned further, until accuracy is out of reach or nothing saves more.

    Raises InputError for a network without a knob.
    """
    turnable = knobs(guide.network)
    if not turnable:
        raise InputError(f"{guide.network.name}: network must have a layer with weights to compress, and has none")
    here = guide.place(*guide.price(Setting(guide.network, {}), wanted))
    progress(_line(here, wanted))
    found = [here]
    # (minus what a step is worth, when it was measured, its knob and notches): heapq gives the smallest.
    queue = [(-np.inf, -1, knob, jump) for knob in turnable for jump in JUMPS[knob.kind]]
    while here.accuracy_percent >= accuracy_percent - HOPELESS_POINTS:
        measured: dict[tuple[Knob, int], Place] = {}
        best: Place | None = None
        heapq.heapify(queue)
        while queue:
            worth, when, knob, jump = heapq.heappop(queue)
            if when == len(found):
                best = measured.get((knob, jump))
                queue.append((worth, when, knob, jump))
                break
            setting = here.setting.turned(knob, jump)
            if setting is None:
                continue
            worth, place = _worth(guide, wanted, here, setting, knob)
            if place is not None:
                measured[knob, jump] = place
            heapq.heappush(queue, (-worth, len(found), knob, jump))
        if best is None or not wanted.saved(here.price, best.price) > 0:
            break
        here = guide.settled(best, wanted)
        found.append(here)
        progress(_line(here, wanted))
    return found


def _worth(guide: Guide, wanted: Wanted, here: Place, setting: Setting, knob: Knob) -> tuple[float, Place | None]:
    """What a step saves over what it loses, and where it leads; no place if it saves nothing."""
    try:
        setting, price = guide.price(setting, wanted, knob)
    except InputError:  # what the design cannot hold, or ranks that a layer does not have
        return -np.inf, None
    saved = wanted.saved(here.price, price)
    if saved <= 0:
        return saved, None
    try:
        place = guide.place(setting, price, knob)
    except Diverged:  # nothing that a training could mend
        return -np.inf, None
    return saved / max(place.loss - here.loss, LEAST_LOSS), place


def _line(place: Place, wanted: Wanted) -> str:
    """What is told of a place."""
    turned = f"{place.turned} to {place.setting.value(place.turned):g}" if place.turned else "as it is"
    costs = ", ".join(f"{place.price[goal]:,.4g} {UNITS[goal]}" for goal in GOALS if goal in wanted.goals)
    dense = [name for name, word in place.setting.formats.items() if word in DENSE]
    read = f"; read as dense: {', '.join(dense)}" if dense else ""
    return f"{turned}: {costs}; {place.accuracy_percent:.2f} % held out after a short training{read}"
