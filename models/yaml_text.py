"""YAML files that people write: values with the lines that they stand in, and one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from accel.models.errors import InputError
from accel.models.files import read_regular

# Bounds, far above what a design or a recipe needs, and small enough for a parser in Python.
MOST_BYTES = 2**18
MOST_VALUES = 10_000  # what an alias stands for counted each time that it stands
DEEPEST = 30
LONGEST_VALUE = 1000  # characters


def load(path: str | Path) -> str:
    """The text of a file. Raises OSError, its `strerror` in words, for what is no text or no file, or too long."""
    try:
        return read_regular(path, MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise OSError(0, "not a text file") from None


def shown(value: Any) -> str:
    """A value from a file in a few characters, for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"


def read(text: str, where: str, what: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping in `text`, and the line (from 1) of each dotted field name.

    `where` is the source and `what` ("a design") what it should be, for errors. Raises InputError, one line, for what
    is no YAML or no mapping, for a field that is given twice, and for more than a design or a recipe can need: values
    that aliases multiply included.
    """
    node = _parsed(lambda: yaml.compose(text, Loader=yaml.SafeLoader), where, what)
    if node:
        _measure(node, where, {}, ())
    values = _parsed(lambda: yaml.safe_load(text), where, what)
    if not isinstance(values, dict):
        raise InputError(f"{where}: {what} must be a YAML mapping, not {type(values).__name__}")
    twice = _twice(node, set())
    if twice:
        raise InputError(f"{where}:{twice.start_mark.line + 1}: {shown(twice.value)} is given twice")
    return values, _lines(node)


def _parsed(parse: Callable[[], Any], where: str, what: str) -> Any:
    """What PyYAML makes of a text. Raises InputError for whatever it raises."""
    try:
        return parse()
    except RecursionError:
        raise InputError(f"{where}: not {what}: its YAML contains itself or is too deep") from None
    except Exception as error:  # beside YAMLError what Python's conversions raise, of a date or a number that is none
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{where}{line}: not valid YAML: {reason[:200] or type(error).__name__}") from None


def _measure(node: yaml.Node, where: str, sizes: dict[int, int], above: tuple[int, ...]) -> int:
    """The number of values in `node`, aliases written out. Raises InputError if they are too many, too deep or long.

    `sizes` are those of nodes that are known, `above` the nodes that this one lies in.
    """
    place = f"{where}:{node.start_mark.line + 1}"
    if id(node) in above or len(above) > DEEPEST:
        what = "contains itself" if id(node) in above else f"must be at most {DEEPEST} levels deep"
        raise InputError(f"{place}: its YAML {what}")
    if id(node) not in sizes:
        if isinstance(node, yaml.ScalarNode):
            if len(node.value) > LONGEST_VALUE:
                raise InputError(
                    f"{place}: a value must have at most {LONGEST_VALUE} characters, not {len(node.value)}"
                )
            sizes[id(node)] = 1
        else:
            children = [child for entry in node.value for child in (entry if isinstance(entry, tuple) else (entry,))]
            size = 1
            for child in children:
                size += _measure(child, where, sizes, (*above, id(node)))
                if size > MOST_VALUES:
                    raise InputError(f"{place}: its YAML must have at most {MOST_VALUES} values, aliases written out")
            sizes[id(node)] = size
    return sizes[id(node)]


def _lines(node: yaml.Node, prefix: str = "") -> dict[str, int]:
    """Line of every dotted field name in a mapping."""
    found = {prefix: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}.{key.value}" if prefix else str(key.value)
            found |= _lines(value, name)
            found[name] = key.start_mark.line + 1
    return found


def _twice(node: yaml.Node, seen: set[int]) -> yaml.ScalarNode | None:
    """The first key that its mapping has already; `seen` are the nodes that were looked at (aliases share them)."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return None
    seen.add(id(node))
    children: list[yaml.Node] = []
    keys = set[str]()
    for child in node.value:
        if isinstance(child, tuple):
            key, child = child
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    return key
                keys.add(key.value)
        children.append(child)
    return next((found for child in children if (found := _twice(child, seen))), None)
