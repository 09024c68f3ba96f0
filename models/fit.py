"""One training loop for everything that is trained: labels, logits of a teacher, soft targets; free, pruned or shared.

    labels    cross entropy
    logits    mean square of the difference to the teacher's logits (Ba & Caruana, arXiv 1312.6184, equation 1)
    soft      (1 - h) * T^2 * cross entropy of softmax(logits / T) against softmax(teacher / T) + h * cross entropy of
              the labels (Hinton et al., arXiv 1503.02531, section 2), T the temperature and h the hard weight

Several teachers are an ensemble: the mean of their logits. A run that was cut short goes on from its last epoch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.graph import Network
from models.idx import read_idx
from models.torch_module import Keep, module, network_of, torch

Array = NDArray[Any]
Progress = Callable[["Epoch"], None]
LOGITS_AT_ONCE = 1000


@dataclass(frozen=True)
class ImageSet:
    """Grey images (n, height, width) uint8 and their classes (n,) uint8, for training and for testing."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array


@dataclass(frozen=True)
class Schedule:
    """Stochastic gradient descent with Nesterov's momentum; the rate falls to 0 as a cosine over all steps.

    `shift`: training images move by up to so many pixels each way. `mirror`: half of them are mirrored.
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

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"epochs must be at least 1, not {self.epochs}")
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
    """What one epoch reached: mean training loss and accuracy on the test set (percent)."""

    number: int
    epochs: int
    loss: float
    accuracy_percent: float


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

    def state(self) -> dict[str, Any]:
        return {"module": self.module, "optimiser": self.optimiser, "rate": self.rate}


LABELS = Target()


def fit(
    network: Network, data: ImageSet, schedule: Schedule, target: Target = LABELS, keep: Keep = "nothing",
    seed: int = 0, state_file: Path | None = None, progress: Progress | None = None,
) -> Network:  # fmt: skip
    """`network` trained on `data`. `keep`: what of it training leaves alone, see `models.torch_module`.

    With `state_file` the whole state is saved there after each epoch, a second call with equal arguments goes on from
    it, and it is removed at the end. `progress` is called after each epoch.

    Raises InputError without torch, for images that do not fit the network, and for a state of another run.
    """
    package = torch()
    height_width = network.shapes[network.input][1:]
    if data.train_images.shape[1:] != height_width:
        raise InputError(f"{network.name}: images must be {height_width}, not {data.train_images.shape[1:]}")
    package.manual_seed(seed)
    trained = module(network, keep, schedule.dropout, schedule.input_dropout)
    optimiser = package.optim.SGD(
        trained.parameters(), lr=schedule.learning_rate, momentum=schedule.momentum,
        weight_decay=schedule.weight_decay, nesterov=schedule.momentum > 0,
    )  # fmt: skip
    steps = schedule.epochs * max(1, len(data.train_labels) // schedule.batch)
    rate = package.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
    )
    run = _Run(data, schedule, target, trained, optimiser, rate, [module(t).eval() for t in target.teachers])
    described = {"network": network.name, "seed": seed, "keep": keep} | asdict(schedule)
    described |= {"target": f"{target.kind} {target.temperature} {target.hard_weight}"}
    described["teachers"] = ", ".join(t.name for t in target.teachers)
    done = _resume(state_file, described, run.state()) if state_file else 0
    for epoch in range(done, schedule.epochs):
        # Each epoch draws from a seed of its own, so a resumed run sees the same batches as an unbroken one.
        loss = _epoch(run, np.random.default_rng([seed, epoch]))
        if state_file:
            _save(state_file, described, epoch + 1, run.state())
        if progress:
            accuracy = accuracy_percent(trained, data.test_images, data.test_labels)
            progress(Epoch(epoch + 1, schedule.epochs, loss, accuracy))
    if state_file:
        state_file.unlink(missing_ok=True)
    return network_of(trained)


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
        images = shift(run.data.train_images[chosen], random, schedule.shift)
        if schedule.mirror:
            mirrored = random.random(len(images)) < 0.5
            images = np.where(mirrored[:, None, None], images[:, :, ::-1], images)
        loss = _loss(run, inputs(images), run.data.train_labels[chosen])
        run.optimiser.zero_grad()
        loss.backward()
        run.optimiser.step()
        run.rate.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _loss(run: _Run, images: Any, labels: Array) -> Any:
    package, target = torch(), run.target
    functional = package.nn.functional
    logits = run.module(images)
    classes = package.from_numpy(labels.astype(np.int64))
    if target.kind == "labels":
        return functional.cross_entropy(logits, classes)
    with package.no_grad():
        wanted = package.stack([teacher(images) for teacher in run.teachers]).mean(0)
    if target.kind == "logits":
        return functional.mse_loss(logits, wanted)
    temperature = target.temperature
    soft = functional.cross_entropy(logits / temperature, (wanted / temperature).softmax(1)) * temperature**2
    return (1 - target.hard_weight) * soft + target.hard_weight * functional.cross_entropy(logits, classes)


def shift(images: Array, random: np.random.Generator, most: int) -> Array:
    """Each of `images` (n, height, width) moved by up to `most` pixels each way, zeros moving in."""
    if not most:
        return images
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    dy, dx = random.integers(0, 2 * most + 1, (2, n))
    rows = dy[:, None] + np.arange(height)
    columns = dx[:, None] + np.arange(width)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def inputs(images: Array) -> Any:
    """Images (n, height, width) uint8 as torch floats (n, 1, height, width), pixel / 255."""
    return torch().from_numpy(images[:, None].astype(np.float32) / np.float32(255))


def accuracy_percent(trained: Any, images: Array, labels: Array) -> float:
    """Percent of images whose largest logit is the label's."""
    package = torch()
    trained.eval()
    with package.no_grad():
        parts = [trained(inputs(images[i : i + LOGITS_AT_ONCE])) for i in range(0, len(images), LOGITS_AT_ONCE)]
    return float((package.cat(parts).flatten(1).argmax(1).numpy() == labels).mean() * 100)


