"""Latencies: pipelines add up, depend on the design where they must, and the hardware is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accel import latency
from accel.latency import Stage, cycles, until
from tests.benches.unit_designs import compute_design, post_design

ROOT = Path(__file__).parent.parent
PIPELINES = {name for name, value in vars(latency).items() if isinstance(value, tuple)}
FUNCTIONS = {name for name, value in vars(latency).items() if callable(value) and name.endswith("_pipeline")}
NUMBERS = {name for name, value in vars(latency).items() if type(value) is int}


def test_stages_add_up() -> None:
    pipeline = (Stage("a", 2), Stage("b"), Stage("c", 3))
    assert cycles(pipeline) == 6
    assert [until(pipeline, name) for name in "abc"] == [2, 3, 6]
    with pytest.raises(ValueError, match="not in list"):
        until(pipeline, "d")


@pytest.mark.parametrize("stages", [1, 2])
def test_weights_meet_activations(stages: int) -> None:
    """A second register of memories is one on the way of activations, and one behind the weights' codebook; and the
    post-process has one behind what it reads.
    """
    design = compute_design(3, 2, memory_stages=stages)
    ways = latency.feed_pipeline(design), latency.weight_pipeline(design)
    assert [cycles(way) for way in ways] == [2 * stages + 1] * 2 == [latency.feed_cycles(design)] * 2
    assert latency.post_cycles(design) == 9 + stages


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_depth_of_the_multipliers_counts_once(stages: int) -> None:
    for rows, cols in ((1, 1), (8, 3), (64, 64)):
        design = compute_design(rows, cols, multiplier_stages=stages)
        assert latency.compute_cycles(design) == 3 + (rows - 1) + 1 + stages + 1 + (cols - 1) + 1
        assert latency.post_cycles(design) == 10
    assert latency.post_cycles(post_design(1, 2, 3, multiplier_stages=stages)) == 9 + stages


def test_the_hardware_takes_every_one_of_them() -> None:
    """Each pipeline and each number is a word of a line of code in `rtl`, or the sum of a pipeline that is."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "rtl").rglob("*.py"))
    words = set(re.findall(r"\w+", re.sub(r'""".*?"""|#[^\n]*', "", text, flags=re.DOTALL)))
    source = (ROOT / "accel" / "latency.py").read_text(encoding="utf-8")
    summed = dict(re.findall(r"^(\w+) = (?:1 \+ )?(?:cycles\()?(\w+)\)?", source, re.MULTILINE))
    assert {"ACC_READ", "ACCUMULATE", "DONE", "SEQUENCER"} <= PIPELINES
    assert {
        "feed_pipeline",
        "filter_pipeline",
        "product_pipeline",
        "store_pipeline",
        "table_pipeline",
        "transpose_pipeline",
    } <= FUNCTIONS
    summed = {name: pipeline for name, pipeline in summed.items() if name in NUMBERS}
    in_sums = {pipeline for name, pipeline in summed.items() if name in words}
    whole = re.findall(r'^def (\w+)\(.*\n    """[^"]*"""\n    return cycles\((\w+)\(design\)\)$', source, re.MULTILINE)
    in_sums |= {pipeline for name, pipeline in whole if name in words}
    assert words | in_sums >= PIPELINES | FUNCTIONS
    for name in NUMBERS:
        while name not in words and name in summed:
            name = summed[name]
        assert name in words, name
