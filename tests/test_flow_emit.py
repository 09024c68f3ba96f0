"""What `accel emit` writes: a real digit through the emitted Verilog under cocotb, and every file beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from accel.commands import ErrorCode, Load, Store, Target
from accel.compile import compile_network
from accel.design import load, parse
from accel.events import Event
from accel.flow.cli import run as accel
from accel.flow.emit import FILES, emit
from accel.models import zoo
from accel.models.compress.share import share
from accel.models.quantisation.quantise import quantise
from accel.models.reference import int8
from accel.registers import COUNTERS, REGISTERS, registers
from accel.sim.execute import execute
from tests.benches.draw import draw_network
from tests.benches.driver import STRICT
from tests.benches.emitted import GAPS, bench
from tests.benches.wide import is_wide, wide

NETWORKS = ("lenet-5", "lenet-300-100")
TECHNIQUES = ("dense", "shared-4")
WHOLE = ("lenet-300-100", "shared-4")  # the shortest, which also runs two images at once


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Path]]:
    """The four folders; the Verilog of the four is the same."""
    top = tmp_path_factory.mktemp("emitted")
    folders = {}
    for network in NETWORKS:
        for technique in TECHNIQUES:
            folder = top / f"{network}-{technique}"
            many = ["--images", "2"] if (network, technique) == WHOLE else []
            assert accel(["emit", network, "--technique", technique, "-o", str(folder), *many]) == 0
            folders[network, technique] = folder
    yield folders
    shutil.rmtree(top)


@pytest.mark.rtl
def test_digits_under_cocotb(emitted: dict[tuple[str, str], Path]) -> None:
    """All layers of four networks: output bytes, cycles and each counter are those of reference and simulator.

    The whole bench, where stalls double the cycles, runs on the shortest, and alone unless the run is wide.
    """
    assert len({(folder / "accelerator.v").read_bytes() for folder in emitted.values()}) == 1
    for (network, technique), folder in emitted.items():
        whole = (network, technique) == WHOLE
        if not whole and not is_wide():
            continue
        found = bench(folder, *([] if whole else ["--test", "inference"]))
        assert found.returncode == 0, (network, technique, found.stdout[-3000:], found.stderr[-2000:])
        assert ("4 of 4 tests passed" if whole else "1 of 1 tests passed") in found.stdout
        cycles = json.loads((folder / "expected.json").read_text())["events"]["CYCLES"]
        assert f"{cycles} cycles, {cycles} expected" in found.stdout + found.stderr


def broken(emitted: dict[tuple[str, str], Path], folder: Path) -> Path:
    """A copy of one emitted folder, to be damaged, that uses the same build."""
    source = emitted["lenet-300-100", "dense"]
    copy = source.parent / folder.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "results.xml"))
    return copy


def with_a_wrong_weight(image: np.ndarray) -> np.ndarray:
    """The image of `broken` with one bit of one weight flipped, the first in the program that changes the output."""
    images = zoo.preprocess(zoo.mnist_calibration())
    network = quantise(zoo.load("lenet-300-100"), images)
    program = compile_network(network, load("edge"))
    codes = int8.quantise_input(network, images[:1])
    sound = execute(program, codes)
    weights = next(c for c in program.commands if isinstance(c, Load) and c.target == Target.WEIGHT)
    for at in range(weights.dram_addr, weights.dram_addr + weights.row_beats * program.design.beat_bytes):
        damaged = image.copy()
        damaged[at] ^= 0x40
        if not np.array_equal(execute(replace(program, image=damaged[: len(program.image)]), codes), sound):
            assert np.unpackbits(damaged ^ image).sum() == 1
            return damaged
    raise AssertionError("no weight matters")


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("weight bit", "output bytes differ"),
        ("cycles", "assert cycles == expected"),
        ("counter", "counters (found, expected): {'WEIGHT_READS'"),
        ("output", "1 output bytes differ"),
    ],
)
def test_the_bench_sees_damage(emitted: dict[tuple[str, str], Path], tmp_path: Path, damage: str, message: str) -> None:
    folder = broken(emitted, tmp_path)
    expected = json.loads((folder / "expected.json").read_text())
    if damage == "weight bit":
        image = np.frombuffer((folder / "image.bin").read_bytes(), np.uint8)
        (folder / "image.bin").write_bytes(with_a_wrong_weight(image).tobytes())
    elif damage == "output":
        data = bytearray((folder / "expected.bin").read_bytes())
        data[0] ^= 1
        (folder / "expected.bin").write_bytes(data)
    else:
        expected["events"]["CYCLES" if damage == "cycles" else "WEIGHT_READS"] += 1
        (folder / "expected.json").write_text(json.dumps(expected))
    found = bench(folder, "--test", "inference")
    assert found.returncode == 1, found.stdout[-2000:]
    assert "0 of 1 tests passed" in found.stdout
    assert message in found.stdout


def with_identifiers(verilog: str) -> str:
    """The accelerator inside a module that has the signals which cocotbext-axi asks for and it does without."""
    head = verilog[verilog.index("module accelerator(") :]
    ports = re.findall(r"^  (input|output) (\[\d+:0\] )?(\w+);", head[: head.index("endmodule")], re.MULTILINE)
    more = [("output", "", "m_axi_awid"), ("output", "", "m_axi_arid")]
    more += [("input", "", f"m_axi_{name}") for name in ("bid", "rid", "buser", "ruser")]
    declared = ", ".join(f"{way} {width}{name}" for way, width, name in [*ports, *more])
    connected = ", ".join(f".{name}({name})" for *_, name in ports)
    return (
        verilog.replace("module accelerator(", "module accelerator_alone(")
        + f"\nmodule accelerator({declared});\n  assign m_axi_awid = 0;\n  assign m_axi_arid = 0;\n"
        + f"  accelerator_alone alone({connected});\nendmodule\n"
    )


@wide
@pytest.mark.rtl
def test_behind_axi_models_of_another_hand(tmp_path: Path) -> None:
    """A digit through AxiRam and AxiLiteMaster of cocotbext-axi, which pause at random: the bytes are the same."""
    folder = tmp_path / "emitted"
    assert accel(["emit", "lenet-300-100", "--design", "nano", "-o", str(folder)]) == 0
    verilog = folder / "accelerator.v"
    verilog.write_text(with_identifiers(verilog.read_text()))
    shutil.copy(Path(__file__).parent / "benches" / "cocotb_axi_ram.py", folder / "cocotb_accelerator.py")
    found = bench(folder)
    assert "1 of 1 tests passed" in found.stdout, (found.stdout[-3000:], found.stderr[-2000:])
    expected = bytearray((folder / "expected.bin").read_bytes())
    expected[0] ^= 1
    (folder / "expected.bin").write_bytes(expected)
    assert "0 of 1 tests passed" in bench(folder).stdout


@pytest.mark.rtl
def test_lint(emitted: dict[tuple[str, str], Path]) -> None:
    found = bench(emitted["lenet-5", "dense"], "--lint")
    assert found.returncode == 0
    assert "Warning" not in found.stdout + found.stderr


def test_files(emitted: dict[tuple[str, str], Path]) -> None:
    folder = emitted["lenet-5", "shared-4"]
    assert {path.name for path in folder.iterdir()} >= set(FILES)
    assert parse((folder / "design.yaml").read_text(), "design.yaml") == load("edge")
    page = (folder / "registers.md").read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| 0x")]
    found = {name: (int(offset.removeprefix("| "), 16), int(reset, 16)) for offset, name, _, reset, *_ in rows}
    assert found == {r.name: (r.offset, r.reset) for r in (*registers(load("edge")), *COUNTERS)}
    assert found["ARRAY"] == (0x28, 0x4101010)
    assert all(f"| {int(code)} | {code.name} |" in page for code in ErrorCode)
    readme = (folder / "README.md").read_text()
    assert "$" not in readme
    assert all(name in readme for name in set(FILES) - {"README.md"})
    assert set(json.loads((folder / "expected.json").read_text())["events"]) == {event.name for event in Event}


def test_expectations_are_the_reference(emitted: dict[tuple[str, str], Path]) -> None:
    """The ten codes that the bench compares with are the integer reference's of that digit."""
    images = zoo.preprocess(zoo.mnist_calibration())
    for (name, technique), folder in emitted.items():
        network = zoo.load(name)
        integer = share(network, images, 4) if technique == "shared-4" else quantise(network, images)
        output = int8.run(integer, int8.quantise_input(integer, images[:1]))
        codes = output[integer.output].ravel()
        expected = np.frombuffer((folder / "expected.bin").read_bytes(), np.int8)
        mask = np.frombuffer((folder / "expected_mask.bin").read_bytes(), np.uint8)
        assert expected[mask != 0].tolist() == codes.tolist()
        assert json.loads((folder / "expected.json").read_text())["output_codes"] == codes.tolist()


