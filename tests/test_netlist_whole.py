"""A whole small accelerator after synthesis: its netlist equals reference and simulator as its Verilog does.

Bytes, cycles and counters of random networks behind random memories, as tests/test_cross_rtl.py has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from accel.compile import compile_network
from accel.design import Design
from accel.models.errors import InputError
from accel.program import Program
from tests.benches.cross import Trial, check
from tests.benches.draw import draw_input, draw_memory, draw_network, with_memory
from tests.benches.netlist import BuiltNetlist, inverted, whole
from tests.benches.resource_designs import LEAN, small

NETWORKS = 5


def runs(design: Design) -> Iterator[tuple[Trial, Program]]:
    """The first NETWORKS that fit the design."""
    found = 0
    for seed in range(100):
        rng = Random(seed)
        network, behind = draw_network(rng, size=6, channels=6), with_memory(design, *draw_memory(rng))
        with suppress(InputError):
            program = compile_network(network, behind)
            yield Trial(behind, network, draw_input(rng, network)[0], seed), program
            found += 1
        if found == NETWORKS:
            return
    raise AssertionError(f"only {found} networks fit")


def is_exact(built: BuiltNetlist, trial: Trial, program: Program) -> bool:
    """Whether reference, simulator and netlist are equal."""
    try:
        check(built, trial, program)
    except AssertionError:
        return False
    return True


@pytest.mark.synth
def test_the_netlist_of_a_design_is_exact(tmp_path: Path) -> None:
    """Multipliers and queues are gates and LUT RAM; with one of some LUTs inverted it is another machine."""
    sizes = {"activation_bytes": 4096, "weight_bytes": 2048, "accumulator_bytes": 2048, "parameter_bytes": 512}
    design = small("netlist", 2, 2, 32, **LEAN, post_lanes=1, buffers=sizes | {"queue_commands": 2})
    netlist = whole(design, tmp_path)
    trials = list(runs(design))
    assert all(is_exact(BuiltNetlist(design, netlist, tmp_path / "exact"), *trial) for trial in trials)
    # Some LUTs matter only to networks and errors that these trials have not.
    damaged = (
        BuiltNetlist(design, inverted(netlist, place), tmp_path / f"damaged-{place}") for place in (0.2, 0.4, 0.7, 0.9)
    )
    assert any(not is_exact(built, *trial) for built in damaged for trial in trials)
