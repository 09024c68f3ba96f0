"""`accel train`: `accel.models.zoo.train` with a line for each epoch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from accel.flow.report import made
from accel.models.training.fit import Epoch
from accel.models.zoo.train import train


def run(where: Console, name: str, data: Path, out: Path, epochs: int, seed: int, validation: bool) -> None:
    """Train `name` on the MNIST files in `data` into `out`; a run that was cut short goes on.

    With `validation` a sixth of the training images is held out and judges. Raises InputError.
    """

    def show(epoch: Epoch) -> None:
        where.print(
            f"epoch {epoch.number} of {epoch.epochs}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy_percent:.2f} %",
            highlight=False,
        )

    with made(out.parent):
        train(name, data, out, seed, epochs, show, validation)
    where.print(f"wrote {out}", highlight=False)
