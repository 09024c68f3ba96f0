"""The three invariants on random designs, networks and memories: reference == simulator == emitted Verilog.

More of them: `pytest tests/test_cross_rtl.py --designs 200 --first-design 1000 --layer-cases 100`.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, note, reject, settings
from hypothesis import strategies as st

from accel.compile import compile_network, compile_series
from accel.models.errors import InputError
from accel.series import Series
from tests.benches.cross import Trial, check, check_series
from tests.benches.draw import (
    draw_design,
    draw_dram,
    draw_ends,
    draw_features,
    draw_formats,
    draw_input,
    draw_inverted,
    draw_memory,
    draw_network,
    draw_sparse_design,
    draw_tries,
    with_memory,
    within,
)
from tests.benches.verilator import Built


@pytest.mark.rtl
def test_bytes_cycles_and_events(design_seed: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng = Random(design_seed)
    draw = draw_sparse_design if design_seed % 3 == 2 else draw_design
    design = draw_features(rng, draw(rng, f"random-{design_seed}", largest=rng.choice([4, 8, 8, 16])))
    built = Built(design, tmp_path)
    wanted, done = request.config.getoption("--layer-cases"), 0

    @settings(
        max_examples=wanted,
        deadline=None,
        database=None,
    )
    @given(st.randoms(use_true_random=False))
    def cases(drawn: Random) -> None:
        nonlocal done
        inverted = design.filter_multipliers and drawn.random() < 0.1
        network = draw_inverted(drawn) if inverted else draw_network(drawn)
        network = within(design, draw_ends(drawn, network))
        behind = draw_dram(drawn, with_memory(design, *draw_memory(drawn)))
        try:
            formats, images = draw_formats(drawn, behind, network), drawn.choice([1, 1, 2, 3, 5])
            tries = draw_tries(drawn)
            if images > 1:
                program = compile_series(network, behind, formats, drawn.choice([1, images, 1000]), tries)
            else:
                program = compile_network(network, behind, formats, tries)
        except InputError:
            reject()  # too small a design says so; test_accel_compile checks what it says
        codes = draw_input(drawn, network, images)
        note(f"{behind!r}\n{network!r}")
        if isinstance(program, Series):
            check_series(built, Trial(behind, network, codes, drawn.getrandbits(16), formats, images, tries), program)
        else:
            check(built, Trial(behind, network, codes[0], drawn.getrandbits(16), formats, tries=tries), program)
        done += 1

    cases()
    assert done >= wanted, f"only {done} of {wanted} networks fit the design"