def test_headers_compile(emitted: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    """In C++ and, with the example of the README, in C: registers, and where the program lies."""
    folder = emitted["lenet-5", "dense"]
    names = re.findall(r"#define (ACCEL_[A-Z]\w+) 0x", (folder / "accel_registers.h").read_text())
    prints = "".join(f'printf("{name} %u\\n", {name});' for name in [*names, "ACCEL_IMAGE_PROGRAM_OFFSET"])
    (tmp_path / "main.c").write_text(
        f'#include <stdio.h>\n#include "accel_network.h"\nint main(void) {{ {prints} return 0; }}\n'
    )
    command = ["c++", "-Wall", "-Werror", f"-I{folder}", "-xc++", "main.c", "-o", "a"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "a"], capture_output=True, text=True, check=True).stdout
    values = {name: int(value) for name, value in map(str.split, printed.splitlines())}
    expected = json.loads((folder / "expected.json").read_text())
    assert all(values[f"ACCEL_{r.name}"] == r.offset for r in (*REGISTERS, *COUNTERS))
    assert values["ACCEL_IMAGE_PROGRAM_OFFSET"] == expected["program_offset"]
    example = re.search(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert example
    (tmp_path / "example.c").write_text(example[1])
    sources = [tmp_path / "example.c", folder / "accel.c"]
    subprocess.run(["cc", *STRICT, f"-I{folder}", "-c", *sources], cwd=tmp_path, check=True)


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small network on `GAPS`, whose STOREs leave out lanes and words, in a folder with a space in its name."""
    for seed in range(100):
        network = draw_network(Random(seed))
        stores = [c for c in compile_network(network, GAPS).commands if isinstance(c, Store)]
        if any(c.unused_lanes for c in stores) and any(0 < c.gap_words < c.row_words for c in stores):
            break
    folder = tmp_path_factory.mktemp("a place") / "an emitted folder"
    shape = network.tensors[network.input].shape
    emit(network, GAPS, folder, np.random.default_rng(0).normal(0, 30, (1, *shape)))
    yield folder
    shutil.rmtree(folder.parent)


def unmasked(verilog: str) -> str:
    """The accelerator with all strobes on."""
    changed, count = re.subn(r"assign m_axi_wstrb = [^;]+;", "assign m_axi_wstrb = {16{1'b1}};", verilog)
    assert count == 1
    return changed


@pytest.mark.rtl
def test_nothing_undefined_is_stored(spaced: Path, tmp_path: Path) -> None:
    """Under Icarus, whose memories start undefined, in a folder with a space in its name; the bench sees it if not."""
    found = bench(spaced, "--simulator", "icarus")
    assert "3 of 3 tests passed" in found.stdout, (found.stdout[-3000:], found.stderr[-2000:])
    damaged = tmp_path / "damaged"
    shutil.copytree(spaced, damaged)
    (damaged / "accelerator.v").write_text(unmasked((damaged / "accelerator.v").read_text()))
    found = bench(damaged, "--simulator", "icarus", "--test", "inference")
    assert found.returncode == 1
    assert "undefined data for 0x" in found.stdout


@wide
@pytest.mark.rtl
def test_a_folder_with_a_space_under_verilator(spaced: Path) -> None:
    found = bench(spaced)
    assert "3 of 3 tests passed" in found.stdout, (found.stdout[-3000:], found.stderr[-2000:])
    assert bench(spaced, "--lint").returncode == 0
    verilog = (spaced / "accelerator.v").read_text()
    for name, value in (("arprot", "3'h5"), ("awprot", "3'h5"), ("arcache", "4'h3"), ("awcache", "4'hf")):
        assert f"assign m_axi_{name} = {value};" in verilog
    assert "output [63:0] m_axi_araddr;" in verilog


@wide
@pytest.mark.rtl
def test_a_bench_of_ones_own_sees_ports_or_every_signal(spaced: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(spaced, folder)
    asked = "import cocotb\n\n\n@cocotb.test()\nasync def sees(dut):\n    assert hasattr(dut, 'clk')\n"
    for inside, options in ((False, []), (True, ["--internals"])):
        text = f"{asked}    assert hasattr(dut, 'sequencer') is {inside}\n"
        (folder / "cocotb_accelerator.py").write_text(text)
        found = bench(folder, *options)
        assert "1 of 1 tests passed" in found.stdout, (found.stdout[-3000:], found.stderr[-2000:])


@pytest.mark.parametrize("hidden", ["cocotb", "verilator", "iverilog"])
def test_what_is_missing_is_one_line(spaced: Path, hidden: str) -> None:
    """Without packages of Python (-S), or without programs on PATH."""
    options = [] if hidden == "cocotb" else ["--simulator", "icarus" if hidden == "iverilog" else "verilator"]
    script = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path('run.py', run_name='__main__')"
    if hidden != "cocotb":
        script = f"import sys; sys.modules['verilator'] = None; {script}"
    command = [sys.executable, *(["-S"] if hidden == "cocotb" else []), "-c", script, "run.py", *options]
    found = subprocess.run(
        command, cwd=spaced, env={"PATH": str(spaced)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (found.returncode, found.stdout) == (2, "")
    assert re.fullmatch(rf"run\.py: {hidden} is not .*README\.md says .*\n", found.stderr), found.stderr


def test_an_output_that_would_replace_an_input_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And files of others: before anything is compiled."""
    monkeypatch.setattr("accel.flow.emit.compile_series", None)
    theirs = tmp_path / "design.yaml"
    theirs.write_text(load("nano").to_yaml())
    monkeypatch.chdir(tmp_path)
    for where in (".", str(tmp_path), "sub/.."):
        (tmp_path / "sub").mkdir(exist_ok=True)
        assert accel(["emit", "lenet-5", "--design", "design.yaml", "-o", where]) == 2
        assert "must not replace its own input, and " in one_line(capsys)
    (tmp_path / "image.bin").write_bytes(b"mine")
    assert accel(["emit", "lenet-5", "-o", "."]) == 2
    assert "must not hold a design.yaml that accel did not write, and does" in one_line(capsys)
    (tmp_path / "expected.json").write_text("{}")  # now it is a folder of accel's, but the input is still one
    os.symlink(theirs, tmp_path / "link.yaml")
    assert accel(["emit", "lenet-5", "--design", "link.yaml", "-o", "."]) == 2
    assert "design.yaml is link.yaml" in one_line(capsys)
    assert theirs.read_text() == load("nano").to_yaml()


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on standard error."""
    return " ".join(capsys.readouterr().err.split())


def test_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small.yaml"
    text = load("nano").to_yaml().replace("activation_bytes: 65536", "activation_bytes: 64")
    small.write_text(text)
    out = tmp_path / "out"
    assert accel(["emit", "lenet-5", "--design", str(small), "-o", str(out)]) == 2
    assert not out.exists()
    (tmp_path / "file").write_text("")
    assert accel(["emit", "lenet-5", "-o", str(tmp_path / "file" / "x")]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "is short by" in message or "bytes" in message
    assert "cannot be made" in message
