"""The points of a storage as a study of Optuna in the same file, for `optuna-dashboard sqlite:///FILE`.

Optuna itself needs some 10 ms to record a trial, three times as long as a point of LeNet-5 takes; so the study is
made by Optuna, and its trials are written into its tables together with the points.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from accel.flow.explore.evaluate import Outcome
from accel.flow.explore.metrics import METRICS
from accel.flow.explore.space import Space
from accel.flow.explore.storage import Storage


class Dashboard:
    """A study of one network and one list of objectives. It does nothing without Optuna."""

    def __init__(self, storage: Storage, network: str, space: Space) -> None:
        self.storage, self.space, self.study = storage, space, -1
        if not importlib.util.find_spec("optuna"):
            return
        import optuna
        from sqlalchemy.exc import SQLAlchemyError  # which Optuna keeps its tables with

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        name = f"{network}: {', '.join(space.objectives)}"
        try:
            self.study = _study(storage, name, space)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            reason = getattr(error, "orig", None) or error.__cause__ or error
            raise storage.failed(reason) from None
        self.choices = {
            one.name: json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": list(one.labels)}})
            for one in space.axes
        }

    @property
    def is_empty(self) -> bool:
        """Whether its study has no trial yet: of a new storage, or of objectives that are new to it."""
        if self.study < 0:
            return False
        database = self.storage.connection
        return not database.execute("SELECT 1 FROM trials WHERE study_id = ?", (self.study,)).fetchone()

    def write(self, outcomes: Iterable[Outcome], feasible: Sequence[bool]) -> None:
        """Record outcomes as trials; `feasible`: whether each keeps all constraints."""
        if self.study < 0:
            return
        database, now = self.storage.connection, datetime.now().isoformat(" ")
        (number,) = database.execute(
            "SELECT COALESCE(MAX(number), -1) FROM trials WHERE study_id = ?", (self.study,)
        ).fetchone()
        for outcome, keeps in zip(outcomes, feasible, strict=True):
            number += 1
            state = "COMPLETE" if outcome.metrics else "FAIL"
            trial = database.execute(
                "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
                "VALUES (?, ?, ?, ?, ?)",
                (number, self.study, state, now, now),
            ).lastrowid
            self._fill(database, trial, outcome, keeps)

    def _fill(self, database: sqlite3.Connection, trial: int | None, outcome: Outcome, keeps: bool) -> None:
        """Parameters, values and attributes of a trial."""
        digits = self.space.digits(outcome.number)
        database.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
            [(trial, *row) for row in zip(self.choices, digits, self.choices.values(), strict=True)],
        )
        values = [outcome.metrics[name] for name in self.space.objectives] if outcome.metrics else []
        database.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, 'FINITE')",
            [(trial, k, value) for k, value in enumerate(values)],
        )
        more = {"point": outcome.number, **outcome.metrics} | ({"reason": outcome.reason} if outcome.reason else {})
        database.executemany(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            [(trial, name, json.dumps(value)) for name, value in more.items()],
        )
        database.execute(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, 'constraints', ?)",
            (trial, json.dumps([0.0 if keeps else 1.0])),
        )


def _study(storage: Storage, name: str, space: Space) -> int:
    """The number of the study of that name, which is made if it is not there."""
    import optuna

    tables = optuna.storages.RDBStorage(f"sqlite:///{storage.path}")
    try:
        directions: Any = ["minimize" if METRICS[one].least else "maximize" for one in space.objectives]
        study = optuna.create_study(storage=tables, study_name=name, directions=directions, load_if_exists=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(space.objectives))
    finally:
        tables.engine.dispose()
    return int(study._study_id)
