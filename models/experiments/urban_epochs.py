"""When distillation pays: after how many epochs, and of how many images; after Urban et al., arXiv 1603.05691.

The paper's students learn better from a teacher's logits than from the labels. Those of `urban` do not on CIFAR-10.
Here they learn from labels, logits and soft targets by one rate and decay for 3, 10 and 30 epochs, each a run of its
own whose rate falls to 0, and for 30 epochs from a tenth of the images, which they can learn by heart. Their teacher is
the dense network of the experiment resnet-8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from accel.models.compress.students import convolutional
from accel.models.experiments import resnet8, urban
from accel.models.experiments.cifar import open_cifar
from accel.models.experiments.runs import Progress, Runs, count_errors, trained, write_table
from accel.models.experiments.urban import Learnt
from accel.models.graph import Network
from accel.models.training.images import ImageSet

# Convolutions, epochs, and one of how many images is learnt; short runs first, in case the last are cut short.
STUDENTS = ((0, 3, 1), (1, 3, 1), (0, 10, 1), (0, 30, 1), (0, 30, 10), (1, 30, 10), (2, 30, 10), (4, 30, 10))
SEEDS = (1, 2, 3)  # of first weights and batches


@dataclass(frozen=True)
class Row:
    """One trained network: how many images it learnt, and what it has of them beside what it has of those that judge.

    `epochs` of the teacher are its own, behind first weights of the zoo.
    """

    network: str
    convolutions: int
    epochs: int
    images: int
    learnt: Learnt
    seed: int
    learnt_accuracy_percent: float
    errors: int
    accuracy_percent: float


def run(
    data: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the teacher and every student on the images of `data` (see `open_cifar`).

    Networks go to `out_folder` when they are done and are not trained again; urban-epochs.json has the rows and the
    summary. Raises InputError for bad images and folders, without torch, and for networks of other settings.
    """
    whole = open_cifar(data, out_folder, progress, validation)
    teacher = trained(whole, "dense", resnet8.resnet8(), resnet8.SCHEDULE)
    convolutions, epochs = len(resnet8.CONVOLUTIONS), resnet8.SCHEDULE.epochs
    done: list[tuple[Runs, str, Network, int, int, Learnt, int]] = [
        (whole, "teacher", teacher, convolutions, epochs, "labels", 0)
    ]
    schedule = replace(urban.STUDENT, optimiser="adam", learning_rate=urban.COLOUR_RATE)
    for seed in SEEDS:
        for convolutions, epochs, one_of in STUDENTS:
            runs = _part(whole, one_of)
            for learnt, target in urban.targets(teacher):
                first = convolutional(convolutions, urban.BUDGET, np.random.default_rng(seed), runs.image)
                name = f"student-{convolutions}-{learnt.replace(' ', '-')}-{epochs}-epochs"
                name += f"-1-of-{one_of}" * (one_of > 1) + f"-seed-{seed}" * (seed > 1)
                network = trained(runs, name, first, replace(schedule, epochs=epochs), target, seed - 1)
                done.append((runs, "student", network, convolutions, epochs, learnt, seed))
    rows = tuple(_row(*one) for one in done)  # the test set is looked at when all are trained
    write_table(whole, "urban-epochs", rows, summary(rows))
    return rows


def _part(runs: Runs, one_of: int) -> Runs:
    """The same with one of so many images to learn, and as few that judge the epochs."""
    some = slice(None, None, one_of)
    data = runs.data
    part = ImageSet(
        data.train_images[some], data.train_labels[some], data.judged_images[some], data.judged_labels[some], data.part
    )
    return replace(runs, data=part, table=runs.judged)


def _row(runs: Runs, name: str, network: Network, convolutions: int, epochs: int, learnt: Learnt, seed: int) -> Row:
    data = runs.data
    seen = replace(data, judged_images=data.train_images, judged_labels=data.train_labels)
    wrong, errors = count_errors((network,), seen), count_errors((network,), runs.judged)
    parts = 100 - 100 * wrong / len(seen.judged_labels), 100 - 100 * errors / len(runs.judged.judged_labels)
    return Row(name, convolutions, epochs, len(data.train_labels), learnt, seed, parts[0], errors, parts[1])


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Points that each kind of distillation gives each student over labels: means of seeds."""
    students = (
        (f"{row.convolutions}_convolutions_{row.epochs}_epochs_{row.images}_images", row.learnt, row.accuracy_percent)
        for row in rows
        if row.network == "student"
    )
    return urban.gains(urban.means(students))
