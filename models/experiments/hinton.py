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
from accel.models.experiments.runs import Progress, Runs, count_errors, open_runs, trained, write_table
from accel.models.graph import Network
from accel.models.training.fit import LABELS, Schedule, Target
from accel.models.training.images import read_images

TEACHER = Schedule(epochs=50, learning_rate=0.1, batch=256, weight_decay=0.0, shift=2, dropout=0.3, bfloat16=True)
# Both students learn by this schedule.
STUDENT = Schedule(epochs=60, learning_rate=0.1, batch=128, weight_decay=0.0, shift=0, warm_up=1, bfloat16=True)
HARD_WEIGHT = 0.0
SEEDS = (1, 2, 3)
TEACHER_SIZES = (784, 1200, 1200, 10)
STUDENT_SIZES = (784, 800, 800, 10)


@dataclass(frozen=True)
class Setting:
    """What was chosen for the students: the temperature of soft targets, the size of the first weights (`mlp`)."""

    temperature: float = 5.0
    gain: float = 0.5


CHOSEN = Setting()
# What it was chosen from; only validation trains these.
OTHERS = (Setting(temperature=10.0), Setting(gain=1.0), Setting(temperature=2.5))
CHOICE_SEED = 1


@dataclass(frozen=True)
class Row:
    """One trained network: what it learnt from, by which setting, and its errors among the images that judge."""

    network: str
    learnt: Literal["labels", "soft targets"]
    temperature: float
    gain: float
    seed: int
    parameters: int
    errors: int


def run(
    data_folder: str | Path, out_folder: str | Path, progress: Progress | None = None, validation: bool = False,
) -> tuple[Row, ...]:  # fmt: skip
    """Train the teacher and, for each seed, both students on the MNIST files in `data_folder`.

    With `validation`: the students of one seed, by the chosen setting and by the others.

    Networks go to `out_folder` when they are done and are not trained again; hinton.json has the rows and the summary.
    Raises InputError for bad folders, without torch, and for networks in `out_folder` of other settings.
    """
    runs = open_runs(read_images(data_folder, validation), out_folder, progress)
    first = mlp(TEACHER_SIZES, np.random.default_rng(0), "teacher")
    teacher = trained(runs, "teacher", first, TEACHER)
    rows = [Row("teacher", "labels", 0.0, 1.0, 0, teacher.parameters, count_errors((teacher,), runs.data))]
    settings = [(CHOSEN, seed) for seed in SEEDS]
    if validation:
        settings = [(setting, CHOICE_SEED) for setting in (CHOSEN, *OTHERS)]
    for setting, seed in settings:
        rows += _students(runs, teacher, setting, seed)
    write_table(runs, "hinton", tuple(rows), summary(tuple(rows)))
    return tuple(rows)


def _students(runs: Runs, teacher: Network, setting: Setting, seed: int) -> list[Row]:
    """Both students. Labels have no temperature: of settings that differ in nothing else one learns them."""
    first = mlp(STUDENT_SIZES, np.random.default_rng(seed), "student", gain=setting.gain)
    of_gain = "" if setting.gain == CHOSEN.gain else f"-gain{setting.gain:g}"
    of_both = ("" if setting.temperature == CHOSEN.temperature else f"-T{setting.temperature:g}") + of_gain
    rows = []

    def train(learnt: Literal["labels", "soft targets"], name: str, target: Target, temperature: float) -> None:
        student = trained(runs, name, first, STUDENT, target, seed)
        errors = count_errors((student,), runs.data)
        rows.append(Row("student", learnt, temperature, setting.gain, seed, student.parameters, errors))

    if of_gain == of_both:
        train("labels", f"labels-{seed}{of_gain}", LABELS, 0.0)
    soft = Target("soft", (teacher,), setting.temperature, HARD_WEIGHT)
    train("soft targets", f"distilled-{seed}{of_both}", soft, setting.temperature)
    return rows


def summary(rows: tuple[Row, ...]) -> dict[str, float]:
    """Errors of the teacher, mean errors of both students, and the percentage of the gap that distillation closes.

    Students of settings that were not chosen do not count.
    """
    teacher = next(row.errors for row in rows if row.network == "teacher")
    labels, soft = (
        mean(row.errors for row in rows if row.network == "student" and row.learnt == learnt and _chosen(row))
        for learnt in ("labels", "soft targets")
    )
    closed = 100 * (labels - soft) / (labels - teacher) if labels > teacher else float("nan")
    return {
        "teacher_errors": teacher, "labels_errors": labels, "soft_targets_errors": soft, "gap_closed_percent": closed
    }  # fmt: skip


def _chosen(row: Row) -> bool:
    return row.gain == CHOSEN.gain and row.temperature in (0.0, CHOSEN.temperature)
