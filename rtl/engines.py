"""The engines: which component computes, by the kind of a design's `engine`.

An engine is a folder of `rtl`, a systolic one that of its `dataflow`. Its component takes COMPUTE and CONFIG_COMPUTE
and has the ports of `accel.rtl.systolic.dispatch`, a sparse one those of `accel.rtl.sparse.unit.ComputeUnit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accel.design import Design
from accel.rtl.output_stationary.unit import ComputeUnit as OutputStationaryUnit
from accel.rtl.sparse.unit import ComputeUnit as SparseUnit
from accel.rtl.systolic.unit import ComputeUnit


def systolic_unit(design: Design) -> Any:
    """The component of a systolic engine's dataflow."""
    return OutputStationaryUnit(design) if design.output_stationary else ComputeUnit(design)


ENGINES: dict[str, Callable[[Design], Any]] = {"systolic": systolic_unit, "sparse": SparseUnit}


def compute_unit(design: Design) -> Any:
    """The component of a design's engine."""
    return ENGINES[design.engine.kind](design)
