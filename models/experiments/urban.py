"""Students of 0..4 convolutions at one budget of parameters: Urban et al., arXiv 1603.05691.

"Do Deep Convolutional Nets Really Need to be Deep and Convolutional?" (figure 1, table 2: CIFAR-10; here that, or
Fashion-MNIST). Each student learns from the labels, as in the paper from the logits of a deeper teacher, and from its
soft targets, which let a student that is too small to match all logits leave out the least (Hinton et al., arXiv
1503.02531, section 2.1). The paper finds that at one budget convolutions win, and more than one, with distillation,
too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Literal

import numpy as np

from accel.models.compress.students import MOST_CONVOLUTIONS, convolutional
from accel.models.experiments.cifar import open_either
from accel.models.experiments.runs import Progress, count_errors, trained, write_table
from accel.models.experiments.vgg import trained_vgg
from accel.models.graph import Network
from accel.models.macs import macs
from accel.models.training.fit import Schedule, Target

Learnt = Literal["labels", "logits", "soft targets"]
BUDGET = 50_000
SEEDS = (1, 2, 3)  # of first weights and batches
# Every student learns by one schedule, whatever it learns from: by this.
STUDENT = Schedule(
    epochs=10, learning_rate=0.02, batch=128, weight_decay=1e-5, shift=0, mirror=True, warm_up=1, bfloat16=True
)
# Where images have colours: by that rate of SGD the student without convolutions diverges. 45 students of so few epochs
# take 12 minutes of a core.
COLOUR_EPOCHS, COLOUR_RATE = 3, 0.002  # of AdamW
TEMPERATURE = 4.0  # of soft targets


@dataclass(frozen=True)
class Row:
    """One trained network; `convolutions` of the teacher are its own."""

    network: str
    convolutions: int
    learnt: Learnt
    seed: int
    parameters: int
    macs: int
    errors: int
    accuracy_percent: float


def run(
    data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the teacher and every student both ways on Fashion-MNIST or CIFAR-10 (`open_either`).

    Networks go to `out_folder` when they are done and are not trained again; urban.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_either(data_folder, out_folder, progress, validation)

    def row(name: str, convolutions: int, learnt: Learnt, seed: int) -> Row:
        errors = count_errors((network,), runs.judged)
        accuracy = 100 - 100 * errors / len(runs.judged.judged_labels)
        return Row(name, convolutions, learnt, seed, network.parameters, sum(macs(network).values()), errors, accuracy)

    schedule = STUDENT
    if runs.image[0] > 1:
        epochs = min(STUDENT.epochs, COLOUR_EPOCHS)
        schedule = replace(STUDENT, epochs=epochs, optimiser="adam", learning_rate=COLOUR_RATE)
    network = teacher = trained_vgg(runs)
    rows = [row("teacher", 6, "labels", 0)]
    for seed in SEEDS:
        for convolutions in range(MOST_CONVOLUTIONS + 1):
            for learnt, target in targets(teacher):
                first = convolutional(convolutions, BUDGET, np.random.default_rng(seed), runs.image)
                name = f"student-{convolutions}-{learnt.replace(' ', '-')}" + f"-seed-{seed}" * (seed > SEEDS[0])
                network = trained(runs, name, first, schedule, target, seed - SEEDS[0])
                rows.append(row("student", convolutions, learnt, seed))
    write_table(runs, "urban", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Points that each kind of distillation gives each student, and from the best student up to the teacher.

    Means over the seeds.
    """
    students = [row for row in rows if row.network == "student"]
    accuracy = means((f"{row.convolutions}_convolutions", row.learnt, row.accuracy_percent) for row in students)
    teacher = next(row.accuracy_percent for row in rows if row.network == "teacher")
    return gains(accuracy) | {"best_student_below_teacher_points": round(teacher - max(accuracy.values()), 2)}


def targets(teacher: Network) -> tuple[tuple[Learnt, Target], ...]:
    """What students learn from, by name."""
    return (
        ("labels", Target()),
        ("logits", Target("logits", (teacher,))),
        ("soft targets", Target("soft", (teacher,), TEMPERATURE)),
    )


def means(found: Iterable[tuple[str, Learnt, float]]) -> dict[tuple[str, Learnt], float]:
    """Mean accuracy over the seeds of each student, said in words, and of what it learnt from."""
    seeds: dict[tuple[str, Learnt], list[float]] = {}
    for student, learnt, accuracy in found:
        seeds.setdefault((student, learnt), []).append(accuracy)
    return {which: mean(accuracies) for which, accuracies in seeds.items()}


def gains(accuracy: Mapping[tuple[str, Learnt], float]) -> dict[str, float]:
    """Points that each kind of distillation gives each student over labels, from its `means`."""
    return {
        f"{learnt.replace(' ', '_')}_gain_{student}_points": round(reached - accuracy[student, "labels"], 2)
        for (student, learnt), reached in accuracy.items()
        if learnt != "labels"
    }
