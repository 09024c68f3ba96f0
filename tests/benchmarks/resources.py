"""The table of synthesis runs and the fit of `accel.resources`: `python -m tests.benchmarks.resources`.

Synthesises the modules of its designs that are not in the table yet (a change of hardware makes them new), which takes
Yosys minutes, writes the table (accel/resources/data/runs.json) and the fit (fit.json beside it), and prints how far
the predictor is from designs outside the fit. `--fit` takes the table as it is. The status is 1 if a limit is missed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from accel.design import Design
from accel.resources import predict
from accel.resources.predict import fit as coefficients_of
from accel.rtl.emit import TOP, verilog_text
from accel.synthesis.components import by_piece
from accel.synthesis.modules import parse
from accel.synthesis.netlist import synthesise
from accel.synthesis.targets import FAMILIES, Cells
from tests.benches.resource_designs import CHECKED, FITTED
from tests.benches.resource_fit import design_of, fit
from tests.benchmarks.limits import report_missed

FIT = Path(__file__).parents[2] / "accel" / "resources" / "data" / "fit.json"
TABLE = Path(__file__).parents[2] / "accel" / "resources" / "data" / "runs.json"


def read() -> dict:
    """The table: `modules` by key, `runs` by design."""
    if TABLE.exists():
        return json.loads(TABLE.read_text(encoding="utf-8"))
    return {"modules": {}, "rams": {}, "runs": {}}


def write(table: dict) -> None:
    """One line a module and a run, in order, so that changes can be read."""
    TABLE.parent.mkdir(exist_ok=True)
    parts = []
    for part in ("modules", "rams", "runs"):
        lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table[part].items()))
        parts.append(f'"{part}": {{\n{lines}\n}}')
    TABLE.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def run(design: Design, table: dict, used: set[str]) -> None:
    """A design's row, its new modules synthesised."""
    tree = parse(verilog_text(design), TOP)
    known = {key: Cells(*cells) for key, cells in table["modules"].items()}
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = synthesise(tree, FAMILIES["ecp5"], Path(folder), lambda name: None, os.cpu_count() or 1, known)
    finally:
        table["modules"] |= {key: _row(cells) for key, cells in known.items()}
        write(table)
    used |= set(found.keys.values())
    table.setdefault("rams", {}).update(
        (name, _row(found.cells[key])) for name, key in found.keys.items() if name.startswith("ram_")
    )
    table["runs"][design.name] = {
        "design": design.model_dump(exclude={"name"}, exclude_defaults=True),
        "pieces": {name: _row(cells) for name, cells in by_piece(found.by_path()).items()},
        "total": _row(found.total),
    }
    print(f"{design.name:12} {found.total}  {time.monotonic() - begun:.0f} s", flush=True)


def _row(cells: Cells) -> list[int]:
    return [cells.lut, cells.ff, cells.dsp, cells.bram]


def errors(table: dict, names: list[str]) -> dict[str, float]:
    """Prints predicted beside synthesised; the median errors in percent, blocks and multipliers that differ."""
    found: dict[str, list[float]] = {"lut": [], "ff": [], "dsp": [], "bram": []}
    print(f"{'design':14}" + "".join(f"{name + ' found':>13}{'predicted':>10}{'error':>8}" for name in found))
    for name in names:
        row = table["runs"][name]
        predicted = predict(design_of(name, row))
        line = f"{name:14}"
        for field, true in zip(found, row["total"], strict=True):
            ours = getattr(predicted, field)
            found[field].append(100 * abs(ours - true) / true)
            line += f"{true:>13,}{ours:>10,}{100 * (ours - true) / true:>7.1f}%"
        print(line)
    return {field: median(values) if field in ("lut", "ff") else max(values) for field, values in found.items()}


def main() -> int:
    """Table, fit, comparison; the exit status."""
    table = read()
    if "--fit" not in sys.argv[1:]:
        used: set[str] = set()
        for design in (*FITTED, *CHECKED):
            run(design, table, used)
            write(table)
        names = {design.name for design in (*FITTED, *CHECKED)}
        table = {
            "modules": {key: value for key, value in table["modules"].items() if key in used},
            "runs": {name: value for name, value in table["runs"].items() if name in names},
        }
        write(table)
    done = [design.name for design in FITTED if design.name in table["runs"]]
    checked = [design.name for design in CHECKED if design.name in table["runs"]]
    coefficients = fit(table, done) | {"period_ns": {"post": {"1": 24.6, "2": 20.0, "3": 18.0}, "rest": 18.0}}
    FIT.write_text(json.dumps(coefficients, indent=1) + "\n", encoding="utf-8")
    coefficients_of.cache_clear()
    print("Designs of the fit:")
    errors(table, done)
    print("Designs outside it:")
    found = errors(table, checked)
    print("median of LUT and FF, largest of DSP and BRAM, in %:", {k: round(v, 2) for k, v in found.items()})
    return report_missed(found, {"lut": 5, "ff": 5, "dsp": 0, "bram": 0})


if __name__ == "__main__":
    sys.exit(main())
