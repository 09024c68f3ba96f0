"""`accel train hinton` and the like: an experiment with a line for each epoch, and the table at the end."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from accel.flow.report import alone, check_folder, made
from accel.flow.tables import Column, show
from accel.models.experiments import ba_caruana, hinton, kim, resnet8, urban, urban_epochs, vgg_deep

EXPERIMENTS = {
    "hinton": hinton, "ba-caruana": ba_caruana, "urban": urban, "urban-epochs": urban_epochs, "kim": kim,
    "resnet-8": resnet8, "vgg-deep": vgg_deep,
}  # fmt: skip


def run(where: Console, name: str, data: Path, out: Path, validation: bool = False) -> dict[str, Any]:
    """Run experiment `name` on the IDX files in folder `data`; networks and table go to folder `out`.

    What an earlier run finished is read from there, and no other process runs one there meanwhile: networks, notes and
    states have the same names. With `validation` held-out training images judge, not the test set. What is printed as
    plain values. Raises InputError.
    """
    check_folder(out)
    experiment = EXPERIMENTS[name]

    def tell(line: str) -> None:
        where.print(line, highlight=False)

    with made(out), alone(out, 1):
        rows: tuple[Any, ...] = experiment.run(data, out, tell, validation)
    names = [field.name for field in dataclasses.fields(rows[0])]
    texts = {field: isinstance(getattr(rows[0], field), str) for field in names}
    columns = [Column[Any](n.replace("_", " "), "", partial(_cell, name=n), left=texts[n]) for n in names]
    show(where, f"{name}, judged on the {'validation' if validation else 'test'} set", columns, rows)
    where.print()
    for what, value in experiment.summary(rows).items():
        where.print(
            f"{what.replace('_', ' ')}: {value:g}" if math.isfinite(value) else f"{what}: none", highlight=False
        )
    where.print(f"wrote {out / name}.json and the networks beside it", highlight=False)
    found: dict[str, Any] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _cell(row: Any, name: str) -> str:
    value = getattr(row, name)
    return value if isinstance(value, str) else f"{value:.2f}" if isinstance(value, float) else f"{value:,}"
