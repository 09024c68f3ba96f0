"""What the steps of a recipe have in common: training after their arithmetic, and what they may use for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from accel.models.codebook import is_shared
from accel.models.compress.prune import matrix_layers
from accel.models.errors import InputError
from accel.models.exchange import onnx_read, onnx_write
from accel.models.files import PARTS
from accel.models.graph import Network
from accel.models.grid import grid_of
from accel.models.training import fingerprint
from accel.models.training.fit import Epoch, Schedule, Target, accuracy_of, fit
from accel.models.training.images import LARGEST_SHIFT, ImageSet
from accel.models.training.weight_modules import Keep

__all__ = ["Context"]

Report = dict[str, Any]
Resolve = Callable[[str], Network]
SPOILT = "training made the network less accurate, so it stays as it was: try a lower learning_rate"


def _unknown(name: str) -> Network:
    raise InputError(f"network {name!r} is not known here")


@dataclass(frozen=True)
class Context:
    """What steps may use: images to train on, where states of interrupted trainings lie, who is told of progress.

    `resolve` gives the network of a name or file (teachers, students). What a training makes worse stays as it was
    (`TrainingStep.train`), of which `spoilt` is told; with `keeps_better` false it is taken as it is.
    """

    data: ImageSet | None = None
    state_folder: Path | None = None
    seed: int = 0
    progress: Callable[[str], None] = field(default=lambda _: None)
    resolve: Resolve = _unknown
    spoilt: Callable[[str], None] = field(default=lambda _: None)
    keeps_better: bool = True


class Checked(BaseModel):
    """A frozen step. A truth value is no number, although Python and YAML would take it for one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            of_truth = name in cls.model_fields and cls.model_fields[name].annotation is bool
            if not of_truth and any(isinstance(one, bool) for one in inside):
                raise ValueError(f"{name} must hold no truth values, and does")
        return values


class TrainingStep(Checked):
    """A step that can train the network after its arithmetic; with `epochs` 0 it does not."""

    epochs: int = Field(default=0, ge=0, le=1000)
    learning_rate: float = Field(default=0.02, gt=0)
    batch: int = Field(default=64, ge=1)
    shift: int = Field(default=0, ge=0, le=LARGEST_SHIFT)
    mirror: bool = False
    optimiser: Literal["sgd", "adam"] = "sgd"
    weight_decay: float = Field(default=1e-5, ge=0)
    target: Literal["labels", "soft", "logits"] = "labels"
    teacher: str | tuple[str, ...] = ()  # of soft targets and logits, several are an ensemble; none: see `train`
    temperature: float = Field(default=4.0, gt=0)
    hard_weight: float = Field(default=0.1, ge=0, le=1)
    bfloat16: bool = False

    @model_validator(mode="after")
    def _teacher_is_heard(self) -> TrainingStep:
        if self.teacher and self.target == "labels":
            raise ValueError("teacher must come with target soft or logits, not labels")
        return self

    def train(
        self, network: Network, original: Network, context: Context, label: str, epochs: int, keep: Keep | None = None
    ) -> Network:
        """`network` after some epochs towards the step's target. Raises InputError without data.

        Without a `teacher`, `original` teaches: the network that the recipe began with. Without `keep`, what earlier
        steps made of the network stays: its zeros, and its shared weights.

        Where the trained network is less accurate than `network` on the images that may choose (`ImageSet.choosing`),
        `network` is returned.
        """
        if not epochs:
            return network
        if context.data is None:
            raise InputError(f"step {label} trains for {epochs} epochs: give what to learn from (--data)")
        keep = keep or form_of(network)
        target = Target()
        if self.target != "labels":
            named = (self.teacher,) if isinstance(self.teacher, str) else self.teacher
            teachers = tuple(context.resolve(name) for name in named) or (original,)
            target = Target(self.target, teachers, self.temperature, self.hard_weight)
        schedule = Schedule(
            epochs, self.learning_rate, self.batch, weight_decay=self.weight_decay, shift=self.shift,
            mirror=self.mirror, bfloat16=self.bfloat16, optimiser=self.optimiser,
        )  # fmt: skip
        done = None
        if context.state_folder:
            # What a training begins with names its result: an interrupted recipe finds the trainings that are done.
            begins = fingerprint.of_settings(
                fingerprint.of_networks(network, *target.teachers), context.data.training_digest,
                schedule, self.target, self.temperature, self.hard_weight, keep, context.seed, context.keeps_better,
            )  # fmt: skip
            done = context.state_folder / f"{label}-{begins}.onnx"
            if done.exists():
                found = replace(onnx_read.read(done), name=network.name)
                if _same_weights(found, network):
                    context.spoilt(f"{label}: {SPOILT}")
                return found

        def show(epoch: Epoch) -> None:
            context.progress(f"{label}: {epoch}")

        state = done.with_suffix(".state") if done else None
        trained = fit(network, context.data, schedule, target, keep, context.seed, state, show)
        if context.keeps_better:
            images, labels = context.data.choosing
            before, after = (accuracy_of(one, images, labels, context.data.pixels) for one in (network, trained))
            if not after >= before:
                context.progress(f"{label}: accuracy {before:.2f} % before, {after:.2f} % behind: it stays as it was")
                context.spoilt(f"{label}: {SPOILT}")
                trained = network
        if done:
            onnx_write.write(trained, done)
        return trained


def _same_weights(one: Network, other: Network) -> bool:
    pairs = zip(matrix_layers(one), matrix_layers(other), strict=True)
    return all(np.array_equal(a.weights, b.weights) and np.array_equal(a.bias, b.bias) for a, b in pairs)


def form_of(network: Network) -> Keep:
    """What training must keep: "values" if a layer is shared or on a grid, else "zeros"."""
    layers = matrix_layers(network)
    kept = any(is_shared(layer.weights) or grid_of(layer.weights) is not None for layer in layers)
    return "values" if kept else "zeros"


def forget(state_folder: Path) -> None:
    """Remove what trainings left in the folder, and the folder if nothing else is there."""
    begun = f"[0-9]*-{'[0-9a-f]' * fingerprint.DIGITS}"
    for pattern in (f"{begun}.onnx", f"{begun}.state", PARTS):
        for path in state_folder.glob(pattern):
            path.unlink()
    with suppress(OSError):
        state_folder.rmdir()
