"""Recipes: ordered compression steps in YAML, each a function from Network to Network.

    name: deep-compression
    steps:
      - prune: {density: {ip1: 0.08, ip2: 0.1}, rounds: 3, epochs: 20}
      - share: {bits: 5, epochs: 4}
      - huffman: {index_bits: 5}

`models.compress.steps` has the steps and their fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.compress.steps import Context, Huffman, Report, Step
from models.errors import InputError
from models.graph import Network

KINDS = ("prune", "channels", "share", "distil", "tucker", "huffman")


class Recipe(BaseModel):
    """Steps in the order in which they are applied; `huffman` says how the result is written, and comes last."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    steps: tuple[Step, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Compressed:
    """The network after a recipe, how its weights are to be written, and what each step reports."""

    network: Network
    huffman: Huffman | None
    reports: tuple[tuple[str, Report], ...]


def parse(text: str, where: str = "recipe") -> Recipe:
    """The recipe in a YAML text; `where` names the source in errors.

    Raises InputError, one line, for the first thing that is wrong.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(values, dict) or not isinstance(values.get("steps"), list):
        raise InputError(f"{where}: a recipe must be a mapping with a name and a list of steps")
    steps = []
    for number, step in enumerate(values["steps"], 1):
        if not isinstance(step, dict) or len(step) != 1 or next(iter(step)) not in KINDS:
            found = next(iter(step)) if isinstance(step, dict) and step else step
            raise InputError(f"{where}: step {number} must be one of {', '.join(KINDS)}, not {found!r}")
        ((kind, fields),) = step.items()
        if not isinstance(fields or {}, dict):
            raise InputError(f"{where}: step {number} ({kind}) must be a mapping of fields, not {fields!r}")
        steps.append({"kind": kind, **(fields or {})})
    try:
        recipe = Recipe.model_validate(values | {"steps": steps})
    except ValidationError as error:
        raise InputError(f"{where}: {_message(error)}") from None
    if any(isinstance(step, Huffman) for step in recipe.steps[:-1]):
        raise InputError(f"{where}: huffman must be the last step, since it says how the result is written")
    return recipe


def _message(error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if path[:1] == ["steps"] and len(path) > 1:
        step = f"step {int(path[1]) + 1}"
        kind = f" ({path[2]})" if len(path) > 2 else ""
        path = [step + kind, *path[3:]]
    if first["type"] == "extra_forbidden":
        return f"{' '.join(path)} is not a field"
    if first["type"] == "missing":
        return f"{' '.join(path)} must be given, and is missing"
    what = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{' '.join(path)} must be {what}, not {first.get('input')!r}"


def load(path: str | Path) -> Recipe:
    """The recipe in a YAML file. Raises InputError."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"recipe {path} cannot be read: {reason}") from None
    return parse(text, path.name)


def run(recipe: Recipe, network: Network, context: Context) -> Compressed:
    """Apply the steps. Raises InputError for what a step refuses, with the recipe's name and the step's number."""
    original, reports, huffman = network, [], None
    for number, step in enumerate(recipe.steps, 1):
        label = f"{number}-{step.kind}"
        if isinstance(step, Huffman):
            huffman = step
            continue
        try:
            network, report = step.apply(network, original, context, label)
        except InputError as error:
            raise InputError(f"{recipe.name}: step {number} ({step.kind}): {error}") from None
        reports.append((label, report))
    return Compressed(network, huffman, tuple(reports))


def as_record(compressed: Compressed) -> list[dict[str, Any]]:
    """The reports of the steps as plain values for JSON."""
    return [{"step": label, **report} for label, report in compressed.reports]
