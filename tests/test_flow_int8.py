"""Int8 files on the command line: `quantise` writes what "stored" counts, `simulate`, `program` and `emit` read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accel.flow import emit
from accel.flow.cli import run as accel
from accel.flow.techniques import find
from accel.models import zoo
from accel.models.encode.stored import stored_bytes
from tests.benches.flow_networks import content, own_files, refused


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return own_files(tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("technique", ["dense", "shared-3", "deep"])
def test_the_file_is_what_stored_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str], technique: str) -> None:
    path = tmp_path / "new" / "n.int8"
    assert accel(["quantise", "lenet-300-100", "--technique", technique, "--out", str(path)]) == 0
    chosen = find(technique, "lenet-300-100")
    network = chosen.apply(zoo.load("lenet-300-100"), zoo.preprocess(zoo.mnist_calibration()))
    assert stored_bytes(network, chosen.formats) == path.stat().st_size
    assert capsys.readouterr().out == f"wrote {path}: {path.stat().st_size:,} bytes\n"


def test_a_file_runs_as_the_network_that_was_written(
    own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same figures; and the emitted accelerator with the same image of the same input."""
    path = str(tmp_path / "n.int8")
    given = ["--calibration", own["ranges.npy"]]
    assert accel(["quantise", own["mine.onnx"], "--technique", "shared-4", "--out", path, *given]) == 0
    capsys.readouterr()
    records = []
    for command in ([own["mine.onnx"], "--technique", "shared-4", *given], [path, *given], [path]):
        assert accel(["simulate", *command, "--design", "nano", "--json"]) == 0
        records.append(json.loads(capsys.readouterr().out))
    ours, theirs, random = records
    assert (theirs["technique"], random["data"]) == ("as-is", "random inputs")  # zeros depend on what is streamed
    for record in (ours, theirs):
        del record["technique"], record["data"], record["warnings"]
    assert ours == theirs
    for command in ([own["mine.onnx"], "--technique", "shared-4", *given], [path]):
        assert accel(["program", *command, "--design", "nano"]) == 0
        records.append(capsys.readouterr().out)
    assert records[3] == records[4]
    for name, command in (("a", [own["mine.onnx"], "--technique", "shared-4"]), ("b", [path])):
        assert accel(["emit", *command, *given, "--design", "nano", "--out", str(tmp_path / name)]) == 0
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    assert set(first) == set(second) >= set(emit.FILES)
    assert first["expected.bin"] == second["expected.bin"]


def test_refusals(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "n.int8"
    assert accel(["quantise", own["mine.onnx"], "--out", str(path)]) == 0
    (tmp_path / "bad.int8").write_bytes(path.read_bytes()[:-1])
    for command, message in (
        (["simulate", path, "--technique", "dense"], "--technique must be left out with"),
        (["simulate", path, "--calibration", own["none.npy"]], "inputs must have shape (n, 2, 6, 6), not (0, 2, 6, 6)"),
        (["simulate", tmp_path / "bad.int8"], "bad.int8 is damaged: its checksum must be that of its content"),
        (["simulate", tmp_path / "none.int8"], "none.int8 cannot be read: No such file"),
        (["compare", path, "--out", tmp_path / "out"], "must be a float network here"),
        (["quantise", own["mine.onnx"], "--out", tmp_path / "n.onnx"], "--out must be the name of a file that ends in"),
    ):
        assert message in refused(capsys, *command)
    assert {p.name for p in tmp_path.iterdir()} == {"n.int8", "bad.int8"}
