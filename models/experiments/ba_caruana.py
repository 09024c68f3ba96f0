"""A shallow net that learns the logits of an ensemble: Ba & Caruana, "Do Deep Nets Really Need to be Deep?", 1312.6184.

The paper's shallow nets reach what before only deep nets did, on TIMIT and CIFAR-10. Here, on MNIST: an ensemble of
small convolutional nets, and one net of a single hidden layer that learns the mean of their logits (section 2,
equation 1), against the same net on the labels. Both see images shifted by up to one pixel: the paper's students, too,
have more images to mimic on than the labelled ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from accel.models.compress.students import convolutional, shallow
from accel.models.experiments.runs import Progress, count_errors, open_runs, trained, write_table
from accel.models.graph import Network
from accel.models.training.fit import LABELS, Schedule, Target
from accel.models.training.images import read_images

MEMBERS = 3
MEMBER = Schedule(epochs=8, learning_rate=0.05, batch=128, weight_decay=1e-4, shift=2, dropout=0.3, bfloat16=True)
MEMBER_CONVOLUTIONS, MEMBER_PARAMETERS = 2, 200_000
HIDDEN = 2000
ON_LABELS = Schedule(epochs=40, learning_rate=0.05, batch=128, weight_decay=0.0, shift=1, bfloat16=True)
ON_LOGITS = Schedule(epochs=40, learning_rate=0.02, batch=128, weight_decay=0.0, shift=1, warm_up=1, bfloat16=True)


@dataclass(frozen=True)
class Row:
    """One network, or the ensemble: what it learnt from and its errors among the images that judge."""

    network: str
    learnt: Literal["labels", "logits"]
    parameters: int
    errors: int
    accuracy_percent: float


def run(
    data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the ensemble and the shallow net both ways on the MNIST files in `data_folder`.

    Networks go to `out_folder` when they are done and are not trained again; ba-caruana.json has the rows and the
    summary. Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_runs(read_images(data_folder, validation), out_folder, progress)

    def row(name: str, learnt: Literal["labels", "logits"], *networks: Network) -> Row:
        errors = count_errors(networks, runs.data)
        accuracy = 100 - 100 * errors / len(runs.data.judged_labels)
        return Row(name, learnt, sum(n.parameters for n in networks), errors, accuracy)

    members = []
    for seed in range(MEMBERS):
        first = convolutional(MEMBER_CONVOLUTIONS, MEMBER_PARAMETERS, np.random.default_rng(seed))
        members.append(trained(runs, f"member-{seed}", first, MEMBER, LABELS, seed))
    rows = [row(f"member {i}", "labels", member) for i, member in enumerate(members)]
    rows.append(row("ensemble", "labels", *members))
    first = shallow(HIDDEN, np.random.default_rng(0))
    rows.append(row("shallow", "labels", trained(runs, "shallow-labels", first, ON_LABELS)))
    mimic = trained(runs, "shallow-logits", first, ON_LOGITS, Target("logits", tuple(members)))
    rows.append(row("shallow", "logits", mimic))
    write_table(runs, "ba-caruana", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """How many points the shallow net is below the ensemble, taught by labels and by logits."""
    accuracy = {(row.network, row.learnt): row.accuracy_percent for row in rows}
    ensemble = accuracy["ensemble", "labels"]
    return {
        f"{learnt}_below_ensemble_points": round(ensemble - accuracy["shallow", learnt], 2)
        for learnt in ("labels", "logits")
    }
