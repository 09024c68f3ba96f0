"""A space of points: a base design, the axes along which points differ from it, objectives and constraints.

A point's *number* is its place in the space: its values' indices as the digits of one number, the last axis the one
that varies fastest. So a number means the same point in each process, on each machine and in each run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from accel import design as designs
from accel.design import Design
from accel.flow.arguments import LARGEST_SEED
from accel.flow.explore import constraints as constraint_lines
from accel.flow.explore.axes import Axis, axis
from accel.flow.explore.constraints import Constraint
from accel.flow.explore.metrics import METRICS, metric
from accel.models import yaml_text
from accel.models.errors import InputError
from accel.models.integers.formats import Word
from accel.sections import look_over

LARGEST = 2**62  # points; numbers are integers of SQLite
EXHAUSTIVE = 20_000  # points that are all tried unless the file says otherwise
POINTS = 2_000  # of a search
SAMPLERS = ("auto", "exhaustive", "nsga2", "tpe")
FIELDS = ("base", "space", "objectives", "constraints", "search")


@dataclass(frozen=True)
class Search:
    """How a space is gone through. `sampler` auto: all points of a small one, else nsga2; `points` of a search."""

    sampler: str = "auto"
    points: int = POINTS
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """The values of one point by name of axis, and the design that they make."""

    number: int
    values: dict[str, Any]
    design: Design

    @property
    def formats(self) -> Word:
        """How weights are read, as `compile_network` takes it."""
        return cast(Word, self.values.get("formats", "auto"))


@dataclass(frozen=True)
class Space:
    """A space file. `base` is the name of a design, or its file."""

    base: str
    axes: tuple[Axis, ...]
    objectives: tuple[str, ...] = ("latency_us", "energy_uj")
    constraints: tuple[Constraint, ...] = ()
    search: Search = Search()
    bases: dict[str, Design] = field(default_factory=dict)

    @cached_property
    def size(self) -> int:
        """Points."""
        return prod(len(one.values) for one in self.axes)

    @property
    def is_exhaustive(self) -> bool:
        """Whether every point is tried."""
        sampler = self.search.sampler
        return sampler == "exhaustive" or (sampler == "auto" and self.size <= EXHAUSTIVE)

    def searched(self, sampler: str | None, points: int | None, seed: int | None) -> Space:
        """Gone through in another way, where something is given. Raises InputError."""
        old = self.search
        return replace(
            self,
            search=search(
                old.sampler if sampler is None else sampler,
                old.points if points is None else points,
                old.seed if seed is None else seed,
            ),
        )

    def digits(self, number: int) -> tuple[int, ...]:
        """The place of a point's value on each axis."""
        found = []
        for one in reversed(self.axes):
            number, digit = divmod(number, len(one.values))
            found.append(digit)
        return tuple(reversed(found))

    def number(self, digits: tuple[int, ...]) -> int:
        """The inverse of `digits`."""
        found = 0
        for one, digit in zip(self.axes, digits, strict=True):
            found = found * len(one.values) + digit
        return found

    def values(self, number: int) -> dict[str, Any]:
        """The values of a point by name of axis."""
        return {one.name: one.values[digit] for one, digit in zip(self.axes, self.digits(number), strict=True)}

    def labels(self, number: int) -> dict[str, str]:
        """The same as texts."""
        return {one.name: one.labels[digit] for one, digit in zip(self.axes, self.digits(number), strict=True)}

    def point(self, number: int) -> Point:
        """The point of that number. Raises InputError if its fields make no design together, or there is none."""
        if not 0 <= number < self.size:
            raise InputError(f"point must be 0..{self.size - 1}, not {number}")
        values = self.values(number)
        base = self.bases[values.get("design", self.base)]
        return Point(number, values, self._design(base, values, f"{base.name}-{number}"))

    def _design(self, base: Design, values: dict[str, Any], name: str) -> Design:
        changes = {one.name: values[one.name] for one in self.axes if one.is_field}
        if not changes:
            return base.model_copy(update={"name": name})
        found = designs.of_values(_tree(base, changes) | {"name": name})
        if isinstance(found, Design):
            return found
        raise InputError(" ".join(found))

    def numbers(self) -> Iterator[int]:
        """All points; those that differ only in what changes no cycles follow each other."""
        order = sorted(range(len(self.axes)), key=lambda k: not self.axes[k].changes_cycles)
        weights = [prod(len(one.values) for one in self.axes[k + 1 :]) for k in range(len(self.axes))]
        for digits in product(*(range(len(self.axes[k].values)) for k in order)):
            yield sum(weights[k] * digit for k, digit in zip(order, digits, strict=True))


def _tree(base: Design, changes: dict[str, Any]) -> dict[str, Any]:
    """The fields of a design with some changed; whole sections before fields in them."""
    tree: dict[str, Any] = base.model_dump()
    for name in sorted(changes, key=lambda name: name.count(".")):
        *above, last = name.split(".")
        node = tree
        for part in above:
            node = node[part]
        value = changes[name]
        node[last] = dict(value) if isinstance(value, dict) else value
    return tree


