"""Deep Compression and 2:4 on ResNet-8 for CIFAR-10: Han et al., arXiv 1510.00149; Mishra et al., arXiv 2104.08378.

MLPerf Tiny's ResNet-8 (Banbury et al., arXiv 2106.07597), as the zoo has it, is first trained on the images at hand.
Two recipes of the zoo compress what comes of that; their rival is the same network after as many more epochs, with
nothing compressed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accel.models import zoo
from accel.models.experiments.against_dense import LONGER, Row, compressed, row, summary
from accel.models.experiments.cifar import open_cifar
from accel.models.experiments.runs import Progress, trained, write_table
from accel.models.graph import Conv, Layer, Network, Softmax, build
from accel.models.training.fit import Schedule

CONVOLUTIONS = (
    "conv", "block1_1", "block1_2", "block2_1", "block2_2", "block2_skip", "block3_1", "block3_2", "block3_skip",
)  # fmt: skip
SCHEDULE = Schedule(epochs=3, learning_rate=0.0007, batch=64, weight_decay=1e-4, shift=2, mirror=True, bfloat16=True)
RECIPES = ("2of4", "deep", LONGER)  # models/zoo/recipes/resnet-8-NAME.yaml


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


def run(
    data: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train ResNet-8 on the images of `data` (see `open_cifar`), and compress it.

    Networks go to `out_folder` when they are done and are not trained again; resnet-8.json has the rows and the
    summary. Raises InputError for bad images and folders, without torch, and for networks of other settings.
    """
    runs = open_cifar(data, out_folder, progress, validation)
    dense = trained(runs, "dense", resnet8(), SCHEDULE)
    networks = {"dense": dense} | {name: compressed(runs, f"resnet-8-{name}", name, dense) for name in RECIPES}
    rows = tuple(row(runs, name, network) for name, network in networks.items())
    write_table(runs, "resnet-8", rows, summary(rows))
    return rows