def read_images(folder: str | Path) -> ImageSet:
    """The four IDX files of MNIST or Fashion-MNIST in `folder`, as they are or gzipped. Raises InputError."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    arrays = []
    for name in names:
        plain = Path(folder) / f"{name}-ubyte"
        packed = plain.with_name(plain.name + ".gz")
        arrays.append(read_idx(packed if packed.exists() and not plain.exists() else plain))
    for part, images, labels in zip(("train", "test"), arrays[::2], arrays[1::2], strict=True):
        if images.shape != (len(labels), 28, 28) or not len(labels) or labels.max(initial=0) > 9:
            raise InputError(f"{folder}: {part} set must be images of 28 x 28 with labels 0..9, not {images.shape}")
    return ImageSet(*arrays)


def _save(path: Path, described: dict[str, Any], done: int, parts: dict[str, Any]) -> None:
    """Write the state after `done` epochs; a crash leaves the former state in place."""
    part = path.with_name(path.name + ".part")
    try:
        torch().save({"run": described, "done": done} | {k: v.state_dict() for k, v in parts.items()}, part)
        os.replace(part, path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} cannot be written: {error}") from None


def _resume(path: Path, described: dict[str, Any], parts: dict[str, Any]) -> int:
    """Load the state into `parts` if there is one; the number of epochs that are done."""
    if not path.exists():
        return 0
    try:
        state = torch().load(path, weights_only=True)
        saved, done = state["run"], int(state["done"])
    except Exception:  # torch raises many kinds for a damaged file
        raise InputError(f"{path} must be a state of an earlier run, and is damaged: remove it") from None
    if saved != described:
        raise InputError(f"{path} belongs to another run ({saved}): remove it, or name another output")
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return done
