"""Students of 0..4 convolutions at one budget of parameters: Urban et al., arXiv 1603.05691, on Fashion-MNIST.

"Do Deep Convolutional Nets Really Need to be Deep and Convolutional?" (figure 1, table 2: CIFAR-10).
Each student learns from the labels, as in the paper from the logits of a deeper teacher, and from its soft targets,
which let a student that is too small to match all logits leave out the least (Hinton et al., arXiv 1503.02531,
section 2.1). The paper finds that at one budget convolutions win, and more than one, with distillation, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from accel.models.compress.students import MOST_CONVOLUTIONS, convolutional
from accel.models.experiments.fashion import trained_vgg
from accel.models.experiments.runs import Progress, count_errors, open_runs, trained, write_table
from accel.models.macs import macs
from accel.models.training.fit import Schedule, Target
from accel.models.training.images import read_images

Learnt = Literal["labels", "logits", "soft targets"]
BUDGET = 50_000
# Every student learns by this schedule, whatever it learns from.
STUDENT = Schedule(
    epochs=10, learning_rate=0.02, batch=128, weight_decay=1e-5, shift=0, mirror=True, warm_up=1, bfloat16=True
)
TEMPERATURE = 4.0  # of soft targets


@dataclass(frozen=True)
class Row:
    """One trained network; `convolutions` of the teacher are its own."""

    network: str
    convolutions: int
    learnt: Learnt
    parameters: int
    macs: int
    errors: int
    accuracy_percent: float


def run(
    data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the teacher and every student both ways on the Fashion-MNIST files in `data_folder`.

    Networks go to `out_folder` when they are done and are not trained again; urban.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_runs(read_images(data_folder, validation), out_folder, progress)

    def row(name: str, convolutions: int, learnt: Learnt) -> Row:
        errors = count_errors((network,), runs.data)
        accuracy = 100 - 100 * errors / len(runs.data.judged_labels)
        return Row(name, convolutions, learnt, network.parameters, sum(macs(network).values()), errors, accuracy)

    network = teacher = trained_vgg(runs)
    rows = [row("teacher", 6, "labels")]
    targets: tuple[tuple[Learnt, Target], ...] = (
        ("labels", Target()),
        ("logits", Target("logits", (teacher,))),
        ("soft targets", Target("soft", (teacher,), TEMPERATURE)),
    )
    for convolutions in range(MOST_CONVOLUTIONS + 1):
        first = convolutional(convolutions, BUDGET, np.random.default_rng(1))
        for learnt, target in targets:
            name = f"student-{convolutions}-{learnt.replace(' ', '-')}"
            network = trained(runs, name, first, STUDENT, target)
            rows.append(row("student", convolutions, learnt))
    write_table(runs, "urban", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Points that each kind of distillation gives each student, and from the best student up to the teacher."""
    accuracy = {(row.convolutions, row.learnt): row.accuracy_percent for row in rows if row.network == "student"}
    gains: dict[str, float] = {}
    for (convolutions, learnt), reached in accuracy.items():
        if learnt != "labels":
            what = f"{learnt.replace(' ', '_')}_gain_{convolutions}_convolutions_points"
            gains[what] = round(reached - accuracy[convolutions, "labels"], 2)
    teacher = next(row.accuracy_percent for row in rows if row.network == "teacher")
    return gains | {"best_student_below_teacher_points": round(teacher - max(accuracy.values()), 2)}
