"""What `accel emit` writes of a core without DRAM: its own bench passes, and turns red for what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from accel.commands import ErrorCode
from accel.compile import compile_network
from accel.design import Array, Design, OnChip, parse
from accel.flow import emit_core
from accel.flow.emit import check, emit
from accel.models.errors import InputError
from accel.models.reference import int8
from accel.on_chip import regions_of
from accel.registers import OUTSIDE
from tests.benches.draw import draw_network
from tests.benches.emitted import bench
from tests.benches.unit_designs import CORE

SMALL = CORE.model_copy(
    update={"name": "tiny", "array": Array(rows=3, cols=2), "memory": OnChip(bits=32, bytes=60_000)}
)
INPUTS = 3


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small network whose last words have gaps and lanes without a channel, and three images."""
    network = draw_network(Random(11))
    folder = tmp_path_factory.mktemp("core") / "emitted"
    shape = network.tensors[network.input].shape
    emit(network, SMALL, folder, np.random.default_rng(0).normal(0, 30, (INPUTS, *shape)))
    yield folder
    shutil.rmtree(folder.parent)


@pytest.mark.rtl
def test_images_under_cocotb(emitted: Path) -> None:
    found = bench(emitted)
    assert found.returncode == 0, (found.stdout[-3000:], found.stderr[-2000:])
    assert "3 of 3 tests passed" in found.stdout
    assert bench(emitted, "--lint").returncode == 0


@pytest.mark.rtl
def test_nothing_undefined_comes_out(emitted: Path) -> None:
    """Under Icarus, where all memories but that of the constants start undefined."""
    found = bench(emitted, "--simulator", "icarus", "--test", "images_with_pauses")
    assert "1 of 1 tests passed" in found.stdout, (found.stdout[-3000:], found.stderr[-2000:])


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cycles", "assert cycles == expected"),
        ("counter", "counters (found, expected): {'WEIGHT_READS'"),
        ("output", "1 output bytes of image 0 differ"),
        ("image", "output bytes of image 0 differ"),
    ],
)
def test_the_bench_sees_damage(emitted: Path, tmp_path: Path, damage: str, message: str) -> None:
    folder = emitted.parent / tmp_path.name
    shutil.copytree(emitted, folder, ignore=shutil.ignore_patterns("__pycache__", "results.xml"))
    if damage in ("output", "image"):
        path = folder / ("expected.bin" if damage == "output" else "images.bin")
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        data[: len(data) // INPUTS if damage == "image" else 1] ^= 0x55
        path.write_bytes(data.tobytes())
    else:
        expected = json.loads((folder / "expected.json").read_text())
        expected["events"]["CYCLES" if damage == "cycles" else "WEIGHT_READS"] += 1
        (folder / "expected.json").write_text(json.dumps(expected))
    found = bench(folder, "--test", "one_image")
    assert found.returncode == 1, found.stdout[-2000:]
    assert message in found.stdout


def test_files(emitted: Path) -> None:
    assert {path.name for path in emitted.iterdir()} >= set(emit_core.FILES)
    assert parse((emitted / "design.yaml").read_text(), "design.yaml") == SMALL
    readme, page = (emitted / "README.md").read_text(), (emitted / "registers.md").read_text()
    assert "$" not in readme
    assert all(name in readme for name in set(emit_core.FILES) - {"README.md"})
    assert all(f"| {int(code)} | {code.name} |" in page for code in ErrorCode)
    header = (emitted / "accelerator.h").read_text()
    assert not any(f"ACCEL_{name} " in header or f"| {name} |" in page for name in OUTSIDE)
    verilog = (emitted / "accelerator.v").read_text()
    ports = re.search(r"^module accelerator\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    assert ports
    assert "s_axis_tdata" in ports[1]
    assert "m_axi_" not in ports[1]


def test_expectations_are_the_reference(emitted: Path) -> None:
    network = draw_network(Random(11))
    shape = network.tensors[network.input].shape
    codes = int8.quantise_input(network, np.random.default_rng(0).normal(0, 30, (INPUTS, *shape)))
    outputs = int8.run(network, codes)[network.output]
    assert json.loads((emitted / "expected.json").read_text())["output_codes"] == outputs.reshape(INPUTS, -1).tolist()


def test_the_verilog_holds_the_program(emitted: Path) -> None:
    """The initial words of `rom` are the image's, and their number is what the program needs."""
    program = compile_network(draw_network(Random(11)), SMALL)
    words = re.findall(r"^ +words\[(\d+)\] = 32'h([0-9a-f]{8});", (emitted / "accelerator.v").read_text(), re.MULTILINE)
    assert [int(index) for index, _ in words] == list(range(regions_of(program).constants.beats))
    data = b"".join(int(word, 16).to_bytes(4, "little") for _, word in words)
    assert data == program.image[: len(data)].tobytes()


def test_a_folder_of_another_kind(emitted: Path, tmp_path: Path) -> None:
    """Files of accel may be replaced by a core's, those of somebody else may not."""
    check(emitted)
    (tmp_path / "images.bin").write_text("mine")
    with pytest.raises(InputError, match=r"must not hold a images\.bin that accel did not write, and does"):
        check(tmp_path)


def test_too_large_a_network_writes_nothing(tmp_path: Path) -> None:
    small: Design = SMALL.model_copy(update={"memory": OnChip(bits=32, bytes=400)})
    network = draw_network(Random(11))
    with pytest.raises(InputError, match=r"memory\.bytes must hold .* bytes \(.*\), the design has 400: short by"):
        emit(network, small, tmp_path / "out", np.zeros((1, *network.tensors[network.input].shape)))
    assert not (tmp_path / "out").exists()
