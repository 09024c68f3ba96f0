"""Deep Compression on a small VGG for CIFAR-10: Han et al., arXiv 1510.00149.

The network is kim's original. A recipe of the zoo prunes it, shares its weights and codes them; the rival is the same
network after as many more epochs, with nothing compressed.
"""

from __future__ import annotations

from pathlib import Path

from accel.models.experiments.against_dense import LONGER, Row, compressed, row, summary
from accel.models.experiments.cifar import open_cifar
from accel.models.experiments.runs import Progress, write_table
from accel.models.experiments.vgg import trained_vgg

RECIPES = ("deep", LONGER)  # models/zoo/recipes/vgg-NAME.yaml


def run(
    data: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the VGG on the images of `data` (see `open_cifar`), and compress it.

    Networks go to `out_folder` when they are done and are not trained again; vgg.json there is the training's note, and
    vgg-deep.json has the rows and the summary. Raises InputError for bad images and folders, without torch, and for
    networks of other settings.
    """
    runs = open_cifar(data, out_folder, progress, validation)
    dense = trained_vgg(runs)
    networks = {"dense": dense} | {name: compressed(runs, f"vgg-{name}", f"vgg-{name}", dense) for name in RECIPES}
    rows = tuple(row(runs, name, network) for name, network in networks.items())
    write_table(runs, "vgg-deep", rows, summary(rows))
    return rows
