"""The cache of comparisons: the same results, nothing computed twice, and nothing believed that is damaged or stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.cache import folder
from accel.design import load
from accel.flow import cache as cache_module
from accel.flow import charts, compare, simulate, sources
from accel.flow.cache import HEADER, LOOK_EVERY, Cache, digest, source_digest
from accel.flow.cli import run as accel
from accel.flow.data import Data
from accel.flow.techniques import find
from accel.flow.techniques import given as as_given
from accel.models import zoo
from accel.models.compress.channels import drop_channels
from accel.models.compress.prune import to_density
from tests.benches.flow_networks import calibration, classes_of, inputs, save, weights, write_network


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def values(place: Path) -> list[Path]:
    return sorted(place.iterdir())


def test_a_value_is_made_once(place: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, int]:
        made.append(1)
        return {"cycles": 7}

    for _ in range(3):  # as of several processes: nothing is kept in memory
        assert Cache(place).value(make, "key", 1) == {"cycles": 7}
    assert len(made) == 1
    Cache(place).value(make, "key", 2)
    Cache(None).value(make, "key", 1)
    assert len(made) == 3
    assert os.stat(place).st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "swap", "words"])
def test_damage_is_seen(place: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    """Whatever happened to the file: a warning, the right value, and a good file again."""
    assert Cache(place).value(lambda: list(range(100)), "a") == list(range(100))
    (path,) = values(place)
    data = path.read_bytes()
    if damage == "swap":  # a good file under the name of another
        Cache(place).value(lambda: "other", "b")
        other = next(p for p in values(place) if p != path)
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes(
            {"cut": data[:-3], "flip": data[:-3] + bytes([data[-3] ^ 4]) + data[-2:], "empty": b"", "words": b"x" * 99}[
                damage
            ]
        )
    assert Cache(place).value(lambda: list(range(100)), "a") == list(range(100))
    assert f"{path} was damaged" in capsys.readouterr().err
    assert path.read_bytes() == data
    assert Cache(place).value(lambda: None, "a") == list(range(100))
    assert not capsys.readouterr().err


def test_another_source_finds_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(place).value(lambda: 1, "a")
    monkeypatch.setattr(cache_module, "source_digest", lambda: "another version")
    assert Cache(place).value(lambda: 2, "a") == 2


def test_the_source_is_what_results_follow_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file changes the digest, one of the hardware or a compiled one does not."""
    top = tmp_path / "accel"
    _package(top, monkeypatch, "a.py", "sim/data/x.csv", "rtl/b.py", "sim/__pycache__/a.pyc")
    fresh = source_digest.__wrapped__
    first = fresh()
    for name in ("rtl/b.py", "sim/__pycache__/a.pyc"):
        (top / name).write_text("2")
        assert fresh() == first
    for name in ("a.py", "sim/data/x.csv"):
        (top / name).write_text("2")
        assert fresh() != first
        (top / name).write_text("1")
    assert fresh() == first


def test_a_storage_of_points_depends_on_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that predictions are made of are among it, what is printed of points is not."""
    top = tmp_path / "accel"
    other = ("rtl/b.py", "flow/tables.py")
    needed = ("flow/explore/evaluate.py", "resources/data/fit.json", "models/c.py")
    _package(top, monkeypatch, *other, *needed)
    fresh = sources.version.__wrapped__
    first = fresh()
    for name in (*other, *needed):
        (top / name).write_text("2")
        assert (fresh() == first) == (name in other), name
        (top / name).write_text("1")
    assert fresh() == first


def _package(top: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Files in place of the package's own."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("1")
    monkeypatch.setattr(sources, "PACKAGE", top)


def test_its_size_is_bounded(place: Path) -> None:
    """What was used last stays."""
    cache = Cache(place, largest_bytes=40_000)
    for number in range(2 * LOOK_EVERY):
        cache.value(lambda: bytes(1000), number)
        for path in place.iterdir():  # all of one age, but for the first, which is in use
            os.utime(path, ns=(number, number))
        cache.value(lambda: b"", 0)
    cache.value(lambda: b"", "last")
    assert sum(path.stat().st_size for path in place.iterdir()) <= 20_000
    assert cache.value(lambda: b"made again", 0) == bytes(1000)


def test_a_folder_of_others_is_not_used(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place.mkdir()
    place.chmod(0o777)
    cache = Cache(place)
    assert "is not used, because others can write it" in capsys.readouterr().err
    assert cache.value(lambda: 1, "a") == 1
    assert not values(place)


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert Cache(tmp_path / "file" / "cache").value(lambda: 1, "a") == 1
    cache = Cache(tmp_path / "full")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "replace", full)
    assert cache.value(lambda: 1, "a") == 1
    assert not values(tmp_path / "full")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ACCEL_CACHE": "off"}, None),
        ({"ACCEL_CACHE": "/a"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, Path("/x/accel")),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, Path("/h/.cache/accel")),
        ({"HOME": "/h"}, Path("/h/.cache/accel")),
    ],
)
def test_where_it_is(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Path | None) -> None:
    for name in ("ACCEL_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert folder() == expected


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Pair:
    first: Any
    second: Any


plain = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.sampled_from(Colour)
)
nested = st.recursive(
    plain | st.sampled_from(Colour) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=6,
)


@given(nested, nested)
def test_digests_tell_values_apart(a: Any, b: Any) -> None:
    """As their representations, which have every type and number; `1` and `True` are two."""
    assert (digest(a) == digest(b)) == (repr(a) == repr(b))


def test_digests_of_arrays() -> None:
    one = np.arange(6, dtype=np.int32)
    different = [one, one.reshape(2, 3), one.astype(np.int64), one.view(np.float32), one + 1, one.tolist()]
    assert len({digest(value) for value in different}) == len(different)
    assert digest(one.reshape(2, 3).T) == digest(np.ascontiguousarray(one.reshape(2, 3).T))
    for wrong in (lambda: 1, object(), np.array([object()])):
        with pytest.raises(TypeError, match="has no digest"):
            digest(wrong)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How often comparisons simulate and judge."""
    counts = {"run": 0, "accuracy": 0}
    run, accuracy = simulate.run, compare.data_module.accuracy_percent

    def counted_run(*arguments: Any) -> Any:
        counts["run"] += 1
        return run(*arguments)

    def counted_accuracy(*arguments: Any) -> Any:
        counts["accuracy"] += 1
        return accuracy(*arguments)

    monkeypatch.setattr(simulate, "run", counted_run)
    monkeypatch.setattr(compare.data_module, "accuracy_percent", counted_accuracy)
    return counts


