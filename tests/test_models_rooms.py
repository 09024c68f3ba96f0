"""The rooms of `models` are read from one end to the other: which one imports which has no cycle."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import accel.models

ROOT = Path(accel.models.__file__).parent
BASE = "base"  # the files that stand beside the rooms


def room(parts: Iterable[str]) -> str:
    """Of a module inside accel.models, by the parts of its name after that."""
    first = next(iter(parts), "")
    return first if (ROOT / first).is_dir() and first else BASE


def imports(path: Path) -> set[str]:
    """Names of modules, and of what is taken out of them, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("accel.models.")}


def graph_of_rooms() -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    graph: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        if path == ROOT / "__init__.py":
            continue
        own = room(path.relative_to(ROOT).parts)
        graph.setdefault(own, set()).update(room(name.split(".")[2:]) for name in imports(path))
    return {own: others - {own} for own, others in graph.items()}


def test_the_rooms_have_an_order() -> None:
    graph = graph_of_rooms()
    assert {"exchange", "integers", "reference", "training", "encode", "compress", "zoo", "experiments"} < set(graph)
    order = list(TopologicalSorter(graph).static_order())
    assert order[0] == BASE
    assert set(order[-2:]) == {"experiments", "zoo"}
    # Nobody builds on a network that was trained, or on an experiment.
    assert [own for own, others in graph.items() if "zoo" in others] in ([], ["experiments"])
    assert not [own for own, others in graph.items() if "experiments" in others]


def test_files_have_an_order_too() -> None:
    """Module by module, so that no import works only because of who came first."""
    names = {f"accel.models.{'.'.join(p.relative_to(ROOT).with_suffix('').parts)}": p for p in ROOT.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {}
    for name, path in modules.items():
        taken = {found if found in modules else found.rpartition(".")[0] for found in imports(path)}
        graph[name] = {found for found in taken if found in modules and found != name}
    assert sum(map(len, graph.values())) > 150
    list(TopologicalSorter(graph).static_order())


def test_a_cycle_would_be_seen() -> None:
    graph = graph_of_rooms()
    graph["encode"].add("compress")
    with pytest.raises(CycleError):
        list(TopologicalSorter(graph).static_order())
