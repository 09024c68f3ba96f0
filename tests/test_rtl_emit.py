"""The emitted Verilog as text: its size, its lint, its memories."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from accel.design import Design, load
from accel.rtl.emit import TOP, WAIVERS, verilog_text, waivers_text
from tests.benches.verilator import environment


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
        sized(8, 8),
        sized(1, 1, 32, burst_beats=1, outstanding_bursts=1),
        sized(1, 5, 512),
        sized(3, 1, 128),
        sized(7, 5, 256, burst_beats=1),
        sized(64, 1),
        pytest.param(sized(64, 64), marks=pytest.mark.slow),  # half a minute
        largest_buffers(),
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


def test_every_waiver_has_a_reason() -> None:
    assert all(len(reason.split()) >= 5 for reason in WAIVERS.values())
    assert all(f"lint_off -rule {rule}" in waivers_text() for rule in WAIVERS)
