"""Inverted residuals by strips on the emitted Verilog: what is expanded and filtered stays on chip, exact in all three.

Strips are taken whether they are faster or not, so that every network drawn has some.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from accel import compile as compiling
from accel.compile import compile_network
from accel.compiler import prepare as preparing
from accel.models.errors import InputError
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_formats, draw_input, draw_inverted, draw_memory, with_memory
from tests.benches.layers import design_of
from tests.benches.strips import by_strips
from tests.benches.verilator import Built

NETWORKS = 4


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips wherever there is room for them."""
    for module, name in ((compiling, "BETTER"), (preparing, "BETTER"), (preparing, "NEAR")):
        monkeypatch.setattr(module, name, 1e9)


@pytest.mark.rtl
@pytest.mark.usefixtures("always")
def test_bytes_cycles_and_events_of_strips(tmp_path: Path) -> None:
    """Banks of 150 words, lines of 12 columns, so that maps of 16 are cut; windows of 3 x 3 and of 5 x 5; some weights
    are coded.
    """
    design = design_of(
        8, 8, axi_bits=64, lanes=4, activation_bytes=2 * 8 * 150, weight_bytes=4096, accumulator_bytes=8 * 8 * 50,
        parameter_bytes=1024,
    ).model_copy(update={"filter_multipliers": 9, "filter_side": 5, "decoder_lanes": 2, "filter_line": 12})  # fmt: skip
    built, done = Built(design, tmp_path), 0
    for seed in range(100):
        rng = Random(seed)
        network, behind = draw_inverted(rng), with_memory(design, *draw_memory(rng))
        formats = draw_formats(rng, behind, network)
        try:
            program = compile_network(network, behind, formats)
        except InputError:
            continue
        if by_strips(program):
            check(built, Trial(behind, network, draw_input(rng, network)[0], seed, formats), program)
            done += 1
        if done == NETWORKS:
            return
    raise AssertionError(f"only {done} networks have strips")
