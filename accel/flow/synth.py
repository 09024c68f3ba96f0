"""`accel synth`: what a design takes of an FPGA, by component, and the clock that it reaches there."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from accel import design as designs_module
from accel.design import Design, OnChip
from accel.flow import emit, tables
from accel.flow.progress import Advance
from accel.models.errors import InputError
from accel.resources.clock import ASIC
from accel.resources.parts import shortfalls
from accel.rtl.emit import TOP, verilog_text
from accel.synthesis import tools
from accel.synthesis.components import by_component
from accel.synthesis.modules import Tree, parse
from accel.synthesis.netlist import synthesise
from accel.synthesis.place import Placed, place
from accel.synthesis.targets import Cells, Target, target

DEFAULT = "ecp5-85f"


@dataclass(frozen=True)
class Source:
    """A design's Verilog."""

    design: Design
    tree: Tree


@dataclass(frozen=True)
class Synthesis:
    """`short`: what the target has too little of (then nothing is placed); `placed` is None if it was not asked for.

    `failed`: why it could not be placed and routed, "" if it could or was not asked for.
    """

    design: Design
    target: Target
    components: dict[str, Cells]
    total: Cells
    short: tuple[str, ...]
    placed: Placed | None
    failed: str = ""


def default_target(design: Design) -> Target:
    """The design's own target if that is an FPGA, else a middle-sized one."""
    own = design.technology.target
    return target(DEFAULT if own == ASIC else own)


def design_of(name: str) -> Design:
    """The design by name or YAML file, or of a folder that `accel emit` wrote. Raises InputError."""
    folder = _folder(name)
    if folder:
        for file in (emit.MARK, "accelerator.v", "design.yaml"):
            if not (folder / file).is_file():
                raise InputError(f"{name} must be a folder that accel emit wrote, and has no {file}")
        return designs_module.load(folder / "design.yaml")
    design = designs_module.load(name)
    if isinstance(design.memory, OnChip):
        raise InputError(
            f"{design.name}: a core without DRAM is made of its program: accel synth must have a folder that accel "
            f"emit wrote, not {name}"
        )
    return design


def source(name: str) -> Source:
    """As `design_of`, with the Verilog, which takes seconds to be made."""
    design, folder = design_of(name), _folder(name)
    if folder:
        text = (folder / "accelerator.v").read_text(encoding="utf-8", errors="replace")
        return Source(design, parse(text, TOP))
    return Source(design, parse(verilog_text(design), TOP))


def _folder(name: str) -> Path | None:
    return Path(name) if Path(name).is_dir() and name not in designs_module.names() else None


def steps(of: Source, on: Target, placing: bool) -> int:
    """How often `run` calls `advance` at most."""
    return len(of.tree.parts) + (placing and bool(on.tool))


def check(on: Target, placing: bool) -> None:
    """Raise InputError for a tool that is missing."""
    tools.check("yosys", *([on.tool] if placing and on.tool else []))


def run(of: Source, on: Target, placing: bool, advance: Advance) -> Synthesis:
    """Synthesise each distinct module, then place and route what fits, where there is a free tool for it.

    Raises InputError for a tool that is missing, and for a Yosys that fails; what a place and route that fails says is
    in the result, beside what was synthesised before it.
    """
    check(on, placing)
    with tempfile.TemporaryDirectory(prefix="accel-synth-") as name:
        folder = Path(name)
        try:
            found = synthesise(of.tree, on.family, folder, advance, os.cpu_count() or 1)
            short = shortfalls(found.total, on.part)
        except tools.ToolError as error:
            raise InputError(f"{of.design.name}: {error}") from None
        placed, failed = None, ""
        if placing and on.tool and not short:
            advance("placing and routing it flat, some minutes")
            try:
                (placed,) = place(of.tree, on, folder)
            except tools.ToolError as error:
                failed = f"{of.design.name}: {error}"
    return Synthesis(of.design, on, by_component(found.by_path()), found.total, short, placed, failed)


def record(found: Synthesis) -> dict[str, Any]:
    """A synthesis as plain values for JSON."""
    placed = found.placed
    return {
        "design": found.design.name,
        "target": found.target.part.name,
        "components": {name: asdict(cells) for name, cells in found.components.items()},
        "total": asdict(found.total),
        "available": {field: getattr(found.target.part, field) for field in asdict(found.total)},
        "short_of": list(found.short),
        "not_placed": found.failed or None,
        "flat": asdict(placed.cells) if placed else None,
        "fmax_mhz": placed.fmax_mhz if placed else None,
        "critical_path_ns": [list(step) for step in placed.critical] if placed else [],
    }


COLUMNS: tuple[tables.Column[tuple[str, Cells]], ...] = (
    tables.Column("component", "", lambda row: row[0], left=True),
    tables.Column("LUT", "", lambda row: f"{row[1].lut:,}"),
    tables.Column("FF", "", lambda row: f"{row[1].ff:,}"),
    tables.Column("DSP", "", lambda row: f"{row[1].dsp:,}"),
    tables.Column("block RAM", "", lambda row: f"{row[1].bram:,}"),
)


def show(where: Console, found: Synthesis) -> None:
    """Everything that `accel synth` prints."""
    part = found.target.part
    there = Cells(part.lut, part.ff, part.dsp, part.bram)
    rows = [*found.components.items(), ("total", found.total), (part.name, there)]
    tables.show(where, f"{found.design.name} on {part.name}", COLUMNS, rows)
    for line in remarks(found):
        where.print(Text(line), soft_wrap=True)


def remarks(found: Synthesis) -> list[str]:
    """What stands below the table."""
    lines = [f"block RAM: of {found.target.part.bram_kbit} Kb; LUT: those of carry chains and small memories included"]
    if found.short:
        lines.append(f"does not fit: needs {', '.join(found.short)}")
    if found.placed:
        reached, path = found.placed.fmax_mhz, found.placed.critical
        lines.append(
            f"placed and routed: {reached:.1f} MHz; the slowest path: " + ", ".join(f"{n} {t} ns" for n, t in path)
        )
        cells = found.placed.cells
        lines.append(
            f"synthesised flat for that: {cells.lut:,} LUT, {cells.ff:,} FF, {cells.dsp:,} DSP, "
            f"{cells.bram:,} block RAM"
        )
        if found.design.clock_mhz > reached:
            lines.append(f"warning: {found.design.name} says {found.design.clock_mhz:g} MHz")
    elif not found.target.tool:
        lines.append(f"no clock: there is no free place and route for {found.target.part.name}")
    return lines


__all__ = [
    "Source",
    "Synthesis",
    "default_target",
    "design_of",
    "record",
    "remarks",
    "run",
    "show",
    "source",
    "steps",
    "target",
]
