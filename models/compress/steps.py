"""The steps of a recipe: what each is asked, and what it does to a Network.

Every step is a frozen value with `apply(network, context) -> (network, report)`. Steps with `epochs` train, which needs
the context's data; without epochs they are arithmetic on weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models import onnx_read, onnx_write, reference_float
from models.compress import cluster, prune, tucker
from models.compress.channels import drop_channels, macs
from models.compress.prune import matrix_layers
from models.errors import InputError
from models.fit import Epoch, Schedule, Target, fit
from models.graph import Network
from models.images import ImageSet
from models.torch_module import Keep

SCANNED = 2000  # training images on which a sensitivity scan measures
Report = dict[str, Any]
PerLayer = dict[str, float]
Resolve = Callable[[str], Network]


def _unknown(name: str) -> Network:
    raise InputError(f"network {name!r} is not known here")


@dataclass(frozen=True)
class Context:
    """What steps may use: images to train on, where states of interrupted trainings lie, who is told of progress.

    `resolve` gives the network of a name or file (teachers, students).
    """

    data: ImageSet | None = None
    state_folder: Path | None = None
    seed: int = 0
    progress: Callable[[str], None] = field(default=lambda _: None)
    resolve: Resolve = _unknown


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    epochs: int = Field(default=0, ge=0, le=1000)
    learning_rate: float = Field(default=0.02, gt=0)
    batch: int = Field(default=64, ge=1)
    shift: int = Field(default=2, ge=0, le=8)
    weight_decay: float = Field(default=1e-5, ge=0)
    target: Literal["labels", "soft", "logits"] = "labels"
    teacher: str | tuple[str, ...] = ()  # of soft targets and logits, several are an ensemble; none: see `train`
    temperature: float = Field(default=4.0, gt=0)
    hard_weight: float = Field(default=0.1, ge=0, le=1)
    bfloat16: bool = False

    def train(
        self, network: Network, original: Network, context: Context, label: str, epochs: int, keep: Keep
    ) -> Network:
        """`network` after some epochs towards the step's target. Raises InputError without data.

        Without a `teacher`, `original` teaches: the network that the recipe began with.
        """
        if not epochs:
            return network
        if context.data is None:
            raise InputError(f"step {label} trains for {epochs} epochs: give a folder of images (--data)")
        target = Target()
        if self.target != "labels":
            named = (self.teacher,) if isinstance(self.teacher, str) else self.teacher
            teachers = tuple(context.resolve(name) for name in named) or (original,)
            target = Target(self.target, teachers, self.temperature, self.hard_weight)
        schedule = Schedule(
            epochs, self.learning_rate, self.batch, weight_decay=self.weight_decay, shift=self.shift,
            bfloat16=self.bfloat16,
        )  # fmt: skip
        done = None
        if context.state_folder:
            # What a training begins with names its result: an interrupted recipe finds the trainings that are done.
            settings: list[object] = [schedule, self.target, self.temperature, self.hard_weight, keep, context.seed]
            begins = _fingerprint((network, *target.teachers), settings)
            done = context.state_folder / f"{label}-{begins}.onnx"
            if done.exists():
                return replace(onnx_read.read(done), name=network.name)

        def show(epoch: Epoch) -> None:
            context.progress(
                f"{label}: epoch {epoch.number} of {epoch.epochs}: loss {epoch.loss:.4f}, "
                f"accuracy {epoch.accuracy_percent:.2f} %"
            )

        state = done.with_suffix(".state") if done else None
        trained = fit(network, context.data, schedule, target, keep, context.seed, state, show)
        if done:
            onnx_write.write(trained, done)
        return trained


def _fingerprint(networks: tuple[Network, ...], settings: list[object]) -> str:
    """Sixteen hex digits of the networks' weights and some settings."""
    digest = sha256(repr(settings).encode())
    for layer in (layer for network in networks for layer in matrix_layers(network)):
        digest.update(layer.name.encode() + layer.weights.tobytes() + layer.bias.tobytes())
    return digest.hexdigest()[:16]


def per_layer(network: Network, given: float | Mapping[str, float]) -> dict[str, float]:
    """A number for every layer with weights, or the layers that are named."""
    if isinstance(given, Mapping):
        return dict(given)
    return {layer.name: given for layer in matrix_layers(network)}


