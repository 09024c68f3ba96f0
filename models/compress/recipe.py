"""Recipes: ordered compression steps in YAML, each a function from Network to Network.

    name: deep-compression
    steps:
      - prune: {density: {ip1: 0.08, ip2: 0.1}, rounds: 3, epochs: 20}
      - share: {bits: 5, epochs: 4}
      - huffman: {index_bits: 5}

`accel.models.compress.steps` has the steps and their fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from accel.models import yaml_text
from accel.models.compress.prune import matrix_layers
from accel.models.compress.steps import Encode, Step, Written
from accel.models.compress.training_step import Context, Report
from accel.models.encode.encoded import EncodedNetwork, check_one_stretch
from accel.models.errors import InputError
from accel.models.graph import Network
from accel.models.integers.formats import Word, checked
from accel.models.quantisation import method as methods
from accel.models.yaml_text import shown

__all__ = ["Compressed", "Recipe", "load", "parse", "run"]

KINDS = ("prune", "channels", "share", "grid", "distil", "tucker", "encode", "huffman", "arithmetic")
# What pydantic puts into the place of an error to say which type of several it tried.
TRIED = ("int", "float", "str", "[key]")


class Recipe(BaseModel):
    """Steps in the order in which they are applied; a `Written`, which says how the result is written, comes last.

    `quantise`: how int8 is made of the result, in the words of `accel.models.quantisation.method`. `formats`: how
    hardware reads the weights of some layers of the result, in the words of `accel.models.integers.formats`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    steps: tuple[Step, ...] = Field(min_length=1)
    quantise: str = ""
    formats: dict[str, Word] = Field(default_factory=dict)

    @field_validator("quantise")
    @classmethod
    def _is_method(cls, text: str) -> str:
        try:
            return str(methods.parse(text)) if text else text
        except InputError as error:
            raise ValueError(str(error)) from None

    @property
    def trains(self) -> bool:
        """Whether a step trains."""
        return any(not isinstance(step, Written) and step.epochs for step in self.steps)

    @property
    def method(self) -> methods.Method | None:
        """How int8 is made of the result; None: as of every other network."""
        return methods.parse(self.quantise) if self.quantise else None


@dataclass(frozen=True)
class Compressed:
    """The network after a recipe, its weights as they are written, in which formats, and the steps' reports.

    `method`: how int8 is made of it, if the recipe says so. `runs_as`: how hardware reads the weights of some layers.
    """

    network: Network
    encoded: EncodedNetwork
    formats: tuple[str, ...]
    reports: tuple[tuple[str, Report], ...]
    method: methods.Method | None = None
    runs_as: Mapping[str, Word] = field(default_factory=dict)


def parse(text: str, where: str = "recipe") -> Recipe:
    """The recipe in a YAML text; `where` names the source in errors.

    Raises InputError, one line, for the first thing that is wrong.
    """
    values, _ = yaml_text.read(text, where, "a recipe")
    if not isinstance(values.get("steps"), list):
        raise InputError(f"{where}: a recipe must be a mapping with a name and a list of steps")
    steps = []
    for number, step in enumerate(values["steps"], 1):
        if isinstance(step, dict) and len(step) > 1:
            raise InputError(f"{where}: step {number} must be one step, not {' and '.join(map(str, step))[:100]}")
        kind, fields = next(iter(step.items()), (None, None)) if isinstance(step, dict) else (step, None)
        if not isinstance(step, dict) or kind not in KINDS:
            raise InputError(f"{where}: step {number} must be one of {', '.join(KINDS)}, not {shown(kind)}")
        if not isinstance(fields or {}, dict):
            raise InputError(f"{where}: step {number} ({kind}) must be a mapping of fields, not {shown(fields)}")
        odd = [name for name in fields or {} if not isinstance(name, str) or name == "kind"]
        if odd:
            raise InputError(f"{where}: step {number} ({kind}) {odd[0]} is not a field")
        steps.append({**(fields or {}), "kind": kind})
    odd = [name for name in values if not isinstance(name, str)]
    if odd:
        raise InputError(f"{where}: {odd[0]} is not a field")
    try:
        recipe = Recipe.model_validate(values | {"steps": steps})
    except ValidationError as error:
        raise InputError(f"{where}: {_message(error)}") from None
    for step in recipe.steps[:-1]:
        if isinstance(step, Written):
            raise InputError(f"{where}: {step.kind} must be the last step, since it says how the result is written")
    return recipe