def test_only_what_changed_is_computed(
    tmp_path: Path, place: Path, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb, run again and with one thing changed at a time: the same files, and only the new runs are made."""
    monkeypatch.setenv("ACCEL_CACHE", str(place))
    monkeypatch.setattr(charts, "CHARTS", {})  # drawing takes longer than all that is counted here
    images = inputs(30)
    network = write_network(tmp_path / "n.onnx")
    data = save(tmp_path / "x.npy", images), save(tmp_path / "y.npy", classes_of(images))

    def run(out: str, *more: str, network: Path = network) -> dict[str, bytes]:
        counted.update(run=0, accuracy=0)
        arguments = [
            "compare",
            str(network),
            "--technique",
            "dense",
            "--technique",
            "shared-4",
            "--calibration",
            data[0],
        ]
        judged = ["--test", data[0], "--labels", data[1]]
        assert accel([*arguments, *judged, "-o", str(tmp_path / out), *more]) == 0
        return {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}

    first = run("a")
    assert counted == {"run": 2, "accuracy": 2}
    assert run("b") == first
    assert counted == {"run": 0, "accuracy": 0}
    run("c", "--design", "nano", "--design", "edge")
    assert counted == {"run": 2, "accuracy": 0}
    faster = tmp_path / "faster.yaml"
    faster.write_text(load("edge").model_copy(update={"clock_mhz": 500.0}).to_yaml())
    changed = json.loads(run("d", "--design", str(faster))["compare.json"])
    assert counted == {"run": 2, "accuracy": 0}
    assert changed["rows"][0]["latency_us"] < json.loads(first["compare.json"])["rows"][0]["latency_us"]
    run("e", "--technique", "shared-2")
    assert counted == {"run": 1, "accuracy": 1}
    run("f", network=write_network(tmp_path / "m.onnx", w=weights(5)["w"]))
    assert counted == {"run": 2, "accuracy": 2}
    kept = len(values(place))
    assert run("g", "--no-cache") == first
    assert counted == {"run": 2, "accuracy": 2}
    assert len(values(place)) == kept


def test_a_row_of_one_name_is_of_its_network(place: Path) -> None:
    """A network compressed elsewhere that is called as a technique, or as another file."""
    network = drop_channels(zoo.load("lenet-300-100"), {"ip1": 0.05})
    other = to_density(network, {"ip1": 0.0})
    data = Data(calibration(), None, None, "MNIST")
    designs = [load("nano")]
    cache = Cache(place)
    stored = [
        compare.compare(network, data, designs, [technique], cache=cache).rows[0].stored_bytes
        for technique in (find("shared-4"), *(as_given("shared-4", "", one, ("shared",)) for one in (network, other)))
    ]
    assert len(set(stored)) == 3


WORK = """
import sys
from pathlib import Path
from accel.flow.cache import Cache
place, number = Path(sys.argv[1]), int(sys.argv[2])
cache = Cache(place, largest_bytes=20_000)
for step in range(200):
    key = step * (number + 1) % 40
    assert cache.value(lambda: bytes([key]) * 1000, key) == bytes([key]) * 1000
"""


def test_processes_share_it(place: Path) -> None:
    """Several write, read and remove the same values at a time: nobody fails, and everybody reads what was written."""
    command = [sys.executable, "-c", WORK, str(place)]
    workers = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert all(path.read_bytes().startswith(HEADER) for path in values(place))
