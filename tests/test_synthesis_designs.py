"""The designs that ship for an FPGA, synthesised whole: each fits its part. `pytest -m synth`; minutes for each."""

from __future__ import annotations

import pytest

from accel.design import load
from accel.flow import synth
from accel.flow.progress import silent

pytestmark = pytest.mark.synth

# The part, and multipliers and block RAMs that are counted in the memories and blocks of the design.
DESIGNS = {"pico": ("ecp5-25f", 23, 50), "nano-ecp5": ("ecp5-85f", 77, 92), "edge-xc7": ("xc7", 225, 243)}


@pytest.mark.parametrize("name", DESIGNS)
def test_what_ships_for_a_part_fits_it(name: str) -> None:
    part, multipliers, blocks = DESIGNS[name]
    found = synth.run(synth.source(name), synth.default_target(load(name)), False, silent)
    assert found.target.part.name == part
    assert found.short == ()
    assert (found.total.dsp, found.total.bram) == (multipliers, blocks)
