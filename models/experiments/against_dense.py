"""What experiments on compression have in common: recipes of the zoo, run on a network that has learnt the images.

Rows count errors in float and in int8, and the bytes of the int8 file. There is also the rival: the same network after
as many more epochs, with nothing compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accel.models import zoo
from accel.models.compress import prune, recipe
from accel.models.compress.training_step import Context
from accel.models.encode.stored import FORMATS, stored_bytes
from accel.models.exchange import onnx_read, onnx_write
from accel.models.experiments.cifar import count_int8_errors
from accel.models.experiments.runs import Runs, count_errors
from accel.models.graph import Network
from accel.models.quantisation.shared import quantise_compressed
from accel.models.training.images import floats, spread

CALIBRATION = 512  # images
LONGER = "dense-longer"  # the rival


@dataclass(frozen=True)
class Row:
    """One network: the share of weights that are not 0, its errors in float and in int8, its int8 file in bytes."""

    network: str
    density_percent: float
    errors: int
    accuracy_percent: float
    int8_errors: int
    int8_accuracy_percent: float
    stored_bytes: int


def row(runs: Runs, name: str, network: Network) -> Row:
    """What the images that judge a table say of the network; that of a dense one (by its name) is stored uncoded."""
    judged = runs.judged
    integer = quantise_compressed(network, floats(spread(runs.data.train_images, CALIBRATION)))
    wrong, int8_wrong = count_errors((network,), judged), count_int8_errors(integer, judged)
    parts = [100 - 100 * count / len(judged.judged_labels) for count in (wrong, int8_wrong)]
    kept = [(layer.kept, layer.weights) for layer in prune.report(network)]
    density = 100 * sum(k for k, _ in kept) / sum(n for _, n in kept)
    formats = ("dense",) if name in ("dense", LONGER) else FORMATS
    return Row(name, density, wrong, parts[0], int8_wrong, parts[1], stored_bytes(integer, formats))


def compressed(runs: Runs, recipe_name: str, name: str, dense: Network) -> Network:
    """What the zoo's recipe of that name makes of `dense`, as NAME.onnx in the runs' folder. Raises InputError.

    Its trainings are found there by what they begin with, so that one that was cut short goes on.
    """
    chosen = recipe.load(Path(zoo.__file__).parent / "recipes" / f"{recipe_name}.yaml")
    context = Context(
        runs.data, runs.folder, progress=lambda line: runs.progress(f"{name}: {line}") if runs.progress else None
    )
    network = recipe.run(chosen, dense, context).network
    path = runs.folder / f"{name}.onnx"
    onnx_write.write(network, path)
    return onnx_read.read(path)


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Points lost in int8, and how many times fewer bytes, against the dense network; and the former of as many epochs.

    Bytes of the dense network are those of its int8 file without any code.
    """
    by_name = {row.network: row for row in rows}
    dense, found = by_name["dense"], dict[str, float]()
    for name, compressed in by_name.items():
        if name in ("dense", LONGER):
            continue
        for than, rival in (("", dense), ("_against_as_many_epochs", by_name[LONGER])):
            lost = rival.int8_accuracy_percent - compressed.int8_accuracy_percent
            found[f"{name}_lost_points{than}"] = round(lost, 2)
        found[f"{name}_bytes_ratio"] = round(compressed.stored_bytes / dense.stored_bytes, 3)
    return found
