"""Designs: YAML round trip, shipped designs, and a message with field, value, legal set and line for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel.design import Design, load, names, parse
from models.errors import InputError

GOOD = load("edge").to_yaml()


@pytest.mark.parametrize("name", ["nano", "edge", "large"])
def test_shipped(name: str) -> None:
    design = load(name)
    assert design.name == name
    assert parse(design.to_yaml()) == design
    assert name in names()


def test_derived() -> None:
    design = load("nano")
    assert (design.rows, design.cols, design.lanes, design.beat_bytes) == (8, 8, 8, 8)
    assert design.activation_words * 2 * 8 == design.buffers.activation_bytes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows: 16", "rows: 0", r"array\.rows must be an integer in 1\.\.64, not 0 \(x\.yaml:5\)"),
        ("cols: 16", "cols: 65", r"array\.cols must be an integer in 1\.\.64, not 65 \(x\.yaml:6\)"),
        ("rows: 16", "rows: big", r"array\.rows must be an integer in 1\.\.64, not 'big' \(x\.yaml:5\)"),
        ("axi_bits: 128", "axi_bits: 48", r"memory\.axi_bits must be 32, 64, 128, 256 or 512, not 48 \(x\.yaml:\d+\)"),
        ("axi_bits: 128", "axi_bit: 128", r"memory\.axi_bits must be given, and is missing \(x\.yaml:\d+\)"),
        ("name: edge", "nome: edge", r"name must be given"),
        ("engine: systolic", "engine: quantum", r"engine must be 'systolic', not 'quantum' \(x\.yaml:2\)"),
        ("post_lanes: null", "post_lanes: 3", r"post_lanes must divide array\.rows 16 and array\.cols 16, not 3"),
        ("accumulator_bytes: 65536", "accumulator_bytes: 64", r"accumulator_bytes must hold 2\.\.16384 words"),
        ("clock_mhz: 400.0", "clock_mhz: 0", r"clock_mhz must be above 0.* and at most 5000.*, not 0"),
        ("weight: 8", "weight: 4", r"widths\.weight must be 8, not 4"),
    ],
)
def test_bad(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=message) as caught:
        parse(GOOD.replace(old, new), "x.yaml")
    assert "\n" not in str(caught.value)
    assert re.search(r"\(x\.yaml:\d+\)$", str(caught.value))


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "just text"])
def test_not_a_design(text: str) -> None:
    with pytest.raises(InputError, match=r"x\.yaml"):
        parse(text, "x.yaml")


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be one of edge, large, nano or a YAML file"):
        load("enormous")
    with pytest.raises(InputError, match="must be one of"):
        load(tmp_path)


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("edge").name = "other"  # type: ignore[misc]
    assert isinstance(load("edge"), Design)
