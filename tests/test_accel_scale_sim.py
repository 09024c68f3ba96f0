"""SCALE-Sim's files and cycles, against numbers that scalesim 3.0.0 printed, and (`slow`) against its code."""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accel.compile import time_network
from accel.design import load
from accel.flow.cli import run as accel
from accel.models.errors import InputError
from accel.models.window import Window
from accel.one_layer import LayerShape, gemm, parse
from accel.scale_sim import topology
from accel.scale_sim.cycles import cycles
from tests.benches import scale_sim
from tests.benches.wide import draws

ROWS = (
    *(("a", 13, 12, 3, 3, 5, 7, 1), ("b", 20, 20, 5, 3, 3, 9, 4)),
    *(("DPc", 9, 9, 3, 3, 4, 1, 2), ("d", 1, 1, 1, 1, 40, 33, 1)),
)
# COMPUTE_REPORT.csv of these layers; of the depthwise one the sum of its channels, which are equal.
PRINTED = {
    ("ws", 8, 8): (791, 623, 4 * 75, 574),
    ("ws", 4, 16): (1583, 623, 4 * 113, 689),
    ("ws", 16, 4): (863, 575, 4 * 49, 944),
    ("os", 8, 8): (825, 471, 4 * 45, 269),
    ("os", 4, 16): (1763, 503, 4 * 107, 173),
    ("os", 16, 4): (881, 377, 4 * 26, 521),
    ("is", 8, 8): (2435, 743, 4 * 91, 274),
    ("is", 4, 16): (2435, 743, 4 * 68, 549),
    ("is", 16, 4): (3443, 1031, 4 * 139, 200),
}


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("array", PRINTED, ids=str)
def test_cycles_that_it_printed(array: tuple[str, int, int], tmp_path: Path) -> None:
    layers = topology.load(written(tmp_path, scale_sim.topology(ROWS)))
    assert tuple(cycles(layer, *array) for layer in layers) == PRINTED[array]


@given(
    st.integers(1, 40), st.integers(1, 90), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20),
    st.sampled_from(("ws", "os", "is")),
)  # fmt: skip
def test_cycles_fold_by_fold(m: int, k: int, n: int, rows: int, cols: int, flow: str) -> None:
    """Each fold fills, streams and drains before the next."""
    along_rows, along_cols, time = {"ws": (k, n, m), "is": (k, m, n), "os": (m, n, k)}[flow]
    total = 0
    for _ in range(0, along_rows, rows):
        for _ in range(0, along_cols, cols):
            total += (rows if flow != "os" else 0) + time + (rows - 1) + (cols - 1)
    assert cycles(gemm(m, k, n), flow, rows, cols) == total - 1


@pytest.mark.slow
@pytest.mark.parametrize("flow", ["ws", "os", "is"])
def test_cycles_of_its_own_code(flow: str, tmp_path: Path) -> None:
    """Random topologies and arrays; AlexNet is `tests.benchmarks.scale_sim`'s."""
    random = np.random.default_rng("wsosis".index(flow))
    for trial in range(4):
        folder = tmp_path / str(trial)
        folder.mkdir()
        rows = []
        for number in range(6):
            kernel = random.integers(1, 6, 2)
            size = kernel + random.integers(0, 14, 2)
            channels, filters, stride = random.integers(1, 30), random.integers(1, 40), random.integers(1, 5)
            name = f"{'DP' if number == 3 else 'c'}{number}"
            rows.append((name, *map(int, (*size, *kernel, channels, filters, stride))))
        side = tuple(int(n) for n in random.integers(4, 33, 2))
        text = scale_sim.topology(rows)
        found, _, _ = scale_sim.run(folder, text, scale_sim.config(*side, flow))
        assert not any(stalls for _, stalls in found)
        parts = iter([total for total, _ in found])
        layers = topology.load(folder / "t.csv")
        theirs = [sum(next(parts) for _ in range(layer.groups)) for layer in layers]
        assert [cycles(layer, flow, *side) for layer in layers] == theirs
        assert next(parts, None) is None


def test_a_topology_of_products_with_remarks(tmp_path: Path) -> None:
    text = "Layer,M,N,K\nq,1024,64,1600\n\n\tx, 2,3,4,1:2, # sparse\n"
    assert topology.load(written(tmp_path, text)) == (gemm(1024, 1600, 64, "q"), gemm(2, 4, 3, "x"))


