"""One training loop for everything that is trained: labels, logits of a teacher, soft targets; free, pruned or shared.

    labels    cross entropy of classes; mean square of the difference to values
    logits    mean square of the difference to the teacher's logits (Ba & Caruana, arXiv 1312.6184, equation 1)
    soft      (1 - h) * T^2 * cross entropy of softmax(logits / T) against softmax(teacher / T) + h * cross entropy of
              the labels (Hinton et al., arXiv 1503.02531, section 2), T the temperature and h the hard weight

Several teachers are an ensemble: the mean of their logits. These are computed once, before the first epoch, if there
are fewer ways to move and mirror an image than epochs. A run that was cut short goes on from its last epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accel.models.errors import InputError
from accel.models.graph import Network, Shape
from accel.models.training import fingerprint, judge, state
from accel.models.training.images import ImageSet, count, draw, floats, view
from accel.models.training.pixels import UNIT, Pixels
from accel.models.training.torch_module import module, network_of, products, torch
from accel.models.training.weight_modules import Keep

Array = NDArray[Any]
Progress = Callable[["Epoch"], None]
LOGITS_AT_ONCE = 1000


class Diverged(InputError):
    """The loss is no longer finite: the learning rate is too high."""


@dataclass(frozen=True)
class Schedule:
    """Stochastic gradient descent with Nesterov's momentum; the rate falls to 0 as a cosine over all steps.

    `optimiser` adam: AdamW instead (Loshchilov & Hutter, arXiv 1711.05101), whose steps do not depend on the size of
    gradients, without `momentum`. It suits networks whose batch normalisation is folded: gradients of their layers
    differ by orders of magnitude.
    `warm_up`: in so many epochs at the start the rate rises in a straight line, times the cosine.
    `shift`: training images move by up to so many pixels each way. `mirror`: half of them are mirrored.
    `bfloat16`: products of training are rounded to bfloat16 (sums, weights and tests stay float32) on a processor that
    has such instructions, where it is two to four times faster; on others, where it would be five to ten times slower,
    they are float32's (`torch_module.products`).
    """

    epochs: int
    learning_rate: float = 0.05
    batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 1e-4
    shift: int = 2
    mirror: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    bfloat16: bool = False
    warm_up: int = 0
    optimiser: Literal["sgd", "adam"] = "sgd"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"epochs must be at least 1, not {self.epochs}")
        if not 0 <= self.dropout < 0.99 or not 0 <= self.input_dropout < 0.99:
            raise InputError(f"dropout must be at least 0 and below 0.99, not {self.dropout} and {self.input_dropout}")
        if self.batch < 1 or self.learning_rate <= 0:
            raise InputError(f"batch and learning_rate must be above 0, not {self.batch} and {self.learning_rate}")


@dataclass(frozen=True)
class Target:
    """What is learnt; `teachers` only for "logits" and "soft"."""

    kind: Literal["labels", "logits", "soft"] = "labels"
    teachers: tuple[Network, ...] = ()
    temperature: float = 1.0
    hard_weight: float = 0.0

    def __post_init__(self) -> None:
        if (self.kind == "labels") != (not self.teachers):
            raise InputError(f"target {self.kind!r} must {'not ' if self.kind == 'labels' else ''}have teachers")
        if self.temperature <= 0 or not 0 <= self.hard_weight <= 1:
            raise InputError(
                f"temperature must be above 0 and hard_weight 0..1, not {self.temperature} and {self.hard_weight}"
            )


@dataclass(frozen=True)
class Epoch:
    """What one epoch reached: mean training loss and what `judge.percent` says of the images that judge."""

    number: int
    epochs: int
    loss: float
    accuracy_percent: float

    def __str__(self) -> str:
        return f"epoch {self.number} of {self.epochs}: loss {self.loss:.4f}, accuracy {self.accuracy_percent:.2f} %"


@dataclass
class _Run:
    """What lives while a network trains."""

    data: ImageSet
    schedule: Schedule
    target: Target
    module: Any
    optimiser: Any
    rate: Any
    teachers: list[Any] = field(default_factory=list)
    known: Any = None  # the teachers' logits for every view and training image, where that pays

    def state(self) -> dict[str, Any]:
        return {"module": self.module, "optimiser": self.optimiser, "rate": self.rate}


LABELS = Target()
_LAST: dict[tuple[Any, ...], Any] = {}  # what teachers say of all views: of one run, the last


def fit(
    network: Network, data: ImageSet, schedule: Schedule, target: Target = LABELS, keep: Keep = "nothing",
    seed: int = 0, state_file: Path | None = None, progress: Progress | None = None,
) -> Network:  # fmt: skip
    """`network` trained on `data`. `keep`: what training leaves alone, see `accel.models.training.weight_modules`.

    With `state_file` the whole state is saved there after each epoch, a second call with equal arguments goes on from
    it, and it is removed at the end. `progress` is called after each epoch.

    Raises InputError without torch, for images that do not fit the network, for a state of another run, and when the
    loss is no longer finite.
    """
    package = torch()
    _check(network, data, schedule, target)
    package.manual_seed(seed)
    trained = module(network, keep, schedule.dropout, schedule.input_dropout)
    optimiser = _optimiser(trained, schedule)
    rate = package.optim.lr_scheduler.LambdaLR(optimiser, _rate(schedule, len(data.train_labels)))
    run = _Run(data, schedule, target, trained, optimiser, rate, [module(t).eval() for t in target.teachers])
    if run.teachers and count(schedule.shift, schedule.mirror) <= schedule.epochs:
        run.known = _known(run)
    described = describe(network, data, schedule, target, keep, seed) if state_file else {}
    done = state.resume(state_file, described, run.state()) if state_file else 0
    for epoch in range(done, schedule.epochs):
        # Each epoch draws from a seed of its own, so a resumed run sees the same batches as an unbroken one.
        loss = _epoch(run, np.random.default_rng([seed, epoch]))
        if not math.isfinite(loss):
            raise Diverged(
                f"{network.name}: the loss is {loss} in epoch {epoch + 1}: "
                f"learning_rate must be lower than {schedule.learning_rate}"
            )
        if state_file:
            state.save(state_file, described, epoch + 1, run.state())
        if progress:
            accuracy = accuracy_percent(trained, data.judged_images, data.judged_labels, data.pixels)
            progress(Epoch(epoch + 1, schedule.epochs, loss, accuracy))
    if state_file:
        state_file.unlink(missing_ok=True)
    return network_of(trained.eval())


def _optimiser(trained: Any, schedule: Schedule) -> Any:
    package, rate, decay = torch(), schedule.learning_rate, schedule.weight_decay
    if schedule.optimiser == "adam":
        return package.optim.AdamW(trained.parameters(), lr=rate, weight_decay=decay, fused=True)
    return package.optim.SGD(
        trained.parameters(), lr=rate, momentum=schedule.momentum, weight_decay=decay,
        nesterov=schedule.momentum > 0, fused=True,
    )  # fmt: skip


def _rate(schedule: Schedule, images: int) -> Callable[[int], float]:
    """The learning rate of a step, as a part of the schedule's."""
    epoch = max(1, images // schedule.batch)
    steps, rising = schedule.epochs * epoch, schedule.warm_up * epoch

    def rate(step: int) -> float:
        return min(1, (step + 1) / (rising + 1)) * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    return rate


def _check(network: Network, data: ImageSet, schedule: Schedule, target: Target) -> None:
    """Raise InputError unless network, images, labels and teachers belong together."""
    images, read = data.floats(data.train_images[:1]).shape[1:], network.shapes[network.input]
    if read != images:
        raise InputError(f"{network.name}: input of a network that trains on these images must be {images}, not {read}")
    outputs, shape = _outputs(network), network.shapes[network.output]
    for labels in (data.train_labels, data.judged_labels):
        judge.check(network.name, shape, labels)
    if (schedule.shift or schedule.mirror) and (data.train_images.ndim < 3 or _says_where(data.train_labels, shape)):
        raise InputError(
            f"{network.name}: shift and mirror must be 0 and false unless images have one label each: images move, "
            "and labels of places do not"
        )
    if target.kind == "soft" and (data.train_labels.ndim != 1 or data.train_labels.dtype.kind == "f"):
        raise InputError(
            f"{network.name}: soft targets must be of one class an input, not of {data.train_labels.shape}"
        )
    for teacher in target.teachers:
        theirs = teacher.shapes[teacher.input], _outputs(teacher)
        if theirs != (read, outputs):
            raise InputError(
                f"teacher {teacher.name} must have input {read} and {outputs} outputs, as what it teaches, "
                f"not {theirs[0]} and {theirs[1]}"
            )


def _says_where(labels: Array, shape: Shape) -> bool:
    """Whether labels of outputs of `shape` belong to places of the input."""
    return labels.ndim > 1 and math.prod(judge.classes_and_places(shape)[1]) > 1


def _outputs(network: Network) -> int:
    return math.prod(network.shapes[network.output])


def describe(
    network: Network, data: ImageSet, schedule: Schedule, target: Target = LABELS, keep: Keep = "nothing",
    seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """What tells one training from another, by name; all values are numbers, strings and truth values."""
    described = {"network": network.name, "parameters": network.parameters, "seed": seed, "keep": keep}
    how = asdict(schedule)
    if schedule.optimiser == "sgd":
        del how["optimiser"]  # so that networks from before there was another one are known again
    described |= how | {"target": f"{target.kind} {target.temperature} {target.hard_weight}"}
    described |= {"teachers": ", ".join(t.name for t in target.teachers)}
    return described | {
        "weights": fingerprint.of_networks(network, *target.teachers), "images": data.training_digest
    }  # fmt: skip


def _epoch(run: _Run, random: np.random.Generator) -> float:
    """One pass over the training set; the mean loss."""
    package, schedule = torch(), run.schedule
    run.module.train()
    package.manual_seed(int(random.integers(1 << 62)) if schedule.dropout or schedule.input_dropout else 0)
    order = random.permutation(len(run.data.train_labels))
    batch = min(schedule.batch, len(order))
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        chosen = order[start : start + batch]
        views = draw(random, batch, schedule.shift, schedule.mirror)
        images = view(run.data.train_images[chosen], views, schedule.shift, schedule.mirror)
        wanted = None if run.known is None else run.known[views, chosen]
        with products(schedule.bfloat16):
            loss = _loss(run, inputs(images, run.data.pixels), run.data.train_labels[chosen], wanted)
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        run.rate.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _loss(run: _Run, images: Any, labels: Array, wanted: Any) -> Any:
    """The target's loss of one batch; `wanted` is the teachers' logits, None to compute them."""
    package, target = torch(), run.target
    functional = package.nn.functional
    outputs = run.module(images).float()
    if target.kind == "labels":
        if labels.dtype.kind == "f":
            return functional.mse_loss(outputs, package.from_numpy(labels))
        return functional.cross_entropy(judge.by_class(outputs, labels), package.from_numpy(labels.astype(np.int64)))
    logits = outputs.flatten(1)
    if wanted is None:
        wanted = _mean_logits(run.teachers, images)
    if target.kind == "logits":
        return functional.mse_loss(logits, wanted)
    temperature = target.temperature
    classes = package.from_numpy(labels.astype(np.int64))
    soft = functional.cross_entropy(logits / temperature, (wanted / temperature).softmax(1)) * temperature**2
    return (1 - target.hard_weight) * soft + target.hard_weight * functional.cross_entropy(logits, classes)


def _mean_logits(teachers: list[Any], images: Any) -> Any:
    """The mean of the teachers' logits (n, classes), without gradients."""
    with torch().no_grad():
        return torch().stack([teacher(images).flatten(1).float() for teacher in teachers]).mean(0)


def mean_logits(networks: tuple[Network, ...], images: Array, pixels: Pixels = UNIT) -> Array:
    """The mean of the networks' logits for images as an `ImageSet` has them: (n, classes). Raises InputError."""
    modules = [module(network).eval() for network in networks]
    starts = range(0, len(images), LOGITS_AT_ONCE)
    parts = [_mean_logits(modules, inputs(images[i : i + LOGITS_AT_ONCE], pixels)).numpy() for i in starts]
    return np.concatenate(parts)


def _known(run: _Run) -> Any:
    """`_known_logits` of the run, which the next one may have as well: many students have one teacher."""
    schedule = run.schedule
    digests = fingerprint.of_networks(*run.target.teachers), run.data.training_digest
    key = (*digests, schedule.shift, schedule.mirror, schedule.bfloat16)
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = _known_logits(run)
    return _LAST[key]


def _known_logits(run: _Run) -> Any:
    """`_mean_logits` of all training images in all views: (views, n, classes)."""
    schedule, images = run.schedule, run.data.train_images
    known = []
    for number in range(count(schedule.shift, schedule.mirror)):
        parts = []
        for start in range(0, len(images), LOGITS_AT_ONCE):
            part = images[start : start + LOGITS_AT_ONCE]
            seen = view(part, np.full(len(part), number), schedule.shift, schedule.mirror)
            with products(schedule.bfloat16):
                parts.append(_mean_logits(run.teachers, inputs(seen, run.data.pixels)))
        known.append(torch().cat(parts))
    return torch().stack(known)


def inputs(images: Array, pixels: Pixels = UNIT) -> Any:
    """Images of an `ImageSet` with these `pixels` as torch floats (n, *input shape)."""
    return torch().from_numpy(floats(images, pixels))


def accuracy_of(network: Network, images: Array, labels: Array, pixels: Pixels = UNIT) -> float:
    """What `judge.percent` says of the network's outputs for images of an `ImageSet`."""
    return accuracy_percent(module(network), images, labels, pixels)


def accuracy_percent(trained: Any, images: Array, labels: Array, pixels: Pixels = UNIT) -> float:
    """What `judge.percent` says of the module's outputs."""
    package = torch()
    trained.eval()
    with package.no_grad():
        starts = range(0, len(images), LOGITS_AT_ONCE)
        parts = [trained(inputs(images[i : i + LOGITS_AT_ONCE], pixels)) for i in starts]
    return judge.percent(package.cat(parts).numpy(), labels)
