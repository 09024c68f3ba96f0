"""Designs: YAML round trip, shipped designs, and a message with field, value, legal set and line for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel.design import Design, load, names, parse
from accel.models.errors import InputError

GOOD = load("edge").to_yaml()
ENGINE = "engine:\n  kind: systolic\n  dataflow: ws\n  multiplier_stages: 1\n  sparsity: none"


@pytest.mark.parametrize("name", names())
def test_shipped(name: str) -> None:
    design = load(name)
    assert design.name == name
    assert parse(design.to_yaml()) == design


def test_derived() -> None:
    design = load("nano")
    assert (design.rows, design.cols, design.lanes, design.beat_bytes) == (8, 8, 8, 8)
    assert design.activation_words * 2 * 8 == design.buffers.activation_bytes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows: 16", "rows: 0", r"array\.rows must be an integer in 1\.\.64, not 0 \(x\.yaml:8\)"),
        ("cols: 16", "cols: 65", r"array\.cols must be an integer in 1\.\.64, not 65 \(x\.yaml:9\)"),
        ("rows: 16", "rows: big", r"array\.rows must be an integer in 1\.\.64, not 'big' \(x\.yaml:8\)"),
        ("axi_bits: 128", "axi_bits: 48", r"memory\.axi_bits must be 32, 64, 128, 256 or 512, not 48 \(x\.yaml:\d+\)"),
        (
            "axi_bits: 128",
            "axi_bit: 128",
            r"memory\.axi_bit is not a field of memory of kind axi, which has kind, axi_bits, .* \(x\.yaml:\d+\)",
        ),
        ("  axi_bits: 128\n", "", r"memory\.axi_bits must be given, and is missing \(x\.yaml:\d+\)"),
        ("name: edge", "nome: edge", r"nome is not a field of a design, which has name, engine, .* \(x\.yaml:1\)"),
        ("name: edge\n", "", r"^name must be given, and is missing"),
        ("name: edge", "name: my edge", r"name must be a text of letters, digits, '_', '\.' and '-', not 'my edge'"),
        ("name: edge", "name: 7", r"name must be a text of letters, .*, not 7 \(x\.yaml:1\)"),
        ("name: edge", "name: edge\n1: 2", r"1 is not a field of a design, which has .* \(x\.yaml:2\)"),
        (
            "  rows: 16\n  cols: 16\n  weight_rows: 4\n",
            "  16\n",
            r"array must be a mapping of rows, cols and weight_rows, not 16 \(x\.yaml:7\)",
        ),
        ("post_lanes: null", "post_lanes: x", r"post_lanes must be a divisor of array\.rows .*, or null, not 'x'"),
        ("clock_mhz: 400.0", "clock_mhz: true", r"clock_mhz must be 0\.001\.\.5000.*, not True"),
        ("clock_mhz: 400.0", "clock_mhz: .nan", r"clock_mhz must be 0\.001\.\.5000.*, not nan"),
        ("burst_beats: 64", "burst_beats: true", r"memory\.burst_beats must be 1, 2, .* or 64, not True"),
        ("rows: 16", "rows: true", r"array\.rows must be an integer in 1\.\.64, not True"),
        ("rows: 16", "rows: 16.0", r"array\.rows must be an integer in 1\.\.64, not 16\.0"),
        (
            "kind: systolic",
            "kind: quantum",
            r"engine\.kind must be 'systolic' or 'sparse', not 'quantum' \(x\.yaml:3\)",
        ),
        (
            ENGINE,
            "engine: systolic",
            r"engine must be a mapping of kind, dataflow, multiplier_stages and sparsity, not 'systolic' \(x\.yaml:2\)",
        ),
        (
            "multiplier_stages: 1\n  sparsity",
            "multiplier_stages: 4\n  sparsity",
            r"engine\.multiplier_stages must be an integer in 1..3, not 4 \(x\.yaml:5\)",
        ),
        (
            "decoder_lanes: 0",
            "decoder_lanes: 5",
            r"decoder_lanes must divide array\.weight_rows \* array\.cols 64, not 5 \(x\.yaml:\d+\)",
        ),
        ("dataflow: ws", "dataflow: is", r"engine\.dataflow must be 'ws' or 'os', not 'is' \(x\.yaml:4\)"),
        (
            "dataflow: ws",
            "dataflow: os",
            r"array\.weight_rows must be 1 where engine\.dataflow is os, not 4 \(x\.yaml:10\)",
        ),
        (
            f"{ENGINE}\narray:\n  rows: 16\n  cols: 16\n  weight_rows: 4",
            "engine: {dataflow: os, sparsity: '2:4'}\narray: {rows: 16, cols: 16}",
            r"engine\.sparsity must be none where engine\.dataflow is os, not 2:4 \(x\.yaml:2\)",
        ),
        ("weight_rows: 4", "weight_rows: 3", r"array\.weight_rows must divide array\.rows 16, not 3 \(x\.yaml:10\)"),
        (
            "sparsity: none\narray:\n  rows: 16\n  cols: 16\n  weight_rows: 4",
            "sparsity: '2:4'\narray:\n  rows: 34\n  cols: 16\n  weight_rows: 2",
            r"array\.rows must be even and at most 32 where engine\.sparsity is 2:4, not 34 \(x\.yaml:8\)",
        ),
        (
            "sparsity: none\narray:\n  rows: 16\n  cols: 16\n  weight_rows: 4",
            "sparsity: '2:4'\narray:\n  rows: 9\n  cols: 16\n  weight_rows: 3",
            r"array\.rows must be even and at most 32 where engine\.sparsity is 2:4, not 9 \(x\.yaml:8\)",
        ),
        ("post_lanes: null", "post_lanes: 3", r"post_lanes must divide array\.rows 16 and array\.cols 16, not 3"),
        ("accumulator_bytes: 65536", "accumulator_bytes: 64", r"accumulator_bytes must hold 2\.\.16384 words"),
        ("clock_mhz: 400.0", "clock_mhz: 0", r"clock_mhz must be 0\.001\.\.5000.*, not 0"),
        ("clock_mhz: 400.0", "clock_mhz: 1.0e-320", r"clock_mhz must be 0\.001\.\.5000.*, not 1e-320"),
        ("weight: 8", "weight: 4", r"widths\.weight must be 8, not 4"),
        ("filter_side: 3", "filter_side: 7", r"filter_side must be 3 or 5, not 7"),
        (
            "filter_multipliers: 9\nfilter_blocks: 1\nfilter_side: 3",
            "filter_multipliers: 0\nfilter_blocks: 1\nfilter_side: 5",
            r"filter_multipliers must be 3 or 9 where filter_side is 5, not 0 \(x\.yaml:\d+\)",
        ),
    ],
)
def test_bad(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=message) as caught:
        parse(GOOD.replace(old, new), "x.yaml")
    assert "\n" not in str(caught.value)
    assert re.search(r"\(x\.yaml:\d+\)$", str(caught.value))


SPARSE = load("edge").to_yaml().replace("weight_rows: 4", "weight_rows: 1").replace(ENGINE, "engine:\n  kind: sparse")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: sparse", "kind: sparse\n  queue_depth: 0", r"engine\.queue_depth must be an integer in 1\.\.64, not 0"),
        ("kind: sparse", "kind: sparse\n  index_bits: 9", r"engine\.index_bits must be an integer in 1\.\.8, not 9"),
        (
            "kind: sparse",
            "kind: sparse\n  dataflow: ws",
            r"dataflow is not a field of engine of kind sparse, which has",
        ),
        ("rows: 16", "rows: 12", r"array\.rows must be a power of two if the engine is sparse, not 12 \(x\.yaml:\d+\)"),
        ("weight_rows: 1", "weight_rows: 2", r"array\.weight_rows must be 1 if the engine is sparse, not 2"),
        ("post_lanes: null", "post_lanes: 3", r"post_lanes must divide array\.rows 16 and array\.cols 16, not 3"),
        ("accumulator_bytes: 65536", "accumulator_bytes: 2048", r"accumulator_bytes must hold 32\.\.16384 words"),
    ],
)
def test_bad_sparse(old: str, new: str, message: str) -> None:
    assert parse(SPARSE).word_lanes == 16
    assert old in SPARSE
    with pytest.raises(InputError, match=message):
        parse(SPARSE.replace(old, new), "x.yaml")


def test_a_field_that_is_given_twice() -> None:
    with pytest.raises(InputError, match=r"x\.yaml:9: 'rows' is given twice"):
        parse(GOOD.replace("rows: 16", "rows: 16\n  rows: 8"), "x.yaml")


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "just text"])
def test_not_a_design(text: str) -> None:
    with pytest.raises(InputError, match=r"x\.yaml"):
        parse(text, "x.yaml")


def test_unknown_name(tmp_path: Path) -> None:
    known = (
        "core, edge, edge-2of4, edge-coded, edge-os, edge-sparse, edge-sparse-coded, edge-xc7, large, nano, "
        "nano-ecp5, pico, ulx3s"
    )
    with pytest.raises(InputError, match=f"must be one of {known} or a YAML file"):
        load("enormous")
    with pytest.raises(InputError, match="must be one of"):
        load(tmp_path)


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load("edge").name = "other"  # type: ignore[misc]
    assert isinstance(load("edge"), Design)
