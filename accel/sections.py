"""Sections of a design and what they may hold, in words: for whatever is wrong with one, and for its documentation.

A field is a value, a section, or one of several sections that its `kind` tells apart, the first of which is meant where
a file gives no kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator
from pydantic.fields import FieldInfo

from accel.models import yaml_text

NAME = "a text of letters, digits, '_', '.' and '-'"
LANES = "a divisor of array.rows and array.cols, or null"


class Section(BaseModel):
    """Base of all sections: frozen, without unknown fields, without conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def by_kind(default: str) -> Discriminator:
    """What tells the sections of a field apart: `kind`, or `default` where none is given.

    Each section needs its kind as a pydantic Tag.
    """

    def kind(value: Any) -> Any:
        return value.get("kind", default) if isinstance(value, Mapping) else getattr(value, "kind", default)

    return Discriminator(kind)


def sections(info: FieldInfo) -> tuple[type[BaseModel], ...]:
    """The sections that a field may be; none for a field with a value."""
    parts = [info.annotation]
    if get_origin(info.annotation) in (Union, UnionType):
        parts = [get_args(part)[0] if get_args(part) else part for part in get_args(info.annotation)]
    return tuple(part for part in parts if isinstance(part, type) and issubclass(part, BaseModel))


def kind_of(part: type[BaseModel]) -> str | None:
    """The kind of a section, None if it has none."""
    return get_args(part.model_fields["kind"].annotation)[0] if "kind" in part.model_fields else None


def section(info: FieldInfo, value: Any = None) -> type[BaseModel] | None:
    """The section that a field is: the class of `value`, or of its `kind` if it is a mapping; None for a value.

    The first one if `value` says nothing else.
    """
    parts = sections(info)
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return next((part for part in parts if kind is not None and kind_of(part) == kind), parts[0] if parts else None)


def legal_set(name: str, info: FieldInfo, among: tuple[type[BaseModel], ...] = ()) -> str:
    """What a field may be, in words. `among`: the sections that a `kind` chooses between."""
    annotation = info.annotation
    if part := section(info):
        return f"a mapping of {words(part.model_fields)}"
    if name == "kind" and among:
        return _kinds(among)
    if get_origin(annotation) is Literal:
        return words([repr(value) for value in get_args(annotation)], "or")
    low = next((m.ge for m in info.metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in info.metadata if hasattr(m, "le")), None)
    if high is None:
        return NAME if name == "name" else LANES
    kind = "an integer in " if annotation is int else ""
    return f"{kind}{low}..{high}"


def words(names: Iterable[str], last: str = "and") -> str:
    """Names as a list in a sentence."""
    *first, end = names
    return f"{', '.join(first)} {last} {end}" if first else end


def look_over(
    model: type[BaseModel], values: dict[Any, Any], prefix: str = "", among: tuple[type[BaseModel], ...] = ()
) -> tuple[str, str] | None:
    """The dotted name of the first thing that pydantic has no good words for, and what is wrong with it.

    A kind that there is none of; a field that is unknown, before one that is missing because it was misspelt; a value
    where a section should be; a truth value, which passes as a number.
    """
    fields = model.model_fields
    if among and "kind" in values and not any(_same(values["kind"], kind_of(part)) for part in among):
        return f"{prefix}kind", f"must be {_kinds(among)}, not {yaml_text.shown(values['kind'])}"
    for key in values:
        if key not in fields:
            of_kind = f" of kind {kind_of(model)}" if len(among) > 1 else ""
            what = f"{prefix.rstrip('.')}{of_kind}, which has" if prefix else "a design, which has"
            return f"{prefix}{key}", f"is not a field of {what} {words(fields)}"
    for key, value in values.items():
        part = section(fields[key], value)
        if isinstance(value, bool) or (part and not isinstance(value, dict)):
            return f"{prefix}{key}", f"must be {legal_set(key, fields[key])}, not {yaml_text.shown(value)}"
        if part and (found := look_over(part, value, f"{prefix}{key}.", sections(fields[key]))):
            return found
    return None


def _kinds(among: tuple[type[BaseModel], ...]) -> str:
    return words([repr(kind_of(part)) for part in among], "or")


def _same(value: Any, kind: str | None) -> bool:
    return isinstance(value, str) and value == kind


def field_at(model: type[BaseModel], location: list[str]) -> tuple[str, FieldInfo]:
    """The dotted name and the description of the field that an error of pydantic is about.

    Where a field is one of several sections, pydantic's location has the kind behind its name.
    """
    names, rest, info = [], list(location), None
    while rest:
        name = rest.pop(0)
        names.append(name)
        info = model.model_fields[name]
        parts = sections(info)
        if len(parts) > 1 and rest:
            kind = rest.pop(0)
            model = next(part for part in parts if kind_of(part) == kind)
        elif parts:
            model = parts[0]
    assert info is not None
    return ".".join(names), info
