"""Blocks of the engine reach their clocks (ECP5-85F, speed 6, one seed): minutes each, behind the mark `synth`."""

from __future__ import annotations

import pytest

from tests.benchmarks.clocks import BLOCKS, placed


@pytest.mark.synth
@pytest.mark.parametrize("block", BLOCKS)
def test_clock(block: str) -> None:
    (found,) = placed(block, 1)
    assert found.fmax_mhz >= BLOCKS[block][1]
    multipliers = {"array": 64, "output-array": 64, "sparse-pe": 8, "feeder": 1, "compute": 65, "post": 24}
    assert found.cells.dsp == multipliers.get(block, 0)