def _message(error: ValidationError) -> str:
    errors = error.errors()
    # Of the types that one field may have, the error that lies deepest is that of the type that was meant.
    field = errors[0]["loc"][:4]
    first = max((e for e in errors if e["loc"][:4] == field), key=lambda e: len(e["loc"]))
    path = [str(part) for part in first["loc"]]
    if path[:1] == ["steps"] and len(path) > 1:
        kind = f" ({path[2]})" if len(path) > 2 else ""
        path = [f"step {int(path[1]) + 1}{kind}", *path[3:]]
    path = [part for part in path if part not in TRIED and not part.startswith(("dict[", "tuple[", "constrained-"))]
    where = " ".join(path)
    if first["type"] == "extra_forbidden":
        return f"{where} is not a field"
    if first["type"] == "missing":
        return f"{where} must be given, and is missing"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}"
    if first["loc"][-1] == "[key]":
        return f"{where}: the name of a layer must be a text, not {shown(first.get('input'))}"
    return f"{where} must be {str(first['msg']).removeprefix('Input should be ')}, not {shown(first.get('input'))}"


def load(path: str | Path) -> Recipe:
    """The recipe in a YAML file. Raises InputError."""
    path = Path(path)
    try:
        text = yaml_text.load(path)
    except OSError as error:
        raise InputError(f"recipe {path} cannot be read: {error.strerror}") from None
    return parse(text, path.name)


def run(recipe: Recipe, network: Network, context: Context) -> Compressed:
    """Apply the steps. Raises InputError for what a step refuses, with the recipe's name and the step's number."""
    check_one_stretch(network)  # before what may train for hours
    changed, reports = apply(recipe, network, context)
    with _of(recipe):
        checked(recipe.formats, [layer.name for layer in matrix_layers(changed)])
    ends = recipe.method, recipe.formats
    number, last = len(recipe.steps), recipe.steps[-1]
    if not isinstance(last, Written):
        return Compressed(changed, Encode().encode(changed)[0], Encode.formats, tuple(reports), *ends)
    label = f"{number}-{last.kind}"
    with _at(recipe, number, last):
        written, report = last.encode(changed)
    return Compressed(changed, written, last.formats, (*reports, (label, report)), *ends)


def apply(recipe: Recipe, network: Network, context: Context) -> tuple[Network, list[tuple[str, Report]]]:
    """What the steps that change weights make of the network, and their reports. Raises InputError as `run` does."""
    original, reports = network, []
    if not matrix_layers(network):
        raise InputError(f"{network.name}: network must have a layer with weights to compress, and has none")
    for number, step in enumerate(recipe.steps, 1):
        if not isinstance(step, Written):
            label = f"{number}-{step.kind}"
            with _at(recipe, number, step):
                network, report = step.apply(network, original, context, label)
            reports.append((label, report))
    return network, reports


@contextmanager
def _at(recipe: Recipe, number: int, step: Step) -> Iterator[None]:
    """Errors inside say which step they are about."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{recipe.name}: step {number} ({step.kind}): {error}") from None


@contextmanager
def _of(recipe: Recipe) -> Iterator[None]:
    """Errors inside say which recipe they are about."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{recipe.name}: {error}") from None


def as_record(compressed: Compressed) -> list[dict[str, Any]]:
    """The reports of the steps as plain values for JSON."""
    return [{"step": label, **report} for label, report in compressed.reports]
