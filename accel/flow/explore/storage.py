"""What is known of a space, in an SQLite file: what was explored, and every point with its metrics or its reason.

Points are recorded in transactions, so that a process that ends in any way loses none that was recorded. The tables
of Optuna that `accel.flow.explore.dashboard` writes lie in the same file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from accel.flow.explore.evaluate import Outcome
from accel.models.errors import InputError

FORMAT = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS accel_about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS accel_points (
    number INTEGER PRIMARY KEY, metrics TEXT NOT NULL, reason TEXT NOT NULL, defect INTEGER NOT NULL
);
"""
BUSY_SECONDS = 30  # another process writes


class Storage:
    """An open storage. Close it, or use `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)

    def begin(self, about: Mapping[str, str]) -> None:
        """Make it the storage of what `about` says, or see that it is. Raises InputError for one of something else."""
        with self._wrong():
            self.connection.executescript(SCHEMA)
            if not self.about():
                with self.transaction():
                    rows = [*about.items(), ("format", str(FORMAT))]
                    self.connection.executemany("INSERT OR IGNORE INTO accel_about VALUES (?, ?)", rows)
        known = self.about()
        if known.get("format") != str(FORMAT):
            raise InputError(f"storage {self.path} must have format {FORMAT}, not {known.get('format')}")
        for name, value in about.items():
            if known.get(name) != value:
                raise InputError(
                    f"storage {self.path} holds points of another {name}: {_short(known.get(name, 'none'))}, "
                    f"not {_short(value)}; give another --storage"
                )

    def about(self) -> dict[str, str]:
        """What it is about, empty for a new one."""
        with self._wrong():
            return dict(self.connection.execute("SELECT name, value FROM accel_about"))

    def remember(self, name: str, value: str) -> None:
        """Keep a text beside the points."""
        with self._wrong(), self.transaction():
            self.connection.execute("INSERT OR REPLACE INTO accel_about VALUES (?, ?)", (f"kept {name}", value))

    def remembered(self, name: str) -> str | None:
        """A text that was kept."""
        with self._wrong():
            found = self.connection.execute(
                "SELECT value FROM accel_about WHERE name = ?", (f"kept {name}",)
            ).fetchone()
        return str(found[0]) if found else None

    def record(self, outcomes: Iterable[Outcome], also: Callable[[], None] = lambda: None) -> None:
        """Keep outcomes and what `also` writes, all or nothing. Raises InputError if they cannot be written."""
        rows = [(one.number, json.dumps(one.metrics), one.reason, int(one.defect)) for one in outcomes]
        with self._wrong(), self.transaction():
            self.connection.executemany("INSERT OR IGNORE INTO accel_points VALUES (?, ?, ?, ?)", rows)
            also()

    def forget_defects(self) -> None:
        """Points that ended in an error of this program are tried again."""
        with self._wrong(), self.transaction():
            self.connection.execute("DELETE FROM accel_points WHERE defect")

    def outcomes(self) -> Iterator[Outcome]:
        """All that was recorded, by number."""
        with self._wrong():
            rows = self.connection.execute("SELECT number, metrics, reason, defect FROM accel_points ORDER BY number")
            for number, metrics, reason, defect in rows:
                yield Outcome(number, json.loads(metrics), reason, bool(defect))

    def outcome(self, number: int) -> Outcome | None:
        """That of one point, if it was recorded."""
        with self._wrong():
            row = self.connection.execute(
                "SELECT metrics, reason, defect FROM accel_points WHERE number = ?", (number,)
            ).fetchone()
        return Outcome(number, json.loads(row[0]), row[1], bool(row[2])) if row else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _wrong(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self.failed(error) from None

    def failed(self, error: BaseException) -> InputError:
        """What to raise where the file could not be read or written."""
        return InputError(f"storage {self.path} cannot be read or written: {error}; what was recorded before is there")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextmanager
def opened(path: Path, new: bool = True) -> Iterator[Storage]:
    """The storage in a file, which is made if it is not there and `new`. Raises InputError if it cannot be opened."""
    if path.is_dir() or (not new and not path.exists()):
        raise InputError(f"storage {path} must be a file that accel explore wrote, and {_what(path)}")
    try:
        storage = Storage(path)
        storage.connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"storage {path} must be a file that accel explore wrote: {error}") from None
    with closing(storage.connection):
        yield storage


def _what(path: Path) -> str:
    return "is a folder" if path.is_dir() else "does not exist"
