"""A design synthesised flat, placed and routed by nextpnr: its clock, and what the slowest path goes through."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from accel.synthesis.components import component
from accel.synthesis.modules import Tree
from accel.synthesis.netlist import flat
from accel.synthesis.targets import Cells, Target
from accel.synthesis.tools import run

WANTED_MHZ = 100  # that nextpnr tries to reach: above what there is, so that it does its best


@dataclass(frozen=True)
class Placed:
    """`fmax_mhz`: from register to register. `critical`: components along the slowest path and the ns in each.

    `used`: cells of the part that are taken and that there are, as nextpnr calls them. `cells`: those of the netlist.
    """

    fmax_mhz: float
    critical: tuple[tuple[str, float], ...]
    used: dict[str, tuple[int, int]]
    cells: Cells


def place(tree: Tree, target: Target, folder: Path, seeds: Iterable[int] = (1,)) -> list[Placed]:
    """Synthesise flat in `folder`, and place and route it with each seed.

    Raises InputError without the tools, ToolError if one fails: nextpnr if it finds no place or no way.
    """
    cells = flat(tree, target.family, folder)
    found = []
    for seed in seeds:
        run(
            target.tool,
            [
                *target.nextpnr, "--json", "flat.json", "--report", "report.json", "--freq", str(WANTED_MHZ),
                "--seed", str(seed), "--timing-allow-fail", "-q",
            ],
            folder,
        )  # fmt: skip
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        found.append(read_report(report, cells))
    return found


def read_report(report: dict[str, Any], cells: Cells) -> Placed:
    """nextpnr's report in our terms, of a netlist with these cells."""
    clock = max(report["fmax"], key=lambda name: "clk" in name)
    paths = [path for path in report["critical_paths"] if path["from"].split()[-1] == path["to"].split()[-1]]
    steps = [(_component(step["to"]["cell"]), float(step["delay"])) for step in paths[0]["path"]] if paths else []
    critical = tuple(
        (name, round(sum(delay for _, delay in group), 2)) for name, group in groupby(steps, key=lambda step: step[0])
    )
    used = {name: (count["used"], count["available"]) for name, count in report["utilization"].items() if count["used"]}
    return Placed(report["fmax"][clock]["achieved"], critical, used, cells)


def _component(cell: str) -> str:
    """Of a cell of the flat netlist: instances are in front of its name, with dots between."""
    return component(tuple(cell.split(".")[:-1]))
