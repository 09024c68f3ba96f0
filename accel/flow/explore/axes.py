"""The axes of a space: what varies, and the values that it takes, as a space file writes them.

An axis is a field of a design by its dotted name, or one of

    design      whole designs, by name or YAML file
    technique   techniques of `accel compare`, encoded weights, ONNX or int8 files
    recipe      YAML files of compression steps
    formats     plain, coded, dense, dense-coded, auto: how weights are read, as `accel simulate --formats` has it
    quantisation  how int8 is made, as `--quantisation` has it

Values are a list, or a range in words: `8..64 step 8`, `4096..65536 times 2`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from accel.design import Design
from accel.models import yaml_text
from accel.models.errors import InputError
from accel.models.integers.formats import WORDS
from accel.models.quantisation import method as method_words
from accel.sections import Section, sections, words

OTHERS = ("design", "technique", "recipe", "formats", "quantisation")
"""Axes that are no fields of a design."""
LEFT_ALONE = frozenset({"name", "clock_mhz", "technology"})
"""Fields of a design that change neither its program nor its cycles, with all that lies in them."""
MOST_VALUES = 10_000  # of one axis
RANGE = re.compile(r"(-?[\d_.]+)\s*\.\.\s*(-?[\d_.]+)\s+(step|times)\s+([\d_.]+)")
RANGE_WORDS = "a list, or a range such as '8..64 step 8' or '4096..65536 times 2'"


@dataclass(frozen=True)
class Axis:
    """One thing that varies. `values` are as YAML has them; what a number of a value is called is `labels`."""

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as tables, files and the dashboard show them."""
        return tuple(label(value) for value in self.values)

    @property
    def is_ordered(self) -> bool:
        """Whether its values are numbers that rise or fall."""
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)
        ordered = sorted(self.values) if numbers else []
        return numbers and list(self.values) in (ordered, ordered[::-1])

    @property
    def is_field(self) -> bool:
        """Whether it is a field of a design."""
        return self.name not in OTHERS

    @property
    def changes_cycles(self) -> bool:
        """Whether programs and cycles can depend on it."""
        return self.name.split(".")[0] not in LEFT_ALONE


def label(value: Any) -> str:
    """A value in few characters: a mapping as its values."""
    if isinstance(value, dict):
        return "/".join(label(part) for part in value.values())
    return value if isinstance(value, str) else json.dumps(value)


def axis(name: str, given: Any, where: str) -> Axis:
    """The axis of a line of a space file. Raises InputError, which ends with `where`."""
    _check_name(name, where)
    values = [_value(name, value) for value in _values(name, given, where)]
    for value in values:
        if not _is_plain(value):  # YAML knows dates and bytes, which no field is
            raise InputError(
                f"{name} must have numbers, words or fields as values, not {yaml_text.shown(value)} ({where})"
            )
    if not values:
        raise InputError(f"{name} must have at least one value, and its list is empty ({where})")
    texts = [json.dumps(value, sort_keys=True) for value in values]
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise InputError(f"{name} must have different values, and {twice[:60]} is given twice ({where})")
    if name == "formats":
        wrong = [value for value in values if value not in WORDS]
        if wrong:
            raise InputError(f"formats must be some of {', '.join(WORDS)}, not {wrong[0]!r} ({where})")
    elif name in OTHERS and not all(isinstance(value, str) for value in values):
        raise InputError(f"{name} must be a list of names or files, not {yaml_text.shown(given)} ({where})")
    elif name == "quantisation":
        _check_methods(values, where)
    return Axis(name, tuple(values))


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold the value."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(part) for name, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _check_methods(values: list[Any], where: str) -> None:
    """Raise InputError for words that are no method of quantisation, or mean the same as others."""
    known: dict[str, str] = {}
    for value in values:
        try:
            method = str(method_words.parse(value))
        except InputError as error:
            raise InputError(f"{error} ({where})") from None
        if method in known:
            raise InputError(f"quantisation must have different values: {known[method]!r} is {value!r} ({where})")
        known[method] = value


def _value(name: str, value: Any) -> Any:
    """A value in its long form: an engine or a memory may be called by its kind alone."""
    return {"kind": value} if name in ("engine", "memory") and isinstance(value, str) else value


def _values(name: str, given: Any, where: str) -> list[Any]:
    if isinstance(given, list):
        if any(isinstance(value, list) for value in given):
            raise InputError(f"{name} must be {RANGE_WORDS}, not lists in a list ({where})")
        return given
    if isinstance(given, str) and (found := RANGE.fullmatch(given.strip())):
        return _range(name, found, where)
    if isinstance(given, str) and ".." in given:
        raise InputError(f"{name} must be {RANGE_WORDS}, not {yaml_text.shown(given)} ({where})")
    return [given]  # one value: the field differs from the base


def _range(name: str, found: re.Match[str], where: str) -> list[Any]:
    """Whole numbers where all are whole."""
    try:
        numbers = [float(found[k]) for k in (1, 2, 4)]
    except ValueError:
        raise InputError(f"{name} must be {RANGE_WORDS}, not {yaml_text.shown(found[0])} ({where})") from None
    low, high, by = numbers
    rises = by > 0 if found[3] == "step" else by > 1 and low > 0
    if low > high or not rises:
        reason = "is empty" if low > high else "never ends"
        raise InputError(f"{name} must be {RANGE_WORDS}: {found[0]!r} {reason} ({where})")
    values: list[float] = []
    at = low
    while at <= high * (1 + 1e-12):
        if len(values) == MOST_VALUES:
            raise InputError(f"{name} must have at most {MOST_VALUES:,} values, and {found[0]!r} has more ({where})")
        values.append(at)
        at = low + by * len(values) if found[3] == "step" else at * by
    whole = all(value.is_integer() for value in values)
    return [int(value) for value in values] if whole else values


def _check_name(name: str, where: str) -> None:
    """Raise InputError unless a field of a design, or one of OTHERS, has that name."""
    if name in OTHERS:
        return
    parts = name.split(".")
    models: tuple[type[Any], ...] = (Design,)
    for depth, part in enumerate(parts):
        fields = {key: info for model in models for key, info in model.model_fields.items()}
        if part not in fields or part == "name":
            above = ".".join(parts[:depth])
            names = [key for key in fields if key != "name"]
            known = "no fields of its own"
            if names:
                known = words(names) if above else f"{words(names, 'and')}; beside it there are {words(OTHERS)}"
            raise InputError(f"{name} is not a field of {above or 'a design'}, which has {known} ({where})")
        models = tuple(
            found for model in models if part in model.model_fields
            for found in sections(model.model_fields[part]) if issubclass(found, Section)
        )  # fmt: skip
