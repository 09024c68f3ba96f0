"""The command line as a user meets it: files and tables of each verb, one line for what is wrong, exit statuses."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from accel.compile import compile_network
from accel.design import Design, load, names, parse
from accel.flow import report
from accel.flow.cli import run as accel
from accel.flow.techniques import techniques_for
from models import onnx_read, zoo
from models.quantise import quantise
from models.share import share
from sim import cost
from sim.result import simulate
from tests.flow_networks import calibration, classes_of, inputs, refused, save, write_model, write_network

FILES = {"compare.json", "compare.csv", "report.html"} | {
    f"{name}.{kind}" for name in ("latency", "energy", "accuracy") for kind in ("png", "svg")
}
ODD, NO_TEXT = "odd[bold]$_$:x:.onnx", os.fsdecode(b"\xff.onnx")
SHARED = ("shared-8", "shared-6", "shared-4", "shared-3", "shared-2")


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_compare_without_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """LeNet-5 on `edge`, measured on the MNIST test set, of which a part is enough here."""
    images, labels = zoo.mnist_test()
    monkeypatch.setattr(zoo, "mnist_test", lambda: (images[:200], labels[:200]))
    ranges = zoo.mnist_calibration()[:64]
    monkeypatch.setattr(zoo, "mnist_calibration", lambda: ranges)
    monkeypatch.chdir(tmp_path)
    assert accel(["compare"]) == 0
    folder = tmp_path / "accel-out" / "lenet-5"
    assert {path.name for path in folder.iterdir()} == FILES
    printed = capsys.readouterr()
    assert printed.err == "report: accel-out/lenet-5/report.html (and JSON, CSV and charts beside it)\n"
    assert printed.out.startswith("lenet-5: 431,080 parameters, float ")
    assert "accuracy on 200 MNIST test images" in printed.out
    record = json.loads((folder / "compare.json").read_text())
    rows = record["rows"]
    expected = [(t.name, t.title) for t in techniques_for("lenet-5")]
    assert [(row["technique"], row["title"]) for row in rows] == expected
    assert [row["technique"] for row in rows[:6]] == ["dense", *SHARED]
    assert {row["design"] for row in rows} == set(record["designs"]) == {"edge"}
    with (folder / "compare.csv").open() as file:
        assert [line["cycles"] for line in csv.DictReader(file)] == [str(row["cycles"]) for row in rows]
    html = (folder / "report.html").read_text()
    for row in rows:
        assert row["title"] in printed.out
        assert f"{row['cycles']:,}" in printed.out
        assert f"<td>{row['cycles']:,}</td>" in html
        assert sum(layer["cycles"] for layer in row["layers"]) == row["cycles"]
        assert row["latency_us"] == pytest.approx(row["cycles"] / 400)
        assert row["energy_ratio"] == pytest.approx(row["total_high_uj"] / rows[0]["total_high_uj"])
        assert row["accuracy_percent"] > 90
    for row, network in (
        (rows[0], quantise(zoo.load("lenet-5"), calibration())),
        (rows[3], share(zoo.load("lenet-5"), calibration(), 4)),
    ):
        result = simulate(compile_network(network, load("edge")))
        energy = cost.energy(result.events, load("edge"))
        assert row["cycles"] == result.cycles
        assert row["total_high_uj"] == pytest.approx(energy.total_high_pj / 1e6)
        assert row["total"]["stall_cycles"] == row["total"]["stall_cycles"] | result.stalls


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user's network, arrays and design, and every kind of file that is wrong, by name."""
    top = tmp_path_factory.mktemp("own")
    design = load("nano").to_yaml().replace("name: nano", "name: mine").replace("clock_mhz: 75", "clock_mhz: 150")
    images = inputs(30)
    lrn = [helper.make_node("LRN", ["x"], ["y"], name="norm", size=3)]
    conv = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
    texts = {
        "mine.yaml": design,
        "wrong.yaml": design.replace("rows: 8", "rows: 0"),
        "date.yaml": "clock_mhz: 2020-13-45\n",
        "loop.yaml": "&x {a: *x}\n",
        "short.yaml": design.replace("activation_bytes: 65536", "activation_bytes: 64"),
        "text.onnx": "this is not a network\n",
        "empty.npy": "",
    }
    for name, text in texts.items():
        (top / name).write_text(text)
    write_network(top / "mine.onnx", softmax=True)
    write_network(top / "nan.onnx", w=np.full((3, 2, 3, 3), np.nan, np.float32))
    write_network(top / ODD, names=("block[/conv]", ":smile:"))
    write_network(top / NO_TEXT)
    write_model(top / "lrn.onnx", lrn, {})
    write_model(top / "shape.onnx", conv, {"w": np.zeros((3, 5, 3, 3), np.float32)})
    save(top / "ranges.npy", inputs(40, 3))
    save(top / "images.npy", images)
    save(top / "labels.npy", classes_of(images))
    save(top / "none.npy", images[:0])
    return {path.name: str(path) for path in top.iterdir()}


