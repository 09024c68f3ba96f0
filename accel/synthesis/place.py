"""A synthesised design placed and routed by nextpnr: its clock, and what the slowest path goes through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from accel.synthesis.components import component
from accel.synthesis.netlist import Synthesised, link
from accel.synthesis.targets import Target
from accel.synthesis.tools import run

WANTED_MHZ = 100  # that nextpnr tries to reach: above what there is, so that it does its best


@dataclass(frozen=True)
class Placed:
    """`fmax_mhz`: from register to register. `critical`: components along the slowest path and the ns in each.

    `used`: cells of the part that are taken and that there are, as nextpnr calls them.
    """

    fmax_mhz: float
    critical: tuple[tuple[str, float], ...]
    used: dict[str, tuple[int, int]]


def place(found: Synthesised, target: Target, folder: Path, seed: int = 1) -> Placed:
    """Link the netlists that `synthesise` left in `folder`, flatten, place and route.

    Raises InputError without nextpnr, ToolError if it finds no place or no way.
    """
    link(found.tree, target.family, folder, "write_json -selected linked.json")
    run(
        target.tool,
        [
            *target.nextpnr, "--json", "linked.json", "--report", "report.json", "--freq", str(WANTED_MHZ),
            "--seed", str(seed), "--timing-allow-fail", "-q",
        ],
        folder,
    )  # fmt: skip
    return read_report(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def read_report(report: dict[str, Any]) -> Placed:
    """nextpnr's report in our terms."""
    clock = max(report["fmax"], key=lambda name: "clk" in name)
    paths = [path for path in report["critical_paths"] if path["from"].split()[-1] == path["to"].split()[-1]]
    steps = [(_component(step["to"]["cell"]), float(step["delay"])) for step in paths[0]["path"]] if paths else []
    critical = tuple(
        (name, round(sum(delay for _, delay in group), 2)) for name, group in groupby(steps, key=lambda step: step[0])
    )
    used = {name: (count["used"], count["available"]) for name, count in report["utilization"].items() if count["used"]}
    return Placed(report["fmax"][clock]["achieved"], critical, used)


def _component(cell: str) -> str:
    """Of a cell of the flat netlist: instances are in front of its name, with dots between."""
    return component(tuple(cell.split(".")[:-1]))
