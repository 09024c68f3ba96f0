"""What a search turns: of each layer the channels that stay, the rank, the density, and the steps of its grid or the
bits of its codebook. How hardware reads each layer's weights is part of a setting too (`accel.flow.tailor.formats`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from accel.models.compress.channels import drop_channels, droppable
from accel.models.compress.prune import matrix_layers
from accel.models.compress.recipe import Recipe
from accel.models.compress.tucker import Options, decompose
from accel.models.graph import Conv, Network
from accel.models.integers.formats import Word

Kind = Literal["channels", "rank", "density", "levels", "bits"]
# Each notch takes about two fifths away (levels: a fraction of a bit); the first leaves the layer as it is.
LADDERS: dict[Kind, tuple[float, ...]] = {
    "channels": (1, 0.6, 0.35, 0.2, 0.12),
    "rank": (1, 0.5, 0.3, 0.18, 0.1, 0.06),
    "density": (1, 0.6, 0.35, 0.2, 0.12, 0.07, 0.04),
    "levels": (20, 14, 10),  # training mends what pruning does and hardly what rounding does: docs/results.md
    "bits": (0, 5, 4, 3),  # 0: on its grid; else so many of a codebook of its own, whose values are trained
}
# Notches of a step: the first of a decomposition alone may save nothing.
JUMPS: dict[Kind, tuple[int, ...]] = {"channels": (1,), "rank": (1, 2), "density": (1,), "levels": (1,), "bits": (1, 2)}
FEWEST_SHARED = 128  # weights of a layer that may have a codebook of its own
FEWEST_DECOMPOSED = 8  # inputs of a layer whose rank is a knob
RATE = 0.3  # what a bit weighs in rounding: docs/results.md, "What was chosen on what"
ITERATIONS = 5


@dataclass(frozen=True)
class Training:
    """Epochs of a recipe's steps, and what they learn: soft targets of the network that the recipe begins with.

    Of images that move by up to `shift` pixels and are mirrored as the network has learnt them.
    """

    structure: int = 5
    prune: int = 8
    grid: int = 2
    rounds: int = 2
    share: int = 2
    learning_rate: float = 0.01
    shift: int = 0
    mirror: bool = False

    def fields(self, epochs: int) -> dict[str, Any]:
        """The fields of a step that trains; none if it does not."""
        if not epochs:
            return {}
        views = {name: value for name, value in (("shift", self.shift), ("mirror", self.mirror)) if value}
        return {"epochs": epochs, "learning_rate": self.learning_rate, "target": "soft", "bfloat16": True} | views


@dataclass(frozen=True, order=True)
class Knob:
    """One number of one layer."""

    layer: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.layer} {self.kind}"


@dataclass(frozen=True)
class Setting:
    """A notch of each knob of `network` that is turned, 0 for the others.

    `formats`: how hardware reads the weights of layers of the compressed network.
    """

    network: Network
    notches: Mapping[Knob, int]
    formats: Mapping[str, Word] = field(default_factory=dict)

    def value(self, knob: Knob) -> float:
        """The number on the knob's ladder."""
        return LADDERS[knob.kind][self.notches.get(knob, 0)]

    def turned(self, knob: Knob, by: int) -> Setting | None:
        """So many notches further, None at the end of the ladder."""
        notch = self.notches.get(knob, 0) + by
        return replace(self, notches={**self.notches, knob: notch}) if notch < len(LADDERS[knob.kind]) else None

    def _of(self, kind: Kind) -> Iterator[tuple[str, float]]:
        for knob in sorted(self.notches):
            if knob.kind == kind and self.notches[knob]:
                yield knob.layer, self.value(knob)

    @cached_property
    def _shrunk(self) -> Network:
        keep = dict(self._of("channels"))
        return drop_channels(self.network, keep) if keep else self.network

    @cached_property
    def ranks(self) -> dict[str, int | tuple[int, int]]:
        """Of the layers that are decomposed, after channels went."""
        layers = {layer.name: layer for layer in matrix_layers(self._shrunk)}
        found: dict[str, int | tuple[int, int]] = {}
        for name, share in self._of("rank"):
            layer = layers[name]
            outputs, inputs = layer.weights.shape[:2]
            if isinstance(layer, Conv) and layer.weights.shape[2:] != (1, 1):
                found[name] = (max(1, round(share * inputs)), max(1, round(share * outputs)))
            else:
                found[name] = max(1, round(share * min(inputs, outputs)))
        return found

    @cached_property
    def parts(self) -> dict[str, str]:
        """By name of a layer of the compressed network, the layer of `network` that it comes from."""
        if not self.ranks:
            return {layer.name: layer.name for layer in matrix_layers(self.network)}
        shrunk, _ = decompose(self._shrunk, Options(self.ranks, 0.0, 0, tuple(self.ranks)))
        names = {layer.name for layer in matrix_layers(self.network)}
        return {
            x.name: x.name if x.name in names else x.name.rpartition(".")[0] for x in matrix_layers(shrunk)
        }  # fmt: skip

    def recipe(self, name: str, training: Training) -> Recipe:
        """The steps, in the order in which later ones keep what earlier ones made."""
        return Recipe.model_validate({"name": name, "steps": self.steps(training)})

    def steps(self, training: Training) -> list[dict[str, Any]]:
        """The steps as a recipe's YAML has them, `kind` among the fields."""
        steps: list[dict[str, Any]] = []
        keep, ranks, parts = dict(self._of("channels")), self.ranks, self.parts
        if keep:
            steps.append({"kind": "channels", "keep": keep})
        if ranks:
            given = {name: list(rank) if isinstance(rank, tuple) else rank for name, rank in ranks.items()}
            steps.append({"kind": "tucker", "layers": list(ranks), "ranks": given, "iterations": ITERATIONS})
        if steps:
            steps[-1] |= training.fields(training.structure)
        densities = dict(self._of("density"))
        if densities:
            density = {part: densities[name] for part, name in parts.items() if name in densities}
            steps.append({"kind": "prune", "density": density} | training.fields(training.prune))
            if training.prune:
                steps[-1]["rounds"] = training.rounds
        bits = {part: int(self.value(Knob(name, "bits"))) for part, name in parts.items()}
        levels = {part: int(self.value(Knob(name, "levels"))) for part, name in parts.items() if not bits[part]}
        shared = {part: value for part, value in bits.items() if value}
        # The grid comes first: its steps move faster than a centroid may, whose gradient is the sum of many weights'.
        for kind, fields, epochs in (
            ("grid", {"levels": levels, "rate": RATE}, training.grid), ("share", {"bits": shared}, training.share),
        ):  # fmt: skip
            if levels if kind == "grid" else shared:
                steps.append({"kind": kind} | fields | training.fields(epochs))
                steps[-1].pop("learning_rate", None)  # each has a rate of its own
        return [*steps, {"kind": "arithmetic"}]


def knobs(network: Network) -> tuple[Knob, ...]:
    """Those of each layer. Channels: once for layers that keep the same; rank: where a decomposition can take less."""
    found, shrinkable = list[Knob](), droppable(network)
    for layer in matrix_layers(network):
        kinds: list[Kind] = ["density", "levels"]
        if layer.name in shrinkable and len(layer.weights) > 1:
            kinds.append("channels")
        grouped = isinstance(layer, Conv) and layer.groups > 1
        if layer.weights.size >= FEWEST_SHARED:
            kinds.append("bits")
        if min(layer.weights.shape[:2]) >= FEWEST_DECOMPOSED and not grouped:
            kinds.append("rank")
        found += [Knob(layer.name, kind) for kind in kinds]
    return tuple(sorted(found))
