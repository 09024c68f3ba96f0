"""YAML files that people write: values with the lines that they stand in, and one line that says what is wrong."""

from __future__ import annotations

from typing import Any

import yaml

from accel.models.errors import InputError


def read(text: str, where: str, what: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping in `text`, and the line (from 1) of each dotted field name.

    `where` is the source and `what` ("a design") what it should be, for errors. Raises InputError, one line, for what
    is no YAML or no mapping, and for a field that is given twice.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
        lines = _lines(node) if node else {}
        twice = _twice(node, set()) if node else None
    except RecursionError:
        raise InputError(f"{where}: not {what}: its YAML contains itself or is too deep") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date or number and is none
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    if not isinstance(values, dict):
        raise InputError(f"{where}: {what} must be a YAML mapping, not {type(values).__name__}")
    if twice:
        raise InputError(f"{where}:{twice.start_mark.line + 1}: {twice.value!r} is given twice")
    return values, lines


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
