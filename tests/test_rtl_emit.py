"""The emitted Verilog as text: its size, its lint, its memories."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from accel.design import Design, OnChip, load
from accel.rtl.emit import TOP, WAIVERS, verilog_text, waivers_text
from accel.rtl.identifiers import KEYWORDS, plain_identifiers
from tests.benches.verilator import environment
from tests.benches.wide import wide


def sized(rows: int, cols: int, axi_bits: int = 64, **memory: int) -> Design:
    values = load("nano").model_dump()
    values["array"] = {"rows": rows, "cols": cols}
    values["memory"] |= {"axi_bits": axi_bits, **memory}
    return Design.model_validate(values)


def largest_buffers() -> Design:
    """Every address that a command can name is in its memory."""
    buffers = {
        "activation_bytes": 2 * 2 << 19, "weight_bytes": 3 << 18, "accumulator_bytes": 8 * 3 << 14,
        "parameter_bytes": 8 << 14,
    }  # fmt: skip
    values = sized(2, 3).model_dump()
    return Design.model_validate(values | {"name": "largest", "buffers": values["buffers"] | buffers})


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+|\\\S+)", text, re.MULTILINE)


def test_text_grows_with_the_edges_not_with_the_area() -> None:
    """Four times as many processing elements: twice the text."""
    small, large = verilog_text(sized(8, 8)), verilog_text(sized(16, 16))
    assert len(large) < 2 * len(small)
    names = modules(large)
    assert len(names) == len(set(names))
    assert (names.count("pe"), names.count("array_row"), names.count("requantise"), names.count("ram")) == (1, 1, 1, 1)
    assert TOP in modules(small)


def test_memories_have_no_initial_words() -> None:
    """A larger buffer is no more text."""
    design = load("nano")
    buffers = design.buffers.model_copy(update={"activation_bytes": 1 << 20})
    larger = verilog_text(design.model_copy(update={"buffers": buffers}))
    assert abs(len(larger) - len(verilog_text(design))) < 2000


@pytest.mark.rtl
@pytest.mark.parametrize(
    "design",
    [
        *(
            pytest.param(design, marks=wide)
            for design in (sized(8, 8), sized(1, 5, 512), sized(3, 1, 128), sized(64, 1))
        ),
        sized(1, 1, 32, burst_beats=1, outstanding_bursts=1),
        sized(7, 5, 256, burst_beats=1),
        pytest.param(sized(64, 64), marks=pytest.mark.slow),  # half a minute
        largest_buffers(),
        *(sized(2, 3).model_copy(update={"name": make, "multiplier": make}) for make in ("ecp5", "xilinx")),
    ],
    ids=lambda d: f"{d.name}-{d.rows}x{d.cols}-{d.memory.axi_bits}",
)
def test_lint(design: Design, tmp_path: Path) -> None:
    """Clean but for the waivers; the sizes where signals would have no bits are among them, and those where fields and
    addresses reach no further than there are lanes and words: a comparison must not be constant.
    """
    text = verilog_text(design)
    (tmp_path / f"{TOP}.v").write_text(text)
    (tmp_path / "waivers.vlt").write_text(waivers_text())
    command = ["verilator", "--lint-only", "-Wall", "waivers.vlt", f"{TOP}.v", "--top-module", TOP]
    found = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert "[-1:0]" not in text


def test_every_waiver_has_a_reason_and_names_our_file() -> None:
    assert all(len(reason.split()) >= 5 for reason in WAIVERS.values())
    switched_off = [line for line in waivers_text().splitlines() if line.startswith("lint_off")]
    assert switched_off == [f'lint_off -rule {rule} -file "*{TOP}.v"' for rule in WAIVERS]


@pytest.mark.rtl
def test_waivers_silence_nobody_else(tmp_path: Path) -> None:
    """A file of somebody else's that breaks a waived rule is complained about, ours is not."""
    (tmp_path / f"{TOP}.v").write_text(verilog_text(sized(1, 1)))
    (tmp_path / "waivers.vlt").write_text(waivers_text())
    (tmp_path / "theirs.v").write_text("module theirs(input [7:0] a, output [3:0] b);\n  assign b = a;\nendmodule\n")
    command = ["verilator", "--lint-only", "-Wall", "-Wno-MULTITOP", "waivers.vlt", f"{TOP}.v", "theirs.v"]
    found = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    complaints = [line for line in found.stderr.splitlines() if line.startswith("%Warning")]
    assert [line.split(": ")[0] for line in complaints] == ["%Warning-WIDTHTRUNC", "%Warning-UNUSEDSIGNAL"]
    assert all("theirs.v:" in line for line in complaints), found.stderr


@pytest.mark.parametrize("design", [sized(8, 8), sized(1, 5, 512), sized(3, 2, 32)], ids=lambda d: f"{d.rows}x{d.cols}")
def test_names_are_plain_identifiers(design: Design) -> None:
    """No escaped names and no `$` but in system functions; nothing that is called like a word of the language."""
    text = verilog_text(design)
    assert "\\" not in text
    assert not re.search(r"\w\$", text)
    assert set(re.findall(r"\$\w+", text)) <= {"$signed", "$clog2"}
    declared = re.findall(
        r"^\s*(?:wire|reg|input|output)(?: reg)?(?: signed)?(?: \[[^]]+\])? (\w+)", text, re.MULTILINE
    )
    assert len(declared) > 500
    assert not KEYWORDS.intersection(declared)


def test_renaming_keeps_different_names_apart() -> None:
    text = "wire a$1; wire a_1; wire \\a.1 ; wire \\config [3:0]; // a$1 stays\nassign a$1 = $signed(8'hab) ^ \\a.1 ;"
    assert plain_identifiers(text) == (
        "wire a_1_1; wire a_1; wire a_1_2 ; wire config_1 [3:0]; // a$1 stays\nassign a_1_1 = $signed(8'hab) ^ a_1_2 ;"
    )


def two_by_two(name: str, **more: object) -> Design:
    """The named design with as few lanes as its kind has, so that there is little to write."""
    values = load(name).model_dump()
    values["array"] |= {"rows": 2, "cols": 2, "weight_rows": 1}
    return Design.model_validate(values | {"post_lanes": None} | more)


NAMED = {
    "filter, decoder": two_by_two("edge-coded", decoder_lanes=2),
    "filter, decoder, sparse": two_by_two("edge-sparse-coded", decoder_lanes=2),
    "outputs stay": two_by_two("edge-os"),
    "2:4": two_by_two("edge-2of4"),
    "core": two_by_two("edge", memory=OnChip(bits=64, bytes=1 << 16).model_dump()),
    "fpga": two_by_two("nano-ecp5"),
}


@pytest.mark.parametrize(
    "kind", [each if each == "filter, decoder" else pytest.param(each, marks=wide) for each in NAMED]
)
def test_the_text_does_not_depend_on_what_python_tells_of_names(kind: str) -> None:
    """Amaranth reads a signal's name from the byte code of its caller, which Python 3.13 has changed: blind for it, the
    text is the same, because every signal is named.
    """
    script = """
import sys
from amaranth import tracer

def blind(depth=2, default=tracer._raise_exception):
    if default is tracer._raise_exception:
        raise tracer.NameNotFound
    return default

tracer.get_var_name = blind
from accel.design import Design
from accel.rtl.emit import verilog_text
sys.stdout.write(verilog_text(Design.model_validate_json(sys.stdin.read())))
"""
    design = NAMED[kind]
    found = subprocess.run(
        [sys.executable, "-c", script], input=design.model_dump_json(), capture_output=True, text=True, check=True
    )
    assert found.stdout == verilog_text(design)
