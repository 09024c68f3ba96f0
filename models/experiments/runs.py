"""What the experiments share: networks that are trained once and read back later, counts of errors, tables as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accel.models.errors import InputError
from accel.models.exchange import onnx_read, onnx_write
from accel.models.files import write_whole
from accel.models.graph import Network, Shape
from accel.models.training.fit import LABELS, Epoch, Schedule, Target, describe, fit, mean_logits
from accel.models.training.images import ImageSet, floats
from accel.models.training.weight_modules import Keep

Progress = Callable[[str], None]  # of lines: an epoch of a network


@dataclass(frozen=True)
class Runs:
    """Where trained networks are kept, the data that they learn, who hears of each epoch, and what a table is of.

    The images that judge an epoch are those of `data`, and of a table as well unless there is a `table`.
    """

    folder: Path
    data: ImageSet
    progress: Progress | None = None
    table: ImageSet | None = None

    @property
    def image(self) -> Shape:
        """The shape of an image as networks read it."""
        return floats(self.data.train_images[:1]).shape[1:]

    @property
    def judged(self) -> ImageSet:
        """What the networks in a table are judged on."""
        return self.table or self.data


def trained(
    runs: Runs, name: str, network: Network, schedule: Schedule, target: Target = LABELS,
    seed: int = 0, keep: Keep = "nothing",
) -> Network:  # fmt: skip
    """`network` trained, from `name`.onnx in the runs' folder if it is there, else by `fit` and written there.

    Beside it `name`.json tells the training: its arguments and the seconds since its start or last resumption. Raises
    InputError if that belongs to other arguments, and as `fit` does.
    """
    path, note = runs.folder / f"{name}.onnx", runs.folder / f"{name}.json"
    described = describe(network, runs.data, schedule, target, keep, seed)
    if path.exists():
        try:
            saved = json.loads(note.read_text(encoding="utf-8"))["run"]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{note} must tell how {path} was trained: remove {path} to train it again") from None
        if saved != described:
            raise InputError(f"{path} belongs to another run ({saved}): remove it, or name another folder")
        return onnx_read.read(path)

    def show(epoch: Epoch) -> None:
        if runs.progress:
            runs.progress(f"{name}: {epoch}")

    started = time.monotonic()
    state_file = path.with_name(path.name + ".state")
    learnt = fit(network, runs.data, schedule, target, keep, seed, state_file, show)
    # The note first: a network without one would be refused.
    write_json(note, {"run": described, "seconds": round(time.monotonic() - started)})
    onnx_write.write(learnt, path)
    return onnx_read.read(path)


def count_errors(networks: tuple[Network, ...], data: ImageSet) -> int:
    """How many of the images that judge are put in a wrong class by the mean of the networks' logits."""
    wanted = mean_logits(networks, data.judged_images)
    return int((wanted.argmax(1) != data.judged_labels).sum())


def write_table(runs: Runs, name: str, rows: tuple[Any, ...], summary: dict[str, float]) -> None:
    """`name`.json in the runs' folder: what judged, the rows (frozen dataclasses) and the summary."""
    table = {"judged_on": runs.judged.part, "rows": [asdict(row) for row in rows], "summary": summary}
    write_json(runs.folder / f"{name}.json", table)


def write_json(path: Path, value: Any) -> None:
    """Write `value`; an existing file is replaced only by a complete one. Raises InputError if it cannot be."""
    write_whole(path, (json.dumps(value, indent=1) + "\n").encode())


def open_runs(data: ImageSet, folder: str | Path, progress: Progress | None) -> Runs:
    """The folder made if it does not exist. Raises InputError if it cannot be written."""
    return Runs(writable(folder), data, progress)


def writable(folder: str | Path) -> Path:
    """The folder, made if it does not exist. Raises InputError if it cannot be written."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} must be a folder that can be written: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder} must be a folder that can be written")
    return folder
