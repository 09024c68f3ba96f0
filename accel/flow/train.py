"""`accel train`: `accel.models.zoo.train` with a line for each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from accel.flow.report import made
from accel.models.training.fit import Epoch
from accel.models.zoo.train import train


def run(where: Console, name: str, data: Path, out: Path, epochs: int, seed: int, validation: bool) -> dict[str, Any]:
    """Train `name` on the MNIST files in `data` into `out`; a run that was cut short goes on. The last epoch as values.

    With `validation` a sixth of the training images is held out and judges. Raises InputError.
    """
    last: dict[str, Any] = {}

    def show(epoch: Epoch) -> None:
        last.update(epochs=epoch.epochs, loss=epoch.loss, accuracy_percent=epoch.accuracy_percent)
        where.print(str(epoch), highlight=False)

    with made(out.parent):
        train(name, data, out, seed, epochs, show, validation)
    where.print(f"wrote {out}", highlight=False)
    return last
