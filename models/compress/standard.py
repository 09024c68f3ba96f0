"""Recipes with one number each, for any network: what a comparison shows of a technique before anybody has tuned it.

They are starting points: densities are those at which the literature's networks keep their accuracy once retrained
(Han et al., arXiv 1510.00149, table 4; Kim et al., arXiv 1511.06530), the same for every layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from accel.models.compress.recipe import Recipe
from accel.models.encode.encoded_layer import FORMATS

Fields = dict[str, Any]
RATE = 0.005  # a tenth of what LeNets learn with from scratch: what is retrained has no batch normalisation left
CENTROIDS = 0.02  # of it for centroids: a gradient of theirs is the sum of many weights'
DENSITY, CHANNELS, BITS, LEVELS = 0.3, 0.7, 5, 15
CHANNELS_TITLE = f"{CHANNELS:.0%} of channels".replace("%", " %")
WEAKENING = 0.25  # of EVBMF's ranks: in small layers it finds no signal at all, and a rank of 1 is beyond repair

LEAST_INPUTS = 5  # of a convolution that is decomposed: of 3 colours rank 1 is left, inaccurate and slower


@dataclass(frozen=True)
class Standard:
    """A technique for any network: the recipe's steps, and the formats that its weights may be written in.

    `steps(epochs)`: those of a recipe that trains for so many epochs altogether, or not at all.
    """

    name: str
    title: str
    steps: Callable[[int], tuple[Fields, ...]]
    formats: tuple[str, ...]

    def recipe(self, epochs: int = 0, rate: float = RATE, **how: Any) -> Recipe:
        """The recipe, with training at the learning `rate`; `how`: further fields of steps that train."""
        steps = []
        for step in self.steps(epochs):
            own = rate * CENTROIDS if step["kind"] == "share" else rate
            steps.append({**step, **({"learning_rate": own, **how} if step["epochs"] else {})})
        return Recipe.model_validate({"name": self.name, "steps": steps})


def _prune(epochs: int) -> Fields:
    return {"kind": "prune", "density": DENSITY, "rounds": 2 if epochs >= 4 else 1, "epochs": epochs}


def shared(bits: int) -> Standard:
    """Shared weights whose centroids are trained; untrained they are rows of their own (`accel.flow.techniques`)."""
    return Standard(
        f"shared-{bits}", f"shared, {bits} bits", lambda n: ({"kind": "share", "bits": bits, "epochs": n},), ("shared",)
    )


def _deep(epochs: int) -> tuple[Fields, ...]:
    """Most of the training goes to what is pruned, the end to the centroids."""
    last = min(max(1, epochs // 4), epochs)
    return (_prune(epochs - last), {"kind": "share", "bits": BITS, "epochs": last})


def _tucker(epochs: int) -> tuple[Fields, ...]:
    return ({"kind": "tucker", "weakening": WEAKENING, "least_inputs": LEAST_INPUTS, "epochs": epochs},)


SPARSE = ("dense", "sparse")
STANDARD = (
    Standard("pruned", f"pruned to {DENSITY:.0%}".replace("%", " %"), lambda n: (_prune(n),), SPARSE),
    Standard("2of4", "pruned, 2 of 4", lambda n: ({"kind": "prune", "n": 2, "m": 4, "epochs": n},), SPARSE),
    Standard("deep", "pruned + shared + Huffman", _deep, FORMATS),
    Standard("grid", "rounded for rate", lambda n: ({"kind": "grid", "levels": LEVELS, "epochs": n},), FORMATS),
    Standard(
        "channels", CHANNELS_TITLE,
        lambda n: ({"kind": "channels", "keep": CHANNELS, "epochs": n},), ("dense",),
    ),
    Standard("tucker", "Tucker-2", _tucker, ("dense",)),
)  # fmt: skip
