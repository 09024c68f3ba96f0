"""The table of synthesis runs and the fit of `accel.resources`: `python -m tests.benchmarks.resources`.

Synthesises the modules of its designs that are not in the table yet (a change of hardware makes them new), which takes
Yosys minutes, writes the table (accel/resources/data/runs.json) and the fit (fit.json beside it), and prints how far
the predictor is from designs outside the fit. `--fit` takes the table as it is, `--place NAME` places and routes one of
them before, for the clock; clocks of blocks come from `python -m tests.benchmarks.block_clocks`. The status is 1 if a
limit is missed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

from accel.design import Design
from accel.flow.progress import silent
from accel.flow.resource_table import replace
from accel.models.errors import InputError
from accel.models.pages import with_part
from accel.resources import predict
from accel.resources.coefficients import fit as coefficients_of
from accel.resources.features import rams
from accel.resources.fmax import between, slowest
from accel.rtl.emit import TOP, verilog_text
from accel.synthesis.components import by_piece, piece
from accel.synthesis.modules import Tree, parse
from accel.synthesis.netlist import synthesise
from accel.synthesis.place import place
from accel.synthesis.targets import FAMILIES, Cells, target
from tests.benches.resource_designs import CLOCK_CHECKED, DESIGNS, WHOLE_AND_CHECKED
from tests.benches.resource_fit import fit
from tests.benchmarks.limits import report_missed

ROOT = Path(__file__).parents[2]
DOCS, README = ROOT / "docs" / "synthesis.md", ROOT / "README.md"
BEGIN, END = "<!-- predictor -->\n", "<!-- end of predictor -->\n"
FIT = ROOT / "accel" / "resources" / "data" / "fit.json"
TABLE = ROOT / "accel" / "resources" / "data" / "runs.json"


def read() -> dict:
    """The table: `modules` by key, `runs` by design."""
    if TABLE.exists():
        return {"clocks": {}} | json.loads(TABLE.read_text(encoding="utf-8"))
    return {"modules": {}, "rams": {}, "runs": {}, "clocks": {}, "placed": {}}


def write(table: dict) -> None:
    """One line a module and a run, in order, so that changes can be read."""
    TABLE.parent.mkdir(exist_ok=True)
    parts = []
    for part in ("modules", "rams", "runs", "clocks", "placed"):
        lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table[part].items()))
        parts.append(f'"{part}": {{\n{lines}\n}}')
    TABLE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def run(design: Design, table: dict, used: set[str], pieces: str = "") -> None:
    """A design's row, its new modules synthesised: all, or those at places that the expression `pieces` finds."""
    tree = parse(verilog_text(design), TOP)
    check_memories(design, tree)
    chosen = {module for path, module in tree.paths() if re.search(pieces, piece(path))}
    known = {key: Cells(*cells) for key, cells in table["modules"].items()}
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = synthesise(tree, FAMILIES["ecp5"], Path(folder), silent, os.cpu_count() or 1, known, only=chosen)
    finally:
        table["modules"] |= {key: _row(cells) for key, cells in known.items()}
        write(table)
    used |= {tree.keys[name] for name in chosen}
    table["rams"] |= {name: _row(found.cells[tree.keys[name]]) for name in chosen if name.startswith("ram_")}
    table["runs"][design.name] = {
        "pieces": {name: _row(cells) for name, cells in by_piece(found.by_path()).items()},
        "total": _row(found.total) if len(chosen) == len(tree.parts) else None,
    }
    print(f"{design.name:12} {found.total}  {time.monotonic() - begun:.0f} s", flush=True)


def check_memories(design: Design, tree: Tree) -> None:
    """Raise InputError unless the memories that are predicted are those of the Verilog."""
    there, known = Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
    for _, module in tree.paths():
        if module.startswith("ram_"):
            words, lanes, bits = (int(number) for number in re.findall(r"[a-z](\d+)", module)[:3])
            there[bits, words, lanes] += 1
    for count, *shape in rams(design):
        known[tuple(shape)] += count
    if there != known:
        more, less = dict(there - known), dict(known - there)
        raise InputError(
            f"{design.name}: memories (bits, words, lanes) must be predicted, not {more} less and {less} more"
        )


def _row(cells: Cells) -> list[int]:
    return [cells.lut, cells.ff, cells.dsp, cells.bram]


