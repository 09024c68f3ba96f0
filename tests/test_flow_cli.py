"""The command line as a user meets it: the files and tables of each verb; what it refuses has a file of its own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import typer.completion

from accel.compile import compile_network
from accel.design import Design, load, names, parse
from accel.flow import charts, report
from accel.flow.cli import NO_DETECTION
from accel.flow.cli import run as accel
from accel.flow.emit import FILES as FILES_OF_EMIT
from accel.flow.simulate import EXECUTED
from accel.flow.techniques import techniques_for
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.exchange import onnx_read
from accel.models.quantisation.quantise import quantise
from accel.models.quantisation.shared import quantise_compressed
from accel.models.reference import int8
from accel.sim import cost
from accel.sim.result import simulate
from tests.benches.flow_networks import NO_TEXT, ODD, calibration, content, own_files

FILES = {"compare.json", "compare.csv", "report.html"} | set(charts.FILES)
SHARED = ("shared-8", "shared-6", "shared-4", "shared-3", "shared-2")


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
    said = [line for line in printed.err.splitlines() if not line.startswith("accel: step ")]  # of a slow machine
    assert said == ["report: accel-out/lenet-5/report.html (and JSON, CSV and charts beside it)"]
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
        assert row["energy_ratio"] == pytest.approx(row["total_uj"] / rows[0]["total_uj"])
        assert row["accuracy_percent"] > 90
    for row, network in (
        (rows[0], quantise(zoo.load("lenet-5"), calibration())),
        (rows[3], share(zoo.load("lenet-5"), calibration(), 4)),
    ):
        codes = int8.quantise_input(network, calibration()[:EXECUTED])
        result = simulate(compile_network(network, load("edge")), codes)
        energy = cost.energy(result.events, load("edge"), result.row_activations)
        assert row["cycles"] == result.cycles
        assert row["total_high_uj"] == pytest.approx(energy.total_pj.high / 1e6)
        assert row["total"]["limit_cycles"] == result.total.limits


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return own_files(tmp_path_factory.mktemp("own"))


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


def test_a_row_for_a_compressed_network_of_ones_own(own: dict[str, str], tmp_path: Path) -> None:
    """It is measured on the same data, and simulated as itself."""
    command = ["compare", own["mine.onnx"], "--technique", "dense", "--out", str(tmp_path), "--calibration"]
    command += [own["ranges.npy"], "--test", own["images.npy"], "--labels", own["labels.npy"]]
    assert accel([*command, "--also", own["few.onnx"]]) == 0
    first, second = json.loads((tmp_path / "compare.json").read_text())["rows"]
    assert (first["technique"], second["technique"], second["title"]) == ("dense", "few", "few")
    network = quantise_compressed(onnx_read.read(own["few.onnx"]), np.load(own["ranges.npy"]))
    assert second["cycles"] == simulate(compile_network(network, load("edge"))).cycles
    assert second["weights_format"] == "dense, shared3"
    assert second["weights_bytes"] < first["weights_bytes"]
    codes = int8.quantise_input(network, np.load(own["images.npy"]))
    answers = int8.run(network, codes)[network.output][:, :, 0, 0].argmax(1)
    assert second["accuracy_percent"] == pytest.approx(100 * np.mean(answers == np.load(own["labels.npy"])))
    assert second["accuracy_percent"] < 90 <= first["accuracy_percent"]


def test_a_network_without_data_warns(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And has no accuracy: nowhere in the table, and no chart, also where an earlier run had one."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("accuracy.png", "latency.svg", "notes.txt"):
        (out / name).write_text("before")
    assert accel(["compare", own["mine.onnx"], "--technique", "dense", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "warning: mine is calibrated on random inputs" in printed.err
    assert "accuracy" not in printed.out
    assert {path.name for path in out.iterdir()} == FILES | {"notes.txt"}


@pytest.mark.parametrize("name", [ODD, NO_TEXT])
def test_odd_names(own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Markup, formulas, emoji codes and bytes that are no letters, in the names of files and layers."""
    command = ["compare", own[name], "--technique", "dense", "--calibration", own["ranges.npy"]]
    assert accel([*command, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"compare.json", "report.html", "answer.png"}
    capsys.readouterr()
    assert accel(["simulate", own[name]]) == 0
    printed = capsys.readouterr()
    shown = name.removesuffix(".onnx") if name == ODD else "?"
    assert printed.out.startswith(f"{shown} on edge: ")
    assert f"warning: {shown} is calibrated" in printed.err
    if name == ODD:
        assert printed.out.count("\nblock[/conv] ") == printed.out.count("\n:smile: ") == 4


def test_emit_keeps_the_files_of_a_comparison(
    own: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("accel.flow.emit.contents", lambda *_: dict.fromkeys(FILES_OF_EMIT, b"new"))
    for name in report.OPTIONAL:
        (tmp_path / name).write_text("drawn")
    assert accel(["emit", own["mine.onnx"], "--out", str(tmp_path), "--calibration", own["ranges.npy"]]) == 0
    assert set(content(tmp_path)) == {*report.OPTIONAL, *FILES_OF_EMIT}
    assert capsys.readouterr().out == f"wrote {tmp_path}\n"


def test_help_and_designs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert accel(arguments) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {verb} " in text for verb in ("compare", "simulate", "emit", "train", "designs"))
    assert accel(["designs"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in names())
    for name in names():
        assert accel(["designs", name]) == 0
        assert parse(capsys.readouterr().out) == load(name)


def test_version_and_short_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert accel(["--version"]) == 0
    assert capsys.readouterr().out == f"accel {version('accel')}\n"
    for verb in ("compare", "simulate", "program", "emit", "quantise", "compress", "train", "designs"):
        assert accel([verb, "-h"]) == accel([verb, "--help"]) == 0
        short, long = capsys.readouterr().out.split("Usage: ")[1:]
        assert short.split() == long.split()
        assert short.startswith(f"accel {verb} ")


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accel.flow.cli", *arguments]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("accel com", "compare compress"),
        ("accel simulate lenet-3", "lenet-300-100"),
        (
            "accel compare --design ",
            "core edge edge-2of4 edge-coded edge-os edge-sparse edge-sparse-coded edge-xc7 large nano nano-ecp5 pico "
            "ulx3s",
        ),
        ("accel simulate lenet-5 --technique shared-", "shared-8 shared-6 shared-4 shared-3 shared-2"),
        ("accel emit mine", ""),  # the shell itself goes on with files
    ],
)
def test_the_shell_completes_verbs_and_names(line: str, answer: str) -> None:
    ran = process(_ACCEL_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))
    assert ran.stdout.split() == answer.split()
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", "complete -o default -F _accel_completion accel"),
        ("zsh", "#compdef accel"),
        ("fish", "complete --command accel"),
    ],
)
def test_the_shell_that_is_named_gets_its_script(shell: str, script: str) -> None:
    """Whatever shell started the process, and if none did."""
    assert script in process("--show-completion", shell).stdout


def test_a_shell_that_nobody_knows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_DETECTION, "")  # `accel` sets it
    monkeypatch.setattr(typer.completion, "_get_shell_name", lambda: None)
    assert accel(["--show-completion"]) == 2
    assert "--show-completion bash" in capsys.readouterr().err
    assert accel(["--show-completion", "rc"]) == 2
    assert "'rc' is not one of 'bash', 'zsh'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "threads"),
    [({}, "1"), ({"OPENBLAS_NUM_THREADS": "4"}, "4"), ({"OMP_NUM_THREADS": "3"}, None)],
)
def test_products_take_one_thread_unless_the_user_says(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], threads: str | None
) -> None:
    """Before numpy is imported, which reads it once."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    program = (
        "import os, sys\nfrom accel.flow import main\nassert 'numpy' not in sys.modules\n"
        "sys.argv[1:] = ['--version']\n"
        "try:\n    main.main()\nfinally:\n    print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == str(threads)
