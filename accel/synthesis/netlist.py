"""Each distinct module of a design through Yosys, and what the whole design takes: the sum over its instances.

A module is synthesised with what it instantiates as black boxes. So no logic moves across the border of a module, and
what only another module makes superfluous is counted: a little more than one flat run gives (docs/synthesis.md). What
is placed is such a flat run: only there is it known what comes late into a module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from accel.synthesis.modules import Tree
from accel.synthesis.targets import Cells, Family
from accel.synthesis.tools import run

MODULE_DELAY = "scratchpad -set abc9.D 5000"  # ps that a module by itself is mapped for
Advance = Callable[[str], None]


@dataclass(frozen=True)
class Synthesised:
    """`cells` of each module without what is below it, by the module's key; `tree` of the design."""

    tree: Tree
    cells: Mapping[str, Cells] = field(repr=False)

    def by_path(self) -> list[tuple[tuple[str, ...], str, Cells]]:
        """Every instance whose module was synthesised: its path, its module, its own cells."""
        return [
            (path, module, self.cells[self.tree.keys[module]])
            for path, module in self.tree.paths()
            if self.tree.keys[module] in self.cells
        ]

    @property
    def total(self) -> Cells:
        """The whole design."""
        return sum((cells for _, _, cells in self.by_path()), start=Cells())


def synthesise(
    tree: Tree,
    family: Family,
    folder: Path,
    advance: Advance,
    jobs: int = 1,
    known: dict[str, Cells] | None = None,
    options: str = "",
    only: Collection[str] | None = None,
) -> Synthesised:
    """All modules of a tree that are not `known` by key, which grows by them; netlists are left in `folder`, MODULE.il.

    `advance` is called with a few words whenever a module is done. `options` of the Yosys command ("-nodsp"); `only`:
    names of modules, of which alone the result has cells.
    """
    found = {} if known is None else known
    todo = [name for name in tree.parts if tree.keys[name] not in found and (only is None or name in only)]
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_module, tree, name, family, folder, options): name for name in todo}
        try:
            for done in as_completed(waiting):
                name = waiting[done]
                found[tree.keys[name]] = done.result()
                advance(name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Synthesised(tree, found)


def flat(tree: Tree, family: Family, folder: Path) -> Cells:
    """The whole design in one run, flat, as `flat.json` for nextpnr; its cells."""
    (folder / "flat.v").write_text("\n".join(part.text for part in tree.parts.values()), encoding="utf-8")
    run(
        "yosys",
        [
            "-q", "-p",
            f"read_verilog flat.v; {family.yosys} -top {tree.top}; tee -q -o cells.json stat -json; "
            "write_json flat.json",
        ],
        folder,
    )  # fmt: skip
    return _counted(folder / "cells.json", tree.top, family)


def _module(tree: Tree, name: str, family: Family, folder: Path, options: str) -> Cells:
    """One module's netlist and cells."""
    part = tree.parts[name]
    stubs = [tree.parts[below].stub for below in {each.module: None for each in part.instances}]
    (folder / f"{name}.v").write_text("\n".join([*stubs, part.text, ""]), encoding="utf-8")
    run(
        "yosys",
        [
            "-q", "-p",
            f"read_verilog {name}.v; {MODULE_DELAY}; {family.yosys} {family.apart} {options} -top {name}; "
            f"tee -q -o {name}.json stat -json; select {name}; write_rtlil -selected {name}.il",
        ],
        folder,
    )  # fmt: skip
    return _counted(folder / f"{name}.json", name, family)


def _counted(file: Path, module: str, family: Family) -> Cells:
    """The cells of a module that Yosys wrote there."""
    report = file.read_text(encoding="utf-8")
    return family.count(json.loads(report[report.index("{") :])["modules"][f"\\{module}"].get("num_cells_by_type", {}))
