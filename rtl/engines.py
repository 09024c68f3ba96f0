"""The engines: which component computes, by the kind of a design's `engine`.

An engine is a folder of `rtl`. Its component takes COMPUTE and CONFIG_COMPUTE and has the ports of
`accel.rtl.systolic.unit.ComputeUnit`.
"""

from __future__ import annotations

from collections.abc import Callable

from accel.design import Design
from accel.rtl.systolic.unit import ComputeUnit

ENGINES: dict[str, Callable[[Design], ComputeUnit]] = {"systolic": ComputeUnit}


def compute_unit(design: Design) -> ComputeUnit:
    """The component of a design's engine."""
    return ENGINES[design.engine.kind](design)
