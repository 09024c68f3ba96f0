"""`accel explore` with what takes seconds to start: Dask's scheduler and workers, Verilog of the best points."""

from __future__ import annotations

import csv
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from accel.flow.cli import run as accel
from tests.benches.flow_networks import refused, write_network

pytestmark = pytest.mark.slow
SPACE = {
    "base": "nano",
    "space": {"memory.latency_cycles": "10..29 step 1", "buffers.weight_bytes": "2048..4096 step 256"},
}
POINTS = 180


@contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def count(storage: Path) -> int:
    if not storage.exists():
        return 0
    with closing(sqlite3.connect(storage)) as database:
        try:
            return int(database.execute("SELECT COUNT(*) FROM accel_points").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_a_dask_worker_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scheduler and two workers, one killed half-way: every point is there once, and as one process has it."""
    network = write_network(tmp_path / "mine.onnx")
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(SPACE))
    address = f"tcp://127.0.0.1:{free_port()}"
    explore = ["explore", str(network), "--space", str(space)]
    with dask("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"):
        time.sleep(3)
        arguments = [*explore, "--out", str(tmp_path / "none"), "--dask", address]
        assert "the scheduler must have workers, and has none" in refused(capsys, *arguments)
        worker = ("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
        with dask(*worker) as doomed, dask(*worker):
            time.sleep(8)
            storage = tmp_path / "dask" / "explore.db"
            command = [sys.executable, "-m", "accel.flow.main", *explore, "--dask", address, "-o", str(storage.parent)]
            explorer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            while count(storage) < 10:
                assert explorer.poll() is None, explorer.communicate()
                time.sleep(0.02)
            doomed.kill()
            assert count(storage) < POINTS
            _, said = explorer.communicate()
            assert explorer.returncode == 0, said
    assert count(storage) == POINTS
    assert accel([*explore, "--out", str(tmp_path / "alone"), "--workers", "1"]) == 0
    assert (tmp_path / "alone" / "points.csv").read_bytes() == (storage.parent / "points.csv").read_bytes()


@pytest.mark.rtl
def test_the_best_are_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In Verilog as explored; a point whose cycles were recorded wrongly is found, with status 1."""
    network = write_network(tmp_path / "mine.onnx")
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump({"base": "nano", "space": {"array.rows": [4, 8]}, "objectives": ["cycles"]}))
    arguments = ["explore", str(network), "--space", str(space), "-o", str(tmp_path / "out"), "--verify", "1"]
    assert accel(arguments) == 0
    (best,) = csv.DictReader((tmp_path / "out" / "front.csv").read_text().splitlines())
    said = capsys.readouterr().err
    assert f"point {best['point']}: {int(best['cycles']):,} cycles, bytes and counters in Verilog, as explored" in said
    with closing(sqlite3.connect(tmp_path / "out" / "explore.db")) as database:
        database.execute("UPDATE accel_points SET metrics = replace(metrics, '\"cycles\": ', '\"cycles\": 1')")
        database.commit()
    assert accel(arguments) == 1
    assert " were explored" in capsys.readouterr().err