def test_a_topology_of_convolutions(tmp_path: Path) -> None:
    """Sizes of outputs are rounded up; its own MobileNet has such remarks and lines without a last comma."""
    text = "h,\nConv1, 224, 224, 11, 11, 3, 96, 4,\nConv2_DP,112,112,3,3,8,1,1,#dw\nlast,1,1,1,1,1024,1000,1\n"
    first, depthwise, last = topology.load(written(tmp_path, text))
    assert first.window.output_size(224, 224) == (55, 55)
    assert first.terms == 363
    assert (depthwise.groups, depthwise.outputs, depthwise.terms) == (8, 8, 9)
    assert (last.outputs, last.pixels) == (1000, 1)


def test_simulate_a_topology_on_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, scale_sim.topology(ROWS))
    cfg = written(tmp_path, scale_sim.config(8, 8, "os"), "c.cfg")
    command = ["simulate", str(path), "--design", str(cfg), "--conventions", "scale-sim"]
    assert accel(command) == 0
    out = capsys.readouterr().out
    assert "SCALE-Sim's stall-free cycles, 8 x 8" in out
    assert accel([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = found["scale_sim"]
    assert [line["os"] for line in lines[:-1]] == list(PRINTED["os", 8, 8])
    assert lines[-1]["is"] == sum(PRINTED["is", 8, 8])
    alone = [time_network(layer.network(), load(cfg)).cycles for layer in topology.load(path)]
    assert [line["ours"] for line in lines] == [*alone, sum(alone)]
    assert found["cycles"] == sum(alone) == sum(found["total"]["limit_cycles"].values())
    assert found["total"]["macs"] == sum(layer["macs"] for layer in found["layers"])


def test_conventions_of_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    """Of layers that multiply; 16 x 16: 5 and 50 rows of folds in ip1."""
    assert accel(["simulate", "lenet-5", "--conventions", "scale-sim", "--json"]) == 0
    lines = {line["layer"]: line for line in json.loads(capsys.readouterr().out)["scale_sim"]}
    assert list(lines) == ["conv1", "conv2", "ip1", "ip2", "total"]
    assert lines["ip1"]["ws"] == 50 * 32 * (2 * 16 + 16 + 1 - 2) - 1
    assert lines["conv1"]["os"] == 36 * 2 * (16 + 16 + 25 - 2) - 1


def test_configuration(tmp_path: Path) -> None:
    design = load(written(tmp_path, scale_sim.config(32, 16, "os", 128), "mine.cfg"))
    assert (design.name, design.rows, design.cols, design.output_stationary) == ("run", 32, 16, True)
    assert (design.buffers.activation_bytes, design.beat_bytes) == (128 << 10, 64)
    user = scale_sim.config(32, 16, "ws").replace("CALC", "USER")
    assert load(written(tmp_path, user, "mine.cfg")).bytes_per_cycle == 8  # of 10 words
    assert load(written(tmp_path, user.replace("Bandwidth = 10", "Bandwidth = 1"), "mine.cfg")).bytes_per_cycle == 1


WRONG_CONFIGURATIONS = [
    ("ArrayHeight = 8", "ArrayHeight = 128", "ArrayHeight must be an integer in 1..64, not 128"),
    ("ArrayHeight = 8", "ArrayHeight = x", "ArrayHeight must be a whole number above 0, not 'x'"),
    ("ArrayHeight = 8", "", "[architecture_presets] must have ArrayHeight, and has not"),
    ("Dataflow = ws", "Dataflow = is", "Dataflow must be ws or os, not is: there is no array that holds inputs"),
    ("SparsitySupport = false", "SparsitySupport = true", "SparsitySupport must be false"),
    ("InterfaceBandwidth = CALC", "InterfaceBandwidth = ANY", "InterfaceBandwidth must be USER or CALC, not ANY"),
    ("[general]", "general", "must be a configuration of SCALE-Sim, and is something else"),
    ("IfmapSramSzkB = 256", "IfmapSramSzkB = 999999", "IfmapSramSzkB must be"),
]


@pytest.mark.parametrize(("before", "after", "message"), WRONG_CONFIGURATIONS)
def test_wrong_configurations(
    before: str, after: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = scale_sim.config(8, 8, "ws")
    assert before in text
    path = written(tmp_path, text.replace(before, after), "wrong.cfg")
    assert accel(["simulate", "fc:10,10", "--design", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "wrong.cfg" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a header and a line for each layer"),
        ("h\nc,1,2,3\n", "t.csv:2: a layer must be name, IFMAP height,"),
        ("h\nc,9,9,3,3,a,2,1\n", "t.csv:2: a layer must be name, IFMAP height,"),
        ("h\nc,9,9,3,3,2,2,1,1:1,7\n", "t.csv:2: a layer must be name, IFMAP height,"),
        ("h\n\nc,2,9,3,3,2,2,1\n", "t.csv:3: filter 3x3 must not be larger than the input 2x9"),
        ("h\nc,9,9,3,3,2,2,0\n", "t.csv:2: stride must be at least 1, not 0"),
        ("h\nc,9,9,3,3,0,2,1\n", "t.csv:2: c: sizes must be at least 1"),
        ("Layer,M,N,K\ng,99999999,99999999,9\n", "t.csv:2: g: tensors must have at most"),
        ("h\nc,300,300,200,200,2,2,1\n", "layer"),  # a kernel that the hardware's commands cannot hold
    ],
)
def test_wrong_topologies(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, text)
    assert accel(["simulate", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_what_a_topology_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path, scale_sim.topology(ROWS)))
    for option in (["--technique", "shared-4"], ["--calibration", "x.npy"], ["--trace", "x.json"]):
        assert accel(["simulate", path, *option]) == 2
        assert f"{option[0]} must be left out with" in capsys.readouterr().err
    assert accel(["simulate", path, "--conventions", "eyeriss"]) == 2
    assert "--conventions must be scale-sim, not 'eyeriss'" in capsys.readouterr().err
    assert accel(["simulate", str(tmp_path / "none.csv")]) == 2
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe")
    assert accel(["simulate", str(tmp_path / "bytes.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_layers_in_words() -> None:
    assert parse("conv:128x28x30,64,3x5") == LayerShape(
        "conv-128x28x30-64-3x5", (128, 28, 30), 64, Window((3, 5), (1, 1), (0, 0, 0, 0))
    )
    found = parse("conv:8x9x9,16,3,stride=2x1,pads=1x0x2x3,groups=4")
    assert (found.window, found.groups) == (Window((3, 3), (2, 1), (1, 0, 2, 3)), 4)
    assert parse("conv:8x9x9,16,3x3,pads=1x2").window.pads == (1, 2, 1, 2)
    assert parse("conv:8x9x9,16,3x3,pads=1").window.pads == (1, 1, 1, 1)
    assert parse("gemm:5x6x7") == gemm(5, 6, 7, "gemm-5x6x7")
    assert parse("fc:9216,4096").network().layers[0].weights.shape == (4096, 9216, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "conv:",
            "conv:128,3",
            "conv:1x2x3,4,3x3,5",
            "conv:1x9x9,4,3x3,stride=2,stride=2",
            "conv:1x9x9,4,3x3,depth=1",
        ),
        *(
            "conv:1x9x9,4,3x3,pads=1x1x1",
            "conv:1x9x9,4,3x3,depth=1",
            "gemm:1x2",
            "gemm:1x2x-3",
            "fc:1",
            "fc:a,b",
            "conv:1x9x9,4,3x3x3",
        ),
    ],
)
def test_wrong_words(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"a layer must be conv:CxHxW,N,KxK"):
        parse(text)
    assert accel(["simulate", text]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv:6x9x9,8,3x3,groups=4", "groups must divide 6 channels and 8 outputs, not 4"),
        ("conv:6x2x9,8,3x3", "kernel 3x3 must fit an input of 2x9 with its pads"),
        ("conv:0x9x9,8,3x3", "sizes must be at least 1"),
        ("gemm:99999999x99999999x3", "tensors must have at most"),
    ],
)
def test_sizes_that_are_no_layer(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_one_layer_goes_through_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "conv:8x9x9,16,3x3,pads=1,groups=2"
    assert accel(["simulate", text, "--design", "nano", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cycles"] == time_network(parse(text).network(), load("nano")).cycles
    assert found["total"]["macs"] == 16 * 4 * (9 * 3 - 2) ** 2  # without the padding
    assert accel(["program", text]) == 0
    assert accel(["simulate", text, "--technique", "dense"]) == 2


@settings(deadline=None, max_examples=draws(60))
@given(
    st.integers(1, 256), st.integers(1, 256), st.sampled_from(("ws", "os", "is")),
    st.lists(
        st.tuples(*(st.integers(1, 9) for _ in range(4)), st.integers(1, 300), st.integers(1, 300), st.integers(1, 4)),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_any_array_has_its_cycles(rows: int, cols: int, flow: str, sizes: list[tuple[int, ...]]) -> None:
    """Also one that no design has, as SCALE-Sim's own google.cfg (256 x 256); one line says why ours are missing."""
    assume(rows > 64 or cols > 64 or flow == "is")
    layers = [(f"l{n}", h + a, w + b, h, w, c, f, s) for n, (h, w, a, b, c, f, s) in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), scale_sim.topology(layers))
        cfg = written(Path(folder), scale_sim.config(rows, cols, flow), "google.cfg")
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            command = ["simulate", str(path), "--design", str(cfg), "--conventions", "scale-sim", "--json"]
            assert accel(command) == 0
    found = json.loads(out.getvalue())
    wanted = []
    for _, height, width, kernel_height, kernel_width, channels, filters, stride in layers:
        down = len(range(0, height - kernel_height + stride, stride))
        across = len(range(0, width - kernel_width + stride, stride))
        terms, pixels = kernel_height * kernel_width * channels, down * across
        up, along, time = {"ws": (terms, filters, pixels), "is": (terms, pixels, filters)}.get(
            flow, (pixels, filters, terms)
        )
        fill = 2 * rows + cols - 2 if flow != "os" else rows + cols - 2
        wanted.append(math.ceil(up / rows) * math.ceil(along / cols) * (fill + time) - 1)
    lines = found["scale_sim"]
    assert [line[flow] for line in lines] == [*wanted, sum(wanted)]
    assert found["array"] == {"name": "run", "rows": rows, "cols": cols, "dataflow": flow}
    assert all(line["ours"] is None for line in lines)
    (why,) = found["warnings"]
    assert "google.cfg" in why
    assert ("Dataflow must be ws or os" if flow == "is" else "must be an integer in 1..64") in why


def test_an_array_that_no_design_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table without ours, and why; what needs a design says so."""
    path = written(tmp_path, scale_sim.topology(ROWS))
    cfg = written(tmp_path, scale_sim.config(256, 256, "os"), "google.cfg")
    like = ["--conventions", "scale-sim", "--design", str(cfg)]
    reason = f"{cfg}: ArrayHeight must be an integer in 1..64, not 256"
    for network in (str(path), "lenet-5", "conv:8x9x9,16,3x3"):
        assert accel(["simulate", network, *like]) == 0
        shown = capsys.readouterr()
        assert "SCALE-Sim's stall-free cycles, 256 x 256, os " in " ".join(shown.out.split())
        assert "ours" not in shown.out
        assert f"accel: warning: there are only SCALE-Sim's cycles: {reason}" in shown.err
        assert accel(["simulate", network, "--design", str(cfg)]) == 2
        assert capsys.readouterr().err == f"accel: {reason}\n"
    for option in (["--images", "2"], ["--trace", str(tmp_path / "t.json")]):
        assert accel(["simulate", "lenet-5", *like, *option]) == 2
        assert capsys.readouterr().err == f"accel: {reason}\n"
    wrong = written(tmp_path, scale_sim.config(8, 8, "xs"), "wrong.cfg")
    assert accel(["simulate", str(path), "--conventions", "scale-sim", "--design", str(wrong)]) == 2
    assert capsys.readouterr().err == f"accel: {wrong}: Dataflow must be ws, os or is, not xs\n"
    assert accel(["simulate", str(path), "--conventions", "scale-sim", "--design", "none"]) == 2
    assert "design must be one of" in capsys.readouterr().err


def test_other_verbs_and_a_topology(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` counts its layers; for a technique they are no network."""
    path = str(written(tmp_path, scale_sim.topology(ROWS)))
    assert accel(["check", path]) == 0
    products = 11 * 10 * 45 * 7 + 5 * 6 * 45 * 9 + 4 * 4 * 9 * 4 + 40 * 33
    assert capsys.readouterr().out == f"t runs: 4 Conv ({products:,} multiplications, in 4 programs)\n"
    assert accel(["check", "gemm:2x3x4"]) == 0
    assert capsys.readouterr().out == "gemm-2x3x4 runs: 1 Conv (24 multiplications)\n"
    for verb in (["compare"], ["emit", "--out", str(tmp_path / "o")], ["quantise", "--out", str(tmp_path / "o.int8")]):
        assert accel([verb[0], path, *verb[1:]]) == 2
        message = "must be a network here, and a list of layers is none: accel simulate and check read it"
        assert capsys.readouterr().err == f"accel: {path} {message}\n"
