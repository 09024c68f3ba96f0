"""Depthwise layers on the filter of the emitted Verilog: kernels up to 5 x 5, exact in bytes, cycles and events."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from accel.commands import Post
from accel.compile import compile_network
from accel.compiler.lower import filter as filters
from accel.models.errors import InputError
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_depthwise, draw_dram, draw_input, draw_memory, with_memory
from tests.benches.layers import design_of
from tests.benches.verilator import Built

NETWORKS = 12


@pytest.mark.rtl
@pytest.mark.parametrize(("multipliers", "stages"), [(9, 1), (3, 2)])
def test_bytes_cycles_and_events_of_windows_up_to_5_x_5(
    multipliers: int, stages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chunks a word, lines of 9 columns and banks of 60 words, so that layers come in pieces; and none of them on
    the array because it is faster.
    """
    monkeypatch.setattr(filters, "_is_faster", lambda layer, design: True)
    design = design_of(
        8, 8, axi_bits=64, lanes=4, activation_bytes=2 * 8 * 60, weight_bytes=4096, accumulator_bytes=8 * 8 * 50,
        parameter_bytes=1024,
    ).model_copy(
        update={
            "filter_multipliers": multipliers, "filter_side": 5, "filter_line": 9, "post_multiplier_stages": stages,
            "memory_stages": stages,
        }
    )  # fmt: skip
    built, done, posts = Built(design, tmp_path), 0, list[Post]()
    for seed in range(4 * NETWORKS):
        rng = Random(seed)
        behind = draw_dram(rng, with_memory(design, *draw_memory(rng)))
        network = draw_depthwise(rng)
        try:
            program = compile_network(network, behind)
        except InputError:  # too small a design says so
            continue
        codes = draw_input(rng, network)[0]
        check(built, Trial(behind, network, codes, seed), program)
        posts += [c for c in program.commands if isinstance(c, Post)]
        done += 1
        if done == NETWORKS:
            break
    assert done == NETWORKS
    assert {c.filter for c in posts} == {0, 1, 2}
    large = [c for c in posts if c.filter == 2]
    assert max(c.chunks for c in large) > 1
    assert min(c.stream_w for c in large) < 5
    assert min(c.iy0 for c in large) < 0 < max(c.out_h for c in large) - 1
