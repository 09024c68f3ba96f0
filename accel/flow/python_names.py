"""The names that Python programs may rely on, as the tables of docs/python.md: what each public module exports.

Run as `python -m accel.flow.python_names docs/python.md`.
"""

from __future__ import annotations

import importlib
import inspect
from types import UnionType
from typing import get_args

from accel.models.pages import rewrite, with_part

BEGIN, END = "<!-- names -->\n", "<!-- end of names -->\n"
# What is not here may change without notice.
PUBLIC = (
    "accel.models.exchange.onnx_read", "accel.models.exchange.onnx_write", "accel.models.zoo", "accel.models.graph",
    "accel.models.window", "accel.models.errors",
    "accel.models.compress.recipe", "accel.models.compress.training_step", "accel.models.encode.encoded",
    "accel.models.encode.encoded_file",
    "accel.models.quantisation.quantise", "accel.models.quantisation.method", "accel.models.quantisation.noise",
    "accel.models.quantisation.shared", "accel.models.compress.share",
    "accel.models.integers.network", "accel.models.encode.integer_file",
    "accel.models.reference.float32", "accel.models.reference.int8",
    "accel.design", "accel.compile", "accel.program", "accel.resources",
    "accel.sim.result", "accel.sim.execute", "accel.sim.cost",
    "accel.rtl.emit", "accel.flow.emit", "accel.flow.compare", "accel.flow.data", "accel.flow.techniques",
    "accel.flow.synth", "accel.models.parting.parted", "accel.cache",
)  # fmt: skip


def tables() -> str:
    """A table for each module: its names, and what each is."""
    return "\n\n".join(_table(name) for name in PUBLIC) + "\n"


def _table(name: str) -> str:
    module = importlib.import_module(name)
    lines = [f"### {name}", "", _sentence(module), "", "| name | |", "|---|---|"]
    lines += [f"| `{entry}{_signature(module, entry)}` | {_meaning(module, entry)} |" for entry in module.__all__]
    return "\n".join(lines)


def _signature(module: object, entry: str) -> str:
    value = getattr(module, entry)
    return f"({', '.join(inspect.signature(value).parameters)})" if inspect.isfunction(value) else ""


def _meaning(module: object, entry: str) -> str:
    value = getattr(module, entry)
    if inspect.isfunction(value) or inspect.isclass(value):
        return _sentence(value)
    if isinstance(value, UnionType):
        return "One of " + ", ".join(kind.__name__ for kind in get_args(value)) + "."
    if isinstance(value, tuple | dict):
        return "By name: " + ", ".join(str(getattr(key, "name", key)) for key in value) + "."
    return "A type of arrays."


def _sentence(thing: object) -> str:
    """The first sentence of its docstring."""
    paragraph = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".:") + "."


def replace(text: str) -> str:
    """A page with its tables made anew."""
    return with_part(text, BEGIN, END, tables())


if __name__ == "__main__":
    rewrite(replace)
