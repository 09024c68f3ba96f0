"""The three invariants on arrays of the largest and of lopsided sizes, and on the largest design that ships.

And on designs for an ECP5, whose memories are its blocks with their own registers.

The random designs do not reach these.

Field widths, skew registers and word layouts depend on rows and columns: 64 is the limit of both, and 1 the other one.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from accel.compile import compile_network
from accel.design import Design, load
from accel.models.errors import InputError
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_input, draw_memory, draw_network, with_memory
from tests.benches.verilator import Built
from tests.benches.wide import wide

NETWORKS = 4


def design_of(rows: int, cols: int, **memory: int) -> Design:
    """Buffers so small that layers are cut, and a program buffer of the fewest commands."""
    return Design.model_validate(
        {
            "name": f"size-{rows}x{cols}",
            "array": {"rows": rows, "cols": cols},
            "widths": {"accumulator": 25},
            "buffers": {
                "activation_bytes": 2 * 200 * rows,
                "weight_bytes": 1000 * cols,
                "accumulator_bytes": 8 * cols * 40,
                "parameter_bytes": 8 * 80,
                "program_commands": 8,
            },
            "memory": {"latency_cycles": 20, **memory},
            "clock_mhz": 100,
        }
    )


@pytest.mark.rtl
@pytest.mark.parametrize(
    "design",
    [
        pytest.param(design_of(64, 3, axi_bits=256, burst_beats=2, outstanding_bursts=64), marks=wide),
        design_of(1, 64, axi_bits=128, burst_beats=1),
        pytest.param(design_of(3, 64, axi_bits=512, outstanding_bursts=1), marks=wide),
        pytest.param(load("large"), marks=wide),
        pytest.param(load("nano-ecp5"), marks=wide),
        load("ulx3s"),
        pytest.param(load("pico"), marks=wide),
    ],
    ids=lambda d: d.name,
)
def test_bytes_cycles_and_events_of_extreme_arrays(design: Design, tmp_path: Path) -> None:
    built, done = Built(design, tmp_path, "-O0"), 0  # half a minute for `large`, whose runs are short
    for seed in range(100):
        rng = Random(seed)
        network = draw_network(rng, size=7, channels=rng.choice([12, 70, 100]))
        behind = with_memory(design, *draw_memory(rng))
        try:
            program = compile_network(network, behind)
        except InputError:
            continue
        check(built, Trial(behind, network, draw_input(rng, network)[0], seed), program)
        done += 1
        if done == NETWORKS:
            return
    raise AssertionError(f"only {done} networks fit {design.name}")
