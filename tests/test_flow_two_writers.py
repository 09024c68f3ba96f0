"""Two processes that write one folder at the same time: the files are those of one, or the second is told."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from accel.flow import experiments, report
from accel.models.errors import InputError

FOLDERS, FILES = 25, 30
WRITER = """
import sys, time
from pathlib import Path
from accel.flow import experiments, report

top, own, folders, files = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for number in range(folders):
    (top / f"ready-{number}-{own}").touch()
    while len(list(top.glob(f"ready-{number}-*"))) < 2:
        pass
    # A writer's own file goes when the other's come.
    contents = {f"f{i}": own.encode() for i in range(files)} | {f"only-{own}": b""}
    report.write(top / str(number), contents, stale=("only-a", "only-b"))
"""


def test_one_wins_whole(tmp_path: Path) -> None:
    """Real processes, at the same moment, again and again."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, own, str(FOLDERS), str(FILES)]) for own in "ab"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    for number in range(FOLDERS):
        folder = tmp_path / str(number)
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        owners = {found[f"f{i}"].decode() for i in range(FILES)}
        assert len(owners) == 1, f"{folder} is a mixture"
        assert set(found) == {f"f{i}" for i in range(FILES)} | {f"only-{owner}" for owner in owners}


def test_the_second_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has the folder and does not finish."""
    monkeypatch.setattr(report, "LOCK_SECONDS", 0)
    (tmp_path / "a").write_bytes(b"before")
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="must not be written by another process, and is: try again later"):
        report.write(tmp_path, {"a": b"after"})
    os.close(other)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"before")]
    report.write(tmp_path, {"a": b"after"})
    assert (tmp_path / "a").read_bytes() == b"after"


@dataclass(frozen=True)
class Row:
    network: str


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_a_second_experiment_in_a_folder_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one runs, whatever its name: their networks, notes and states would lie beside each other's."""
    where, folder = Console(quiet=True), tmp_path / "out"
    message = "output folder .*out must not be written by another process, and is: try again later"

    def run(data: Path, out: Path, *_: object) -> tuple[Row, ...]:
        for other in experiments.EXPERIMENTS:
            with pytest.raises(InputError, match=message):
                experiments.run(where, other, data, out)
        (out / f"{name}.json").write_text("{}", encoding="utf-8")
        return (Row("student"),)

    monkeypatch.setitem(experiments.EXPERIMENTS, name, SimpleNamespace(run=run, summary=lambda _: {}))
    assert experiments.run(where, name, tmp_path, folder) == {}
    assert experiments.run(where, name, tmp_path, folder) == {}