def load(path: Path) -> Space:
    """The space in a YAML file. Raises InputError, one line with what is wrong and where."""
    try:
        text = yaml_text.load(path)
    except OSError as error:
        raise InputError(f"--space {path} cannot be read: {error.strerror}") from None
    return parse(text, path.name)


def parse(text: str, where: str = "space") -> Space:
    """The space in a YAML text."""
    values, lines = yaml_text.read(text, where, "a space")
    unknown = next((name for name in values if name not in FIELDS), None)
    if unknown is not None:
        known = ", ".join(FIELDS)
        raise InputError(f"{unknown} is not a field of a space, which has {known} ({where}:{lines[str(unknown)]})")
    given = values.get("space")
    if not isinstance(given, dict) or not given:
        raise InputError(f"space must be a mapping of fields to lists or ranges, and is missing or empty ({where})")
    axes = tuple(axis(str(name), value, f"{where}:{lines[f'space.{name}']}") for name, value in given.items())
    base = values.get("base", "edge")
    if not isinstance(base, str):
        raise InputError(f"base must be the name of a design or a file, not {yaml_text.shown(base)} ({where})")
    chosen = next((one.values for one in axes if one.name == "design"), (base,))
    space = Space(
        base, axes, _objectives(values, f"{where}:{lines.get('objectives', 1)}"),
        _constraints(values, where, lines), _search(values, where, lines),
        {name: designs.load(name) for name in chosen},
    )  # fmt: skip
    if space.size > LARGEST:
        raise InputError(f"{where}: a space must have at most 2**62 points, not {space.size:,}")
    _check_values(space, {one.name: f"{where}:{lines[f'space.{one.name}']}" for one in axes})
    return space


def _check_values(space: Space, places: dict[str, str]) -> None:
    """Raise InputError for a value that its field cannot have, whatever the others are."""
    base = next(iter(space.bases.values()))
    engines: list[dict[str, Any]] = [
        {one.name: value} for one in space.axes if one.name in ("engine", "memory") for value in one.values
    ]
    for one in space.axes:
        for value in one.values if one.is_field else ():
            failures = []
            for around in [{}, *engines]:
                try:
                    space_of_one = _tree(base, around | {one.name: value})
                except (KeyError, TypeError):
                    continue
                wrong = look_over(Design, space_of_one)
                if not wrong:
                    try:
                        Design.model_validate(space_of_one)
                    except ValidationError as error:
                        first = error.errors()[0]
                        wrong = designs.problem(error) if first["type"] != "value_error" else None
                failures.append(wrong)
                if wrong is None:
                    break
            if failures and None not in failures:
                name, message = failures[0] or ("", "")
                raise InputError(f"{name} {message} ({places[one.name]})")


def _objectives(values: dict[str, Any], where: str) -> tuple[str, ...]:
    given = values.get("objectives", list(Space("", ()).objectives))
    if not isinstance(given, list) or not given:
        raise InputError(f"objectives must be a list of some of {', '.join(METRICS)} ({where})")
    try:
        found = tuple(metric(str(name)).name for name in given)
    except InputError as error:
        raise InputError(f"{error} ({where})") from None
    if len(set(found)) < len(found):
        raise InputError(f"objectives must be different, not {', '.join(found)} ({where})")
    return found


def _constraints(values: dict[str, Any], where: str, lines: dict[str, int]) -> tuple[Constraint, ...]:
    given = values.get("constraints", [])
    place = f"{where}:{lines.get('constraints', 1)}"
    if not isinstance(given, list):
        raise InputError(f"constraints must be a list of lines {constraint_lines.HELP} ({place})")
    try:
        return tuple(constraint_lines.parse(line) for line in given)
    except InputError as error:
        raise InputError(f"{error} ({place})") from None


def _search(values: dict[str, Any], where: str, lines: dict[str, int]) -> Search:
    given = values.get("search", {})
    names = ("sampler", "points", "seed")
    if not isinstance(given, dict) or any(name not in names for name in given):
        place = f"{where}:{lines.get('search', 1)}"
        raise InputError(
            f"search must be a mapping of some of {', '.join(names)}, not {yaml_text.shown(given)} ({place})"
        )
    try:
        return search(given.get("sampler", "auto"), given.get("points", POINTS), given.get("seed", 0))
    except InputError as error:
        raise InputError(f"search.{error} ({where}:{lines.get('search', 1)})") from None


def search(sampler: Any, points: Any, seed: Any) -> Search:
    """A checked Search. Raises InputError."""
    if sampler not in SAMPLERS:
        raise InputError(f"sampler must be one of {', '.join(SAMPLERS)}, not {yaml_text.shown(sampler)}")
    for name, value, least, most in (("points", points, 1, 10**9), ("seed", seed, 0, LARGEST_SEED)):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InputError(f"{name} must be {least}..{most}, not {yaml_text.shown(value)}")
    return Search(sampler, points, seed)
