"""The files of `accel compare`: JSON, CSV, charts and the HTML page, written together or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from accel.flow import charts, html, simulate
from accel.flow.compare import Comparison, Row
from models.errors import InputError
from sim.cost_table import CONSTANTS, SRAM_SOURCE

FORMAT = 1
OPTIONAL = ("accuracy.png", "accuracy.svg")  # only with test data: an old one is removed


def record(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values: what compare.json holds."""
    return {
        "format": FORMAT,
        "network": comparison.network,
        "parameters": comparison.parameters,
        "float_accuracy_percent": comparison.float_accuracy_percent,
        "data": comparison.data_source,
        "designs": {design.name: design.model_dump() for design in comparison.designs},
        "rows": [
            asdict(row) | {"total": simulate.part_record(run.total), "layers": _layers(run)}
            for row, run in zip(comparison.rows, comparison.simulations, strict=True)
        ],
        "host_layers": [asdict(layer) for layer in comparison.host_layers],
        "notes": list(comparison.notes),
        "constants": {"sram": SRAM_SOURCE, "logic_and_dram": [asdict(constant) for constant in CONSTANTS]},
    }


def _layers(run: simulate.Simulation) -> list[dict[str, Any]]:
    return [simulate.part_record(layer) for layer in run.layers]


def csv_text(comparison: Comparison) -> str:
    """One line a row, the fields of Row as they are; no accuracy is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in comparison.rows)
    return text.getvalue()


def files(comparison: Comparison) -> dict[str, bytes]:
    """Every file by name."""
    pictures = charts.draw(comparison)
    return {
        "compare.json": (json.dumps(record(comparison), indent=1, allow_nan=False) + "\n").encode(),
        "compare.csv": csv_text(comparison).encode(),
        **pictures,
        "report.html": html.page(comparison, {n: b for n, b in pictures.items() if n.endswith(".svg")}).encode(),
    }


def check_folder(folder: Path) -> None:
    """Raise InputError unless files can be written to `folder`, which need not exist yet. Leaves nothing behind."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InputError(f"output folder {folder} cannot be made: {there} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written: {error.strerror or error}") from None


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files into `folder`: all are complete beside their places before the first is moved there.

    Raises InputError if the folder cannot be written.
    """
    parts: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            part = folder / f".{name}.part"
            parts.append((part, folder / name))
            part.write_bytes(data)
        for part, final in parts:
            os.replace(part, final)
        for name in OPTIONAL:
            if name not in contents:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written: {error.strerror or error}") from None
    finally:
        for part, _ in parts:
            part.unlink(missing_ok=True)
