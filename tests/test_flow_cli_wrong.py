"""What the command line refuses: one line that names what is wrong, status 2, and nothing written or half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accel.flow import emit
from accel.flow.cli import run as accel
from tests.benches.flow_networks import content, own_files, refused, write_network


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return own_files(tmp_path_factory.mktemp("own"))


WRONG: list[tuple[list[str], str]] = [
    (["text.onnx"], "text.onnx must be an ONNX file, and is not"),
    (["missing.onnx"], "flownet-c or an ONNX or .tflite file, and 'missing.onnx' does not exist"),
    (["x" * 300], "does not exist"),
    (["."], ". cannot be read: Is a directory"),
    (["lrn.onnx"], "lrn.onnx: node 'norm' (LRN): operator is not supported (supported: "),
    (["shape.onnx"], "shape.onnx: node 'conv' (Conv): weights "),
    (["nan.onnx"], "nan.onnx: node 'conv' (Conv): weight 'w' must be finite, not NaN or Inf"),
    (
        ["negative.onnx"],
        "negative.onnx: node 'norm' (BatchNormalization): variance plus epsilon must be above 0, not -0.",
    ),
    (
        ["large.onnx"],
        "large.onnx: node 'norm' (BatchNormalization): weights and bias with what is folded into them must be finite",
    ),
    (["factor.onnx"], "factor.onnx: node 'fc' (Gemm): weights and bias with what is folded into them must be finite"),
    (["overflow.onnx"], "overflow: layer 'next' (Conv): output must be finite as float32, and holds NaN or Inf"),
    (["stride.onnx"], "stride: layer 'pool' (MaxPool): stride must be at most 31, not 32"),
    (["dilated.onnx"], "dilated: layer 'pool' (MaxPool): pooling must have dilation 1, not (2, 2)"),
    (["parts.onnx"], "parts.onnx: weights that are kept in another file cannot be read: "),
    (
        ["lenet-5", "--design", "short.yaml"],
        "lenet-5: layer 'conv1' (Conv or Gemm): one tile needs 480 bytes of activation_bytes, the design has 64: "
        "short by 416",
    ),
    (
        ["lenet-5", "--design", "huge"],
        "huge: design must be one of core, edge, edge-2of4, edge-coded, edge-os, edge-sparse, edge-sparse-coded, "
        "edge-xc7, large, nano, nano-ecp5, pico, ulx3s or a YAML file: No such file",
    ),
    (["lenet-5", "--design", "wrong.yaml"], "array.rows must be an integer in 1..64, not 0 (wrong.yaml:"),
    (["lenet-5", "--design", "text.onnx"], "text.onnx: a design must be a YAML mapping, not str"),
    (["lenet-5", "--design", "date.yaml"], "date.yaml: not valid YAML: month must be in 1..12"),
    (["lenet-5", "--design", "loop.yaml"], "loop.yaml:1: its YAML contains itself"),
    (["lenet-5", "--technique", "magic"], "technique must be one of dense, shared-8, shared-6, shared-4, shared-3"),
    (["lenet-5", "--calibration", "none.npy"], "inputs must have shape (n, 1, 28, 28), not (0, 2, 6, 6)"),
    (["mine.onnx", "--calibration", "none.npy"], "none.npy: mine: inputs must hold at least one input, not none"),
    (["mine.onnx", "--calibration", "empty.npy"], "empty.npy must be a .npy file of numbers"),
    (["mine.onnx", "--calibration", "mine.onnx"], "mine.onnx must be a .npy file of numbers"),
    (["mine.onnx", "--nonsense"], "No such option: --nonsense (see accel --help)"),
    (["mine.onnx", "more"], "unexpected extra argument"),
]
COMPARE_WRONG = [
    (["mine.onnx", "--also", "mine.onnx", "--also", "mine.onnx"], "techniques must have different names, not dense"),
    (["mine.onnx", "--also", "lenet-5"], "lenet-5: input must have the shape (2, 6, 6) of mine's, not (1, 28, 28)"),
    (["mine.onnx", "--also", "map.onnx"], "output must have the shape (4,) of mine's, not (3, 4, 4)"),
    (["mine.onnx", "--also", "text.onnx"], "text.onnx must be an ONNX file, and is not"),
    (
        ["mine.onnx", "--test", "far.npy", "--labels", "labels.npy"],
        "mine: layer 'conv' (Conv): output must be finite as float32, and holds NaN or Inf for these inputs",
    ),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "lenet-5", "--design", "edge", "--design", "nano"], "--design must be given once, not 2 times"),
        (["simulate", "--technique=dense", "lenet-5", "--technique", "as-is"], "--technique must be given once"),
        (["emit", "lenet-5", "--out", "a", "-ob", "-o", "c"], "--out or -o must be given once, not 3 times"),
        (["compress", "lenet-5", "r.yaml", "--seed", "1", "--seed=2"], "--seed must be given once, not 2 times"),
        (["compare", "--calibration", "a.npy", "--calibration", "b.npy"], "--calibration must be given once"),
    ],
)
def test_options_that_are_meant_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    """Several designs of a comparison, and whatever follows --, are no repetition."""
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert "a YAML file" in refused(capsys, "compare", "lenet-5", "--design", "edge", "--design", "none")
    assert "unexpected extra" in refused(capsys, "simulate", "--design", "edge", "--", "lenet-5", "--design")


def test_emit_replaces_no_file_of_others(
    own: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own files it does replace, and files of other names stay."""
    command = ["emit", own["mine.onnx"], "--design", "nano", "--calibration", own["ranges.npy"], "--out", str(tmp_path)]
    (tmp_path / "README.md").write_text("mine")
    assert "must not hold a README.md that accel did not write, and does" in refused(capsys, *command)
    assert content(tmp_path) == {"README.md": b"mine"}
    (tmp_path / "README.md").rename(tmp_path / "NOTES.md")
    assert accel(command) == 0
    written = content(tmp_path)
    assert written["NOTES.md"] == b"mine"
    assert accel(command) == 0
    assert content(tmp_path) == written


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("compare", ["--out", ""]),
        ("compare", ["--out="]),
        ("emit", ["-o", ""]),
        ("emit", ["--out", "x", "--design="]),
        ("compress", ["r.yaml", "--out", ""]),
        ("train", ["--data", "", "--out", "x.onnx"]),
        ("quantise", ["--out", ""]),
    ],
)
def test_empty_values(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, options: list[str]
) -> None:
    """An empty path would be the current folder."""
    monkeypatch.chdir(tmp_path)
    assert "must have a value, and is empty" in refused(capsys, verb, "lenet-5", *options)
    assert list(tmp_path.iterdir()) == []


