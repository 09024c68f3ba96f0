"""The designs that ship for an FPGA, synthesised whole: each fits its part. `pytest -m synth`; minutes for each."""

from __future__ import annotations

import pytest

from accel.design import load
from accel.flow import synth
from accel.flow.progress import silent

pytestmark = pytest.mark.synth

DESIGNS = {"pico": "ecp5-25f", "nano-ecp5": "ecp5-85f", "ulx3s": "ecp5-85f", "edge-xc7": "xc7"}


@pytest.mark.parametrize("name", DESIGNS)
def test_what_ships_for_a_part_fits_it(name: str) -> None:
    found = synth.run(synth.source(name), synth.default_target(load(name)), False, silent)
    assert found.target.part.name == DESIGNS[name]
    assert found.short == ()
