"""The engines: which component computes, by the kind of a design's `engine`.

An engine is a folder of `rtl`. Its component takes COMPUTE and CONFIG_COMPUTE and has the ports of
`accel.rtl.systolic.unit.ComputeUnit`, a sparse one those of `accel.rtl.sparse.unit.ComputeUnit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accel.design import Design
from accel.rtl.sparse.unit import ComputeUnit as SparseUnit
from accel.rtl.systolic.unit import ComputeUnit

ENGINES: dict[str, Callable[[Design], Any]] = {"systolic": ComputeUnit, "sparse": SparseUnit}


def compute_unit(design: Design) -> Any:
    """The component of a design's engine."""
    return ENGINES[design.engine.kind](design)
