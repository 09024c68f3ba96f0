"""Networks in several stretches, through everything: programs give the reference's codes, results are their sums."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from accel import design as designs
from accel.compile import compile_network, compile_series
from accel.flow import simulate as job
from accel.flow.cache import digest
from accel.flow.cli import run
from accel.flow.retrain import Retraining, retrained
from accel.flow.techniques import find
from accel.latency import COMPLETE_CYCLES
from accel.models.compress.prune import matrix_layers
from accel.models.errors import InputError
from accel.models.exchange import onnx_write
from accel.models.graph import Conv, Linear, Network
from accel.models.host import HostStep
from accel.models.integers.network import IntegerNetwork
from accel.models.integers.stretches import stretches
from accel.models.parting import parted
from accel.models.quantisation.quantise import quantise
from accel.models.reference import float32, int8
from accel.models.training.images import ImageSet
from accel.sim.execute import execute_memory
from accel.sim.result import simulate
from tests.benches.cross import Trial, check
from tests.benches.model_networks import onnxruntime_output
from tests.benches.onnx_models import W, floats, model_of
from tests.benches.verilator import Built

# Two convolutions; the host's normalisation, and product of both; a convolution with a residual of before; the host's
# normalisation again; a matrix.
NODES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("Conv", "x,w", "c", {}), ("Conv", "c,v", "d", {"pads": [1, 1, 1, 1]}), ("LRN", "c", "a", {"size": 3}),
    ("MatMul", "d,a", "m", {}), ("Conv", "m,v", "e", {"pads": [1, 1, 1, 1]}), ("Add", "e,c", "f", {}),
    ("Relu", "f", "r", {}), ("LogSoftmax", "r", "s", {"axis": 1}),
    ("GlobalAveragePool", "s", "g", {}), ("Flatten", "g", "h", {}),
    ("Gemm", "h,u", "y", {}),
]  # fmt: skip
CONSTANTS = {"w": W, "v": floats(5, 5, 3, 3) / 4, "u": floats(5, 3)}
INPUTS = floats(40, 4, 9, 9)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("stretches") / "mine.onnx"
    found.write_bytes(model_of(NODES, CONSTANTS, ("n", 4, 9, 9)).SerializeToString())
    return found


@pytest.fixture(scope="module")
def network(path: Path) -> Network:
    return parted.read(path)


@pytest.fixture(scope="module")
def integer(network: Network) -> IntegerNetwork:
    return quantise(network, INPUTS)


def test_stretches(network: Network, integer: IntegerNetwork) -> None:
    first, second, third = stretches(integer)
    assert [layer.name for layer in first.layers] == ["the_c", "the_d"]
    assert (first.inputs, first.outputs) == (("x",), ("c", "d"))
    assert (second.inputs, second.outputs) == (("m", "c"), ("r",))
    assert (third.inputs, third.outputs) == (("s",), ("y",))
    assert [(step.inputs, step.output) for step in integer.host_steps] == [(("c", "d"), "m"), (("r",), "s")]
    assert all(not part.host_steps for part in stretches(integer))
    with pytest.raises(InputError, match=r"a program must be of a stretch .* not of a network .* the host: 'm.host'"):
        compile_network(integer, designs.load("nano"))
    assert network.host is not None
    assert [part.values for _, part in network.host.parts] == [3 * 5 * 49, 2 * 5 * 49]


def test_integers_are_near_floats(network: Network, integer: IntegerNetwork) -> None:
    expected = onnxruntime_output(model_of(NODES, CONSTANTS, ("n", 4, 9, 9)), INPUTS)
    np.testing.assert_allclose(float32.run(network, INPUTS), expected, rtol=1e-4, atol=1e-4)
    codes = int8.run(integer, int8.quantise_input(integer, INPUTS))["y"]
    found = int8.real_values(integer.tensors["y"], codes, (3,))
    assert np.abs(found - expected).max() < 0.2 * np.ptp(expected)


def test_programs_give_the_codes_of_the_reference(integer: IntegerNetwork) -> None:
    design = designs.load("nano")
    inputs = int8.quantise_input(integer, INPUTS[:2])
    tensors = int8.run(integer, inputs, all_tensors=True)
    total, moved = 0, 0
    for part, codes in int8.stretch_codes(integer, inputs):
        program = compile_network(part, design)
        memory = execute_memory(program, codes[1])
        for place in program.outputs:
            np.testing.assert_array_equal(program.unpack_output(memory, place=place), tensors[place.name][1])
        result = simulate(program, codes)
        total, moved = total + result.cycles, moved + result.total.dram_bytes
    found = job.run(integer, design, INPUTS[:2])
    assert (found.result.cycles, found.total.work.dram_bytes) == (total, moved)
    assert sum(layer.work.cycles for layer in found.layers) == total
    assert found.to_dict()["programs"] == 3


SAME = {"pads": [1, 1, 1, 1]}
TWICE = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
# Name -> nodes of networks whose branches go around the host's step, or end in it.
BRANCHES: dict[str, list[tuple[str, str, str, dict[str, Any]]]] = {
    "joined channels into the step": [
        ("Conv", "x,w", "a", SAME), ("Conv", "x,v", "b", SAME), ("Concat", "a,b", "c", {"axis": 1}),
        ("LRN", "c", "l", {"size": 3}), ("Conv", "l,u", "y", SAME),
    ],
    "joined channels around the step": [
        ("Conv", "x,w", "a", SAME), ("Conv", "x,v", "b", SAME), ("Concat", "a,b", "c", {"axis": 1}),
        ("LRN", "a", "l", {"size": 3}), ("Concat", "c,l", "d", {"axis": 1}), ("Conv", "d,k", "y", SAME),
    ],
    "a skip connection": [
        ("Conv", "x,w", "a", SAME), ("MaxPool", "a", "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", "p,q", "b", SAME), ("LRN", "b", "l", {"size": 3}), ("Resize", "l,,s", "r", TWICE),
        ("Concat", "a,r", "c", {"axis": 1}), ("Conv", "c,z", "y", SAME),
    ],
}  # fmt: skip
SIZES = {"w": (5, 4), "v": (7, 4), "u": (6, 12), "k": (6, 17), "q": (5, 5), "z": (3, 10)}  # outputs, inputs


def branches(case: str) -> tuple[list[tuple[str, str, str, dict[str, Any]]], dict[str, np.ndarray]]:
    """Nodes and constants."""
    nodes = BRANCHES[case]
    read = {name for _, inputs, _, _ in nodes for name in inputs.split(",")}
    constants = {name: floats(*size, 3, 3) / 5 for name, size in SIZES.items() if name in read}
    return nodes, constants | ({"s": np.float32([1, 1, 2, 2])} if "s" in read else {})


@pytest.mark.parametrize("case", BRANCHES)
@pytest.mark.parametrize("design", ["nano", "edge-sparse"])
def test_branches(tmp_path: Path, case: str, design: str) -> None:
    path, inputs = tmp_path / "mine.onnx", floats(6, 4, 8, 8)
    path.write_bytes(model_of(*branches(case), ("n", 4, 8, 8)).SerializeToString())
    integer = quantise(parted.read(path), inputs)
    codes = int8.quantise_input(integer, inputs[:1])
    tensors = int8.run(integer, codes, all_tensors=True)
    parts = int8.stretch_codes(integer, codes)
    assert len(parts) == 2
    for part, given in parts:
        program = compile_network(part, designs.load(design))
        memory = execute_memory(program, given[0])
        for place in program.outputs:
            np.testing.assert_array_equal(program.unpack_output(memory, place=place), tensors[place.name][0])


def test_from_the_command_line(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration, space = tmp_path / "x.npy", tmp_path / "space.yaml"
    np.save(calibration, INPUTS)
    given = ["--calibration", str(calibration)]
    latency = designs.load("nano").memory.latency_cycles
    space.write_text(f"base: nano\nspace: {{memory.latency_cycles: [{latency}]}}\n")
    note = "the host runs the_a (LRN), the_m (MatMul) between stretches of the accelerator: 5.3 % of the network's MACs"
    assert run(["simulate", str(path), *given, "--json", "--trace", str(tmp_path / "t.json")]) == 0
    said = capsys.readouterr()
    simulated = json.loads(said.out)
    assert note in said.err
    assert len(simulated["layers"]) == 5
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert (
        max(event["args"]["to cycle"] for event in events if event["ph"] == "X")
        == simulated["cycles"] - COMPLETE_CYCLES
    )
    assert run(["program", str(path), *given]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.startswith("program ")] == [
        line for name in ("mine-1", "mine-2", "mine-3") for line in text.splitlines() if f"program {name} " in line
    ]
    assert run(["check", str(path)]) == 0
    assert "(30,885 multiplications, in 3 programs)" in capsys.readouterr().out
    arguments = [*given, "--test", str(calibration), "--labels", str(tmp_path / "y.npy"), "--design", "nano"]
    np.save(tmp_path / "y.npy", np.zeros(len(INPUTS), np.int64))
    assert run(["compare", str(path), *arguments, "--technique", "dense", "--technique", "shared-4", "-o",
                str(tmp_path / "out")]) == 0  # fmt: skip
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert any(note in text for text in rows["notes"])
    assert run(["explore", str(path), *given, "--space", str(space), "-o", str(tmp_path / "points"), "--workers", "1",
                "--json"]) == 0  # fmt: skip
    explored = json.loads(capsys.readouterr().out.splitlines()[-1])
    nano = next(row for row in rows["rows"] if row["technique"] == "dense")
    assert [point["metrics"]["cycles"] for point in explored["front"]] == [nano["cycles"]]
    assert run(["quantise", str(path), *given, "-o", str(tmp_path / "q.int8")]) == 2
    assert "cannot be written: the host runs 'm.host' inside of it" in capsys.readouterr().err
    # What int8 costs each layer is said all the same.
    assert run(["quantise", str(path), *given, "-o", str(tmp_path / "q.int8"), "--noise"]) == 2
    said = capsys.readouterr()
    assert "cannot be written: the host runs 'm.host' inside of it" in said.err
    assert " adds most noise: it reads " in said.out
    assert run(["quantise", str(path), *given, "-o", str(tmp_path / "q.int8"), "--noise", "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["file"] is None
    assert report["blamed"] in {row["layer"] for row in report["noise"]}
    assert not (tmp_path / "q.int8").exists()
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: few\nsteps:\n  - prune: {density: 0.5}\n")
    assert run(["compress", str(path), str(recipe), "-o", str(tmp_path / "o.onnx")]) == 2
    assert "mine: encoded weights must be of one stretch with one output, and are not" in capsys.readouterr().err


def test_steps_have_a_digest_and_go_to_other_processes(tmp_path: Path, network: Network) -> None:
    """Results are kept under a digest that sees what the host runs, and explorations send networks around."""

    def read(size: int) -> Network:
        path = tmp_path / "mine.onnx"
        nodes = [("Conv", "x,w", "c", {}), ("LRN", "c", "l", {"size": size}), ("Conv", "l,v", "y", {})]
        path.write_bytes(model_of(nodes, {"w": W, "v": CONSTANTS["v"]}).SerializeToString())
        return parted.read(path)

    assert digest(read(3)) == digest(read(3)) != digest(read(5))
    float32.run(network, INPUTS[:1])  # its parts are open then
    copy = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(float32.run(copy, INPUTS), float32.run(network, INPUTS))


def test_the_emitted_folder(path: Path, integer: IntegerNetwork, tmp_path: Path) -> None:
    """host.py finds in each stretch's image what its steps make of what the stretches before give; damage is seen."""
    calibration, out = tmp_path / "x.npy", tmp_path / "out"
    np.save(calibration, INPUTS)
    assert run(["emit", str(path), "--calibration", str(calibration), "--design", "nano", "-o", str(out)]) == 0
    program = [sys.executable, "host.py"]
    ran = subprocess.run(program, cwd=out, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert [line.split(":")[0] for line in ran.stdout.splitlines()] == [
        "stretch-1", "host", "stretch-2", "host", "stretch-3", "output y"
    ]  # fmt: skip
    found = json.loads((out / "network.json").read_text())
    assert [stage.get("folder", stage.get("model")) for stage in found["stages"]] == [
        "stretch-1", "host-1.onnx", "stretch-2", "host-2.onnx", "stretch-3"
    ]  # fmt: skip
    design = designs.load("nano")
    inputs = int8.quantise_input(integer, INPUTS[:1])
    cycles = 0
    for number, (part, codes) in enumerate(int8.stretch_codes(integer, inputs), 1):
        folder = out / f"stretch-{number}"
        expected = json.loads((folder / "expected.json").read_text())
        memory, at = execute_memory(compile_series(part, design).first, codes[0]), expected["output_offset"]
        content = (folder / "expected.bin").read_bytes()
        assert memory[at : at + len(content)].tobytes() == content
        cycles += expected["events"]["CYCLES"]
        assert (folder / "accelerator.v").read_bytes() == (out / "stretch-1" / "accelerator.v").read_bytes()
    assert f"{cycles:,} cycles" in (out / "README.md").read_text()
    image = out / "stretch-2" / "image.bin"
    damaged = bytearray(image.read_bytes())
    place = found["stages"][2]["inputs"][1]
    damaged[place["offset"]] ^= 1
    image.write_bytes(damaged)
    ran = subprocess.run(program, cwd=out, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"stretch-2: inputs differ: {place['tensor']}" in ran.stdout
    assert run(["emit", str(path), "--calibration", str(calibration), "--design", "nano", "-o", str(out)]) == 0
    assert run(["emit", str(path), "--design", "core", "-o", str(tmp_path / "core")]) == 2


@pytest.mark.rtl
def test_all_stretches_on_one_verilog(integer: IntegerNetwork, tmp_path: Path) -> None:
    """Bytes, cycles and counters of every stretch, with several inputs and outputs, on the Verilog of one design."""
    design = designs.load("nano")
    built = Built(design, tmp_path)
    for part, codes in int8.stretch_codes(integer, int8.quantise_input(integer, INPUTS[:1])):
        check(built, Trial(design, part, codes[0], 3), compile_network(part, design))


def test_training_passes_the_host(network: Network) -> None:
    """The module computes the network, and weights before, between and behind the host's steps have gradients."""
    pytest.importorskip("torch")
    from accel.models.training import torch_module

    module = torch_module.module(network)
    found = module(torch_module.torch().from_numpy(INPUTS))
    np.testing.assert_allclose(found.detach().numpy(), float32.run(network, INPUTS), rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in module.parameters())


@pytest.mark.parametrize(
    ("case", "opset"),
    [*((case, opset) for opset in (13, 17) for case in ("all", *BRANCHES)), ("joined channels into the step", 11)],
)
def test_written_and_read_again(tmp_path: Path, case: str, opset: int) -> None:
    """The file that is written computes the same in ONNX Runtime, and is read as the same stretches and steps."""
    size = 9 if case == "all" else 8
    model = model_of(*(NODES, CONSTANTS) if case == "all" else branches(case), ("n", 4, size, size), opset)
    first, again = tmp_path / "mine.onnx", tmp_path / "again.onnx"
    first.write_bytes(model.SerializeToString())
    network, inputs = parted.read(first), floats(1, 4, size, size)
    onnx_write.write(network, again)
    expected = onnxruntime_output(model, inputs)
    np.testing.assert_allclose(onnxruntime_output(onnx.load(again), inputs), expected, rtol=1e-4, atol=1e-5)
    read = parted.read(again)
    np.testing.assert_allclose(float32.run(read, inputs), expected, rtol=1e-4, atol=1e-5)
    kinds = [
        [type(layer) for layer in x.layers if isinstance(layer, Conv | Linear | HostStep)] for x in (network, read)
    ]
    assert kinds[0] == kinds[1]


def test_rows_are_retrained_across_the_host(network: Network, tmp_path: Path) -> None:
    """Weights before, between and behind the host's steps have learnt, and pruned ones stay 0."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (96, 4, 9, 9)).astype(np.uint8), rng.integers(0, 3, 96)
    how = Retraining(ImageSet(images[32:], labels[32:], images[:32], labels[:32]), 1, tmp_path, lambda line: None)
    (row,) = retrained(network, [find("pruned")], how)
    assert not row.untrained
    assert row.given is not None
    for old, new in zip(matrix_layers(network), matrix_layers(row.given), strict=True):
        assert (new.weights == 0).mean() > 0.3
        kept = new.weights != 0
        assert (new.weights[kept] != old.weights[kept]).mean() > 0.9
