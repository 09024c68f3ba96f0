"""The techniques that `accel compare` has a row for: a name and a function from a network to integers.

A later technique is a new entry here, and nothing else in this folder changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from numpy.typing import NDArray

from accel.models import zoo
from accel.models.compress import recipe
from accel.models.compress.share import share
from accel.models.compress.standard import STANDARD, Standard
from accel.models.compress.training_step import Context
from accel.models.encode.stored import FORMATS
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import Word
from accel.models.integers.network import IntegerNetwork
from accel.models.quantisation.method import DEFAULT, Method
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed

__all__ = ["TECHNIQUES", "Technique", "find", "techniques_for"]

Calibration = NDArray[Any]
NOTHING_SAID: Mapping[str, Word] = MappingProxyType({})


class Apply(Protocol):
    """What a technique makes of a network on calibration inputs, by a method of quantisation."""

    def __call__(self, network: Network, calibration: Calibration, /, *, method: Method = DEFAULT) -> IntegerNetwork:
        """The integer network. Raises InputError."""


@dataclass(frozen=True)
class Technique:
    """`apply(network, calibration, method=...)` gives the integer network; both are as `quantise` takes them.

    `formats` are those in which the technique's own encoder may write a layer, see `accel.models.encode.stored`; the
    hardware runs the nearest that it decodes, and a comparison shows both. `given` is the network that `apply` takes
    whatever it is asked about, or the bytes of its file. A name belongs to one way of applying: results are kept under
    it. `untrained`: a recipe that would train, and has not; a comparison goes on without it where a network has nothing
    that it could be applied to, and does not recommend it where no accuracy is measured. `method`: that of its recipe,
    by which it is quantised whatever it is asked for. `retrain`: how its `given` network gets the training that it has
    not had, "" if it has. `runs_as`: how hardware reads the weights of some of its layers, if its recipe says so.
    """

    name: str
    title: str
    apply: Apply
    formats: tuple[str, ...] = ("dense",)
    given: Network | bytes | None = None
    untrained: bool = False
    method: Method | None = None
    retrain: str = ""
    runs_as: Mapping[str, Word] = field(default_factory=dict)


def _shared(bits: int) -> Technique:
    def apply(network: Network, calibration: Calibration, /, *, method: Method = DEFAULT) -> IntegerNetwork:
        return share(network, calibration, bits, method)

    return Technique(f"shared-{bits}", f"shared, {bits} bits", apply, ("shared",))


DENSE = Technique("dense", "dense int8", quantise)
# The first is what the others are compared to.
TECHNIQUES = (
    DENSE,
    *(_shared(bits) for bits in (8, 6, 4, 3, 2)),
)

# For one network that is compressed already; not a row, since there is nothing to compare it to.
AS_IS = Technique("as-is", "as its weights are", quantise_compressed, FORMATS)

# Of the zoo's checkpoints: title, and the formats that their encoder may use.
TITLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "2of4": ("pruned, 2 of 4", ("dense", "sparse")),
    "pruned": ("pruned", ("dense", "sparse")),
    "deep": ("pruned + shared + Huffman", FORMATS),
    "grid": ("pruned + rounded for rate", FORMATS),
    "channels": ("channels pruned", ("dense",)),
    "tucker": ("Tucker-2", ("dense",)),
    "tucker-deep": ("Tucker-2 + pruned + shared + Huffman", FORMATS),
    "tucker-grid": ("Tucker-2 + pruned + rounded for rate", FORMATS),
    "for-edge": ("searched for edge", FORMATS),
    "distilled": ("student, soft targets", ("dense",)),
    "logits": ("shallow student, logits", ("dense",)),
}


def given(
    name: str, title: str, network: Network, formats: tuple[str, ...] = FORMATS, own: Method | None = None,
    runs_as: Mapping[str, Word] = NOTHING_SAID,
) -> Technique:  # fmt: skip
    """A row of a network that is compressed already, whatever the comparison is about.

    `own` and `runs_as` are its recipe's.
    """

    def apply(_: Network, calibration: Calibration, /, *, method: Method = DEFAULT) -> IntegerNetwork:
        return quantise_compressed(network, calibration, own or method)

    return Technique(name, title, apply, formats, network, method=own, runs_as=runs_as)


def untrained(standard: Standard) -> Technique:
    """A standard recipe without training."""

    def apply(network: Network, calibration: Calibration, /, *, method: Method = DEFAULT) -> IntegerNetwork:
        return quantise_compressed(recipe.apply(standard.recipe(), network, Context())[0], calibration, method)

    return Technique(standard.name, f"{standard.title}, not retrained", apply, standard.formats, untrained=True)


UNTRAINED = tuple(map(untrained, STANDARD))


def techniques_for(network: str) -> tuple[Technique, ...]:
    """All techniques that need no training, and the zoo's checkpoints of its network `network`, if it is one.

    A checkpoint takes the place of the recipe of that name that was not trained.
    """
    known = zoo.compressed(network)
    others = (technique for technique in UNTRAINED if technique.name not in known)
    return (*TECHNIQUES, *others, *(_of_zoo(network, name) for name in known))


def _of_zoo(network: str, name: str) -> Technique:
    """A checkpoint of the zoo, decoded only when it is applied."""
    title, formats = TITLES[name]
    full = f"{network}-{name}"
    content = (zoo.DATA / f"{full}.weights").read_bytes()

    def apply(_: Network, calibration: Calibration, /, *, method: Method = DEFAULT) -> IntegerNetwork:
        return quantise_compressed(zoo.load(full), calibration, method)

    return Technique(name, title, apply, formats, content)


def names(network: str = "") -> tuple[str, ...]:
    """The techniques' names."""
    return (*(technique.name for technique in techniques_for(network)), AS_IS.name)


def find(name: str, network: str = "") -> Technique:
    """The technique of that name for a network. Raises InputError."""
    for technique in (*techniques_for(network), AS_IS):
        if technique.name == name:
            return technique
    raise InputError(f"technique must be one of {', '.join(names(network))}, not {name!r}")