def test_own_network_data_and_designs(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy is of the user's labels, which a float64 convolution made; two designs, two techniques."""
    command = ["compare", own["mine.onnx"], "--out", str(tmp_path / "out"), "--design", "edge", "--design"]
    command += [own["mine.yaml"], "--technique", "dense", "--technique", "shared-8", "--calibration"]
    command += [own["ranges.npy"], "--test", own["images.npy"], "--labels", own["labels.npy"]]
    assert accel(command) == 0
    printed = capsys.readouterr()
    assert "warning" not in printed.err
    assert "host: softmax 'soft' is not priced; 4 bytes cross to the host" in printed.out
    record = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert record["data"] == "calibrated on 40 inputs of ranges.npy, accuracy on 30 inputs of images.npy"
    assert record["float_accuracy_percent"] == 100
    order = [(row["design"], row["technique"]) for row in record["rows"]]
    assert order == [(design, technique) for design in ("edge", "mine") for technique in ("dense", "shared-8")]
    network = quantise(onnx_read.read(own["mine.onnx"]), np.load(own["ranges.npy"]))
    for row in record["rows"]:
        assert row["accuracy_percent"] >= 90
        first = next(r for r in record["rows"] if r["design"] == row["design"])
        assert row["latency_ratio"] == pytest.approx(row["latency_us"] / first["latency_us"])
    mine: Design = parse(Path(own["mine.yaml"]).read_text())
    assert record["rows"][2]["cycles"] == simulate(compile_network(network, mine)).cycles
    assert record["rows"][2]["latency_us"] == pytest.approx(record["rows"][2]["cycles"] / 150)
    assert record["designs"]["mine"] == mine.model_dump()


def test_a_network_without_data_warns(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And has no accuracy: nowhere in the table, and no chart, also where an earlier run had one."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("accuracy.png", "accuracy.svg", "notes.txt"):
        (out / name).write_text("before")
    assert accel(["compare", own["mine.onnx"], "--technique", "dense", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "warning: mine is calibrated on random inputs" in printed.err
    assert "accuracy" not in printed.out
    assert {path.name for path in out.iterdir()} == FILES - {"accuracy.png", "accuracy.svg"} | {"notes.txt"}


@pytest.mark.parametrize("name", [ODD, NO_TEXT])
def test_odd_names(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Markup, formulas, emoji codes and bytes that are no letters, in the names of files and layers."""
    command = ["compare", own[name], "--technique", "dense", "--calibration", own["ranges.npy"]]
    assert accel([*command, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"compare.json", "report.html", "latency.png"}
    capsys.readouterr()
    assert accel(["simulate", own[name]]) == 0
    printed = capsys.readouterr()
    shown = name.removesuffix(".onnx") if name == ODD else "?"
    assert printed.out.startswith(f"{shown} on edge: ")
    assert f"warning: {shown} is calibrated" in printed.err
    if name == ODD:
        assert printed.out.count("\nblock[/conv] ") == printed.out.count("\n:smile: ") == 3


WRONG: list[tuple[list[str], str]] = [
    (["text.onnx"], "text.onnx must be an ONNX file, and is not"),
    (["missing.onnx"], "must be one of lenet-5, lenet-300-100 or an ONNX file, and 'missing.onnx' does not exist"),
    (["x" * 300], "does not exist"),
    (["."], ". cannot be read: Is a directory"),
    (["lrn.onnx"], "lrn.onnx: node 'norm' (LRN): operator is not supported (supported: "),
    (["shape.onnx"], "shape.onnx: node 'conv' (Conv): weights "),
    (["nan.onnx"], "nan.onnx: node 'conv' (Conv): weight 'w' must be finite, not NaN or Inf"),
    (
        ["lenet-5", "--design", "short.yaml"],
        "conv1: one tile needs 400 bytes of activation_bytes, the design has 64: short by 336",
    ),
    (["lenet-5", "--design", "huge"], "huge: design must be one of edge, large, nano or a YAML file: No such file"),
    (["lenet-5", "--design", "wrong.yaml"], "array.rows must be an integer in 1..64, not 0 (wrong.yaml:"),
    (["lenet-5", "--design", "text.onnx"], "text.onnx: a design must be a YAML mapping, not str"),
    (["lenet-5", "--design", "date.yaml"], "date.yaml: not valid YAML: month must be in 1..12"),
    (["lenet-5", "--design", "loop.yaml"], "loop.yaml: not a design: its YAML contains itself or is too deep"),
    (["lenet-5", "--technique", "magic"], "technique must be one of dense, shared-8, shared-6, shared-4, shared-3"),
    (["lenet-5", "--calibration", "none.npy"], "inputs must have shape (n, 1, 28, 28), not (0, 2, 6, 6)"),
    (["mine.onnx", "--calibration", "none.npy"], "none.npy: mine: inputs must hold at least one input, not none"),
    (["mine.onnx", "--calibration", "empty.npy"], "empty.npy must be a .npy file of numbers"),
    (["mine.onnx", "--calibration", "mine.onnx"], "mine.onnx must be a .npy file of numbers"),
    (["mine.onnx", "--nonsense"], "No such option: --nonsense (see accel --help)"),
    (["mine.onnx", "more"], "unexpected extra argument"),
]
COMPARE_WRONG = [
    (["mine.onnx", "--test", "images.npy"], "images.npy must come with --labels"),
    (["mine.onnx", "--labels", "labels.npy"], "--labels must go with a --test file"),
    (["mine.onnx", "--test", "images.npy", "--labels", "ranges.npy"], "labels must be integers of shape (30,)"),
    (["lenet-5", "--design", "edge", "--design", "edge"], "designs must have different names, not edge, edge"),
    (["lenet-5", "--technique", "dense", "--technique", "dense"], "techniques must have different names, not dense"),
]


@pytest.mark.parametrize(
    ("verb", "arguments", "message"),
    [(verb, *case) for verb in ("compare", "simulate", "emit") for case in WRONG]
    + [("compare", *case) for case in COMPARE_WRONG],
)
def test_wrong_input(
    own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    verb: str, arguments: list[str], message: str,
) -> None:  # fmt: skip
    """One line that names what is wrong, status 2, and no folder."""
    out = [] if verb == "simulate" else ["--out", tmp_path / "new" / "out"]
    assert message in refused(capsys, verb, *(own.get(a, a) for a in arguments), *out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["nothing"], ["--nothing"], ["emit", "lenet-5"], ["train", "lenet-5"]])
def test_wrong_words(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert refused(capsys, *arguments).endswith("(see accel --help)")


@pytest.mark.parametrize("verb", ["compare", "emit"])
def test_output_that_cannot_be_written(
    own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Seen before the work where it can be seen; else the folder is as it was before, or not there at all."""
    (tmp_path / "file").write_text("here")
    command = [verb, own["mine.onnx"], "--technique", "dense", "--calibration", own["ranges.npy"], "--out"]
    with monkeypatch.context() as patched:
        patched.setattr(
            "accel.flow.data.resolve", lambda *_: pytest.fail("no work for a folder that cannot be written")
        )
        for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), Path("/proc/accel")):
            assert f"output folder {path} cannot be made" in refused(capsys, *command, path)
    real = os.replace
    tried: list[str] = []

    def third_fails(source: Any, target: Any) -> None:
        tried.append(str(target))
        if len(tried) == 3:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", third_fails)
    if verb == "emit":
        files = {name: b"" for name in "abcde"}
        monkeypatch.setattr("accel.flow.emit.contents", lambda *_: files)
    assert "cannot be written: No space left on device" in refused(capsys, *command, tmp_path / "new" / "out")
    assert content(tmp_path) == {"file": b"here"}
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    for name in ("compare.csv", "a"):
        (tmp_path / "old" / name).write_text("before")
    before = content(tmp_path)
    tried.clear()
    refused(capsys, *command, tmp_path / "old")
    assert len(tried) > 3
    assert content(tmp_path) == before


def test_emit_keeps_the_files_of_a_comparison(
    own: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("accel.flow.emit.contents", lambda *_: {"README.md": b"new"})
    for name in report.OPTIONAL:
        (tmp_path / name).write_text("drawn")
    assert accel(["emit", own["mine.onnx"], "--out", str(tmp_path), "--calibration", own["ranges.npy"]]) == 0
    assert set(content(tmp_path)) == {*report.OPTIONAL, "README.md"}
    assert capsys.readouterr().out == f"wrote {tmp_path}\n"


def test_train_leaves_no_folder_for_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    out = tmp_path / "new" / "n.onnx"
    for name, message in (("lenet", "must be one of lenet-5, lenet-300-100"), ("lenet-5", "training needs torch")):
        assert message in refused(capsys, "train", name, "--data", tmp_path / "none", "--out", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["compare.compare", "report.files"])
def test_interrupted(
    own: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"accel.flow.{where}", interrupt)
    assert accel(["compare", own["mine.onnx"], "--technique", "dense", "--out", str(tmp_path / "out")]) == 130
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in capsys.readouterr().err


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the user can correct is one line."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("accel.flow.compare.compare", broken)
    with pytest.raises(ZeroDivisionError):
        accel(["compare", "lenet-300-100", "--technique", "dense"])


def test_help_and_designs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert accel(arguments) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {verb} " in text for verb in ("compare", "simulate", "emit", "train", "designs"))
    assert accel(["designs"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in names())
    for name in names():
        assert accel(["designs", name]) == 0
        assert parse(capsys.readouterr().out) == load(name)


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "accel.flow.cli", *arguments]
    return subprocess.Popen(command, cwd=Path(__file__).parent.parent, stderr=subprocess.PIPE, text=True, **options)


def test_as_a_process(own: dict[str, str]) -> None:
    """Exit statuses of the real command: wrong input, a reader that has gone, a full disk."""
    read, write = os.pipe()
    os.close(read)
    with Path("/dev/full").open("w") as full:
        runs = [
            process("simulate", own["nan.onnx"], stdout=subprocess.DEVNULL),
            process("designs", stdout=write),
            process("designs", "nano", stdout=full),
        ]
    os.close(write)
    errors = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [2, 0, 2]
    assert errors[0].startswith("accel: nan.onnx: node 'conv'")
    assert errors[0].count("\n") == 1
    assert errors[1:] == ["", "accel: output cannot be written: No space left on device\n"]


def test_a_process_that_is_interrupted(own: dict[str, str], tmp_path: Path) -> None:
    """While it reads its calibration: from a pipe, so that it is known to be there."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    out = tmp_path / "out"
    running = process("compare", own["mine.onnx"], "--calibration", str(pipe), "--out", str(out))
    with pipe.open("wb"):  # waits until the other side reads
        running.send_signal(signal.SIGINT)
        error = running.communicate()[1]
    assert running.returncode == 130
    assert "Traceback" not in error
    assert not out.exists()
