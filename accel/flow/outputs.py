"""What a verb would write, compared with what it reads: no output may replace its own input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from accel.models.compress.recipe import Recipe
from accel.models.compress.steps import Distil
from accel.models.compress.training_step import TrainingStep
from accel.models.errors import InputError
from accel.models.training.images import FILES

Read = str | Path | None


def check(out: str | Path, written: Iterable[Path], read: Iterable[Read], option: str = "--out") -> None:
    """Raise InputError if a file that is read is one of those written, or lies in a folder that is.

    `out` is the value of `option`, for the message. Names that are no files (of the zoo, "mnist") do not matter.
    """
    inputs = [path for path in read if path and os.path.exists(path)]
    for path in written:
        inside = os.path.join(os.path.realpath(path), "")
        for given in inputs:
            same = os.path.exists(path) and os.path.samefile(path, given)
            if same or os.path.realpath(given).startswith(inside):
                raise InputError(f"{option} {out} must not replace its own input, and {path} is {given}")


def images(folder: Path | None) -> Iterator[Path]:
    """The files that `--data` names."""
    if folder:
        yield folder
        for name in FILES:
            yield folder / name
            yield folder / f"{name}.gz"


def named_in(recipe: Recipe) -> Iterator[str]:
    """The teachers and students of a recipe, which may be files."""
    for step in recipe.steps:
        if isinstance(step, TrainingStep):
            yield from [step.teacher] if isinstance(step.teacher, str) else step.teacher
        if isinstance(step, Distil):
            yield step.student
