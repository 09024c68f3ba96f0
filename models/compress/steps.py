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

from pydantic import BaseModel, ConfigDict, Field

from models import onnx_read, onnx_write
from models.compress import cluster, prune, tucker
from models.compress.channels import drop_channels, macs
from models.compress.prune import matrix_layers
from models.errors import InputError
from models.fit import Epoch, Schedule, Target, fit
from models.graph import Network
from models.images import ImageSet
from models.torch_module import Keep

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
    teacher: str = ""  # of soft targets and logits; if empty, the network that the recipe began with
    temperature: float = Field(default=4.0, gt=0)
    hard_weight: float = Field(default=0.1, ge=0, le=1)
    bfloat16: bool = False

    def train(
        self, network: Network, original: Network, context: Context, label: str, epochs: int, keep: Keep
    ) -> Network:
        """`network` after some epochs towards the step's target. Raises InputError without data."""
        if not epochs:
            return network
        if context.data is None:
            raise InputError(f"step {label} trains for {epochs} epochs: give a folder of images (--data)")
        target = Target()
        if self.target != "labels":
            teacher = context.resolve(self.teacher) if self.teacher else original
            target = Target(self.target, (teacher,), self.temperature, self.hard_weight)
        schedule = Schedule(
            epochs, self.learning_rate, self.batch, weight_decay=self.weight_decay, shift=self.shift,
            bfloat16=self.bfloat16,
        )  # fmt: skip
        done = None
        if context.state_folder:
            # What a training begins with names its result: an interrupted recipe finds the trainings that are done.
            begins = _fingerprint(network, [schedule, self.target, self.teacher, self.temperature, keep, context.seed])
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


def _fingerprint(network: Network, settings: list[object]) -> str:
    """Sixteen hex digits of a network's weights and some settings."""
    digest = sha256(repr(settings).encode())
    for layer in matrix_layers(network):
        digest.update(layer.name.encode() + layer.weights.tobytes() + layer.bias.tobytes())
    return digest.hexdigest()[:16]


def per_layer(network: Network, given: float | Mapping[str, float]) -> dict[str, float]:
    """A number for every layer with weights, or the layers that are named."""
    if isinstance(given, Mapping):
        return dict(given)
    return {layer.name: given for layer in matrix_layers(network)}


class Prune(_Step):
    """Magnitude pruning to `density`, in `rounds` of falling density with retraining after each."""

    kind: Literal["prune"] = "prune"
    density: float | PerLayer = 0.1
    rounds: int = Field(default=1, ge=1, le=20)
    n: int = 0
    m: int = 0

    def apply(self, network: Network, original: Network, context: Context, label: str) -> tuple[Network, Report]:
        """Zeros in the layers named; with `n` and `m`, at most n of m neighbours instead."""
        if self.n or self.m:
            network = prune.n_of_m(network, self.n, self.m)
            network = self.train(network, original, context, label, self.epochs, "zeros")
            return network, _density_report(network)
        wanted = per_layer(network, self.density)
        for index in range(self.rounds):
            share = (index + 1) / self.rounds
            network = prune.to_density(network, {name: value**share for name, value in wanted.items()})
            # The last round, at the final density, trains for half of the epochs.
            late = index == self.rounds - 1
            left = self.epochs - self.epochs // 2
            epochs = left if late else (self.epochs // 2) // max(1, self.rounds - 1)
            epochs = self.epochs if self.rounds == 1 else epochs
            network = self.train(network, original, context, f"{label}-{index + 1}", epochs, "zeros")
        return network, _density_report(network)


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
        teacher = self.teacher or network.name
        return student, {"student": self.student, "parameters": student.parameters, "teacher": teacher}


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
