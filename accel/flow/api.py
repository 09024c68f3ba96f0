"""The public names with their signatures and docstrings, as docs/api.md has them.

Run as `python -m accel.flow.api docs/api.md`.
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields, is_dataclass
from typing import Any

from accel.flow.python_names import PUBLIC
from accel.models.pages import rewrite, with_part

ELSE: Any = ...  # stands for a default that is a function or a value with many fields
BEGIN, END = "<!-- api -->\n", "<!-- end of api -->\n"


def page() -> str:
    """A section for each public module, an entry for each function and class of it."""
    return "\n\n".join(_module(name) for name in PUBLIC) + "\n"


def _module(name: str) -> str:
    module = importlib.import_module(name)
    entries = [(entry, getattr(module, entry)) for entry in module.__all__]
    shown = [_entry(entry, value) for entry, value in entries if inspect.isfunction(value) or inspect.isclass(value)]
    return "\n\n".join([f"## {name}", _doc(module), *shown])


def _entry(name: str, value: Any) -> str:
    if inspect.isfunction(value):
        return f"### {name}\n\n```\n{name}{_signature(value)}\n```\n\n{_doc(value)}"
    lines = [f"### class {name}", _doc(value)]
    if is_dataclass(value):
        lines.append("```\n" + "\n".join(f"{f.name}: {f.type}" for f in fields(value)) + "\n```")
    for member, of in vars(value).items():
        if member.startswith(("_", "model_")):
            continue
        if isinstance(of, property):
            lines.append(f"- `.{member}`: {_flat(of)}")
        elif inspect.isfunction(of):
            lines.append(f"- `.{member}{_signature(of)}`: {_flat(of)}")
    return "\n\n".join(lines[:3]) + ("\n\n" + "\n".join(lines[3:]) if len(lines) > 3 else "")


def _signature(function: Any) -> str:
    found = inspect.signature(function)
    parameters = [p if _plain(p.default) else p.replace(default=ELSE) for p in found.parameters.values()]
    text = str(found.replace(parameters=parameters)).replace("'", "")
    if len(text) <= 90:
        return text
    inner, _, result = text[1:].rpartition(")")
    parts: list[str] = []
    for piece in inner.split(", "):
        deep = parts and sum(parts[-1].count(c) for c in "[(") != sum(parts[-1].count(c) for c in ")]")
        parts[-1:] = [f"{parts[-1]}, {piece}"] if deep else [*parts[-1:], piece]
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _plain(value: Any) -> bool:
    """Whether a default reads as itself, the same in every run."""
    simple = value is inspect.Parameter.empty or value is None or isinstance(value, bool | int | float | str)
    return simple or (isinstance(value, tuple) and all(map(_plain, value)))


def _doc(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").strip()


def _flat(thing: Any) -> str:
    return " ".join(_doc(thing).split())


def replace(text: str) -> str:
    """A page with its part made anew."""
    return with_part(text, BEGIN, END, page())


if __name__ == "__main__":
    rewrite(replace)