class Prune(_Step):
    """Magnitude pruning, in `rounds` that drop more and more, with retraining after each.

    What stays: `density` of all weights of each layer (a number is for every layer, or, with a `scan`, for all weights
    together: the layers' densities follow from a sensitivity scan at the densities of `scan`, measured on training
    images); or weights of at least `threshold` standard deviations; or `n` of `m` neighbours.
    """

    kind: Literal["prune"] = "prune"
    density: float | PerLayer = 0.1
    scan: tuple[float, ...] = ()
    threshold: PerLayer = Field(default_factory=dict)
    rounds: int = Field(default=1, ge=1, le=20)
    n: int = 0
    m: int = 0

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Zeros in the layers named."""
        wanted = self._densities(network, context)
        for index in range(self.rounds):
            share = (index + 1) / self.rounds
            if self.n or self.m:
                network = prune.n_of_m(network, self.n, self.m)
            elif self.threshold:
                network = prune.to_threshold(network, {name: share * q for name, q in self.threshold.items()})
            else:
                network = prune.to_density(network, {name: value**share for name, value in wanted.items()})
            network = self.train(network, original, context, f"{label}-{index + 1}", self._epochs(index), "zeros")
        return network, _density_report(network)

    def _epochs(self, index: int) -> int:
        """The last round, which drops the last weights, trains for half of the epochs."""
        if self.rounds == 1:
            return self.epochs
        early = self.epochs // 2
        return self.epochs - early if index == self.rounds - 1 else early // (self.rounds - 1)

    def _densities(self, network: Network, context: Context) -> dict[str, float]:
        if not self.scan:
            return per_layer(network, self.density)
        if isinstance(self.density, Mapping):
            raise InputError("density must be one number with a scan, not one for each layer")
        if context.data is None:
            raise InputError("a scan measures accuracy: give a folder of images (--data)")
        images = context.data.train_images[:SCANNED, None].astype(np.float32) / np.float32(255)
        labels = context.data.train_labels[:SCANNED]

        def quality(pruned: Network) -> float:
            outputs = reference_float.run(pruned, images).reshape(len(images), -1)
            return float((outputs.argmax(1) == labels).mean() * 100)

        found = prune.sensitivity(network, quality, self.scan)
        return prune.densities_for(network, found, self.density, quality(network))


def _density_report(network: Network) -> Report:
    layers = prune.report(network)
    kept, weights = sum(x.kept for x in layers), sum(x.weights for x in layers)
    return {"density": kept / weights, "layers": {x.name: round(x.density, 6) for x in layers}}


class Channels(_Step):
    """Whole output channels go: `keep` is the share of them that stays in each layer named."""

    kind: Literal["channels"] = "channels"
    keep: PerLayer

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """A smaller network."""
        before = sum(macs(network).values())
        network = drop_channels(network, self.keep)
        network = self.train(network, original, context, label, self.epochs, "nothing")
        return network, {"macs_before": before, "macs": sum(macs(network).values()), "parameters": network.parameters}


class Share(_Step):
    """k-means weight sharing, then training of the centroids."""

    kind: Literal["share"] = "share"
    bits: int | dict[str, int] = 5
    start: cluster.Start = "linear"
    learning_rate: float = Field(default=1e-4, gt=0)

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Few different weights a layer."""
        bits = {name: int(value) for name, value in per_layer(network, self.bits).items()}
        network = cluster.share_weights(network, bits, self.start, context.seed)
        network = self.train(network, original, context, label, self.epochs, "values")
        return network, {"bits": bits, "start": self.start}


class Tucker(_Step):
    """Tucker-2, Tucker-1 or SVD of the layers named (all if none), with the ranks given or EVBMF's; then training."""

    kind: Literal["tucker"] = "tucker"
    layers: tuple[str, ...] | None = None
    ranks: dict[str, int | tuple[int | None, int | None]] = Field(default_factory=dict)
    weakening: float = Field(default=0.0, ge=0, le=1)
    iterations: int = Field(default=5, ge=0)

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Two or three layers in the place of one."""
        options = tucker.Options(self.ranks, self.weakening, self.iterations, self.layers)
        network, report = tucker.decompose(network, options)
        network = self.train(network, original, context, label, self.epochs, "nothing")
        layers = {x.name: {"method": x.method, "ranks": list(x.ranks)} for x in report.layers}
        macs_ = {"macs_before": report.macs_before, "macs": report.macs_after}
        return network, {**macs_, "parameters": network.parameters, "layers": layers}


class Distil(_Step):
    """A student takes the network's place, trained on its teacher's logits or soft targets."""

    kind: Literal["distil"] = "distil"
    student: str
    target: Literal["labels", "soft", "logits"] = "soft"

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """The trained student. Without a `teacher` the network as it is teaches."""
        if not self.epochs:
            raise InputError(f"step {label} trains a student: epochs must be above 0")
        student = self.train(context.resolve(self.student), network, context, label, self.epochs, "nothing")
        teachers = self.teacher or network.name
        return student, {"student": self.student, "parameters": student.parameters, "teacher": teachers}


class Huffman(BaseModel):
    """How the weights are written: Huffman codes for values and positions, positions of `index_bits`.

    `coded`: average bits of a value and a position, of a table in the literature; only book-keeping without weights
    reads them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["huffman"] = "huffman"
    index_bits: int | dict[str, int] | None = None  # the width that takes fewest bits, if not given
    coded: dict[str, tuple[float, float]] = Field(default_factory=dict)


Step = Annotated[Prune | Channels | Tucker | Share | Distil | Huffman, Field(discriminator="kind")]
