"""The files of `accel compare`: JSON, CSV, charts and the HTML page, written together or not at all."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from accel.flow import charts, html
from accel.flow.cache import NO_CACHE, Cache, digest
from accel.flow.compare import Comparison, row_record
from accel.models.errors import InputError

LOCK_TRIES, LOCK_SECONDS = 200, 0.1  # another process moves its files within milliseconds
FILES = ("compare.json", "compare.csv", "report.html", *charts.FILES)
# Those of an earlier comparison, or of version 0.1, are removed.
OPTIONAL = tuple(f"{name}.{kind}" for name in (*charts.OPTIONAL, "latency", "accuracy") for kind in charts.KINDS)


def csv_text(comparison: Comparison) -> str:
    """One line a row, as `row_record` has it; no accuracy is an empty cell."""
    text = io.StringIO()
    records = [row_record(row) for row in comparison.rows]
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def files(comparison: Comparison, cache: Cache = NO_CACHE) -> dict[str, bytes]:
    """Every file by name; of a comparison that `cache` knows, as they were drawn before."""
    return cache.value(lambda: _files(comparison), "files", *((digest(comparison),) if cache.is_on else ()))


def _files(comparison: Comparison) -> dict[str, bytes]:
    pictures = charts.draw(comparison)
    return {
        "compare.json": (json.dumps(comparison.to_dict(), indent=1, allow_nan=False) + "\n").encode(),
        "compare.csv": csv_text(comparison).encode(),
        **pictures,
        "report.html": html.page(comparison, {n: b for n, b in pictures.items() if n.endswith(".svg")}).encode(),
    }


@contextmanager
def made(folder: Path, keep: bool = True) -> Iterator[None]:
    """`folder` and its parents. What was not there before goes again, if empty, after an error or without `keep`.

    Raises InputError if it cannot be made.
    """
    new, there = [], folder.absolute()
    while not os.path.lexists(there) and there != there.parent:
        new.append(there)
        there = there.parent
    done = False
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)) if there.is_dir() else f"{there} is not a folder"
            raise InputError(f"output folder {folder} cannot be made: {reason}") from None
        yield
        done = keep
    finally:
        for path in () if done else new:
            with suppress(OSError):
                path.rmdir()


def check_folder(folder: Path) -> None:
    """Raise InputError unless files can be written to `folder`, which need not exist yet. Leaves nothing behind."""
    try:
        with made(folder, keep=False), TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written: {error.strerror or error}") from None


def write(
    folder: Path, contents: Mapping[str, bytes], stale: Collection[str] = (), check: Callable[[], None] = lambda: None
) -> None:
    """Write the files into `folder`, and remove those that are `stale` and not among them: all of it or nothing.

    All files are complete beside their places before the first is moved there, and what was there before comes back
    when one cannot be moved. Of several processes that write one folder the files are those of one. `check` is called
    when no other process writes, and may raise. Raises InputError if the folder cannot be written, or another process
    does not finish.
    """
    names = dict.fromkeys((*contents, *stale))
    for name in names:
        if os.path.isdir(folder / name):
            raise InputError(f"{folder / name} must be a file, and is a folder")
    try:
        with (
            made(folder),
            alone(folder, LOCK_TRIES),
            TemporaryDirectory(prefix=".accel-", dir=folder) as aside,
        ):
            check()
            new, old = Path(aside, "new"), Path(aside, "old")
            new.mkdir()
            old.mkdir()
            for name, data in contents.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(data)
            _exchange(folder, new, old, names)
    except OSError as error:
        raise InputError(f"output folder {folder} cannot be written: {error.strerror or error}") from None


@contextmanager
def alone(folder: Path, tries: int) -> Iterator[None]:
    """No other process of ours writes `folder` meanwhile. The lock is the folder's own, and goes with the process.

    Raises InputError if another one has it, `tries` times in LOCK_SECONDS each.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for left in reversed(range(tries)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOCK_SECONDS if left else 0)
            except OSError:
                break  # a file system without locks
        else:
            raise InputError(f"output folder {folder} must not be written by another process, and is: try again later")
        yield
    finally:
        os.close(handle)


def _exchange(folder: Path, new: Path, old: Path, names: Iterable[str]) -> None:
    """Move the named files from `folder` to `old` and those in `new` to `folder`; all go back if one cannot."""
    fresh = {name for name in names if (new / name).exists()}
    begun: list[str] = []
    try:
        for name in names:
            begun.append(name)
            for place in (old, folder):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(folder / name):
                os.replace(folder / name, old / name)
            if name in fresh:
                os.replace(new / name, folder / name)
    except BaseException:
        for name in begun:
            if os.path.lexists(old / name):
                os.replace(old / name, folder / name)
            elif name in fresh and not (new / name).exists():
                (folder / name).unlink()
        raise
