"""Deep Compression and 2:4 on ResNet-8 for CIFAR-10: Han et al., arXiv 1510.00149; Mishra et al., arXiv 2104.08378.

MLPerf Tiny's ResNet-8 (Banbury et al., arXiv 2106.07597), as the zoo has it, is first trained on the images at hand.
Two recipes of the zoo compress what comes of that; their rival is the same network after as many more epochs, with
nothing compressed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accel.models import zoo
from accel.models.compress import prune, recipe
from accel.models.compress.training_step import Context
from accel.models.encode.stored import FORMATS, stored_bytes
from accel.models.exchange import onnx_read, onnx_write
from accel.models.experiments.cifar import count_int8_errors, open_cifar
from accel.models.experiments.runs import Progress, Runs, count_errors, trained, write_table
from accel.models.graph import Conv, Layer, Network, Softmax, build
from accel.models.quantisation.shared import quantise_compressed
from accel.models.training.fit import Schedule
from accel.models.training.images import floats, spread

CONVOLUTIONS = (
    "conv", "block1_1", "block1_2", "block2_1", "block2_2", "block2_skip", "block3_1", "block3_2", "block3_skip",
)  # fmt: skip
SCHEDULE = Schedule(epochs=3, learning_rate=0.0007, batch=64, weight_decay=1e-4, shift=2, mirror=True, bfloat16=True)
RECIPES = ("2of4", "deep", "dense-longer")  # models/zoo/recipes/resnet-8-NAME.yaml
CALIBRATION = 512  # images


def resnet8() -> Network:
    """MLPerf Tiny's ResNet-8 with the weights of its int8 file, for pixel / 255 as (3, 32, 32), without a softmax."""
    of = zoo.resolve("resnet-8")
    tensors, layers, convolutions = {of.input: "image"}, list[Layer](), iter(CONVOLUTIONS)
    for place, layer in enumerate(of.layers):
        if isinstance(layer, Softmax):
            break
        name = next(convolutions) if isinstance(layer, Conv) else f"{type(layer).__name__.lower()}{place}"
        inputs: Any = tuple(tensors[t] for t in layer.inputs)
        tensors[layer.output] = name
        if isinstance(layer, Conv) and not layers:  # its input was 0..255
            layer = replace(layer, weights=layer.weights * np.float32(255))
        layers.append(replace(layer, name=name, inputs=inputs, output=name))
    return build("resnet-8", "image", of.shapes[of.input], tuple(layers))


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


def run(
    data: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train ResNet-8 on the images of `data` (see `open_cifar`), and compress it.

    Networks go to `out_folder` when they are done and are not trained again; resnet-8.json has the rows and the
    summary. Raises InputError for bad images and folders, without torch, and for networks of other settings.
    """
    runs = open_cifar(data, out_folder, progress, validation)
    judged = runs.judged
    calibration = floats(spread(runs.data.train_images, CALIBRATION))

    def row(name: str, network: Network) -> Row:
        integer = quantise_compressed(network, calibration)
        wrong, int8_wrong = count_errors((network,), judged), count_int8_errors(integer, judged)
        parts = [100 - 100 * count / len(judged.judged_labels) for count in (wrong, int8_wrong)]
        kept = [(layer.kept, layer.weights) for layer in prune.report(network)]
        density = 100 * sum(k for k, _ in kept) / sum(n for _, n in kept)
        formats = FORMATS if name in ("2of4", "deep") else ("dense",)
        return Row(name, density, wrong, parts[0], int8_wrong, parts[1], stored_bytes(integer, formats))

    dense = trained(runs, "dense", resnet8(), SCHEDULE)
    networks = {"dense": dense} | {name: compressed(runs, name, dense) for name in RECIPES}
    rows = tuple(row(name, network) for name, network in networks.items())
    write_table(runs, "resnet-8", rows, summary(rows))
    return rows


def compressed(runs: Runs, name: str, dense: Network) -> Network:
    """What the recipe resnet-8-NAME.yaml makes of `dense`, as NAME.onnx in the runs' folder. Raises InputError.

    Its trainings are found there by what they begin with, so that one that was cut short goes on.
    """
    chosen = recipe.load(Path(zoo.__file__).parent / "recipes" / f"resnet-8-{name}.yaml")
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
    for name in ("2of4", "deep"):
        for than, rival in (("", dense), ("_against_as_many_epochs", by_name["dense-longer"])):
            lost = rival.int8_accuracy_percent - by_name[name].int8_accuracy_percent
            found[f"{name}_lost_points{than}"] = round(lost, 2)
        found[f"{name}_bytes_ratio"] = round(by_name[name].stored_bytes / dense.stored_bytes, 3)
    return found