def test_no_output_replaces_its_input(
    own: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every verb that writes, by any way to the same file; and what was there is there."""
    monkeypatch.chdir(tmp_path)
    network = Path(own["mine.onnx"]).read_bytes()
    recipe = b"name: x\nsteps: [{share: {bits: 3}}, {huffman: {}}]\n"
    design = Path(own["mine.yaml"]).read_bytes()
    (tmp_path / "n.steps").mkdir()
    inputs = {
        "n.onnx": network, "n.json": recipe, "n.steps/r.yaml": recipe, "r.yaml": recipe, "design.yaml": design,
        "compare.json": design, "q.int8": network, "train-images-idx3-ubyte": b"",
    }  # fmt: skip
    for name, data in inputs.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "link.onnx").symlink_to("n.onnx")
    (tmp_path / "q2.int8").hardlink_to("q.int8")
    (tmp_path / "teacher.yaml").write_text("name: x\nsteps: [{distil: {student: n.onnx, epochs: 1}}]\n")
    before = content(tmp_path)
    for command in (
        ("compress", "n.onnx", "r.yaml", "--out", "./n.onnx"),
        ("compress", "link.onnx", "r.yaml", "--out", "n.onnx"),
        ("compress", "link.onnx", "r.yaml", "--out", "link.onnx"),
        ("compress", own["mine.onnx"], "n.json", "--out", "n.onnx"),
        ("compress", own["mine.onnx"], "n.steps/r.yaml", "--out", "n.onnx"),
        ("compress", own["mine.onnx"], "teacher.yaml", "--out", "n.onnx"),
        ("compare", own["mine.onnx"], "--design", "compare.json", "--out", "."),
        ("emit", own["mine.onnx"], "--design", "design.yaml", "--out", "."),
        ("quantise", "q.int8", "--out", "q.int8"),
        ("train", "lenet-5", "--data", ".", "--out", "train-images-idx3-ubyte"),
    ):
        if command[:2] == ("quantise", "q.int8"):
            assert accel(["quantise", own["mine.onnx"], "--out", "made.int8"]) == 0
            command = ("quantise", "made.int8", "--out", "made.int8")
        assert "must not replace its own input" in refused(capsys, *command), command
    (tmp_path / "made.int8").unlink()
    assert content(tmp_path) == before


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
        monkeypatch.setattr("accel.flow.emit.contents", lambda *_: dict.fromkeys(emit.FILES, b""))
    assert "cannot be written: No space left on device" in refused(capsys, *command, tmp_path / "new" / "out")
    assert content(tmp_path) == {"file": b"here"}
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    for name in ("compare.csv", "accelerator.v", "expected.json"):
        (tmp_path / "old" / name).write_text("before")
    before = content(tmp_path)
    tried.clear()
    refused(capsys, *command, tmp_path / "old")
    assert len(tried) > 3
    assert content(tmp_path) == before


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


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "accel.flow.main", *arguments]
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


@pytest.mark.parametrize("module", ["typer", "matplotlib"])
def test_a_process_that_is_interrupted(own: dict[str, str], tmp_path: Path, module: str) -> None:
    """While it imports, the command line itself or a library that a verb needs: status 130, nothing said or written."""
    (tmp_path / f"{module}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    out = tmp_path / "out"
    # A shell starts what runs in the background with interrupts ignored, and children inherit that: a test run as well.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = process(
            "compare", own["mine.onnx"], "--out", str(out), env=os.environ | {"PYTHONPATH": str(tmp_path)}
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert running.communicate(timeout=60)[1] == ""
    assert running.returncode == 130
    assert not out.exists()


def test_inputs_that_are_no_files(own: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A pipe that nobody writes, a device without an end: every kind of input is refused at once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    named = []
    for suffix in (".onnx", ".weights", ".int8", ".yaml"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
        named.append(str(tmp_path / f"pipe{suffix}"))
    for path in (str(pipe), "/dev/zero"):
        for command in (
            ("simulate", path),
            ("simulate", own["mine.onnx"], "--design", path),
            ("simulate", own["mine.onnx"], "--calibration", path),
            ("compare", own["mine.onnx"], "--test", path, "--labels", own["labels.npy"]),
            ("compare", own["mine.onnx"], "--test", own["images.npy"], "--labels", path),
            ("compare", own["mine.onnx"], "--recipe", path),
            ("compare", own["mine.onnx"], "--also", path),
            ("compress", own["mine.onnx"], path, "--out", tmp_path / "o.onnx"),
        ):
            assert "it must be a regular file, and is a pipe, a device or a socket" in refused(capsys, *command)
    for path in named:
        assert "it must be a regular file" in refused(
            capsys, "simulate", *(["lenet-5", "--design"] * ("yaml" in path)), path
        )


def test_a_terminal_without_the_characters_of_a_name() -> None:
    """They are replaced."""
    case = Path(__file__).parent / "data" / "cases" / "F14_layer_name.onnx"
    for arguments in (("simulate", str(case), "--design", "nano"), ("simulate", f"{case}\u2713")):
        running = process(*arguments, stdout=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "ascii"})
        out, error = running.communicate()
        assert "Traceback" not in error
        assert running.returncode == (0 if arguments[-1] == "nano" else 2)
        assert "?" in out + error
        assert (out + error).isascii()


def test_a_name_that_commands_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_network(tmp_path / "n\x1b[1m.onnx", names=("conv\x1b[31m\x07", "fc\nnext"))
    assert accel(["simulate", str(path), "--design", "nano"]) == 0
    printed = capsys.readouterr().out
    assert "n?[1m on nano" in printed
    assert "conv?[31m?" in printed
    assert "fc?next" in printed
    assert all(c.isprintable() or c == "\n" for c in printed)


def test_a_reader_that_has_gone(own: dict[str, str]) -> None:
    """Of a long output, of the error itself, and of both."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for arguments in (("simulate", own["mine.onnx"], "--json"), ("simulate", "none"), ("designs", "edge")):
        read, write = os.pipe()
        os.close(read)
        running = subprocess.Popen(
            [sys.executable, "-m", "accel.flow.main", *arguments], cwd=Path(__file__).parent.parent, stdout=write,
            stderr=write, env=buffered,
        )  # fmt: skip
        os.close(write)
        assert running.wait(60) in (0, 2)