def errors(table: dict, names: list[str]) -> tuple[dict[str, float], str]:
    """Median errors of LUT and FF and largest of DSP and BRAM, in percent; predicted and synthesised as a table."""
    found: dict[str, list[float]] = {"lut": [], "ff": [], "dsp": [], "bram": []}
    designs = {design.name: design for design, _ in DESIGNS}
    lines = ["| design | LUTs | predicted | registers | predicted | multipliers | predicted | block RAMs | predicted |"]
    lines.append("|---|" + "---|" * 8)
    for name in names:
        predicted, cells = predict(designs[name]), ""
        for field, true in zip(found, table["runs"][name]["total"], strict=True):
            ours = getattr(predicted, field)
            error = 100 * (ours - true) / true
            found[field].append(abs(error))
            cells += f" {true:,} | {ours:,}" + (f" ({error:+.1f} %) |" if field in ("lut", "ff") else " |")
        lines.append(f"| `{name}` |{cells}")
    figures = {field: median(values) if field in ("lut", "ff") else max(values) for field, values in found.items()}
    return figures, "\n".join(lines) + "\n"


def clock_errors(table: dict, names: Iterable[str]) -> tuple[float, str]:
    """Median error of the clock in percent; predicted and placed as a table."""
    designs, found = {design.name: design for design, _ in DESIGNS}, []
    lines = ["| design | placed and routed, MHz | predicted | limited by |", "|---|---|---|---|"]
    for name in names:
        true, ours = table["placed"][name], predict(designs[name]).fmax_mhz
        found.append(abs(100 * (ours - true) / true))
        error = f"{100 * (ours - true) / true:+.0f} %"
        lines.append(f"| `{name}` | {true:.1f} | {ours:.1f} ({error}) | {slowest(designs[name])} |")
    return median(found) if found else 100.0, "\n".join(lines) + "\n"


def placed(design: Design) -> float:
    """The clock in MHz of a design on an ECP5-85F."""
    on = target("ecp5-85f")
    with tempfile.TemporaryDirectory() as folder:
        (found,) = place(parse(verilog_text(design), TOP), on, Path(folder))
        return round(found.fmax_mhz, 1)


def main() -> int:
    """Table, fit, comparison; the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was synthesised is in the table
    table = read()
    if "--place" in sys.argv[1:]:
        name = sys.argv[sys.argv.index("--place") + 1]
        table["placed"][name] = placed(next(design for design, _ in DESIGNS if design.name == name))
        write(table)
    elif "--fit" not in sys.argv[1:]:
        used: set[str] = set()
        for design, pieces in (one for one in DESIGNS if one[1] != CLOCK_CHECKED):
            run(design, table, used, pieces)
            write(table)
        names = {design.name for design, _ in DESIGNS}
        table = table | {
            "modules": {key: value for key, value in table["modules"].items() if key in used},
            "runs": {name: value for name, value in table["runs"].items() if name in names},
        }
        write(table)
    rows = {design.name: pieces for design, pieces in DESIGNS if design.name in table["runs"]}
    done = [name for name, pieces in rows.items() if pieces != WHOLE_AND_CHECKED]
    checked = [name for name, pieces in rows.items() if pieces == WHOLE_AND_CHECKED]
    whole = {name: mhz for name, mhz in table["placed"].items() if name in done}
    wholes = defaultdict(list)
    for design, _ in DESIGNS:
        if design.name in whole:
            wholes[between(design)].append(whole[design.name])
    paths = {key: round(mean(clocks), 1) for key, clocks in sorted(wholes.items())}
    coefficients = fit(table, done) | {"clocks": table["clocks"], "between": paths}
    FIT.write_text(json.dumps(coefficients, indent=1) + "\n", encoding="utf-8")
    coefficients_of.cache_clear()
    _, inside = errors(table, [name for name in done if table["runs"][name]["total"]])
    found, outside = errors(table, checked)
    print(f"Designs of the fit:\n{inside}\nDesigns outside it:\n{outside}")
    _, inside = clock_errors(table, whole)
    found["fmax"], clock_lines = clock_errors(table, sorted(table["placed"].keys() - whole.keys()))
    print(f"Clocks of the fit:\n{inside}\nClocks outside it:\n{clock_lines}")
    print("median of LUT, FF and clock, largest of DSP and BRAM, in %:", {k: round(v, 2) for k, v in found.items()})
    pages = (
        (
            DOCS,
            with_part(
                DOCS.read_text(encoding="utf-8"),
                BEGIN,
                END,
                f"{outside}\n{clock_lines}",
            ),
        ),
        (README, replace(README.read_text())),
    )
    for page, text in pages:
        page.write_text(text, encoding="utf-8")
    return report_missed(found, {"lut": 5, "ff": 5, "dsp": 0, "bram": 0, "fmax": 15})


if __name__ == "__main__":
    sys.exit(main())
