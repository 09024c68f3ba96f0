"""The names that instances of emitted Verilog have in tables: boxes of the block diagram, and pieces of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from accel.synthesis.targets import Cells

MEMORIES = re.compile(r"(ram|rom)(_|$)")
"""Modules that are memories: what they take follows from their sizes."""


def piece(path: tuple[str, ...]) -> str:
    """An instance's place, without numbers: array/row_3/pe_2 is array/row/pe, pe3_bank0 is pe_bank."""
    return "/".join(map(_unnumbered, path))


def _unnumbered(name: str) -> str:
    return re.sub(r"_?\d+", "", name)


def component(path: tuple[str, ...]) -> str:
    """The box that an instance belongs to: those of the accelerator and of its compute unit, and the decoder.

    What connects them is "glue", in the compute unit "compute".
    """
    if path[:1] in (("engine",), ("accelerator",)):  # of a core without DRAM
        return component(path[1:])
    if not path:
        return "glue"
    first = _unnumbered(path[0])
    if first == "compute" and len(path) > 1:
        inner = _unnumbered(path[1])
        return "array" if inner == "pe" else inner
    if first == "load" and len(path) > 1 and path[1] == "decoder":
        return "decoder"
    return "queues" if first.startswith("queue_") else first


def by_component(instances: Iterable[tuple[tuple[str, ...], str, Cells]]) -> dict[str, Cells]:
    """The cells of each component, largest first."""
    found: dict[str, Cells] = {}
    for path, _, cells in instances:
        name = component(path)
        found[name] = found.get(name, Cells()) + cells
    return dict(sorted(found.items(), key=lambda item: -item[1].lut))


def by_piece(instances: Iterable[tuple[tuple[str, ...], str, Cells]]) -> dict[str, Cells]:
    """The cells of each piece, memories apart (piece "ram")."""
    found: dict[str, Cells] = {}
    for path, module, cells in instances:
        name = "ram" if MEMORIES.match(module) else piece(path)
        found[name] = found.get(name, Cells()) + cells
    return {name: cells for name, cells in found.items() if cells != Cells()}
