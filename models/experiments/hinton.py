"""Distillation on MNIST: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 1503.02531, section 3.

The teacher, 784-1200-1200-10, learns with dropout from images shifted by up to 2 pixels. The student, 784-800-800-10,
learns without any regularisation from images that stay where they are: once the labels, once the teacher's soft
targets. The paper counts 67, 146 and 74 errors on the test set: distillation hands over what shifting taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Literal

import numpy as np

from accel.models.compress.students import mlp
from accel.models.experiments.runs import Progress, count_errors, open_runs, trained, write_table
from accel.models.training.fit import LABELS, Schedule, Target
from accel.models.training.images import read_images

TEACHER = Schedule(epochs=50, learning_rate=0.1, batch=256, weight_decay=0.0, shift=2, dropout=0.3, bfloat16=True)
# Both students learn by this schedule.
STUDENT = Schedule(epochs=60, learning_rate=0.1, batch=128, weight_decay=0.0, shift=0, warm_up=1, bfloat16=True)
GAIN = 0.5  # of the students' first weights
TEMPERATURE = 5.0
HARD_WEIGHT = 0.0
SEEDS = (1, 2, 3)
TEACHER_SIZES = (784, 1200, 1200, 10)
STUDENT_SIZES = (784, 800, 800, 10)


@dataclass(frozen=True)
class Row:
    """One trained network: what it learnt from and its errors among the test images."""

    network: str
    learnt: Literal["labels", "soft targets"]
    seed: int
    parameters: int
    test_errors: int


def run(data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None) -> tuple[Row, ...]:
    """Train the teacher and, for each seed, both students on the MNIST files in `data_folder`.

    Networks go to `out_folder` when they are done and are not trained again; hinton.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_runs(read_images(data_folder), out_folder, progress)
    first = mlp(TEACHER_SIZES, np.random.default_rng(0), "teacher")
    teacher = trained(runs, "teacher", first, TEACHER)
    rows = [Row("teacher", "labels", 0, teacher.parameters, count_errors((teacher,), runs.data))]
    soft = Target("soft", (teacher,), TEMPERATURE, HARD_WEIGHT)
    for seed in SEEDS:
        first = mlp(STUDENT_SIZES, np.random.default_rng(seed), "student", gain=GAIN)
        labels = trained(runs, f"labels-{seed}", first, STUDENT, LABELS, seed)
        rows.append(Row("student", "labels", seed, labels.parameters, count_errors((labels,), runs.data)))
        distilled = trained(runs, f"distilled-{seed}", first, STUDENT, soft, seed)
        rows.append(Row("student", "soft targets", seed, distilled.parameters, count_errors((distilled,), runs.data)))
    write_table(runs.folder, "hinton", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Errors of the teacher, mean errors of both students, and the percentage of the gap that distillation closes."""
    teacher = next(row.test_errors for row in rows if row.network == "teacher")
    labels, soft = (
        mean(row.test_errors for row in rows if row.network == "student" and row.learnt == learnt)
        for learnt in ("labels", "soft targets")
    )
    closed = 100 * (labels - soft) / (labels - teacher) if labels > teacher else float("nan")
    return {
        "teacher_errors": teacher, "labels_errors": labels, "soft_targets_errors": soft, "gap_closed_percent": closed
    }  # fmt: skip
